"""What MaiMBot's plugins do with what the bot keeps for all of them, and the fixes, on stand-ins of its modules."""

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
from harness.principal import TwinSpec
from harness.target import Patcher
from tests.stand_ins_support import in_context, stand_in

TWINS = MaimbotSaasTarget().twins(TwinSpec())
BY_NAME = {one.name: one for one in FIXES}


class EventsManager:
    """As the bot's: what came of an event lies in one list for its kind."""

    def __init__(self) -> None:
        self._events_result_history: dict[str, list[Any]] = {}

    def register_event(self, event: str, enable_history_result: bool = False) -> None:
        if enable_history_result:
            self._events_result_history[event] = []

    async def handle_mai_events(self, event: str, *, stream_id: str, llm_prompt: str) -> None:
        self._events_result_history[event].append(SimpleNamespace(message=llm_prompt))

    async def get_event_result_history(self, event: str) -> list[Any]:
        return self._events_result_history[event]

    async def clear_event_result_history(self, event: str) -> None:
        self._events_result_history[event] = []


class PluginManager:
    """As the bot's: folders to look in are one list."""

    def __init__(self) -> None:
        self.plugin_directories = ["plugins"]
        self.plugin_classes = {"diary": "the owner's"}
        self.plugin_paths: dict[str, str] = {}


def doing(tmp_path: Path, events: Any, folders: Any) -> Any:
    """The doings on stand-ins; the folder of whoever acts is below `tmp_path`."""
    manager = SimpleNamespace(plugin_paths={})

    def rescan() -> tuple[int, int]:
        manager.plugin_paths["notes"] = f"/elsewhere{tmp_path}/notes"  # the bot's own root before it
        return len(folders), 0

    def module(name: str) -> Any:
        return {
            authors.MANAGER: SimpleNamespace(events_manager=events),
            authors.PLUGINS: SimpleNamespace(plugin_manager=manager),
            "src.plugin_system.apis.plugin_manage_api": SimpleNamespace(
                add_plugin_directory=folders.append, rescan_plugin_directory=rescan
            ),
            "src.common.utils.tenant_storage": SimpleNamespace(ensure_storage_subdir=lambda *parts: str(tmp_path)),
        }[name]

    booted: Any = SimpleNamespace(module=module)
    authors.register(booted)
    done = authors.doings(booted, "notes", {"version": "1.0.0"})
    return lambda what, who=TWINS.a: asyncio.run(done[what](who, "stream"))


def test_a_page_holds_a_secret_of_whoever_wrote_it_and_is_read_back(tmp_path: Path) -> None:
    events = EventsManager()
    do = doing(tmp_path, events, [])
    assert do("page") == TWINS.a.secrets["event"]
    do("forget")
    assert events._events_result_history == {authors.PAGE: []}


def test_a_folder_with_a_version_of_a_plugin_in_it_is_named_and_looked_through(tmp_path: Path) -> None:
    folders: list[str] = []
    assert doing(tmp_path, EventsManager(), folders)("folder") == "(1, 0)"
    assert folders == [str(tmp_path)]
    assert '"version": "1.0.0"' in (tmp_path / "notes" / "_manifest.json").read_text(encoding="utf-8")


def test_a_tenants_version_of_a_plugin_notes_which_settings_it_is_handed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BasePlugin:
        config: Any = None

    registered: list[Any] = []
    stand_in(monkeypatch, "src.plugin_system", BasePlugin=BasePlugin, register_plugin=registered.append)
    doing(tmp_path, EventsManager(), [])("folder")
    exec((tmp_path / "notes" / "plugin.py").read_text(encoding="utf-8"), {})
    class_of = BasePlugin.__subclasses__()[-1]
    plugin: Any = class_of()
    plugin.config = {"signature": "mine"}
    plugin.setup()
    assert plugin.plugin_name == "notes" and len(registered) == 1
    assert (tmp_path / "notes" / "used.jsonl").read_text(encoding="utf-8") == "{'signature': 'mine'}\n"


def test_every_doing_is_offered_and_there() -> None:
    [action] = [one for one in MaimbotSaasTarget().actions() if (one.entry, one.name) == ("plugin", "own")]
    assert action.payload["what"] == list(authors.DOINGS)


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tenant in context, as the only element."""
    return in_context(monkeypatch, "one")


def test_with_the_fix_an_events_history_is_that_of_whoever_asks(
    monkeypatch: pytest.MonkeyPatch, acting: list[str]
) -> None:
    kind = type("EventsManager", (EventsManager,), {})
    stand_in(monkeypatch, "src.plugin_system.core.events_manager", EventsManager=kind)
    events = kind()
    events.register_event("page", True)
    BY_NAME["fix-event-history"].apply(Patcher())

    async def pages() -> list[str]:
        return [one.message for one in await events.get_event_result_history("page")]

    asyncio.run(events.handle_mai_events("page", stream_id="s", llm_prompt="said by one"))
    acting[0] = "two"
    assert asyncio.run(pages()) == []
    asyncio.run(events.clear_event_result_history("page"))
    acting[0] = "one"
    assert asyncio.run(pages()) == ["said by one"]


def test_with_the_fix_folders_to_look_in_are_those_of_whoever_looks(
    monkeypatch: pytest.MonkeyPatch, acting: list[str]
) -> None:
    kind = type("PluginManager", (PluginManager,), {})
    stand_in(monkeypatch, "src.plugin_system.core.plugin_manager", PluginManager=kind)
    manager = kind()
    BY_NAME["fix-plugin-search"].apply(Patcher())
    manager.plugin_directories.append("of one")
    acting[0] = "two"
    assert manager.plugin_directories == ["plugins"]
    acting[0] = "one"
    assert manager.plugin_directories == ["plugins", "of one"]


def test_with_the_fix_a_plugin_of_one_tenant_takes_no_other_tenants_plugins_place(
    monkeypatch: pytest.MonkeyPatch, acting: list[str]
) -> None:
    kind = type("PluginManager", (PluginManager,), {})
    stand_in(monkeypatch, "src.plugin_system.core.plugin_manager", PluginManager=kind)
    manager = kind()
    BY_NAME["fix-plugin-names"].apply(Patcher())
    manager.plugin_classes["diary"] = "of one"
    acting[0] = "two"
    assert manager.plugin_classes == {"diary": "the owner's"}
    acting[0] = "one"
    assert manager.plugin_classes == {"diary": "of one"}


def infos(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The API that tells plugins about components, and what the bot keeps about one."""
    kept = SimpleNamespace(description="note what was said", enabled=True)
    stand_in(monkeypatch, "src.plugin_system.apis.tool_api", get_llm_available_tool_definitions=list)

    def globally_enable(name: str) -> bool:
        kept.enabled = True
        return kept.enabled

    api = stand_in(
        monkeypatch, "src.plugin_system.apis.component_manage_api",
        get_registered_action_info=lambda name: kept, get_plugin_info=lambda name: None, on=globally_enable,
    )  # fmt: skip
    return api, kept


def models(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The API that hands plugins the models' settings, and those of the bot."""
    kept = SimpleNamespace(temperature=0.3)

    async def generate_with_model(prompt: str, model: Any, request_type: str = "") -> str:
        return f"at {model.temperature}"

    api = stand_in(
        monkeypatch, "src.plugin_system.apis.llm_api",
        get_available_models=lambda: {"replyer": kept}, generate_with_model=generate_with_model,
    )  # fmt: skip
    return api, kept


def use(name: str) -> str:
    me: Any = SimpleNamespace(action_name="diary_note", action_data={"text": TWINS.a.secrets["plugin"]})
    booted: Any = SimpleNamespace(module=lambda name: sys.modules[name])
    return asyncio.run(apis.uses(booted)[name](me))


def test_an_action_is_described_in_its_tenants_words_for_everybody_and_under_the_fix_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, kept = infos(monkeypatch)
    assert TWINS.a.secrets["plugin"] in use("describe") and TWINS.a.secrets["plugin"] in kept.description
    api, kept = infos(monkeypatch)
    BY_NAME["fix-component-infos"].apply(Patcher())
    assert TWINS.a.secrets["plugin"] in use("describe") and kept.description == "note what was said"
    assert api.get_plugin_info("nothing") is None and api.on("note")


def test_a_model_is_asked_as_one_plugin_wants_it_for_everybody_and_under_the_fix_for_that_plugin_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, kept = models(monkeypatch)
    assert use("tune") == "at 0.95" and kept.temperature == 0.95
    _, kept = models(monkeypatch)
    BY_NAME["fix-model-settings"].apply(Patcher())
    assert use("tune") == "at 0.95" and kept.temperature == 0.3


class AsyncTask:
    """As the bot's: a task goes by its class, and has its turns for everybody unless it says otherwise."""

    def __init__(self, task_name: str | None = None, wait_before_start: int = 0) -> None:
        self.task_name = task_name or type(self).__name__
        self.wait_before_start = wait_before_start
        self.per_tenant = True


class AsyncTaskManager:
    """As the bot's: tasks are kept by name."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}

    async def add_task(self, task: Any, call_back: Any = None) -> None:
        self.tasks[task.task_name] = task


def reminders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *fixes: str, acting: tuple[str, ...] = ("one", "other")
) -> AsyncTaskManager:
    """The bot's manager of tasks after each of those acting has had it remind somebody (nobody: without context)."""
    who = [""]
    stand_in(
        monkeypatch, "src.common.message.tenant_context",
        get_current_tenant_id=lambda: who[0], get_current_agent_id=lambda: "agent",
    )  # fmt: skip
    kind = type("AsyncTaskManager", (AsyncTaskManager,), {})
    manager = kind()
    stand_in(
        monkeypatch, "src.manager.async_task_manager",
        AsyncTask=AsyncTask, AsyncTaskManager=kind, async_task_manager=manager,
    )  # fmt: skip
    said: list[tuple[str, str]] = []

    async def text_to_stream(text: str, stream: str) -> None:
        said.append((text, stream))

    stand_in(monkeypatch, "src.plugin_system.apis.send_api", text_to_stream=text_to_stream)
    storage = SimpleNamespace(ensure_storage_subdir=lambda *parts: str(tmp_path))
    monkeypatch.setattr(authors, "LATER", 1)
    for name in fixes:
        BY_NAME[name].apply(Patcher())
    booted: Any = SimpleNamespace(
        module=lambda name: storage if name.endswith("tenant_storage") else sys.modules.get(name, SimpleNamespace())
    )
    booted_events = SimpleNamespace(events_manager=None)
    monkeypatch.setitem(sys.modules, authors.MANAGER, booted_events)  # type: ignore[arg-type]
    doings = authors.doings(booted, "notes", {})
    for who[0] in acting:
        asyncio.run(doings["remind"](TWINS.a, "stream"))
        asyncio.run(next(reversed(manager.tasks.values())).run())
        assert said[-1] == (TWINS.a.secrets["plugin"], "stream")
    assert (tmp_path / authors.NOTED).read_text("utf-8").split() == [text for text, _ in said]
    return manager


def test_a_reminder_is_the_bots_for_everybody_and_takes_the_place_of_anothers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [task] = reminders(monkeypatch, tmp_path).tasks.values()
    assert task.per_tenant and task.wait_before_start == 1


def test_under_the_fixes_a_reminder_is_carried_out_for_its_tenant_and_puts_an_end_to_its_own_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fixes = ("fix-task-turns", "fix-task-names")
    tasks = reminders(monkeypatch, tmp_path, *fixes, acting=("one", "other", "one")).tasks
    assert len(tasks) == 2 and not any(task.per_tenant for task in tasks.values())


def test_under_the_fixes_what_the_bot_adds_in_nobodys_name_is_for_everybody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tasks = reminders(monkeypatch, tmp_path, "fix-task-turns", "fix-task-names", acting=("",)).tasks
    assert [(name, task.per_tenant) for name, task in tasks.items()] == [("Reminder", True)]


def written() -> tuple[Any, list[str]]:
    """Doings on templates for prompts that are kept by name, and what the model is asked."""
    kept: dict[str, str] = {}
    asked: list[str] = []

    async def format_prompt(name: str, **fields: str) -> str:
        return kept[name].format(**fields)

    async def generate_with_model(prompt: str, *how: Any) -> str:
        asked.append(prompt)
        return prompt

    modules = {
        authors.PROMPTS: SimpleNamespace(
            Prompt=lambda text, name: kept.update({name: text}),
            global_prompt_manager=SimpleNamespace(format_prompt=format_prompt),
        ),
        "src.plugin_system.apis.llm_api": SimpleNamespace(
            get_available_models=lambda: {"utils": None}, generate_with_model=generate_with_model
        ),
        authors.MANAGER: SimpleNamespace(events_manager=None),
    }
    booted: Any = SimpleNamespace(module=lambda name: modules.get(name, SimpleNamespace()))
    done = authors.doings(booted, "notes", {})
    return lambda what, who: asyncio.run(done[what](who, "stream")), asked


def test_the_model_is_asked_by_the_template_that_was_given_last_and_plainly_without_one() -> None:
    doing, asked = written()
    doing("ask", TWINS.a)
    assert asked == ["good morning"]
    doing("style", TWINS.a)
    doing("ask", TWINS.b)
    assert TWINS.a.secrets["plugin"] in asked[-1] and asked[-1].endswith("good morning")
    doing("style", TWINS.b)
    doing("ask", TWINS.b)
    assert TWINS.a.secrets["plugin"] not in asked[-1]


def test_somebody_else_of_the_group_is_given_a_name_by_what_one_calls_them() -> None:
    named: list[tuple[Any, ...]] = []

    async def qv_person_name(*told: Any) -> dict[str, str]:
        named.append(told)
        return {"nickname": "Li"}

    people = SimpleNamespace(
        Person=SimpleNamespace(register_person=lambda platform, user, name: named.append((platform, user))),
        get_person_id=lambda platform, user: f"{platform}/{user}",
        person_info_manager=SimpleNamespace(qv_person_name=qv_person_name),
    )
    modules = {"src.person_info.person_info": people, authors.MANAGER: SimpleNamespace(events_manager=None)}
    booted: Any = SimpleNamespace(module=lambda name: modules.get(name, SimpleNamespace()))
    assert "Li" in asyncio.run(authors.doings(booted, "notes", {})["name"](TWINS.a, "stream"))
    (platform, user), told = named
    assert user not in (TWINS.a.user, TWINS.b.user)
    assert told == (f"{platform}/{user}", TWINS.a.display["user_name"], TWINS.a.secrets["name"], "")
