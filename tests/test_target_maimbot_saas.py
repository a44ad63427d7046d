"""What the target for a MaiMBot checkout says before it has one: errors that help, well-formed declarations."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas import OVERLAYS
from fixtures.targets import maimbot_saas_templates as templates
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from fixtures.targets.maimbot_saas_boot import moved
from fixtures.targets.maimbot_saas_browser import ROUTES
from fixtures.targets.maimbot_saas_layout import settings
from fixtures.targets.maimbot_saas_llm import Model, answer
from fixtures.targets.maimbot_saas_logs import LogPages
from fixtures.targets.maimbot_saas_memory import Snapshot
from fixtures.targets.maimbot_saas_tenants import Owners
from harness import riskmap
from harness.errors import TargetError
from harness.hostile import spec_of
from harness.plan import Plan, Step
from harness.principal import TwinSpec

RULES = {
    "foreign-read",
    "foreign-write",
    "foreign-delete",
    "canary-flow",
    "shared-key",
    "context-missing",
    "context-mismatch",
    "default-fallback",
    "unscoped-constraint",
    "forged-identity",
    "demanded-absence",
}


def test_a_missing_checkout_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TargetError) as raised:
        MaimbotSaasTarget(root=tmp_path / "nowhere", db_root=tmp_path).prepare(tmp_path / "work")
    assert str(tmp_path / "nowhere") in str(raised.value)
    assert "--root" in str(raised.value)


def test_missing_packages_are_named_with_a_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, db_root = tmp_path / "bot", tmp_path / "db"
    for file in (root / "src" / "main.py", db_root / "src" / "maim_db" / "__init__.py"):
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setattr("fixtures.targets.maimbot_saas_layout.NEEDED", ("no_such_package_anywhere",))
    with pytest.raises(TargetError) as raised:
        MaimbotSaasTarget(root=root, db_root=db_root).prepare(tmp_path / "work")
    said = str(raised.value)
    assert "no_such_package_anywhere" in said
    assert said.endswith(f"grep -v '^maim_db' {root / 'requirements.txt'} > needed.txt && pip install -r needed.txt")


def test_no_root_at_all_is_an_error_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="--root"):
        MaimbotSaasTarget().version()


def test_a_missing_database_checkout_is_named(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").touch()
    with pytest.raises(TargetError, match="--db-root"):
        MaimbotSaasTarget(root=tmp_path, db_root=tmp_path / "nowhere").prepare(tmp_path / "work")


def test_it_offers_steps_on_each_of_the_five_entries_and_around_them() -> None:
    actions = MaimbotSaasTarget().actions()
    assert {action.entry for action in actions} == {"api", "timer", "webui", "start", "plugin", "world"}
    assert len({(action.entry, action.name) for action in actions}) == len(actions)


def test_timers_on_offer_are_the_declared_ones() -> None:
    target = MaimbotSaasTarget()
    [offered] = [
        action.payload["task"] for action in target.actions() if (action.entry, action.name) == ("timer", "run")
    ]
    assert set(offered) == {timer.name for timer in target.facts().timers}


def test_every_choice_of_every_action_is_plan_data() -> None:
    for action in MaimbotSaasTarget().actions():
        payload = {
            field: choices[0] if isinstance(choices, list) else "{message}" for field, choices in action.payload.items()
        }
        plan = Plan(steps=(Step(entry=action.entry, action=action.name, who="A", payload=payload),))
        assert Plan.from_json(plan.to_json()) == plan


def test_what_is_shared_or_hidden_comes_with_a_reason() -> None:
    facts = MaimbotSaasTarget().facts()
    assert all(shared.reason for shared in facts.shared)
    assert all(hidden.hides for hidden in facts.hidden)
    assert all(region.reason and "*" not in region.surfaces for region in facts.regions)


def test_overlays_have_unique_names_known_rules_and_items() -> None:
    assert len({overlay.name for overlay in OVERLAYS}) == len(OVERLAYS)
    assert {overlay.rule for overlay in OVERLAYS} <= RULES | {"*", "interference"}
    assert all(overlay.rule in RULES for overlay in OVERLAYS if overlay.kind == "fault")
    assert all(overlay.about for overlay in OVERLAYS)
    # What one tenant merely feels of another is no row of the map.
    assert all(overlay.items or overlay.overlap or overlay.rule == "interference" for overlay in OVERLAYS)
    assert sum(overlay.kind == "fault" for overlay in OVERLAYS) >= 40
    assert sum(overlay.kind == "fix" for overlay in OVERLAYS) >= 4


def test_faults_stand_for_rows_of_the_map_that_lie_in_this_bot() -> None:
    items = {item.id: item for item in riskmap.load(MaimbotSaasTarget().risk_map()).items}
    for overlay in (one for one in OVERLAYS if one.kind == "fault"):
        assert all(items[name].places.get("maimbot-saas") for name in overlay.items), overlay.name


def test_fixes_of_one_surface_speak_of_their_own_code_only() -> None:
    leaks = {
        "src/chat/message_receive/chat_stream.py:ChatManager.load_all_streams.<locals>.read": "fix-stream-loading",
        "src/chat/message_receive/chat_stream.py:ChatManager._save_stream.<locals>.write": "fix-stream-saving",
    }
    for frame, name in leaks.items():
        frames = ("src/common/database/database_model.py:BaseModel.select", frame)
        speaking = [
            o.name for o in OVERLAYS if o.kind == "fix" and o.speaks_of("context-missing", "chat_streams", frames)
        ]
        assert speaking == [name]


@pytest.mark.parametrize(
    ("rule", "surface", "frame", "names"),
    [
        ("foreign-read", "plugins/diary/diary.jsonl", "src/chat/message_receive/bot.py:ChatBot._process_commands",
         ["fix-plugin-folder"]),
        ("canary-flow", "api", "src/plugin_system/apis/send_api.py:_send_to_target",
         ["fix-stream-id-replies"]),
        ("shared-key", "data/tenant_storage/{id}/{id}/emoji_registed/*.png",
         "src/plugin_system/apis/emoji_api.py:get_all", ["fix-emoji-files"]),
        ("shared-key", "data/tenant_storage/{id}/{id}/emoji_registed/*.png",
         "src/chat/emoji_system/emoji_manager.py:EmojiManager.run_maintenance_cycle", ["fix-path-segment"]),
        ("context-missing", "global.bot", "src/plugin_system/apis/person_api.py:get_person_id", ["fix-api-context"]),
        ("context-missing", "mood", "src/mood/mood_manager.py:ChatMood.get_mood", ["fix-api-context"]),
        ("context-missing", "global.bot", "src/webui/chat_routes.py:get_chat_info", ["fix-webui-context"]),
    ],
)  # fmt: skip
def test_one_surface_is_left_to_the_fix_of_the_code_that_met_it(
    rule: str, surface: str, frame: str, names: list[str]
) -> None:
    assert [o.name for o in OVERLAYS if o.kind == "fix" and o.speaks_of(rule, surface, (frame,))] == names


def test_fixes_include_fixes_that_are_there() -> None:
    names = {overlay.name for overlay in OVERLAYS if overlay.kind == "fix"}
    assert all(set(overlay.includes) <= names - {overlay.name} for overlay in OVERLAYS)


def test_the_operator_of_an_agent_is_met_by_all_its_chats_and_by_no_other_tenant() -> None:
    sharing = [shared for shared in MaimbotSaasTarget().facts().shared if "operator" in shared.reason]
    assert sharing and all(shared.within == "CP" and shared.site for shared in sharing)


def test_twins_of_one_agent_id_differ_in_tenant_and_credential() -> None:
    twins = MaimbotSaasTarget().twins(TwinSpec(dimension="T"))
    assert twins.a.agent == twins.b.agent
    assert twins.a.tenant != twins.b.tenant
    assert twins.a.credential != twins.b.credential


def test_a_path_names_its_owner_even_when_the_id_was_made_safe() -> None:
    twins = MaimbotSaasTarget().twins(TwinSpec(dimension="TA"))
    path = f"data/tenant_storage/{twins.b.tenant}/{twins.b.agent}/emoji/x.png"
    owners = Owners(twins)
    assert owners.of_path(path) == {"tenant": twins.b.tenant, "agent": twins.b.agent}
    assert owners.of_path("data/tenant_storage/shared/emoji/x.png") is None


def test_a_path_that_two_ids_share_once_they_are_made_safe_names_nobody() -> None:
    owners = Owners(MaimbotSaasTarget().twins(spec_of("path", 0, ("k", "/", "m"))))
    assert owners.of_path("data/tenant_storage/k_m/agent/emoji/x.png") is None
    assert owners.of_key("k/m::agent") == {"tenant": "k/m"}


def test_settings_are_put_in_place_and_the_rest_is_kept() -> None:
    text = "[chat]\ntalk_value = 0.3 # how often\nmax_context_size = 30\n[other]\ntalk_value = 0.3\n"
    assert settings(text).splitlines() == [
        "[chat]",
        "talk_value = 1",
        "max_context_size = 30",
        "[other]",
        "talk_value = 0.3",
    ]


def test_only_folders_beside_the_source_move() -> None:
    new = Path("/private")
    assert moved("/code/bot", "/code/bot", new) == "/private"
    assert moved("/code/bot/config", "/code/bot", new) == "/private/config"
    assert moved("/code/bot/src/x", "/code/bot", new) is None
    assert moved("/code/bottle", "/code/bot", new) is None


def test_the_planner_is_told_to_reply_and_the_replyer_repeats_what_it_heard() -> None:
    plan, _ = answer("planner", "[m1] hello", (), ())
    assert '"action": "reply"' in plan
    reply, _ = answer("replyer", "你的名字是Mai，\n现在Li说的：open-sesame-123。引起了你的注意", (), ())
    assert "open-sesame-123" in reply and "Mai" in reply


def test_the_planner_takes_the_action_that_is_asked_for_wherever_it_is_offered_and_nowhere_else() -> None:
    asked = "[m1] please use diary_note: open-sesame-123"
    group, private = '{"action":"diary_note","text":"what"}', '{\n    "action": "diary_note",\n    "text": "what"\n}'
    for offered in (group, private):
        assert '"action": "diary_note"' in answer("planner", f"{offered}\n{asked}", (), ())[0]
    assert "diary_note" not in answer("planner", f'{{"action":"diary_look"}}\n{asked}', (), ())[0]


def test_a_picture_is_described_by_what_can_be_read_in_it() -> None:
    import base64

    picture = base64.b64encode(b"\x89PNG\r\n\x00secret_in_picture_1\x00").decode()
    assert "secret_in_picture_1" in answer("image", "describe", (picture,), ())[0]


def test_a_prompt_says_which_model_it_goes_to_and_that_model_may_be_down_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("fixtures.targets.maimbot_saas_llm.strike", lambda *of: asked.append(of) or "")
    model, shown = Model(), list[tuple[str, str]]()
    model.show = lambda task, text: shown.append((task, text))

    async def ask() -> None:
        await model.complete("big", [SimpleNamespace(content="hello", tool_calls=None)], None, 0.3)
        await model.embed("small", "hello")

    asyncio.run(ask())
    assert shown == [("model", "to big at 0.3\nhello"), ("embedding", "to small\nhello")]
    assert asked == [("llm", "big"), ("llm", "small")]


def test_a_prompt_says_which_tools_a_model_is_offered_and_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixtures.targets.maimbot_saas_llm.strike", lambda *of: "")
    model, shown = Model(), list[str]()
    model.show = lambda task, text: shown.append(text)
    param = SimpleNamespace(name="word", description="what to look for", param_type=None)
    tool = SimpleNamespace(name="look", description="looks into the diary", params=[param])
    bare = SimpleNamespace(name="turn", description="turns the page", params=None)
    said = [SimpleNamespace(content="hello", tool_calls=None)]
    asyncio.run(model.complete("big", said, [tool, bare], None))
    offers = "may use look: looks into the diary (word: what to look for)\nmay use turn: turns the page ()"
    assert shown == [f"to big at None\n{offers}\nhello"]


def test_memory_looks_into_the_diary_where_it_may_besides_where_it_always_does() -> None:
    tools = ("found_answer", "search_chat_history", "search_diary")
    _, calls = answer("memory.react", "where is open-sesame-123", (), tools)
    assert [name for name, _ in calls] == ["search_chat_history", "search_diary"]
    assert calls[1][1] == {"word": "open-sesame-123"}


def test_of_a_full_collection_the_first_sticker_makes_room_and_else_a_feeling_is_told() -> None:
    assert answer("emoji", "满了。编号: 1\n请只回答：'不删除'或'删除编号X'", (), ())[0] == "删除编号1"
    assert answer("emoji", "which feeling has secret_in_words_1", (), ())[0] == "开心,secret_in_words_1"


def test_somebody_is_named_as_the_bot_was_told_they_are_called() -> None:
    told = json.loads(answer("relation.qv_name", "用户的qq昵称是李丽，用户的qq群昵称名是丹丹，\n", (), ())[0])
    assert told["nickname"] == "丹丹" and told["reason"]


def test_memory_is_put_back_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("fakebot")

    class Manager:
        def __init__(self) -> None:
            self.chats: dict[str, int] = {"boot": 1}
            self.last: str | None = None

    Manager.__module__ = "fakebot"
    manager = Manager()
    vars(module).update(manager=manager, singleton=None, Manager=Manager)
    monkeypatch.setitem(sys.modules, "fakebot", module)
    chats = manager.chats
    snapshot = Snapshot("fakebot")
    chats["x"] = 2
    manager.last = "x"
    vars(module)["singleton"] = Manager()
    manager.chats = {}
    snapshot.restore()
    assert manager.chats is chats
    assert chats == {"boot": 1}
    assert manager.last is None
    assert vars(module)["singleton"] is None


def test_routes_name_a_method_and_a_path() -> None:
    assert all(method in ("GET", "DELETE", "POST") and path.startswith("/api/") for method, path in ROUTES.values())


def test_a_message_brings_the_bots_template_with_a_secret_of_its_senders_or_says_it_keeps_to_the_bots() -> None:
    base = SimpleNamespace(TemplateInfo=lambda **given: given)
    who, own = MaimbotSaasTarget().twins(TwinSpec()).a, {"reply": "now {target}"}
    brought = templates.brought(base, own, who, {"set": "role play", "template": "reply"})
    assert brought["template_items"] == {"replyer_prompt": f"{who.secrets['reply']}\nnow {{target}}"}
    assert (brought["template_name"], brought["template_default"]) == ("role play", False)
    looks = templates.brought(base, {"look": "{max_iterations} times"}, who, {"set": "", "template": "look"})
    [text] = looks["template_items"].values()
    assert text.startswith(f"{who.secrets['reply']}\n{{max_iterations}} times") and text.endswith(templates.LOOK)
    unnamed = templates.brought(base, own, who, {"set": "", "template": "reply"})
    assert unnamed["template_name"] is None
    kept = templates.brought(base, own, who, {"set": "", "template": ""})
    assert (kept["template_items"], kept["template_default"]) == ({}, True)


def test_whoever_opens_the_log_page_is_sent_every_line_and_the_bot_says_no_more_once_it_is_left() -> None:
    from fastapi import WebSocketDisconnect

    pages: list[Any] = []
    handler = logging.NullHandler()

    async def websocket_logs(page: Any) -> None:
        pages.append(page)
        await page.accept()
        with pytest.raises(WebSocketDisconnect):
            await page.receive_text()

    modules = {
        "src.common.logger": SimpleNamespace(
            initialize_ws_handler=lambda loop: logging.getLogger().addHandler(handler), get_ws_handler=lambda: handler
        ),
        "src.webui.logs_ws": SimpleNamespace(websocket_logs=websocket_logs),
    }
    told: list[tuple[str, str, Any]] = []
    watch: Any = SimpleNamespace(outbound=lambda channel, text, recipient: told.append((channel, text, recipient)))
    who, before = MaimbotSaasTarget().twins(TwinSpec()).a, logging.getLogger().level
    logs = LogPages(SimpleNamespace(module=modules.__getitem__), watch)  # type: ignore[arg-type]

    async def looked() -> None:
        await logs.show(who)
        await logs.show(who)
        assert logging.getLogger().level == logging.INFO and handler in logging.getLogger().handlers
        (page,) = pages
        await page.send_text("a line")
        assert told == [("webui.logs", "a line", {"tenant": who.tenant, "agent": who.agent})]
        logs.close()
        await asyncio.sleep(0)
        assert logging.getLogger().level == before and handler not in logging.getLogger().handlers

    asyncio.run(looked())
