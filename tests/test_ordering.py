"""Plans are tried for a fault where it is first, and what is like a plan that did not show it comes later."""

from __future__ import annotations

import msgspec

from harness.ordering import Doing, Doings, nearest
from harness.plan import Plan, Step
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.target import Overlay
from tests.evidence_factory import access, trace


def plan(*actions: str, seed: int = 0) -> Plan:
    return Plan(seed=seed, steps=tuple(Step(entry="api", action=action, who="A") for action in actions))


def overlay(surface: str, *items: str) -> Overlay:
    return Overlay(name="o", kind="fault", about="", rule="*", surface=surface, items=items, apply=lambda _: None)


def did(made: Plan, surface: str, *items: str) -> frozenset[Doing]:
    return frozenset(Doing(surface, "api", step.action, "{}", frozenset(items)) for step in made.steps)


ONE, AGAIN, OTHER, ELSEWHERE = plan("one"), plan("one", seed=1), plan("other", "other"), plan("else")
DID = {
    ONE.digest(): did(ONE, "here"), AGAIN.digest(): did(AGAIN, "here"), OTHER.digest(): did(OTHER, "here"),
    ELSEWHERE.digest(): did(ELSEWHERE, "there"),
}  # fmt: skip


def test_what_touches_the_surface_comes_first_and_like_plans_after_unlike_ones() -> None:
    order = list(nearest(overlay("he*"), [ELSEWHERE, ONE, AGAIN, OTHER], DID))
    assert order == [ONE, OTHER, AGAIN, ELSEWHERE]


def test_what_comes_by_the_items_of_the_fault_comes_before_what_comes_by_others() -> None:
    near = DID | {OTHER.digest(): did(OTHER, "here", "mine")}
    assert next(nearest(overlay("here", "mine"), [ONE, AGAIN, OTHER], near)) == OTHER
    assert next(nearest(overlay("here", "others"), [ONE, AGAIN, OTHER], near)) == ONE


def test_plans_of_which_nothing_is_known_are_tried_all_the_same() -> None:
    assert list(nearest(overlay("here"), [OTHER, ONE], {})) == [ONE, OTHER]


def test_a_doing_knows_the_items_that_claim_its_place_on_its_entry() -> None:
    item = RiskItem(
        id="mine", group="g", generation="saas", module="m", cells=(Cell(sink="row", entry="api"),), defect="d",
        mitigation="m", places={"bot": (Pattern(surface="notes", site="bot.py:save"),)},
    )  # fmt: skip
    made = plan("one", "two")
    there = trace(
        access(surface="notes", step=0),
        access(surface="notes", step=1, stack=1),
        access(surface="notes", step=1, entry="timer"),
    )
    run = msgspec.structs.replace(there, stacks=(("bot.py:save",), ("bot.py:load",)))
    found = {(one.entry, one.action): one.items for one in Doings(RiskMap(items=(item,)), "bot").of(made, run)}
    assert found == {("api", "one"): {"mine"}, ("api", "two"): frozenset(), ("timer", "two"): frozenset()}
