"""A risk map's patterns claim accesses by sink, surface and code; a broken file is refused with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.coverage import Coverage
from harness.errors import UsageError
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap, load
from harness.verdict import Matcher
from tests.evidence_factory import access, trace

STACK = ("store/rows.py:Store.save", "api.py:handle")


@pytest.mark.parametrize(
    ("pattern", "claimed"),
    [
        (Pattern(), True),
        (Pattern(sink="row"), True),
        (Pattern(sink="file"), False),
        (Pattern(surface="messages"), True),
        (Pattern(surface="mess*"), True),
        (Pattern(surface="message"), False),
        (Pattern(surface="Messages"), False),
        (Pattern(site="store/rows.py:*"), True),
        (Pattern(site="*:Store.save"), True),
        (Pattern(site="api.py:handle"), True),
        (Pattern(site="rows.py:*"), False),
        (Pattern(site="store/*"), True),
        (Pattern(sink="row", surface="messages", site="plugin.py:*"), False),
        (Pattern(sink="row", surface="people", site="api.py:*"), False),
    ],
    ids=str,
)
def test_a_pattern_wants_sink_surface_and_some_frame(pattern: Pattern, claimed: bool) -> None:
    assert pattern.matches("row", "messages", STACK) is claimed


def test_without_frames_only_a_pattern_that_names_no_code_matches() -> None:
    assert Pattern(surface="messages").matches("row", "messages", ())
    assert not Pattern(site="?*").matches("row", "messages", ())


def test_brackets_of_a_surface_are_matched_by_a_star() -> None:
    assert Pattern(sink="key", surface="bot.cache.CACHE*").matches("key", "bot.cache.CACHE[].history", ())


def item(name: str, *cells: Cell, **fields: Any) -> RiskItem:
    return RiskItem(
        id=name, group="g", generation="saas", module="m", defect="d", mitigation="m", cells=cells, **fields
    )  # fmt: skip


ABSENT = Cell(sink="file", entry="start", predicate="absent")
APART = Cell(sink="row", entry="api")
PLACES = {"bot": (Pattern(sink="file", surface="legacy/*"),)}


def test_demands_are_the_absent_cells_of_items_that_live_in_the_bot() -> None:
    riskmap = RiskMap(items=(item("old", ABSENT, APART, places=PLACES), item("gone", ABSENT), item("rows", APART)))
    (demand,) = riskmap.demands("bot")
    assert (demand.item, demand.sink, demand.entry, demand.patterns) == ("old", "file", "start", PLACES["bot"])
    assert riskmap.demands("other") == ()


def test_selecting_items_by_glob() -> None:
    riskmap = RiskMap(items=(item("store-rows", APART), item("store-files", APART), item("cache", APART)))
    assert [i.id for i in riskmap.select("store-*").items] == ["store-rows", "store-files"]
    assert [i.id for i in riskmap.select("store-rows, store-f*").items] == ["store-rows", "store-files"]
    assert riskmap.select("*") == riskmap
    with pytest.raises(UsageError, match=r"no risk item matches 'Store-\*'.*isolation items"):
        riskmap.select("Store-*")


CELLS = st.builds(
    Cell,
    sink=st.sampled_from(["row", "file", "context"]),
    entry=st.sampled_from(["api", "timer"]),
    dimension=st.sampled_from("TACP"),
    predicate=st.sampled_from(["apart", "absent", "refuses", "registers_only"]),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ITEMS = st.builds(
    RiskItem,
    id=TEXTS, group=TEXTS, generation=TEXTS, module=TEXTS, defect=TEXTS, mitigation=TEXTS,
    cells=st.lists(CELLS, max_size=3).map(tuple),
    places=st.dictionaries(TEXTS, st.builds(Pattern, site=TEXTS, surface=TEXTS).map(lambda one: (one,)), max_size=2),
)  # fmt: skip


@given(st.lists(ITEMS, max_size=3).map(tuple))
def test_any_risk_map_survives_its_file(items: tuple[RiskItem, ...]) -> None:
    riskmap = RiskMap(items=items)
    assert msgspec.json.decode(msgspec.json.encode(riskmap), type=RiskMap) == riskmap


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    riskmap = RiskMap(items=(item("old", ABSENT, places=PLACES),))
    path.write_bytes(msgspec.json.encode(riskmap))
    assert load(path) == riskmap


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "malformed"),
        ('{"items": [{"id": "x"}]}', r"items\[0\]"),
        ('{"items": 3}', r"\$.items"),
        ('{"items": []}', "holds no item"),
        ('{"items": [], "schema": "isolation-riskmap/9"}', "is of schema 'isolation-riskmap/9'; this version reads"),
    ],
)
def test_a_broken_file_is_refused_with_name_and_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_an_unknown_predicate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    good = msgspec.json.encode(RiskMap(items=(item("old", ABSENT),)))
    path.write_bytes(good.replace(b'"absent"', b'"perhaps"'))
    with pytest.raises(UsageError, match="perhaps"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json does not exist"):
        load(tmp_path / "none.json")


def test_coverage_is_matched_by_any_of_the_patterns() -> None:
    coverage = Coverage()
    coverage.add(trace(access(), access(surface="people"), access(sink="key", surface="bot.CACHE"), access(sink="log")))
    matcher = Matcher(coverage)

    def reached(*patterns: Pattern) -> set[tuple[str, str]]:
        return {(reach.sink, reach.surface) for reach, _ in matcher.of(patterns)}

    assert reached(Pattern(sink="row", surface="people")) == {("row", "people")}
    assert reached(Pattern(surface="messages")) == {("row", "messages"), ("log", "messages")}
    assert reached(Pattern(sink="key"), Pattern(sink="row", surface="people")) == {
        ("key", "bot.CACHE"),
        ("row", "people"),
    }
    assert reached(Pattern(site="api.py:*", sink="key")) == {("key", "bot.CACHE")}
    assert reached(Pattern(sink="file")) == reached() == set()
