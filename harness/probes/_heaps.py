"""`heapq` on watched lists: its C functions reach into a list past every method. What goes in and what comes out is
reported; that sifting compares with everything on the way is nobody's access."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable
from typing import Any

from harness.probes._traced_sequences import TracedList

_PLAIN: dict[str, Callable[..., Any]] = {
    name: getattr(heapq, name) for name in ("heappush", "heappop", "heapreplace", "heappushpop")
}


def install() -> None:
    """Put the reporting functions in place. Modules that were imported before keep the plain ones."""
    for name, plain in _PLAIN.items():
        setattr(heapq, name, _reporting(plain, comes=name != "heappop"))


def remove() -> None:
    """Give the plain functions back."""
    for name, plain in _PLAIN.items():
        setattr(heapq, name, plain)


def _reporting(plain: Callable[..., Any], comes: bool) -> Callable[..., Any]:
    @functools.wraps(plain)
    def reporting(heap: Any, *item: Any) -> Any:
        if type(heap) is not TracedList:
            return plain(heap, *item)
        size = list.__len__(heap)
        out = plain(heap, *item)
        gone = plain is not _PLAIN["heappush"] and not (item and out is item[0])
        if gone:
            heap._isolation_drop(0, out)
        if comes and (gone or list.__len__(heap) > size):
            heap._isolation_write(size, item[0])
        return out

    return reporting
