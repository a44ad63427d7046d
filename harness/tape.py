"""The tape: how a run departs from FIFO without ever making a history that a stock loop could not make.

A stock asyncio loop has no freedom in the order of what is ready: it is one FIFO queue. Its only freedom is *when
something from outside arrives*: a stimulus, a timer, the end of an executor job, a call from another thread. A reply
that took a millisecond longer is queued behind whatever became ready meanwhile. So the tape moves arrivals and nothing
else:

* ``hold`` keeps an arrival outside the queue until up to `amount` callbacks of other lineages have run, then lets
  it in where an arrival comes in, at the tail, between two rounds of the loop. Later arrivals of the same lineage
  queue up behind it. When nothing else is ready it comes in at once, of several the one that has least left to wait
  for (so that large amounts serve as priorities): virtual time never passes during a hold, so a wait of one second
  never overtakes one of two.
* ``delay`` lets a wait end `amount` virtual seconds later.
* ``early`` lets an answer from outside come sooner. Which waits are for such an answer the target says
  (`Facts.answers`): how long a stand-in sleeps is its own choice, while a sleep of the bot's never ends early.

Callbacks that the program itself made ready (a future's wake-up, ``sleep(0)``, ``call_soon``, a new child task) stay in
FIFO order always: reordering those would report races that cannot happen.

An arrival is numbered when its wait *begins*, by lineage and site: the innermost frame outside asyncio and the
harness, ``module:qualname``, or the coroutine itself for a stimulus. A number so given does not depend on the order of
arrival, and survives an unrelated await added elsewhere.
"""

from __future__ import annotations

import fnmatch
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from harness.flow import FLOW, IDLE
from harness.plan import Deviation
from harness.trace import Begun

_SKIPPED = ("asyncio.", "harness.")

FOR_EVER = 1 << 60

TOLD = 4000
"""Waits of steps whose beginnings are kept for one run."""


class Wait:
    """One wait for the outside, as the tape sees it when it begins: which number it has at its site, the tape entry
    that holds its arrival back (or NO_ENTRY) and for how long, and by how many seconds it is delayed (less than 0:
    comes sooner)."""

    __slots__ = ("amount", "delay", "entry", "number", "site")

    def __init__(self, site: str, number: int, entry: int, amount: float, delay: float) -> None:
        self.site = site
        self.number = number
        self.entry = entry
        self.amount = amount
        self.delay = delay


NO_ENTRY = -1
FREE = Wait("", 0, NO_ENTRY, 0.0, 0.0)
"""A wait that the tape says nothing of."""


class Arrival(events.Handle):
    """A ready callback that came from outside. `hold` is its wait where the tape holds it back, else None."""

    __slots__ = ("hold",)
    hold: Wait | None


class Timer(events.TimerHandle):
    """A timer. What is due at the same moment comes in the order in which it was set (`turn`), as by a clock that never
    stands still. asyncio's heap would leave that to whatever else waits, and one tenant's timers to the other's."""

    __slots__ = ("turn",)
    turn: int

    def __lt__(self, other: events.TimerHandle) -> bool:
        if isinstance(other, Timer):
            return (self.when(), self.turn) < (other.when(), other.turn)
        return super().__lt__(other)


class TimedArrival(Timer):
    """The same as `Arrival` for a timer."""

    __slots__ = ("hold",)
    hold: Wait | None


class Tape:
    """Numbers the waits of one run and says which deviations meet them. `choices` counts ``lineage site``; `met` holds
    (tape entry, site, number at the site) for each wait that one of them changed; `waits` tells when those of steps
    began, where `now` says so: how many accesses there were, and the virtual second."""

    def __init__(self, deviations: Sequence[Deviation], answers: Sequence[str] = ()) -> None:
        self._answers = tuple(answers)
        self.choices: dict[str, int] = {}
        self.met: dict[tuple[int, str, int], None] = {}
        self.waits: list[Begun] = []
        self.now: Callable[[], tuple[int, float]] | None = None
        self._deviations = tuple(deviations)
        self._lineages: dict[str, int] = {}
        self._entries: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
        for index, d in enumerate(deviations):
            end = d.occurrence + d.times if d.times else FOR_EVER
            self._entries.setdefault((d.kind, d.lineage, d.site), []).append((d.occurrence, end, index))

    @property
    def effective(self) -> list[int]:
        """Indexes of the tape entries that took effect, ascending."""
        return sorted({entry for entry, _, _ in self.met})

    def begin(self, lineage: str, site: str) -> Wait:
        """Number the wait that begins here. A delay takes effect at once, a hold when the wait ends."""
        choice = f"{lineage} {site}"
        number = self.choices.get(choice, 0)
        self.choices[choice] = number + 1
        total = self._lineages.get(lineage, 0)
        self._lineages[lineage] = total + 1
        if self.now is not None and "." in lineage and len(self.waits) < TOLD:
            self.waits.append(Begun(lineage, site, number, *self.now()))
        if not self._entries:
            return FREE
        held = self._find("hold", lineage, site, number, total)
        delayed = self._find("delay", lineage, site, number, total)
        early = self._find("early", lineage, site, number, total)
        if early != NO_ENTRY and not answered(site, self._answers):
            early = NO_ENTRY
        if held == delayed == early == NO_ENTRY:
            return FREE
        delay = 0.0
        if early != NO_ENTRY:
            self.met[early, site, number] = None
            delay = min(0.0, -self._deviations[early].amount)
        if delayed != NO_ENTRY:
            self.met[delayed, site, number] = None
            delay = max(0.0, self._deviations[delayed].amount)
        return Wait(site, number, held, self._deviations[held].amount if held != NO_ENTRY else 0.0, delay)

    def _find(self, kind: str, lineage: str, site: str, number: int, total: int) -> int:
        for place, count in ((site, number), ("", total)):
            for first, end, index in self._entries.get((kind, lineage, place), ()):
                if first <= count < end:
                    return index
        return NO_ENTRY


def answered(site: str, answers: Sequence[str]) -> bool:
    """Whether a wait at this site is for an answer from outside, as the globs `answers` have it."""
    return any(fnmatch.fnmatchcase(site, glob) for glob in answers)


class _Hold:
    """An arrival kept outside, and the later arrivals of its lineage behind it."""

    __slots__ = ("handles", "left", "lineage", "wait")

    def __init__(self, wait: Wait, lineage: str, handle: events.Handle) -> None:
        self.wait = wait
        self.lineage = lineage
        self.left = max(1, int(wait.amount))
        self.handles = [handle]


class ReadyQueue:
    """Stands in for the loop's deque of ready handles and sets held arrivals aside.

    Truth says whether anything is ready or held (then no time may pass); length, what can run in this round.
    """

    def __init__(self, tape: Tape, loop: events.AbstractEventLoop) -> None:
        self._tape = tape
        self._ready: deque[events.Handle] = deque()
        self._holds: list[_Hold] = []
        # The loop counts the round before it pops; what takes a held handle's place must be something it skips.
        self._nothing = events.Handle(_nothing, (), loop)
        self._nothing.cancel()

    def __bool__(self) -> bool:
        return bool(self._ready or self._holds)

    def __len__(self) -> int:
        return len(self._ready)

    def append(self, handle: events.Handle) -> None:
        """Queue a handle at the tail."""
        self._ready.append(handle)

    def clear(self) -> None:
        """Forget everything."""
        self._ready.clear()
        self._holds.clear()

    def popleft(self) -> events.Handle:
        """The next handle to run, or a cancelled one in the place of an arrival that was set aside."""
        handle = self._ready.popleft()
        if handle._cancelled or (not self._holds and getattr(handle, "hold", None) is None):
            return handle
        lineage = lineage_of(handle)
        if isinstance(handle, (Arrival, TimedArrival)):
            wait, handle.hold = handle.hold, None
            for hold in self._holds:
                if hold.lineage == lineage:
                    hold.handles.append(handle)
                    return self._nothing
            if wait is not None:
                self._holds.append(_Hold(wait, lineage, handle))
                return self._nothing
        for hold in self._holds:
            if hold.lineage != lineage:
                hold.left -= 1
                wait = hold.wait
                self._tape.met[wait.entry, wait.site, wait.number] = None
        return handle

    def arrive(self, others: bool) -> None:
        """Between two rounds: let in what was held long enough, or, when neither the queue nor `others` has anything
        else, what has least left to wait for."""
        holds = self._holds
        if not holds:
            return
        over = [hold for hold in holds if hold.left <= 0]
        if not over and not self._ready and not others:
            over = [min(holds, key=lambda hold: hold.left)]
        for hold in over:
            holds.remove(hold)
            self._ready.extend(hold.handles)


def lineage_of(handle: events.Handle) -> str:
    """The lineage a handle runs under."""
    context: Any = handle._context  # type: ignore[attr-defined]
    return str(context.get(FLOW, IDLE).lineage)


def coroutine_site(coro: Any) -> str:
    """``module:qualname`` of a coroutine."""
    frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
    module = frame.f_globals.get("__name__", "") if frame is not None else getattr(coro, "__module__", "")
    return f"{module}:{getattr(coro, '__qualname__', type(coro).__qualname__)}"


def caller_site() -> str:
    """``module:qualname`` of the innermost frame outside asyncio and the harness; empty when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(_SKIPPED):
            return f"{module}:{frame.f_code.co_qualname}"
        if module == "asyncio.events" and frame.f_code.co_name == "_run":
            break  # below is whoever runs the loop, not who waits
        frame = frame.f_back
    return ""


def _nothing() -> None:
    """Never runs."""
