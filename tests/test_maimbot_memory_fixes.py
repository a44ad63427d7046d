"""A fix for what MaiMBot's memory does by one clock for all, on stand-ins of the bot's modules."""

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
