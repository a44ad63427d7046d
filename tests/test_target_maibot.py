"""What the target `maibot` declares without the bot, and, where the bot is installed, what it shows."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import httpx
import pytest

from fixtures.targets.maibot import MaibotTarget
from fixtures.targets.maibot_keys import Keys
from fixtures.targets.maibot_openai import Transport, completion
from harness.baseline import load as load_baseline
from harness.errors import TargetError, UsageError
from harness.principal import TwinSpec
from harness.riskmap import load

PROJECT = Path(__file__).parent.parent


@pytest.mark.parametrize(("dimension", "keys"), [("T", 2), ("TA", 2), ("A", 1), ("C", 1), ("P", 1)])
def test_twins_have_a_key_for_each_tenant(dimension: str, keys: int) -> None:
    twins = MaibotTarget().twins(TwinSpec(dimension=dimension))
    assert len({twins.a.credential, twins.b.credential}) == keys


def test_whoever_speaks_is_known_by_the_connection_and_by_what_the_message_says() -> None:
    twins = MaibotTarget().twins(TwinSpec())
    keys = Keys()
    keys.begin(twins)
    group = {"group_info": {"group_id": "g1"}}
    said = {"message_info": {"sender_info": group, "additional_config": {"platform_io_scope": "s1"}}}
    spoken = keys.speaker(twins.b.credential, "qq", said)
    assert spoken == {
        "tenant": twins.b.tenant, "credential": twins.b.credential, "platform": "qq", "agent": "s1", "chat": "g1"
    }  # fmt: skip
    assert keys.speaker("no such key", "qq", {}) == {"credential": "no such key", "platform": "qq"}


def test_every_item_that_should_be_silent_has_a_fault() -> None:
    target = MaibotTarget()
    waived = {waiver.subject for waiver in load_baseline(PROJECT / ".ci" / "maibot-baseline.toml")}
    silent = {item.id for item in load(target.risk_map()).items} - waived
    planted = {item for overlay in target.overlays() if overlay.kind == "fault" for item in overlay.items}
    assert silent and silent <= planted


def test_every_fix_stands_for_an_item_of_the_bots_own_map() -> None:
    target = MaibotTarget()
    items = {item.id: item for item in load(target.risk_map()).items}
    facts = target.facts()
    assert {item.generation for item in items.values()} == {facts.generation}
    assert all(facts.name in item.places for item in items.values())
    for overlay in target.overlays():
        assert overlay.items and set(overlay.items) <= set(items), overlay.name


def test_the_baseline_names_each_leak_once_with_an_owner_and_a_reason() -> None:
    waivers = load_baseline(PROJECT / ".ci" / "maibot-baseline.toml")
    assert waivers
    assert len({waiver.subject for waiver in waivers}) == len(waivers)
    assert all(waiver.owner and waiver.reason for waiver in waivers)


def test_a_checkout_is_refused_for_what_is_installed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --root"):
        MaibotTarget(root=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("maim_message") is not None, reason="the bot is installed here")
def test_without_the_bot_the_target_says_what_to_install() -> None:
    with pytest.raises(TargetError, match=r"not installed.*docs/maibot\.md"):
        MaibotTarget().version()


def test_the_lane_and_the_documents_install_one_release() -> None:
    asked = {
        name: set(re.findall(r"maibot==([\d.]+)", (PROJECT / name).read_text("utf-8")))
        for name in (".ci/maibot", "tox.ini", "docs/maibot.md")
    }
    assert len(set.union(*asked.values())) == 1
    assert all(asked.values())


async def ask(messages: list[dict[str, object]], tools: list[str]) -> dict[str, object]:
    """One call of the stand-in by a plain HTTP client."""
    body = {
        "model": "planner",
        "messages": messages,
        "tools": [{"type": "function", "function": {"name": name}} for name in tools],
    }
    async with httpx.AsyncClient(transport=Transport(), base_url="http://127.0.0.1:9") as client:
        answer = await client.post("/v1/chat/completions", content=json.dumps(body))
    assert answer.status_code == 200
    message: dict[str, object] = answer.json()["choices"][0]["message"]
    return message


def called(message: dict[str, object]) -> list[str]:
    calls = message.get("tool_calls") or []
    assert isinstance(calls, list)
    return [call["function"]["name"] for call in calls]


@pytest.mark.asyncio
async def test_the_planner_answers_who_spoke_last_and_then_stops() -> None:
    said = {"role": "user", "content": '<message msg_id="m7" time="1" user="u">hello</message>'}
    first = await ask([said], ["reply", "stop"])
    assert called(first) == ["reply"]
    done = {"role": "tool", "content": "sent"}
    assert called(await ask([said, {"role": "assistant", "content": ""}, done], ["reply", "stop"])) == ["stop"]


@pytest.mark.asyncio
async def test_a_path_that_no_such_server_has_is_not_answered() -> None:
    async with httpx.AsyncClient(transport=Transport(), base_url="http://127.0.0.1:9") as client:
        assert (await client.get("/v1/models")).status_code == 404


def test_an_answer_has_the_form_that_clients_of_the_api_read() -> None:
    made = completion("planner", "", [("reply", {"msg_id": "1"})])
    call = made["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"msg_id": "1"}
    assert made["choices"][0]["finish_reason"] == "tool_calls"
