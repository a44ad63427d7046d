"""What a call or route handed out is known by name afterwards, so that the other may ask with it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from harness.harvest import Harvest
from harness.scanner import TokenScanner
from tests.evidence_factory import FACTS, TWINS


@pytest.mark.parametrize(
    "answer",
    ['{"phrases": [{"phrase_id": 7}]}', '200 {"phrases": [{"phrase_id": 7}]}', {"phrases": [{"phrase_id": 7}]}],
)
def test_ids_in_an_answer_are_taken_up(tmp_path: Path, answer: object) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    harvest.returned("A", answer)
    assert harvest.values("phrase_id", "A") == [7]
    assert harvest.values("phrase_id", "B") == []


def test_a_text_that_is_no_answer_gives_nothing(tmp_path: Path) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    harvest.returned("A", "200 phrases, phrase_id 7")
    assert harvest.values("phrase_id", "A") == []


def test_a_bare_answer_is_what_its_siblings_ask_with(tmp_path: Path) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    harvest.returned("B", "object:12", "Objects.put")
    assert harvest.values("link", "B", "Objects.open") == ["object:12"]
    assert harvest.values("link", "B", "Parcels.open") == [] == harvest.values("link", "A", "Objects.open")


def test_what_one_was_lent_is_not_ones_own_afterwards(tmp_path: Path) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    for label in "AB":
        harvest.returned(label, {"stream_id": "of-b", "row_id": 7, "note_id": 7})
    harvest.lend("A", "stream_id", "of-b")
    harvest.lend("A", "row_id", 7)
    assert harvest.values("stream_id", "A") == [] == harvest.values("row_id", "A")
    assert harvest.values("stream_id", "B") == ["of-b"] and harvest.values("note_id", "A") == [7]


def test_a_number_whose_name_speaks_of_no_table_is_any_row_of_ones_own(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bot.db") as database:
        for table, first in (("expressions", 1), ("histories", 5)):
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, tenant_id TEXT)")
            for turn, who in enumerate((TWINS.a, TWINS.b)):
                database.execute(f"INSERT INTO {table} VALUES (?, ?)", (first + turn, who.tenant))
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    assert harvest.values("phrase_id", "A") == [1, 5] and harvest.values("phrase_id", "B") == [2, 6]
    assert harvest.values("history_id", "A") == [5]
    sure = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None, guess=False)
    assert sure.values("phrase_id", "A") == [] and sure.values("history_id", "A") == [5]


def test_rows_whose_owner_columns_read_the_same_for_both_are_nobodys(tmp_path: Path) -> None:
    facts = msgspec.structs.replace(FACTS, owner_columns={"tenant_id": "tenant", "agent_id": "agent"})
    assert TWINS.a.agent == TWINS.b.agent
    with sqlite3.connect(tmp_path / "bot.db") as database:
        database.execute("CREATE TABLE agent_settings (settings_id TEXT, agent_id TEXT)")
        database.execute("CREATE TABLE streams (settings_id TEXT, agent_id TEXT, tenant_id TEXT)")
        for who in (TWINS.a, TWINS.b):
            database.execute("INSERT INTO agent_settings VALUES (?, ?)", (f"of the agents of {who.tenant}", who.agent))
            database.execute("INSERT INTO streams VALUES (?, ?, ?)", (f"of {who.tenant}", who.agent, who.tenant))
    harvest = Harvest(tmp_path, facts, TWINS, TokenScanner(TWINS), lambda path: None)
    assert harvest.values("settings_id", "A") == ["of tenant_A"] and harvest.values("settings_id", "B") == [
        "of tenant_B"
    ]


def test_what_shows_a_canary_is_handed_to_its_owner_alone(tmp_path: Path) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    harvest.returned("B", {"file": TWINS.b.secrets["message"], "name": TWINS.a.secrets["message"]})
    assert harvest.values("file", "B") == [TWINS.b.secrets["message"]]
    assert harvest.values("file", "B", to="A") == []
    assert harvest.values("name", "B") == [], "what leaked is not handed back as one's own"
