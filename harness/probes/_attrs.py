"""Attributes of singletons as cells: data descriptors on the class report reads and writes of watched instances.

The value stays in the instance `__dict__` (or slot). Instances that are not watched pass through.
"""

from __future__ import annotations

import abc
import asyncio
import collections.abc
import queue
import typing
import weakref
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any

from harness import recorder as _recorder
from harness.flow import identity
from harness.probes._cells import Ledger
from harness.probes._places import ATTRIBUTE, Place
from harness.probes._text import forget_members, instance_dict
from harness.probes._traced import Traced

_MISSING: Any = object()
HARMLESS: frozenset[Any] = frozenset(
    [object, abc.ABC, typing.Generic, typing.Protocol, str, int, float]
    + [getattr(collections.abc, name) for name in collections.abc.__all__]
)
"""Base classes outside the bot that leave attribute access alone."""
QUEUES = frozenset(
    {asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue}
    | {queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue}
)
"""Who reaches for one of these has not yet met what waits in it: whoever takes that works on for whoever put it there
(`harness.descent`)."""
_HOOKS = ("__getattr__", "__getattribute__", "__setattr__", "__delattr__")


class Watched:
    """An instance whose attributes are cells; `surface` and `prefix` are those of the instance itself."""

    __slots__ = ("ledger", "places", "prefix", "surface")

    def __init__(self, ledger: Ledger, surface: str, prefix: str) -> None:
        self.ledger = ledger
        self.surface = surface
        self.prefix = prefix
        self.places: dict[str, Place] = {}

    def place(self, name: str) -> Place:
        """The cell of one attribute."""
        place = self.places.get(name)
        if place is None:
            place = self.places[name] = Place(self.ledger, f"{self.surface}.{name}", self.prefix)
        return place


class ClassHook:
    """The descriptors of one class and which of its instances are watched."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.watched: dict[int, Watched] = {}
        self.names: dict[str, AttributeCell] = {}
        self._keep: dict[int, Any] = {}
        type.__setattr__(cls, "__setattr__", self._setter())

    def _setter(self) -> Callable[[Any, str, Any], None]:
        hook = self

        def __setattr__(self: Any, name: str, value: Any) -> None:
            # Names seen for the first time get their descriptor here, before the write it must report.
            if identity(self) in hook.watched and name not in hook.names:
                hook.cover(name)
            object.__setattr__(self, name, value)

        return __setattr__

    def watch(self, instance: Any, watched: Watched) -> None:
        """Report this instance's attributes. It may still die: only a weak reference is kept where one can be."""
        number = identity(instance)
        self.watched[number] = watched
        try:
            self._keep[number] = weakref.ref(instance, lambda _: self._drop(number))
        except TypeError:
            self._keep[number] = instance
        for name in list(instance_dict(instance) or ()):
            self.cover(name)
        for cls in self.cls.__mro__:
            for name, member in list(vars(cls).items()):
                if type(member) is MemberDescriptorType:
                    self.cover(name)

    def _drop(self, number: int) -> None:
        self.watched.pop(number, None)
        self._keep.pop(number, None)

    def cover(self, name: str) -> None:
        """Put a descriptor at `name`, unless the class computes that attribute itself."""
        if name in self.names or name.startswith("__"):
            return
        own = vars(self.cls).get(name, _MISSING)
        inherited = _lookup(self.cls, name)
        kind = type(inherited)
        member = inherited if kind is MemberDescriptorType else None
        if member is None and hasattr(kind, "__set__"):
            return
        cell = AttributeCell(self, name, own, member)
        self.names[name] = cell
        type.__setattr__(self.cls, name, cell)
        if member is not None:
            forget_members()

    def remove(self) -> None:
        """Give the class back as it was."""
        for name, cell in self.names.items():
            if cell.own is _MISSING:
                type.__delattr__(self.cls, name)
            else:
                type.__setattr__(self.cls, name, cell.own)
        self.names.clear()
        self.watched.clear()
        forget_members()
        type.__delattr__(self.cls, "__setattr__")


class AttributeCell:
    """A data descriptor that leaves the value where it was. `own` is what the class itself had at that name."""

    __slots__ = ("_hook", "_member", "_name", "own")

    def __init__(self, hook: ClassHook, name: str, own: Any, member: Any) -> None:
        self._hook = hook
        self._name = name
        self._member = member
        self.own = own

    def __get__(self, instance: Any, owner: type) -> Any:
        name = self._name
        if instance is None:
            if self._member is not None:
                return self._member
            value = _lookup(owner, name)
            if value is _MISSING:
                raise AttributeError(f"type object {owner.__name__!r} has no attribute {name!r}", name=name, obj=owner)
            return value.__get__(None, owner) if hasattr(type(value), "__get__") else value
        if self._member is not None:
            value = self._member.__get__(instance, owner)
        else:
            value = instance.__dict__.get(name, _MISSING)
            if value is _MISSING:
                value = _lookup(owner, name)
                if value is _MISSING:
                    text = f"{owner.__name__!r} object has no attribute {name!r}"
                    raise AttributeError(text, name=name, obj=instance)
                return value.__get__(instance, owner) if hasattr(type(value), "__get__") else value
        if _recorder._current is not None and not isinstance(value, Traced):
            # What leads to a traced container is no access of its own: its operations are.
            watched = self._hook.watched.get(identity(instance))
            if watched is not None:
                place = watched.places.get(name)
                if place is not None and place.cells:
                    # Only what was written in this run: the rest is wiring from boot.
                    place.ledger.read(place, ATTRIBUTE, value, scan=type(value) not in QUEUES, only_known=True)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        if self._member is not None:
            self._member.__set__(instance, value)
        else:
            instance.__dict__[self._name] = value
        if _recorder._current is not None:
            watched = self._hook.watched.get(identity(instance))
            if watched is not None:
                place = watched.place(self._name)
                op = "rebind" if isinstance(value, (dict, list, set)) else "write"
                place.ledger.write(place, ATTRIBUTE, value, op=op)

    def __delete__(self, instance: Any) -> None:
        former = None
        if self._member is not None:
            former = self._member.__get__(instance, type(instance))
            self._member.__delete__(instance)
        elif self._name not in instance.__dict__:
            text = f"{type(instance).__name__!r} object has no attribute {self._name!r}"
            raise AttributeError(text, name=self._name, obj=instance)
        else:
            former = instance.__dict__.pop(self._name)
        if _recorder._current is not None:
            watched = self._hook.watched.get(identity(instance))
            if watched is not None:
                place = watched.place(self._name)
                place.ledger.delete(place, ATTRIBUTE, former)


def _lookup(owner: type, name: str) -> Any:
    """What the class would say without any of our descriptors."""
    for cls in owner.__mro__:
        value = vars(cls).get(name, _MISSING)
        if isinstance(value, AttributeCell):
            value = value._member if value._member is not None else value.own
        if value is not _MISSING:
            return value
    return _MISSING


def hookable(cls: type, ours: Callable[[str], bool]) -> bool:
    """Whether descriptors on `cls` are safe: an ordinary class of the bot over ordinary classes of the bot, that
    does not take attribute access into its own hands."""
    if type(cls) not in (type, abc.ABCMeta):
        return False
    for base in cls.__mro__:
        if base in HARMLESS:
            continue
        if not ours(base.__module__):
            return False
        for name in _HOOKS:
            method = vars(base).get(name)
            if method is not None and getattr(method, "__module__", "") != __name__:
                return False
    return True
