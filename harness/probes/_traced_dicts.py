"""Tracing stand-ins for dict, OrderedDict and defaultdict."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from harness import recorder as _recorder
from harness.flow import identity
from harness.probes._memos import is_digest_of
from harness.probes._places import Place
from harness.probes._tracing import Quiet, Traced, active, mark_dirty

if TYPE_CHECKING:
    _Dict = dict[Any, Any]
else:
    _Dict = object

_MISSING: Any = object()


class DictOps(Traced, _Dict):
    """Dict operations, over whatever mapping type comes next in the MRO."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        value = super().__getitem__(key)
        place = active(self)
        if place is not None and not _same_instruction(place):
            place.ledger.read(place, key, value)
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        value = super().get(key, _MISSING)
        if value is _MISSING:
            return default
        place = active(self)
        if place is not None:
            place.ledger.read(place, key, value)
        return value

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        if found:
            place = active(self)
            if place is not None:
                held = dict.get(self, key)
                place.ledger.read(place, key, None, scan=False, worked=is_digest_of(held, key))
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.write(place, key, value)

    def __delitem__(self, key: Any) -> None:
        place = active(self)
        if place is None:
            super().__delitem__(key)
            return
        try:
            value = dict.get(self, key)
        except TypeError:
            value = None  # unhashable: the operation itself says so
        with Quiet(self):
            super().__delitem__(key)
        place.ledger.delete(place, key, value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        mark_dirty(self)
        place = active(self)
        if place is None:
            return super().setdefault(key, default)
        size = dict.__len__(self)
        with Quiet(self):
            value = super().setdefault(key, default)
        if dict.__len__(self) > size:
            place.ledger.write(place, key, value)
        else:
            place.ledger.read(place, key, value)
        return value

    def pop(self, key: Any, *default: Any, **named: Any) -> Any:
        place = active(self)
        if place is None:
            return super().pop(key, *default, **named)
        size = dict.__len__(self)
        with Quiet(self):
            value = super().pop(key, *default, **named)
        if dict.__len__(self) < size:
            place.ledger.delete(place, key, value)
        return value

    def popitem(self, *args: Any, **named: Any) -> tuple[Any, Any]:
        place = active(self)
        if place is None:
            return super().popitem(*args, **named)
        with Quiet(self):
            key, value = super().popitem(*args, **named)
        place.ledger.delete(place, key, value)
        return key, value

    def clear(self) -> None:
        place = active(self)
        items = list(dict.items(self)) if place is not None else []
        super().clear()
        if place is not None and items:
            place.ledger.iterate(place, items, op="delete")

    def update(self, *args: Any, **named: Any) -> None:
        self._isolation_fill(super().update, args, named)

    def _isolation_fill(self, operation: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run an operation that writes what `args` hold and record it, however far it came."""
        place = active(self)
        if place is None:
            mark_dirty(self)
            return operation(*args, **named)
        given: dict[Any, Any] = {}
        if len(args) == 1 and not isinstance(args[0], dict) and isinstance(args[0], Iterator):
            args = (list(args[0]),)  # can be read only once
        before = dict(dict.items(self))
        try:
            with Quiet(self):
                result = operation(*args, **named)
            if args and isinstance(args[0], (dict, list, tuple)):
                with place.ledger.quiet():
                    given.update(args[0])
            given.update(named)
        finally:
            written = [
                (key, value)
                for key, value in dict.items(self)
                if key in given or before.get(key, _MISSING) is not value
            ]
            place.ledger.fill(place, written)
        return result

    def _isolation_met(self) -> None:
        place = active(self)
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
        place = active(self)
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
    _bulk = (place.number, identity(frame), frame.f_lasti)


def _same_instruction(place: Place) -> bool:
    if _bulk is None or _bulk[0] != place.number:
        return False
    frame = sys._getframe(2)
    return _bulk[1] == identity(frame) and _bulk[2] == frame.f_lasti


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
        result = self._isolation_fill(super().__ior__, (other,), {})
        return NotImplemented if result is NotImplemented else self

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        return dict, (), None, None, iter(list(dict.items(self)))


class TracedDict(_DictValue, dict):  # type: ignore[type-arg]
    __slots__ = ("__weakref__", "_isolation_place")
    __hash__ = None

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return dict(*args, **named)


class TracedOrderedDict(_DictValue, OrderedDict):  # type: ignore[type-arg]
    __slots__ = ("_isolation_place",)
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return OrderedDict(*args, **named)

    def _isolation_plain(self) -> Any:
        self._isolation_met()
        with Quiet(self):
            return OrderedDict(OrderedDict.items(self))

    def move_to_end(self, key: Any, last: bool = True) -> None:
        with Quiet(self):
            OrderedDict.move_to_end(self, key, last)

    def __eq__(self, other: object) -> bool:
        with Quiet(self):
            return OrderedDict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        with Quiet(self):
            return OrderedDict.__ne__(self, other)

    def __repr__(self) -> str:
        with Quiet(self):
            return OrderedDict.__repr__(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._isolation_met()
        with Quiet(self):
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
