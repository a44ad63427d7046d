"""What MaiMBot's plugins add to what the bot hands them or have it do for them, and the fixes, on stand-ins."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_authors import FIXES
from fixtures.targets import maimbot_saas_apis as apis
from fixtures.targets import maimbot_saas_authors as authors
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from fixtures.targets.maimbot_saas_llm import DIARY_TOOL
from harness.principal import Principal, TwinSpec
from harness.target import Patcher
from tests.stand_ins_support import in_context, stand_in

TWINS = MaimbotSaasTarget().twins(TwinSpec())
BOTH = (TWINS.a, TWINS.b)
BY_NAME = {one.name: one for one in FIXES}


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tenant in context, as the only element."""
    return in_context(monkeypatch, "")


def booted() -> Any:
    return SimpleNamespace(module=lambda name: sys.modules.get(name, SimpleNamespace()))


def use(name: str, who: Principal, **had: Any) -> str:
    me: Any = SimpleNamespace(action_data={"text": who.secrets["plugin"]}, **had)
    return asyncio.run(apis.uses(booted())[name](me))


def taught(monkeypatch: pytest.MonkeyPatch, *fixes: str) -> list[list[str]]:
    """What the model was told of the tool's parameters in both twins' calls, one after the other."""
    kept = [("word", "string", "what to look for", True, None)]
    told: list[list[str]] = []

    async def generate(prompt: str, model: Any, tools: Any, request: str) -> str:
        told.append([param[2] for tool in tools for param in tool["parameters"]])
        return prompt

    stand_in(
        monkeypatch, "src.plugin_system.apis.tool_api",
        get_llm_available_tool_definitions=lambda: [("diary_look", {"parameters": kept}), ("else", {"parameters": []})],
    )  # fmt: skip
    stand_in(
        monkeypatch, "src.plugin_system.apis.llm_api",
        get_available_models=lambda: {"tool_use": None}, generate_with_model_with_tools=generate,
    )  # fmt: skip
    kinds = SimpleNamespace(STRING="string")
    stand_in(monkeypatch, "src.plugin_system.base.component_types", ToolParamType=kinds)
    for name in fixes:
        BY_NAME[name].apply(Patcher())
    for who in BOTH:
        use("teach", who)
    return told


def test_what_a_plugin_adds_to_its_tool_every_model_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    of_a = f"whose diary, as {TWINS.a.secrets['plugin']}"
    assert taught(monkeypatch) == [["what to look for", of_a]] * 2


def test_under_the_fix_it_is_offered_as_its_own_plugin_says(monkeypatch: pytest.MonkeyPatch) -> None:
    told = taught(monkeypatch, "fix-tool-definitions")
    assert told == [["what to look for", f"whose diary, as {who.secrets['plugin']}"] for who in BOTH]


class ComponentRegistry:
    """As the bot's: a plugin's settings are one dict, handed out as it is."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"diary": {"lines": 41}}

    def get_plugin_config(self, plugin_name: str) -> dict[str, Any]:
        return self.settings


def test_what_is_kept_in_the_settings_is_handed_to_all_and_under_the_fix_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = type("ComponentRegistry", (ComponentRegistry,), {})
    stand_in(monkeypatch, "src.plugin_system.core.component_registry", ComponentRegistry=kind)

    def jotted(registry: Any) -> list[str]:
        return [use("jot", who, plugin_config=registry.get_plugin_config("diary")) for who in BOTH]

    stand_in(monkeypatch, "src.plugin_system.apis.component_manage_api")
    stand_in(monkeypatch, "src.plugin_system.apis.tool_api", get_llm_available_tool_definitions=list)
    assert jotted(kind()) == ["after ", f"after {TWINS.a.secrets['plugin']}"]
    registry = kind()
    BY_NAME["fix-settings-kept"].apply(Patcher())
    assert jotted(registry) == ["after ", "after "] and registry.settings == {"diary": {"lines": 41}}


class MemoryRetrievalToolRegistry:
    """As the bot's: who comes first with a name has it."""

    def __init__(self) -> None:
        self.tools: dict[str, Any] = {"found_answer": None}

    def register(self, name: str, about: str, parameters: Any, run: Any) -> None:
        self.tools.setdefault(name, run)


def recalled(monkeypatch: pytest.MonkeyPatch, acting: list[str], *fixes: str) -> list[str]:
    """What the bot's memory is told in both twins' names once both have given it their tool."""
    kind = type("MemoryRetrievalToolRegistry", (MemoryRetrievalToolRegistry,), {})
    registry = kind()
    stand_in(monkeypatch, authors.MEMORIES, register_memory_retrieval_tool=registry.register)
    stand_in(monkeypatch, f"{authors.MEMORIES}.tool_registry", MemoryRetrievalToolRegistry=kind)
    stand_in(monkeypatch, authors.MANAGER, events_manager=None)
    for name in fixes:
        BY_NAME[name].apply(Patcher())
    doings = authors.doings(booted(), "notes", {})
    for who in BOTH:
        acting[0] = who.tenant
        asyncio.run(doings["recall"](who, "stream"))
    told = []
    for who in BOTH:
        acting[0] = who.tenant
        assert "found_answer" in registry.tools
        told.append(asyncio.run(registry.tools[DIARY_TOOL]("tea")))
    return told


def test_a_tool_of_one_tenant_looks_things_up_for_all(monkeypatch: pytest.MonkeyPatch, acting: list[str]) -> None:
    assert recalled(monkeypatch, acting) == [f"tea is in the diary: {TWINS.a.secrets['plugin']}"] * 2


def test_under_the_fix_each_ones_tool_is_asked(monkeypatch: pytest.MonkeyPatch, acting: list[str]) -> None:
    told = recalled(monkeypatch, acting, "fix-memory-tools")
    assert told == [f"tea is in the diary: {who.secrets['plugin']}" for who in BOTH]


class EventsManager:
    """As the bot's: who hears an event is one list, and a handler's name is taken once."""

    def __init__(self) -> None:
        self._events_subscribers: dict[str, list[Any]] = {"post_send": []}
        self._handler_mapping: dict[str, Any] = {}

    def register_event_subscriber(self, info: Any, kind: Any) -> bool:
        if kind.handler_name in self._handler_mapping:
            return False
        self._handler_mapping[kind.handler_name] = kind
        self._events_subscribers[kind.event_type].append(kind())
        return True

    def say(self, text: str) -> None:
        for handler in self._events_subscribers["post_send"]:
            asyncio.run(handler.execute(SimpleNamespace(plain_text=text)))


def overheard(
    monkeypatch: pytest.MonkeyPatch, acting: list[str], tmp_path: Path, *fixes: str
) -> tuple[list[str], list[str]]:
    """What each twin's folder says that the bot said, after both have wanted to hear it and it has spoken to each."""
    kind = type("EventsManager", (EventsManager,), {})
    manager = kind()
    handler = type("BaseEventHandler", (), {"get_handler_info": staticmethod(SimpleNamespace)})
    events = SimpleNamespace(POST_SEND="post_send")
    stand_in(monkeypatch, "src.plugin_system", BaseEventHandler=handler, EventType=events)
    stand_in(monkeypatch, authors.MANAGER, EventsManager=kind, events_manager=manager)

    def folder(*parts: str) -> str:
        place = tmp_path.joinpath(acting[0], *parts)
        place.mkdir(parents=True, exist_ok=True)
        return str(place)

    stand_in(monkeypatch, "src.common.utils.tenant_storage", ensure_storage_subdir=folder)
    for name in fixes:
        BY_NAME[name].apply(Patcher())
    doings = authors.doings(booted(), "notes", {})
    for who in BOTH:
        acting[0] = who.tenant
        asyncio.run(doings["overhear"](who, "stream"))
    for who in BOTH:
        acting[0] = who.tenant
        manager.say(who.label)
    found = []
    for who in BOTH:
        place = tmp_path / who.tenant / "plugins" / "notes" / authors.OVERHEARD
        found.append(place.read_text("utf-8").split() if place.exists() else [])
    return found[0], found[1]


def test_a_handler_of_one_tenant_hears_everybody(
    monkeypatch: pytest.MonkeyPatch, acting: list[str], tmp_path: Path
) -> None:
    assert overheard(monkeypatch, acting, tmp_path) == (["A", "B"], [])


def test_under_the_fix_it_hears_its_own(monkeypatch: pytest.MonkeyPatch, acting: list[str], tmp_path: Path) -> None:
    assert overheard(monkeypatch, acting, tmp_path, "fix-event-subscribers") == (["A"], ["B"])
