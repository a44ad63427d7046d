"""Stand-ins for modules of a bot that is not installed, and for whom it acts for."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> Any:
    """A module of that name and content, importable until the test ends."""
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def in_context(monkeypatch: pytest.MonkeyPatch, tenant: str) -> list[str]:
    """The tenant in MaiMBot's context, as the only element of a list that the test may change."""
    who = [tenant]
    stand_in(
        monkeypatch, "src.common.message.tenant_context",
        get_current_tenant_id=lambda: who[0], get_current_agent_id=lambda: "agent",
    )  # fmt: skip
    return who
