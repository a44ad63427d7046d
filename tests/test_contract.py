"""What whoever writes a target or its risk map gets wrong is told before anything runs: one message, exit status 2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness import mapping
from harness.riskmap import Cell, Lack, Pattern, RiskItem, RiskMap
from harness.target import Facts
from tests.cli_support import FAST, isolation, report_of
from tests.cli_target import SPEC, QuietTarget


def declared(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Have the target declare other facts."""
    plain = QuietTarget().facts()
    monkeypatch.setattr(QuietTarget, "facts", lambda self: msgspec.structs.replace(plain, **changes))


def refused(*said: str) -> None:
    """A run is refused with one message that holds all of `said`."""
    done = isolation("run", *FAST)
    assert done.exit_code == 2
    assert done.stdout == "" and "Traceback" not in done.output
    assert done.stderr.startswith("isolation: ")
    for words in said:
        assert words in done.stderr


def test_a_misspelt_field_is_told_with_the_fields_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(self: QuietTarget) -> Facts:
        return Facts(name="tiny", generation="saas", packages=(), owners={})  # type: ignore[call-arg]

    monkeypatch.setattr(QuietTarget, "facts", facts)
    fields = ", ".join(Facts.__struct_fields__)
    refused(
        f"{SPEC}.facts() raised TypeError: Unexpected keyword argument 'owners'",
        f"the fields of Facts are: {fields}",
        "test_contract.py:",
    )


@pytest.mark.parametrize("method", ["facts", "actions", "risk_map", "overlays", "version"])
def test_a_declaration_that_raises_is_named(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: QuietTarget) -> Any:
        raise KeyError("gone")

    monkeypatch.setattr(QuietTarget, method, broken)
    refused(f"{SPEC}.{method}() raised KeyError: 'gone' (at ", "test_contract.py:")


@pytest.mark.parametrize("method", ["roots", "boot", "prepare"])
def test_what_raises_at_boot_is_named(method: str, tmp_path: Path) -> None:
    module = tmp_path / "failing_target.py"
    module.write_text(
        "from tests.cli_target import QuietTarget\n\n\nclass Failing(QuietTarget):\n"
        f"    def {method}(self, *given):\n        raise KeyError('gone')\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.setenv("PYTHONPATH", str(tmp_path))
        done = isolation("run", "--target", "failing_target:Failing", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert f"failing_target:Failing cannot boot: KeyError: 'gone' (at {module}:6), in Failing.{method}" in done.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owner_columns": ("user_id",)}, "owner_columns is ('user_id',), and must be dict[str, str]; it maps a"),
        ({"owner_columns": {"tenant": "user_id"}}, "column 'tenant' names 'user_id', which is no part of a principal"),
        ({"place_columns": {"room": "tenant"}}, "the column 'room' names 'tenant': use chat or platform"),
        ({"packages": "tiny"}, "packages is 'tiny', and must be tuple[str, ...]"),
        ({"refuses": "no"}, "refuses is 'no', and must be bool"),
        ({"scoping": ("owner",)}, "scoping holds 'owner'; known are: tenant, agent, chat, platform"),
        ({"hostile": ("nope",)}, "hostile holds 'nope'; known are: join, "),
    ],
)  # fmt: skip
def test_facts_that_cannot_be_meant_are_told(
    changes: Mapping[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared(monkeypatch, **changes)
    refused(f"{SPEC}.facts(): ", said)


def test_who_claims_nothing_is_not_held_to_refuse() -> None:
    assert Facts(name="x", generation="x", packages=()).refuses is False


def with_map(monkeypatch: pytest.MonkeyPatch, folder: Path, change: Any) -> Path:
    """Give the target its risk map with every item changed."""
    known = json.loads(QuietTarget().risk_map().read_text("utf-8"))
    for item in known["items"]:
        change(item)
    path = folder / "map.json"
    path.write_text(json.dumps(known), "utf-8")
    monkeypatch.setattr(QuietTarget, "risk_map", lambda self: path)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda item: item["cells"][0].update(sink="rows"), "names the sink 'rows'; sinks are row, key, file"),
        (lambda item: item["cells"][0].update(dimension="X"), "names the dimension 'X'; dimensions are T (tenant), "),
        (lambda item: item["cells"][0].update(predicate="nope"), "predicates are apart, absent, refuses"),
        (lambda item: item.update(places={"tiny": [{"sink": "wire"}]}), "names the sink 'wire'; sinks are row"),
        (lambda item: item.update(place={}), "unknown field `place`"),
        (lambda item: item.update(id="one"), "two items have the id 'one'"),
    ],
)
def test_a_word_that_the_map_cannot_mean_is_told_with_those_it_can(
    change: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_map(monkeypatch, tmp_path, change)
    refused(f"risk map {path}", said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda item: item.update(places={"tinny": [{}]}),
            "no risk item of this run has a place for 'tiny': the map speaks of: tinny",
        ),
        (lambda item: item.update(generation="sass"), "is of its generation 'saas' (Facts.generation): the map "),
    ],
)  # fmt: skip
def test_a_map_of_another_bot_is_told_before_the_run_and_in_the_report(
    change: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_map(monkeypatch, tmp_path, change)
    done = isolation("run", *FAST, "--out", tmp_path / "out")
    assert said in done.stderr
    (told,) = report_of(tmp_path / "out")["errors"]
    assert told["kind"] == "risk map" and said in told["message"]


def test_a_surface_and_an_entry_that_nothing_had_are_told_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(item: dict[str, Any]) -> None:
        if item["id"] == "wire-apart":
            item["places"]["tiny"] = [{"sink": "outbound", "surface": "wired"}]
            item["cells"].append({"sink": "outbound", "entry": "apii"})

    with_map(monkeypatch, tmp_path, change)
    isolation("run", *FAST, "--items", "wire-apart", "--out", tmp_path / "out")
    report = report_of(tmp_path / "out")
    entry, surface = (error["message"] for error in report["errors"])
    assert "a cell of wire-apart names the entry 'apii'" in entry and "entries here: api" in entry
    assert surface.endswith(": outbound wired (wire-apart)")
    assert not any("costing a plan" in reason for reason in report["verdict"]["reasons"])


def test_an_item_that_shows_by_a_rule_there_is_not_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(QuietTarget().risk_map().read_text("utf-8"))
    made["items"][0]["rules"] = ["canary-*", "canary-flows"]
    (tmp_path / "map.json").write_text(json.dumps(made), "utf-8")
    monkeypatch.setattr(QuietTarget, "risk_map", lambda self: tmp_path / "map.json")
    refused("'canary-flows'", made["items"][0]["id"], "canary-flow, shared-key", "interference")
    made["items"][0] |= {"rules": ["foreign-*"], "cells": [{"sink": "context", "entry": "api"}]}
    (tmp_path / "map.json").write_text(json.dumps(made), "utf-8")
    refused(made["items"][0]["id"], "cell on the context", "context-mismatch, context-missing, forged-identity")


def test_what_was_met_what_is_lacking_and_another_bots_is_not_told() -> None:
    facts = Facts(name="bot", generation="g", packages=())
    met, lost = Pattern(sink="row", surface="no*", site="x.py:*"), Pattern(sink="key", surface="bot.GONE")

    def item(name: str, generation: str, **more: Any) -> RiskItem:
        return RiskItem(
            id=name, group="", generation=generation, module="", defect="", mitigation="",
            places={"bot": (met, lost)}, **{"cells": (Cell(sink="key", entry="timmer"),), **more},
        )  # fmt: skip

    here = item("here", "g")
    away = item("away", "old")
    lacking = item("lacking", "g", lacks={"bot": (Lack(sink="key", entry="timmer", why="it has none"),)})
    absent = item("absent", "g", cells=(Cell(sink="key", entry="api", predicate="absent"),))
    other = msgspec.structs.replace(here, id="other", places={"else": (lost,)})

    def told(*items: RiskItem) -> tuple[str, ...]:
        return mapping.unmet(RiskMap(items=items), facts, {("row", "notes"), ("file", "bot.GONE")}, {"api"})

    assert mapping.astray(RiskMap(items=()), facts) == ""
    assert told(away, lacking, absent, other) == ()
    beside = item("beside", "g", cells=(Cell(sink="row", entry="api"),))
    nowhere = Pattern(sink="row", surface="elsewhere")
    assert not any(
        "elsewhere" in said for said in told(msgspec.structs.replace(beside, places={"bot": (met, nowhere)}))
    )
    entry, surface = told(here, away)
    assert "a cell of here names the entry 'timmer'" in entry
    assert surface.endswith(": key bot.GONE (here)")


def test_a_run_with_everything_closed_under_an_overlay_says_so(tmp_path: Path) -> None:
    done = isolation("run", *FAST, "--overlay", "nothing", "--items", "wire-apart", "--out", tmp_path / "out")
    line = report_of(tmp_path / "out")["verdict"]["line"]
    assert line == "All 1 item closed, but with the target changed by overlays: nothing."
    assert done.exit_code == 0
