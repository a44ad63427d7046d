"""Witnesses shrink as data: what does not matter goes, what matters stays, and the tape follows its steps."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from harness.plan import Deviation, Plan, Step
from harness.shrink import drop, shrink


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
