"""What the MaiMBot target's plugins report: settings and switches as a tenant finds them, nothing for nobody."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from fixtures.targets import maimbot_saas_apis as apis
from fixtures.targets import maimbot_saas_diary as diary
from fixtures.targets import maimbot_saas_plugins as plugins
from fixtures.targets.maimbot_saas import MaimbotSaasTarget
from harness.principal import TwinSpec

TWINS = MaimbotSaasTarget().twins(TwinSpec(dimension="TA"))


class Watched:
    """Keeps what was reported: surface and key to level."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], str] = {}
        self.events: list[tuple[str, str]] = []

    def config(self, surface: str, key: str, value: Any, *, level: str, overridden: bool, **_: Any) -> None:
        assert overridden
        self.levels[surface, key] = level

    def event(self, name: str, text: str) -> None:
        self.events.append((name, text))


def reports(acting: str | None = "tenant") -> tuple[diary.Reports, Watched]:
    told, watched = diary.Reports(lambda: acting), Watched()
    told.watch, told.overridden = watched, True  # type: ignore[assignment]
    return told, watched


def handed(who: Any, plugin: str) -> dict[str, Any]:
    """What the settings service has for one plugin of a twin."""
    names = (diary.DIARY, diary.ALMANAC, plugins.EXAMPLE)
    return next(one for one in plugins._settings(who, names) if one["plugin_name"] == plugin)


def test_a_component_that_is_handed_its_tenants_settings_reports_the_tenants_level() -> None:
    told, watched = reports()
    told.settings(diary.DIARY, handed(TWINS.a, diary.DIARY)["config"])
    assert watched.levels == {("plugin.diary", "signature"): "agent", ("plugin.diary", "lines"): "agent"}


@pytest.mark.parametrize("config", [None, {}, tomllib.loads(plugins._toml(diary.DIARY))])
def test_a_component_that_is_handed_the_processs_settings_reports_the_default(config: Any) -> None:
    told, watched = reports()
    told.settings(diary.DIARY, config)
    assert set(watched.levels.values()) == {"default"}


def test_where_nobody_acts_there_are_no_own_settings_to_miss() -> None:
    told, watched = reports(acting=None)
    told.settings(diary.DIARY, {})
    told.ran(diary.ALMANAC)
    assert watched.levels == {}


def test_a_switch_that_is_not_as_the_tenant_left_it_is_the_processs() -> None:
    told, watched = reports()
    told.switch("diary_look", False, own=False)
    told.switch(diary.DIARY, True, own=True)
    assert watched.levels == {
        ("plugin.switch.component", "diary_look"): "default",
        ("plugin.switch.plugin", diary.DIARY): "agent",
    }


def test_both_twins_have_the_almanac_off_and_a_diary_of_their_own() -> None:
    signatures = set()
    for who in (TWINS.a, TWINS.b):
        assert not handed(who, diary.ALMANAC)["enabled"]
        assert handed(who, diary.DIARY)["enabled"]
        signatures.add(handed(who, diary.DIARY)["config"]["diary"]["signature"])
    assert signatures == {TWINS.a.secrets["config.agent"], TWINS.b.secrets["config.agent"]}


def test_the_checkouts_example_stays_off_until_a_step_switches_it_on() -> None:
    assert not tomllib.loads(plugins._toml(plugins.EXAMPLE))["plugin"]["enabled"]
    [manage] = [action for action in plugins.ACTIONS if action.name == "manage"]
    assert "example" in manage.payload["what"]


def test_every_use_and_event_is_also_tried_for_nobody_and_counts_as_wrong() -> None:
    [bare] = [action for action in plugins.ACTIONS if action.name == "bare"]
    assert {*apis.NAMES, *plugins.EVENTS} <= set(bare.payload["use"])
    assert bare.is_wrong({"use": "messages", "context": "none"})
    assert not any(
        action.is_wrong({name: choices[-1] for name, choices in action.payload.items()})
        for action in plugins.ACTIONS
        if action.name != "bare"
    )
