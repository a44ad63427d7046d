"""Plays one plan on a booted target and gives back its trace. The only module that drives a bot.

It runs in the fork of a plan, or, where the platform has no fork, again and again in one process.
"""

from __future__ import annotations

import asyncio
import fnmatch
import gc
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from harness import containment, forgery
from harness.arguments import Unmet, numbers_of
from harness.clock import VirtualClock, real_perf_counter
from harness.descent import Descents
from harness.errors import ContainmentError, IsolationError, UsageError
from harness.flow import Flow
from harness.harvest import Harvest
from harness.logbook import Logbook
from harness.loop import IsolationLoop
from harness.offers import Call
from harness.plan import Plan, Step, cancels
from harness.principal import BYSTANDER, Principal, Twins, TwinSpec
from harness.probes import Probe
from harness.probes._text import identities_of, render
from harness.recorder import Recorder
from harness.scanner import TokenScanner
from harness.streams import reseed
from harness.target import Exposing, Overlay, Patcher, Target, furnish
from harness.trace import Trace
from harness.watch import RecorderWatch

SPECS = 32
"""Twins of so many specs are kept at a time."""

START_LIMIT = 600.0
"""Virtual seconds a boot may take before the run goes on without it."""

DRAIN = 8.0
"""Virtual seconds left to the bot after the last step, so that replies under way arrive."""

CALL_LIMIT = 120.0
"""Virtual seconds a call may take."""

STEP_LIMIT = 900.0
"""Virtual seconds after which a step still in flight is cancelled at the end of a run."""


WHOLE = 1 << 30
"""Characters kept of a text in a run that is one of a pair: all."""


class Rig:
    """A booted target with its probes, ready to play plans in this process."""

    def __init__(
        self,
        target: Target,
        probes: Sequence[Probe],
        epoch: float,
        calls: Mapping[tuple[str, str], Call] | None = None,
    ) -> None:
        self.target = target
        self.probes = tuple(probes)
        self.epoch = epoch
        self.calls = dict(calls or {})
        self.facts = target.facts()
        self.actions = {(action.entry, action.name): action for action in target.actions()}
        self.actions |= {place: call.action(self.facts.packages) for place, call in self.calls.items()}
        self._made: dict[TwinSpec, tuple[Twins, TokenScanner]] = {}

    def twins(self, spec: TwinSpec) -> tuple[Twins, TokenScanner]:
        """The twins of a plan, with a scanner for what is theirs. They depend on the spec alone, and few specs are
        ever asked for: what a zygote has made, every later fork has."""
        made = self._made.get(spec)
        if made is None:
            if len(self._made) >= SPECS:
                self._made.clear()
                gc.collect()  # a scanner holds itself, and what else there is of a zygote is frozen and costs nothing
            twins = self.target.twins(spec)
            identities_of(twins)
            made = self._made[spec] = twins, TokenScanner(twins)
        return made

    def play(
        self,
        plan: Plan,
        folder: Path,
        *,
        observe: bool = True,
        plant: bool = False,
        choices: bool = False,
        laid: Callable[[], None] = lambda: None,
        look: Callable[[], None] = lambda: None,
        paired: bool = False,
    ) -> Trace:
        """Run `plan` in the private `folder`. With `observe` false no probe records (for measuring overhead). With
        `plant` each probe's planted access is made under a step of A as well. With `choices` waits are counted though
        the plan has no tape. `laid` is called when what the bot finds lies there, before its start, and `look` after
        the last step, while the bot is still alive; nothing they do is recorded. A `paired` run is held against
        another: texts are kept whole, and random streams are keyed by whom the code acts for. Never raises for what the
        bot does."""
        return _Run(self, plan, folder, observe, plant, choices, laid, look, paired).play()


class _Run:
    def __init__(
        self,
        rig: Rig,
        plan: Plan,
        folder: Path,
        observe: bool,
        plant: bool,
        choices: bool,
        laid: Callable[[], None],
        look: Callable[[], None],
        paired: bool,
    ) -> None:
        self.rig = rig
        self.plan = plan
        self.folder = folder
        self.observe = observe
        self.plant = plant
        self.laid = laid
        self.look = look
        self.target = rig.target
        self.twins, self.scanner = rig.twins(plan.twins)
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        reseed(plan.seed)  # until there is a recorder that can say whom the code acts for
        self.clock = VirtualClock(rig.epoch)
        self.clock.show()
        counting = choices or any(cancels(step) for step in plan.steps)
        self.loop = IsolationLoop(
            seed=plan.seed, tape=plan.tape, clock=self.clock, count_sites=counting, answers=rig.target.facts().answers
        )
        self.recorder = Recorder(
            self.twins,
            self.scanner,
            rig.target.roots(),
            rig.target.ambient,
            self.loop.time,
            rig.facts.plumbing,
        )
        self.patcher = Patcher(self.recorder.adopt)
        self.descents = Descents()
        self.recorder.parting = self.descents.note
        if choices or (paired and plan.tape):
            self.loop.tell_waits(lambda: len(self.recorder.accesses))
        if paired:
            self.recorder.kept = WHOLE
            reseed(plan.seed, self.recorder.acting)
        # A number that happens to be the name of something of one's own is one by how much the other has: no pair can
        # tell that from a leak.
        self.harvest = Harvest(
            folder, rig.facts, self.twins, self.scanner, rig.target.owner_of_path, guess=not paired
        )  # fmt: skip
        self.logbook = Logbook(plan, self.twins, self.recorder, self.loop, rig.actions, rig.calls)
        self.rendered: set[int] = set()

    def play(self) -> Trace:
        began = real_perf_counter()
        recorder = self.recorder
        recorder.outermost = sys._getframe()  # what stands above is the harness's own
        os.chdir(self.folder)
        asyncio.set_event_loop(self.loop)
        containment.begin(self.folder)
        with recorder.active():
            try:
                if self.observe:
                    for probe in self.rig.probes:
                        with recorder.muted():
                            probe.begin(self.folder)
                else:
                    recorder.silent = True
                self.loop.run_until_complete(self.loop.spawn(self._main(), Flow("runner"), "runner"))
            except ContainmentError as error:
                recorder.fault("containment", str(error))
            except IsolationError as error:
                recorder.fault(type(error).__name__.lower(), str(error), _where(error))
            except Exception as error:
                recorder.fault("crash", f"{type(error).__name__}: {error}", _where(error))
            self._close()
        recorder.outermost = None
        wall = real_perf_counter() - began
        return self.logbook.trace(self.tasks, self.scanner, self.descents, self.clock.seconds, wall)

    def _close(self) -> None:
        recorder = self.recorder
        if self.observe:
            for probe in self.rig.probes:
                try:
                    probe.finish()
                except Exception as error:
                    recorder.fault("probe", f"{type(error).__name__}: {error}", _where(error), harness=True)
        for refused in self.loop.refused:
            recorder.fault(
                "network", f"the loop has no {refused.split()[0]}: the target must replace what calls it", refused
            )
        # All of it, not this flow alone: in which order tasks die depends on where they lie in memory.
        recorder.silent = True
        self.patcher.undo()
        try:
            self.loop.run_until_complete(self._leave())
        except Exception as error:
            recorder.fault("leave", f"{type(error).__name__}: {error}", _where(error))
        self.loop.close()
        asyncio.set_event_loop(None)

    async def _leave(self) -> None:
        await self.target.leave()
        current = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks(self.loop) if task is not current]
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=5)

    async def _main(self) -> None:
        with self.recorder.muted():
            self.target.enter(self.folder, self.twins, RecorderWatch(self.recorder, self.patcher))
            self._overlay()  # a bot that is mended, or broken, was so in earlier days
            furnish(self.target, self.plan.before)
            self.laid()
        boot = self.loop.spawn(self.target.start(), Flow("boot", entry="start"), "boot")
        await self._await_boot(boot)
        self._between()
        if self.plant:
            await self._plant()
        for index, step in enumerate(self.plan.steps):
            if step.join:
                await self._settle()
            if step.gap > 0:
                await asyncio.sleep(step.gap)
            await self._launch(index, step)
            self._between()
        await self._settle(DRAIN)
        await asyncio.sleep(DRAIN)
        self._between()
        await self._settle(STEP_LIMIT)
        with self.recorder.muted():
            self.look()
        for task in self.tasks.values():
            if not task.done():
                task.cancel()

    async def _await_boot(self, boot: asyncio.Task[Any]) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(boot), START_LIMIT)
        except TimeoutError:
            self.recorder.fault("boot", f"start() did not return within {START_LIMIT:.0f} virtual seconds")
        except Exception as error:
            self.recorder.fault("boot", f"{type(error).__name__}: {error}", _where(error))

    def _overlay(self) -> None:
        if not self.plan.overlays:
            return
        known: dict[str, Overlay] = {overlay.name: overlay for overlay in self.target.overlays()}
        for name in self.plan.overlays:
            if name not in known:
                raise UsageError(
                    f"target {self.target.name} has no overlay {name!r}; `isolation overlays --list` names them"
                )
            known[name].apply(self.patcher)

    def _between(self) -> None:
        if not self.observe:
            return
        for probe in self.rig.probes:
            try:
                probe.between()
            except Exception as error:
                self.recorder.fault("probe", f"{type(error).__name__}: {error}", _where(error), harness=True)

    async def _settle(self, limit: float = STEP_LIMIT) -> None:
        pending = [task for task in self.tasks.values() if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=limit)

    async def _launch(self, index: int, step: Step) -> None:
        if step.entry == "world" and step.action == "advance":
            started = self.loop.time()
            seq = len(self.recorder.accesses)
            await asyncio.sleep(float(step.payload.get("seconds", 1)))
            self.logbook.note(index, step, seq, started, "ok", "")
            return
        if cancels(step):
            self._cancel(index, step)
            return
        lineage = f"{step.who or 'world'}.{index}"
        flow = Flow(lineage, step=index, actor=step.who, entry=step.entry)
        self.tasks[index] = self.loop.spawn(self._step(index, step), flow, lineage)
        await asyncio.sleep(0)

    def _cancel(self, index: int, step: Step) -> None:
        """Cancel the last step of the same principal that is still in flight, after so many waits of its flow: what a
        client's disconnection does."""
        mine = [at for at, task in self.tasks.items() if self.plan.steps[at].who == step.who and not task.done()]
        if mine:
            lineage = f"{step.who or 'world'}.{mine[-1]}"
            self.loop.cancel(self.tasks[mine[-1]], int(step.payload.get("after", 0)), lineage)
        outcome, detail = ("ok", "") if mine else ("unmet", "nothing of this principal's is in flight")
        self.logbook.note(index, step, len(self.recorder.accesses), self.loop.time(), outcome, detail)

    async def _step(self, index: int, step: Step) -> None:
        # Tapes of witnesses name this coroutine where a stimulus arrives: under another name they replay no more.
        who = self.twins.of(step.who) if step.who else None
        started = self.loop.time()
        seq = len(self.recorder.accesses)
        outcome, detail = "ok", ""
        try:
            if step.entry == "world" and step.action == "configure":
                if who is None:
                    raise UsageError("a configure step needs a principal")
                await self.target.configure(who, forgery.rendered(step.payload, who, self.twins))
                value: Any = None
            elif (step.entry, step.action) in self.rig.calls and who is not None:
                outcome, value = await self._call(index, step, who)
            elif step.entry == "world" and step.action == "fail":
                self.recorder.failures.arm(step.who, step.payload, self.target.actions())
                value = None
            else:
                payload = forgery.rendered(step.payload, who, self.twins) if who else dict(step.payload)
                value = await self.target.deliver(step.entry, step.action, who, payload)
            if who is not None and value is not None:
                self.logbook.answered(who, step, value, index in self.rendered or not isinstance(value, str))
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except ContainmentError:
            outcome = "contained"
        except Unmet as error:
            outcome, detail = "unmet", str(error)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            outcome, detail = "raised", text[:300]
            if who is not None:
                self.logbook.failed(who, step, text)
        finally:
            self.logbook.note(index, step, seq, started, outcome, detail)

    async def _call(self, index: int, step: Step, who: Principal) -> tuple[str, Any]:
        """Carry out a call that the harness found; its arguments are gathered unseen."""
        call = self.rig.calls[step.entry, step.action]
        target = cast(Exposing, self.target)  # or there were no calls
        with self.recorder.muted():
            chosen, crossed = call.arguments(self.harvest, who, step.payload, self.rig.facts.packages)
        if crossed:
            self.logbook.crossed.add(index)
        self.logbook.lent[index] = numbers_of(chosen)
        bare = step.payload.get("context") == "none"
        # Not wait_for: that makes a task of its own, and lineage would be no proof any more.
        async with asyncio.timeout(CALL_LIMIT):
            served, value = await call.run(target, who, chosen, bare)
        with self.recorder.muted():
            if served and not crossed and who.label != BYSTANDER:
                self.harvest.returned(who.label, value, step.action)
            text = value if isinstance(value, str) or value is None else render(value).text
            if text is not value:
                self.rendered.add(index)
        return "ok" if served else "refused", text

    async def _plant(self) -> None:
        """Planted accesses: the probes' own under a step of A, the target's under a step of each twin."""
        flow = Flow("A.plant", step=-2, actor="A", entry="api")

        async def probes() -> None:
            for probe in self.rig.probes:
                probe.plant(self.folder)

        await self.loop.spawn(probes(), flow, "plant")
        for who in (self.twins.a, self.twins.b):
            for sink, make in sorted(self.target.plants().items()):
                flow = Flow(f"{who.label}.plant", step=-2, actor=who.label, entry="api")

                async def plant(make: Any = make, who: Principal = who) -> None:
                    await make(who)

                try:
                    await asyncio.wait_for(self.loop.spawn(plant(), flow, f"plant {sink}"), 60)
                except Exception as error:
                    self.recorder.fault(
                        "plant", f"planted {sink} access failed: {type(error).__name__}: {error}", _where(error)
                    )


def _where(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not fnmatch.fnmatch(f.filename, "*/asyncio/*")]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
