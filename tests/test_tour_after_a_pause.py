"""The tour lets time pass that no other plan waits for: what a bot keeps for minutes or an hour runs out in it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from fixtures.targets.reference import ReferenceTarget
from harness import riskmap
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.target import Action
from harness.touring import tour

FAULT = "asked-minutes-ago"
TARGET = ReferenceTarget()
DEMANDS = riskmap.load(TARGET.risk_map()).demands("reference")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool("fixtures.targets.reference:ReferenceTarget") as one:
        yield one


def shown(pool: Pool, plan: Plan) -> set[str]:
    outcome = pool.run(msgspec.structs.replace(plan, overlays=(FAULT,)))
    assert outcome.trace is not None, outcome
    return {f.rule for f in judge(outcome.trace, TARGET.facts(), DEMANDS)}


def pausing(plans: list[Plan], pauses: tuple[float, ...]) -> list[Plan]:
    return [plan for plan in plans if any(step.payload.get("seconds") in pauses for step in plan.steps)]


def test_what_was_done_before_a_pause_is_done_again_after_it_the_other_way_round() -> None:
    actions = [Action(entry="api", name="say"), Action(entry="webui", name="look"), Action(entry="world", name="drop")]
    plain = tour(actions)
    made = pausing(tour(actions, pauses=(700.0, 9000.0)), (700.0, 9000.0))
    assert [plan for plan in tour(actions, pauses=(700.0, 9000.0)) if plan not in made] == plain
    assert {plan.twins.dimension for plan in made} == {"T", "TA"}
    for plan, seconds in zip(made, (700.0, 9000.0), strict=True):
        (at,) = (i for i, step in enumerate(plan.steps) if step.payload.get("seconds") == seconds)
        before, after = plan.steps[:at], plan.steps[at + 1 : -1]
        assert after == before[::-1]
        assert {(step.action, step.who) for step in before} == {(name, who) for name in ("say", "look") for who in "AB"}


def test_what_runs_out_after_some_minutes_is_found_by_no_other_wait(pool: Pool) -> None:
    pauses = TARGET.facts().pauses
    (hour,) = pausing(tour(TARGET.actions(), pauses=pauses[:1]), pauses[:1])
    assert "canary-flow" in shown(pool, hour)
    steps = [
        Step(entry="world", action="advance", payload={"seconds": 330}, join=True)
        if step.payload.get("seconds") == pauses[0]
        else step
        for step in hour.steps
    ]
    assert shown(pool, msgspec.structs.replace(hour, steps=tuple(steps))) == set()
