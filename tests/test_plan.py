"""Plans are plain data: lossless through JSON, the same for the same seed, and busy with both twins at once."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan import Deviation, Plan, Step
from harness.principal import TwinSpec
from harness.strategies import generate, plans
from harness.target import Action
from harness.touring import tour

ACTIONS = (
    Action(entry="api", name="text", payload={"text": "text", "kind": ["group", "private"]}, weight=3),
    Action(entry="webui", name="history", payload={"limit": "int"}),
    Action(entry="timer", name="tick", principal=False),
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
steps = st.builds(
    Step, entry=st.text(), action=st.text(), who=st.sampled_from(["A", "B", None]),
    payload=st.dictionaries(st.text(), json_values, max_size=3), gap=st.floats(0, 1e6), join=st.booleans(),
)  # fmt: skip
deviations = st.builds(
    Deviation, kind=st.sampled_from(["hold", "delay"]), lineage=st.text(), site=st.text(),
    occurrence=st.integers(0, 9), amount=st.floats(0, 99),
)  # fmt: skip
any_plan = st.builds(
    Plan, seed=st.integers(0, 2**32), steps=st.lists(steps, max_size=4).map(tuple),
    tape=st.lists(deviations, max_size=3).map(tuple), overlays=st.lists(st.text(), max_size=2).map(tuple),
    twins=st.builds(TwinSpec, dimension=st.sampled_from(["T", "TA"]), seed=st.integers(0, 9)),
)  # fmt: skip


@given(any_plan)
def test_json_round_trip_is_lossless(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()


def test_equal_plans_give_equal_bytes_and_one_name() -> None:
    one, other = (
        Plan(steps=(Step(entry="api", action="say", who="A", payload=payload),))
        for payload in ({"text": "x", "kind": "group"}, {"kind": "group", "text": "x"})
    )
    assert one == other
    assert one.to_json() == other.to_json() and one.digest() == other.digest()


@pytest.mark.parametrize("text", [b"", b"{}x", b'{"steps": 3}', b'{"steps": [{"entry": "api"}]}'])
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Plan.from_json(text)


def test_equal_seeds_give_equal_plans_and_others_do_not() -> None:
    assert generate(ACTIONS, 20, 5) == generate(ACTIONS, 20, 5)
    assert generate(ACTIONS, 20, 5) != generate(ACTIONS, 20, 6)


def test_often_both_twins_do_the_same_at_once() -> None:
    drawn = generate(ACTIONS, 60, 1)
    mirrored = [
        plan
        for plan in drawn
        if any(
            (one.entry, one.action, one.payload) == (other.entry, other.action, other.payload)
            and {one.who, other.who} == {"A", "B"}
            and other.gap == 0
            and not other.join
            for one, other in itertools.pairwise(plan.steps)
        )
    ]
    assert len(mirrored) > len(drawn) / 2


@given(plans(ACTIONS))
def test_every_step_is_one_that_the_target_offers(plan: Plan) -> None:
    offered = {(action.entry, action.name): action for action in ACTIONS}
    for step in plan.steps:
        if step.entry == "world":
            continue
        action = offered[step.entry, step.action]
        assert set(step.payload) == set(action.payload)
        assert (step.who is not None) == action.principal


def test_each_twin_leads_in_the_tour_whatever_they_differ_in() -> None:
    led = {(plan.twins.dimension, next(s.who for s in plan.steps if s.who)) for plan in tour(ACTIONS)}
    assert led == {(dimension, who) for dimension in ("T", "TA") for who in "AB"}


def test_tour_takes_every_choice_for_both_twins() -> None:
    seen = {(s.action, s.who, s.payload.get("kind")) for plan in tour(ACTIONS) for s in plan.steps}
    for who in "AB":
        assert ("text", who, "group") in seen
        assert ("text", who, "private") in seen
        assert ("history", who, None) in seen
    assert ("tick", None, None) in seen
