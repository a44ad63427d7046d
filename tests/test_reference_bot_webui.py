"""The reference bot's WebUI: nothing without a token, and with one only what belongs to its tenant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fixtures.reference_bot.webui import web as app
from fixtures.targets import reference_web as web
from fixtures.targets.reference import ReferenceTarget
from harness.principal import Twins
from tests.test_reference_bot_alone import Ear, play, until


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/history"), ("GET", "/emoji"), ("POST", "/emoji"), ("GET", "/statistics")]
)
def test_routes_refuse_without_a_token(tmp_path: Path, method: str, path: str) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        with pytest.raises(PermissionError):
            await web.call(app, method, path, body={} if method == "POST" else None)
        with pytest.raises(PermissionError):
            await web.call(app, method, path, token="made-up", body={} if method == "POST" else None)

    play(tmp_path, body)


def test_login_refuses_an_unknown_key(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        with pytest.raises(PermissionError):
            await web.call(app, "POST", "/login", body={"key": "made-up"})

    play(tmp_path, body)


def test_a_chat_window_without_a_token_is_closed(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        asked = len(ear.prompts)
        window = web.Window(app, "/chat", lambda _: None, token="made-up")
        window.say({"chat": "1", "user": "1", "text": "hi"})
        await window.run(wait=0.1)
        assert window.close_code == 4401 and len(ear.prompts) == asked

    play(tmp_path, body)


def test_what_is_said_in_a_chat_window_is_shown_to_its_tenant_only(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        answers = await asyncio.gather(
            *(target.deliver("webui", "chat", who, {"text": who.secrets["message"]}) for who in (twins.a, twins.b))
        )
        for who, other, heard in ((twins.a, twins.b, answers[0]), (twins.b, twins.a, answers[1])):
            assert who.secrets["message"] in heard[0]
            assert other.secrets["message"] not in ear.heard_by(who)
        shown = [await target.deliver("webui", "history", who, {"all": True}) for who in (twins.a, twins.b)]
        assert twins.a.secrets["message"] in str(shown[0]) and twins.a.secrets["message"] not in str(shown[1])
        assert twins.b.secrets["message"] in str(shown[1]) and twins.b.secrets["message"] not in str(shown[0])

    play(tmp_path, body)


def test_an_uploaded_emoji_is_listed_and_sent_for_its_owner_only(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        await target.deliver("webui", "emoji_upload", twins.a, {"slot": "picture"})
        mine, theirs = [str(await target.deliver("webui", "emoji_list", who, {})) for who in (twins.a, twins.b)]
        assert twins.a.secrets["picture"] in mine and twins.a.secrets["picture"] not in theirs
        assert twins.b.secrets["sticker"] in theirs and twins.b.secrets["sticker"] not in mine

    play(tmp_path, body, pictures="marked")


def test_an_answer_reaches_every_window_of_the_tenant(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        await target.deliver("webui", "chat", twins.a, {"text": "hello"})
        await until(lambda: sum(channel == "webui" for channel, _, _ in ear.out) >= 2)
        assert {to["tenant"] for channel, _, to in ear.out if channel == "webui" and to} == {twins.a.tenant}

    play(tmp_path, body)
