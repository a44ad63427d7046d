"""Tracing stand-ins for list and deque."""

from __future__ import annotations

import itertools
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from harness import recorder as _recorder
from harness.flow import identity
from harness.probes._tracing import Traced, active, mark_dirty

_MISSING: Any = object()


def _peek(base: Any, container: Any, index: Any) -> Any:
    """The element at `index`; None where there is none: the operation that follows raises as it always does."""
    try:
        return base.__getitem__(container, index)
    except (IndexError, TypeError, ValueError):
        return None


class _SequenceOps(Traced):
    """What lists and deques have in common. `_base` is the plain type."""

    __slots__ = ()
    _base: Any = list

    def _isolation_items(self) -> list[tuple[int, Any]]:
        return list(enumerate(self._base.__iter__(self)))

    def _isolation_met(self) -> None:
        place = active(self)
        if place is not None:
            place.ledger.iterate(place, self._isolation_items())

    def _isolation_write(self, index: int, value: Any) -> None:
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.write(place, index, value, added=True)

    def _isolation_fill(self, start: int) -> None:
        place = self._isolation_place
        if place is not None:
            place.dirty = True
            if _recorder._current is not None:
                place.ledger.fill(place, self._isolation_items()[start:])

    def _isolation_drop(self, index: int, value: Any, handed: bool = False) -> None:
        place = active(self)
        if place is not None:
            place.ledger.delete(place, index, value, handed=handed)
        else:
            mark_dirty(self)

    def __iter__(self) -> Iterator[Any]:
        self._isolation_met()
        return self._base.__iter__(self)  # type: ignore[no-any-return]

    def __reversed__(self) -> Iterator[Any]:
        self._isolation_met()
        return self._base.__reversed__(self)  # type: ignore[no-any-return]

    def __contains__(self, value: object) -> bool:
        found: bool = self._base.__contains__(self, value)
        place = active(self)
        if found and place is not None:
            index = self._base.index(self, value)
            place.ledger.read(place, index, self._base.__getitem__(self, index), scan=False)
        return found

    def index(self, value: Any, *span: Any) -> int:
        index: int = self._base.index(self, value, *span)
        place = active(self)
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
        place = active(self)
        if place is None:
            self._base.remove(self, value)
            mark_dirty(self)
            return
        before = list(self._base.__iter__(self))
        self._base.remove(self, value)
        for index, left in enumerate(itertools.chain(self._base.__iter__(self), (_MISSING,))):
            if left is not before[index]:
                place.ledger.delete(place, index, before[index])
                return

    def clear(self) -> None:
        place = active(self)
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
    __hash__ = None
    _base = list

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return list(*args, **named)

    def __getitem__(self, index: Any) -> Any:
        value = list.__getitem__(self, index)
        place = active(self)
        if place is not None:
            if isinstance(index, slice):
                met = range(*index.indices(list.__len__(self)))
                place.ledger.iterate(place, list(zip(met, value, strict=True)))
            else:
                place.ledger.read(place, range(list.__len__(self))[index], value)
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        place = active(self)
        if place is None:
            list.__setitem__(self, index, value)
            mark_dirty(self)
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
        former = _peek(list, self, index)
        list.__setitem__(self, index, value)
        place.ledger.replace(place, range(list.__len__(self))[index], former, value)

    def __delitem__(self, index: Any) -> None:
        place = active(self)
        if place is None:
            list.__delitem__(self, index)
            mark_dirty(self)
            return
        met = range(list.__len__(self))
        gone = _peek(list, self, index)
        list.__delitem__(self, index)
        if isinstance(index, slice):
            place.ledger.iterate(place, list(zip(met[index], gone, strict=True)), op="delete")
        else:
            place.ledger.delete(place, met[index], gone)

    def pop(self, *index: Any) -> Any:
        size = list.__len__(self)
        value = list.pop(self, *index)
        self._isolation_drop(range(size)[index[0] if index else -1], value, handed=True)
        return value

    def extend(self, values: Iterable[Any]) -> None:
        start = list.__len__(self)
        try:
            list.extend(self, values)
        finally:
            if list.__len__(self) > start:
                self._isolation_fill(start)

    def __iadd__(self, values: Iterable[Any]) -> Any:  # type: ignore[misc]
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
    __hash__ = None
    _base = deque

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return deque(*args, **named)

    def _isolation_push(self, start: int, values: Callable[[], Any]) -> None:
        """Run `values`, which adds at the end (`start` -1) or the front (0) and may push out the other end."""
        place = active(self)
        if place is None:
            values()
            mark_dirty(self)
            return
        before = list(deque.__iter__(self))
        try:
            values()
        finally:
            after = list(deque.__iter__(self))
            known = {identity(item) for item in before}
            kept = {identity(item) for item in after}
            gone = [(at, item) for at, item in enumerate(before) if identity(item) not in kept]
            if gone:
                place.ledger.iterate(place, gone, op="delete")
            place.ledger.fill(place, [(at, item) for at, item in enumerate(after) if identity(item) not in known])

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
        self._isolation_drop(deque.__len__(self), value, handed=True)
        return value

    def popleft(self) -> Any:
        value = deque.popleft(self)
        self._isolation_drop(0, value, handed=True)
        return value

    def __getitem__(self, index: Any) -> Any:
        value = deque.__getitem__(self, index)
        place = active(self)
        if place is not None:
            place.ledger.read(place, range(deque.__len__(self))[index], value)
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        place = active(self)
        if place is None:
            deque.__setitem__(self, index, value)
            mark_dirty(self)
            return
        former = _peek(deque, self, index)
        deque.__setitem__(self, index, value)
        place.ledger.replace(place, range(deque.__len__(self))[index], former, value)

    def __delitem__(self, index: Any) -> None:
        former = _peek(deque, self, index)
        size = deque.__len__(self)
        deque.__delitem__(self, index)
        self._isolation_drop(range(size)[index], former)

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
