"""Threads: a run has one. Any other the bot starts is reported, unless the target declares it.

A thread runs when the operating system likes, so nothing it does can be replayed. It is still started: the harness
watches, it does not break the bot. What it does counts as done for whoever started it, and a pool's job for whoever
handed it over. Calls from such a thread into the loop are taken and reported as well.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any

from harness import workers
from harness.flow import FLOW, IDLE

Report = Callable[[str, str], None]
"""Called with the thread's name and where it was started (``file:line function``)."""

_MACHINERY = ("threading", "concurrent.futures", "asyncio", "harness.threads", "harness.loop")
_real_start = threading.Thread.start
_real_submit = ThreadPoolExecutor.submit


class _Watch:
    def __init__(self, report: Report, declared: Sequence[str]) -> None:
        self.report = report
        self.declared = tuple(declared)
        self.seen: set[tuple[str, str]] = set()

    def tell(self, name: str, where: str) -> None:
        if (name, where) in self.seen or any(fnmatchcase(name, pattern) for pattern in self.declared):
            return
        self.seen.add((name, where))
        self.report(name, where)


_watch: _Watch | None = None


def install(report: Report, declared: Sequence[str] = ()) -> None:
    """Report every thread started from now on whose name matches none of the `declared` globs.

    The same name from the same place is reported once. A second call replaces the first.
    """
    global _watch
    _watch = _Watch(report, declared)
    threading.Thread.start = _start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = _submit  # type: ignore[assignment, method-assign]


def uninstall() -> None:
    """Stop watching."""
    global _watch
    _watch = None
    threading.Thread.start = _real_start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = _real_submit  # type: ignore[method-assign]


def foreign_call(what: str) -> None:
    """The current thread, not the loop's, called `what` of the loop."""
    if _watch is not None:
        _watch.tell(threading.current_thread().name, f"{what} from {_where()}")


def _start(self: threading.Thread, *args: Any, **kwargs: Any) -> None:
    if _watch is not None:
        _watch.tell(self.name, _where())
        flow = FLOW.get()
        if flow is not IDLE:
            self.run = workers.carried("thread", self.run, getattr(self, "_target", None))  # type: ignore[method-assign]
    _real_start(self, *args, **kwargs)


def _submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    # Its thread descends from whoever needed the first; the job is the business of whoever hands it over.
    return _real_submit(self, workers.carried("executor", fn), *args, **kwargs)


def _where() -> str:
    """The innermost frame outside the machinery that starts threads."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not any(module == name or module.startswith(name + ".") for name in _MACHINERY):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return "a thread without frames of its own"
