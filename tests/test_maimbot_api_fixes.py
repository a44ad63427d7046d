"""Fixes for what MaiMBot's plugins are told, on stand-ins of the bot's modules."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_apis import FIXES
from harness.target import Patcher
from tests.stand_ins_support import in_context, stand_in

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


class Column:
    """A column of a table, of which all that matters is what it is compared with."""

    def __eq__(self, other: object) -> Any:
        return other

    __hash__ = None  # type: ignore[assignment]


def numbers(monkeypatch: pytest.MonkeyPatch, order: str) -> dict[str, list[int]]:
    """The numbers that memories get which tenants keep in that order."""
    acting, rows = in_context(monkeypatch, ""), dict[int, str]()

    class ChatHistory:
        id = Column()

        @classmethod
        def select(cls) -> Any:
            return SimpleNamespace(count=lambda: list(rows.values()).count(acting[0]))

        @classmethod
        def get_or_none(cls, number: int) -> Any:
            return rows.get(number) if rows.get(number) == acting[0] else None

        @classmethod
        def create(cls, **values: Any) -> None:
            rows[values["id"]] = acting[0]

    stand_in(monkeypatch, "src.common.database.database_model", ChatHistory=ChatHistory)
    BY_NAME["fix-memory-numbers"].apply(Patcher())
    for acting[0] in order:
        ChatHistory.create(theme="said")
    return {who: [number for number, whose in rows.items() if whose == who] for who in set(order)}


def test_the_numbers_of_a_tenant_s_memories_hang_on_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, beside = numbers(monkeypatch, "AA"), numbers(monkeypatch, "BABBA")
    assert alone["A"] == beside["A"] and len({*beside["A"], *beside["B"]}) == 5


def test_the_number_of_a_memory_that_is_there_is_given_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    acting, rows = in_context(monkeypatch, "A"), set[int]()

    class ChatHistory:
        id = Column()
        select = classmethod(lambda cls: SimpleNamespace(count=lambda: 0))  # one was forgotten meanwhile
        get_or_none = classmethod(lambda cls, number: number if number in rows else None)
        create = classmethod(lambda cls, **values: rows.add(values["id"]))

    stand_in(monkeypatch, "src.common.database.database_model", ChatHistory=ChatHistory)
    BY_NAME["fix-memory-numbers"].apply(Patcher())
    model: Any = ChatHistory
    for _ in range(3):
        model.create(theme="said")
    model.create(id=5)
    assert len(rows) == 4 and 5 in rows and acting == ["A"]
