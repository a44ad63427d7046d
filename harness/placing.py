"""A patch stands, for all who look at the stack, where the code stands that it replaces: an overlay shows what a bot
would do whose code were so, and nobody would look for that elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any

Ours = Callable[[str], bool]
"""Whether a file is the bot's."""


def place(value: Any, former: Any, ours: Ours) -> FunctionType | None:
    """Give `value`, and what it defines, the file and name of `former`, where `former` is a function of the bot's and
    `value` is one of somebody else's. Returns that function, or None where nothing was to be done."""
    new, old = _function(value), _function(inspect.unwrap(former) if callable(former) else former)
    if new is None or old is None or ours(new.__code__.co_filename) or not ours(old.__code__.co_filename):
        return None
    model = old.__code__
    new.__code__ = _moved(new.__code__, model.co_filename, model.co_qualname, model.co_firstlineno)
    return new


def _function(thing: Any) -> FunctionType | None:
    if isinstance(thing, (staticmethod, classmethod, MethodType)):
        thing = thing.__func__
    if isinstance(thing, property):
        thing = thing.fget
    return thing if isinstance(thing, FunctionType) else None


def _moved(code: CodeType, file: str, name: str, line: int) -> CodeType:
    """`code` as `name` at that line of `file`; functions that it defines stand within it."""
    within = tuple(
        _moved(part, file, f"{name}.<locals>.{part.co_name}", line) if isinstance(part, CodeType) else part
        for part in code.co_consts
    )
    return code.replace(
        co_filename=file, co_name=name.rpartition(".")[2], co_qualname=name, co_firstlineno=line, co_consts=within
    )
