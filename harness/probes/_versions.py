"""Whether dicts were changed, told without looking at what they hold.

To compare thousands of names between two steps costs time, and in a fork memory: whoever looks at an object counts a
reference to it, and its page is copied. CPython up to 3.12 gives each dict a version that changes with it (PEP 509),
three words into the object. It is read only where a trial with dicts of every kind shows that it is there.
"""

from __future__ import annotations

import ctypes
import sys
import types
from collections.abc import Sequence
from typing import Any

from harness.flow import identity

_WORD = ctypes.sizeof(ctypes.c_ssize_t)
_AT = 3 * _WORD  # after the reference count, the type and the number of items
_PROXIED = 2 * _WORD


class Versions:
    """The versions of some dicts (or of what a class shows of its own) as they were when last `kept`. They are held, so
    that their memory stays theirs."""

    def __init__(self, spaces: Sequence[Any]) -> None:
        self._spaces = list(spaces)
        self._cells = [_cell(space) for space in self._spaces]
        self._known: list[int] = []

    def keep(self) -> None:
        """What stands now is what later looks are held against."""
        self._known = [cell.value for cell in self._cells]

    def same(self) -> bool:
        """True: none was changed since. False may only mean that nothing was kept."""
        return AVAILABLE and [cell.value for cell in self._cells] == self._known


def _cell(space: Any) -> ctypes.c_uint64:
    address = _address(space)
    if isinstance(space, types.MappingProxyType):
        address = ctypes.c_size_t.from_address(address + _PROXIED).value
    return ctypes.c_uint64.from_address(address + _AT)


def _address(thing: object) -> int:
    # The identity that objects hash by is the address with its last four bits in front.
    number = identity(thing) & ((1 << 8 * _WORD) - 1)
    return ((number << 4) | (number >> (8 * _WORD - 4))) & ((1 << 8 * _WORD) - 1)


def _shown() -> bool:
    """A trial: every kind of change must show in every kind of dict, and nothing else."""

    class Sample:
        pass

    sample = Sample()
    sample.one = 1  # type: ignore[attr-defined]
    module = types.ModuleType("sample")
    plain: dict[str, Any] = {"one": 1}
    if any(_address(thing) != id(thing) for thing in (sample, module, plain)):
        return False
    for space, change in (
        (vars(sample), lambda n: setattr(sample, "one", n)),
        (vars(sample), lambda n: setattr(sample, f"more{n}", n)),
        (vars(sample), lambda n: delattr(sample, f"more{n}")),
        (vars(Sample), lambda n: setattr(Sample, "one", n)),
        (vars(module), lambda n: vars(module).update(one=n)),
        (plain, lambda n: plain.__setitem__("one", n)),
        (plain, lambda n: plain.pop("one")),
    ):
        cell = _cell(space)
        for turn in range(1000, 1020):
            before = cell.value
            _ = dict(space), len(space), space.get("one"), list(space.values())
            if before == 0 or cell.value != before:
                return False
            change(turn)
            if cell.value == before:
                return False
            if space is plain:
                plain["one"] = object()
    return True


def _available() -> bool:
    if sys.implementation.name != "cpython" or sys.version_info >= (3, 13):
        return False
    return _shown()


AVAILABLE = _available()
"""Whether this interpreter tells."""
