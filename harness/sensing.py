"""Sensors for what makes a replay differ: they note each time the bot reaches for something that need not repeat.

A zygote that is asked for it installs them before the target boots. They change nothing that the bot sees and cost
a great deal of time, so only a replay that is to be explained runs under them (`harness.diagnosis`).

Functions are told by identity at the moment of the call, whatever name the bot has for them: what `harness.clock` and
`harness.streams` have put in the place of clocks and random sources is not among them. For sets whose order hangs on
hashes the bot's lines are followed, and the order that is about to be gone through is noted with the place.
"""

from __future__ import annotations

import _random
import importlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from harness import streams
from harness.clock import real_clocks
from harness.flow import FLOW
from harness.orders import Spot, rendered, spots
from harness.recorder import current
from harness.trace import Site

BOOT = -1
"""`Touch.seq` of what was touched before a run began."""

KEPT = 20_000
"""Touches kept of one run."""

_HERE = str(Path(__file__).resolve().parent) + os.sep
_MACHINERY = ("freezegun", "importlib", "logging", "asyncio", "threading", "concurrent", "multiprocessing", "tempfile")
"""Modules that ask for such things for themselves, and show the bot nothing of it."""


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """The bot reached for something that need not repeat itself: ``thread``, ``clock``, ``random``, ``process`` (its
    number), ``order`` (a set's), ``address`` (an object's), ``files`` (their times, the order of a folder). `seq`
    accesses were recorded before it (`BOOT`: before the run). `value` is the order that an ``order`` was found in,
    empty where it could not be looked at."""

    source: str
    what: str
    site: Site
    lineage: str
    seq: int
    value: str = ""


class Sensors:
    """The sensors of one process; forks inherit them."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._prefixes: tuple[str, ...] = ()
        self._known = _functions()
        self._spots: dict[str, dict[int, list[Spot]]] = {}
        self._busy = False
        self._told: set[tuple[str, str, str, int, str]] = set()
        self.touches: list[Touch] = []
        self.locate(roots)

    def locate(self, roots: Sequence[Path]) -> None:
        """The bot's code lies under these."""
        self._prefixes = tuple(str(root.resolve()).rstrip("/") + "/" for root in roots)
        self._spots.clear()

    def install(self) -> None:
        """From now on everything is noted, in this thread and in those that it starts."""
        threading.setprofile(self._profile)
        threading.settrace(self._trace)
        sys.setprofile(self._profile)
        sys.settrace(self._trace)

    def uninstall(self) -> None:
        """No further notes. For tests."""
        sys.setprofile(None)
        sys.settrace(None)
        threading.setprofile(None)
        threading.settrace(None)

    # Functions that answer something else each time

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event != "c_call" or self._busy:
            return
        try:
            known = self._known.get(arg)
        except TypeError:  # bound to something that cannot be hashed: none of them
            return
        if known is None:
            if type(getattr(arg, "__self__", None)) is not _random.Random:
                return
            known = "random", f"_random.Random.{arg.__name__}()"
        source, what = known
        self._busy = True
        try:
            if self._bots_doing(frame, source):
                self._note(source, what, frame)
        finally:
            self._busy = False

    def _bots_doing(self, frame: FrameType, source: str) -> bool:
        """Whether the bot asks, or a library for it, and not the harness or the interpreter on its own account."""
        name = frame.f_code.co_filename
        if source == "thread":
            return True
        if source in ("process", "address"):  # libraries ask for these all the time, and show the bot nothing of it
            return self._bots(name)
        module = str(frame.f_globals.get("__name__", ""))
        return not name.startswith((_HERE, "<frozen")) and module.partition(".")[0] not in _MACHINERY

    # Sets that are gone through

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        found = self._spots.get(name)
        if found is None:
            if not self._bots(name):
                return None
            found = self._spots[name] = spots(name)
        return self._line if found else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line" and not self._busy:
            # A frame may have been entered before the bot's roots were known for good.
            for spot in self._spots.get(frame.f_code.co_filename, {}).get(frame.f_lineno, ()):
                self._busy = True
                try:
                    recorder = current()
                    if recorder is None or recorder.listening:
                        self._order(spot, frame)
                finally:
                    self._busy = False
        return self._line

    def _order(self, spot: Spot, frame: FrameType) -> None:
        recorder = current()
        if recorder is None:
            value = rendered(spot, frame)
        else:
            with recorder.muted():
                value = rendered(spot, frame)
        if value is not None:
            self._note("order", f"the order of the set `{spot.text}`", frame, value)

    # Notes

    def _note(self, source: str, what: str, frame: FrameType, value: str = "") -> None:
        site = self._site(frame)
        if site is None or len(self.touches) >= KEPT:
            return
        recorder = current()
        if recorder is not None and not recorder.listening:
            return
        lineage = FLOW.get().lineage
        seq = len(recorder.accesses) if recorder is not None else BOOT
        # A loop that asks at each of its rounds, with nothing in between, says one thing.
        once = (source, what, lineage, seq, f"{site.file}:{site.line} {value}")
        if once not in self._told:
            self._told.add(once)
            self.touches.append(Touch(source, what, site, lineage, seq, value))

    def _site(self, frame: FrameType | None) -> Site | None:
        while frame is not None:
            short = self._short(frame.f_code.co_filename)
            if short is not None:
                return Site(short, frame.f_lineno, frame.f_code.co_qualname)
            frame = frame.f_back
        return None

    def _bots(self, filename: str) -> bool:
        return self._short(filename) is not None

    def _short(self, filename: str) -> str | None:
        for prefix in self._prefixes:
            if filename.startswith(prefix) and not filename.startswith(_HERE):
                return filename[len(prefix) :]
        return None


def _functions() -> dict[Any, tuple[str, str]]:
    """The functions that need not repeat themselves -> source, and how to call it in words."""
    found: dict[Any, tuple[str, str]] = {}

    def add(source: str, module: Any, *names: str) -> None:
        for name in names:
            function = getattr(module, name, None)
            if function is not None:
                found.setdefault(function, (source, f"{module.__name__}.{name}()"))

    for name, function in real_clocks().items():
        found[function] = "clock", f"the real {name}()"
    for base in ("clock_gettime", "process_time", "thread_time"):
        add("clock", time, base, f"{base}_ns")
    add("clock", os, "times")
    for name, function in streams.real().items():
        found[function] = "random", f"the real {name}()"
    for module, names in _COMPILED.items():
        try:
            add("random", importlib.import_module(module), *names)
        except ImportError:
            continue
    add("thread", importlib.import_module("_thread"), "start_new_thread", "start_joinable_thread")
    add("process", os, "getpid", "getppid")
    add("process", importlib.import_module("_thread"), "get_ident", "get_native_id")
    add("address", importlib.import_module("builtins"), "id")
    add("files", os, "listdir", "scandir", "stat", "lstat", "fstat")
    return found


_COMPILED = {"_uuid": ("generate_time_safe",), "_ssl": ("RAND_bytes",)}
"""Entropy that compiled modules hand out past `os.urandom`."""


_sensors: Sensors | None = None


def start(roots: Sequence[Path]) -> None:
    """Put sensors into this process, for good. The bot's code lies under `roots`, as far as that is known by now."""
    global _sensors
    _sensors = Sensors(roots)
    _sensors.install()


def locate(roots: Sequence[Path]) -> None:
    """The bot has booted from these."""
    if _sensors is not None:
        _sensors.locate(roots)


def taken() -> bytes:
    """What was touched so far, as it goes over the wire; empty without sensors."""
    return msgspec.msgpack.encode(tuple(_sensors.touches)) if _sensors is not None else b""


def decoded(data: bytes) -> tuple[Touch, ...]:
    """What `taken` gave."""
    return msgspec.msgpack.decode(data, type=tuple[Touch, ...]) if data else ()
