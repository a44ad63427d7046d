"""The reference bot with an overlay that gives it what bots keep: a client, a memoised function, a held-open socket."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from fixtures.targets.reference import ReferenceTarget
from harness.target import Overlay, Patcher


class Unpleasant:
    """Somebody else's object that answers every question, as a proxy does. None may be put to it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the survey asked a bot's object for {name}")


def furnish(patcher: Patcher) -> None:
    import httpx

    from fixtures.reference_bot import sender

    def letter(name: str) -> str:
        return name.upper()

    client = httpx.Client()
    more: dict[str, Any] = {
        "http": client, "also_http": client, "clients": {"one": httpx.Client()}, "odd": Unpleasant(),
        "letter": functools.lru_cache(letter),
    }  # fmt: skip
    for name, value in more.items():
        setattr(sender, name, value)


class FurnishedTarget(ReferenceTarget):
    """See the module docstring."""

    def overlays(self) -> Sequence[Overlay]:
        return [Overlay(name="furnished", kind="fault", about="keeps clients", rule="*", apply=furnish)]
