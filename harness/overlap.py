"""Hunts for faults that show only where flows overlap in a certain order: explored plans under the fault's overlay,
until its rule finds it where it says."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from harness.exploring import Explorer, How
from harness.finding import Finding
from harness.origins import origins
from harness.plan import Plan
from harness.pool import Outcome, Pool
from harness.shrink import shrink
from harness.target import Action, Facts, Overlay, Target, states_of
from harness.trace import Access, Trace

WITHIN = 500
"""Plans a fault is hunted for at most, those in FIFO order included."""

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

    while count < within and not late():
        # Nothing else can be played while plans are under way: those end first.
        for outcome in explorer.play(ground.pool, within - count, aim=near, stop=lambda: bool(hits) or late()):
            count += 1
            tick()
            for finding in ground.judge(outcome.trace) if outcome.trace is not None else ():
                right = [rule for rule in finding.rules if speaks_of(overlay, finding, (rule,))]
                hits.extend((outcome, finding, rule) for rule in right if plain[finding.fingerprint, rule] < DOUBTS)
                if not right:
                    others[f"{finding.rule} on {finding.surface}"] = None
        for outcome, finding, rule in hits:
            if _shows(ground, finding.fingerprint, rule, [msgspec.structs.replace(outcome.plan, overlays=())])[0]:
                plain[finding.fingerprint, rule] += 1
                continue
            plan = _smaller(ground, finding, rule, outcome) if small else outcome.plan
            return Hunt(overlay=overlay.name, plans=count, finding=finding, plan=plan)
        hits.clear()
    return Hunt(overlay=overlay.name, plans=count, instead=tuple(others))


def _smaller(ground: Ground, finding: Finding, rule: str, outcome: Outcome) -> Plan:
    plan, _ = shrink(
        outcome.plan,
        lambda plans: _shows(ground, finding.fingerprint, rule, plans),
        likely=origins(outcome.plan, outcome.trace, finding),
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


def _shows(ground: Ground, fingerprint: str, rule: str, plans: Sequence[Plan]) -> list[bool]:
    return [
        outcome.trace is not None
        and any(f.fingerprint == fingerprint and rule in f.rules for f in ground.judge(outcome.trace))
        for outcome in ground.pool.map(plans)
    ]
