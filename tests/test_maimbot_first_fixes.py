"""Fixes for what MaiMBot does once, for whoever comes first, on stand-ins of its modules."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_first import FIXES
from harness.target import Patcher
from tests.stand_ins_support import in_context, stand_in

BY_NAME = {one.name: one for one in FIXES}


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tenant in context, as the only element."""
    return in_context(monkeypatch, "one")


def pictures(monkeypatch: pytest.MonkeyPatch, acting: list[str], fails: bool = False) -> tuple[Any, list[str]]:
    """A manager of pictures as the bot's, and for whom it has cleared away what says nothing."""
    cleared: list[str] = []

    def clear() -> None:
        if fails:
            raise RuntimeError("the table is locked")
        cleared.append(acting[0])

    class ImageManager:
        _cleanup_invalid_descriptions = staticmethod(clear)
        _cleanup_emoji_from_image_descriptions = staticmethod(lambda: None)

        def __init__(self) -> None:
            with contextlib.suppress(RuntimeError):
                self._cleanup_invalid_descriptions()

        async def process_image(self, picture: str) -> str:
            return f"{picture} after {len(cleared)}"

        get_image_description = get_emoji_description = process_image

    stand_in(monkeypatch, "src.chat.utils.utils_image", ImageManager=ImageManager)
    return ImageManager, cleared


def test_pictures_that_say_nothing_are_cleared_away_once_for_each_before_it_sends_one(
    monkeypatch: pytest.MonkeyPatch, acting: list[str]
) -> None:
    kind, cleared = pictures(monkeypatch, acting)
    BY_NAME["fix-image-cleanup"].apply(Patcher())
    manager = kind()
    assert cleared == [], "whoever has it made sends no picture yet"
    for acting[0] in ("one", "other", "one"):
        told = asyncio.run(manager.process_image("sun"))
        assert told == asyncio.run(manager.get_emoji_description("sun"))
    assert cleared == ["one", "other"] and told == "sun after 2"
    asyncio.run(kind().process_image("sun"))
    assert cleared == ["one", "other", "one"], "a bot that has started again begins anew"


def test_what_cannot_be_cleared_away_keeps_no_picture_from_being_seen(
    monkeypatch: pytest.MonkeyPatch, acting: list[str]
) -> None:
    kind, _ = pictures(monkeypatch, acting, fails=True)
    BY_NAME["fix-image-cleanup"].apply(Patcher())
    assert asyncio.run(kind().process_image("sun")) == "sun after 0"


class Column:
    """A column of a table, of which all that matters is that it can be asked about."""

    def is_null(self, wanted: bool) -> None:
        return None


def test_names_of_whoever_has_somebody_named_are_known_whoever_was_first(
    monkeypatch: pytest.MonkeyPatch, acting: list[str]
) -> None:
    names = {"one": {"p1": "Li", "p2": ""}, "other": {"p3": "Wu"}}

    class PersonInfo:
        person_id = person_name = Column()

        @classmethod
        def select(cls, *columns: Any) -> Any:
            rows = [SimpleNamespace(person_id=key, person_name=name) for key, name in names[acting[0]].items()]
            return SimpleNamespace(where=lambda asked: rows)

    class PersonInfoManager:
        def __init__(self) -> None:
            self.person_name_list: dict[str, str] = {}

        async def qv_person_name(self, person: str) -> list[str]:
            return list(self.person_name_list.values())

    stand_in(monkeypatch, "src.person_info.person_info", PersonInfo=PersonInfo, PersonInfoManager=PersonInfoManager)
    BY_NAME["fix-names-known"].apply(Patcher())
    manager = PersonInfoManager()
    assert asyncio.run(manager.qv_person_name("p1")) == ["Li"]
    acting[0] = "other"
    assert "Wu" in asyncio.run(manager.qv_person_name("p3"))
    manager.person_name_list["p3"] = "Wang"
    assert "Wang" in asyncio.run(manager.qv_person_name("p3")), "read once: what the bot has named since stays"


class Templates:
    """Templates by name, as the bot's manager of prompts keeps them."""

    def __init__(self) -> None:
        self._prompts = {"planner": "the bot's own"}
        self.midst = False

    def register(self, name: str) -> None:
        if not self.midst:
            self._prompts[name] = name


def test_templates_that_are_registered_late_are_there_whoever_needs_them_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = Templates()
    shipped = manager._prompts

    class ReflectTracker:
        def _init_prompts(self) -> None:
            manager.register("judge")

    def executor() -> None:
        manager.register("executor")

    stand_in(monkeypatch, "src.chat.utils.prompt_builder", global_prompt_manager=manager)
    stand_in(monkeypatch, "src.plugin_system.core.tool_use", init_tool_executor_prompt=executor)
    stand_in(monkeypatch, "src.express.reflect_tracker", ReflectTracker=ReflectTracker)
    patcher = Patcher()
    BY_NAME["fix-late-templates"].apply(patcher)
    manager.midst = True
    executor()
    assert set(manager._prompts) == {"planner", "judge", "executor"}
    patcher.undo()
    assert manager._prompts is shipped and set(shipped) == {"planner"}
