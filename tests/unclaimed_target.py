"""The reference bot with a cache that no risk item knows of: kept apart rightly, so no rule has anything to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fixtures.targets.reference import ReferenceTarget
from harness.target import Overlay, Patcher


def remember(patcher: Patcher) -> None:
    from fixtures.reference_bot.housekeeping import housekeeping
    from fixtures.reference_bot.identity import current
    from fixtures.reference_bot.sender import Sender

    plain = Sender.send
    housekeeping.outbox = {}  # type: ignore[attr-defined]

    async def send(self: Any, stream: Any, kind: str, text: str) -> int:
        housekeeping.outbox[tuple(current())] = text
        return await plain(self, stream, kind, text)

    patcher.set(Sender, "send", send)


class RememberingTarget(ReferenceTarget):
    """See the module docstring."""

    def overlays(self) -> Sequence[Overlay]:
        return [Overlay(name="outbox", kind="fault", about="keeps what was sent", rule="*", apply=remember)]
