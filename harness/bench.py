"""Timings: plans a second, the price of the probes, the scanner, the fork. Not part of the tests."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from harness import strategies
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.scanner import TokenScanner
from harness.target import Target


def measure(spec: str, target: Target, root: Path | None, db_root: Path | None, count: int) -> Iterator[str]:
    """Lines of figures, as they come. Plans are the same with the probes on and off, one at a time, in turn."""
    twins = target.twins(TwinSpec())
    scanner = TokenScanner(twins)
    clean = "the quick brown fox jumps over the lazy dog 0123456789 abcdef " * 1600
    started = time.perf_counter()
    rounds = 50
    for turn in range(rounds):
        scanner.scan(f"{turn}{clean}")
    yield f"scanner: {(time.perf_counter() - started) / rounds * 1000:.3f} ms for {len(clean) / 1000:.0f} KB of clean text"
    actions = list(target.actions())
    plans = strategies.generate(actions, count, 1)
    with Pool(spec, root=root, db_root=db_root, jobs=1) as pool:
        yield f"boot: {pool.ready.seconds:.1f} s, {pool.ready.rss_kib / 1024:.0f} MiB, threads: {', '.join(pool.ready.threads) or 'none'}"
        on: list[float] = []
        off: list[float] = []
        forks: list[float] = []
        walls: list[float] = []
        accesses = 0
        pool.run(plans[0])
        for plan in plans:
            for observe, times in ((True, on), (False, off)):
                began = time.perf_counter()
                outcome = pool.run(plan, observe=observe)
                walls.append(time.perf_counter() - began)
                forks.append(outcome.fork_ms)
                if outcome.trace is not None:
                    times.append(outcome.trace.wall_seconds)
                    accesses += len(outcome.trace.accesses)
        yield f"fork: median {statistics.median(forks):.1f} ms"
        yield f"plans a second on one core: {len(on) / sum(walls[0::2]):.1f} with probes, {len(off) / sum(walls[1::2]):.1f} without"
        yield f"a plan inside the bot: median {statistics.median(on) * 1000:.0f} ms with probes, {statistics.median(off) * 1000:.0f} ms without"
        yield f"overhead ratio: {sum(on) / sum(off):.2f} (median {statistics.median(a / b for a, b in zip(on, off, strict=False)):.2f})"
        yield f"accesses a plan: {accesses / max(1, len(on)):.0f}"
