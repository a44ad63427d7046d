"""What plans of the tour send so that there is something is sent with a credential that stands."""

from __future__ import annotations

import pytest

from harness.company import standing_by
from harness.failures import fail_action
from harness.plan import Plan
from harness.principal import BYSTANDER
from harness.target import Action
from harness.touring import tour

TEXT = Action(entry="api", name="text", payload={"text": "text"}, weight=2)
REVOKED = Action(entry="api", name="revoked", payload={"after": [1]}, wrong={"after": [1]})
PICTURE = Action(entry="api", name="picture", payload={"picture": ["picture"]})
TICK = Action(entry="timer", name="run", payload={"task": ["tidy"]})
CALL = Action(entry="plugin", name="mod.look", payload={"ids": ["own", "other"], "pick": "int"}, call=True)
STATES = ("empty", "filled", "lopsided")
CLAIMED = {"A": ("timer",), "C": ("timer",)}
ACTIONS = [TEXT, REVOKED, PICTURE, TICK, CALL, fail_action("llm.error")]
TOUR = tour(ACTIONS, CLAIMED, states=STATES)


def names(plan: Plan) -> list[str]:
    return [step.action for step in plan.steps]


@pytest.mark.parametrize("what", ["mod.look", "fail"])
def test_nothing_loses_its_credential_in_the_midst(what: str) -> None:
    plans = [plan for plan in TOUR if what in names(plan)]
    assert plans
    assert any("picture" in names(plan) for plan in plans)
    assert not any("revoked" in names(plan) for plan in plans)


def test_the_bots_own_doings_find_what_was_sent() -> None:
    plans = [
        plan for plan in TOUR if plan.before == "filled" and names(plan).count("run") == 2 and "text" in names(plan)
    ]
    assert any(names(plan)[:4] == ["text", "text", "picture", "picture"] for plan in plans)


def test_chats_and_agents_start_from_every_state_where_cells_claim_them() -> None:
    found = {(plan.before, plan.twins.dimension) for plan in TOUR if "run" in names(plan)}
    assert {(state, way) for state in STATES[1:] for way in ("T", "TA", "A", "C")} <= found


def test_an_outage_meets_what_was_known_and_has_run_out() -> None:
    outages = [plan for plan in TOUR for step in plan.steps if step.action == "fail" and step.payload["times"] == 100]
    assert any(names(plan).index("fail") > names(plan).index("picture") for plan in outages if "picture" in names(plan))


def test_a_third_comes_between_twins_that_differ_in_agents_too_one_after_the_other() -> None:
    plans = standing_by([TEXT, PICTURE])
    between = [plan for plan in plans if [step.who for step in plan.steps[:3]] == ["A", BYSTANDER, "B"]]
    assert {plan.twins.dimension for plan in between} == {"T", "TA"}
    assert all(step.gap >= 1 for plan in plans for step in plan.steps[:3])


def test_every_choice_is_sent_under_a_credential_that_stands_and_each_that_does_not_stand_is_tried() -> None:
    kinds = ["at", "reply", "voice", "file", "forward", "recall"]
    payload = {"kind": kinds, "credential": ["own", "own", "unknown", "none"]}
    action = Action(entry="api", name="kind", payload=payload, wrong={"credential": ["unknown", "none"]})
    sent = [step.payload for plan in tour([TEXT, action]) for step in plan.steps if step.action == "kind"]
    assert {one["kind"] for one in sent if one["credential"] == "own"} == set(kinds)
    assert {one["credential"] for one in sent} == {"own", "unknown", "none"}
