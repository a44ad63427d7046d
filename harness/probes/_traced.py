"""Tracing stand-ins for the built-in containers.

Each is a subclass that behaves like the plain type: equality, order, exceptions, copies and pickles (which are plain).
The operations of a watched container are reported to its `Place`; one that has no place costs an attribute check.
Calling the type of a stand-in gives a plain container, as `dataclasses.asdict` and the like expect.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from typing import Any

from harness.probes._cells import Ledger
from harness.probes._places import Place
from harness.probes._text import elements
from harness.probes._traced_dicts import TracedDefaultDict, TracedDict, TracedOrderedDict
from harness.probes._traced_sequences import TracedDeque, TracedList
from harness.probes._traced_sets import TracedSet
from harness.probes._tracing import Traced

__all__ = ["STANDINS", "Traced", "items_of", "new_place", "stand_in"]

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
    new: Any = kind.__new__
    copy: Any = new(STANDINS[kind])
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
        return [(value, value) for value in elements(container)]
    return list(enumerate(elements(container)))
