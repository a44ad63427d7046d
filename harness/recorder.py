"""The recorder: turns what probes see into accesses, adding actor, ambient context, canaries and site."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol

from harness.failures import Failures
from harness.flow import FLOW
from harness.principal import MISSING, SHARED, Label, Twins
from harness.trace import Access, Fault, Mark, Site

MAX_FRAMES = 80
"""Stacks are cut here: deeper frames are the loop's and the harness's own."""


class Scanner(Protocol):
    """Finds canaries in text or bytes, in one pass over all tokens."""

    def scan(self, data: str | bytes) -> tuple[Mark, ...]:
        """Every distinct mark in `data`."""

    def scan_number(self, slot: str, value: float) -> tuple[Mark, ...]:
        """Whose planted number of that slot this is; numbers are compared only where they were planted."""


_MUTED: ContextVar[bool] = ContextVar("isolation_muted", default=False)

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
        self._ambient = ambient
        self._clock = clock
        self._roots = tuple(str(root.resolve()).rstrip("/") + "/" for root in roots)
        self._files: dict[str, str | None] = {}
        self._plumbing = tuple(plumbing)
        self._plain: dict[str, bool] = {}
        self.silent = False
        """True for a run in which nothing is to be recorded."""

    @contextmanager
    def active(self) -> Iterator[Recorder]:
        """Make this the current recorder for the body."""
        global _current
        former, _current = _current, self
        try:
            yield self
        finally:
            _current = former

    @contextmanager
    def muted(self) -> Iterator[None]:
        """What happens in the body is the harness's own doing and is not recorded. Other tasks that get their turn
        while the body waits are."""
        token = _MUTED.set(True)
        try:
            yield
        finally:
            _MUTED.reset(token)

    @property
    def listening(self) -> bool:
        """False while the harness itself is at work; probes return at once then."""
        return not (self.silent or _MUTED.get())

    def ambient(self) -> Label:
        """Whose context the bot believes itself in."""
        with self.muted():
            return self.twins.label_of(_plain(self._ambient()))

    def label(self, identity: Mapping[str, str | None] | None) -> Label | None:
        """The twin an identity names; None when it names nobody that matters, or both."""
        label = self.twins.label_of(_plain(identity))
        return None if label in (MISSING, SHARED) else label

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
    ) -> Access | None:
        """Record one access of the running code. Returns None while muted. `code` is whose answer it is, where that
        code has returned already."""
        if not self.listening:
            return None
        flow = FLOW.get()
        site, stack = self._where() if code is None else self._answered(code)
        if self.failures.struck:
            detail = {**(detail or {}), "failing": True}
        access = Access(
            seq=len(self.accesses),
            step=flow.step,
            actor=flow.actor,
            ambient=self.ambient(),
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

    def _where(self) -> tuple[Site, int]:
        """The innermost frame of the bot that is not plumbing, and the interned stack of all its frames."""
        frame: FrameType | None = sys._getframe(2)
        frames: list[str] = []
        site: Site | None = None
        innermost: Site | None = None
        depth = 0
        files = self._files
        while frame is not None and depth < MAX_FRAMES:
            code = frame.f_code
            name = code.co_filename
            if name in files:
                short = files[name]
            else:
                short = files[name] = self._short(name)
            if short is not None:
                place = f"{short}:{code.co_qualname}"
                frames.append(place)
                if site is None and not self._is_plumbing(place):
                    site = Site(short, frame.f_lineno, code.co_qualname)
                elif innermost is None:
                    innermost = Site(short, frame.f_lineno, code.co_qualname)
            frame = frame.f_back
            depth += 1
        stack = tuple(frames)
        index = self.stacks.setdefault(stack, len(self.stacks))
        return site or innermost or Site("", 0, ""), index

    def _answered(self, code: CodeType) -> tuple[Site, int]:
        """The place of code that is on the stack no more, as `_where` gives it."""
        short = self._short(code.co_filename) or ""
        stack = (f"{short}:{code.co_qualname}",)
        return Site(short, code.co_firstlineno, code.co_qualname), self.stacks.setdefault(stack, len(self.stacks))

    def _is_plumbing(self, place: str) -> bool:
        known = self._plain.get(place)
        if known is None:
            known = self._plain[place] = any(fnmatch.fnmatchcase(place, glob) for glob in self._plumbing)
        return known

    def _short(self, filename: str) -> str | None:
        for root in self._roots:
            if filename.startswith(root):
                return filename[len(root) :]
        return None


def _plain(identity: Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    return None if identity is None else dict(identity)
