"""What was reached too seldom to be judged is reached again, by the plans that reach it, with other twins."""

from __future__ import annotations

from typing import Any

from harness.plan import Plan, Step
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.topping import Topping
from harness.verdict import ENOUGH
from tests.evidence_factory import FACTS, access, trace


def item(name: str, surface: str, **cell: Any) -> RiskItem:
    return RiskItem(
        id=name, group="g", generation="saas", module="m", cells=(Cell(sink="row", entry="api", **cell),), defect="d",
        mitigation="m", places={"bot": (Pattern(surface=surface),)},
    )  # fmt: skip


def plan(*actions: str) -> Plan:
    return Plan(steps=tuple(Step(entry="api", action=action, who="A") for action in actions))


def topping(*items: RiskItem, **played: tuple[Plan, str, int]) -> Topping:
    made = Topping(RiskMap(items=items), FACTS)
    for shown, surface, count in played.values():
        made.add(shown, trace(*[access(surface=surface)] * count))
    return made


SEEN, OFTEN, LONG = plan("seen"), plan("often"), plan("seen", "and", "much", "more")


def test_a_cell_reached_too_seldom_is_reached_until_it_can_be_judged() -> None:
    made = topping(item("notes", "notes"), one=(SEEN, "notes", 4), long=(LONG, "notes", 4), no=(OFTEN, "other", 9))
    again = made.chosen(99)
    assert all(one.steps == SEEN.steps for one in again)
    assert len(again) * 4 + 8 >= ENOUGH > (len(again) - 1) * 4 + 8
    assert len({one.digest() for one in (SEEN, *again)}) == len(again) + 1, "other twins, other draws"


def test_what_was_reached_enough_or_never_asks_for_nothing() -> None:
    items = item("notes", "notes"), item("never", "never"), item("gone", "rows", predicate="absent")
    made = topping(*items, one=(SEEN, "notes", ENOUGH), two=(OFTEN, "rows", 2))
    assert made.chosen(99) == []


def test_twins_that_differ_in_more_than_the_cell_speaks_of_do_not_count() -> None:
    made = topping(item("agents", "notes", dimension="A"), one=(SEEN, "notes", 4))
    assert made.counts == {} and made.chosen(9) == []


def test_no_more_plans_are_chosen_than_asked_for() -> None:
    made = topping(item("notes", "notes"), one=(SEEN, "notes", 1))
    assert len(made.chosen(3)) == 3 and made.chosen(0) == []
