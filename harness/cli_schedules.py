"""`isolation overlays --schedules`: how many explored plans each kind of schedule needs for each fault of order."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

import click
import msgspec

from harness import riskmap
from harness.exploring import How
from harness.finding import Finding
from harness.judge import judge
from harness.overlap import Hunt, hunt
from harness.pool import Pool
from harness.target import Overlay, Target
from harness.trace import Trace


class Field:
    """Where hunts take place: a booted target and what its risk map demands."""

    def __init__(self, pool: Pool, target: Target) -> None:
        self.pool = pool
        self.target = target
        self.facts = target.facts()
        self.demands = riskmap.load(target.risk_map()).demands(self.facts.name)

    def judge(self, trace: Trace) -> list[Finding]:
        """Findings of one trace."""
        return judge(trace, self.facts, self.demands)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One hunt of a comparison."""

    how: How
    seed: int
    hunt: Hunt


def compare(
    field: Field,
    faults: Sequence[Overlay],
    hows: Sequence[How],
    seeds: Sequence[int],
    within: int,
    tick: Callable[[str], None],
) -> Iterator[Result]:
    """Hunt each fault under each kind of schedule with each seed. `tick` gets a line of progress after every plan."""
    for fault in faults:
        for how in hows:
            for seed in seeds:
                line = f"{fault.name}: {how}, seed {seed}"
                ended = hunt(
                    field,
                    fault,
                    field.target.actions(),
                    seed,
                    how,
                    within,
                    tick=lambda line=line: tick(line),  # type: ignore[misc]
                )
                yield Result(how=how, seed=seed, hunt=ended)


def told(result: Result) -> str:
    """One line of the table."""
    ended = result.hunt
    where = f"{ended.overlay:34} {result.how:8} seed {result.seed:<3}"
    if ended.plan is None or ended.finding is None:
        said = f"; instead: {', '.join(ended.instead[:3])}" if ended.instead else ""
        return f"{where} not found in {ended.plans} plans{said}"
    size = f"{len(ended.plan.steps)} steps, {len(ended.plan.tape)} deviations"
    order = ", delays alone" if ended.plan.tape and ended.delays_only else ""
    return f"{where} plan {ended.plans:<4} {size}{order}: {ended.finding.rule} on {ended.finding.surface}"


def summary(results: Sequence[Result]) -> Iterator[str]:
    """A line for each kind of schedule: faults found, and the medians of plans, steps and deviations."""
    for how in dict.fromkeys(result.how for result in results):
        those = [result for result in results if result.how == how]
        found = [result.hunt for result in those if result.hunt.plan is not None]
        names = {result.hunt.overlay for result in those}
        always = names - {result.hunt.overlay for result in those if result.hunt.plan is None}
        line = f"{how}: {len(found)} of {len(those)} hunts; {len(always)} of {len(names)} faults with every seed"
        if found:
            plans = [hunt.plan for hunt in found if hunt.plan is not None]
            delays = sum(hunt.delays_only for hunt in found)
            line += (
                f"; median {statistics.median(hunt.plans for hunt in found):.0f} plans, "
                f"{statistics.median(len(plan.steps) for plan in plans):.0f} steps, "
                f"{statistics.median(len(plan.tape) for plan in plans):.0f} deviations; "
                f"delays alone reach {delays} of {len(found)}"
            )
        yield line


def show(results: Iterator[Result]) -> bool:
    """Print the table as it comes; whether every hunt found its fault."""
    kept: list[Result] = []
    for result in results:
        kept.append(result)
        click.echo(told(result))
    for line in summary(kept):
        click.echo(line)
    return all(result.hunt.plan is not None for result in kept)
