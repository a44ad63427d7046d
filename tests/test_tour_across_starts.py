"""The tour does everything before the bot is started anew and again afterwards: what a start loads it loads for all."""

from __future__ import annotations

import pytest

from harness.plan import Plan
from harness.target import Action
from harness.touring import tour

TEXT = Action(entry="api", name="text", payload={"text": "text"})
REVOKED = Action(entry="api", name="revoked", payload={"after": [1]}, wrong={"after": [1]})
KEEP = Action(entry="timer", name="keep")
LOOK = Action(entry="timer", name="look", payload={"at": ["all", "some"]})
RESTART = Action(entry="start", name="restart", principal=False)
BARE = Action(entry="start", name="bare", payload={"what": ["load"]}, wrong={"what": ["load"]}, principal=False)


def across(*actions: Action) -> list[Plan]:
    """Plans of the tour in which somebody does the same on either side of a restart, which is in their midst."""
    found = []
    for plan in tour(actions):
        names = [(step.action, step.who) for step in plan.steps if step.entry != "world"]
        if names.count(("restart", None)) == 1:
            at = names.index(("restart", None))
            found += [plan] if names[:at] == names[at + 1 :] != [] else []
    return found


def test_what_an_entry_offers_is_done_by_both_twins_on_either_side() -> None:
    plans = [plan for plan in across(TEXT, KEEP, LOOK, RESTART) if plan.steps[0].who]
    assert {plan.twins.dimension for plan in plans} == {"T", "TA"}
    timed = [plan for plan in plans if any(step.entry == "timer" for step in plan.steps)]
    for plan in timed:
        did = {(step.action, step.who) for step in plan.steps if step.entry != "world"}
        assert {(name, who) for name in ("text", "keep", "look") for who in "AB"} <= did
    assert len(timed) == 2


def test_the_restart_comes_once_all_that_was_done_has_ended() -> None:
    for plan in across(TEXT, KEEP, RESTART):
        (restart,) = (step for step in plan.steps if step.action == "restart")
        assert restart.join


@pytest.mark.parametrize("actions", [(TEXT, KEEP), (TEXT, KEEP, BARE)])
def test_without_a_start_that_comes_through_there_is_no_such_plan(actions: tuple[Action, ...]) -> None:
    steps = [step for plan in tour(actions) for step in plan.steps[5:]]
    assert steps
    assert not [step for step in steps if step.entry == "start"]


def test_what_loses_its_credential_meanwhile_is_left_out() -> None:
    plans = across(TEXT, REVOKED, RESTART)
    assert plans
    assert not any(step.action == "revoked" for plan in plans for step in plan.steps)
