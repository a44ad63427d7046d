"""Tracing stand-ins for the built-in containers.

Each is a subclass that behaves like the plain type: equality, order, exceptions, copies and pickles (which are plain).
The operations of a watched container are reported to its `Place`; one that has no place costs an attribute check.
Calling the type of a stand-in gives a plain container, as `dataclasses.asdict` and the like expect.
"""

from __future__ import annotations

import collections
import itertools
import reprlib
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from harness import recorder as _recorder
from harness.probes._cells import Ledger, Place

if TYPE_CHECKING:
    _Dict = dict[Any, Any]
    _List = list[Any]
    _Set = set[Any]
    _Deque = deque[Any]
else:
    _Dict = _List = _Set = _Deque = object

_MISSING: Any = object()


class Traced:
    """Marks every stand-in. `_isolation_place` is None while it is not watched."""

    __slots__ = ()
    _isolation_place: Place | None


def _active(container: Any) -> Place | None:
    """The container's place when something is to be recorded, else None."""
    place: Place | None = container._isolation_place
    return place if place is not None and _recorder._current is not None else None


class _Quiet:
    """Base methods may call overridden ones; their body must not be recorded twice."""

    __slots__ = ("container", "place")

    def __init__(self, container: Any) -> None:
        self.container = container
        self.place = container._isolation_place

    def __enter__(self) -> None:
        self.container._isolation_place = None

    def __exit__(self, *_: object) -> None:
        self.container._isolation_place = self.place


def _dirty(container: Any) -> None:
    place = container._isolation_place
    if place is not None:
        place.dirty = True


class DictOps(Traced, _Dict):
    """Dict operations, over whatever mapping type comes next in the MRO."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        value = super().__getitem__(key)
        place = _active(self)
        if place is not None and not _same_instruction(place):
            place.ledger.read(place, key, value)
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        value = super().get(key, _MISSING)
        if value is _MISSING:
            return default
        place = _active(self)
        if place is not None:
            place.ledger.read(place, key, value)
        return value

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        if found:
            place = _active(self)
            if place is not None:
                place.ledger.read(place, key, None, scan=False)
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.write(place, key, value)

    def __delitem__(self, key: Any) -> None:
        place = _active(self)
        if place is None:
            super().__delitem__(key)
            return
        value = dict.get(self, key)
        with _Quiet(self):
            super().__delitem__(key)
        place.ledger.delete(place, key, value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        _dirty(self)
        place = _active(self)
        if place is None:
            return super().setdefault(key, default)
        with _Quiet(self):
            fresh = not dict.__contains__(self, key)
            value = super().setdefault(key, default)
        if fresh:
            place.ledger.write(place, key, value)
        else:
            place.ledger.read(place, key, value)
        return value

    def pop(self, key: Any, *default: Any, **named: Any) -> Any:
        place = _active(self)
        if place is None:
            return super().pop(key, *default, **named)
        with _Quiet(self):
            fresh = not dict.__contains__(self, key)
            value = super().pop(key, *default, **named)
        if not fresh:
            place.ledger.delete(place, key, value)
        return value

    def popitem(self, *args: Any, **named: Any) -> tuple[Any, Any]:
        place = _active(self)
        if place is None:
            return super().popitem(*args, **named)
        with _Quiet(self):
            key, value = super().popitem(*args, **named)
        place.ledger.delete(place, key, value)
        return key, value

    def clear(self) -> None:
        place = _active(self)
        items = list(dict.items(self)) if place is not None else []
        super().clear()
        if place is not None and items:
            place.ledger.iterate(place, items, op="delete")

    def update(self, *args: Any, **named: Any) -> None:
        place = _active(self)
        if place is None:
            super().update(*args, **named)
            _dirty(self)
            return
        if len(args) > 1 or (not named and not args):
            super().update(*args, **named)
            return
        # Taken apart first: an argument that can be read only once must still be recorded.
        fresh: dict[Any, Any] = {}
        try:
            fresh.update(*args, **named)
        finally:
            with _Quiet(self):
                super().update(fresh)
            place.ledger.fill(place, list(fresh.items()))

    def _isolation_met(self) -> None:
        place = _active(self)
        if place is not None:
            place.ledger.iterate(place, list(dict.items(self)))

    def __iter__(self) -> Iterator[Any]:
        self._isolation_met()
        return super().__iter__()

    def __reversed__(self) -> Iterator[Any]:
        self._isolation_met()
        return super().__reversed__()

    def keys(self) -> Any:
        self._isolation_met()
        place = _active(self)
        if place is not None:
            _note_instruction(place)
        return super().keys()

    def values(self) -> Any:
        self._isolation_met()
        return super().values()

    def items(self) -> Any:
        self._isolation_met()
        return super().items()


# `dict(d)`, `{**d}` and `f(**d)` call `keys()` and then fetch item by item within one instruction: that is one
# iteration, not n reads.
_bulk: tuple[int, int, int] | None = None


def _note_instruction(place: Place) -> None:
    global _bulk
    frame = sys._getframe(2)
    _bulk = (place.number, id(frame), frame.f_lasti)


def _same_instruction(place: Place) -> bool:
    if _bulk is None or _bulk[0] != place.number:
        return False
    frame = sys._getframe(2)
    return _bulk[1] == id(frame) and _bulk[2] == frame.f_lasti


class _DictValue(DictOps):
    """What the plain dict family needs besides: copies and unions are plain."""

    __slots__ = ()

    def copy(self) -> Any:
        return self._isolation_plain()

    __copy__ = copy

    def _isolation_plain(self) -> Any:
        self._isolation_met()
        return dict(dict.items(self))

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        return self._isolation_plain() | other

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        return other | self._isolation_plain()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        return dict, (), None, None, iter(list(dict.items(self)))


class TracedDict(_DictValue, dict):  # type: ignore[type-arg]
    __slots__ = ("__weakref__", "_isolation_place")
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return dict(*args, **named)


class TracedOrderedDict(_DictValue, OrderedDict):  # type: ignore[type-arg]
    __slots__ = ("_isolation_place",)
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return OrderedDict(*args, **named)

    def _isolation_plain(self) -> Any:
        self._isolation_met()
        with _Quiet(self):
            return OrderedDict(OrderedDict.items(self))

    def move_to_end(self, key: Any, last: bool = True) -> None:
        with _Quiet(self):
            OrderedDict.move_to_end(self, key, last)

    def __eq__(self, other: object) -> bool:
        with _Quiet(self):
            return bool(OrderedDict.__eq__(self, other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        with _Quiet(self):
            return OrderedDict.__repr__(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        with _Quiet(self):
            return OrderedDict, (), None, None, iter(list(OrderedDict.items(self)))


class TracedDefaultDict(_DictValue, defaultdict):  # type: ignore[type-arg]
    __slots__ = ("__weakref__", "_isolation_place")
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return defaultdict(*args, **named)

    def _isolation_plain(self) -> Any:
        self._isolation_met()
        return defaultdict(self.default_factory, dict.items(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        args = () if self.default_factory is None else (self.default_factory,)
        return defaultdict, args, None, None, iter(list(dict.items(self)))


class _SequenceOps(Traced):
    """What lists and deques have in common. `_base` is the plain type."""

    __slots__ = ()
    _base: Any = list

    def _isolation_items(self) -> list[tuple[int, Any]]:
        return list(enumerate(self._base.__iter__(self)))

    def _isolation_met(self) -> None:
        place = _active(self)
        if place is not None:
            place.ledger.iterate(place, self._isolation_items())

    def _isolation_write(self, index: int, value: Any) -> None:
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.write(place, index, value)

    def _isolation_fill(self, start: int) -> None:
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.fill(place, self._isolation_items()[start:])

    def _isolation_drop(self, index: int, value: Any) -> None:
        place = _active(self)
        if place is not None:
            place.ledger.delete(place, index, value)
        else:
            _dirty(self)

    def __iter__(self) -> Iterator[Any]:
        self._isolation_met()
        return self._base.__iter__(self)  # type: ignore[no-any-return]

    def __reversed__(self) -> Iterator[Any]:
        self._isolation_met()
        return self._base.__reversed__(self)  # type: ignore[no-any-return]

    def __contains__(self, value: object) -> bool:
        found: bool = self._base.__contains__(self, value)
        place = _active(self)
        if found and place is not None:
            index = self._base.index(self, value)
            place.ledger.read(place, index, self._base.__getitem__(self, index), scan=False)
        return found

    def index(self, value: Any, *span: Any) -> int:
        index: int = self._base.index(self, value, *span)
        place = _active(self)
        if place is not None:
            place.ledger.read(place, index, self._base.__getitem__(self, index), scan=False)
        return index

    def append(self, value: Any) -> None:
        self._base.append(self, value)
        self._isolation_write(self._base.__len__(self) - 1, value)

    def insert(self, index: Any, value: Any) -> None:
        self._base.insert(self, index, value)
        size = self._base.__len__(self)
        at = index.__index__()
        self._isolation_write(max(0, at + size - 1) if at < 0 else min(at, size - 1), value)

    def remove(self, value: Any) -> None:
        place = _active(self)
        if place is None:
            self._base.remove(self, value)
            _dirty(self)
            return
        before = list(self._base.__iter__(self))
        self._base.remove(self, value)
        for index, left in enumerate(itertools.chain(self._base.__iter__(self), (_MISSING,))):
            if left is not before[index]:
                place.ledger.delete(place, index, before[index])
                return

    def clear(self) -> None:
        place = _active(self)
        items = self._isolation_items() if place is not None else []
        self._base.clear(self)
        if place is not None and items:
            place.ledger.iterate(place, items, op="delete")

    def __copy__(self) -> Any:
        return self.copy()

    def copy(self) -> Any:
        self._isolation_met()
        return self._base.copy(self)


class TracedList(_SequenceOps, list):  # type: ignore[type-arg]
    __slots__ = ("__weakref__", "_isolation_place")
    __hash__ = None  # type: ignore[assignment]
    _base = list

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return list(*args, **named)

    def __getitem__(self, index: Any) -> Any:
        value = list.__getitem__(self, index)
        place = _active(self)
        if place is not None:
            if isinstance(index, slice):
                met = range(*index.indices(list.__len__(self)))
                place.ledger.iterate(place, list(zip(met, value, strict=True)))
            else:
                place.ledger.read(place, range(list.__len__(self))[index], value)
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        place = _active(self)
        if place is None:
            list.__setitem__(self, index, value)
            _dirty(self)
            return
        if isinstance(index, slice):
            fresh = value if type(value) in (list, tuple) else list(value) if hasattr(value, "__iter__") else value
            met = range(*index.indices(list.__len__(self)))
            gone = [(at, list.__getitem__(self, at)) for at in met]
            list.__setitem__(self, index, fresh)
            place.ledger.iterate(place, gone, op="delete")
            start = met.start if met.step > 0 else 0
            place.ledger.fill(place, [(start + at, item) for at, item in enumerate(fresh)])
            return
        former = list.__getitem__(self, index)
        at = range(list.__len__(self))[index]
        list.__setitem__(self, index, value)
        place.ledger.replace(place, at, former, value)

    def __delitem__(self, index: Any) -> None:
        place = _active(self)
        if place is None:
            list.__delitem__(self, index)
            _dirty(self)
            return
        met = range(list.__len__(self))
        gone = list.__getitem__(self, index)
        list.__delitem__(self, index)
        if isinstance(index, slice):
            place.ledger.iterate(place, list(zip(met[index], gone, strict=True)), op="delete")
        else:
            place.ledger.delete(place, met[index], gone)

    def pop(self, *index: Any) -> Any:
        size = list.__len__(self)
        value = list.pop(self, *index)
        self._isolation_drop(range(size)[index[0] if index else -1], value)
        return value

    def extend(self, values: Iterable[Any]) -> None:
        start = list.__len__(self)
        try:
            list.extend(self, values)
        finally:
            if list.__len__(self) > start:
                self._isolation_fill(start)

    def __iadd__(self, values: Iterable[Any]) -> Any:
        self.extend(values)
        return self

    def __imul__(self, times: Any) -> Any:
        start = list.__len__(self)
        list.__imul__(self, times)
        if list.__len__(self) > start:
            self._isolation_fill(start)
        return self

    def __add__(self, other: Any) -> Any:
        self._isolation_met()
        return list.__add__(self, other)

    def __mul__(self, times: Any) -> Any:
        self._isolation_met()
        return list.__mul__(self, times)

    __rmul__ = __mul__

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        return list, (), None, iter(list(list.__iter__(self)))


class TracedDeque(_SequenceOps, deque):  # type: ignore[type-arg]
    __slots__ = ("_isolation_place",)
    __hash__ = None  # type: ignore[assignment]
    _base = deque

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return deque(*args, **named)

    def _isolation_push(self, start: int, values: Callable[[], Any]) -> None:
        """Run `values`, which adds at the end (`start` -1) or the front (0) and may push out the other end."""
        place = _active(self)
        if place is None:
            values()
            _dirty(self)
            return
        before = list(deque.__iter__(self))
        try:
            values()
        finally:
            after = list(deque.__iter__(self))
            known = {id(item) for item in before}
            kept = {id(item) for item in after}
            gone = [(at, item) for at, item in enumerate(before) if id(item) not in kept]
            if gone:
                place.ledger.iterate(place, gone, op="delete")
            place.ledger.fill(place, [(at, item) for at, item in enumerate(after) if id(item) not in known])

    def append(self, value: Any) -> None:
        if self.maxlen is not None and deque.__len__(self) == self.maxlen:
            self._isolation_push(-1, lambda: deque.append(self, value))
            return
        deque.append(self, value)
        self._isolation_write(deque.__len__(self) - 1, value)

    def appendleft(self, value: Any) -> None:
        if self.maxlen is not None and deque.__len__(self) == self.maxlen:
            self._isolation_push(0, lambda: deque.appendleft(self, value))
            return
        deque.appendleft(self, value)
        self._isolation_write(0, value)

    def extend(self, values: Iterable[Any]) -> None:
        self._isolation_push(-1, lambda: deque.extend(self, values))

    def extendleft(self, values: Iterable[Any]) -> None:
        self._isolation_push(0, lambda: deque.extendleft(self, values))

    def __iadd__(self, values: Any) -> Any:
        self.extend(values)
        return self

    def __imul__(self, times: Any) -> Any:
        self._isolation_push(-1, lambda: deque.__imul__(self, times))
        return self

    def pop(self) -> Any:  # type: ignore[override]
        value = deque.pop(self)
        self._isolation_drop(deque.__len__(self), value)
        return value

    def popleft(self) -> Any:
        value = deque.popleft(self)
        self._isolation_drop(0, value)
        return value

    def __getitem__(self, index: Any) -> Any:
        value = deque.__getitem__(self, index)
        place = _active(self)
        if place is not None:
            place.ledger.read(place, range(deque.__len__(self))[index], value)
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        place = _active(self)
        if place is None:
            deque.__setitem__(self, index, value)
            _dirty(self)
            return
        former = deque.__getitem__(self, index)
        deque.__setitem__(self, index, value)
        place.ledger.replace(place, range(deque.__len__(self))[index], former, value)

    def __delitem__(self, index: Any) -> None:
        former = deque.__getitem__(self, index)
        at = range(deque.__len__(self))[index]
        deque.__delitem__(self, index)
        self._isolation_drop(at, former)

    def _isolation_plain(self) -> Any:
        self._isolation_met()
        return deque(deque.__iter__(self), self.maxlen)

    def copy(self) -> Any:
        return self._isolation_plain()

    def __add__(self, other: Any) -> Any:
        return self._isolation_plain() + other

    def __mul__(self, times: Any) -> Any:
        return self._isolation_plain() * times

    __rmul__ = __mul__

    @reprlib.recursive_repr("[...]")
    def __repr__(self) -> str:
        place, self._isolation_place = self._isolation_place, None
        try:
            return repr(deque(deque.__iter__(self), self.maxlen))
        finally:
            self._isolation_place = place

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        args = () if self.maxlen is None else ((), self.maxlen)
        return deque, args, None, iter(list(deque.__iter__(self)))


class TracedSet(Traced, set):  # type: ignore[type-arg]
    __slots__ = ("_isolation_place",)
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return set(*args, **named)

    def _isolation_met(self) -> None:
        place = _active(self)
        if place is not None:
            place.ledger.iterate(place, _by_text(set.__iter__(self)))

    def _isolation_plain(self) -> set[Any]:
        self._isolation_met()
        return set(set.__iter__(self))

    def _isolation_change(self, operation: Callable[..., Any], *others: Any) -> Any:
        """An in-place operation over several elements: what went is deleted, what came is written."""
        place = _active(self)
        if place is None:
            result = operation(self, *others)
            _dirty(self)
            return result
        before = set(set.__iter__(self))
        try:
            result = operation(self, *others)
        finally:
            after = set(set.__iter__(self))
            gone = _by_text(before - after)
            if gone:
                place.ledger.iterate(place, gone, op="delete")
            place.ledger.fill(place, _by_text(after - before))
        return self if result is not None and result is not NotImplemented else result

    def __iter__(self) -> Iterator[Any]:
        self._isolation_met()
        return set.__iter__(self)

    def __contains__(self, value: object) -> bool:
        found = set.__contains__(self, value)
        if found:
            place = _active(self)
            if place is not None:
                # An unhashable set given here is looked up by content.
                known = frozenset(value) if isinstance(value, set) else value
                place.ledger.read(place, known, known, scan=False)
        return found

    def add(self, value: Any) -> None:
        set.add(self, value)
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.write(place, value, value)

    def remove(self, value: Any) -> None:
        set.remove(self, value)
        self._isolation_gone(value)

    def discard(self, value: Any) -> None:
        if _active(self) is None:
            set.discard(self, value)
        elif set.__contains__(self, value):
            set.discard(self, value)
            self._isolation_gone(value)

    def _isolation_gone(self, value: Any) -> None:
        place = _active(self)
        if place is not None:
            known = frozenset(value) if isinstance(value, set) else value
            place.ledger.delete(place, known, known)

    def pop(self) -> Any:
        value = set.pop(self)
        self._isolation_gone(value)
        return value

    def clear(self) -> None:
        self._isolation_change(set.clear)

    def copy(self) -> Any:
        return self._isolation_plain()

    __copy__ = copy

    @reprlib.recursive_repr("set(...)")
    def __repr__(self) -> str:
        place, self._isolation_place = self._isolation_place, None
        try:
            return repr(set(set.__iter__(self)))
        finally:
            self._isolation_place = place

    def __reduce_ex__(self, protocol: Any) -> Any:
        return set, (list(self._isolation_plain()),)


def _by_text(values: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Set elements in an order that does not depend on the hash seed."""
    from harness.probes._text import key_text

    return [(value, value) for value in sorted(values, key=key_text)]


def _algebra() -> None:
    """Set operators: the plain operation on a plain copy, or an in-place change."""

    def plain(name: str) -> Callable[..., Any]:
        base = getattr(set, name)

        def method(self: TracedSet, *others: Any) -> Any:
            return base(self._isolation_plain(), *others)

        return method

    def inplace(name: str) -> Callable[..., Any]:
        base = getattr(set, name)

        def method(self: TracedSet, *others: Any) -> Any:
            return self._isolation_change(base, *others)

        return method

    for name in ("union", "intersection", "difference", "symmetric_difference"):
        setattr(TracedSet, name, plain(name))
    for name in ("or", "and", "sub", "xor"):
        setattr(TracedSet, f"__{name}__", plain(f"__{name}__"))
        setattr(TracedSet, f"__r{name}__", plain(f"__r{name}__"))
        setattr(TracedSet, f"__i{name}__", inplace(f"__i{name}__"))
    for name in ("update", "intersection_update", "difference_update", "symmetric_difference_update"):
        setattr(TracedSet, name, inplace(name))


_algebra()

STANDINS: dict[type, type] = {
    dict: TracedDict,
    OrderedDict: TracedOrderedDict,
    defaultdict: TracedDefaultDict,
    list: TracedList,
    deque: TracedDeque,
    set: TracedSet,
}

for _plain, _standin in STANDINS.items():
    # Messages and representations name the type.
    _standin.__name__ = _standin.__qualname__ = _plain.__name__


def stand_in(original: Any, place: Place) -> Any:
    """A watched copy of a plain container (one of `STANDINS`), with the same elements in the same order."""
    kind = type(original)
    copy: Any = kind.__new__(STANDINS[kind])
    copy._isolation_place = None
    if kind is deque:
        deque.__init__(copy, original, original.maxlen)
    elif kind is defaultdict:
        defaultdict.__init__(copy, original.default_factory, original)
    else:
        kind.__init__(copy, original)
    copy._isolation_place = place
    return copy


def new_place(original: Any, ledger: Ledger, surface: str, prefix: str) -> Place:
    """The place of a container, by its kind."""
    return Place(ledger, surface, prefix, indexed=isinstance(original, (list, deque)))


def items_of(container: Any) -> list[tuple[Any, Any]]:
    """Keys (or indexes) and values of any container, past every overridden method."""
    if isinstance(container, dict):
        return list(dict.items(container))
    if isinstance(container, (set, frozenset)):
        return [(value, value) for value in (set if isinstance(container, set) else frozenset).__iter__(container)]
    base = list if isinstance(container, list) else deque if isinstance(container, collections.deque) else tuple
    return list(enumerate(base.__iter__(container)))
