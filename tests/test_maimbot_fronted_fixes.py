"""Fixes for what MaiMBot's pages show and keep behind a front, on stand-ins of the bot's modules."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_fronted import FIXES, SHOWN
from harness.target import Patcher
from tests.stand_ins_support import in_context, numbers, stand_in, table

BY_NAME = {one.name: one for one in FIXES}


def test_rows_of_every_table_that_pages_list_are_numbered_by_their_owner_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acting = in_context(monkeypatch, "")

    def numbered(order: str) -> dict[str, set[int]]:
        tables = {name: table(acting) for name in SHOWN}
        stand_in(monkeypatch, "src.common.database.database_model", **tables)
        BY_NAME["fix-webui-numbers"].apply(Patcher())
        for acting[0] in order:
            for kind in tables.values():
                kind.create()
        return {name: set(numbers(kind)["A"]) for name, kind in tables.items()}

    alone, beside = numbered("AA"), numbered("BABBA")
    assert alone == beside
    assert {len(found) for found in alone.values()} == {2}


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The pages of pictures, mended."""
    module = stand_in(
        monkeypatch, "src.webui.emoji_routes", THUMBNAIL_CACHE_DIR=tmp_path, _generating_thumbnails=set[str](),
        _thumbnail_executor=ThreadPoolExecutor(1), asyncio=asyncio, _get_thumbnail_lock=str.upper,
    )  # fmt: skip
    BY_NAME["fix-webui-thumbnails"].apply(Patcher())
    return module


def test_each_finds_clears_and_counts_small_pictures_of_its_own(monkeypatch: pytest.MonkeyPatch, routes: Any) -> None:
    acting = in_context(monkeypatch, "A")
    for acting[0] in "AB":
        routes.THUMBNAIL_CACHE_DIR.mkdir(parents=True, exist_ok=True)
        (routes.THUMBNAIL_CACHE_DIR / f"{acting[0]}.webp").write_bytes(b"x")
    assert [found.name for found in routes.THUMBNAIL_CACHE_DIR.glob("*.webp")] == ["B.webp"]
    routes._generating_thumbnails.add("same")
    locks = [routes._get_thumbnail_lock("same") for acting[0] in "AB"]
    assert locks[0] != locks[1] and all("SAME" in lock for lock in locks)
    acting[0] = "A"
    assert "same" not in routes._generating_thumbnails
    routes._generating_thumbnails.discard("same")
    acting[0] = "B"
    assert "same" in routes._generating_thumbnails
    acting[0] = ""
    assert not routes.THUMBNAIL_CACHE_DIR.exists()


def test_they_are_made_in_the_context_of_whoever_asked(monkeypatch: pytest.MonkeyPatch, routes: Any) -> None:
    who = ContextVar("who", default="nobody")

    async def asked() -> list[str]:
        who.set("A")
        later = routes._thumbnail_executor.submit(who.get)
        now = await routes.asyncio.get_event_loop().run_in_executor(routes._thumbnail_executor, who.get)
        return [later.result(), now]

    assert asyncio.run(asked()) == ["A", "A"]
