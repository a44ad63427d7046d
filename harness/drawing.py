"""Hypothesis draws the same for one seed in every process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.internal.conjecture import providers

_GATHER = "_get_local_constants"
"""What gathers the constants that stand in the source of whatever has been imported and is not installed (since
Hypothesis 6.131). One draw in twenty takes one of them. There is no setting for it."""


@contextmanager
def of_the_seed_alone() -> Iterator[None]:
    """What is drawn in the body does not hang on which modules are loaded, nor on what stands in them: the same seed
    gives the same plans before and after an edit, and in a campaign that is gone on with."""
    gather: Callable[[], Any] | None = getattr(providers, _GATHER, None)
    if gather is None:
        yield
        return
    nothing = type(gather())
    _take(nothing)
    try:
        yield
    finally:
        _take(gather)


def _take(gather: Callable[[], Any]) -> None:
    setattr(providers, _GATHER, gather)
    if (known := getattr(providers, "CONSTANTS_CACHE", None)) is not None:
        known.cache.clear()  # what may be drawn is kept by kind of draw
