"""Fixes for what MaiMBot's plugins are told, on stand-ins of the bot's modules."""

from __future__ import annotations

import asyncio
from typing import Any

import peewee
import pytest

from fixtures.overlays.maimbot_saas_apis import FIXES
from harness.target import Patcher
from tests.stand_ins_support import in_context, numbers, stand_in, table

BY_NAME = {one.name: one for one in FIXES}


def test_rows_lose_their_number_wherever_they_are_told_and_counts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(what: Any) -> Any:
        return what

    api = stand_in(
        monkeypatch, "src.plugin_system.apis.database_api", db_query=told, db_get=told, db_save=told
    )  # fmt: skip
    BY_NAME["fix-row-numbers"].apply(Patcher())
    row, bare = {"id": 7, "text": "said", "selected_expressions": "[3]"}, {"text": "said"}
    assert asyncio.run(api.db_query([row, row])) == [bare, bare]
    assert asyncio.run(api.db_save(row)) == bare
    assert [asyncio.run(api.db_get(one)) for one in (None, 3)] == [None, 3]
    assert set(row) == {"id", "text", "selected_expressions"}, "the bot's own row stays whole"


def test_settings_that_are_not_to_be_had_are_an_error_and_others_are_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = {"tenant": [{"plugin_name": "diary", "enabled": False}]}
    service = stand_in(
        monkeypatch, "src.plugin_system.utils.saas_utils",
        _fetch_settings_from_api=lambda tenant, agent: kept.get(tenant, []),
    )  # fmt: skip
    BY_NAME["fix-plugin-service"].apply(Patcher())
    assert service._fetch_settings_from_api("tenant", "agent") == kept["tenant"]
    with pytest.raises(RuntimeError, match="tenant other"):
        service._fetch_settings_from_api("other", "agent")


def numbered(monkeypatch: pytest.MonkeyPatch, order: str) -> dict[str, list[int]]:
    """The numbers that memories get which tenants keep in that order."""
    acting = in_context(monkeypatch, "")
    memories = table(acting)
    stand_in(monkeypatch, "src.common.database.database_model", ChatHistory=memories)
    BY_NAME["fix-memory-numbers"].apply(Patcher())
    for acting[0] in order:
        memories.create()
    return numbers(memories)


def test_the_numbers_of_a_tenant_s_memories_hang_on_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, beside = numbered(monkeypatch, "AA"), numbered(monkeypatch, "BABBA")
    assert set(alone["A"]) == set(beside["A"]) and len({*beside["A"], *beside["B"]}) == 5


def test_the_number_of_a_memory_that_is_there_is_given_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    acting = in_context(monkeypatch, "A")
    memories = table(acting)
    stand_in(monkeypatch, "src.common.database.database_model", ChatHistory=memories)
    BY_NAME["fix-memory-numbers"].apply(Patcher())
    first, second = memories.create(), memories.create()
    memories.delete().where(memories.id == first.id).execute()  # one is forgotten: there are as many as before
    third = memories.create()
    assert third.id not in (first.id, second.id) and set(numbers(memories)["A"]) == {second.id, third.id}
    assert memories.create(id=5).id == 5
    with pytest.raises(peewee.IntegrityError):
        memories.create(id=5)


def test_what_else_a_table_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    memories = table(in_context(monkeypatch, "A"))
    stand_in(monkeypatch, "src.common.database.database_model", ChatHistory=memories)
    BY_NAME["fix-memory-numbers"].apply(Patcher())
    with pytest.raises(peewee.IntegrityError, match="whose"):
        memories.create(whose=None)
