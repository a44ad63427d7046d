"""The recorder: turns what probes see into accesses, adding actor, ambient context, canaries and site."""

from __future__ import annotations

import asyncio
import fnmatch
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

from harness.failures import Failures
from harness.flow import FLOW, identity
from harness.placing import place
from harness.principal import MISSING, SHARED, TWINS, Label, Twins
from harness.trace import Access, Fault, Mark, Site

TEXT_KEPT = 400
"""Characters of a prompt or message kept in the trace for a reader; canaries are looked for in all of it."""

MAX_FRAMES = 80
"""Stacks are cut here: deeper frames are the loop's and the harness's own."""

_FRAMES = range(MAX_FRAMES)


class Scanner(Protocol):
    """Finds canaries in text or bytes, in one pass over all tokens."""

    def scan(self, data: str | bytes) -> tuple[Mark, ...]:
        """Every distinct mark in `data`."""

    def scan_number(self, slot: str, value: float) -> tuple[Mark, ...]:
        """Whose planted number of that slot this is; numbers are compared only where they were planted."""


_MUTED: ContextVar[bool] = ContextVar("isolation_muted", default=False)

NOWHERE = Site("", 0, "")
"""Not in the bot's code."""

_ABSOLUTE = Path(os.sep).resolve().anchor
"""What absolute paths begin with."""

_current: Recorder | None = None


def current() -> Recorder | None:
    """The recorder of the run under way in this process, or None."""
    return _current


class Recorder:
    """Collects the accesses of one run. Not thread-safe: a run has one thread."""

    def __init__(
        self,
        twins: Twins,
        scanner: Scanner,
        roots: Sequence[Path],
        ambient: Callable[[], Mapping[str, str | None] | None],
        clock: Callable[[], float],
        plumbing: Sequence[str] = (),
    ) -> None:
        self.twins = twins
        self.scanner = scanner
        self.accesses: list[Access] = []
        self.faults: list[Fault] = []
        self.observed: dict[str, list[str]] = {"A": [], "B": []}
        self.stacks: dict[tuple[str, ...], int] = {}
        self.failures = Failures()
        self.outermost: FrameType | None = None
        self._ambient = ambient
        self._clock = clock
        self._roots = tuple(str(root.resolve()).rstrip("/") + "/" for root in roots)
        self._codes: dict[int, _Code] = {}
        self._spaces: dict[int, bool] = {}
        self._held: list[dict[str, Any]] = []
        self._plumbing = tuple(plumbing)
        self._labels: dict[tuple[tuple[str, str | None], ...], Label] = {}
        self.silent = False
        """True for a run in which nothing is to be recorded."""
        self.kept = TEXT_KEPT
        self.parting: Callable[[int, str], None] = lambda seq, lineage: None
        """Told of accesses without context, or with another's than the flow's, by sequence number and lineage."""

    @contextmanager
    def active(self) -> Iterator[Recorder]:
        """Make this the current recorder for the body."""
        global _current
        former, _current = _current, self
        try:
            yield self
        finally:
            _current = former

    def muted(self) -> AbstractContextManager[None]:
        """What happens in the body is the harness's own doing and is not recorded. Other tasks that get their turn
        while the body waits are."""
        return _Muted()

    @property
    def listening(self) -> bool:
        """False while the harness itself is at work; probes return at once then."""
        return not (self.silent or _MUTED.get())

    def ambient(self) -> Label:
        """Whose context the bot believes itself in."""
        token = _MUTED.set(True)
        try:
            identity = self._ambient()
        finally:
            _MUTED.reset(token)
        return self._label_of(identity)

    def served(self, ambient: Label | None = None) -> Label | None:
        """The principal whom the running code works for: the one of the bot's own context, if that is a twin, else the
        step's. `ambient`: what `ambient()` said a moment ago, where the caller has asked."""
        ambient = ambient or self.ambient()
        return ambient if ambient in TWINS else FLOW.get().actor

    def acting(self) -> str:
        """Whom the running code acts for, as the name of its random stream: the step in its own task; elsewhere the
        twin of the bot's context and what the task is, so that a worker which both share draws for each alone."""
        flow = FLOW.get()
        if flow.actor is not None and flow.depth == 0:
            return flow.lineage
        label = self.ambient()
        if label not in TWINS:
            return flow.lineage
        task = asyncio.current_task() if asyncio._get_running_loop() is not None else None
        coro = task.get_coro() if task is not None else None
        return f"{label} {getattr(coro, '__qualname__', '')}"

    def label(self, identity: Mapping[str, str | None] | None) -> Label | None:
        """The twin an identity names; None when it names nobody that matters, or both."""
        label = self._label_of(identity)
        return None if label in (MISSING, SHARED) else label

    def _label_of(self, identity: Mapping[str, str | None] | None) -> Label:
        """`Twins.label_of`, worked out once for each identity: it is asked for at every access."""
        if identity is None:
            return MISSING
        asked = tuple(identity.items())
        known = self._labels.get(asked)
        if known is None:
            known = self._labels[asked] = self.twins.label_of(dict(asked))
        return known

    def marks(self, *data: str | bytes) -> tuple[Mark, ...]:
        """Every distinct canary in the given texts."""
        found: dict[Mark, None] = {}
        for item in data:
            if item:
                found.update(dict.fromkeys(self.scanner.scan(item)))
        return tuple(found)

    def access(
        self,
        sink: str,
        op: str,
        surface: str,
        key: str,
        *,
        owner: Label | None = None,
        new_owner: Label | None = None,
        marks: tuple[Mark, ...] = (),
        detail: dict[str, Any] | None = None,
        code: CodeType | None = None,
        ambient: Label | None = None,
    ) -> Access | None:
        """Record one access of the running code. Returns None while muted. `code` is whose answer it is, where that
        code has returned already; `ambient` what `ambient()` said a moment ago, where the caller has asked."""
        if not self.listening:
            return None
        flow = FLOW.get()
        site, stack = self._where() if code is None else self._answered(code)
        if self.failures.struck:
            detail = {**(detail or {}), "failing": True}
        ambient = ambient or self.ambient()
        if ambient == MISSING or (flow.actor is not None and ambient != flow.actor):
            self.parting(len(self.accesses), flow.lineage)
        access = Access(
            seq=len(self.accesses),
            step=flow.step,
            actor=flow.actor,
            ambient=ambient,
            entry=flow.entry,
            direct=flow.depth == 0,
            lineage=flow.lineage,
            sink=sink,
            op=op,
            surface=surface,
            key=key,
            owner=owner,
            new_owner=new_owner,
            marks=marks,
            site=site,
            stack=stack,
            time=self._clock(),
            detail=detail or {},
        )
        self.accesses.append(access)
        return access

    def fault(self, kind: str, message: str, where: str = "", *, harness: bool = False) -> None:
        """Note something that went wrong. `harness` is true when the harness itself is to blame."""
        self.faults.append(Fault(kind=kind, message=message, where=where, harness=harness))

    def site(self) -> Site:
        """The innermost frame of the bot under the caller."""
        return self._where()[0]

    def nearest(self) -> Site:
        """As `site`, and cheaper: only frames up to the first that is no plumbing are looked at."""
        frame: FrameType | None = sys._getframe(1)
        outermost = self.outermost
        while frame is not None and frame is not outermost:
            code = frame.f_code
            known = self._codes.get(identity(code))
            if known is None:
                known = self._codes[identity(code)] = self._code(code)
            if known.place and not known.plumbing:
                return Site(known.file, frame.f_lineno, code.co_qualname)
            frame = frame.f_back
        return NOWHERE

    def adopt(self, value: Any, former: Any) -> None:
        """`value` replaces `former` in the bot: where that is a function of the bot's, so is this from now on."""
        function = place(value, former, lambda file: self._short(file) is not None)
        if function is not None:
            names = function.__globals__
            self._held.append(names)
            self._spaces[identity(names)] = True

    def _where(self) -> tuple[Site, int]:
        """The innermost frame of the bot that is not plumbing, and the interned stack of all its frames."""
        frame: FrameType | None = sys._getframe(2)
        outermost = self.outermost
        frames: list[str] = []
        site: FrameType | None = None
        innermost: FrameType | None = None
        codes, spaces = self._codes, self._spaces
        known_space = spaces.get
        for _ in _FRAMES:
            if frame is None or frame is outermost:
                break
            # Most frames are libraries'. To ask a frame for its code raises an audit event, for its globals none.
            names = frame.f_globals
            ours = known_space(identity(names))
            if ours is None:
                self._held.append(names)  # so that its identity stays its own
                ours = spaces[identity(names)] = self._may_be_ours(names)
            if ours:
                code = frame.f_code
                known = codes.get(identity(code))
                if known is None:
                    known = codes[identity(code)] = self._code(code)
                place = known.place
                if place:
                    frames.append(place)
                    if site is None and not known.plumbing:
                        site = frame
                    elif innermost is None:
                        innermost = frame
            frame = frame.f_back
        stack = tuple(frames)
        index = self.stacks.setdefault(stack, len(self.stacks))
        found = site or innermost
        if found is None:
            return NOWHERE, index
        code = found.f_code
        return Site(codes[identity(code)].file, found.f_lineno, code.co_qualname), index

    def _may_be_ours(self, names: dict[str, Any]) -> bool:
        """Whether code with these globals may be the bot's; what does not say where it stands may be anybody's."""
        file = names.get("__file__")
        return not isinstance(file, str) or not file.startswith(_ABSOLUTE) or self._short(file) is not None

    def _code(self, code: CodeType) -> _Code:
        short = self._short(code.co_filename)
        if short is None:
            return _Code(code, "", "", False)
        place = f"{short}:{code.co_qualname}"
        return _Code(code, short, place, any(fnmatch.fnmatchcase(place, glob) for glob in self._plumbing))

    def _answered(self, code: CodeType) -> tuple[Site, int]:
        """The place of code that is on the stack no more, as `_where` gives it."""
        short = self._short(code.co_filename) or ""
        stack = (f"{short}:{code.co_qualname}",)
        return Site(short, code.co_firstlineno, code.co_qualname), self.stacks.setdefault(stack, len(self.stacks))

    def _short(self, filename: str) -> str | None:
        for root in self._roots:
            if filename.startswith(root):
                return filename[len(root) :]
        return None


class _Code(NamedTuple):
    """What a stack says of a piece of code: file and place (empty where it is not the bot's), and whether it is
    plumbing. Looked up by identity, since hashing code is slow; `code` keeps the identity taken."""

    code: CodeType
    file: str
    place: str
    plumbing: bool


class _Muted:
    """The context manager of `Recorder.muted`, without the cost of a generator."""

    __slots__ = ("_token",)
    _token: Token[bool]

    def __enter__(self) -> None:
        self._token = _MUTED.set(True)

    def __exit__(self, *_: object) -> None:
        _MUTED.reset(self._token)
