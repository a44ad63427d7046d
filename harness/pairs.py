"""Pairs: one plan played with A beside B, with A beside a B that has other secrets, and with A alone: B does nothing,
or the bot has never heard of it.

Nothing that A observes may tell these runs apart. Every draw is keyed by whom the code acts for, the loop is
deterministic, and every step starts at the virtual time at which it did in the first run, so that B's absence moves
nothing by itself. Time on the clock is out of scope: where B made one of A's own doings happen earlier or later (it
kept a queue busy, say), what follows is not judged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from harness.clock import START
from harness.finding import Finding
from harness.forgery import names_other, places
from harness.observed import observations
from harness.offers import OTHER
from harness.plan import Plan, Step, cancels
from harness.pool import Outcome, Pool
from harness.principal import BYSTANDER, DIMENSION_FIELDS, Label
from harness.rules import interference
from harness.rules._evidence import Evidence
from harness.rules._scope import coarsest
from harness.rules.interference import Run, Variant
from harness.target import Facts
from harness.trace import StepRecord, Trace

AFTER = 0.001
"""Virtual seconds by which a step starts after the end of what it waited for."""

NOTHING = Step(entry="world", action="advance", payload={"seconds": 0})
"""What stands for a step of B's when B does nothing: later steps keep their numbers."""

VARIANTS: tuple[Variant, ...] = ("alone", "others", "absent")

Judge = Callable[[Trace], list[Finding]]
Result = Literal["equal", "moved", "explained", "differs", "lost"]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What came of holding A beside B against one variant. ``equal``: A observed the same; ``moved``: only what comes
    after a shift in time differs, or after a call to which the harness handed other numbers of A's rows, or
    the bot's schema let other things of A's be laid there from earlier days;
    ``explained``: another rule shows why; ``differs``: `finding` says where they part; ``lost``: one of the runs did
    not end. `outcome` is of the run beside B, or of the one that was lost."""

    plan: Plan
    variant: Variant
    result: Result
    outcome: Outcome
    finding: Finding | None = None


def pairable(plan: Plan, scoping: Collection[str]) -> bool:
    """Whether the plan can be played as a pair: twins that the bot's design keeps apart (`Facts.scoping`: two tenants,
    mostly two agents of one as well), both at work, and no failure that strikes by a count over both of them. Where
    both are cancelled, either observes uncancelled (`spared`)."""
    if DIMENSION_FIELDS[coarsest(plan.twins.dimension)] not in scoping or plan.twins.others:
        return False
    if any((step.entry, step.action) == ("world", "fail") and step.who is None for step in plan.steps):
        return False
    return {"A", "B"} <= {step.who for step in plan.steps}


def timed(plan: Plan, records: Sequence[StepRecord]) -> Plan:
    """`plan` without waits for other steps: each starts when it did in a run that left `records`. Of the tape only
    delays remain, which do not count what others do. Steps for which the harness takes from the other twin are left
    out."""
    known = {record.index: record for record in records}
    steps: list[Step] = []
    now: float | None = None
    for index, step in enumerate(plan.steps):
        record = known.get(index)
        gap = step.gap
        if record is not None and now is not None:
            gap = round(max(0.0, record.started - now) + (AFTER if step.join else 0.0), 6)
        kept = NOTHING if step.who and _takes_from_the_other(step) else step
        steps.append(msgspec.structs.replace(kept, gap=gap, join=False))
        if record is not None:
            now = record.ended if waits(step) else record.started
    if now is not None:
        # A run lasts as long as its longest step: without B's, what A's timers do after it would be missing.
        rest = max((record.ended for record in records), default=now) - now
        if rest > 0:
            steps.append(Step(entry="world", action="advance", payload={"seconds": round(rest + AFTER, 6)}))
    tape = tuple(deviation for deviation in plan.tape if deviation.kind == "delay")
    return msgspec.structs.replace(plan, steps=tuple(steps), tape=tape)


def _takes_from_the_other(step: Step) -> bool:
    """Whether the harness itself fills the step with what only the other twin has: found ids, its credential."""
    return step.payload.get("ids") == OTHER or any(field == "credential" for _, field in places(step.payload))


def waits(step: Step) -> bool:
    """Whether nothing happens in the step but that time passes."""
    return (step.entry, step.action) == ("world", "advance")


def swapped(plan: Plan) -> Plan:
    """`plan` with A and B in each other's places, that in the bot's own order included: A is always the one who
    observes, and what the bot does for all one after another it then does for B first."""
    places: dict[Label | None, Label | None] = {"A": "B", "B": "A", BYSTANDER: BYSTANDER, None: None}
    tape = tuple(
        msgspec.structs.replace(d, lineage=f"{places.get(who, who)}.{rest}") if dot else d
        for d, (who, dot, rest) in ((d, d.lineage.partition(".")) for d in plan.tape)
    )
    steps = tuple(msgspec.structs.replace(step, who=places[step.who]) for step in plan.steps)
    twins = msgspec.structs.replace(plan.twins, first="B" if plan.twins.first == "A" else "A")
    return msgspec.structs.replace(plan, twins=twins, steps=steps, tape=tape)


def spared(plan: Plan) -> Plan:
    """`plan` without A's cancellations: what of A's is in flight when they strike is a matter of time. B's
    stay, and must not be felt by A."""
    steps = tuple(
        msgspec.structs.replace(NOTHING, gap=step.gap) if step.who == "A" and cancels(step) else step
        for step in plan.steps
    )
    return msgspec.structs.replace(plan, steps=steps)


def thinned(plan: Plan, odd: int = 0) -> Plan:
    """`plan` in which A leaves out every other thing that B does as well, beginning with the first or (`odd` is 1) the
    second. Where both do the same, what B's doing changes for A is often what A's own has changed already, and nobody
    sees it."""
    theirs = {_what(step) for step in plan.steps if step.who == "B"}
    both = [what for what in dict.fromkeys(_what(step) for step in plan.steps if step.who == "A") if what in theirs]
    left_out = set(both[odd::2])
    steps = tuple(
        msgspec.structs.replace(NOTHING, gap=step.gap) if step.who == "A" and _what(step) in left_out else step
        for step in plan.steps
    )
    return msgspec.structs.replace(plan, steps=steps)


def _what(step: Step) -> tuple[str, str, str]:
    return step.entry, step.action, repr(step.payload)


def variant_of(plan: Plan, variant: Variant) -> Plan:
    """The other run's plan."""
    if variant == "others":
        return msgspec.structs.replace(plan, twins=msgspec.structs.replace(plan.twins, others=1))
    steps = tuple(msgspec.structs.replace(NOTHING, gap=step.gap) if step.who == "B" else step for step in plan.steps)
    twins = msgspec.structs.replace(plan.twins, absent=variant == "absent")
    return msgspec.structs.replace(plan, twins=twins, steps=steps)


def play(
    pool: Pool, plans: Iterable[Plan], facts: Facts, judge: Judge, *,
    variants: Sequence[Variant] = (), stop: Callable[[], bool] = lambda: False,
) -> Iterator[list[Pair]]:  # fmt: skip
    """Play each plan beside B and in its `variants` (none named: without B's doings, and with other secrets of B's),
    and hold the runs against each other; one list a plan, in order. Once `stop()` is true no further run is started,
    and a plan of which one is missing is left out."""
    waited: deque[Sequence[Variant]] = deque()

    def runs() -> Iterator[Plan]:
        for plan in plans:
            these = variants or (_without(plan), "others")
            waited.append(these)
            yield plan
            for variant in these:
                yield variant_of(plan, variant)

    gathered: list[Outcome] = []
    for outcome in pool.map(runs(), paired=True, stop=stop):
        gathered.append(outcome)
        if len(gathered) == 1 + len(waited[0]):
            yield _held_against(gathered, waited.popleft(), facts, judge)
            gathered = []


def _without(plan: Plan) -> Variant:
    """Half of all plans, always the same ones, are played without any B, the rest with one who does nothing. Of whom A
    speaks is there: that somebody is, no bot can keep from whoever names him."""
    named = any(step.who == "A" and names_other(step.payload) for step in plan.steps)
    return "alone" if named or int(plan.digest(), 16) % 2 else "absent"


def judged(
    pool: Pool, plans: Sequence[Plan], facts: Facts, judge: Judge, *, rule: str,
    variants: Sequence[Variant] = VARIANTS, stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Outcome, list[Finding]]]:  # fmt: skip
    """Play each plan as findings of `rule` need it, as a pair or by itself: what came of it, and its findings."""
    if rule != interference.RULE:
        for outcome in pool.map(plans, stop=stop):
            yield outcome, judge(outcome.trace) if outcome.trace is not None else []
        return
    for made in play(pool, plans, facts, judge, variants=variants, stop=stop):
        lost = next((pair.outcome for pair in made if pair.result == "lost"), made[0].outcome)
        yield lost, _distinct(pair.finding for pair in made if pair.finding is not None)


def variants_of(finding: Finding) -> tuple[Variant, ...]:
    """The variants that can show a finding again: the one that showed it."""
    return tuple(variant for variant in VARIANTS if finding.variant in ("", variant))


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.fingerprint, finding)
    return list(first.values())


def _held_against(outcomes: Sequence[Outcome], variants: Sequence[Variant], facts: Facts, judge: Judge) -> list[Pair]:
    """The pairs of one plan: its first outcome against each of the others, in the order of `variants`."""
    plan, beside = outcomes[0].plan, _run(outcomes[0], facts)
    findings: list[Finding] | None = None
    pairs = []
    for variant, outcome in zip(variants, outcomes[1:], strict=True):
        other = _run(started_with(outcome, outcomes[0]), facts)
        if beside is None or other is None:
            lost = outcomes[0] if beside is None else outcome
            pairs.append(Pair(plan=plan, variant=variant, result="lost", outcome=lost))
            continue
        difference = interference.first_difference(beside, other)
        result: Result = "equal"
        found: Finding | None = None
        if difference is not None:
            findings = judge(beside.evidence.trace) if findings is None else findings
            if interference.explained(difference, beside, other, findings):
                result = "explained"
            elif (
                outcomes[0].laid != outcome.laid
                or _asked_otherwise(difference.at, beside.evidence.trace, other.evidence.trace)
                or _struck_otherwise(difference.at, beside.evidence.trace, other.evidence.trace, plan)
                or interference.moved_before(difference, interference.moves(beside.evidence, other.evidence))
            ):
                result = "moved"
            else:
                result, found = "differs", interference.finding(difference, beside, other, variant)
        pairs.append(Pair(plan=plan, variant=variant, result=result, finding=found, outcome=outcomes[0]))
    return pairs


def _asked_otherwise(at: float, beside: Trace, other: Trace) -> bool:
    """Whether the harness had handed other numbers to one of A's calls by then, or had found nothing to make it with
    in one of the runs. Numbers of A's own rows count over all tenants; it is the harness that looked them up, not A who
    was told them."""
    asked = {record.index: _asked(record) for record in other.steps}
    mine = (record for record in beside.steps if record.who == "A" and record.started <= at)
    return any(_asked(record) != asked.get(record.index, _asked(record)) for record in mine)


def _asked(record: StepRecord) -> tuple[tuple[str, ...], bool]:
    return record.lent, record.call and record.outcome == "unmet"


def _struck_otherwise(at: float, beside: Trace, other: Trace, plan: Plan) -> bool:
    """Whether by then the tape had made A wait longer at one point of its work in one run and at another in the other:
    waits are counted, and who finds something in a memo waits once less."""
    return _struck(at, beside, plan) != _struck(at, other, plan)


def _struck(at: float, trace: Trace, plan: Plan) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    """The waits of A's until then that the tape changed: flow, site, and what the flow had done before."""
    met = {(plan.tape[entry].lineage, site, number) for entry, site, number in trace.met}
    return sorted(
        (wait.lineage, wait.site, _done(trace, wait.lineage, wait.seq))
        for wait in trace.waits
        if (wait.lineage, wait.site, wait.number) in met and wait.lineage.startswith("A.") and wait.time <= at
    )


def _done(trace: Trace, lineage: str, seq: int) -> list[tuple[str, ...]]:
    mine = (access for access in trace.accesses[:seq] if access.lineage == lineage)
    return [(access.sink, access.op, access.surface, access.site.function) for access in mine]


def started_with(outcome: Outcome, beside: Outcome) -> Outcome:
    """`outcome` as if its steps had begun when those of `beside` did: a bot that does something at its start for each
    whom it knows, one after another, is ready sooner where it knows fewer."""
    trace = outcome.trace
    first, model = (
        min(one.trace.steps, key=lambda record: record.index, default=None) if one.trace is not None else None
        for one in (outcome, beside)
    )
    if trace is None or first is None or model is None or first.started == model.started:
        return outcome
    by, since = model.started - first.started, first.first_seq

    def later(time: float) -> float:
        return round(time + by, 9)

    moved = msgspec.structs.replace(
        trace,
        accesses=tuple(
            a if a.seq < since else msgspec.structs.replace(a, time=later(a.time)) for a in trace.accesses
        ),
        steps=tuple(
            msgspec.structs.replace(r, started=later(r.started), ended=later(r.ended)) for r in trace.steps
        ),
        waits=tuple(w if w.seq < since else msgspec.structs.replace(w, time=later(w.time)) for w in trace.waits),
    )  # fmt: skip
    return msgspec.structs.replace(outcome, trace=moved)


def _run(outcome: Outcome, facts: Facts) -> Run | None:
    if outcome.trace is None:
        return None
    evidence = Evidence(outcome.trace, facts)
    taken = {(a.sink, a.surface): a.time for a in evidence.trace.accesses if a.op == "delete" and a.owner == "A"}
    return Run(evidence, observations(evidence, outcome.holdings, START, outcome.missing), taken)
