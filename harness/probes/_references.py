"""Who refers to a container, and how such a reference is bound to another object."""

from __future__ import annotations

import gc
import types
from collections import OrderedDict, deque
from types import ModuleType
from typing import Any

from harness.flow import identity
from harness.principal import Label
from harness.probes._carriers import Default
from harness.probes._scopes import Scope, Snapshot, put_slot
from harness.probes._text import fields, instance_dict
from harness.probes._tracing import Traced


class Candidate:
    """A plain container met on the walk, with every way it was met (`holders`)."""

    __slots__ = ("holders", "label", "obj", "prefix", "replaceable", "surface")

    def __init__(self, obj: Any, surface: str, prefix: str, label: Label | None) -> None:
        self.obj = obj
        self.surface = surface
        self.prefix = prefix
        self.label = label
        self.replaceable = True
        self.holders: list[tuple[Any, Any]] = []


class Inside:
    """Stands for the namespace of a standard-library holder."""

    __slots__ = ("holder",)

    def __init__(self, holder: Any) -> None:
        self.holder = holder


def distinct(holders: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    seen: dict[tuple[int, Any], tuple[Any, Any]] = {}
    for holder, key in holders:
        base = holder.holder if isinstance(holder, (Scope, Inside, Default)) else holder
        seen[(identity(base), key if isinstance(key, (str, int)) else identity(key))] = (holder, key)
    return list(seen.values())


def bindable(holder: Any, key: Any) -> bool:
    if isinstance(holder, Scope):
        return holder.holder is not None
    return isinstance(holder, (Inside, Attribute, Default, types.CellType, dict, list, deque))


def bind(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, Scope):
        holder.put(key, value)
    elif isinstance(holder, Inside):
        dict.__setitem__(instance_dict(holder.holder) or {}, key, value)
    elif isinstance(holder, (Attribute, Default)):
        holder.put(key, value)
    elif isinstance(holder, types.CellType):
        holder.cell_contents = value
    elif isinstance(holder, OrderedDict):
        OrderedDict.__setitem__(holder, key, value) if not isinstance(holder, Traced) else dict.__setitem__(
            holder, key, value
        )
    elif isinstance(holder, dict):
        dict.__setitem__(holder, key, value)
    elif isinstance(holder, list):
        list.__setitem__(holder, key, value)
    else:
        deque.__setitem__(holder, key, value)


class Attribute:
    """A class or an instance without a `__dict__` of its own, found as a referrer."""

    __slots__ = ("holder",)

    def __init__(self, holder: Any) -> None:
        self.holder = holder

    def put(self, name: str, value: Any) -> None:
        if isinstance(self.holder, type):
            type.__setattr__(self.holder, name, value)
        else:
            put_slot(self.holder, name, value)


def referrers(found: dict[int, Candidate]) -> dict[int, list[tuple[Any, Any]]]:
    """Every rebindable reference to each candidate, by one pass over the heap."""
    known: dict[int, list[tuple[Any, Any]]] = {number: [] for number in found}
    classes: dict[int, type] = {identity(gc.get_referents(vars(cls))[0]): cls for cls in _classes()}
    mine = {identity(known), identity(found)}
    objects = [candidate.obj for candidate in found.values()]
    mine.add(identity(objects))
    for referrer in gc.get_referrers(*objects):
        if identity(referrer) in mine or isinstance(referrer, (Candidate, Snapshot, types.FrameType)):
            continue
        if isinstance(referrer, dict):
            cls = classes.get(identity(referrer))
            for key, value in dict.items(referrer):
                if identity(value) in known and found[identity(value)].obj is value:
                    known[identity(value)].append((Attribute(cls) if cls is not None else referrer, key))
        elif isinstance(referrer, (list, deque)):
            base: Any = list if isinstance(referrer, list) else deque
            for index, value in enumerate(base.__iter__(referrer)):
                if identity(value) in known:
                    known[identity(value)].append((referrer, index))
        elif isinstance(referrer, types.CellType):
            number = identity(referrer.cell_contents)
            known[number].append((referrer, "cell_contents"))
        elif not isinstance(referrer, (type, tuple, set, frozenset, ModuleType)):
            _from_instance(referrer, known)
    return {number: _distinct_raw(holders) for number, holders in known.items()}


def _from_instance(referrer: Any, known: dict[int, list[tuple[Any, Any]]]) -> None:
    own = instance_dict(referrer)
    for name, value in list(fields(referrer)):
        if identity(value) in known:
            holder: Any = own if own is not None and own.get(name) is value else Attribute(referrer)
            known[identity(value)].append((holder, name))


def _distinct_raw(holders: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    seen: dict[tuple[int, int], tuple[Any, Any]] = {}
    for holder, key in holders:
        base = holder.holder if isinstance(holder, Attribute) else holder
        seen[(identity(base), hash(key) if isinstance(key, (str, int)) else identity(key))] = (holder, key)
    return list(seen.values())


def _classes() -> list[type]:
    """Every class in the process."""
    seen: set[type] = {object}
    todo: list[type] = [object]
    cls: type
    while todo:
        for cls in type.__subclasses__(todo.pop()):
            if cls not in seen:
                seen.add(cls)
                todo.append(cls)
    return list(seen)
