"""The same plan gives the same trace: in another fork, another zygote, under another hash seed."""

from __future__ import annotations

import functools

from fixtures.targets.reference import ReferenceTarget
from harness import strategies
from harness.catalogue import make_target
from harness.judge import judge
from harness.plan import Plan
from harness.pool import Pool
from harness.replaying import replay
from harness.witness import Witness
from tests.test_order_faults import WITNESSES

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


def test_witnesses_of_order_repeat_in_every_process_and_under_every_hash_seed() -> None:
    target, names = ReferenceTarget(), ("order-login-torn", "order-slot-reused", "order-result-of-the-cancelled")
    made = []
    with Pool(SPEC) as pool:
        for name in names:
            steps, tape = WITNESSES[name]
            plan = Plan(steps=tuple(steps), tape=tuple(tape), overlays=(name,))
            trace = pool.run(plan).trace
            assert trace is not None
            found = judge(trace, target.facts())[0]
            made.append(
                Witness(
                    fingerprint=found.fingerprint, target=target.name, target_version="", rule=found.rule,
                    message=name, plan=plan,
                )
            )  # fmt: skip
    done = replay(functools.partial(Pool, SPEC), target, made, 9, 3)
    assert [(one.hits, one.alike, one.parted) for one in done] == [(9, 9, None)] * 3
