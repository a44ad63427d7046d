"""Where running code descends from: which task, timer, callback, job or queued item was made where, by whom, and under
which of the bot's contexts. Noted when it is made, told only of accesses whose flow and context disagree.

A context variable of the harness's own carries the last link; each link knows the one before it. What asyncio makes
for itself (the timer of a sleep, the steps of a task) is no link.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Literal
from weakref import WeakKeyDictionary

from harness.flow import FLOW, IDLE, Flow, identity
from harness.principal import MISSING, Label
from harness.recorder import Recorder, current
from harness.trace import Origin, Site

Kind = Literal["task", "timer", "callback", "executor", "thread", "queue"]


class Made:
    """One link while the run goes on."""

    __slots__ = ("ambient", "flow", "kind", "parent", "site", "what")

    def __init__(self, kind: Kind, what: str, site: Site, flow: Flow, ambient: Label, parent: Made | None) -> None:
        self.kind = kind
        self.what = what
        self.site = site
        self.flow = flow
        self.ambient = ambient
        self.parent = parent


ORIGIN: ContextVar[Made | None] = ContextVar("isolation_origin", default=None)


def begin(context: Context, kind: Kind, what: Any) -> None:
    """`what` (a coroutine, a function) is made by the running code and will run in `context`."""
    recorder = current()
    if recorder is None or not recorder.listening:
        return
    made = Made(kind, name_of(what), recorder.nearest(), FLOW.get(), context.run(recorder.ambient), ORIGIN.get())
    context.run(ORIGIN.set, made)


def handed(kind: Kind, what: Any) -> Made | None:
    """The link of `what`, which the running code hands to a thread. In which context it will run there is known when it
    begins (`enter`). None outside a run."""
    recorder = current()
    if recorder is None or not recorder.listening or FLOW.get() is IDLE:
        return None
    return Made(kind, name_of(what), recorder.nearest(), FLOW.get(), MISSING, ORIGIN.get())


def enter(made: Made | None) -> None:
    """What `made` is of begins, in the context that is current."""
    ORIGIN.set(made)
    recorder = current()
    if made is not None and recorder is not None:
        made.ambient = recorder.ambient()


def own(context: Context | None, kind: Kind, callback: Any) -> Context | None:
    """The context that a callback is to run in: one with a link where the bot made it, else `context` itself."""
    if current() is None or _asyncios(callback):
        return context
    if context is None:
        context = copy_context()
    begin(context, kind, callback)
    return context


def name_of(what: Any) -> str:
    """Its qualified name."""
    while isinstance(what, functools.partial):
        what = what.func
    return str(getattr(what, "__qualname__", type(what).__qualname__))


def _asyncios(callback: Any) -> bool:
    while isinstance(callback, functools.partial):
        callback = callback.func
    module = getattr(callback, "__module__", None) or type(getattr(callback, "__self__", callback)).__module__
    return module.startswith(("asyncio", "_asyncio", "harness", "contextvars", "_contextvars"))


class Descents:
    """The links that accesses of one run descend from, each once, and at which access which of them begins to hold."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.at: dict[int, int] = {}
        self._known: dict[int, int] = {}
        self._made: list[Made] = []  # keeps identities taken
        self._last: dict[str, int] = {}

    def note(self, seq: int, lineage: str) -> None:
        """Access `seq` is the running code's."""
        made = ORIGIN.get()
        index = -1 if made is None else self._index(made)
        # One entry for each change: a bot that knows no context at all would have one for each access.
        if self._last.get(lineage, -1) != index:
            self._last[lineage] = self.at[seq] = index

    def _index(self, made: Made) -> int:
        known = self._known.get(identity(made))
        if known is not None:
            return known
        parent = -1 if made.parent is None else self._index(made.parent)
        flow = made.flow
        index = self._known[identity(made)] = len(self.origins)
        self._made.append(made)
        self.origins.append(
            Origin(
                kind=made.kind,
                what=made.what,
                site=made.site,
                lineage=flow.lineage,
                step=flow.step,
                actor=flow.actor,
                ambient=made.ambient,
                parent=parent,
            )
        )
        return index


# Queues: who takes an item works on for whoever put it

_PUT: WeakKeyDictionary[asyncio.Queue[Any], dict[int, list[Made]]] = WeakKeyDictionary()
_installed = False


def install() -> None:
    """Follow what goes through asyncio's queues, from now on. A second call has no effect."""
    global _installed
    if _installed:
        return
    _installed = True
    _wrap("put_nowait", _putting)
    _wrap("get_nowait", _taking)


def _wrap(name: str, make: Callable[[Any], Any]) -> None:
    real = getattr(asyncio.Queue, name)
    setattr(asyncio.Queue, name, functools.wraps(real)(make(real)))


def _putting(real: Any) -> Any:
    def put_nowait(self: asyncio.Queue[Any], item: Any) -> None:
        recorder = current()
        if recorder is not None and recorder.listening:
            _put(self, item, recorder)
        real(self, item)

    return put_nowait


def _put(queue: asyncio.Queue[Any], item: Any, recorder: Recorder) -> None:
    what = type(item).__qualname__
    made = Made("queue", what, recorder.nearest(), FLOW.get(), recorder.ambient(), None)
    _PUT.setdefault(queue, {}).setdefault(identity(item), []).append(made)


def _taking(real: Any) -> Any:
    def get_nowait(self: asyncio.Queue[Any]) -> Any:
        item = real(self)
        if current() is not None:
            _took(self, item)
        return item

    return get_nowait


def _took(queue: asyncio.Queue[Any], item: Any) -> None:
    waiting = _PUT.get(queue)
    puts = waiting.get(identity(item)) if waiting else None
    if not puts:
        return
    made, before = puts.pop(0), ORIGIN.get()
    # The taker is who it was before it took the last item.
    taker = before.parent if before is not None and before.kind == "queue" else before
    ORIGIN.set(Made("queue", made.what, made.site, made.flow, made.ambient, taker))
