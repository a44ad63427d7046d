"""What is carried along by what looks like code: closures, defaults and attributes of functions, what a partial, a
bound method or a generator has in hand; and standard-library objects that are mere namespaces."""

from __future__ import annotations

import functools
import opcode
import re
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from types import CellType, FunctionType, GeneratorType, MethodType, SimpleNamespace
from typing import Any

from harness.probes._text import instance_dict

BAGS: frozenset[type] = frozenset({SimpleNamespace, threading.local})
"""Standard-library objects whose attributes are whatever somebody put there."""

CARRIERS: frozenset[type] = frozenset(
    {FunctionType, MethodType, staticmethod, classmethod, property, functools.partial, GeneratorType}
)

_STORES = opcode.opmap["STORE_DEREF"]
_DOTTED = re.compile(r"\b([A-Za-z_]\w*)\.[A-Za-z_]\w*")


class Default:
    """A default of a function's argument, as something that can be bound to another object."""

    __slots__ = ("holder",)

    def __init__(self, function: FunctionType) -> None:
        self.holder = function

    def put(self, index: int, value: Any) -> None:
        defaults = list(self.holder.__defaults__ or ())
        defaults[index] = value
        self.holder.__defaults__ = tuple(defaults)


def parts(value: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """What a carrier holds: how the name of its place goes on, the object, and by which holder and key it can be bound
    anew (holder None: not at all)."""
    kind = type(value)
    if kind is FunctionType:
        yield from _of_function(value)
    elif kind is MethodType:
        yield "", value.__func__, None, None
        yield ".__self__", value.__self__, None, None
    elif kind is staticmethod or kind is classmethod:
        yield "", value.__func__, None, None
    elif kind is property:
        for function in (value.fget, value.fset):
            yield "", function, None, None
    elif kind is functools.partial:
        yield "", value.func, None, None
        for index, given in enumerate(value.args):
            yield f".{index}", given, None, None
        for name, given in value.keywords.items():
            yield f".{name}", given, None, None


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any, Any, Any]]:
    code = function.__code__
    if function.__closure__:
        rebound = rebinds(function)
        for name, cell in zip(code.co_freevars, function.__closure__, strict=True):
            if name not in rebound and (contents := _contents(cell)) is not None:
                yield f".{name}", contents, cell, "cell_contents"
    if function.__defaults__:
        first = code.co_argcount - len(function.__defaults__)
        for index, value in enumerate(function.__defaults__):
            yield f".{code.co_varnames[first + index]}", value, Default(function), index
    if function.__kwdefaults__:
        for name, value in function.__kwdefaults__.items():
            yield f".{name}", value, function.__kwdefaults__, name


def rebinds(function: FunctionType) -> frozenset[str]:
    """Names of an enclosing function that this one binds anew (``nonlocal``)."""
    code = function.__code__
    if not code.co_freevars or _STORES not in code.co_code[::2]:
        return frozenset()
    return frozenset(code.co_freevars)


def namespace(holder: Any) -> dict[str, Any] | None:
    """Names and values of a function (its attributes, and what it closes over) or generator (its locals). None for
    anything else."""
    kind = type(holder)
    if kind is FunctionType:
        found = dict(instance_dict(holder) or {})
        for name, cell in zip(holder.__code__.co_freevars, holder.__closure__ or (), strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:
                continue  # not filled yet
        return found
    if kind is threading.local:
        return dict(holder.__dict__)  # of the thread that looks
    if kind is GeneratorType:
        return dict(holder.gi_frame.f_locals) if holder.gi_frame is not None else {}
    return None


def put(holder: FunctionType, name: str, value: Any) -> None:
    """Rebind what `namespace` names in a function."""
    if name in holder.__code__.co_freevars and holder.__closure__:
        holder.__closure__[holder.__code__.co_freevars.index(name)].cell_contents = value
    else:
        holder.__dict__[name] = value


def addressed(module: types.ModuleType) -> frozenset[str]:
    """Names before a dot in the module's source: functions among them may be given attributes."""
    path = getattr(module, "__file__", None)
    if not path or not str(path).endswith(".py"):
        return frozenset()
    try:
        return frozenset(_DOTTED.findall(Path(path).read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return frozenset()


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None
