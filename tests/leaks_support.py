"""What tests of the reference bot's faults share: a leak is a little scene in which B meets what is A's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fixtures.overlays import reference
from fixtures.reference_bot import store
from fixtures.reference_bot.identity import Identity, acting
from fixtures.targets.reference import ReferenceTarget
from harness.principal import Principal, Twins
from tests.test_reference_bot_alone import Ear, play

Leak = Callable[[ReferenceTarget, Twins, Ear], Awaitable[bool]]
"""Whether B meets what is A's."""

Leaks = dict[str, tuple[Leak, str]]
"""Scenes by the fault's name, with the dimension in which the twins differ."""


def into(leaks: Leaks) -> Callable[..., Callable[[Leak], Leak]]:
    """A decorator that adds its scene to `leaks`."""

    def leak(name: str, dimension: str = "T") -> Callable[[Leak], Leak]:
        def keep(function: Leak) -> Leak:
            leaks[name] = function, dimension
            return function

        return keep

    return leak


def act(who: Principal) -> Any:
    return acting(Identity(who.tenant, who.agent))


async def api(target: ReferenceTarget, who: Principal, text: str, **more: Any) -> None:
    await target.deliver("api", "command" if text.startswith("/") else "text", who, {"text": who.render(text), **more})


async def rows_of(who: Principal, table: type[store.Owned]) -> int:
    with act(who):
        return int(table.read().count())


def crosses(leaks: Leaks, folder: Path, name: str, *, broken: bool) -> bool:
    """Play the scene of a fault, with it or without."""
    fault = next(fault for fault in reference.FAULTS if fault.name == name)
    shows, dimension = leaks[name]
    answers: list[bool] = []

    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        answers.append(await shows(target, twins, ear))

    play(folder, body, patch=fault.apply if broken else None, dimension=dimension)
    return answers[0]
