"""What is said of a statement by its text: kind, tables, whether each scoped table is held to one owner."""

from __future__ import annotations

import sqlite3

import pytest

from harness.probes.schema import Schema, read_schema
from harness.probes.statement import analyse, bind, number, verb

OWNERS = {"tenant_id": "tenant", "agent_id": "agent"}


@pytest.fixture(scope="module")
def schema() -> Schema:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, tenant_id, room, body)")
    connection.execute("CREATE TABLE room (id INTEGER PRIMARY KEY, tenant_id, title)")
    connection.execute("CREATE TABLE word (id INTEGER PRIMARY KEY, body)")
    cursor = sqlite3.Cursor(connection)
    result = read_schema(cursor)
    connection.close()
    return result


@pytest.mark.parametrize(
    ("sql", "scoped"),
    [
        ("SELECT * FROM note", {"note": False}),
        ("SELECT * FROM note WHERE tenant_id = ?", {"note": True}),
        ("SELECT * FROM note WHERE ? = tenant_id AND body LIKE 'x'", {"note": True}),
        ("SELECT * FROM note AS n WHERE (n.tenant_id IN (?, ?)) AND (body = 1 OR room = 2)", {"note": True}),
        ("SELECT * FROM note WHERE tenant_id = ? OR body = ?", {"note": False}),
        ("SELECT * FROM note WHERE (tenant_id = ? AND id = 1) OR (tenant_id = ? AND id = 2)", {"note": True}),
        ("SELECT * FROM note WHERE NOT tenant_id = ?", {"note": False}),
        ("SELECT * FROM note WHERE tenant_id <> ?", {"note": False}),
        ("SELECT * FROM note WHERE tenant_id IS NOT NULL", {"note": False}),
        ("SELECT * FROM note WHERE tenant_id = tenant_id", {"note": False}),
        ("SELECT * FROM note n JOIN room r ON r.id = n.room WHERE n.tenant_id = ?", {"note": True, "room": False}),
        (
            "SELECT * FROM note n JOIN room r ON r.tenant_id = n.tenant_id WHERE n.tenant_id = ?",
            {"note": True, "room": True},
        ),
        ("SELECT * FROM note JOIN room USING (tenant_id) WHERE room.tenant_id = ?", {"note": True, "room": True}),
        ("SELECT * FROM note n JOIN room r ON r.tenant_id = n.tenant_id", {"note": False, "room": False}),
        ("SELECT * FROM note WHERE room IN (SELECT id FROM room WHERE tenant_id = ?)", {"note": False, "room": True}),
        (
            "SELECT 1 FROM note n WHERE tenant_id=1 AND EXISTS (SELECT 1 FROM room r WHERE r.tenant_id = n.tenant_id)",
            {"note": True, "room": True},
        ),
        ("WITH note AS (SELECT 1 AS tenant_id) SELECT * FROM note", {}),
        ("SELECT * FROM word", {}),
        ("UPDATE note SET body = 1 WHERE tenant_id = ?", {"note": True}),
        ("UPDATE OR IGNORE note SET tenant_id = ?", {"note": False}),
        ("DELETE FROM note WHERE id = ?", {"note": False}),
        ("DELETE FROM note WHERE tenant_id = ? AND id = ?", {"note": True}),
        ("INSERT INTO note (tenant_id, body) VALUES (?, ?)", {"note": True}),
        ("INSERT INTO note (body) VALUES (?)", {"note": False}),
        ("REPLACE INTO note VALUES (1, 2, 3, 4)", {"note": True}),
        ("INSERT INTO note DEFAULT VALUES", {"note": False}),
        ("INSERT INTO note (tenant_id) SELECT tenant_id FROM room", {"note": True, "room": False}),
        ("INSERT INTO note (body) VALUES ('" + "x" * 60_000 + "')", {"note": False}),
        ("PRAGMA table_info(note)", {}),
        ("utter nonsense", {}),
    ],
)
def test_scoped_means_held_to_one_owner_everywhere(schema: Schema, sql: str, scoped: dict[str, bool]) -> None:
    assert analyse(sql, schema, OWNERS, ("tenant",)).scoped == scoped


def test_a_field_that_is_not_in_force_is_not_asked_for(schema: Schema) -> None:
    assert analyse("SELECT * FROM note", schema, OWNERS, ("agent",)).scoped == {}


@pytest.mark.parametrize(
    ("sql", "kind", "said"),
    [
        ("select 1", "select", "select"),
        ("-- x\n /* y */ (SELECT 1)", "select", "select"),
        ("WITH a AS (SELECT 1) DELETE FROM note", "delete", "delete"),
        ("INSERT OR REPLACE INTO note VALUES (1,2,3,4)", "insert", "replace"),
        ("update or replace note set body = 'insert or ignore'", "update", "update"),
        ("CREATE TABLE x (a)", "ddl", "ddl"),
        ("BEGIN", "other", "other"),
        ("", "other", "other"),
    ],
)
def test_kinds(schema: Schema, sql: str, kind: str, said: str) -> None:
    statement = analyse(sql, schema, OWNERS, ("tenant",))
    assert (statement.kind, statement.verb) == (kind, said)


def test_placeholders_are_named_by_position_wherever_they_stand() -> None:
    text, numbered = number("SELECT '?', \"?\", ? /* ? */, ?3, ? -- ?")
    assert numbered
    assert text == "SELECT '?', \"?\", :_isolation_0 /* ? */, :_isolation_2, :_isolation_3 -- ?"
    assert bind(("a", "b"), True) == {"_isolation_0": "a", "_isolation_1": "b"}
    assert number("SELECT :a") == ("SELECT :a", False)
    assert bind({"a": 1}, True) == {"a": 1}


def test_the_first_word_is_found_behind_comments() -> None:
    assert verb("/* a */ -- b\n  Select 1") == "select"
    assert verb("   ") == ""
