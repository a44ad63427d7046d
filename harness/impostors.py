"""Plans in which one twin could be taken for the other: payloads that name the other, and ids that collide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from harness.forgery import names_other
from harness.hostile import FAMILIES, STEM, others, spec_of
from harness.plan import Plan, Step
from harness.principal import TwinSpec
from harness.target import Action

TEXT = "{message}"

GROUP = 9
"""Actions to a plan under hostile ids."""

_STEMS = st.builds(
    str.__add__, st.sampled_from("hkmnpqrt"), st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6)
)


@st.composite
def specs(draw: st.DrawFn, families: Sequence[str], seeds: int) -> TwinSpec:
    """Twins of one of the hostile families, from drawn parts."""
    family = draw(st.sampled_from(list(families)))
    parts = [draw(_STEMS if part == STEM else st.sampled_from(part)) for part in FAMILIES[family].parts]
    return spec_of(family, draw(st.integers(0, seeds - 1)), parts)


def forging(actions: Sequence[Action]) -> list[Plan]:
    """Every choice that names the other twin, taken by both after each has done the same step honestly."""
    found: list[Plan] = []
    for action in actions:
        for name, choice in _forged(action):
            payload = plain(action)
            forged = {**payload, name: choice}
            honest = [Step(entry=action.entry, action=action.name, who=who, payload=payload) for who in "AB"]
            steps = [*honest, wait(10), *honest, wait(10)]
            for who in "AB":
                steps += [Step(entry=action.entry, action=action.name, who=who, payload=forged), wait(10)]
            found.append(Plan(twins=TwinSpec(dimension="TA", pictures="marked"), steps=tuple(steps)))
    return found


def colliding(actions: Sequence[Action], families: Sequence[str]) -> list[Plan]:
    """Each family of hostile ids once with every action, a few actions to a plan; then its other marks and texts with
    the first few."""
    acting = [action for action in actions if action.principal]
    found: list[Plan] = []
    first: dict[str, Plan] = {}
    for turn, family in enumerate(families):
        for group in (acting[start : start + GROUP] for start in range(0, len(acting), GROUP)):
            steps: list[Step] = []
            for action in group:
                payload = plain(action)
                steps += [Step(entry=action.entry, action=action.name, who=who, payload=payload) for who in "AB"]
                steps.append(wait(5))
            again = [step for step in steps if step.who]
            found.append(Plan(twins=spec_of(family, turn % 8), steps=(*steps, *again, wait(10))))
            first.setdefault(family, found[-1])
    # A bot joins ids in one way: the other ways in which texts of a family may read alike, with what comes first.
    for turn, spec in enumerate(spec for family in families for spec in others(family)):
        if (plan := first.get(spec.hostile)) is not None:
            found.append(msgspec.structs.replace(plan, twins=msgspec.structs.replace(spec, seed=turn % 8)))
    return found


def wait(seconds: int) -> Step:
    """The clock moves on once every step has ended."""
    return Step(entry="world", action="advance", payload={"seconds": seconds}, join=True)


def plain(action: Action) -> dict[str, Any]:
    """The first choice of every field that names nobody else."""
    payload: dict[str, Any] = {}
    for name, kind in action.payload.items():
        if isinstance(kind, (list, tuple)):
            payload[name] = next((choice for choice in kind if not names_other(choice)), None)
        else:
            payload[name] = {"text": TEXT, "int": 1, "flag": False}.get(kind, kind)
    return payload


def _forged(action: Action) -> Iterator[tuple[str, Any]]:
    seen: list[Any] = []
    for name, kind in action.payload.items():
        for choice in kind if isinstance(kind, (list, tuple)) else ():
            if names_other(choice) and (name, choice) not in seen:
                seen.append((name, choice))
                yield name, choice
