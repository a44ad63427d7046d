"""Plans in which a third stands by: some mistakes take more than two tenants.

A cache of two places, "the other tenant" taken for the last but one, a list that is cut at two. The third does what the
twins do, between them, and is judged in nothing (`harness.principal.Twins`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from harness.impostors import plain, wait
from harness.plan import Plan, Step
from harness.principal import BYSTANDER, TWINS, Label, TwinSpec
from harness.target import Action

TOGETHER = 6
"""Actions to a plan."""

ARRIVAL = 3.0
"""Seconds between the first that each of the three does: long enough that the bot is done with one when the next comes,
for places may be given out in the order of what it does last."""

BETWEEN, LAST = ("A", BYSTANDER, "B"), ("B", "A", BYSTANDER)
"""Who comes first: the third between the twins, and last, so that it is what the next one of the twins follows."""

WAYS = (("T", "equal", BETWEEN), ("TA", "marked", LAST), ("TA", "marked", BETWEEN))
"""How the twins differ, whether their pictures do, and in which order the three come. What agents keep apart shows only
where the agents differ: the third then stands between the twins as well."""


def standing_by(actions: Sequence[Action]) -> list[Plan]:
    """Everything that a principal can do, done by all three and then by the twins once more; then what the bot does by
    itself. A few actions to a plan, and nothing that happens around the bot."""
    acting = [action for action in actions if action.principal and action.entry != "world"]
    alone = [action for action in actions if not action.principal and action.entry != "world"]
    found: list[Plan] = []
    groups = [acting[start : start + TOGETHER] for start in range(0, len(acting), TOGETHER)]
    for turn, (group, way) in enumerate(product(groups, WAYS)):
        order = way[2]
        steps: list[Step] = []
        for action in group:
            payload, gap = plain(action), ARRIVAL if action is group[0] else 0.05
            steps += [Step(entry=action.entry, action=action.name, who=who, payload=payload, gap=gap) for who in order]
            steps.append(wait(3))
        again = [step for step in steps if step.who in TWINS]
        found.append(_plan(turn, way, (*steps, *reversed(again), wait(5), *_own(alone[turn % 2 :: 2]))))
    return found


def _own(actions: Sequence[Action]) -> list[Step]:
    return [Step(entry=action.entry, action=action.name, payload=plain(action), join=True) for action in actions[:2]]


def _plan(turn: int, way: tuple[str, str, Sequence[Label]], steps: Sequence[Step]) -> Plan:
    dimension, pictures, _ = way
    spec = TwinSpec(dimension=dimension, pictures=pictures, seed=turn % 8, third=True)  # type: ignore[arg-type]
    return Plan(seed=turn, twins=spec, steps=tuple(steps))
