"""A statement that names no owner is a finding where nothing else in it keeps the twins apart, and only there."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.flow import FLOW, Flow
from harness.judge import judge, proven
from harness.principal import Principal, TwinSpec
from harness.probes.schema import Schema, read_schema
from harness.probes.statement import analyse
from harness.target import Facts
from tests.evidence_factory import FACTS, TWINS, access, trace
from tests.rows_support import Watched, watching

TABLES = (
    "CREATE TABLE note (id INTEGER PRIMARY KEY, tenant_id, room, body, at)",
    "CREATE TABLE room (id INTEGER PRIMARY KEY, tenant_id, title)",
    "CREATE TABLE word (id INTEGER PRIMARY KEY, body)",
)


@pytest.fixture(scope="module")
def schema() -> Schema:
    connection = sqlite3.connect(":memory:")
    for table in TABLES:
        connection.execute(table)
    result = read_schema(sqlite3.Cursor(connection))
    connection.close()
    return result


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM note", ["note"]),
        ("SELECT count(*) FROM note WHERE at > ?", ["note"]),
        ("SELECT count(*) FROM (SELECT 1 FROM note WHERE room = ?) AS w", ["note"]),
        ("DELETE FROM note WHERE at < ?", ["note"]),
        ("UPDATE note SET body = ?", ["note"]),
        ("SELECT * FROM note WHERE tenant_id = ? UNION SELECT * FROM note", ["note"]),
        ("SELECT * FROM note n JOIN room r ON n.room = r.title", ["note", "room"]),
        ("SELECT (SELECT count(*) FROM room)", ["room"]),
        ("SELECT * FROM note WHERE tenant_id = ? AND room = ? OR body LIKE ?", ["note"]),
        ("SELECT * FROM note WHERE ((tenant_id = ? AND room = ?) OR body = ?) AND at > ?", ["note"]),
        ("SELECT * FROM note WHERE tenant_id = ? OR 1 = 1", ["note"]),
        ("SELECT * FROM note WHERE tenant_id = ?", []),
        ("SELECT * FROM note WHERE tenant_id = ? AND (room = ? OR body = ?)", []),
        ("SELECT * FROM note WHERE tenant_id = ? OR tenant_id IS NULL", []),
        ("SELECT * FROM note WHERE (tenant_id = ? AND room = ?) OR (tenant_id = ? AND body = ?)", []),
        ("SELECT * FROM note WHERE tenant_id = ? OR id IN (SELECT id FROM note WHERE tenant_id = ?)", []),
        ("SELECT * FROM (SELECT * FROM note WHERE room = ? OR body = ?) AS n WHERE n.tenant_id = ?", []),
        ("SELECT * FROM note WHERE lower(tenant_id) = ?", []),
        ("SELECT * FROM note WHERE tenant_id IS NULL", []),
        ("SELECT * FROM (SELECT * FROM note) AS n WHERE n.tenant_id = ?", []),
        ("WITH n AS (SELECT * FROM note) SELECT * FROM n WHERE tenant_id = ?", []),
        ("SELECT * FROM note n JOIN room r ON n.room = r.title WHERE r.tenant_id = ?", []),
        ("SELECT * FROM note WHERE room IN (SELECT title FROM room WHERE tenant_id = ?)", []),
        ("DELETE FROM note WHERE tenant_id = ? AND room NOT IN (SELECT title FROM room)", []),
        ("INSERT INTO note (body) VALUES (?)", []),
        ("SELECT * FROM word", []),
    ],
)
def test_where_no_owner_is_named(schema: Schema, sql: str, tables: list[str]) -> None:
    found = analyse(sql, schema, {"tenant_id": "tenant"}, ("tenant",)).gaps
    assert sorted({gap.table for gap in found}) == tables


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[tuple[Watched, Any]]:
    with watching(tmp_path) as watched:
        connection = sqlite3.connect(tmp_path / "bot.db", isolation_level=None)
        for table in TABLES:
            connection.execute(table)
        yield watched, connection
        connection.close()


def flow(bot: tuple[Watched, Any], who: str, sql: str, *parameters: Any) -> None:
    """Run a statement as `who`, in its context."""
    watched, connection = bot
    watched.ambient = {"tenant": f"tenant-{who}"}
    token = FLOW.set(Flow(f"{who}.0", 0, who, "api"))
    try:
        connection.execute(sql, parameters).fetchall()
    finally:
        FLOW.reset(token)


def found(bot: tuple[Watched, Any]) -> list[tuple[str, str]]:
    watched, _ = bot
    made = trace(*watched.recorder.accesses)
    twins = watched.recorder.twins
    made = msgspec.structs.replace(made, twins=twins, stacks=tuple(watched.recorder.stacks))
    facts = Facts(name="bot", generation="x", packages=(), owner_columns={"tenant_id": "tenant"})
    return [(finding.rule, finding.surface) for finding in judge(made, facts)]


def test_a_count_of_everybody_s_rows_while_nobody_has_any(bot: tuple[Watched, Any]) -> None:
    flow(bot, "A", "SELECT count(*) FROM note WHERE at > ?", 5)
    assert found(bot) == [("unscoped-statement", "note")]


@pytest.mark.parametrize("sql", ["DELETE FROM note WHERE at < ?", "UPDATE note SET body = '' WHERE at < ?"])
def test_a_change_of_everybody_s_rows_that_hit_none_of_another_s(bot: tuple[Watched, Any], sql: str) -> None:
    flow(bot, "A", "INSERT INTO note (tenant_id, at) VALUES ('tenant-A', 1)")
    flow(bot, "A", sql, 5)
    assert found(bot) == [("unscoped-statement", "note")]


def test_asking_for_what_both_share_only(bot: tuple[Watched, Any]) -> None:
    flow(bot, "A", "SELECT * FROM note WHERE room = ?", "1")  # the chat of both twins
    assert found(bot) == [("unscoped-statement", "note")]


def test_asking_for_a_value_of_one_s_own_is_silent_until_the_other_asks_for_it_too(bot: tuple[Watched, Any]) -> None:
    for who in "AB":
        flow(bot, who, "SELECT * FROM note WHERE room = ?", f"digest-{who}")
    assert found(bot) == []
    flow(bot, "B", "SELECT * FROM note WHERE room = ?", "digest-A")
    assert found(bot) == [("unscoped-statement", "note")]


def test_saving_the_row_just_read_by_its_primary_key_is_silent(bot: tuple[Watched, Any]) -> None:
    for who in "AB":
        flow(bot, who, "INSERT INTO note (id, tenant_id) VALUES (1, ?)", f"tenant-{who}")
        flow(bot, who, "UPDATE note SET body = 'x' WHERE id = ?", 1)
        flow(bot, who, "DELETE FROM note WHERE tenant_id = ? AND id = ?", f"tenant-{who}", 1)
    assert found(bot) == []


def test_an_id_that_holds_the_tenant_is_silent(bot: tuple[Watched, Any]) -> None:
    flow(bot, "A", "SELECT * FROM note WHERE room = ? OR room = ?", "tenant-A:1", "1")
    assert found(bot) == []


@pytest.mark.parametrize(
    ("condition", "values", "told"),
    [
        ("tenant_id = ? AND body LIKE ? OR body LIKE ?", ("tenant-A", "1", "1"), True),
        ("tenant_id = ? AND body LIKE ? OR body LIKE ?", ("tenant-A", "digest", "digest"), False),
        ("tenant_id = ? OR room = ?", ("tenant-A", "tenant-A:1"), False),
        ("tenant_id = ? OR body = 'public'", ("tenant-A",), False),
        ("tenant_id = ? OR body = ?", ("tenant-A", True), False),
        ("tenant_id = ? OR body = lower(?)", ("tenant-A", "1"), False),
        ("tenant_id = ? OR 1 = 1", ("tenant-A",), True),
    ],
)
def test_a_branch_of_an_or_without_the_owner(
    bot: tuple[Watched, Any], condition: str, values: tuple[Any, ...], told: bool
) -> None:
    """It opens the table by what the caller asks for, be it in that branch alone; what the code itself asks for there
    marks rows as everybody's."""
    flow(bot, "A", f"SELECT count(*) FROM note WHERE {condition}", *values)
    assert found(bot) == ([("unscoped-statement", "note")] if told else [])


def test_where_another_s_row_was_met_that_finding_says_what_is_missing(bot: tuple[Watched, Any]) -> None:
    flow(bot, "B", "INSERT INTO note (tenant_id, at) VALUES ('tenant-B', 9)")
    flow(bot, "A", "SELECT body FROM note WHERE at > ?", 5)
    assert found(bot) == [("foreign-read", "note")]
    watched, _ = bot
    made = msgspec.structs.replace(trace(*watched.recorder.accesses), twins=watched.recorder.twins)
    (finding,) = judge(msgspec.structs.replace(made, stacks=tuple(watched.recorder.stacks)), FACTS)
    assert "the statement names no tenant_id (it asks for at > ?): SELECT body FROM note" in finding.message


GAP: dict[str, Any] = {
    "missing": ["tenant_id"], "fields": ["tenant"], "held": [], "where": "", "key": False, "asked": {},
}  # fmt: skip


def rules(detail: dict[str, Any], dimension: str = "T", a: Principal = TWINS.a, **fields: Any) -> list[str]:
    made = trace(access(owner=None, detail={"unscoped": detail, "sql": "SELECT 1"}, **fields))
    spec = TwinSpec(dimension=dimension)
    b = TWINS.b if "A" not in dimension else msgspec.structs.replace(TWINS.b, agent="other")
    twins = msgspec.structs.replace(TWINS, spec=spec, a=a, b=b)
    return [finding.rule for finding in judge(msgspec.structs.replace(made, twins=twins), FACTS)]


def test_a_predicate_on_another_field_that_tells_these_twins_apart_is_enough() -> None:
    assert rules(GAP) == ["unscoped-statement"]
    assert rules({**GAP, "held": ["agent"]}, "TA") == []
    assert rules({**GAP, "held": ["agent"]}, "T") == ["unscoped-statement"]
    assert rules({**GAP, "missing": ["agent_id"], "fields": ["agent"]}, "T") == []


def test_a_value_that_cannot_be_told_is_taken_for_a_predicate() -> None:
    assert rules({**GAP, "asked": {"room": None}}) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"body": ["secretA"]}, ["unscoped-statement"]),
        ({"body": [hashlib.md5(b"secretA").hexdigest()]}, ["unscoped-statement"]),
        ({"body": ["%secretA%"], "room": ["100"]}, ["unscoped-statement"]),
        ({"body": ["secretB"]}, []),
        ({"body": ["what is secretA, 1 of 2"]}, ["unscoped-statement"]),
        ({"body": ["7:secretA"]}, []),
        ({"body": ["secretA_7"]}, []),
        ({"body": ["9a3f71 secretA"]}, []),
        ({"body": ["tenant_A secretA"]}, []),
        ({"body": ["secretA"], "room": ["5d41402abc"]}, []),
        ({"body": ["tokenA-of-somebody"]}, []),
    ],
)
def test_what_one_has_said_the_other_might_say(asked: dict[str, list[str]], found: list[str]) -> None:
    """The other might ask for it then, unless it stands for somebody (a credential) or holds what may be a name."""
    holder = msgspec.structs.replace(TWINS.a, secrets={**TWINS.a.secrets, "credential": "tokenA-of-somebody"})
    assert rules({**GAP, "asked": asked}, a=holder) == found


@pytest.mark.parametrize("flow_", [{"actor": None, "ambient": "-"}, {"ambient": "-"}, {"ambient": "B"}])
def test_it_speaks_of_flows_that_act_for_a_tenant_only(flow_: dict[str, Any]) -> None:
    assert "unscoped-statement" not in rules(GAP, **flow_)


def test_what_one_run_feared_and_another_showed_is_one_finding() -> None:
    feared = judge(trace(access(detail={"unscoped": GAP, "sql": "SELECT 1"})), FACTS)
    shown = judge(trace(access(owner="B", detail={"owned_by": "columns"})), FACTS)
    assert [finding.rule for finding in proven([*feared, *shown])] == ["foreign-read"]
    assert proven(feared) == feared
