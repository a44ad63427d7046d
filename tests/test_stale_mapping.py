"""A risk map that names code which is not there any more says so, and passes nothing by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import mapping
from harness.riskmap import Pattern, RiskItem, RiskMap
from tests.cli_support import FAST, isolation, report_of
from tests.cli_target import QuietTarget

CODE = """
LIMIT = 3

class Store:
    async def put(self):
        def inner(): ...

    class Row:
        def key(self): ...

def load(): ...
"""


def item(name: str, *sites: str) -> RiskItem:
    places = {"bot": tuple(Pattern(site=site) for site in sites)}
    return RiskItem(id=name, group="A", generation="g", module="", cells=(), defect="", mitigation="", places=places)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "store.py").write_text(CODE, "utf-8")
    (tmp_path / "src" / "broken.py").write_text("def half(", "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "site",
    [
        "src/store.py:Store.put", "src/store.py:Store.*", "src/store.py:Store.put.<locals>.inner",
        "src/store.py:Store.Row.key", "src/store.py:load", "src/store.py:<module>", "src/*.py:load", "*:load", "*",
        "src/broken.py:<module>",
    ],
)  # fmt: skip
def test_what_is_in_the_code_is_not_stale(root: Path, site: str) -> None:
    assert mapping.stale(RiskMap(items=(item("one", site),)), "bot", [root]) == {}


@pytest.mark.parametrize(
    "site", ["src/store.py:Store.get", "src/old.py:*", "src/store.py:put", "lib/*:load", "src/broken.py:half"]
)
def test_what_is_not_in_the_code_is_stale(root: Path, site: str) -> None:
    riskmap = RiskMap(items=(item("one", site, "src/store.py:load"), item("two", site)))
    lost = mapping.stale(riskmap, "bot", [root])
    assert lost == {"one": (site,), "two": (site,)}
    assert mapping.gone(riskmap, "bot", lost) == {"two"}, "one still has a place"


def test_a_bot_without_sources_and_another_bots_places_are_left_alone(root: Path, tmp_path: Path) -> None:
    riskmap = RiskMap(items=(item("one", "src/old.py:*"),))
    assert mapping.stale(riskmap, "bot", [tmp_path / "none"]) == {}
    assert mapping.stale(riskmap, "other", [root]) == {} and mapping.gone(riskmap, "other", {}) == frozenset()


def test_a_run_says_what_is_stale_and_closes_nothing_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = json.loads(QuietTarget().risk_map().read_text("utf-8"))
    wire = next(entry for entry in known["items"] if entry["id"] == "wire-apart")
    wire["places"]["tiny"][0]["site"] = "tiny_target.py:TinyTarget.send"
    path = tmp_path / "map.json"
    path.write_text(json.dumps(known), "utf-8")
    monkeypatch.setattr(QuietTarget, "risk_map", lambda self: path)
    done = isolation("run", *FAST, "--items", "wire-apart", "--out", tmp_path / "out")
    report = report_of(tmp_path / "out")
    (wire,) = report["items"]
    assert wire["verdict"] == "not_exercised" and wire["why"].startswith("stale mapping")
    assert "nothing in the bot's code is called tiny_target.py:TinyTarget.send" in " ".join(done.stdout.split())
