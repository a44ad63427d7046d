"""Timings: plans a second, the price of the probes, the scanner, the fork. Not part of the tests."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from harness import strategies
from harness.plan import Plan
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.scanner import TokenScanner
from harness.target import Target

ROUNDS = 50


def measure(
    spec: str, target: Target, root: Path | None, db_root: Path | None, count: int, figures: dict[str, float]
) -> Iterator[str]:
    """Lines of figures, as they come; `figures` is filled with the same by name (unit in the name). Plans are the same
    with the probes on and off, one at a time, in turn."""
    twins = target.twins(TwinSpec())
    scanner = TokenScanner(twins)
    clean = "the quick brown fox jumps over the lazy dog 0123456789 abcdef " * 1600
    started = time.perf_counter()
    for turn in range(ROUNDS):
        scanner.scan(f"{turn}{clean}")
    figures["scanner_ms"] = round((time.perf_counter() - started) / ROUNDS * 1000, 3)
    figures["scanner_kb"] = round(len(clean) / 1000)
    yield f"scanner: {figures['scanner_ms']:.3f} ms for {figures['scanner_kb']:.0f} KB of clean text"
    plans = strategies.generate(list(target.actions()), count, 1)
    with Pool(spec, root=root, db_root=db_root, jobs=1) as pool:
        ready = pool.ready
        figures["boot_seconds"] = round(ready.seconds, 2)
        figures["memory_mib"] = round(ready.rss_kib / 1024)
        threads = ", ".join(ready.threads) or "none"
        yield f"boot: {ready.seconds:.1f} s, {figures['memory_mib']:.0f} MiB, threads: {threads}"
        yield from _plans(pool, plans, figures)


def _plans(pool: Pool, plans: list[Plan], figures: dict[str, float]) -> Iterator[str]:
    on: list[float] = []
    off: list[float] = []
    forks: list[float] = []
    walls: list[float] = []
    accesses = 0
    pool.run(plans[0])
    for plan in plans:
        pair: list[float] = []
        for observe in (True, False):
            began = time.perf_counter()
            outcome = pool.run(plan, observe=observe)
            walls.append(time.perf_counter() - began)
            forks.append(outcome.fork_ms)
            if outcome.trace is not None:
                pair.append(outcome.trace.wall_seconds)
                accesses += len(outcome.trace.accesses)
        if len(pair) == 2:
            # Only a plan that ended both ways compares like with like.
            on.append(pair[0])
            off.append(pair[1])
    figures["fork_ms"] = round(statistics.median(forks), 1)
    yield f"fork: median {figures['fork_ms']:.1f} ms"
    figures["plans_per_second"] = round(len(plans) / sum(walls[0::2]), 1)
    figures["plans_per_second_without"] = round(len(plans) / sum(walls[1::2]), 1)
    yield (
        f"plans a second on one core: {figures['plans_per_second']:.1f} with probes, "
        f"{figures['plans_per_second_without']:.1f} without"
    )
    if not on:
        yield "no plan ended both with and without probes; there is no overhead to tell"
        return
    figures["plan_ms"] = round(statistics.median(on) * 1000)
    figures["plan_ms_without"] = round(statistics.median(off) * 1000)
    yield (
        f"a plan inside the bot: median {figures['plan_ms']:.0f} ms with probes, "
        f"{figures['plan_ms_without']:.0f} ms without"
    )
    figures["overhead_ratio"] = round(sum(on) / sum(off), 2)
    middle = statistics.median(a / b for a, b in zip(on, off, strict=True))
    yield f"overhead ratio: {figures['overhead_ratio']:.2f} (median {middle:.2f})"
    figures["accesses_per_plan"] = round(accesses / max(1, len(on)))
    yield f"accesses a plan: {figures['accesses_per_plan']:.0f}"
