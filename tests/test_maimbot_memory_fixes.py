"""Fixes for what MaiMBot's memory does by one clock or keeps by one name for all, on stand-ins of its modules."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_memory import FIXES
from harness.target import Patcher

SHIPPED = """
LAST = 0.0
DONE = []

def _cleanup_stale_not_found_thinking_back():
    global LAST
    if LAST == 0.0:
        DONE.append(who())
        LAST = 1.0
"""


def test_each_tenant_has_its_own_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    acting = ["one"]
    context: Any = ModuleType("src.common.message.tenant_context")
    context.get_current_tenant_id = lambda: acting[0]
    context.get_current_agent_id = lambda: "agent"
    memory: Any = ModuleType("src.memory_system.memory_retrieval")
    memory.who = lambda: acting[0]
    exec(SHIPPED, vars(memory))
    for module in (context, memory):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    FIXES[0].apply(Patcher())
    for acting[0] in ("one", "other", "one", "other"):
        memory._cleanup_stale_not_found_thinking_back()
    assert memory.DONE == ["one", "other"]


class PersonInfoManager:
    """As the bot's: names by person, who may be somebody to several tenants."""

    def __init__(self) -> None:
        self.person_name_list = {"somebody": "given by nobody that is known"}


class PromptManager:
    """As the bot's: templates by name."""

    def __init__(self) -> None:
        self._prompts = {"planner": "the bot's own"}


def kept_for(monkeypatch: pytest.MonkeyPatch, module: str, kind: type, fix: str) -> tuple[Any, list[str]]:
    """What the bot keeps one of, under a fix, and who acts."""
    acting = ["one"]
    context: Any = ModuleType("src.common.message.tenant_context")
    context.get_current_tenant_id = lambda: acting[0]
    context.get_current_agent_id = lambda: "agent"
    there: Any = ModuleType(module)
    setattr(there, kind.__name__, type(kind.__name__, (kind,), {}))
    for one in (context, there):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    acting[0] = ""
    kept = getattr(there, kind.__name__)()
    next(one for one in FIXES if one.name == fix).apply(Patcher())
    return kept, acting


def test_a_name_that_one_tenant_gave_is_known_to_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, acting = kept_for(monkeypatch, "src.person_info.person_info", PersonInfoManager, "fix-person-names")
    acting[0] = "one"
    kept.person_name_list["somebody"] = "Li"
    acting[0] = "other"
    assert kept.person_name_list == {}
    acting[0] = "one"
    assert kept.person_name_list == {"somebody": "Li"}


def test_a_template_that_one_tenant_registers_is_its_own_and_the_bots_are_everybodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, acting = kept_for(monkeypatch, "src.chat.utils.prompt_builder", PromptManager, "fix-plugin-prompts")
    acting[0] = "one"
    kept._prompts["style"] = "so"
    acting[0] = "other"
    assert kept._prompts == {"planner": "the bot's own"}
    acting[0] = "one"
    assert kept._prompts == {"planner": "the bot's own", "style": "so"}
