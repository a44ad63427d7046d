"""Payloads that name the other twin: which fields do, what they become, and the same step without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from harness.plan import Plan, Step
from harness.principal import PUBLIC, Principal, Twins
from harness.target import Action


def rendered(value: Any, who: Principal, twins: Twins) -> Any:
    """`value` with every text rendered for `who`; ``{other.field}`` becomes the other twin's."""
    if isinstance(value, str):
        return who.render(value, twins.other(who.label))
    if isinstance(value, Mapping):
        return {key: rendered(item, who, twins) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rendered(item, who, twins) for item in value]
    return value


def named(payload: Any, twins: Twins) -> tuple[str, ...]:
    """Where a payload names the other twin by what tells the two apart: ``path=field``, in order."""
    return tuple(
        f"{path}={field}" for path, field in places(payload, "") if getattr(twins.a, field) != getattr(twins.b, field)
    )


def names_other(payload: Any) -> bool:
    """Whether a payload names the other twin at all."""
    return next(places(payload, ""), None) is not None


def honest(plan: Plan, actions: Sequence[Action]) -> Plan:
    """`plan` with every payload field that names the other twin put back to the first choice that names nobody, or
    left out where the action offers none."""
    offered = {(action.entry, action.name): action.payload for action in actions}
    steps = tuple(_honest(step, offered.get((step.entry, step.action), {})) for step in plan.steps)
    return msgspec.structs.replace(plan, steps=steps)


def _honest(step: Step, choices: Mapping[str, Any]) -> Step:
    payload = dict(step.payload)
    for name, value in step.payload.items():
        if not names_other(value):
            continue
        kinds = choices.get(name)
        plain = [c for c in kinds if not names_other(c)] if isinstance(kinds, (list, tuple)) else []
        if plain:
            payload[name] = plain[0]
        else:
            del payload[name]
    return msgspec.structs.replace(step, payload=payload)


def places(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where a payload names the other twin, and by which field: ``(path, field)``, in order."""
    if isinstance(value, str):
        for field in PUBLIC if "{other." in value else ():
            if "{other." + field + "}" in value:
                yield path, field
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from places(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from places(item, path)
