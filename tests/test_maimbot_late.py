"""What MaiMBot does when it first imports a module it does in the flow of whoever first needs it, in each process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.targets import maimbot_saas_late as late
from fixtures.targets.maimbot_saas_boot import Booted
from tests.stand_ins_support import stand_in


class Manager:
    """Templates by name; where a message brings its own, `midst` says so."""

    def __init__(self) -> None:
        self._prompts: dict[str, str] = {}
        self.midst = False

    def register(self) -> None:
        if not self.midst:
            self._prompts[late.TEMPLATE] = "use tools"


def bot(monkeypatch: pytest.MonkeyPatch, manager: Manager, replyer: type) -> Booted:
    stand_in(monkeypatch, "src.chat.utils.prompt_builder", global_prompt_manager=manager)
    stand_in(monkeypatch, late.LATE, init_tool_executor_prompt=manager.register, ToolExecutor=object)
    for module, name in late.MAKERS:
        stand_in(monkeypatch, module, **{name: type(name, (replyer,), {})})
    return Booted(Path("code"))


@pytest.mark.parametrize("maker", late.MAKERS)
def test_the_first_replyer_has_the_template_registered(monkeypatch: pytest.MonkeyPatch, maker: tuple[str, str]) -> None:
    manager = Manager()

    class Replyer:
        def __init__(self, chat: str) -> None:
            from src.plugin_system.core.tool_use import ToolExecutor  # type: ignore[import-not-found]  # noqa: F401

            self.known = late.TEMPLATE in manager._prompts

    manager.register()
    booted = bot(monkeypatch, manager, Replyer)
    late.postpone(booted)
    assert not manager._prompts
    make: Any = getattr(booted.module(maker[0]), maker[1])
    assert make("chat").known
    manager._prompts.clear()
    assert not make("chat").known, "a module is imported once in a process"
    booted.imported.clear()
    manager.midst = True
    assert not make("chat").known
    manager.midst = False
    assert not make("chat").known


def test_a_commit_that_imports_the_module_elsewhere_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager()

    class Replyer:
        def __init__(self, chat: str) -> None:
            self.known = late.TEMPLATE in manager._prompts

    manager.register()
    booted = bot(monkeypatch, manager, Replyer)
    late.postpone(booted)
    for module, name in late.MAKERS:
        assert getattr(booted.module(module), name)("chat").known
