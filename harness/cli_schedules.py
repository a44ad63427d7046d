"""`isolation overlays --schedules`: how many explored plans each kind of schedule needs for each fault of order."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from harness import riskmap
from harness.exploring import How
from harness.finding import Finding
from harness.judge import judge
from harness.overlap import Hunt, hunt
from harness.plan import Plan
from harness.pool import Outcome, Pool
from harness.target import Overlay, Target
from harness.trace import Trace

KEPT = 150_000
"""Accesses in the outcomes of plans in FIFO order that are kept."""


class Kept:
    """A pool that plays a plan in FIFO order once: the hunts of one fault with one seed begin with the same plans, and
    the same plan gives the same trace."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._outcomes: dict[str, Outcome] = {}
        self._accesses = 0

    def map(self, plans: Iterable[Plan], *, choices: bool = False, **how: Any) -> Iterator[Outcome]:
        """As `Pool.map`."""
        if not choices:
            yield from self._pool.map(plans, **how)
            return
        wanted = list(plans)
        new = [plan for plan in wanted if plan.digest() not in self._outcomes]
        if new and self._accesses > KEPT:
            self._outcomes.clear()
            self._accesses, new = 0, wanted
        for outcome in self._pool.map(new, choices=True, **how):
            self._outcomes[outcome.plan.digest()] = outcome
            self._accesses += len(outcome.trace.accesses) if outcome.trace is not None else 0
        yield from (self._outcomes[plan.digest()] for plan in wanted if plan.digest() in self._outcomes)


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
    small: bool = True


def compare(
    field: Field,
    faults: Sequence[Overlay],
    hows: Sequence[How],
    seeds: Sequence[int],
    within: int,
    tick: Callable[[str], None],
) -> Iterator[Result]:
    """Hunt each fault under each kind of schedule with each seed; all with one seed before the next one. The witnesses
    of the first seed are made small. `tick` gets a line of progress after every plan."""
    kept: Any = Kept(field.pool)
    ground = Field(kept, field.target)
    for seed in seeds:
        for fault in faults:
            for how in hows:
                line = f"{fault.name}: {how}, seed {seed}"
                ended = hunt(
                    ground,
                    fault,
                    field.target.actions(),
                    seed,
                    how,
                    within,
                    small=seed == seeds[0],
                    tick=lambda line=line: tick(line),  # type: ignore[misc]
                )
                yield Result(how=how, seed=seed, hunt=ended, small=seed == seeds[0])


def told(result: Result) -> str:
    """One line of the table."""
    ended = result.hunt
    where = f"{ended.overlay:34} {result.how:8} seed {result.seed:<3}"
    if ended.plan is None or ended.finding is None:
        said = f"; instead: {', '.join(ended.instead[:3])}" if ended.instead else ""
        return f"{where} not found in {ended.plans} plans{said}"
    size = f"{len(ended.plan.steps)} steps, {len(ended.plan.tape)} deviations" if result.small else "as played"
    order = ", delays alone" if result.small and ended.plan.tape and ended.delays_only else ""
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
            line += f"; median {statistics.median(hunt.plans for hunt in found):.0f} plans"
        small = [result.hunt for result in those if result.small and result.hunt.plan is not None]
        if small:
            plans = [hunt.plan for hunt in small if hunt.plan is not None]
            line += (
                f"; {len(small)} made small: median {statistics.median(len(plan.steps) for plan in plans):.0f} steps, "
                f"{statistics.median(len(plan.tape) for plan in plans):.0f} deviations; "
                f"delays alone reach {sum(hunt.delays_only for hunt in small)} of {len(small)}"
            )
        yield line


def row(result: Result) -> dict[str, Any]:
    """One hunt as plain data: ``plans`` until found or given up, ``steps`` and ``deviations`` of the small witness."""
    ended = result.hunt
    found: dict[str, Any] = {}
    if ended.plan is not None and ended.finding is not None:
        finding = ended.finding
        found = {"rule": finding.rule, "surface": finding.surface, "fingerprint": finding.fingerprint}
        if result.small:
            size = {"steps": len(ended.plan.steps), "deviations": len(ended.plan.tape)}
            found |= {**size, "delays_only": ended.delays_only, "witness": msgspec.to_builtins(ended.plan)}
    return {
        "fault": ended.overlay, "schedule": result.how, "seed": result.seed, "found": ended.plan is not None,
        "plans": ended.plans, **found, "instead": list(ended.instead),
    }  # fmt: skip


def show(results: Iterator[Result], out: Path | None = None) -> bool:
    """Print the table as it comes, and write it to the folder `out` as JSON after each hunt; whether every hunt found
    its fault."""
    kept: list[Result] = []
    for result in results:
        kept.append(result)
        click.echo(told(result))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            table = {"hunts": [row(one) for one in kept], "summary": list(summary(kept))}
            (out / "schedules.json").write_text(json.dumps(table, indent=1, ensure_ascii=False), encoding="utf-8")
    for line in summary(kept):
        click.echo(line)
    return all(result.hunt.plan is not None for result in kept)
