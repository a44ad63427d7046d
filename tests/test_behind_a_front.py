"""What a bot refuses for want of a context is asked for behind a front that gives one, from a state of its own."""

from __future__ import annotations

import pytest

from harness import touring
from harness.catalogue import make_target
from harness.errors import UsageError
from harness.plan import EMPTY, Plan
from harness.target import Action, Facts
from tests.test_contract import declared, refused

ACTIONS = [
    Action(entry="api", name="say", payload={"text": "text"}),
    Action(entry="webui", name="look", payload={"page": [1, 2]}),
    Action(entry="timer", name="run", principal=False),
]
CALLS = [
    Action(entry=entry, name=name, payload={"ids": ["own", "other"], "pick": [0, 1]}, call=True)
    for entry, name in (("webui", "GET /api/words"), ("plugin", "words.listed"))
]
STATES = (EMPTY, "filled", "fronted")
FACTS = Facts(name="some", generation="saas", packages=(), fronted={"fronted": "webui"})


def toured(facts: Facts, *actions: Action) -> list[Plan]:
    return touring.toured(actions, {}, facts, STATES)


def test_the_tour_visits_that_state_by_its_entry_alone_and_by_its_calls() -> None:
    plans = [plan for plan in toured(FACTS, *ACTIONS, *CALLS) if plan.before == "fronted"]
    visited = {(step.entry, step.action, step.who) for plan in plans for step in plan.steps}
    for twin in "AB":
        assert {("webui", "look", twin), ("webui", "GET /api/words", twin)} <= visited
    assert {step.entry for plan in plans for step in plan.steps} <= {"webui", "api", "world"}
    asked = [p for p in plans for s in p.steps if s.action == "GET /api/words" and s.payload["ids"] == "other"]
    assert {plan.twins.dimension for plan in asked} == {"T", "TA"}


def test_nothing_else_of_the_tour_changes() -> None:
    bare = toured(Facts(name="some", generation="saas", packages=()), *ACTIONS, *CALLS)
    fronted = toured(FACTS, *ACTIONS, *CALLS)
    assert [p for p in bare if p.before != "fronted"] == [p for p in fronted if p.before != "fronted"]


def test_a_front_without_a_state_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    declared(monkeypatch, fronted={"fronted": "webui"})
    refused("fronted names the state 'fronted', which states() does not offer; it offers: empty", "Facts")


def test_a_front_before_an_entry_that_is_not_there_is_refused_with_those_there_are() -> None:
    facts = Facts(name="some", generation="saas", packages=(), fronted={"fronted": "web"})
    with pytest.raises(UsageError, match=r"'fronted' is a front before 'web'.*entries are: api, timer, webui"):
        toured(facts, *ACTIONS)


def test_maimbot_s_pages_are_behind_one() -> None:
    target = make_target("fixtures.targets.maimbot_saas:MaimbotSaasTarget", None, None)
    (state,) = target.facts().fronted
    actions = [*target.actions()]
    plans = touring.toured(actions, {}, target.facts(), (EMPTY, "filled", state))
    looked = {step.action for plan in plans if plan.before == state for step in plan.steps if step.entry == "webui"}
    assert looked == {action.name for action in actions if action.entry == "webui" and action.weight}
