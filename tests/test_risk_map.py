"""The shipped risk map: nothing left out, every claim spelled out, every place narrow and pointing at something."""

from __future__ import annotations

import fnmatch
import typing
from collections import Counter
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.riskmap import Pattern, Predicate, RiskItem, load
from harness.trace import SINKS

PROJECT = Path(__file__).resolve().parent.parent
MAP = load(PROJECT / "scenarios" / "risk_map.json")
BOT = PROJECT / "fixtures" / "reference_bot"

SAAS = [item for item in MAP.items if item.generation == "saas"]
DOCUMENTED = [item for item in MAP.items if item.basis != "measured"]
ENTRIES = {"api", "timer", "webui", "plugin", "start", "rest", "script"}


def patterns() -> list[tuple[RiskItem, str, Pattern]]:
    return [(item, target, pattern) for item in MAP.items for target, found in item.places.items() for pattern in found]


def test_every_row_of_the_documents_is_there_once() -> None:
    assert len(DOCUMENTED) == 348
    assert not [name for name, times in Counter(item.id for item in MAP.items).items() if times > 1]


def test_both_generations_keep_their_rows() -> None:
    assert Counter(item.generation for item in DOCUMENTED) == {"saas": 170, "four-dimensions": 178}
    assert not [item.id for item in MAP.items if (item.generation == "saas") == item.group.startswith("I-")]


def test_rows_are_told_in_full() -> None:
    for item in MAP.items:
        assert item.module and item.defect and item.mitigation, item.id
        assert item.basis in ("doc", "inferred", "measured"), item.id
        assert bool(item.documents.source) == (item.basis != "measured"), item.id


def test_every_row_makes_at_least_one_claim_and_none_twice() -> None:
    for item in MAP.items:
        assert item.cells, item.id
        assert len(set(item.cells)) == len(item.cells), item.id


def test_claims_use_known_words() -> None:
    for item in MAP.items:
        for cell in item.cells:
            assert cell.sink in (*SINKS, "context"), (item.id, cell)
            assert cell.entry in ENTRIES, (item.id, cell)
            assert cell.dimension in "TACP" and len(cell.dimension) == 1, (item.id, cell)
            assert cell.predicate in typing.get_args(Predicate), (item.id, cell)


def test_the_tenant_dimension_comes_first() -> None:
    for item in SAAS:
        assert item.cells[0].dimension == "T", item.id
        order = ["TACP".index(cell.dimension) for cell in item.cells]
        assert order == sorted(order), item.id


def test_a_saas_row_has_a_place_in_the_real_bot_or_says_why_not() -> None:
    assert not [item.id for item in SAAS if not item.places.get("maimbot-saas") and not item.notes]


def test_rows_of_the_other_generation_have_no_place() -> None:
    assert not [item.id for item in MAP.items if item.generation != "saas" and item.places]


def test_no_place_claims_everything() -> None:
    for item, target, pattern in patterns():
        assert (pattern.surface, pattern.site) != ("*", "*"), (item.id, target)
        assert pattern.sink in ("*", *SINKS), (item.id, target)


def test_a_place_without_a_sink_names_the_code() -> None:
    for item, target, pattern in patterns():
        if pattern.sink == "*":
            assert ":" in pattern.site, (item.id, target)


def test_no_place_is_listed_twice() -> None:
    for item in MAP.items:
        for target, found in item.places.items():
            assert len(set(found)) == len(found), (item.id, target)


def test_every_claim_can_be_met_by_some_place() -> None:
    """A cell whose sink no pattern can match would never be exercised, whatever the bot does."""
    for item, target in {(item.id, target): (item, target) for item, target, _ in patterns()}.values():
        if target != "maimbot-saas":
            continue  # the small bot lacks some of the sinks an item names
        sinks = {pattern.sink for pattern in item.places[target]}
        for cell in item.cells:
            assert "*" in sinks or cell.sink in sinks or cell.sink == "context", (item.id, cell)


def test_places_in_the_reference_bot_exist() -> None:
    files = {path.name for path in BOT.glob("*.py")}
    code = {name: (BOT / name).read_text("utf-8") for name in files}
    stale = []
    for item, target, pattern in patterns():
        if target != "reference":
            continue
        path, _, function = pattern.site.partition(":")
        hit = pattern.site == "*" or fnmatch.filter(files, path)
        name = function.rsplit(".", 1)[-1].strip("*")
        if not hit or (name and not any(f"def {name}" in code[file] for file in fnmatch.filter(files, path))):
            stale.append((item.id, pattern.site))
        table = f'table_name = "{pattern.surface}"'
        if pattern.sink == "row" and pattern.surface != "*" and table not in code["store.py"]:
            stale.append((item.id, pattern.surface))
        if pattern.sink == "key" and pattern.surface != "*":
            module = pattern.surface.removeprefix("fixtures.reference_bot.").split(".")[0]
            if f"{module}.py" not in files:
                stale.append((item.id, pattern.surface))
    assert not stale


@pytest.mark.parametrize(
    ("sink", "surface", "frame", "wanted"),
    [
        ("key", "src.chat.emoji_system.emoji_manager.EmojiManager._instance.emoji_objects", "", "emoji-objects"),
        ("row", "person_info", "", "db-unique-keys"),
        ("outbound", "webui", "src/webui/chat_routes.py:ChatConnectionManager.broadcast", "webui-tenant-selection"),
        ("prompt", "image", "src/common/message/api.py:message_handler", "api-key-resolve-failure"),
        ("row", "runtime_state", "", "runtime-state"),
        ("row", "hippo_topic_cache", "", "hippo-topic-cache"),
        ("row", "hippo_batch_state", "", "hippo-batch-state"),
    ],
)
def test_known_leaks_and_dead_tables_have_a_row(sink: str, surface: str, frame: str, wanted: str) -> None:
    found = {
        item.id
        for item in SAAS
        if sink in {cell.sink for cell in item.cells}
        and any(pattern.matches(sink, surface, [frame]) for pattern in item.places.get("maimbot-saas", ()))
    }
    assert wanted in found


def test_the_picture_path_of_an_unknown_key_belongs_to_few_rows() -> None:
    stack = ["src/llm_models/utils_model.py:LLMRequest._execute_request", "src/common/message/api.py:message_handler"]
    places = {item.id: item.places.get("maimbot-saas", ()) for item in SAAS}
    found = [name for name, mine in places.items() if any(p.matches("prompt", "image", stack) for p in mine)]
    assert found == ["api-key-resolve-failure", "api-entry-context"]


def test_choosing_by_name() -> None:
    assert {item.id for item in MAP.select("hippo-*").items} >= {"hippo-topic-cache", "hippo-batch-state"}
    with pytest.raises(UsageError, match="no risk item matches"):
        MAP.select("nothing-like-this")


def test_a_broken_map_names_the_file_and_the_place(tmp_path: Path) -> None:
    broken = tmp_path / "map.json"
    broken.write_text('{"items": [{"id": 7}]}', "utf-8")
    with pytest.raises(UsageError, match=r"map\.json.*items"):
        load(broken)
    with pytest.raises(UsageError, match="does not exist"):
        load(tmp_path / "absent.json")


def test_what_a_bot_lacks_is_something_that_cells_of_the_item_speak_of() -> None:
    claims = [(item, target, lack) for item in MAP.items for target, lacks in item.lacks.items() for lack in lacks]
    assert claims
    for item, target, lack in claims:
        assert target in item.places, item.id
        cells = {(cell.sink, cell.entry, way) for cell in item.cells for way in (cell.dimension, "")}
        assert (lack.sink, lack.entry, lack.dimension) in cells, item.id
        assert len(lack.why) > 20, item.id
