"""Random sources: every lineage draws from a stream of its own, so that B's extra draw does not shift A's.

`install` once, before the bot is imported. From then on the module functions of `random`, unseeded ``Random()``
instances, ``SystemRandom``, `secrets`, ``os.urandom``, ``uuid.uuid1`` and ``uuid.uuid4`` (and the global functions of
``numpy.random``, from the next `reseed` on) draw from streams keyed by seed and lineage. `reseed` starts all of them
afresh at the start of a run; before that they are those of seed 0.

A bot that calls ``random.seed(n)`` seeds its own lineage's stream only: as in life its draws repeat, but the other
tenant's do not hang on it. ``Random(n)`` with a seed is nobody's business and stays as it is.

Not reached: ``random.random`` and ``random.getrandbits`` imported by name before `install` (they are seeded, but
not by lineage), and generators inside compiled libraries.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from harness.flow import FLOW

_REAL_SEED = random.Random.seed
_GLOBAL: Any = getattr(random, "_inst")  # noqa: B009  the instance behind the module's functions
_REBOUND = ("random", "getrandbits", "seed", "getstate", "setstate")
"""Module functions bound to what `_ByLineage` overrides. The others are written in terms of these."""

_GREGORIAN = 0x01B21DD213814000
"""100 ns intervals between 1582-10-15, where uuid1 counts from, and the Unix epoch."""


class _Streams:
    """The streams of one run: ``bytes`` answers entropy, ``draws`` the module `random`, both by lineage."""

    def __init__(self, seed: int, place: Callable[[], str]) -> None:
        self.seed = seed
        self.place = place
        self._streams: dict[tuple[str, str], random.Random] = {}
        self._numpy: dict[str, Any] = {}

    def draws(self) -> random.Random:
        """What the module functions of `random` draw from."""
        return self._stream("draws")

    def entropy(self) -> random.Random:
        """What stands for the operating system's entropy."""
        return self._stream("entropy")

    def numpy(self, make: Callable[[int], Any]) -> Any:
        """The current lineage's stand-in for numpy's global generator."""
        lineage = self.place()
        state = self._numpy.get(lineage)
        if state is None:
            state = self._numpy[lineage] = make(self._key("numpy", lineage) % 2**32)
        return state

    def _stream(self, kind: str) -> random.Random:
        lineage = self.place()
        stream = self._streams.get((kind, lineage))
        if stream is None:
            stream = self._streams[kind, lineage] = random.Random(self._key(kind, lineage))
        return stream

    def _key(self, kind: str, lineage: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed}|{kind}|{lineage}".encode()).digest(), "big")


class _ByLineage(random.Random):
    """Takes over the instance behind `random`'s module functions and passes every draw on to the lineage's stream."""

    def random(self) -> float:
        return _streams.draws().random()

    def getrandbits(self, k: int, /) -> int:
        return _streams.draws().getrandbits(k)

    def seed(self, a: Any = None, version: int = 2) -> None:
        _streams.draws().seed(a, version)

    def getstate(self) -> Any:
        return _streams.draws().getstate()

    def setstate(self, state: Any) -> None:
        _streams.draws().setstate(state)

    @property
    def gauss_next(self) -> Any:  # gauss() makes two values at a time and keeps the second
        return vars(_streams.draws())["gauss_next"]

    @gauss_next.setter
    def gauss_next(self, value: Any) -> None:
        vars(_streams.draws())["gauss_next"] = value


def lineage() -> str:
    """The lineage of the running code, which names its stream."""
    return FLOW.get().lineage


_streams = _Streams(0, lineage)
_undo: list[tuple[Any, str, Any]] = []
_numpy_taken = False


def install() -> None:
    """Replace the process's random sources. A second call has no effect."""
    if _undo:
        return
    _patch(random.Random, "seed", _seed)
    _patch(random, "_urandom", _urandom)  # what SystemRandom, and with it `secrets`, draws from
    _patch(os, "urandom", _urandom)
    if hasattr(os, "getrandom"):
        _patch(os, "getrandom", _getrandom)
    _patch(uuid, "uuid1", _uuid1)
    _GLOBAL.__class__ = _ByLineage
    for name in _REBOUND:
        _patch(random, name, getattr(_GLOBAL, name))
    reseed(0)


def real() -> dict[str, Any]:
    """The operating system's entropy as it is without `install`, by name."""
    names = [(os, "urandom"), *([(os, "getrandom")] if hasattr(os, "getrandom") else [])]
    replaced = {(holder, name): value for holder, name, value in _undo if holder is os}
    return {f"os.{name}": replaced.get((holder, name), getattr(holder, name)) for holder, name in names}


def uninstall() -> None:
    """Put the real sources back. For tests."""
    global _numpy_taken
    if not _undo:
        return
    while _undo:
        holder, name, value = _undo.pop()
        setattr(holder, name, value)
    _numpy_taken = False
    _GLOBAL.__class__ = random.Random
    _GLOBAL.seed()


def reseed(seed: int, place: Callable[[], str] = lineage) -> None:
    """Start every stream afresh for a run with that seed. `place` names the stream that the running code draws from.
    Without `install` the bot sees nothing of it."""
    global _streams
    _streams = _Streams(seed, place)
    if _undo:
        # What was imported by name before `install` draws from the instance's own state: fixed at least.
        _REAL_SEED(_GLOBAL, seed)
        _take_numpy()


def _patch(holder: Any, name: str, value: Any) -> None:
    _undo.append((holder, name, getattr(holder, name)))
    setattr(holder, name, value)


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    """`random.Random.seed`, with the lineage's entropy where the system's would be taken."""
    if a is None:
        a = _streams.entropy().getrandbits(256)
    _REAL_SEED(self, a, version)


def _urandom(size: int, /) -> bytes:
    """`os.urandom` from the lineage's stream."""
    return _streams.entropy().randbytes(size)


def _getrandom(size: int, flags: int = 0) -> bytes:
    """`os.getrandom` from the lineage's stream."""
    return _streams.entropy().randbytes(size)


def _uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    """`uuid.uuid1` from virtual time and the lineage's stream: no network address, no memory shared by lineages."""
    entropy = _streams.entropy()
    if node is None:
        node = entropy.getrandbits(48) | 1 << 40  # the bit that says: no real network address
    if clock_seq is None:
        clock_seq = entropy.getrandbits(14)
    ticks = time.time_ns() // 100 + _GREGORIAN
    return uuid.UUID(
        fields=(
            ticks & 0xFFFFFFFF,
            ticks >> 32 & 0xFFFF,
            ticks >> 48 & 0x0FFF,
            clock_seq >> 8 & 0x3F,
            clock_seq & 0xFF,
            node,
        ),
        version=1,
    )


def _take_numpy() -> None:
    """Pass numpy's global functions on to a generator for each lineage, once numpy is there."""
    global _numpy_taken
    if _numpy_taken or "numpy" not in sys.modules:
        return
    # Newer versions import it at its first use only, which may be in the midst of a run.
    module: Any = importlib.import_module("numpy.random")
    _numpy_taken = True
    real = module.mtrand._rand
    for name in dir(module):
        if getattr(getattr(module, name), "__self__", None) is real:
            _patch(module, name, _on_numpy(name, type(real)))


def _on_numpy(name: str, make: Callable[[int], Any]) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:
        return getattr(_streams.numpy(make), name)(*args, **kwargs)

    draw.__name__ = draw.__qualname__ = name
    return draw
