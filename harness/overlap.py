"""Hunts for faults that show only where flows overlap in a certain order: explored plans under the fault's overlay,
until its rule finds it where it says."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from harness import pairs
from harness.exploring import Explorer, How
from harness.finding import Finding
from harness.origins import origins
from harness.pairing import Pairing
from harness.pairs import Pair
from harness.plan import Plan
from harness.pool import Outcome, Pool
from harness.rules.interference import RULE
from harness.shrink import shrink
from harness.target import Action, Facts, Overlay, Target, states_of
from harness.trace import Access, Trace

WITHIN = 500
"""Plans a fault is hunted for at most, those in FIFO order included."""

PORTION = 40
"""Plans after which those that are to be felt are played as pairs."""

DOUBTS = 3
"""Plans on which plain code shows the same, after which no further one is looked at for it."""


class Ground(Protocol):
    """What a hunt needs: where plans are played, and how traces are judged."""

    pool: Pool
    facts: Facts
    target: Target

    def judge(self, trace: Trace) -> list[Finding]:
        """Findings of one trace."""


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """How a hunt ended: after so many `plans`, with the finding and its plan (made small when asked for), or with what
    was found `instead` (rule and surface)."""

    overlay: str
    plans: int
    finding: Finding | None = None
    plan: Plan | None = None
    instead: tuple[str, ...] = ()

    @property
    def delays_only(self) -> bool:
        """Whether the witness needs no order that only a hold makes."""
        return self.plan is not None and all(deviation.kind == "delay" for deviation in self.plan.tape)


def hunt(
    ground: Ground,
    overlay: Overlay,
    actions: Sequence[Action],
    seed: int = 0,
    how: How = "mixed",
    within: int = WITHIN,
    small: bool = True,
    tick: Callable[[], None] = lambda: None,
    late: Callable[[], bool] = lambda: False,
) -> Hunt:
    """Explore under `overlay` until a finding speaks of it that the same plan does not show without, or it is `late`.
    Schedules are drawn only for plans in which both twins touch what its `overlap` names. `tick` is called after every
    plan."""
    explorer = Explorer(
        actions, seed, how=how, states=states_of(ground.target)[:2], overlays=(overlay.name,),
        answers=ground.facts.answers,
    )  # fmt: skip
    plain: Counter[tuple[str, str]] = Counter()
    others: dict[str, None] = {}
    hits: list[tuple[Outcome, Finding, str]] = []
    count = 0

    def near(trace: Trace) -> list[Access]:
        return [
            a for a in trace.accesses if a.actor and a.step >= 0 and fnmatch.fnmatchcase(a.surface, overlay.overlap)
        ]

    def take(outcome: Outcome, found: Sequence[Finding]) -> None:
        for finding in found:
            right = [rule for rule in finding.rules if speaks_of(overlay, finding, (rule,))]
            hits.extend((outcome, finding, rule) for rule in right if plain[finding.fingerprint, rule] < DOUBTS)
            if not right:
                others[f"{finding.rule} on {finding.surface}"] = None

    felt = overlay.rule == RULE
    while count < within and not late():
        met: list[Outcome] = []
        portion = min(PORTION, within - count) if felt else within - count
        # Nothing else can be played while plans are under way: those end first.
        for outcome in explorer.play(ground.pool, portion, aim=near, stop=lambda: bool(hits) or late()):
            count += 1
            tick()
            if outcome.trace is not None:
                take(outcome, ground.judge(outcome.trace))
                if felt and len({access.actor for access in near(outcome.trace)}) > 1:
                    met.append(outcome)
        for pair in _felt(ground, met, late):
            take(pair.outcome, [pair.finding] if pair.finding is not None else [])
        for outcome, finding, rule in hits:
            if _shows(ground, finding, rule, [msgspec.structs.replace(outcome.plan, overlays=())])[0]:
                plain[finding.fingerprint, rule] += 1
                continue
            plan = _smaller(ground, finding, rule, outcome) if small else outcome.plan
            return Hunt(overlay=overlay.name, plans=count, finding=finding, plan=plan)
        hits.clear()
    return Hunt(overlay=overlay.name, plans=count, instead=tuple(others))


def _felt(ground: Ground, met: Sequence[Outcome], late: Callable[[], bool]) -> Iterator[Pair]:
    """These plans as pairs, one way each."""
    pairing = Pairing(ground.facts.scoping)
    for outcome in met:
        if outcome.trace is not None:
            pairing.add(outcome.plan, outcome.trace, clean=True)
    for made in pairs.play(ground.pool, pairing.chosen(len(met)), ground.facts, ground.judge, stop=late):
        yield from made


def _smaller(ground: Ground, finding: Finding, rule: str, outcome: Outcome) -> Plan:
    plan, _ = shrink(
        outcome.plan,
        lambda plans: _shows(ground, finding, rule, plans),
        likely=origins(outcome.plan, outcome.trace, finding) if rule != RULE else (),
        trace=outcome.trace,
    )
    return plan


def speaks_of(overlay: Overlay, finding: Finding, rules: Collection[str] | None = None) -> bool:
    """Whether some place of the finding is the overlay's; `rules` are those that count, by default all."""
    return any(
        overlay.speaks_of(place.rule, place.surface, (place.site, *place.stack), place.dimension)
        for place in finding.places
        if rules is None or place.rule in rules
    )


def _shows(ground: Ground, finding: Finding, rule: str, plans: Sequence[Plan]) -> list[bool]:
    played = pairs.judged(
        ground.pool, plans, ground.facts, ground.judge, rule=rule, variants=pairs.variants_of(finding)
    )
    return [
        any(other.fingerprint == finding.fingerprint and rule in other.rules for other in found) for _, found in played
    ]
