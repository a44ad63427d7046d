"""Plugins that MaiMBot's pages install in plans: what pages are asked for, and what stands for the program `git`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.targets import maimbot_saas_installs as installs
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from fixtures.targets.maimbot_saas_browser import ROUTES
from harness.errors import UsageError
from harness.principal import TwinSpec

TWINS = MaimbotSaasTarget().twins(TwinSpec())


def asked(by: str, *, there: bool = False) -> list[tuple[str, str, Any]]:
    """What the pages are asked for by one installation, where the plugin is there already or not."""
    made: list[tuple[str, str, Any]] = []

    async def ask(method: str, path: str, body: Any) -> tuple[int, str]:
        made.append((method, path, body))
        return (400, "there already") if there and path.endswith("/install") else (200, "done")

    assert asyncio.run(installs.install(ask, TWINS.a, by)) == "200 done"
    return made


def test_a_plugin_is_fetched_from_an_address_that_is_ones_own() -> None:
    [(method, path, body)] = asked("address")
    assert (method, path) == ("POST", "/api/webui/plugins/install")
    assert TWINS.a.secrets["file"] in body["repository_url"] and TWINS.b.secrets["file"] not in body["repository_url"]
    assert body["repository_url"].startswith("http://127.0.0.1:")


def test_what_is_there_already_is_fetched_anew() -> None:
    [first, second] = asked("address", there=True)
    assert second[1] == "/api/webui/plugins/update" and second[2] == first[2]


def test_ones_own_mirror_is_to_be_asked_before_any_other() -> None:
    [(_, path, mirror), (_, listing, _), (_, _, wanted)] = asked("mirror")
    assert listing.endswith("/fetch-raw"), "one chooses from a list"
    assert path.endswith("/mirrors") and mirror["priority"] == 0
    assert TWINS.a.secrets["config.tenant"] in mirror["clone_prefix"]
    assert wanted["repository_url"].startswith("https://github.com/")


def test_a_way_that_is_not_offered_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no way 'post'"):
        asked("post")


def test_both_twins_want_one_plugin_and_look_at_what_is_installed() -> None:
    [action] = [one for one in MaimbotSaasTarget().actions() if (one.entry, one.name) == ("webui", "install")]
    assert action.payload["by"] == list(installs.WAYS)
    assert {"installed", "mirrors"} <= ROUTES.keys()


def test_the_stand_in_for_git_shows_the_address_and_leaves_a_plugin(tmp_path: Path) -> None:
    service = SimpleNamespace()
    booted: Any = SimpleNamespace(module=lambda name: service if name == installs.SERVICE else None)
    git = installs.Git(booted)
    assert service.subprocess is git
    told: list[tuple[str, str, Any]] = []
    git.watch = SimpleNamespace(outbound=lambda channel, text, recipient: told.append((channel, text, recipient)))  # type: ignore[assignment]
    folder = tmp_path / "somebody_calendar"
    done = git.run(["git", "clone", "--depth", "1", "http://127.0.0.1:9/one/calendar", str(folder)], timeout=300)
    assert done.returncode == 0
    assert told == [("git", "clone http://127.0.0.1:9/one/calendar", None)]
    manifest = json.loads((folder / "_manifest.json").read_text(encoding="utf-8"))
    assert manifest["repository_url"] == "http://127.0.0.1:9/one/calendar"
    assert {"manifest_version", "name", "version", "author"} <= manifest.keys()  # what the bot refuses to go without
    assert git.run(["git", "--version"]).stdout.startswith("git version")
    assert len(told) == 1
