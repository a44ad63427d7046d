"""Confirms what a campaign found: each witness is made small, then played again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from harness import pairs
from harness.diagnosis import Difference, first_difference
from harness.finding import Finding, absorb
from harness.memory import Stopwatch
from harness.origins import origins
from harness.plan import Plan
from harness.pool import Outcome, Pool
from harness.shrink import shrink
from harness.target import Facts
from harness.trace import Trace
from harness.witness import Witnessed

SHORT = 4
"""Steps of a plan that need not be cut down before others are."""

HURRIED = 2
"""Replays of each witness once the time for confirming is over."""


class Ground(Protocol):
    """What confirming needs of a campaign: its findings so far, and how to play and judge."""

    pool: Pool
    facts: Facts
    found: dict[str, Witnessed]
    watch: Stopwatch

    def judge(self, trace: Trace) -> list[Finding]:
        """Findings of one trace."""

    def shows(self, fingerprint: str, plans: Sequence[Plan], rule: str) -> list[bool]:
        """Of each plan, whether it shows the finding, by that rule."""


def confirm(
    ground: Ground, replays: int, seconds: float, done: Callable[[str, int, int, Difference | None], None],
    *, end: float = math.inf,
) -> int:  # fmt: skip
    """Shrink and replay every finding. `seconds` of wall time are shared out evenly over what is left to shrink; what a
    finding does not need is the next one's. `done` is called after each with its fingerprint, the replays that showed
    it, how many there were, and where one of them parted from the first. When the campaign's time is over (`end`, on
    its watch) the rest is left as it is; returns how many."""
    elapsed = ground.watch.elapsed
    within = min(elapsed() + seconds, end)
    _cut(ground, within)
    for index, (fingerprint, witnessed) in enumerate(ground.found.items()):
        now = elapsed()
        if now > end:
            return len(ground.found) - index
        until = now + (within - now) / (len(ground.found) - index)
        plan, _ = shrink(
            witnessed.plan,
            # What is found by several rules is witnessed by the most telling.
            lambda plans, f=fingerprint, rule=witnessed.finding.rule: ground.shows(f, plans, rule),  # type: ignore[misc]
            width=ground.pool.jobs,
            late=lambda until=until: elapsed() > until,  # type: ignore[misc]
            trace=witnessed.trace,
        )
        wanted = replays if elapsed() < within else min(HURRIED, replays)
        hits = 0
        first: Trace | None = None
        parted: Difference | None = None
        for outcome, findings in _again(ground, witnessed.finding.rule, plan, wanted):
            if outcome.trace is not None:
                first = first or outcome.trace
                parted = parted or first_difference(first, outcome.trace)
            for finding in findings:
                if finding.fingerprint == fingerprint:
                    hits += 1
                    witnessed.finding, witnessed.trace = absorb(finding, witnessed.finding), outcome.trace
        witnessed.plan, witnessed.replays = plan, (hits, wanted)
        done(fingerprint, hits, wanted, parted)
    return 0


def _cut(ground: Ground, end: float) -> None:
    """Cut the long plans down to the steps that their traces name, before any is gone into: that costs a few runs each
    and takes most of their steps."""
    elapsed = ground.watch.elapsed
    long = [(f, witnessed) for f, witnessed in ground.found.items() if len(witnessed.plan.steps) > SHORT]
    for index, (fingerprint, witnessed) in enumerate(long):
        now = elapsed()
        until = now + (end - now) / (len(long) - index)
        witnessed.plan, _ = shrink(
            witnessed.plan,
            lambda plans, f=fingerprint, rule=witnessed.finding.rule: ground.shows(f, plans, rule),  # type: ignore[misc]
            likely=origins(witnessed.plan, witnessed.trace, witnessed.finding),
            trace=witnessed.trace,
            width=ground.pool.jobs,
            late=lambda until=until: elapsed() > until,  # type: ignore[misc]
            thorough=False,
        )


def _again(ground: Ground, rule: str, plan: Plan, replays: int) -> Iterator[tuple[Outcome, list[Finding]]]:
    """The witness's replays: forks of the zygote; without fork, where plans leave traces behind, a fresh process for
    each."""
    pool = ground.pool
    for _ in range(0 if pool.fork else replays):
        with pool.fresh() as fresh:
            yield from pairs.judged(fresh, [plan], ground.facts, ground.judge, rule=rule)
    if pool.fork:
        yield from pairs.judged(pool, [plan] * replays, ground.facts, ground.judge, rule=rule)
