"""How hard faults are to find is told from their records; who was found by what belongs elsewhere is named."""

from __future__ import annotations

from typing import Any

from harness import hardness
from harness.record import OverlayRecord


def fault(name: str, plans: int, **more: Any) -> OverlayRecord:
    fields: dict[str, Any] = {"kind": "fault", "rule": "r", "items": (), "killed": True, "right_rule": True, **more}
    return OverlayRecord(name=name, plans=plans, **fields)


def test_the_hardest_took_most_plans_and_of_equal_ones_the_longest_witness() -> None:
    made = [fault(f"f{plans}", plans, steps=2) for plans in range(1, 13)]
    made += [fault("long", 12, steps=9), fault("ordered", 12, steps=2, deviations=3)]
    found = hardness.measured(made)
    assert found.hardest[:4] == ("ordered", "long", "f12", "f11") and len(found.hardest) == hardness.NAMED
    assert (found.plans, found.steps, found.deviations) == (8, 2, 0)


def test_what_was_missed_or_is_no_fault_counts_for_nothing() -> None:
    made = [fault("missed", 90, right_rule=False), fault("control", 9, kind="control")]
    assert hardness.measured(made) == hardness.Hardness()


def test_a_kill_that_belongs_to_none_of_the_faults_items_is_astray() -> None:
    made = [
        fault("right", 1, items=("a", "b"), opens=("b", "c")),
        fault("astray", 1, items=("a",), opens=("c",)),
        fault("nowhere", 1, items=("a",)),
        fault("of-no-item", 1, opens=("c",)),
        fault("felt", 1, items=("a",), rule="interference"),
    ]
    assert hardness.measured(made).astray == ("astray", "nowhere")
