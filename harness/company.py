"""Plans in which a third stands by: some mistakes take more than two tenants.

A cache of two places, "the other tenant" taken for the last but one, a list that is cut at two. The third does what the
twins do, between them, and is judged in nothing (`harness.principal.Twins`).
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.impostors import plain, wait
from harness.plan import Plan, Step
from harness.principal import BYSTANDER, TwinSpec
from harness.target import Action

TOGETHER = 6
"""Actions to a plan."""

ORDERS = (("A", BYSTANDER, "B"), ("B", "A", BYSTANDER))
"""Who comes first: the third between the twins, and last, so that it is what the next one of the twins follows."""


def standing_by(actions: Sequence[Action]) -> list[Plan]:
    """Everything that a principal can do, done by all three and then by the twins once more; then what the bot does by
    itself. A few actions to a plan, and nothing that happens around the bot."""
    acting = [action for action in actions if action.principal and action.entry != "world"]
    alone = [action for action in actions if not action.principal and action.entry != "world"]
    found: list[Plan] = []
    for turn, start in enumerate(range(0, len(acting), TOGETHER)):
        order = ORDERS[turn % len(ORDERS)]
        steps: list[Step] = []
        for action in acting[start : start + TOGETHER]:
            payload = plain(action)
            steps += [Step(entry=action.entry, action=action.name, who=who, payload=payload, gap=0.05) for who in order]
            steps.append(wait(3))
        again = [step for step in steps if step.who in ("A", "B")]
        found.append(_plan(turn, (*steps, *reversed(again), wait(5), *_own(alone[turn :: len(ORDERS)]))))
    return found


def _own(actions: Sequence[Action]) -> list[Step]:
    return [Step(entry=action.entry, action=action.name, payload=plain(action), join=True) for action in actions[:2]]


def _plan(turn: int, steps: Sequence[Step]) -> Plan:
    dimension, pictures = ("T", "equal") if turn % 2 == 0 else ("TA", "marked")
    spec = TwinSpec(dimension=dimension, pictures=pictures, seed=turn % 8, third=True)  # type: ignore[arg-type]
    return Plan(seed=turn, twins=spec, steps=tuple(steps))
