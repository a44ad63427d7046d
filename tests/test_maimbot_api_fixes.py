"""Fixes for what MaiMBot's plugins are told, on stand-ins of the bot's modules."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_apis import FIXES
from harness.target import Patcher
from tests.stand_ins_support import stand_in

BY_NAME = {one.name: one for one in FIXES}


def test_rows_lose_their_number_wherever_they_are_told_and_counts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(what: Any) -> Any:
        return what

    api = stand_in(
        monkeypatch, "src.plugin_system.apis.database_api", db_query=told, db_get=told, db_save=told
    )  # fmt: skip
    BY_NAME["fix-row-numbers"].apply(Patcher())
    row, bare = {"id": 7, "text": "said"}, {"text": "said"}
    assert asyncio.run(api.db_query([row, row])) == [bare, bare]
    assert asyncio.run(api.db_save(row)) == bare
    assert [asyncio.run(api.db_get(one)) for one in (None, 3)] == [None, 3]
    assert row == {"id": 7, "text": "said"}


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
