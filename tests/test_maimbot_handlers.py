"""What MaiMBot's handlers do in tasks of their own while somebody has their plugin loaded anew, on a stand-in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_authors import FIXES
from harness.target import Patcher
from tests.stand_ins_support import in_context, stand_in

BY_NAME = {one.name: one for one in FIXES}


class EventsManager:
    """As the bot's: the tasks of a handler are kept by its name, and end when it is taken away."""

    def __init__(self) -> None:
        self._handler_tasks: dict[str, list[asyncio.Task[None]]] = {}

    def dispatch(self, handler: str, heard: list[str], text: str) -> None:
        async def hear() -> None:
            await asyncio.sleep(0)
            heard.append(text)

        self._handler_tasks.setdefault(handler, []).append(asyncio.get_running_loop().create_task(hear()))

    def cancel_handler_tasks(self, handler: str) -> None:
        for task in self._handler_tasks.pop(handler, []):
            task.cancel()


def heard(monkeypatch: pytest.MonkeyPatch, fixed: bool) -> list[str]:
    """What comes of a message of each tenant's if the one has the plugin loaded anew meanwhile."""
    acting, told = in_context(monkeypatch, "one"), list[str]()
    kind: Any = type("EventsManager", (EventsManager,), {})
    stand_in(monkeypatch, "src.plugin_system.core.events_manager", EventsManager=kind)
    if fixed:
        BY_NAME["fix-handler-tasks"].apply(Patcher())

    async def run() -> None:
        manager = kind()
        for acting[0] in ("other", "one"):
            manager.dispatch("diary", told, acting[0])
        manager.cancel_handler_tasks("diary")
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    asyncio.run(run())
    return told


def test_whoever_loads_a_plugin_anew_ends_what_its_handlers_do_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, fixed=False) == []


def test_under_the_fix_it_ends_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, fixed=True) == ["other"]
