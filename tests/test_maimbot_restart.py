"""A MaiMBot that starts again has forgotten what it held, and its folders are still those of the plan."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fixtures.targets import maimbot_saas_boot as booting
from fixtures.targets.chats import Chats
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from fixtures.targets.maimbot_saas_drive import Driver
from fixtures.targets.maimbot_saas_memory import Snapshot
from harness.target import Patcher


class Manager:
    """As the bot's manager of tasks."""

    async def stop_and_wait_all_tasks(self) -> None:
        pass


def module(monkeypatch: pytest.MonkeyPatch, name: str, **holds: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(holds)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def test_after_a_restart_memory_is_new_and_folders_are_the_plans(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, folder = tmp_path / "template", tmp_path / "plan"
    folder.mkdir()
    monkeypatch.chdir(folder)
    booted = booting.Booted(code)
    routes = module(
        monkeypatch, "src.webui.config_routes",
        PROJECT_ROOT=str(booted.bot), CONFIG=booted.bot / "config", SOURCE=str(booted.bot / "src"), opened={},
    )  # fmt: skip
    module(monkeypatch, "src.webui.token_manager", __file__=str(booted.bot / "src" / "webui" / "token_manager.py"))
    module(monkeypatch, "src.manager.async_task_manager", async_task_manager=Manager())
    target = MaimbotSaasTarget(root=tmp_path, db_root=tmp_path)
    known: Any = target

    async def nothing() -> None:
        pass

    known._booted, known._snapshot = booted, Snapshot("src.webui")
    known._watch = SimpleNamespace(overlaid=lambda: ())
    known._driver = SimpleNamespace(close=nothing, tasks={})
    monkeypatch.setattr(target, "start", nothing)

    booting.rebind(booted, folder)
    routes.opened["by"] = "A"
    asyncio.run(target.restart())
    assert routes.opened == {}
    assert (str(folder), folder / "config") == (routes.PROJECT_ROOT, routes.CONFIG)
    assert str(booted.bot / "src") == routes.SOURCE, "the code stays where it is"


def test_a_chats_loop_ends_with_the_bot_though_it_runs_inside_of_what_tells_whose_it_is(tmp_path: Path) -> None:
    class Loop:
        async def turns(self) -> None:
            await asyncio.Event().wait()

    Chats().watch(Patcher(), Loop, "turns", lambda loop: ("chat", "platform"))
    driver: Any = object.__new__(Driver)
    driver.booted = booting.Booted(tmp_path)

    async def found() -> bool:
        mine = asyncio.create_task(asyncio.Event().wait())
        loop = asyncio.create_task(Loop().turns())
        await asyncio.sleep(0)
        tasks = driver.bot_tasks()
        for task in (mine, loop):
            task.cancel()
        return bool(tasks == [loop])

    assert asyncio.run(found())
