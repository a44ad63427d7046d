"""What stands for the client by which MaiMBot's pages ask providers and mirrors something."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx

from fixtures.targets import maimbot_saas_http as outside
from fixtures.targets.maimbot_saas_browser import ROUTES


def test_a_request_is_shown_with_its_key_and_answered_as_the_bot_reads_it() -> None:
    modules = {name: SimpleNamespace(httpx=httpx) for name in outside.ASKING}
    booted: Any = SimpleNamespace(module=modules.__getitem__)
    http = outside.Http(booted)
    told: list[tuple[str, str, Any]] = []

    async def ask() -> Any:
        async with modules["src.webui.model_routes"].httpx.AsyncClient(timeout=30.0) as client:
            return await client.get("http://provider/models", headers={"Authorization": "Bearer k"}, params={})

    assert asyncio.run(ask()).status_code == 200
    http.watch = SimpleNamespace(outbound=lambda channel, text, recipient: told.append((channel, text, recipient)))  # type: ignore[assignment]
    answer = asyncio.run(ask())
    [(channel, text, recipient)] = told
    assert (channel, recipient) == ("http", None) and "http://provider/models" in text and "Bearer k" in text
    assert answer.raise_for_status().json()["data"][0]["id"] and answer.json()["models"][0]["name"]


def test_what_the_bot_catches_is_the_packages_own() -> None:
    modules = {name: SimpleNamespace(httpx=httpx) for name in outside.ASKING}
    booted: Any = SimpleNamespace(module=modules.__getitem__)
    outside.Http(booted)
    assert all(module.httpx.TimeoutException is httpx.TimeoutException for module in modules.values())


def test_pages_ask_a_provider_by_its_name() -> None:
    assert all("provider_name=" in ROUTES[name][1] for name in ("models", "models_test"))
