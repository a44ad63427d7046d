"""The harness's event loop: one thread, virtual time, executors on the same thread, order by the tape.

The scheduling code is asyncio's own: `IsolationLoop` inherits ``BaseEventLoop._run_once`` and gives it a selector that
never waits but moves the clock to the next timer. With an empty tape the order is therefore a stock loop's, by
construction; only timers of one moment, which a real clock hardly ever has, come as they were set (`tape.Timer`).
With a tape the queue of ready handles is replaced by one that can keep arrivals outside for a while;
`harness.tape` says which, and why no history comes out that a stock loop could not make.

Use it through a loop factory (``asyncio.Runner(loop_factory=...)``, pytest-asyncio's
``pytest_asyncio_loop_factories``), never through an event-loop policy: freezegun overwrites ``time()`` of what a
policy returns.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import threading
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from types import FunctionType, MethodType
from typing import Any, TypeVar

from harness import descent, threads
from harness.clock import VirtualClock
from harness.errors import IsolationError
from harness.flow import FLOW, IDLE, Flow
from harness.outcomes import settle, translated
from harness.plan import Deviation
from harness.seclusion import Secluded
from harness.tape import NO_ENTRY, Arrival, ReadyQueue, Tape, TimedArrival, Timer, Wait, caller_site, coroutine_site
from harness.trace import Begun
from harness.workers import Workers

T = TypeVar("T")

BOOT = "boot"
"""Tasks created under this lineage are the bot's own background tasks and get a lineage each."""

RESOLUTION = 1e-6
"""Seconds within which timers count as due together: that of frozen datetimes."""

FOREIGN_PATIENCE = 1.0
"""Real seconds to wait for other threads when nothing else can ever happen. Only a bot that starts threads pays."""

_WRITTEN = frozenset((FunctionType, MethodType, functools.partial))
"""Types of callbacks that somebody wrote in Python."""

MAX_NAMED = 20
"""Tasks named in one error message."""


class Stalled(IsolationError):
    """Everything waits for something that can no longer happen. The message names who waits where."""


class Runaway(IsolationError):
    """More callbacks ran than a run may take: something spins without waiting. Raise `max_callbacks` if it must."""


class IsolationLoop(Secluded):
    """See the module docstring.

    `tape` is obeyed entry by entry; `deviations` then holds the indexes that took effect. `choices` counts the
    waits met, by ``lineage site``, when there is a tape or `count_sites` is set. `callbacks` counts what ran;
    `refused` lists what of the outside world was asked for. `answers` are globs over the sites that wait for an answer
    from outside, which alone may come early. `seed` is kept for whoever records the run.
    """

    # What is used of BaseEventLoop beyond its public face; the tests run it on every supported Python.
    _call_soon: Callable[..., events.Handle]
    _check_closed: Callable[[], None]
    _check_default_executor: Callable[[], None]
    _default_executor: Any
    _scheduled: list[Any]
    _stopping: bool
    _task_factory: Any
    _thread_id: int | None

    def __init__(
        self,
        *,
        seed: int = 0,
        tape: Sequence[Deviation] = (),
        clock: VirtualClock | None = None,
        max_callbacks: int = 2_000_000,
        count_sites: bool = False,
        answers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.seed = seed
        self.clock = clock if clock is not None else VirtualClock()
        self.clock.show()
        self.callbacks = 0
        self._timers = 0
        self._workers = Workers()
        self.refused: list[str] = []
        self._tape: Tape | None = None
        self._queue: ReadyQueue | None = None
        self._ready: Any = deque()
        if tape or count_sites:
            self._tape = Tape(tape, answers)
            self._ready = self._queue = ReadyQueue(self._tape, self)
        self._clock_resolution = RESOLUTION
        self._selector = self
        self._max_callbacks = max_callbacks
        self._budget = max_callbacks
        self._owner = threading.get_ident()
        self._inbox: deque[events.Handle] = deque()
        self._inbox_lock = threading.Lock()
        self._inbox_filled = threading.Event()
        self._boot_tasks: dict[str, int] = {}
        self._doomed: dict[str, tuple[asyncio.Task[Any], int]] = {}

    # What was observed

    @property
    def choices(self) -> dict[str, int]:
        """``lineage site`` -> how many waits for the outside began there."""
        return dict(self._tape.choices) if self._tape is not None else {}

    @property
    def waits(self) -> list[Begun]:
        """When the waits of steps began, once `tell_waits` was called."""
        return list(self._tape.waits) if self._tape is not None else []

    def tell_waits(self, accesses: Callable[[], int]) -> None:
        """Remember from now on when waits begin, and how many `accesses` there were by then."""
        if self._tape is not None:
            self._tape.now = lambda: (accesses(), self.time())

    @property
    def deviations(self) -> list[int]:
        """Indexes of the tape entries that took effect, ascending."""
        return self._tape.effective if self._tape is not None else []

    @property
    def met(self) -> list[tuple[int, str, int]]:
        """The waits that the tape changed: (tape entry, site, number of the wait among those of its lineage there)."""
        return list(self._tape.met) if self._tape is not None else []

    # Time and what stands in for the selector

    def time(self) -> float:
        """Virtual seconds."""
        return self.clock.seconds

    def select(self, timeout: float | None) -> list[Any]:
        """Called by asyncio between two rounds, as its selector. Never waits for anything but other threads."""
        if self._inbox:
            self._take_inbox()
        if self._queue is not None:
            self._queue.arrive(self._stopping or self._timer_due())
        ready = len(self._ready)
        if timeout is None and not ready:
            self._outlast_threads()
            ready = len(self._ready)
        elif timeout and not ready:
            self.clock.advance_to(self._scheduled[0]._when)
        self.callbacks += ready
        self._budget -= ready
        if self._budget < 0:
            self._budget = self._max_callbacks  # so that the caller can still cancel and close
            raise Runaway(
                f"more than {self._max_callbacks} callbacks by virtual second {self.time():.3f} ({self._pending()}); "
                "look for a loop that never waits, or raise max_callbacks"
            )
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing arrives through the selector."""

    def _write_to_self(self) -> None:
        """The loop never sleeps in a selector, so there is nothing to wake."""

    def _timer_due(self) -> bool:
        return bool(self._scheduled) and self._scheduled[0].when() < self.time() + RESOLUTION

    def _outlast_threads(self) -> None:
        """Nothing is ready and no timer is left: only another thread could still help."""
        if threading.active_count() > 1 and self._inbox_filled.wait(FOREIGN_PATIENCE):
            self._take_inbox()
            return
        raise Stalled(
            f"nothing is ready and no timer is left at virtual second {self.time():.3f}; waiting for ever: "
            f"{self._pending()}. If one waits for a thread or a socket, the target must replace that"
        )

    def _pending(self) -> str:
        lines = sorted(f"{task.get_name()} at {_innermost(task.get_coro())}" for task in asyncio.all_tasks(self))
        if len(lines) > MAX_NAMED:
            lines[MAX_NAMED:] = [f"and {len(lines) - MAX_NAMED} more"]
        return "; ".join(lines) or "no task"

    # Tasks and their lineage

    def spawn(self, coro: Coroutine[Any, Any, T], flow: Flow, name: str) -> asyncio.Task[T]:
        """Start `coro` under `flow` in a fresh copy of the current context: a stimulus that arrives now."""
        context = copy_context()
        context.run(FLOW.set, flow)
        if self._queue is None:
            return asyncio.Task(coro, loop=self, name=name, context=context)
        queue, self._ready = self._ready, _Catch()
        try:
            task = asyncio.Task(coro, loop=self, name=name, context=context)
            first: events.Handle = self._ready.handle
        finally:
            self._ready = queue
        wait = self._begin(context, coroutine_site(coro))
        self._arrive(wait, first._callback, first._args, context)  # type: ignore[attr-defined]
        return task

    def create_task(self, coro: Any, *, name: Any = None, context: Context | None = None, **kwargs: Any) -> Any:
        """As asyncio's, and the child inherits the lineage one level deeper.

        A context given by the caller is used as it is; when it carries no lineage, the creator's is added, so that
        code which drops its context on purpose does not drop out of sight.
        """
        parent = FLOW.get()
        if parent is IDLE:
            return super().create_task(coro, name=name, context=context, **kwargs)
        if context is not None:
            if FLOW not in context:
                context.run(FLOW.set, self._child(parent, coro))
            descent.begin(context, "task", coro)
            return super().create_task(coro, name=name, context=context, **kwargs)
        context = copy_context()
        context.run(FLOW.set, self._child(parent, coro))
        descent.begin(context, "task", coro)
        if self._task_factory is None:
            return super().create_task(coro, name=name, context=context, **kwargs)
        # A task factory need not know `context`: it copies the current one.
        return context.run(self._create_task_here, coro, name, kwargs)

    def _create_task_here(self, coro: Any, name: Any, kwargs: dict[str, Any]) -> Any:
        return super().create_task(coro, name=name, **kwargs)

    def _child(self, parent: Flow, coro: Any) -> Flow:
        if parent.lineage != BOOT:
            return Flow(parent.lineage, parent.step, parent.actor, parent.entry, parent.depth + 1)
        name = getattr(coro, "__qualname__", type(coro).__qualname__)
        number = self._boot_tasks.get(name, 0)
        self._boot_tasks[name] = number + 1
        return Flow(f"{BOOT}/{name}#{number}", step=-1, actor=None, entry="timer", depth=0)

    # What comes from outside: timers, executor jobs, other threads

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> events.TimerHandle:
        """As asyncio's, in virtual seconds."""
        context = descent.own(context, "timer", callback)
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        if self._tape is None:
            return self._set(Timer(when, callback, args, self, context))
        return self._schedule(self._begin(context, self._site()), when, callback, args, context)

    def _schedule(
        self, wait: Wait, when: float, callback: Any, args: Any, context: Context | None
    ) -> events.TimerHandle:
        when = max(self.time(), when + wait.delay) if wait.delay else when
        timer = TimedArrival(when, callback, args, self, context)
        timer.hold = _held(wait)
        return self._set(timer)

    def _set(self, timer: Timer) -> Timer:
        self._timers += 1
        timer.turn = self._timers
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run `func` later on this thread, in the context of a worker of `executor`, which is not used otherwise.

        While it runs there is no running loop, as in a worker thread. A function that waits there for a coroutine
        of this loop (``run_coroutine_threadsafe(...).result()``) would wait for ever, because it is the same thread.
        """
        self._check_closed()
        if executor is None:
            self._check_default_executor()
        future: asyncio.Future[T] = self.create_future()
        wait = self._begin(None, self._site()) if self._tape is not None else None
        self._arrive(None, self._job, (future, self._workers.job(executor, func), args, wait), copy_context())
        return future

    def _job(self, future: asyncio.Future[Any], job: Callable[..., Any], args: Any, wait: Wait | None) -> None:
        if future.cancelled():
            return
        outcome: tuple[Any, BaseException | None]
        events._set_running_loop(None)
        try:
            outcome = job(*args), None
        except BaseException as exc:  # as a worker thread does: whatever it is, the awaiting task gets it
            outcome = None, translated(exc)
        finally:
            events._set_running_loop(self)
        self._arrive(wait, settle, (future, *outcome), copy_context())

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> events.Handle:  # type: ignore[override]
        """As asyncio's."""
        self._check_closed()
        if type(callback) in _WRITTEN:  # the steps of tasks, of which there are many more, are not
            context = descent.own(context, "callback", callback)
        return self._call_soon(callback, args, context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> events.Handle:
        """From the loop's thread `call_soon`; from another one taken in between two rounds, and reported."""
        if threading.get_ident() == (self._thread_id or self._owner):
            return self.call_soon(callback, *args, context=context)
        self._check_closed()
        handle = Arrival(callback, args, self, context)
        handle.hold = None
        with self._inbox_lock:
            self._inbox.append(handle)
            self._inbox_filled.set()
        threads.foreign_call("call_soon_threadsafe")
        return handle

    def _take_inbox(self) -> None:
        with self._inbox_lock:
            while self._inbox:
                self._ready.append(self._inbox.popleft())
            self._inbox_filled.clear()

    def _arrive(self, wait: Wait | None, callback: Any, args: Any, context: Context) -> None:
        if wait is not None and wait.delay > 0:
            self._schedule(wait, self.time(), callback, args, context)
            return
        handle = Arrival(callback, args, self, context)
        handle.hold = _held(wait)
        self._ready.append(handle)

    def _begin(self, context: Context | None, site: str) -> Wait:
        assert self._tape is not None
        flow = FLOW.get() if context is None else context.get(FLOW, IDLE)
        if flow.lineage in self._doomed:
            self.cancel(*self._doomed.pop(flow.lineage), flow.lineage)
        return self._tape.begin(flow.lineage, site)

    def cancel(self, task: asyncio.Task[Any], waits: int, lineage: str) -> None:
        """Cancel `task` from outside once `lineage` has begun so many more waits (0: in the next round). Waits are
        counted only with a tape or `count_sites`."""
        if waits:
            self._doomed[lineage] = task, waits - 1
        else:
            # A round later: a job that has just been handed over is under way then, and runs for nobody.
            self.call_soon(lambda: self.call_soon(task.cancel), context=Context())

    def _site(self) -> str:
        site = caller_site()
        if site:
            return site
        task = asyncio.current_task(self) if self.is_running() else None
        return coroutine_site(task.get_coro()) if task is not None else ""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing runs in the default executor; only threads the bot put there itself are let go."""
        self._executor_shutdown_called = True
        if self._default_executor is not None:
            self._default_executor.shutdown(wait=False)


class _Catch:
    """Takes the one handle that a new task queues."""

    handle: events.Handle

    def append(self, handle: events.Handle) -> None:
        self.handle = handle


def _held(wait: Wait | None) -> Wait | None:
    return wait if wait is not None and wait.entry != NO_ENTRY else None


def _innermost(coro: Any) -> str:
    """Where a suspended coroutine stands: ``module:qualname:line`` of the last coroutine of the bot it awaits."""
    site = coroutine_site(coro)
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is not None and not str(frame.f_globals.get("__name__", "")).startswith("asyncio."):
            site = f"{coroutine_site(coro)}:{frame.f_lineno}"
        coro = getattr(coro, "cr_await", None)
    return site
