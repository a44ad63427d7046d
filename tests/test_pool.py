"""A plan that dies, hangs or reaches outside costs one plan, says so, and loses nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import TargetError
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Outcome, Pool
from harness.strategies import overlapping
from tests.tiny_target import OUTSIDE, TinyTarget

SPEC = "tests.tiny_target:TinyTarget"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC, jobs=2) as made:
        yield made


def plan(*actions: str, **fields: object) -> Plan:
    text = {"text": "{message}"}
    steps = tuple(Step(entry="api", action=a, who="AB"[n % 2], payload=text) for n, a in enumerate(actions))
    return Plan(steps=steps, **fields)  # type: ignore[arg-type]


def faults(outcome: Outcome) -> list[str]:
    assert outcome.trace is not None
    return [fault.kind for fault in outcome.trace.faults]


def test_a_plain_plan_gives_a_clean_trace(pool: Pool) -> None:
    outcome = pool.run(plan("echo", "echo"))
    assert outcome.trace is not None
    assert [step.outcome for step in outcome.trace.steps] == ["ok", "ok"]
    assert faults(outcome) == [] and judge(outcome.trace, TinyTarget().facts()) == []
    assert overlapping(outcome.trace.steps)
    mine = outcome.trace.twins.a.secrets["message"]
    assert outcome.trace.observed["A"] == [mine] and mine not in outcome.trace.observed["B"]


def test_what_happens_while_the_bot_is_taken_down_is_not_recorded() -> None:
    with Pool("tests.campaign_targets:LingeringTarget", jobs=1) as pool:
        trace = pool.run(plan("echo", "echo")).trace
    assert trace is not None
    assert {access.surface for access in trace.accesses if access.sink == "outbound"} == {"wire"}


def test_without_probes_the_bot_does_the_same_and_nothing_is_recorded(pool: Pool) -> None:
    with Pool(SPEC, jobs=1, bare=True) as bare:
        told, plain = pool.run(plan("echo", "echo")), bare.run(plan("echo", "echo"), observe=False)
    assert told.trace is not None and plain.trace is not None
    assert [step.outcome for step in plain.trace.steps] == ["ok", "ok"]
    assert told.trace.accesses and not plain.trace.accesses
    assert told.cpu_ms > 0 and plain.cpu_ms > 0


def test_a_crash_and_a_hang_cost_one_plan_each(pool: Pool) -> None:
    outcomes = list(pool.map([plan("echo"), plan("crash"), plan("spin"), plan("echo", "echo")], limit=3))
    assert [outcome.status for outcome in outcomes] == ["ok", "crash", "hang", "ok"]
    assert "signal 9" in outcomes[1].detail
    assert "3 s" in outcomes[2].detail


def test_no_packet_leaves_loopback(pool: Pool) -> None:
    outcome = pool.run(plan("phone"))
    assert faults(outcome) == ["containment"]
    assert outcome.trace is not None
    assert "192.0.2.1" in outcome.trace.faults[0].message and "tiny_target.py" in outcome.trace.faults[0].where
    assert outcome.trace.steps[0].outcome == "contained"


def test_a_write_outside_the_private_folder_is_prevented_and_named(pool: Pool) -> None:
    outcome = pool.run(plan("scribble"))
    assert faults(outcome) == ["containment"]
    assert outcome.trace is not None and OUTSIDE.name in outcome.trace.faults[0].message
    assert not OUTSIDE.exists()


def test_an_undeclared_thread_is_reported(pool: Pool) -> None:
    outcome = pool.run(plan("thread"))
    assert outcome.trace is not None
    assert [(f.kind, "stray" in f.message) for f in outcome.trace.faults] == [("thread", True)]


def test_a_refusal_is_an_outcome_of_its_step(pool: Pool) -> None:
    outcome = pool.run(plan("fail", "echo"))
    assert outcome.trace is not None and faults(outcome) == []
    assert [step.outcome for step in outcome.trace.steps] == ["raised", "ok"]
    assert outcome.trace.steps[0].detail == "ValueError: no such thing"


def test_an_overlay_changes_the_bot_of_its_plan_only(pool: Pool) -> None:
    facts = TinyTarget().facts()
    leaky = pool.run(plan("echo", "echo", overlays=("last-text",)))
    assert leaky.trace is not None
    assert [f.rule for f in judge(leaky.trace, facts)] == ["canary-flow"]
    clean = pool.run(plan("echo", "echo"))
    assert clean.trace is not None and judge(clean.trace, facts) == []


def test_without_fork_plans_run_one_after_the_other_in_one_process() -> None:
    with Pool(SPEC, fork=False) as pool:
        outcomes = list(pool.map([plan("echo", overlays=("last-text",)), plan("echo", "fail"), plan("echo")]))
    assert [outcome.status for outcome in outcomes] == ["ok"] * 3
    assert all(outcome.trace is not None and len(outcome.trace.observed["A"]) == 1 for outcome in outcomes)


def test_a_target_that_cannot_boot_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="give --root"):
        Pool(SPEC, root=tmp_path / "none")
    with pytest.raises(TargetError, match="cannot be imported"):
        Pool("tests.no_such_module:Thing")


def test_nothing_lies_about_once_the_controller_was_killed() -> None:
    pool = Pool(SPEC, jobs=1)
    pool._connection.close()  # all that the zygote hears of a killed controller
    pool._process.wait(60)
    assert not pool.folder.exists()
