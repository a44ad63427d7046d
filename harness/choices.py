"""What a target offers, choice by choice."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from harness.plan import Step
from harness.principal import Label
from harness.target import Action

_SIGN = re.compile(r"[!#$%*./:;?\\~+-]\w")
"""What a command begins with, and no sentence or name."""


def one_by_one(actions: Sequence[Action]) -> list[Action]:
    """The actions with one for each choice of the field that offers most of them, each choice once, and one for all
    choices that are cut short (`cut_short`); without those that carry a wrong identity: who is refused at the door
    overlaps with nobody."""
    return [made for action in actions for made in _narrowed(action) if not made.is_wrong(_settled(made))]


def cut_short(action: Action, field: str) -> list[str]:
    """The commands among the choices of a field without the words that they end with, as a user leaves out what one
    asks for: each once, and none that is offered as it is. A command begins with a sign (``/off``). None of a field
    that carries identities."""
    kind = action.payload.get(field)
    if not isinstance(kind, (list, tuple)) or field in action.wrong:
        return []
    commands = [choice.split() for choice in kind if isinstance(choice, str) and _SIGN.match(choice)]
    made = (" ".join(words[:count]) for words in commands for count in range(1, len(words)))
    return [text for text in dict.fromkeys(made) if text not in kind]


def drawn_value(kind: Any, texts: Sequence[str], rng: random.Random) -> Any:
    """A value of a field as `Action.payload` describes it; words come from `texts`."""
    if kind == "text":
        return rng.choice(texts)
    if kind == "int":
        return rng.randrange(10)
    if kind == "flag":
        return rng.random() < 0.5
    return rng.choice(kind) if isinstance(kind, (list, tuple)) else kind


def drawn_step(action: Action, who: Label | None, texts: Sequence[str], rng: random.Random, gap: float) -> Step:
    """A step of that action, `gap` seconds after what came before has ended."""
    payload = {name: drawn_value(kind, texts, rng) for name, kind in action.payload.items()}
    return Step(entry=action.entry, action=action.name, who=who, payload=payload, gap=gap, join=True)


def bare(choice: Action, step: Step) -> dict[str, Any] | None:
    """The payload of a step whose command leaves out what it asks for: where somebody has just said it, that may be
    taken. None where the step is no command, or asks for nothing."""
    for field, said in step.payload.items():
        short = cut_short(msgspec.structs.replace(choice, payload={field: [said]}), field)
        if short:
            return {**step.payload, field: short[0]}
    return None


def _narrowed(action: Action) -> list[Action]:
    offered = {name: kind for name, kind in action.payload.items() if isinstance(kind, (list, tuple))}
    if not offered:
        return [action]
    name = max(offered, key=lambda field: len(offered[field]))
    distinct: list[Any] = []
    for value in offered[name]:
        if value not in distinct:  # choices need not be hashable
            distinct.append(value)
    settled = [[value] for value in distinct]
    if short := cut_short(action, name):
        settled.append(short)
    return [msgspec.structs.replace(action, payload={**action.payload, name: values}) for values in settled]


def _settled(action: Action) -> dict[str, Any]:
    """The fields that have but one choice."""
    return {
        name: kind[0] for name, kind in action.payload.items() if isinstance(kind, (list, tuple)) and len(kind) == 1
    }
