"""A fault is tried first on plans that can show it: which touched its place, or a place of a row it stands for."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.nearness import Nearness
from harness.plan import Plan, Step
from harness.principal import TwinSpec
from harness.riskmap import Pattern, RiskItem, RiskMap
from harness.target import Overlay
from tests.evidence_factory import access, trace

WAIT = Step(entry="world", action="advance", payload={"seconds": 1})
MOODS = RiskItem(
    id="moods", group="C", generation="saas", module="moods", cells=(), defect="moods cross", mitigation="none",
    places={"bot": (Pattern(sink="key", surface="bot.moods*"),)},
)  # fmt: skip
MAP = RiskMap(schema="isolation-risk-map/1", items=(MOODS,))


def plan(length: int, dimension: str = "T", seed: int = 0) -> Plan:
    return Plan(steps=(WAIT,) * length, twins=TwinSpec(dimension=dimension), seed=seed)


def met(surface: str, function: str = "bot.py:f") -> Any:
    return msgspec.structs.replace(trace(access(surface=surface)), stacks=((function,),))


def fault(**fields: Any) -> Overlay:
    told: dict[str, Any] = {"name": "fault", "kind": "fault", "about": "", "rule": "foreign-read", **fields}
    return Overlay(apply=lambda patcher: None, **told)


def split(near: Nearness, overlay: Overlay, *tour: Plan) -> tuple[list[Plan], list[Plan]]:
    return near.split(overlay, MAP, "bot", tour)


def known(*pairs: tuple[Plan, Any], tour: tuple[Plan, ...]) -> Nearness:
    near = Nearness()
    near.expect(tour)
    for one, made in pairs:
        near.add(one, made)
    return near


def test_plans_that_touched_the_place_or_one_of_its_rows_are_near() -> None:
    own, row, other = plan(9), plan(7), plan(3)
    tour = (other, row, own)
    near = known((own, met("bot.names")), (row, met("bot.moods")), (other, met("messages")), tour=tour)
    assert split(near, fault(surface="bot.names", items=("moods",)), *tour) == ([row, own], [other])


def test_a_plan_of_which_nothing_is_known_is_not_near() -> None:
    assert split(known(tour=(plan(3),)), fault(surface="messages"), plan(3)) == ([], [plan(3)])


def test_the_code_counts_where_the_fault_names_it() -> None:
    elsewhere, there = plan(3), plan(9)
    near = known((elsewhere, met("messages")), (there, met("messages", "plugin.py:choose")), tour=(elsewhere, there))
    assert split(near, fault(surface="messages", site="plugin.py:*"), elsewhere, there) == ([there], [elsewhere])


def test_a_drawn_plan_comes_in_where_no_plan_of_the_tour_touched_the_place() -> None:
    toured, drawn = plan(3), plan(5, seed=7)
    near = known((toured, met("messages")), (drawn, met("stickers")), tour=(toured,))
    assert split(near, fault(surface="stickers"), toured) == ([drawn], [toured])
    assert split(near, fault(surface="messages"), toured) == ([toured], [])


def test_of_drawn_plans_that_touched_the_same_the_shortest_is_kept() -> None:
    first, longer, shorter = plan(5, seed=1), plan(6, seed=2), plan(4, seed=3)
    near = known((first, met("stickers")), (longer, met("stickers")), (shorter, met("stickers")), tour=())
    assert split(near, fault(surface="stickers")) == ([shorter], [])


def test_plans_of_twins_that_differ_in_something_else_are_left_out() -> None:
    tenants, agents = plan(3), plan(9, dimension="A")
    near = known((tenants, met("messages")), (agents, met("messages")), tour=(tenants, agents))
    assert split(near, fault(surface="messages", dimension="*A*"), tenants, agents) == ([agents], [])
