"""The same plan gives the same trace: in another fork, another zygote, under another hash seed."""

from __future__ import annotations

from harness import strategies
from harness.catalogue import make_target
from harness.plan import Plan
from harness.pool import Pool

SPEC = "fixtures.targets.reference:ReferenceTarget"


def digests(plans: list[Plan], hash_seed: str) -> list[str]:
    with Pool(SPEC, hash_seed=hash_seed) as pool:
        return [outcome.trace.digest() if outcome.trace else outcome.status for outcome in pool.map(plans)]


def test_traces_repeat_across_processes_and_hash_seeds() -> None:
    plans = strategies.generate(list(make_target(SPEC, None, None).actions()), 4, 11)
    first = digests([*plans, *plans], "1")
    assert first[: len(plans)] == first[len(plans) :]
    assert len(set(first)) > 1
    assert digests(plans, "7") == first[: len(plans)]
