"""The tracing stand-in for set."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from harness import recorder as _recorder
from harness.probes._text import key_text
from harness.probes._tracing import Traced, active, mark_dirty


class TracedSet(Traced, set):  # type: ignore[type-arg]
    __slots__ = ("_isolation_place",)
    __hash__ = None

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return set(*args, **named)

    def _isolation_met(self) -> None:
        place = active(self)
        if place is not None:
            place.ledger.iterate(place, _by_text(set.__iter__(self)))

    def _isolation_plain(self) -> set[Any]:
        self._isolation_met()
        return set(set.__iter__(self))

    def _isolation_change(self, operation: Callable[..., Any], *others: Any) -> Any:
        """An in-place operation over several elements: what went is deleted, what came is written."""
        place = active(self)
        if place is None:
            result = operation(self, *others)
            mark_dirty(self)
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
            place = active(self)
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
        if active(self) is None:
            set.discard(self, value)
        elif set.__contains__(self, value):
            set.discard(self, value)
            self._isolation_gone(value)

    def _isolation_gone(self, value: Any) -> None:
        place = active(self)
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
