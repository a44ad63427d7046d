"""What a target offers, choice by choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.target import Action


def one_by_one(actions: Sequence[Action]) -> list[Action]:
    """The actions with one for each choice of the field that offers most of them, each choice once; without those that
    carry a wrong identity: who is refused at the door overlaps with nobody."""
    return [made for action in actions for made in _narrowed(action) if not made.is_wrong(_settled(made))]


def _narrowed(action: Action) -> list[Action]:
    offered = {name: kind for name, kind in action.payload.items() if isinstance(kind, (list, tuple))}
    if not offered:
        return [action]
    name = max(offered, key=lambda field: len(offered[field]))
    distinct: list[Any] = []
    for value in offered[name]:
        if value not in distinct:  # choices need not be hashable
            distinct.append(value)
    return [msgspec.structs.replace(action, payload={**action.payload, name: [value]}) for value in distinct]


def _settled(action: Action) -> dict[str, Any]:
    """The fields that have but one choice."""
    return {
        name: kind[0] for name, kind in action.payload.items() if isinstance(kind, (list, tuple)) and len(kind) == 1
    }
