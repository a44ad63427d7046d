"""A witness in the debugger: the plan runs in a process of its own, without forks, and stops at the violating access.

``python -m harness.cli_debug JSON`` is that process; `debug` starts it on the user's terminal. A process of its own,
because a bot is booted under a fixed hash seed and frozen time, and cannot be booted twice.
"""

from __future__ import annotations

import os
import pdb
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import IO, Any

import msgspec

import harness
from harness.errors import IsolationError
from harness.plan import Plan
from harness.pool import HASH_SEED
from harness.recorder import Recorder
from harness.rules.interference import RULE
from harness.trace import Access
from harness.wire import Setup
from harness.witness import Witness

SKIPPED = ("harness.*", "asyncio.*", "contextlib", "contextvars")
"""Modules that stepping passes over."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What to debug: stop when access number `seq` of the plan is recorded."""

    setup: Setup
    plan: Plan
    seq: int
    message: str
    paired: bool = False


def debug(spec: str, root: Path | None, db_root: Path | None, found: Witness, seq: int) -> int:
    """Run the plan on this terminal and stop at access number `seq`. Returns the exit status: 1, the finding is there;
    2 when the run did not get to that access."""
    folder = Path(tempfile.mkdtemp(prefix="isolation-debug-"))
    session = Session(
        setup=Setup(
            target=spec,
            root=str(root.resolve()) if root else None,
            db_root=str(db_root.resolve()) if db_root else None,
            folder=str(folder),
            fork=False,
            jobs=1,
        ),
        plan=found.plan,
        seq=seq,
        message=found.message,
        paired=found.rule == RULE,
    )
    home = str(Path(harness.__file__).resolve().parent.parent)
    paths = [home, str(Path.cwd()), *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)]
    env = {**os.environ, "PYTHONHASHSEED": HASH_SEED, "TZ": "UTC", "PYTHONPATH": os.pathsep.join(paths)}
    try:
        command = [sys.executable, "-m", "harness.cli_debug", msgspec.json.encode(session).decode()]
        return subprocess.run(command, env=env, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """The debugging process. The terminal is the debugger's; what the bot prints goes to a file."""
    from harness.zygote import boot

    session = msgspec.json.decode(arguments[0], type=Session)
    folder = Path(session.setup.folder)
    terminal = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log = os.open(folder / "bot.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        rig, folder = boot(session.setup)
    except IsolationError as error:
        print(f"isolation: {error}", file=terminal, flush=True)
        return error.status
    stopper = Stopper(session, terminal)
    private = folder / "run"
    shutil.copytree(folder / "template", private)
    with stopper:
        rig.play(session.plan, private, paired=session.paired)
    if stopper.stopped:
        print("the plan has ended", file=terminal, flush=True)
        return 1
    print(
        f"isolation: access {session.seq} was not met again; see --times 10 for whether the replay is steady",
        file=terminal,
        flush=True,
    )
    return 2


class Stopper:
    """While entered, opens the debugger in the bot's frame when the session's access is recorded."""

    def __init__(self, session: Session, terminal: IO[str]) -> None:
        self.session = session
        self.terminal = terminal
        self.stopped = False
        self._access = Recorder.access

    def __enter__(self) -> Stopper:
        stopper, record = self, self._access

        def access(recorder: Recorder, *arguments: Any, **fields: Any) -> Access | None:
            made = record(recorder, *arguments, **fields)
            if made is not None and made.seq == stopper.session.seq and not stopper.stopped:
                stopper.stopped = True
                stopper.stop(recorder, made, sys._getframe(1))
            return made

        Recorder.access = access  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *exc: object) -> None:
        Recorder.access = self._access  # type: ignore[method-assign]

    def stop(self, recorder: Recorder, made: Access, frame: FrameType) -> None:
        """Open the debugger at the innermost frame of the bot above `frame`."""
        inner = _bots(frame, made)
        site = f"{made.site.file}:{made.site.line} in {made.site.function}" if made.site.file else "no code of the bot"
        said = [
            f"access {made.seq}: {made.op} {made.sink} {made.surface} [{made.key}] at {site}",
            f"actor {made.actor or '-'}, context {made.ambient}, owner {made.owner or made.new_owner or '-'}",
            self.session.message,
        ]
        if inner is None:
            said.append("seen by comparing states between steps, not by its code; this is where the harness saw it")
        print("\n".join(said), file=self.terminal, flush=True)
        _Debugger(recorder, self.terminal).open(inner or frame)


def _bots(frame: FrameType, made: Access) -> FrameType | None:
    """The frame at the access's site."""
    current: FrameType | None = frame
    while current is not None:
        if current.f_lineno == made.site.line and current.f_code.co_filename.endswith("/" + made.site.file):
            return current
        current = current.f_back
    return None


class _Debugger(pdb.Pdb):
    """pdb that keeps its reading of sources and frames out of the trace, and ends the process on ``quit``."""

    def __init__(self, recorder: Recorder, terminal: IO[str]) -> None:
        super().__init__(stdin=sys.stdin, stdout=terminal, skip=SKIPPED, readrc=False)
        self.prompt = "(isolation) "
        self._recorder = recorder

    def open(self, frame: FrameType) -> None:
        """Talk to the user in this frame now; from here on they may step."""
        self.reset()
        above: FrameType | None = frame
        while above is not None:
            above.f_trace = self.trace_dispatch
            self.botframe = above
            above = above.f_back
        self.interaction(frame, None)
        # Tracing starts only now: before, it would stop in the debugger's own calls. -1: the user said `continue`.
        if self.breaks or self.stoplineno != -1:
            sys.settrace(self.trace_dispatch)

    def interaction(self, *arguments: Any) -> None:
        with self._recorder.muted():
            super().interaction(*arguments)

    def do_quit(self, arg: str) -> bool | None:
        # Not by an exception: the bot might swallow it and go on.
        self.stdout.flush()
        os._exit(1)

    do_q = do_exit = do_EOF = do_quit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
