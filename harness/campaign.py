"""A campaign: plans are played, traces judged, findings shrunk and replayed, overlays tried, items decided."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from harness import (
    behind,
    contract,
    contrast,
    mapping,
    marking,
    pairs,
    requirement,
    sampling,
    soundness,
    strategies,
    topping,
    touring,
)
from harness.confirm import confirm
from harness.controls import try_control
from harness.coverage import Coverage
from harness.diagnosis import Difference, diagnose
from harness.errors import SoundnessError, TargetError
from harness.exploring import IN_CAMPAIGNS, SHARE, Explorer
from harness.finding import Finding
from harness.inventory import Table
from harness.judge import judge, proven
from harness.memory import Stopwatch
from harness.nearness import Nearness
from harness.ordering import Doing, Doings
from harness.pairing import Pairing
from harness.plan import Plan
from harness.pool import Outcome, Pool
from harness.profiles import PAIRING, Profile, Progress, shared_out
from harness.record import ErrorRecord, OverlayRecord, RunRecord
from harness.recording import recorded
from harness.requirement import Requirement
from harness.riskmap import RiskMap
from harness.surfaces import Surfaces
from harness.target import Overlay, Target, states_of
from harness.topping import Topping
from harness.trace import Fault, Trace
from harness.trials import OutOfTime, try_fault, try_fix
from harness.verdict import attribute
from harness.witness import Witnessed

TURN = 40
"""Plans of the tour and generated ones between two turns of exploring."""

EXPLORING = 0.25
"""Share of the time that exploring has while the tour is under way: what the tour does not reach, nothing does."""


class Campaign:
    """One run against one booted target. Call `run`, then read the record it returns.

    Raises SoundnessError when a probe is blind or the same plan gives two different traces. Findings that `keep`
    refuses are neither shrunk nor recorded; `left_out` counts them. `requirements` are the documents' demands to decide
    (their steps are played after the tour). `report` is called after every plan and may raise
    KeyboardInterrupt to end the campaign there.
    """

    def __init__(
        self,
        pool: Pool,
        target: Target,
        riskmap: RiskMap,
        profile: Profile,
        *,
        profile_name: str = "ci",
        seed: int = 0,
        overlays: Sequence[str] = (),
        minutes: float | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
        keep: Callable[[Finding], bool] = lambda finding: True,
        requirements: Sequence[Requirement] = (),
    ) -> None:
        self.pool = pool
        self.target = target
        self.facts = target.facts()
        self.riskmap = riskmap
        self.demands = riskmap.demands(self.facts.name)
        self.profile = profile
        self.profile_name = profile_name
        self.seed = seed
        self.overlays = tuple(overlays)
        self.report = report
        self.keep = keep
        self.requirements = tuple(requirements)
        self.tables: tuple[Table, ...] | None = None
        self.left_out: set[str] = set()
        self.progress = Progress()
        self.watch = pool.memory.watch if pool.memory is not None else Stopwatch()
        self.started = datetime.datetime.now(datetime.UTC)
        self.times = shared_out(profile, None if minutes is None else max(0.0, minutes * 60 - pool.ready.seconds))
        # Where one process plays all plans, what it keeps from the first of a pair would tell in the second.
        self.trials_end = self.times.end
        self.reserved = self.times.plans * PAIRING if pool.fork and profile.pairs else 0.0
        self.coverage = Coverage()
        self.topping = Topping(riskmap, self.facts)
        self.surfaces = Surfaces(self.facts)
        self.found: dict[str, Witnessed] = {}
        self.touched = Nearness()
        self.did: dict[str, frozenset[Doing]] = {}
        self.doings = Doings(riskmap, self.facts.name)
        self.met_behind: set[str] = set()
        self.pairing = Pairing(self.facts.scoping)
        self.errors: dict[tuple[str, str, bool], ErrorRecord] = {}
        self.probes: dict[str, bool] = {}
        self.overlay_records: list[OverlayRecord] = []
        self.fork_ms: list[float] = []
        self.played = 0
        self.steps = 0
        self.overlapped = 0
        self.clean = 0
        self.busy = 0.0
        self.laid = 0
        self.explored = ""
        self.stale: dict[str, tuple[str, ...]] = {}
        self.unsteady = ""
        self.interrupted = False

    def run(self) -> RunRecord:
        """Everything, in order. On Ctrl-C what was found so far is shrunk no further, but kept and recorded."""
        actions = [*self.target.actions(), *self.pool.ready.calls]
        if not actions:
            raise TargetError(f"target {self.facts.name} offers no action, so nothing can be played")
        claimed = self.riskmap.dimensions(self.facts.name, self.facts.generation)
        states = states_of(self.target)
        tour = touring.toured(actions, claimed, self.facts, states)
        self.touched.expect(tour)
        self._hold_map()
        memory, self.pool.memory = self.pool.memory, None
        planted = contract.asked(self.target, type(self.target).__name__, "plants")
        course = soundness.check(self.pool, tour, self.probes, self._fault, planted.keys())
        self.pool.memory = memory
        if memory is not None and course is not None:
            memory.check(*course)
        asked = requirement.plans(self.requirements, self.facts.name, actions)
        ways = strategies.ways(claimed)
        exploring, again = int(self.profile.plans * SHARE), int(self.profile.plans * topping.SHARE)
        drawn = strategies.generate(
            actions,
            self.profile.plans - exploring - again,
            self.seed,
            ways,
            hostile=self.facts.hostile,
            states=states,
            third=self.facts.third,
            switches=self.facts.switches,
        )
        explorer = Explorer(
            actions, self.seed, dimensions=ways, states=states, variants=IN_CAMPAIGNS, lay=self._lay,
            answers=self.facts.answers,
        )  # fmt: skip
        plans = touring.woven([*tour, *asked], drawn)
        if self.requirements:
            self.tables = self.pool.survey(Plan()).tables
        self.pool.tick = lambda: self.report(self.progress)
        try:
            self._phase("plans", len(plans) + exploring + again)
            self._play(plans, explorer, exploring, again)
            self._hold_plans()
            self._pair()
            self._recover()
            self._fold()
            self._phase("witnesses", len(self.found))
            self._confirm()
            if self.profile.overlays and not self.overlays:
                self._phase("overlays", len(self.target.overlays()))
                self.try_overlays(tour)
                for message in behind.others(sorted(self.met_behind), self.found, self.overlay_records):
                    self._error("fixes", message, "", False)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self.pool.tick, self.pool.late = (lambda: None), (lambda: False)
        return self.record()

    def judge(self, trace: Trace) -> list[Finding]:
        """Findings of one trace under this target's declarations and this risk map's demands."""
        return judge(trace, self.facts, self.demands)

    def items_of(self, finding: Finding) -> tuple[str, ...]:
        """Ids of the risk items that the finding belongs to."""
        return attribute(finding, self.riskmap, self.facts.name)

    def _hold_map(self) -> None:
        """Hold the risk map against the code that booted: what it names and nobody finds is an error of the map."""
        roots = [Path(root) for root in self.pool.ready.roots]
        self.stale = mapping.stale(self.riskmap, self.facts.name, roots)
        for item, sites in self.stale.items():
            message = f"stale mapping of {item}: nothing in the bot's code is called {', '.join(sites)}"
            self._error("risk map", message, "", False)

    def _hold_plans(self) -> None:
        """Raise SoundnessError when not one of the plans came to its end: nothing was watched then."""
        first = next((error for error in self.errors.values() if error.kind in ("crash", "hang")), None)
        if not self.coverage.dimensions and first is not None:
            raise SoundnessError(f"none of the plans ended, so nothing was watched; the first: {first.message}")

    def _lay(self, plan: Plan) -> Plan:
        """The plan as it is played: under the campaign's overlays, and with twins of their own where one process plays
        them all."""
        plan = msgspec.structs.replace(plan, overlays=self.overlays)
        if self.pool.fork:
            return plan
        self.laid += 1
        seed = strategies.TWIN_SEEDS + self.laid
        return msgspec.structs.replace(plan, twins=msgspec.structs.replace(plan.twins, seed=seed))

    def play(self, plans: Sequence[Plan]) -> None:
        """Play and judge these plans, as a campaign does with its own."""
        self.pool.late = self._late
        self._take(self.pool.map(map(self._lay, plans)), self.watch.elapsed())
        self.pool.late = lambda: False

    def _phase(self, name: str, total: int) -> None:
        self.progress.phase, self.progress.total, self.progress.plans = name, total, 0
        self.report(self.progress)

    def _late(self) -> bool:
        return self.watch.elapsed() > self.times.plans - self.reserved

    def _over(self) -> bool:
        """Whether nothing more will come: the time is up, and nothing is known from before."""
        return self._late() and not (self.pool.memory is not None and self.pool.memory.waiting)

    def _pair(self) -> None:
        """Play some of the plans as pairs: clean ones before others, where a leak would explain what differs."""
        count = self.profile.pairs if self.pool.fork else 0
        chosen, leaky = behind.chosen(self.pairing, self.target, count, not self.overlays)
        self._phase("pairs", len(chosen) + len(leaky))
        self.pool.late = lambda: self.watch.elapsed() > self.times.plans
        for made, closed in behind.play(self.pool, chosen, leaky, self.facts, self.judge):
            self.pairing.count(made, "behind" if closed else "plans")
            for finding, plan, trace in behind.shown(made, self.judge) if closed else ():
                if finding.fingerprint in self.found:
                    self.met_behind.add(finding.fingerprint)
                else:
                    self._keep(finding, plan, trace)
            for pair in made:
                if pair.result == "lost":
                    self._lost(pair.outcome)
                if pair.finding is not None and pair.outcome.trace is not None:
                    self._keep(pair.finding, pair.plan, pair.outcome.trace)
            self.progress.plans += 1
            self.report(self.progress)
        self.pool.late = lambda: False

    def _recover(self) -> None:
        """What an earlier sitting found and this one did not ask for, since the time fell out otherwise, is kept."""
        for plan, done in self.pool.memory.rest() if self.pool.memory is not None else ():
            if plan.overlays == self.overlays and done.trace:
                trace = msgspec.msgpack.decode(done.trace, type=Trace)
                for finding in self.judge(trace):
                    if finding.fingerprint not in self.found:
                        self._keep(finding, plan, trace)

    def _play(self, plans: Sequence[Plan], explorer: Explorer, exploring: int, again: int) -> None:
        """Plans in turns with `exploring` plans of the explorer's, so that a campaign cut short has some of each. While
        the tour goes on, exploring has `EXPLORING` of the time at most; what is left of it then comes at the end, after
        at most `again` plans for cells that were reached too seldom, with what these leave of theirs."""
        began = self.watch.elapsed()
        self.pool.late = self._late
        turns = -(-len(plans) // TURN)
        spent, left = 0.0, exploring
        for turn in range(turns + 1):
            if turn == turns:
                more = self.topping.chosen(again)
                left += again - len(more)
                self._take(self.pool.map(map(self._lay, more)), began)
            some = map(self._lay, plans[turn * TURN : (turn + 1) * TURN])
            self._take(self.pool.map(some), began)
            now = self.watch.elapsed()
            wanted = exploring * (turn + 1) // turns - (exploring - left) if turn < turns else left
            if turn < turns and spent > EXPLORING * (now - began):
                continue
            left -= wanted
            self._take(explorer.play(self.pool, wanted, stop=self._over), began)
            spent += self.watch.elapsed() - now
        self.explored = explorer.tally.told()
        self.busy += self.watch.elapsed() - began

    def _take(self, outcomes: Iterable[Outcome], began: float) -> None:
        for outcome in outcomes:
            self._account(outcome)
            if outcome.trace is not None:
                self._judge(outcome.plan, outcome.trace)
            self.progress.plans += 1
            self.progress.steps = self.steps
            self.progress.findings = len(self.found)
            rate = self.progress.plans / max(1e-6, self.watch.elapsed() - began)
            left = (self.progress.total - self.progress.plans) / rate
            self.progress.seconds_left = min(left, max(0.0, self.times.plans - self.watch.elapsed()))
            self.report(self.progress)

    def _account(self, outcome: Outcome) -> None:
        self.played += 1
        self.fork_ms.append(outcome.fork_ms)
        if outcome.trace is None:
            self._lost(outcome)
            return
        self.steps += len(outcome.trace.steps)
        self.overlapped += strategies.overlapping(outcome.trace.steps)
        for fault in outcome.trace.faults:
            self._fault(fault)

    def _lost(self, outcome: Outcome) -> None:
        self._error(outcome.status, f"{outcome.detail} (plan {outcome.plan.digest()})", "", False)

    def _judge(self, plan: Plan, trace: Trace) -> None:
        self.coverage.add(trace)
        self.topping.add(plan, trace)
        self.surfaces.add(trace)
        if self.touched.add(plan, trace):
            self.did[plan.digest()] = self.doings.of(plan, trace)
        findings = self.judge(trace)
        self.clean += not findings
        self.pairing.add(plan, trace, clean=not findings)
        for finding in findings:
            self._keep(finding, plan, trace)

    def _keep(self, finding: Finding, plan: Plan, trace: Trace) -> None:
        if not self.keep(finding):
            self.left_out.add(finding.fingerprint)
            return
        known = self.found.get(finding.fingerprint)
        if known is None:
            self.found[finding.fingerprint] = Witnessed(
                finding, plan, {finding.entry}, {finding.dimension}, trace=trace,
                besides={(rule, plan.twins.dimension): plan for rule in finding.rules},
            )  # fmt: skip
        else:
            known.met(finding, plan, trace)

    def _fault(self, fault: Fault) -> None:
        self._error(fault.kind, fault.message, fault.where, fault.harness)

    def _error(self, kind: str, message: str, where: str, harness_fault: bool) -> None:
        key = (kind, message[:160], harness_fault)
        known = self.errors.get(key)
        count = known.count + 1 if known else 1
        self.errors[key] = ErrorRecord(kind=kind, message=message, where=where, count=count, harness=harness_fault)

    def shows(self, fingerprint: str, plans: Sequence[Plan], rule: str) -> list[bool]:
        """Of each plan, whether it shows the finding, by that rule."""
        shown = []
        known = self.found.get(fingerprint)
        variants = pairs.variants_of(known.finding) if known is not None else pairs.VARIANTS
        played = pairs.judged(self.pool, plans, self.facts, self.judge, rule=rule, variants=variants)
        for _, findings in played:
            self.report(self.progress)
            shown.append(any(f.fingerprint == fingerprint and rule in f.rules for f in findings))
        return shown

    def _fold(self) -> None:
        """What one plan only feared and another showed is one finding; see `judge.proven`."""
        kept = {finding.fingerprint for finding in proven([known.finding for known in self.found.values()])}
        self.found = {name: known for name, known in self.found.items() if name in kept}

    def _confirm(self) -> None:
        contrast.settle(self)
        marking.settle(self)
        left = confirm(self, self.profile.replays, self.times.confirming, self._confirmed, end=self.times.end)
        if left:
            message = f"the time was up with {left} of {len(self.found)} findings not replayed"
            self._error("replay", message, "", False)

    def _confirmed(self, fingerprint: str, hits: int, replays: int, parted: Difference | None) -> None:
        if hits < replays or parted is not None:
            said = f"witness {fingerprint} showed its finding in {hits} of {replays} replays, which were not alike"
            if not self.unsteady:  # the source is a matter of some boots, and rarely another for each witness
                self.unsteady = diagnose(self.pool, self.found[fingerprint].plan, parted).told()
            self._error("replay", f"{said}: {self.unsteady}", "", True)
        self.progress.plans += 1
        self.report(self.progress)

    def try_overlays(
        self, tour: Sequence[Plan], only: str = "*", *, small: bool = False, shares: sampling.Shares | None = None,
        kinds: Collection[str] = sampling.KINDS,
    ) -> None:  # fmt: skip
        """Faults must be found by the rule they name; fixes must make their findings vanish and nothing else. With
        `small` the witness of each kill is shrunk; with `shares` a fixed sample is tried of what `only` matches and is
        of these `kinds`."""
        self.trials_end = min(self.watch.elapsed() + self.times.trying, self.times.end)
        matching = [o for o in self.target.overlays() if o.kind in kinds and fnmatch.fnmatchcase(o.name, only)]
        chosen = sampling.ordered(sampling.sample(matching, shares))
        self.progress.total = len(chosen)
        for index, overlay in enumerate(chosen):
            try:
                if self.late():
                    raise OutOfTime
                self.overlay_records.append(self._tried(overlay, tour, small))
            except OutOfTime:
                message = f"the time was up with {len(chosen) - index} of {len(chosen)} overlays not tried"
                self._error("overlays", message, "", False)
                break
            self.progress.plans += 1
            self.report(self.progress)

    def late(self) -> bool:
        """Whether the time for trials of overlays is up."""
        return self.watch.elapsed() > self.trials_end

    def _tried(self, overlay: Overlay, tour: Sequence[Plan], small: bool) -> OverlayRecord:
        if overlay.kind == "control":
            return try_control(self, overlay, tour)
        return try_fault(self, overlay, tour, small) if overlay.kind == "fault" else try_fix(self, overlay)

    def record(self) -> RunRecord:
        """The record of what has happened so far."""
        return recorded(self)
