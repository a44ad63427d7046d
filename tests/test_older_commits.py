"""Driving older commits of a MaiMBot: what must be patched is probed for in the checkout, said, and patched nowhere
else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.targets import maimbot_saas_older as older
from fixtures.targets.maimbot_saas import MaimbotSaasTarget

NEW = {
    "src/config/config.py": "def __init__(self, require_context): ...",
    "src/common/message/api.py": "legacy_message_info = 1",
    "src/chat/emoji_system/emoji_manager.py": "def run_maintenance_cycle(): ...",
    "src/main.py": "DreamMaintenanceTask()",
    "src/common/database/database.py": "from maim_db import get_database",
    "src/common/server.py": "pass",
}
OLD = {
    **dict.fromkeys(NEW, "pass"),
    "src/main.py": "OnlineTimeRecordTask(); StatisticOutputTask()",
    "src/common/server.py": 'Server(host=os.environ["HOST"])',
}


def checkout(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def timers(target: MaimbotSaasTarget) -> list[str]:
    return [timer.name for timer in target.facts().timers]


def test_a_new_checkout_is_driven_as_declared(tmp_path: Path) -> None:
    plain, given = MaimbotSaasTarget(), MaimbotSaasTarget(root=checkout(tmp_path, NEW))
    assert given.facts() == plain.facts()
    assert given.actions() == plain.actions()


def test_every_patch_of_an_old_checkout_is_declared_with_what_it_hides(tmp_path: Path) -> None:
    plain, given = MaimbotSaasTarget().facts(), MaimbotSaasTarget(root=checkout(tmp_path, OLD)).facts()
    patched = [hidden for hidden in given.hidden if hidden not in plain.hidden]
    assert len(patched) == 5
    assert all(hidden.what.startswith(("patched: ", "set: ")) and hidden.hides for hidden in patched)


def test_only_what_is_missing_is_patched(tmp_path: Path) -> None:
    halfway = checkout(tmp_path, {**NEW, "src/common/message/api.py": "pass"})
    assert older.patches(halfway) == (older.MISPLACED_SENDER,)


def test_timers_on_offer_are_those_the_checkout_starts(tmp_path: Path) -> None:
    target = MaimbotSaasTarget(root=checkout(tmp_path, OLD))
    assert "Dream Maintenance Task" not in timers(target)
    assert {"Online Time Record Task", "Statistics Data Output Task"} <= set(timers(target))
    [offered] = [a.payload["task"] for a in target.actions() if (a.entry, a.name) == ("timer", "run")]
    assert offered == timers(target)


class Adapter:
    """A configuration proxy of the old kind: it refuses whoever has no tenant."""

    def __init__(self, fetched: str) -> None:
        self.fetched = fetched

    def resolve(self, section: str) -> str:
        if not CONTEXT["tenant"]:
            raise RuntimeError("no tenant")
        return f"{section} of {self.fetched}"


CONTEXT = {"tenant": ""}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(CONTEXT, "tenant", "")
    adapter = type("Patched", (Adapter,), {})
    return SimpleNamespace(
        CONFIG_DIR=str(tmp_path), _ConfigRuntimeAdapter=adapter,
        load_config=lambda config_path: config_path, api_ada_load_config=lambda config_path: config_path,
        get_current_tenant_id=lambda: CONTEXT["tenant"], get_current_agent_id=lambda: CONTEXT["tenant"],
    )  # fmt: skip


def test_configuration_without_a_tenant_is_answered_only_while_the_bot_starts(config: Any) -> None:
    starting = older.Starting()
    older.let_it_start(config, starting)
    proxy = config._ConfigRuntimeAdapter("tenant")
    with starting.under_way():
        assert proxy.resolve("bot") is None, "the process's own configuration answers"
    with pytest.raises(RuntimeError, match="no tenant"):
        proxy.resolve("bot")


def test_a_tenant_gets_its_own_even_while_the_bot_starts(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = older.Starting()
    older.let_it_start(config, starting)
    monkeypatch.setitem(CONTEXT, "tenant", "t")
    with starting.under_way():
        assert config._ConfigRuntimeAdapter("t").resolve("bot") == "bot of t"


class Part(SimpleNamespace):
    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def test_a_misplaced_sender_is_put_where_the_bot_looks() -> None:
    user, segment = Part(user_id="1"), Part(type="text", data="hello")
    api: Any = SimpleNamespace()
    api.convert_api_message_to_legacy = lambda message: {
        "message_info": {"platform": "qq"}, "user_info": user, "group_info": None, "message_segment": segment,
    }  # fmt: skip
    older.place_sender(api)
    legacy = api.convert_api_message_to_legacy(SimpleNamespace(message_segment=segment))
    assert legacy["message_info"] == {"platform": "qq", "user_info": {"user_id": "1"}}
    assert legacy["message_segment"] == {"type": "text", "data": "hello"}
    assert "user_info" not in legacy


def test_a_sender_in_place_is_left_alone() -> None:
    def convert(message: Any) -> Any:
        legacy_message_info = {"message_info": message}
        legacy_message_info["user_info"] = None
        return legacy_message_info

    api: Any = SimpleNamespace(convert_api_message_to_legacy=convert)
    older.place_sender(api)
    assert api.convert_api_message_to_legacy is convert
