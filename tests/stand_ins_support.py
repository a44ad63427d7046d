"""Stand-ins for modules of a bot that is not installed, and for whom it acts for."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import peewee
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


def table(acting: list[str]) -> Any:
    """A table of numbered rows, each whose it was that acted (`in_context`), of which one's own are shown."""
    memory = peewee.SqliteDatabase(":memory:")

    class Row(peewee.Model):  # type: ignore[misc]
        whose = peewee.CharField(default=lambda: acting[0])

        class Meta:
            database = memory

        @classmethod
        def select(cls, *fields: Any) -> Any:
            return super().select(*fields).where(cls.whose == acting[0])

    memory.create_tables([Row])
    return Row


def numbers(row: Any) -> dict[str, list[int]]:
    """The numbers of all rows of a `table`, by whose they are."""
    found: dict[str, list[int]] = {}
    for number, whose in row._meta.database.execute_sql("SELECT id, whose FROM row ORDER BY rowid"):
        found.setdefault(whose, []).append(number)
    return found
