"""The page of MaiMBot that ends the process: what its clients feel, and that the bot starts again for nobody."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from fixtures.targets.maimbot_saas_exit import PAGE, Exit
from harness.flow import FLOW, Flow


def pressed(status: int) -> tuple[str, list[Any], list[Flow]]:
    """What the page answers by that status, what clients are told, and in whose flow the bot starts again."""
    told: list[Any] = []
    started: list[Flow] = []

    async def again() -> None:
        started.append(FLOW.get())

    module = SimpleNamespace(os=None)
    booted: Any = SimpleNamespace(module=lambda name: module, clients=("key_a", "key_b"))
    page = Exit(booted, again)
    page.watch = SimpleNamespace(outbound=lambda channel, text, recipient: told.append((channel, recipient)))  # type: ignore[assignment]

    async def ask(method: str, path: str, body: Any) -> tuple[int, str]:
        assert (method, path, body) == ("POST", PAGE, None)
        if status == 200:
            asyncio.get_running_loop().call_soon(lambda: module.os._exit(42))
        return status, "answered"

    async def step() -> str:
        FLOW.set(Flow("B.0", step=0, actor="B", entry="webui"))
        return await page.press(ask)

    return asyncio.run(step()), told, started


def test_every_client_is_cut_off_and_the_bot_starts_again_for_nobody() -> None:
    answer, told, started = pressed(200)
    assert answer == "200 answered"
    assert told == [("api.closed", {"credential": key}) for key in ("key_a", "key_b")]
    [flow] = started
    assert (flow.actor, flow.entry) == (None, "start")


def test_where_the_page_refuses_nothing_ends() -> None:
    assert pressed(403) == ("403 answered", [], [])
