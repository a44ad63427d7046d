"""The reference bot with a race in it, as it stood when a witness was found and after two later edits of its code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from fixtures.reference_bot.messages import messages
from fixtures.reference_bot.persons import persons
from fixtures.reference_bot.streams import streams
from fixtures.targets.reference import ReferenceTarget
from harness.target import Overlay, Patcher

LATEST: dict[str, str] = {}
"""The race: what is to be stored waits here, for whoever is served."""


def race(patcher: Patcher) -> None:
    """A message waits a moment in a variable of the process before it is stored."""
    patcher.set(messages, "record", _waiting(messages.record))


def _waiting(record: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def kept_for_a_moment(stream_id: str, name: str, kind: str, text: str) -> Any:
        LATEST["text"] = text
        await asyncio.sleep(0.2)
        return await record(stream_id, name, kind, LATEST["text"])

    async def kept_for_a_while(stream_id: str, name: str, kind: str, text: str) -> Any:
        LATEST["text"] = text
        await asyncio.sleep(0.2)
        return await record(stream_id, name, kind, LATEST["text"])

    async def recorded(stream_id: str, name: str, kind: str, text: str) -> Any:
        # A patch stands where the code stands that it replaces; what it calls keeps its own name.
        keep = kept_for_a_while if RacyTarget.renamed else kept_for_a_moment
        return await keep(stream_id, name, kind, text)

    return recorded


class RacyTarget(ReferenceTarget):
    """As it stood when the witness was found."""

    renamed = False

    def overlays(self) -> Sequence[Overlay]:
        return [Overlay(name="race", kind="fault", about="", rule="canary-flow", surface="messages", apply=race)]


class AwaitsMoreTarget(RacyTarget):
    """After an edit: two functions on the way to the race wait as well, one for its turn and one for time to pass."""

    def version(self) -> str:
        return "awaits-more"

    def boot(self, folder: Path) -> None:
        super().boot(folder)
        meet, opened = persons.meet, streams.open

        async def meet_later(*arguments: Any) -> str:
            await asyncio.sleep(0)
            return await meet(*arguments)

        async def open_later(*arguments: Any) -> Any:
            await asyncio.sleep(0.01)
            return await opened(*arguments)

        persons.meet = meet_later  # type: ignore[method-assign]
        streams.open = open_later  # type: ignore[method-assign]


class RenamedTarget(RacyTarget):
    """After another edit: the function that waits has another name."""

    def version(self) -> str:
        return "renamed"

    def boot(self, folder: Path) -> None:
        super().boot(folder)
        RacyTarget.renamed = True
