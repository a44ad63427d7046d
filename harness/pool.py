"""The controller's side of a zygote: boots one, keeps its forks busy, hands back traces in the order asked for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

import harness
from harness.errors import IsolationError, TargetError
from harness.holdings import Holding
from harness.inventory import Inventory
from harness.memory import Memory
from harness.plan import Plan
from harness.sensing import Touch, decoded
from harness.trace import Trace
from harness.wire import LOG, Done, Failed, Job, Ready, Setup, receive, send, tail

BOOT_LIMIT = 600.0
"""Wall seconds a target may take to boot."""

DEFAULT_LIMIT = 60.0
"""Wall seconds a plan may take."""

HASH_SEED = "0"
"""Zygotes run under one hash seed, so that a bot which iterates over a set of strings repeats itself."""

MEMORY = Path("/dev/shm")
ROOM = 1 << 30
"""Bytes that must be free in memory for private folders to be laid there."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with what came of it: a trace, or (`crash`, `hang`) why there is none."""

    plan: Plan
    status: str
    trace: Trace | None
    detail: str = ""
    fork_ms: float = 0.0
    cpu_ms: float = 0.0
    inventory: Inventory | None = None
    holdings: tuple[Holding, ...] = ()
    missing: tuple[Holding, ...] = ()
    laid: str = ""
    touches: tuple[Touch, ...] = ()


class Pool:
    """A booted zygote. Use as a context manager; leaving it ends the process and removes its folders.

    `spec` is ``module:Class``; `bare` leaves the probes out, `sensing` adds sensors (see `Setup`). Raises
    TargetError (with the target's own message) when the target cannot boot.

    Outcomes that `memory` knows are handed out from there, and others are kept in it. `tick` is called after each plan
    that was played, and may raise; once `late` says so nothing is played any more.
    """

    def __init__(
        self,
        spec: str,
        *,
        root: Path | None = None,
        db_root: Path | None = None,
        jobs: int | None = None,
        fork: bool | None = None,
        hash_seed: str = HASH_SEED,
        bare: bool = False,
        sensing: bool = False,
    ) -> None:
        self.fork = hasattr(os, "fork") if fork is None else fork
        self._made_with: dict[str, Any] = {
            "spec": spec, "root": root, "db_root": db_root, "jobs": jobs, "fork": fork, "hash_seed": hash_seed,
            "bare": bare, "sensing": sensing,
        }  # fmt: skip
        self.memory: Memory | None = None
        self.tick: Callable[[], None] = lambda: None
        self.late: Callable[[], bool] = lambda: False
        self.jobs = (jobs or os.cpu_count() or 1) if self.fork else 1
        self._next = 0
        self.folder = Path(tempfile.mkdtemp(prefix="isolation-", dir=_in_memory()))
        ours, theirs = socket.socketpair()
        setup = Setup(
            target=spec, root=str(root.resolve()) if root else None,
            db_root=str(db_root.resolve()) if db_root else None,
            folder=str(self.folder), fork=self.fork, jobs=self.jobs, bare=bare, sensing=sensing,
        )  # fmt: skip
        home = str(Path(harness.__file__).resolve().parent.parent)
        # The zygote works elsewhere, where a relative path would mean another folder.
        given = (p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)
        paths = [home, *(str(Path(p).resolve()) for p in given)]
        if str(Path.cwd()) in sys.path:
            paths.append(str(Path.cwd()))
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "UTC", "PYTHONPATH": os.pathsep.join(paths)}
        self.log = self.folder / LOG
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.zygote", str(theirs.fileno()), msgspec.json.encode(setup).decode()],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.folder, env=env, start_new_session=True,
            )  # fmt: skip
        theirs.close()
        self._connection = ours
        try:
            self.ready = self._await_ready(spec)
        except KeyboardInterrupt:
            self._process.kill()
            self.close()
            raise

    def _await_ready(self, spec: str) -> Ready:
        self._connection.settimeout(BOOT_LIMIT)
        try:
            message = receive(self._connection)
        except TimeoutError:
            self._process.kill()
            said = self._last_output()
            self.close()
            raise TargetError(
                f"target {spec} did not boot within {BOOT_LIMIT:.0f} s and was stopped: it never ends, or waits for "
                f"something that is not there. {said}"
            ) from None
        self._connection.settimeout(None)
        if isinstance(message, Ready):
            return message
        said = self._last_output()
        self.close()
        if isinstance(message, Failed):
            plain = message.status == 2 and message.foreseen
            error = TargetError(message.message if plain else f"{message.message}. {said}")
            error.status = message.status
            raise error
        raise TargetError(f"target {spec} cannot boot: its process ended ({self._process.returncode}). {said}")

    def _last_output(self) -> str:
        text = tail(self.log, 3000).rstrip()
        return f"Its last output:\n{text}" if text else "It printed nothing."

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def fresh(self, **changes: Any) -> Pool:
        """Another zygote like this one, but for `changes`, just booted."""
        return Pool(**{**self._made_with, **changes})

    def run(self, plan: Plan, *, limit: float = DEFAULT_LIMIT, observe: bool = True, plant: bool = False) -> Outcome:
        """Play one plan and wait for it."""
        return next(self.map([plan], limit=limit, observe=observe, plant=plant))

    def survey(self, plan: Plan, modules: Sequence[str] = ()) -> Inventory:
        """Play one plan and take the bot's inventory at its end, with the public functions of the modules whose paths
        match these globs. Raises TargetError when it cannot be taken."""
        outcome = next(self.map([plan], survey=tuple(modules)))
        if outcome.inventory is None:
            faults = outcome.trace.faults if outcome.trace else ()
            said = [outcome.detail, *(f"{fault.kind}: {fault.message} {fault.where}" for fault in faults)]
            raise TargetError(f"the inventory could not be taken ({outcome.status}): {'; '.join(filter(None, said))}")
        return outcome.inventory

    def map(
        self,
        plans: Iterable[Plan],
        *,
        limit: float = DEFAULT_LIMIT,
        observe: bool = True,
        plant: bool = False,
        choices: bool = False,
        survey: tuple[str, ...] | None = None,
        paired: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Outcome]:
        """Play plans, `jobs` at a time; outcomes come in the order of the plans. With `choices` traces tell the waits
        for the outside even of plans without a tape. Once `stop()` is true no further plan is started. Leaving the
        iterator early waits for the plans under way."""
        waiting: dict[int, Plan] = {}
        order: list[int] = []
        finished: dict[int, Outcome] = {}
        source = iter(plans)
        more = True
        jobs: dict[int, Job] = {}
        memory = None if plant or survey is not None else self.memory

        def collect() -> None:
            done = self._collect(waiting, finished)
            job = jobs.pop(done.id)
            if memory is not None:
                memory.keep(job, done)

        try:
            while True:
                handed = False
                while more and len(waiting) < self.jobs and not stop():
                    plan = next(source, None)
                    if plan is None:
                        more = False
                        break
                    self._next += 1
                    job = Job(
                        id=self._next, plan=plan.to_json(), limit=limit, observe=observe, plant=plant,
                        choices=choices, survey=survey, paired=paired,
                    )  # fmt: skip
                    known = memory.take(job) if memory is not None else None
                    if known is not None:
                        order.append(self._next)
                        finished[self._next] = _outcome(plan, known)
                        handed = True
                        break
                    if self.late():  # what is known costs no time, and is asked for though the time be up
                        more = False
                        break
                    send(self._connection, job)
                    waiting[self._next] = plan
                    jobs[self._next] = job
                    order.append(self._next)
                while order and order[0] in finished:
                    yield finished.pop(order.pop(0))
                if not waiting:
                    if not order and not handed:
                        return
                    continue
                collect()
                self.tick()
        finally:
            while waiting:
                collect()

    def _collect(self, waiting: dict[int, Plan], finished: dict[int, Outcome]) -> Done:
        message = receive(self._connection)
        if not isinstance(message, Done):
            waiting.clear()
            raise IsolationError(
                f"the zygote ended while plans were under way; start the run again. {self._last_output()}"
            )
        finished[message.id] = _outcome(waiting.pop(message.id), message)
        return message

    def close(self, patience: float = 10) -> None:
        """End the zygote (by force after `patience` seconds) and remove its folders. May be called twice."""
        self._connection.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _in_memory() -> Path | None:
    """Where private folders cost no disk: nobody needs them after their plan, and a bot waits for the disk at every
    commit. None, for the usual place, where there is no room or TMPDIR names another."""
    try:
        roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    except OSError:
        return None
    return MEMORY if roomy and "TMPDIR" not in os.environ else None


def _outcome(plan: Plan, message: Done) -> Outcome:
    trace = msgspec.msgpack.decode(message.trace, type=Trace) if message.trace else None
    inventory = msgspec.msgpack.decode(message.inventory, type=Inventory) if message.inventory else None
    holdings = msgspec.msgpack.decode(message.holdings, type=tuple[Holding, ...]) if message.holdings else ()
    missing = msgspec.msgpack.decode(message.missing, type=tuple[Holding, ...]) if message.missing else ()
    return Outcome(
        plan=plan, status=message.status, trace=trace, detail=message.detail, fork_ms=message.fork_ms,
        cpu_ms=message.cpu_ms, inventory=inventory, holdings=holdings,
        missing=missing, laid=message.laid, touches=decoded(message.touches),
    )  # fmt: skip
