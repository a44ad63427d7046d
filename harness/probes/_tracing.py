"""What all tracing stand-ins have in common."""

from __future__ import annotations

from typing import Any

from harness import recorder as _recorder
from harness.probes._places import Place


class Traced:
    """Marks every stand-in. `_isolation_place` is None while it is not watched."""

    __slots__ = ()
    _isolation_place: Place | None


def active(container: Any) -> Place | None:
    """The container's place when something is to be recorded, else None."""
    place: Place | None = container._isolation_place
    return place if place is not None and _recorder._current is not None else None


class Quiet:
    """Base methods may call overridden ones; their body must not be recorded twice."""

    __slots__ = ("container", "place")

    def __init__(self, container: Any) -> None:
        self.container = container
        self.place = container._isolation_place

    def __enter__(self) -> None:
        self.container._isolation_place = None

    def __exit__(self, *_: object) -> None:
        self.container._isolation_place = self.place


def mark_dirty(container: Any) -> None:
    place = container._isolation_place
    if place is not None:
        place.dirty = True
