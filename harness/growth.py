"""How the price of a plan and the memory of a campaign grow: by steps, by tenants, by plans played."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from harness.campaign import Campaign
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.target import CROWD, Crowded, Target

Figures = dict[str, float]
"""Name (the unit in it) -> value."""

REPEATS = 3
"""Each plan is played so often; the least time counts."""
LIMIT = 900.0
"""Wall seconds one of these plans may take."""
LONGEST = 120.0
"""Processor seconds beyond which a longer plan is not played."""
STEPS = (10, 30, 100, 300, 1000)
TENANTS = (2, 5, 10, 20, 50)
HOUR = 3600.0
"""Virtual seconds that a bot serves so many tenants."""
EARLY = 100
"""Plans of a campaign after which memory is looked at first."""


def by_steps(plans: Sequence[Plan], pool: Pool, bare: Pool, figures: Figures) -> Iterator[str]:
    """Plans of more and more of the same steps, with the probes and on a `bare` bot, since a bot's own work may grow
    faster than the harness's; what a plan without steps costs is taken off."""
    stock = [step for plan in plans for step in plan.steps if step.who is not None]
    if not stock:
        return
    for name, which, whose in (("steps", pool, "by steps"), ("steps_bare", bare, "by steps, without probes")):
        base = min(which.run(Plan(), observe=which is pool).cpu_ms for _ in range(REPEATS))
        points: list[tuple[float, float]] = []
        for count in STEPS:
            steps = tuple(
                msgspec.structs.replace(stock[i % len(stock)], gap=0.05, join=i % 10 == 0) for i in range(count)
            )
            repeats = REPEATS if count < STEPS[-1] else 1
            played = [which.run(Plan(steps=steps), limit=LIMIT, observe=which is pool) for _ in range(repeats)]
            cost = min(outcome.cpu_ms for outcome in played)
            if any(outcome.trace is None for outcome in played):
                yield f"{count} steps: the plan did not end ({played[0].status})"
                break
            figures[f"{name}_{count}_cpu_ms"] = round(cost, 1)
            points.append((count, cost - base))
            if cost > LONGEST * 1000 / 4:
                break
        if len(points) > 2:
            figures[f"{name}_exponent"] = round(exponent(points), 2)
            told = ", ".join(f"{count:.0f}: {cost / 1000:.2f} s" for count, cost in points)
            yield f"cost {whose} ({told}): exponent {figures[f'{name}_exponent']:.2f}"


def by_tenants(target: Target, pool: Pool, figures: Figures) -> Iterator[str]:
    """The bot boots with so many tenants and serves them for an hour. What it costs with the twins alone is taken off,
    so that the exponent is that of the further tenants."""
    if not isinstance(target, Crowded):
        yield "tenants: this target offers no more than the twins, so that cost by their number cannot be told"
        return
    steps = (Step(entry="world", action="advance", payload={"seconds": HOUR}),)
    costs: dict[int, float] = {}
    for count in TENANTS:
        plan = Plan(before=f"{CROWD}{count - 2}", steps=steps)
        played = [pool.run(plan, limit=LIMIT) for _ in range(REPEATS)]
        if any(outcome.trace is None for outcome in played):
            yield f"{count} tenants: the plan did not end ({played[0].status}: {played[0].detail})"
            return
        costs[count] = min(outcome.cpu_ms for outcome in played)
        figures[f"tenants_{count}_cpu_ms"] = round(costs[count], 1)
    figures["tenants_exponent"] = round(
        exponent([(count - 2, cost - costs[2]) for count, cost in costs.items() if count > 2]), 2
    )
    told = ", ".join(f"{count}: {cost / 1000:.2f} s" for count, cost in costs.items())
    yield f"cost by tenants ({told}): exponent {figures['tenants_exponent']:.2f}"


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The e of cost = c * size ** e that fits (size, cost) best, on logarithms; costs that are not positive are left
    out. Raises statistics.StatisticsError for fewer than two sizes."""
    known = [(math.log(size), math.log(cost)) for size, cost in points if cost > 0]
    return statistics.linear_regression([size for size, _ in known], [cost for _, cost in known]).slope


def memory(plans: Sequence[Plan], pool: Pool, work: Campaign, figures: Figures) -> Iterator[str]:
    pool.jobs, former = 2, pool.jobs
    try:
        for done, some in (("early", plans[:EARLY]), ("late", plans[EARLY:])):
            work.play(some)
            for name, path in (("controller", "/proc/self/status"), ("zygote", f"/proc/{pool.pid}/status")):
                kib = _resident(Path(path))
                if kib is not None:
                    figures[f"{name}_mib_{done}"] = round(kib / 1024, 1)
    finally:
        pool.jobs = former
    for name in ("controller", "zygote"):
        early, late = figures.get(f"{name}_mib_early"), figures.get(f"{name}_mib_late")
        if early and late:
            figures[f"{name}_growth_ratio"] = round(late / early, 3)
            yield f"memory of the {name}: {early:.0f} MiB after {EARLY} plans, {late:.0f} MiB after {len(plans)}"


def _resident(status: Path) -> int | None:
    """KiB that a process holds in memory now; None where the platform does not say."""
    try:
        found = re.search(r"VmRSS:\s*(\d+) kB", status.read_text(encoding="ascii"))
    except OSError:
        return None
    return int(found[1]) if found else None
