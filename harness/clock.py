"""Virtual time: seconds that pass only when the loop says so, and the bot's clocks in step with them.

`VirtualClock` alone is a counter. After `freeze` everything the bot can read (``time.time``, ``time.monotonic``,
``time.perf_counter``, ``datetime.now``) follows it, and a blocking ``time.sleep`` on the main thread moves it.

Three things about freezegun decide how it is used here:

* It is started once a process, before the bot is imported, so that defaults bound at import
  (``default=datetime.now``) and ``from time import time`` are frozen too. It is never stopped in a child.
* Its ignore list is looked up in the innermost five frames of the *caller*. A coroutine stepped by our loop has the
  loop within five frames, so ``harness`` on that list would hand the real time to the bot. The list is therefore only
  used while freezegun patches the modules that are loaded already, and emptied right after. The harness reads real
  clocks from here and never through the `time` module.
* With a loop *policy* that returns our loop it would overwrite its ``time()``: use a loop factory.

Not reached: ``CURRENT_TIMESTAMP`` inside a database, times of files, clocks read by compiled code.
"""

from __future__ import annotations

import contextlib
import datetime as _datetime
import importlib
import os
import queue as _queue  # noqa: F401  loaded before freezing, so that it keeps its real clock
import subprocess as _subprocess  # noqa: F401  likewise
import threading
import time
from typing import Any, SupportsIndex

import freezegun
import freezegun.api

_time = freezegun.api.real_time
_perf_counter = freezegun.api.real_perf_counter
_sleep = time.sleep

START = 1_767_225_600.0
"""Virtual time starts at 2026-01-01 00:00 UTC in every run."""

EPOCH = _datetime.datetime(2026, 1, 5, 9, 0, tzinfo=_datetime.UTC)
"""Where virtual time starts unless told otherwise: a Monday morning, away from any change of day, month or year."""

KEEP_REAL = (
    "harness",
    "threading",
    "queue",
    "subprocess",
    "multiprocessing",
    "concurrent",
    "selectors",
    "_pytest",
    "pytest",
    "xdist",
    "execnet",
    "hypothesis",
    "coverage",
)
"""Modules (by prefix) that keep the real clocks they imported by name before freezing: they wait on the real world."""

BEFORE_FREEZING = ("pydantic.v1", "pandas")
"""Libraries that subclass ``date`` with a metaclass of their own, or from compiled code, and cannot be imported once
dates are frozen; they are imported first where they are installed."""

_UNIX = _datetime.datetime(1970, 1, 1)


def real_time() -> float:
    """Seconds since the Unix epoch, whatever is frozen. A function of our own: freezegun replaces the real one by
    identity in every module that holds it under whatever name."""
    return _time()


def real_perf_counter() -> float:
    """Monotonic seconds for measuring, whatever is frozen."""
    return _perf_counter()


def real_clocks() -> dict[str, Any]:
    """The clocks as the interpreter has them, by name."""
    names = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
    found = {f"time.{name}": getattr(freezegun.api, f"real_{name}", None) for name in names}
    found |= {f"datetime.{name}": getattr(freezegun.api.real_datetime, name) for name in ("now", "utcnow", "today")}
    return {name: clock for name, clock in found.items() if clock is not None}


class VirtualClock:
    """Virtual seconds since `epoch` (a datetime, naive meaning UTC, or Unix seconds). Time never goes back."""

    __slots__ = ("epoch", "seconds")

    def __init__(self, epoch: _datetime.datetime | float = EPOCH) -> None:
        if isinstance(epoch, (int, float)):
            epoch = _UNIX + _datetime.timedelta(seconds=epoch)
        elif epoch.tzinfo is not None:
            epoch = epoch.astimezone(_datetime.UTC).replace(tzinfo=None)
        self.epoch: _datetime.datetime = epoch
        self.seconds = 0.0

    def now(self) -> _datetime.datetime:
        """The moment the bot believes it is: naive, UTC."""
        return self.epoch + _datetime.timedelta(seconds=self.seconds)

    def advance_to(self, seconds: float) -> None:
        """Move to `seconds` since the epoch (a moment in the past changes nothing) and show it to the bot."""
        if seconds > self.seconds:
            self.seconds = seconds
        if _state.factory is not None:
            self.show()

    def show(self) -> None:
        """Make this the clock that frozen time follows. Without `freeze` this has no effect."""
        _state.clock = self
        if _state.factory is not None:
            _state.factory.time_to_freeze = self.now()

    def freeze(self) -> None:
        """Freeze the process's clocks at this clock. A second call only makes this the clock that is followed.

        The process's time zone becomes UTC, so that a trace does not depend on where it was recorded.
        """
        if _state.factory is None:
            _state.start(self)
        self.show()


class _State:
    """What `freeze` changed in this process."""

    def __init__(self) -> None:
        self.freezer: Any = None
        self.factory: Any = None
        self.clock: VirtualClock | None = None
        self.thread = 0
        self.zone: str | None = None

    def start(self, clock: VirtualClock) -> None:
        for name in BEFORE_FREEZING:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        self.zone = os.environ.get("TZ")
        _set_zone("UTC")
        freezer = freezegun.freeze_time(clock.now(), real_asyncio=True)
        freezer.ignore = KEEP_REAL
        self.factory = freezer.start()
        freezegun.api.ignore_lists[-1] = ()
        self.freezer = freezer
        self.thread = threading.get_ident()
        time.sleep = _virtual_sleep

    def stop(self) -> None:
        if self.freezer is None:
            return
        self.freezer.stop()
        self.freezer = self.factory = self.clock = None
        time.sleep = _sleep
        _set_zone(self.zone)


def frozen() -> bool:
    """Whether this process's clocks are virtual."""
    return _state.factory is not None


def thaw() -> None:
    """Give the process its real clocks back. For tests; a run never thaws."""
    _state.stop()


def _virtual_sleep(seconds: float | SupportsIndex, /) -> None:
    """A blocking sleep: on the loop's thread nothing else can run meanwhile, so time just passes."""
    clock = _state.clock
    if clock is None or threading.get_ident() != _state.thread:
        _sleep(seconds)
        return
    length = float(seconds)
    if length < 0:
        raise ValueError("sleep length must be non-negative")
    clock.advance_to(clock.seconds + length)


def _set_zone(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    if hasattr(time, "tzset"):
        time.tzset()


_state = _State()
