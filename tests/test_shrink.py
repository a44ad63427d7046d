"""Witnesses shrink as data: what does not matter goes, what matters stays, and the tape follows its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness.finding import Finding
from harness.judge import judge
from harness.origins import origins
from harness.plan import Deviation, Plan, Step
from harness.shrink import drop, only, shrink
from harness.trace import Access, StepRecord, Trace
from tests.evidence_factory import FACTS, access, trace


def step(action: str, who: str | None = "A") -> Step:
    return Step(entry="api", action=action, who=who, gap=1.0, payload={"text": "hello {message} {wide}"})


@given(st.lists(st.sampled_from(["x", "y", "noise"]), min_size=2, max_size=12).filter(lambda a: {"x", "y"} <= set(a)))
def test_only_the_steps_that_matter_remain(actions: list[str]) -> None:
    plan = Plan(seed=9, steps=tuple(step(a) for a in actions), tape=(Deviation(kind="delay", lineage="A.0"),))

    def shows(tried: Sequence[Plan]) -> list[bool]:
        return [{"x", "y"} <= {s.action for s in p.steps} for p in tried]

    small, runs = shrink(plan, shows, budget=200)
    assert sorted(s.action for s in small.steps) == ["x", "y"]
    assert small.tape == () and small.seed == 0
    assert all(s.gap == 0 and s.payload == {"text": "{message}"} for s in small.steps)
    assert runs <= 200


def test_a_deviation_that_matters_stays_and_is_as_small_as_can_be() -> None:
    tape = (Deviation(kind="hold", lineage="A.2", amount=9.0), Deviation(kind="delay", lineage="A.0"))
    plan = Plan(steps=(step("n"), step("n"), step("x")), tape=tape)

    def shows(tried: Sequence[Plan]) -> list[bool]:
        def one(p: Plan) -> bool:
            held = {d.lineage for d in p.tape if d.kind == "hold"}
            return any(s.action == "x" and f"A.{i}" in held for i, s in enumerate(p.steps))

        return [one(p) for p in tried]

    small, _ = shrink(plan, shows)
    assert [s.action for s in small.steps] == ["x"]
    assert small.tape == (Deviation(kind="hold", lineage="A.0", amount=1.0),)


def test_the_budget_is_kept() -> None:
    asked = 0

    def shows(tried: Sequence[Plan]) -> list[bool]:
        nonlocal asked
        asked += len(tried)
        return [False] * len(tried)

    plan = Plan(steps=tuple(step(f"s{n}") for n in range(40)))
    small, runs = shrink(plan, shows, budget=15)
    assert small == plan and asked == runs <= 15


def test_dropping_steps_moves_the_tapes_lineages() -> None:
    plan = Plan(
        steps=tuple(step(f"s{n}") for n in range(4)),
        tape=tuple(Deviation(kind="hold", lineage=name) for name in ("A.0", "A.2", "A.3", "boot")),
    )
    assert [d.lineage for d in drop(plan, 1, 3).tape] == ["A.0", "A.1", "boot"]


def test_what_is_likely_is_tried_first_and_the_rest_of_a_long_plan_is_gone_in_one_run() -> None:
    plan = Plan(steps=tuple(step(f"s{n}", "AB"[n % 2]) for n in range(60)))
    tried: list[int] = []

    def shows(plans: Sequence[Plan]) -> list[bool]:
        tried.extend(len(p.steps) for p in plans)
        return [{"s7", "s50"} <= {s.action for s in p.steps} for p in plans]

    small, runs = shrink(plan, shows, likely=({50}, {7, 50}, {1, 7, 50}), width=1, thorough=False)
    assert [s.action for s in small.steps] == ["s7", "s50"]
    assert tried == [1, 2] and runs == 2
    unhelped, _ = shrink(plan, shows, likely=({50}, {3, 50}), budget=2, width=1)
    assert unhelped == plan


def test_a_chunk_that_had_to_stay_is_not_asked_about_again_at_once() -> None:
    plan = Plan(steps=tuple(step(f"s{n}") for n in range(32)))

    def shows(plans: Sequence[Plan]) -> list[bool]:
        return [{"s3", "s9", "s30"} <= {s.action for s in p.steps} for p in plans]

    small, runs = shrink(plan, shows, budget=60)
    assert [s.action for s in small.steps] == ["s3", "s9", "s30"]
    assert runs < 60


def test_steps_that_are_kept_take_their_tape_along() -> None:
    plan = Plan(
        steps=tuple(step(f"s{n}") for n in range(4)),
        tape=tuple(Deviation(kind="hold", lineage=name) for name in ("A.0", "A.3", "boot")),
    )
    kept = only(plan, {3, 1})
    assert [s.action for s in kept.steps] == ["s1", "s3"]
    assert [d.lineage for d in kept.tape] == ["A.1", "boot"]


def played(*accesses: Access, calls: Sequence[int] = ()) -> tuple[Trace, Finding]:
    """A run whose last access is a finding, with records of ten steps."""
    steps = tuple(
        StepRecord(index=n, entry="api", action=f"s{n}", who="AB"[n % 2], first_seq=0, last_seq=9, started=0, ended=1,
                   call=n in calls)
        for n in range(10)
    )  # fmt: skip
    made = msgspec.structs.replace(trace(*accesses), steps=steps)
    return made, judge(made, FACTS)[-1]


PLAN = Plan(steps=tuple(step(f"s{n}", "AB"[n % 2]) for n in range(10)))
CELL: dict[str, Any] = {"sink": "key", "surface": "bot.cache", "key": "100", "detail": {"owned_by": "first-writer"}}


def test_the_trace_names_the_steps_that_wrote_what_was_met() -> None:
    made, finding = played(
        access(**CELL, step=2, op="write", actor="A", new_owner="A", marks="A", lineage="A.2"),
        access(**{**CELL, "key": "other"}, step=4, op="write", actor="A", new_owner="A", lineage="A.4"),
        access(**CELL, step=7, owner="A", actor="B", ambient="B", marks="A", lineage="B.7"),
    )
    sets = origins(PLAN, made, finding)
    assert sets[0] == {7}, "the violating step alone"
    assert {2, 7} in sets[:4]
    assert all(len(one) < len(PLAN.steps) for one in sets)


def test_a_call_is_tried_with_what_the_owner_did_by_the_same_way() -> None:
    plan = msgspec.structs.replace(
        PLAN,
        steps=tuple(msgspec.structs.replace(s, action="get") if n in (4, 7) else s for n, s in enumerate(PLAN.steps)),
    )
    made, finding = played(
        access(step=7, owner="A", actor="B", ambient="B", detail={"owned_by": "columns"}, lineage="B.7"), calls=(4, 7)
    )
    sets = origins(plan, made, finding)
    assert sets.index(frozenset((4, 7))) < sets.index(frozenset((0, 2, 4, 6, 7))), (
        "the same way before all the owner did"
    )


def test_time_passes_where_the_finding_waits_for_it() -> None:
    plan = msgspec.structs.replace(
        PLAN, steps=tuple(Step(entry="world", action="advance") if n == 5 else s for n, s in enumerate(PLAN.steps))
    )
    made, finding = played(access(step=7, owner="A", actor="B", ambient="B", detail={"owned_by": "columns"}))
    assert origins(plan, made, finding)[:2] == [{7}, {5, 7}]


def test_without_a_trace_nothing_is_likely() -> None:
    _, finding = played(access(step=7, owner="A", actor="B", ambient="B", detail={"owned_by": "columns"}))
    assert origins(PLAN, None, finding) == []
