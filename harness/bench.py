"""Timings: the price of the loop and of the probes, plans a second, how cost and memory grow. Not part of the tests.

Everything is told as processor time or as a ratio of two measurements made in turn, since other work on the machine
lengthens wall time. Only the gain of a second worker is a ratio of wall times; it wants an idle machine.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness import growth, riskmap, strategies, touring
from harness.campaign import Campaign
from harness.clock import VirtualClock
from harness.growth import LIMIT, LONGEST, REPEATS, Figures
from harness.loop import IsolationLoop
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.profiles import Profile
from harness.scanner import TokenScanner
from harness.target import Target, states_of

ROUNDS = 50
HOPS = 50_000
PAIRS = 7
DAY = 86_400.0
TRIAL = 600.0
"""Virtual seconds played first, to tell how long a day would take."""


def measure(
    spec: str,
    target: Target,
    root: Path | None,
    db_root: Path | None,
    count: int,
    figures: Figures,
    campaign: int = 0,
    progress: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """Lines of figures, as they come; `figures` is filled with the same by name. `count` drawn plans and as many of the
    tour are played with the probes on and without any. With `campaign` that many plans are played and judged as in a
    campaign, to see how memory grows. `progress` is told what is measured next."""
    figures["load_average"] = _load()
    progress("the scanner and the loop")
    yield _scanner(target, figures)
    yield _hop(figures)
    progress("booting the target twice, with and without probes")
    with (
        Pool(spec, root=root, db_root=db_root, jobs=1) as pool,
        Pool(spec, root=root, db_root=db_root, jobs=1, bare=True) as bare,
    ):
        ready = pool.ready
        figures["boot_seconds"] = round(ready.seconds, 2)
        figures["memory_mib"] = round(ready.rss_kib / 1024)
        threads = ", ".join(ready.threads) or "none"
        yield f"boot: {ready.seconds:.1f} s, {figures['memory_mib']:.0f} MiB, threads: {threads}"
        mapped = riskmap.load(target.risk_map())
        work = Campaign(pool, target, mapped, Profile(plans=0, seconds=math.inf, replays=0, overlays=False))
        reset = min(bare.run(Plan(), limit=LIMIT, observe=False).cpu_ms for _ in range(2 * REPEATS))
        figures["reset_ms"] = round(reset, 1)
        for name, plans in _plans(target, pool, mapped, count).items():
            progress(f"{len(plans)} {name} plans, {REPEATS} times with and without probes")
            yield from _overhead(name, plans, pool, bare, work, figures)
        progress(f"{2 * count} plans with one worker and with two")
        yield from _workers(_drawn(target, pool, 2 * count, 3), pool, figures)
        progress("a day without anybody")
        yield _day(pool, figures)
        progress("plans of more and more steps")
        yield from growth.by_steps(_drawn(target, pool, 40, 5), pool, bare, figures)
        progress("more and more tenants")
        yield from growth.by_tenants(target, pool, figures)
        if campaign:
            progress(f"memory over {campaign} plans")
            yield from growth.memory(_drawn(target, pool, campaign, 9), pool, work, figures)


def _load() -> float:
    """What else keeps this machine busy: the mean of what wanted to run in the last minute. 0 where it is not told."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0


def _scanner(target: Target, figures: Figures) -> str:
    scanner = TokenScanner(target.twins(TwinSpec()))
    clean = "the quick brown fox jumps over the lazy dog 0123456789 abcdef " * 1600
    began = time.process_time()
    for turn in range(ROUNDS):
        scanner.scan(f"{turn}{clean}")
    figures["scanner_ms"] = round((time.process_time() - began) / ROUNDS * 1000, 3)
    figures["scanner_kb"] = round(len(clean) / 1000)
    return f"scanner: {figures['scanner_ms']:.3f} ms for {figures['scanner_kb']:.0f} KB of clean text"


def _hop(figures: Figures) -> str:
    """A hop is one round of the loop: a task that yields and is resumed."""
    asyncio.run(_hops(HOPS))
    pairs = []
    for _ in range(PAIRS):
        took = []
        for loop in (IsolationLoop(clock=VirtualClock(), max_callbacks=10 * HOPS), asyncio.new_event_loop()):
            began = time.process_time()
            loop.run_until_complete(_hops(HOPS))
            took.append((time.process_time() - began) / HOPS * 1e6)
            loop.close()
        pairs.append((took[0], took[1]))
    figures["loop_hop_us"] = round(statistics.median(ours for ours, _ in pairs), 3)
    figures["stock_hop_us"] = round(statistics.median(stock for _, stock in pairs), 3)
    figures["loop_hop_ratio"] = round(statistics.median(ours / stock for ours, stock in pairs), 3)
    return (
        f"loop: {figures['loop_hop_us']:.2f} us a hop, stock asyncio {figures['stock_hop_us']:.2f} us, "
        f"ratio {figures['loop_hop_ratio']:.2f}"
    )


async def _hops(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _drawn(target: Target, pool: Pool, count: int, seed: int) -> list[Plan]:
    facts = target.facts()
    actions = [*target.actions(), *pool.ready.calls]
    states = states_of(target)
    return strategies.generate(
        actions, count, seed, hostile=facts.hostile, states=states, third=facts.third, switches=facts.switches
    )


def _plans(target: Target, pool: Pool, mapped: riskmap.RiskMap, count: int) -> dict[str, list[Plan]]:
    facts = target.facts()
    actions = [*target.actions(), *pool.ready.calls]
    claimed = mapped.dimensions(facts.name, facts.generation)
    tour = touring.tour(actions, claimed, facts.hostile, states_of(target))
    spread = [tour[index * len(tour) // count] for index in range(min(count, len(tour)))]
    return {"drawn": _drawn(target, pool, count, 1), "tour": spread}


def _overhead(
    name: str, plans: Sequence[Plan], pool: Pool, bare: Pool, work: Campaign, figures: Figures
) -> Iterator[str]:
    on: list[float] = []
    off: list[float] = []
    fork: list[float] = []
    judging: list[float] = []
    accesses = steps = 0
    for plan in plans:
        least: list[float] = []
        pool.run(plan, limit=LIMIT)  # what it teaches the zygote is taught once a campaign
        for which in (pool, bare):
            played = [which.run(plan, limit=LIMIT, observe=which is pool) for _ in range(REPEATS)]
            fork += [outcome.fork_ms for outcome in played]
            if all(outcome.trace is not None for outcome in played):
                least.append(min(outcome.cpu_ms for outcome in played))
            if which is pool and (trace := played[0].trace) is not None:
                accesses += len(trace.accesses)
                steps += len(trace.steps)
                began = time.process_time()
                work.judge(trace)
                judging.append((time.process_time() - began) * 1000)
        if len(least) == 2:
            on.append(least[0])
            off.append(least[1])
    if not on:
        yield f"{name} plans: none ended both with and without probes; there is nothing to tell"
        return
    forking, judged = statistics.median(fork), statistics.mean(judging)
    made = {
        f"{name}_steps": steps / len(plans),
        f"{name}_accesses": accesses / len(plans),
        f"{name}_cpu_ms": statistics.mean(on),
        f"{name}_cpu_ms_bare": statistics.mean(off),
        f"{name}_overhead_ratio": sum(on) / sum(off),
        f"{name}_judge_ms": judged,
        f"{name}_plans_per_cpu_second": 1000 / (statistics.mean(on) + forking + judged),
        f"{name}_plans_per_cpu_second_bare": 1000 / (statistics.mean(off) + forking),
    }
    figures["fork_ms"] = round(forking, 1)
    whole = statistics.mean(on) + forking + judged
    reset = min(figures["reset_ms"], statistics.mean(off))
    shares = {
        "reset": reset + forking,
        "bot": statistics.mean(off) - reset,
        "probes": statistics.mean(on) - statistics.mean(off),
        "judging": judged,
    }
    made |= {f"{name}_share_{part}": took / whole for part, took in shares.items()}
    made = {key: round(value, 3) for key, value in made.items()}  # said to people and machines alike
    figures |= made
    yield (
        f"{name} plans ({figures[f'{name}_steps']:.0f} steps, {figures[f'{name}_accesses']:.0f} accesses): "
        f"{made[f'{name}_cpu_ms']:.0f} ms of processor time with probes, {made[f'{name}_cpu_ms_bare']:.0f} ms without, "
        f"ratio {made[f'{name}_overhead_ratio']:.2f}; "
        f"{made[f'{name}_plans_per_cpu_second']:.1f} plans a second on one core, reset and judging included "
        f"({made[f'{name}_plans_per_cpu_second_bare']:.1f} without probes); of it "
        + ", ".join(f"{part} {took / whole:.0%}" for part, took in shares.items())
    )


def _workers(plans: Sequence[Plan], pool: Pool, figures: Figures) -> Iterator[str]:
    took: dict[int, list[float]] = {1: [], 2: []}
    load = _load()
    former = pool.jobs
    try:
        for _ in range(REPEATS):
            for jobs in took:
                pool.jobs = jobs
                began = time.perf_counter()
                for _ in pool.map(plans, limit=LIMIT):
                    pass
                took[jobs].append(time.perf_counter() - began)
    finally:
        pool.jobs = former
    figures["two_workers_ratio"] = round(min(took[1]) / min(took[2]), 2)
    figures["two_workers_load_average"] = load
    figures["two_workers_cores"] = os.cpu_count() or 1
    yield (
        f"two workers: {figures['two_workers_ratio']:.2f} times the plans of one (wall time; load average {load:.1f} "
        f"on {figures['two_workers_cores']:.0f} cores before it)"
    )


def _day(pool: Pool, figures: Figures) -> str:
    """The bot's own timers, with nobody doing anything."""
    short = _idle(pool, TRIAL)
    expected = short * DAY / TRIAL
    if expected > LONGEST:
        figures["day_expected_seconds"] = round(expected)
        return (
            f"a day of timers: not played; {TRIAL:.0f} virtual seconds took {short:.1f} s, a day would {expected:.0f}"
        )
    took = _idle(pool, DAY)
    if math.isnan(took):
        return "a day of timers: the plan did not end"
    figures["day_seconds"] = round(took, 2)
    return f"a day of timers: {took:.1f} s of processor time"


def _idle(pool: Pool, seconds: float) -> float:
    plan = Plan(steps=(Step(entry="world", action="advance", payload={"seconds": seconds}),))
    outcome = pool.run(plan, limit=LIMIT)
    if outcome.trace is None or any(fault.kind == "runaway" for fault in outcome.trace.faults):
        return math.nan
    return outcome.cpu_ms / 1000
