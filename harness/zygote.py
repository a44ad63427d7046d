"""The zygote: a process that boots the target once and plays each plan in a fork of itself.

Started by `harness.pool` as ``python -m harness.zygote FD SETUP``. It is single-threaded when it forks, its databases
are closed and its time is frozen. A fork that dies or hangs costs one plan. Without `fork` (no such call on the
platform, or asked for) every plan runs in this one process, with fresh twins.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness import containment, descent, holdings, offers, sensing, streams, survey, threads
from harness.catalogue import built
from harness.clock import START, VirtualClock, real_perf_counter
from harness.errors import IsolationError, told
from harness.plan import Plan
from harness.probes import Learner, Probe
from harness.probes.files import FileProbe
from harness.probes.keys import KeyProbe
from harness.probes.logs import LogProbe
from harness.probes.rows import RowProbe
from harness.recorder import current
from harness.runner import Rig
from harness.target import Settling, Target
from harness.wire import LOG, Done, Failed, Job, Ready, Setup, receive, send, tail

_HARNESS = str(Path(__file__).resolve().parent) + os.sep


def main(arguments: list[str]) -> int:
    """Entry point: file descriptor of the control socket and the setup as JSON."""
    connection = socket.socket(fileno=int(arguments[0]))
    setup = msgspec.json.decode(arguments[1], type=Setup)
    began = real_perf_counter()
    try:
        rig, folder = boot(setup)
    except IsolationError as error:
        send(connection, Failed(message=str(error), status=error.status))
        return error.status
    except BaseException as error:
        traceback.print_exc()
        message = f"target {setup.target} cannot boot: {told(error)}{_method(error)}; check its dependencies and --root"
        send(connection, Failed(message=message, status=2, foreseen=False))
        return 2
    names = tuple(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faults = containment.drain()
    roots = tuple(str(root) for root in rig.target.roots())
    seconds = real_perf_counter() - began
    calls = tuple(call.action(rig.target.facts().packages) for call in rig.calls.values())
    send(connection, Ready(seconds=seconds, threads=names, rss_kib=rss, faults=faults, roots=roots, calls=calls))
    _Server(connection, rig, folder, setup).serve()
    return 0


def boot(setup: Setup) -> tuple[Rig, Path]:
    """Boot the target of `setup` in this process, probes installed. Returns the rig and the working folder, in which
    ``template`` is what each plan gets a copy of."""
    folder = Path(setup.folder)
    template = folder / "template"
    template.mkdir(parents=True, exist_ok=True)
    target = built(
        setup.target, Path(setup.root) if setup.root else None, Path(setup.db_root) if setup.db_root else None
    )
    facts = target.facts()
    containment.install()
    containment.always(True)
    clock = VirtualClock(START)
    target.prepare(template)
    clock.freeze()
    streams.install()
    probes: tuple[Probe, ...] = (
        RowProbe(),
        KeyProbe(owner_of_key=target.owner_of_key),
        FileProbe(owner_of_path=target.owner_of_path),
        LogProbe(),
    )
    if setup.bare:
        probes = ()
    for probe in probes:
        probe.install(facts)
    descent.install()
    threads.install(_thread_started, facts.threads)
    os.chdir(template)
    if setup.sensing:
        sensing.start(_roots(target, template, setup))
    target.boot(template)
    sensing.locate(target.roots())
    for probe in probes:
        probe.booted(target.roots())
    calls = offers.discover(target)
    if isinstance(target, Settling):
        target.settle()
    for probe in probes:
        probe.between()  # what came since is taken in here, rather than in every fork
    containment.always(False)
    os.chdir(folder)
    gc.collect()
    if setup.fork:
        gc.freeze()
    return Rig(target, probes, START, calls), folder


def _roots(target: Target, template: Path, setup: Setup) -> Sequence[Path]:
    """Where the bot's code lies, as far as a target can say before it has booted."""
    try:
        return target.roots()
    except IsolationError:
        return [template, *(Path(root) for root in (setup.root, setup.db_root) if root)]


def _thread_started(name: str, where: str) -> None:
    recorder = current()
    if recorder is not None:
        recorder.fault("thread", f"the bot started a thread that the target does not declare: {name}", where)


def _method(error: BaseException) -> str:
    """The first function outside the harness on the way to the error: what was called of the target."""
    names = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((f", in {code.co_qualname}" for code in names if not code.co_filename.startswith(_HARNESS)), "")


def _plain(value: Any) -> Any:
    """Subclasses of text and numbers (an ORM's own strings) as what they are; anything else by its type's name."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return type(value).__name__


class _Child:
    """A fork under way."""

    def __init__(self, job: Job, pid: int, pipe: int, folder: Path, fork_ms: float) -> None:
        self.job = job
        self.pid = pid
        self.pipe = pipe
        self.folder = folder
        self.fork_ms = fork_ms
        self.data = bytearray()
        self.deadline = real_perf_counter() + job.limit


class _Server:
    def __init__(self, connection: socket.socket, rig: Rig, folder: Path, setup: Setup) -> None:
        self.connection = connection
        self.rig = rig
        self.folder = folder
        self.setup = setup
        self.learners = [probe if isinstance(probe, Learner) else None for probe in rig.probes]
        self.children: dict[int, _Child] = {}
        self.selector = selectors.DefaultSelector()

    def serve(self) -> None:
        self.selector.register(self.connection, selectors.EVENT_READ)
        while True:
            wait = min((c.deadline for c in self.children.values()), default=None)
            timeout = None if wait is None else max(0.0, wait - real_perf_counter())
            for key, _ in self.selector.select(timeout):
                if key.fileobj is self.connection:
                    message = receive(self.connection)
                    if message is None:
                        self._abandon()
                        return
                    if isinstance(message, Job):
                        self._start(message)
                else:
                    self._read(self.children[key.fd])
            self._expire()

    def _start(self, job: Job) -> None:
        private = self.folder / f"run-{job.id}"
        plan = Plan.from_json(job.plan)
        if not self.setup.fork:
            send(self.connection, self._play(job, plan, private))
            return
        self._prepare(plan)
        read_end, write_end = os.pipe()
        before = real_perf_counter()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(read_end)
                self.connection.close()
                self._child(job, plan, private, write_end)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        fork_ms = (real_perf_counter() - before) * 1000
        os.close(write_end)
        child = _Child(job, pid, read_end, private, fork_ms)
        self.children[read_end] = child
        self.selector.register(read_end, selectors.EVENT_READ)

    def _prepare(self, plan: Plan) -> None:
        """Make the plan's twins here rather than in the fork, so that later forks have them. What cannot be made is
        the fork's to tell."""
        with contextlib.suppress(Exception):
            self.rig.twins(plan.twins)

    def _child(self, job: Job, plan: Plan, private: Path, write_end: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Should the zygote be killed, nobody is left to stop a fork that spins.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(job.limit) + 5, math.ceil(job.limit) + 5))
        gc.disable()  # a fork lives for a second; collecting would copy the zygote's memory page by page
        done = self._play(job, plan, private)
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(done))

    def _play(self, job: Job, plan: Plan, private: Path) -> Done:
        shutil.copytree(self.folder / "template", private)
        try:
            surveyed: list[bytes] = []
            held: list[tuple[holdings.Holding, ...]] = []

            def hold() -> None:
                if job.paired:
                    held.append(holdings.take(self.rig.target, plan.twins, private))

            def look() -> None:
                hold()
                if job.survey is not None:
                    taken = survey.take(self.rig.target, self.rig.probes, private, job.survey)
                    surveyed.append(msgspec.msgpack.encode(taken))

            trace = self.rig.play(
                plan,
                private,
                observe=job.observe,
                plant=job.plant,
                choices=job.choices,
                laid=hold,
                look=look,
                paired=job.paired,
            )
            lessons = tuple(learner.lessons() if learner is not None else b"" for learner in self.learners)
            before, after = held if len(held) == 2 else ((), ())  # a run that broke off was not looked at
            return Done(
                id=job.id, status="ok", trace=msgspec.msgpack.encode(trace, enc_hook=_plain), lessons=lessons,
                inventory=surveyed[0] if surveyed else b"", holdings=msgspec.msgpack.encode(after),
                missing=msgspec.msgpack.encode(holdings.missing(before, after)), laid=holdings.digest(before),
                touches=sensing.taken(),
            )  # fmt: skip
        finally:
            os.chdir(self.folder)
            shutil.rmtree(private, ignore_errors=True)

    def _read(self, child: _Child) -> None:
        chunk = os.read(child.pipe, 1 << 20)
        if chunk:
            child.data += chunk
            return
        _, status, used = os.wait4(child.pid, 0)
        cpu_ms = (used.ru_utime + used.ru_stime) * 1000
        self._forget(child)
        if status == 0 and child.data:
            done = msgspec.msgpack.decode(bytes(child.data), type=Done)
            for learner, lessons in zip(self.learners, done.lessons, strict=True):
                if lessons and learner is not None:
                    learner.learn(lessons)
            send(self.connection, msgspec.structs.replace(done, fork_ms=child.fork_ms, cpu_ms=cpu_ms, lessons=()))
            return
        shutil.rmtree(child.folder, ignore_errors=True)
        code = os.waitstatus_to_exitcode(status)
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        detail = f"the fork of this plan died with {how}; the last that was printed: {self._last_words()}"
        send(self.connection, Done(id=child.job.id, status="crash", detail=detail, fork_ms=child.fork_ms))

    def _last_words(self, size: int = 1000) -> str:
        """The last line of the log, which is removed with the zygote: mostly the error that a fork died of."""
        lines = [line for line in tail(self.folder / LOG, size).splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "nothing"

    def _expire(self) -> None:
        now = real_perf_counter()
        for child in [c for c in self.children.values() if c.deadline <= now]:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            self._forget(child)
            shutil.rmtree(child.folder, ignore_errors=True)
            detail = f"the plan did not end within {child.job.limit:.0f} s of wall time and was stopped"
            send(self.connection, Done(id=child.job.id, status="hang", detail=detail, fork_ms=child.fork_ms))

    def _forget(self, child: _Child) -> None:
        self.selector.unregister(child.pipe)
        os.close(child.pipe)
        del self.children[child.pipe]

    def _abandon(self) -> None:
        for child in list(self.children.values()):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            self._forget(child)
        # A controller that was killed removes nothing, and what lies in memory is not swept away like /tmp.
        os.chdir("/")
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
