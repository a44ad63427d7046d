"""How hard planted faults are to find: plans until each was found, and how large what shows it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.record import OverlayRecord
from harness.rules.interference import RULE as INTERFERENCE

NAMED = 10
"""Faults that are named as the hardest."""


class Hardness(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the faults that were found by their rule, the upper one of two; None where none was found.
    `hardest` are names, the hardest first: those that took the most plans, of equal ones those whose witness is
    longest. `astray` are faults that stand for items and were found only by what belongs to none of these."""

    plans: int | None = None
    steps: int | None = None
    deviations: int | None = None
    hardest: tuple[str, ...] = ()
    astray: tuple[str, ...] = ()


def measured(records: Sequence[OverlayRecord]) -> Hardness:
    """The hardness of the faults among `records`."""
    found = [record for record in records if record.kind == "fault" and record.right_rule and record.plans]
    ranked = sorted(found, key=lambda one: (-one.plans, -one.deviations, -one.steps, one.name))
    return Hardness(
        plans=_middle([one.plans for one in found]),
        steps=_middle([one.steps for one in found]),
        deviations=_middle([one.deviations for one in found]),
        hardest=tuple(one.name for one in ranked[:NAMED]),
        astray=tuple(one.name for one in found if astray(one)),
    )


def astray(record: OverlayRecord) -> bool:
    """Whether a fault that stands for items was found by what belongs to none of these. What one twin feels of the
    other (interference) shows wherever it looks, which says nothing of where it came from."""
    if record.kind != "fault" or not record.right_rule or record.rule == INTERFERENCE:
        return False
    return bool(record.items) and {*record.opens}.isdisjoint(record.items)


def _middle(values: Sequence[int]) -> int | None:
    return sorted(values)[len(values) // 2] if values else None
