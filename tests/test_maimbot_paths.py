"""Pages of MaiMBot that take a path: what they are asked for in plans, and the fix that keeps them at home."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_paths import FIXES
from fixtures.targets import maimbot_saas_paths as paths
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from harness.forgery import rendered
from harness.principal import TwinSpec
from harness.target import Patcher

TWINS = MaimbotSaasTarget().twins(TwinSpec())
OTHERS = rendered(paths.OTHERS, TWINS.a, TWINS)


def asking() -> tuple[list[tuple[str, str, Any]], paths.Ask]:
    made: list[tuple[str, str, Any]] = []

    async def ask(method: str, path: str, body: Any) -> tuple[int, str]:
        made.append((method, path, body))
        return 200, "shown"

    return made, ask


def test_an_adapters_file_is_opened_and_saved_where_the_page_is_told() -> None:
    made, ask = asking()
    assert asyncio.run(paths.adapter(ask, TWINS.a, f"{OTHERS}/{paths.KEPT}")) == "200 shown"
    [(_, opened, _), (_, _, saved)] = made
    assert opened.endswith(f"?path={OTHERS}/{paths.KEPT}") and saved["path"] == f"{OTHERS}/{paths.KEPT}"
    assert TWINS.a.secrets["config.tenant"] in saved["content"]


def test_a_plugins_name_and_folder_are_handed_on_as_they_are() -> None:
    made, ask = asking()
    asyncio.run(paths.remove(ask, f"../{OTHERS}"))
    asyncio.run(paths.clone(ask, TWINS.a, f"../{OTHERS}"))
    assert made[0][2] == {"plugin_id": f"../{OTHERS}"}
    assert made[1][2]["target_path"] == f"../{OTHERS}"
    assert TWINS.a.secrets["file"] in made[1][2]["custom_url"]


@pytest.mark.parametrize(("action", "logged_in"), [("adapter", 0), ("asset", 0), ("clone", 1), ("remove", 1)])
def test_whoever_reads_files_has_not_logged_in(action: str, logged_in: int) -> None:
    (known, ask), (bare, unknown) = asking(), asking()
    asyncio.run(paths.deliver(ask, unknown, action, TWINS.a, {"path": paths.FILE, "file": "index.html"}))
    assert (bool(known), bool(bare)) == (bool(logged_in), not logged_in)


def test_a_file_beside_the_front_page_is_asked_for_by_a_path_that_arrives_as_it_is() -> None:
    made, ask = asking()
    assert asyncio.run(paths.asset(ask, paths.DATABASE)) == "200 shown"
    assert made == [("GET", "/%2e%2e/%2e%2e/data/MaiBot.db", None)]


def test_of_the_database_what_can_be_read_is_shown() -> None:
    secret = TWINS.b.credential

    async def ask(method: str, path: str, body: Any) -> tuple[int, str]:
        return 200, f"SQLite format 3\0\x01{secret}\0\0{secret}\x02\0"

    assert asyncio.run(paths.asset(ask, paths.DATABASE)) == f"200 {secret}"


def test_the_front_page_is_served_from_the_plans_own_folder(tmp_path: Path) -> None:
    def made(static_path: Path) -> Any:
        def serve_spa(full_path: str) -> Path:
            return static_path / full_path

        return serve_spa

    routes = [SimpleNamespace(endpoint=made(Path("elsewhere"))), SimpleNamespace(endpoint=len), SimpleNamespace()]
    paths.serve_from(SimpleNamespace(routes=routes), tmp_path)
    assert routes[0].endpoint("index.html") == tmp_path / "webui" / "dist" / "index.html"


@pytest.mark.parametrize(
    ("action", "field"), [("adapter", "path"), ("remove", "plugin"), ("clone", "folder"), ("asset", "file")]
)
def test_each_page_first_stays_where_it_belongs_and_then_is_led_elsewhere(action: str, field: str) -> None:
    [offered] = [one for one in MaimbotSaasTarget().actions() if (one.entry, one.name) == ("webui", action)]
    first, last = (str(rendered(offered.payload[field][at], TWINS.a, TWINS)) for at in (0, -1))
    assert ".." not in first and "data/" not in first
    assert "data/" in last and (".." in last or TWINS.b.tenant in last)


def test_what_the_other_is_led_to_lies_in_its_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.lay(TWINS.b)
    assert TWINS.b.secrets["memory"] in (tmp_path / OTHERS / paths.KEPT).read_text(encoding="utf-8")


def served(monkeypatch: pytest.MonkeyPatch, path: str, query: str, body: Any) -> tuple[int, bytes]:
    """Status and what the application behind the fix is sent (nothing where the fix answers)."""
    seen: list[bytes] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200})

    app = SimpleNamespace(middleware_stack=behind)
    module = ModuleType("src.webui.webui_server")
    vars(module)["get_webui_server"] = lambda: SimpleNamespace(app=app)
    monkeypatch.setitem(sys.modules, "src.webui.webui_server", module)
    responses = ModuleType("starlette.responses")

    class JSONResponse:
        def __init__(self, content: Any, status_code: int) -> None:
            self.status = status_code

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": self.status})

    vars(responses)["JSONResponse"] = JSONResponse
    monkeypatch.setitem(sys.modules, "starlette.responses", responses)
    patcher = Patcher()
    next(one for one in FIXES if one.name == "fix-webui-paths").apply(patcher)
    told: list[int] = []

    async def send(message: Any) -> None:
        told.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}

    asyncio.run(app.middleware_stack({"path": path, "query_string": query.encode()}, receive, send))
    return told[0], seen[0] if seen else b""


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        (paths.PATH, f"path={OTHERS}/{paths.KEPT}", None),
        (paths.PATH, "", {"path": "config/../data/kept.toml", "content": ""}),
        (f"{paths.PLUGINS}/uninstall", "", {"plugin_id": f"../{OTHERS}"}),
        (f"{paths.PLUGINS}/clone", "", {"target_path": f"../{OTHERS}"}),
        ("/../../data/MaiBot.db", "", None),
    ],
)
def test_with_the_fix_a_page_that_is_led_elsewhere_answers_nobody(
    monkeypatch: pytest.MonkeyPatch, path: str, query: str, body: Any
) -> None:
    assert served(monkeypatch, path, query, body) == (403, b"")


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        (paths.PATH, f"path={paths.FILE}", None),
        (f"{paths.PLUGINS}/uninstall", "", {"plugin_id": "somebody.calendar"}),
        ("/api/webui/person/list", "path=anywhere", None),
    ],
)
def test_with_the_fix_other_requests_arrive_whole(
    monkeypatch: pytest.MonkeyPatch, path: str, query: str, body: Any
) -> None:
    assert served(monkeypatch, path, query, body) == (200, b"" if body is None else json.dumps(body).encode())
