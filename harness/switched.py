"""Plans in which the twins' settings differ where no canary fits in, and their bots bear one name.

Of a text that is kept from the wrong twin the text itself tells; of a switch only what the bot does by it. So such
plans show most as pairs (`harness.pairs`), where B's settings are all the other way in one run, and A's the same in
both.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.impostors import plain, wait
from harness.plan import Plan, Step
from harness.principal import Label, TwinSpec
from harness.target import Action

GROUP = 9
"""Actions to a plan of the tour."""

EVERY = 7
"""One generated plan in so many has twins of this kind, where the target writes such settings: not a divisor of how
many plans of each kind make a batch, so that it is one of each kind in turn."""

WAYS = (("T", "equal"), ("TA", "marked"))
"""How the twins differ in turns, and whether their pictures do."""


def switching(actions: Sequence[Action]) -> list[Plan]:
    """Everything that a principal can do, done by both, then once more the other way round, a few actions to a plan.
    What the bot keeps of its settings it has from whoever came first: that is each of the twins in turn."""
    acting = [action for action in actions if action.principal and action.entry != "world" and _right(action)]
    found: list[Plan] = []
    for turn, start in enumerate(range(0, len(acting), GROUP)):
        steps: list[Step] = []
        for index, action in enumerate(acting[start : start + GROUP]):
            payload = plain(action)
            order: tuple[Label, ...] = ("A", "B") if (turn + index) % 2 else ("B", "A")
            steps += [Step(entry=action.entry, action=action.name, who=w, payload=payload, gap=0.05) for w in order]
            steps.append(wait(3))
        again = [step for step in reversed(steps) if step.who]
        dimension, pictures = WAYS[turn % len(WAYS)]
        twins = TwinSpec(dimension=dimension, pictures=pictures, seed=turn % 8, settings="switched")  # type: ignore[arg-type]
        found.append(Plan(seed=turn, twins=twins, steps=(*steps, *again, wait(5))))
    return found


def _right(action: Action) -> bool:
    """Whether it is done in one's own name: who is refused at the door reads no setting."""
    return not action.is_wrong(plain(action))


def can_be(twins: TwinSpec) -> bool:
    """Whether such twins can have settings that differ: ordinary ones that are no two chats of one agent."""
    return not twins.hostile and not twins.third and bool({"T", "A"} & set(twins.dimension))


def some(plans: Sequence[Plan]) -> list[Plan]:
    """`plans`, in one of `EVERY` with settings that differ; nothing about any of them is drawn anew."""
    return [
        msgspec.structs.replace(plan, twins=msgspec.structs.replace(plan.twins, settings="switched"))
        if index % EVERY == EVERY // 2 and can_be(plan.twins) else plan
        for index, plan in enumerate(plans)
    ]  # fmt: skip
