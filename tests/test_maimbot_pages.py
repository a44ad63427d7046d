"""What is edited on the pages of MaiMBot's WebUI, and the page that shows how far a plugin's change is."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.targets import maimbot_saas_pages as pages
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from fixtures.targets.maimbot_saas_sockets import Page, Pages, Told
from harness.errors import UsageError
from harness.principal import TwinSpec
from harness.probes._text import key_text

WHO = MaimbotSaasTarget().twins(TwinSpec()).a


def edited(what: str) -> list[tuple[str, str, Any]]:
    """What the pages are asked for one edit."""
    asked: list[tuple[str, str, Any]] = []

    async def ask(method: str, path: str, body: Any) -> tuple[int, str]:
        asked.append((method, path, body))
        config = {"api_providers": [{"name": "one", "api_key": "k"}, {"name": "two", "api_key": "k"}]}
        return 200, json.dumps({"config": config})

    assert asyncio.run(pages.edit(ask, WHO, what)).startswith("200 ")
    return asked


@pytest.mark.parametrize("what", pages.EDITS)
def test_each_edit_sends_a_secret_of_whoever_edits_and_nobody_elses(what: str) -> None:
    method, path, body = edited(what)[-1]
    assert method == "POST" and path.startswith("/api/webui/")
    assert any(secret in json.dumps(body) for secret in WHO.secrets.values())


def test_a_models_key_is_put_among_the_providers_that_are_shown_and_the_others_stay() -> None:
    shown, saved = edited("model")
    assert shown[:2] == pages.ROUTES["config_model"]
    assert [one["api_key"] for one in saved[2]] == [WHO.secrets["config.tenant"], "k"]


def test_an_adapters_file_is_shown_from_where_it_was_saved() -> None:
    assert edited("adapter")[-1][2]["path"] in pages.ROUTES["adapter"][1]


def test_an_edit_that_is_not_offered_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no edit 'colour'"):
        edited("colour")


class Door:
    """As the bot's pages: one token for all, and one word for whether they are set up."""

    def __init__(self) -> None:
        self.token = "first"
        self.ready = False

    async def ask(self, method: str, path: str, body: Any, token: str) -> tuple[int, str]:
        there = token == self.token
        if path.endswith("/auth/check"):
            return 200, json.dumps({"authenticated": there})
        if not there:
            return 401, json.dumps({"detail": "no"})
        if path.endswith("/auth/update"):
            self.token = body["new_token"]
            return 200, json.dumps({"success": True})
        if path.endswith("/auth/regenerate"):
            self.token += "-anew"
            return 200, json.dumps({"token": self.token})
        self.ready = self.ready or path.endswith("/setup/complete")
        return 200, json.dumps({"is_first_setup": not self.ready})


def test_who_has_the_token_changed_stays_logged_in_and_everybody_else_does_not() -> None:
    twins = MaimbotSaasTarget().twins(TwinSpec())
    for what in ("change", "renew"):
        door = Door()
        logins = pages.Logins(door.token)

        def told(who: Any, what: str, logins: pages.Logins = logins, door: Door = door) -> str:
            return asyncio.run(logins.token(door.ask, who, what))

        assert '"authenticated": true' in told(twins.a, "look")
        assert '"authenticated": true' in told(twins.b, what)
        assert '"authenticated": true' in told(twins.b, "look")
        assert '"authenticated": false' in told(twins.a, "look")
        assert '"authenticated": false' in told(twins.a, "change"), "the door stays shut"
        assert (twins.b.secrets["credential"] in door.token) == (what == "change")


def test_a_token_of_ones_own_is_one_that_the_pages_take() -> None:
    door = Door()
    asyncio.run(pages.Logins(door.token).token(door.ask, WHO, "change"))
    assert len(door.token) >= 10 and door.token != door.token.lower() and door.token != door.token.upper()
    assert any(sign in door.token for sign in "!@#$%^&*()_+-=")


def test_that_the_pages_are_set_up_is_shown_whoever_said_so() -> None:
    door = Door()
    logins = pages.Logins(door.token)
    assert '"is_first_setup": true' in asyncio.run(logins.token(door.ask, WHO, "look"))
    assert '"is_first_setup": false' in asyncio.run(logins.token(door.ask, WHO, "done"))


def test_what_cannot_be_done_about_a_token_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="nothing 'eat'"):
        asyncio.run(pages.Logins("first").token(Door().ask, WHO, "eat"))


def test_a_page_is_opened_once_for_each_principal_and_shows_what_is_told_until_it_is_left() -> None:
    from fastapi import WebSocketDisconnect

    sockets: list[Any] = []
    left: list[bool] = []

    async def serve(socket: Any) -> None:
        sockets.append(socket)
        await socket.accept()
        await socket.send_text("how far")
        with pytest.raises(WebSocketDisconnect):
            await socket.receive_text()
        left.append(True)

    told: list[tuple[str, str, Any]] = []
    watch: Any = SimpleNamespace(outbound=lambda channel, text, recipient: told.append((channel, text, recipient)))

    async def looked() -> None:
        shown = Pages(watch, "webui.progress")
        await shown.open(WHO, serve)
        await shown.open(WHO, serve)
        assert len(sockets) == 1
        assert told == [("webui.progress", "how far", {"tenant": WHO.tenant, "agent": WHO.agent})]
        shown.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert left

    asyncio.run(looked())


def test_a_page_that_the_bot_keeps_reads_the_same_in_every_process_and_names_nobody() -> None:
    def page(folder: str) -> Page:
        watch: Any = SimpleNamespace(folder=folder, outbound=print)
        return Page(7, Told(watch, "webui.progress", WHO).tell)

    assert key_text(page("/one")) == key_text(page("/another"))
    assert WHO.tenant not in key_text(page("/one")), "a page for which nobody logs in tells nobody's name"


def test_a_set_of_pages_is_gone_through_in_one_order_wherever_they_lie() -> None:
    pages_of = [[Page(number, print) for number in (70, 3, 2**31)] for _ in range(20)]
    assert len({tuple(hash(page) for page in set(made)) for made in pages_of}) == 1
    assert len({Page(7, print), Page(7, print)}) == 2
