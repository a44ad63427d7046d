"""Every row a statement writes, deletes or is refused is recorded with its owner, whatever the SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.flow import FLOW, Flow
from harness.target import Facts
from tests.rows_support import Watched, watching

SCHEMA = (
    "CREATE TABLE note (id INTEGER PRIMARY KEY, tenant_id TEXT, name TEXT UNIQUE, body TEXT)",
    "CREATE TABLE shared (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with watching(tmp_path) as run:
        yield run


@pytest.fixture
def db(watched: Watched) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(watched.folder / "bot.db")
    for sql in SCHEMA:
        connection.execute(sql)
    connection.execute("INSERT INTO note VALUES (1, 'tenant-A', 'x', 'canary-a'), (2, 'tenant-B', 'y', 'canary-b')")
    connection.commit()
    yield connection
    connection.close()


def brief(accesses: list[Any]) -> list[tuple[Any, ...]]:
    return [(a.op, a.surface, a.key, a.owner, a.new_owner) for a in accesses]


def test_an_insert_names_its_new_owner_and_canaries(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "INSERT INTO note (tenant_id, body) VALUES (?, ?)", ("tenant-B", "says canary-b"))
    assert brief(found) == [("write", "note", "3", None, "B")]
    assert [mark.label for mark in found[0].marks] == ["B"]
    assert found[0].detail["scoped"] is True
    assert found[0].site.file == "rows_support.py"


def test_an_update_names_the_owner_before_and_after(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "UPDATE note SET tenant_id = 'tenant-A' WHERE id = 2")
    assert brief(found) == [("write", "note", "2", "B", "A")]
    assert found[0].detail["columns"] == ["tenant_id"]
    assert found[0].detail["scoped"] is False


def test_writes_are_seen_after_what_is_temporary_has_been_thrown_away(watched: Watched, db: sqlite3.Connection) -> None:
    watched.run(db, "UPDATE note SET body = 'x' WHERE id = 1")
    db.commit()
    watched.run(db, "PRAGMA temp_store = memory")  # SQLite drops temporary triggers when it is told so
    assert brief(watched.run(db, "UPDATE note SET body = 'y' WHERE id = 2")) == [("write", "note", "2", "B", "B")]
    db.executescript("PRAGMA temp_store = file;")
    assert brief(watched.run(db, "UPDATE note SET body = 'z' WHERE id = 2")) == [("write", "note", "2", "B", "B")]


def test_a_bulk_delete_names_every_row(watched: Watched, db: sqlite3.Connection) -> None:
    assert brief(watched.run(db, "DELETE FROM note")) == [
        ("delete", "note", "1", "A", None),
        ("delete", "note", "2", "B", None),
    ]


@pytest.mark.parametrize("sql", ["REPLACE INTO note", "INSERT OR REPLACE INTO note"])
@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_replace_shows_the_row_it_deletes(watched: Watched, db: sqlite3.Connection, sql: str, recursive: str) -> None:
    db.execute(f"PRAGMA recursive_triggers = {recursive}")
    found = watched.run(db, f"{sql} (tenant_id, name) VALUES ('tenant-A', 'y')")
    assert brief(found) == [("delete", "note", "2", "B", None), ("write", "note", "3", None, "A")]
    assert {a.detail["statement"] for a in found} == {"replace"}


def test_a_row_replaced_twice_by_one_statement_is_deleted_twice(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "REPLACE INTO note (id, tenant_id) VALUES (2, 'tenant-A'), (2, 'tenant-A')")
    assert [(a.op, a.owner, a.new_owner) for a in found] == [
        ("delete", "B", None),
        ("write", None, "A"),
        ("delete", "A", None),
        ("write", None, "A"),
    ]


def test_update_or_replace_shows_the_row_it_deletes(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "UPDATE OR REPLACE note SET name = 'y' WHERE id = 1")
    assert brief(found) == [("delete", "note", "2", "B", None), ("write", "note", "1", "A", "A")]


def test_an_upsert_is_a_write_on_the_other_row(watched: Watched, db: sqlite3.Connection) -> None:
    upsert = "ON CONFLICT(name) DO UPDATE SET body = 'new'"
    sql = f"INSERT INTO note (tenant_id, name, body) VALUES ('tenant-A', 'y', 'new') {upsert}"
    found = watched.run(db, sql)
    assert brief(found) == [("write", "note", "2", "B", "B")]
    assert found[0].detail["columns"] == ["body"]


def test_a_refused_insert_names_whose_row_stands_in_the_way(watched: Watched, db: sqlite3.Connection) -> None:
    before = len(watched.recorder.accesses)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO note (tenant_id, name) VALUES ('tenant-A', 'y')")
    (error,) = watched.since(before)
    assert brief([error]) == [("error", "note", "note.name", "B", None)]
    assert error.detail["constraint"] == ["name"]
    assert error.detail["error"] == "IntegrityError"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR IGNORE INTO note (tenant_id, name) VALUES ('tenant-A', 'y')",
        "INSERT INTO note (tenant_id, name) VALUES ('tenant-A', 'y') ON CONFLICT DO NOTHING",
        "UPDATE OR IGNORE note SET name = 'y' WHERE id = 1",
    ],
)
def test_a_swallowed_conflict_is_an_error_all_the_same(watched: Watched, db: sqlite3.Connection, sql: str) -> None:
    errors = [a for a in watched.run(db, sql) if a.op == "error"]
    assert brief(errors) == [("error", "note", "note.name", "B", None)]
    assert errors[0].detail["swallowed"] is True


def test_a_refused_statement_leaves_no_trace_of_its_first_rows(watched: Watched, db: sqlite3.Connection) -> None:
    before = len(watched.recorder.accesses)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO note (tenant_id, name) VALUES ('tenant-A', 'z'), ('tenant-A', 'y')")
    assert [a.op for a in watched.since(before)] == ["error"]


def test_executemany_keeps_what_was_written_before_it_failed(watched: Watched, db: sqlite3.Connection) -> None:
    before = len(watched.recorder.accesses)
    rows = [("tenant-A", "p"), ("tenant-A", "q"), ("tenant-A", "y"), ("tenant-A", "r")]
    with pytest.raises(sqlite3.IntegrityError):
        db.executemany("INSERT INTO note (tenant_id, name) VALUES (?, ?)", rows)
    assert [a.op for a in watched.since(before)] == ["write", "write", "error"]
    assert db.execute("SELECT count(*) FROM note").fetchone() == (4,)


def test_a_row_without_owner_columns_belongs_to_its_first_writer(watched: Watched, db: sqlite3.Connection) -> None:
    watched.run(db, "INSERT INTO shared VALUES ('k', 1)")
    watched.ambient = {"tenant": "tenant-B"}
    found = watched.run(db, "UPDATE shared SET value = 2")
    assert brief(found) == [("write", "shared", "k", "A", "A")]
    assert found[0].detail["owned_by"] == "first-writer"
    assert brief(watched.run(db, "REPLACE INTO shared VALUES ('k', 3)"))[0] == ("delete", "shared", "k", "A", None)
    assert watched.run(db, "SELECT * FROM shared")[0].owner == "B"


def test_without_ambient_context_the_actor_is_the_first_writer(watched: Watched, db: sqlite3.Connection) -> None:
    watched.ambient = None
    token = FLOW.set(Flow("B.0", 0, "B", "api"))
    try:
        assert watched.run(db, "INSERT INTO shared VALUES ('k', 1)")[0].new_owner == "B"
    finally:
        FLOW.reset(token)


@pytest.mark.parametrize(("sql", "op"), [("UPDATE note SET body = ''", "write"), ("DELETE FROM note", "delete")])
def test_a_statement_that_meets_no_row_still_counts(
    watched: Watched, db: sqlite3.Connection, sql: str, op: str
) -> None:
    found = watched.run(db, f"{sql} WHERE tenant_id = 'nobody'")
    assert brief(found) == [(op, "note", "", None, None)]
    assert found[0].detail["rows"] == 0


def test_a_missing_table_is_an_error_on_its_name(watched: Watched, db: sqlite3.Connection) -> None:
    before = len(watched.recorder.accesses)
    with pytest.raises(sqlite3.OperationalError):
        db.execute("SELECT * FROM absent WHERE id = ?", (1,))
    (error,) = watched.since(before)
    assert (error.op, error.surface, error.detail["error"]) == ("error", "absent", "OperationalError")


def test_cascades_and_the_bots_own_triggers_are_seen(watched: Watched, db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, note INTEGER REFERENCES note(id) ON DELETE CASCADE)")
    db.execute("CREATE TABLE audit (text)")
    db.execute("INSERT INTO child VALUES (7, 2)")
    assert brief(watched.run(db, "DELETE FROM note WHERE id = 2")) == [
        ("delete", "child", "7", "A", None),
        ("delete", "note", "2", "B", None),
    ]
    db.execute("CREATE TRIGGER log AFTER INSERT ON note BEGIN INSERT INTO audit VALUES (NEW.name); END")
    assert {a.surface for a in watched.run(db, "INSERT INTO note (tenant_id) VALUES ('tenant-A')")} == {"note", "audit"}


def test_wide_tables_and_partial_unique_indexes(watched: Watched, db: sqlite3.Connection) -> None:
    names = [f"c{index}" for index in range(250)]
    db.execute(f"CREATE TABLE wide (tenant_id TEXT, live INTEGER, {', '.join(names)})")
    db.execute("CREATE UNIQUE INDEX one ON wide (c0) WHERE live = 1")
    row = ["tenant-B", 1, *("canary-b" if name == "c249" else name for name in names)]
    (write,) = watched.run(db, f"INSERT INTO wide VALUES ({','.join('?' * 252)})", row)
    assert (write.new_owner, [mark.label for mark in write.marks]) == ("B", ["B"])
    (read,) = watched.run(db, "SELECT * FROM wide")
    assert (read.owner, [mark.label for mark in read.marks]) == ("B", ["B"])
    again = watched.run(db, "INSERT OR IGNORE INTO wide (tenant_id, live, c0) VALUES ('tenant-A', 0, 'c0')")
    assert [a.op for a in again] == ["write"]
    clash = watched.run(db, "INSERT OR IGNORE INTO wide (tenant_id, live, c0) VALUES ('tenant-A', 1, 'c0')")
    assert brief(clash)[0] == ("error", "wide", "wide.c0", "B", None)


def test_triggers_survive_rollback_schema_changes_and_other_connections(
    watched: Watched, db: sqlite3.Connection
) -> None:
    other = sqlite3.connect(watched.folder / "bot.db")
    other.execute("BEGIN")
    other.execute("INSERT INTO note (tenant_id) VALUES ('tenant-A')")  # its triggers are made inside a transaction
    other.rollback()
    assert brief(watched.run(other, "INSERT INTO note (tenant_id) VALUES ('tenant-A')")) == [
        ("write", "note", "3", None, "A")
    ]
    other.commit()
    db.execute("ALTER TABLE note DROP COLUMN body")  # refused while a trigger names the column
    db.execute("ALTER TABLE note ADD COLUMN extra TEXT")
    db.execute("ALTER TABLE note RENAME TO notes")
    assert watched.run(other, "UPDATE notes SET extra = 'canary-a' WHERE id = 1")[0].marks
    other.execute("DROP TABLE notes")
    other.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, tenant_id TEXT)")
    other.commit()
    assert watched.run(db, "INSERT INTO notes VALUES (1, 'tenant-B')")[0].new_owner == "B"
    db.commit()
    other.close()


def test_a_script_shows_its_writes(watched: Watched, db: sqlite3.Connection) -> None:
    before = len(watched.recorder.accesses)
    db.executescript("CREATE TABLE fresh (a); INSERT INTO fresh VALUES (1); UPDATE note SET body = '' WHERE id = 2;")
    assert {(a.op, a.surface, a.owner) for a in watched.since(before)} == {
        ("write", "fresh", None),
        ("write", "note", "B"),
    }


def test_returning_shows_the_rows_to_the_caller(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "DELETE FROM note WHERE id = 2 RETURNING *")
    assert [(a.op, a.owner, [m.label for m in a.marks]) for a in found] == [
        ("delete", "B", ["B"]),
        ("read", "B", ["B"]),
    ]


def test_nothing_is_recorded_outside_a_run_or_for_the_harness_itself(watched: Watched, db: sqlite3.Connection) -> None:
    before = len(watched.recorder.accesses)
    with watched.recorder.muted():
        db.execute("INSERT INTO note (tenant_id) VALUES ('tenant-A')")
        db.execute("SELECT * FROM note").fetchall()
    assert watched.since(before) == []


def test_the_planted_row_is_read_written_and_deleted(watched: Watched) -> None:
    watched.probe.plant(watched.folder)
    seen = {a.op for a in watched.recorder.accesses if a.surface == "isolation_plant"}
    assert seen == {"read", "write", "delete"}
    assert list(watched.folder.glob("*plant*")) == []


def test_the_inventory_names_tables_keys_and_owner_columns(watched: Watched, db: sqlite3.Connection) -> None:
    db.execute("SELECT 1 FROM note")
    tables = watched.probe.tables()
    assert set(tables) == {"note", "shared"}
    assert watched.probe.owner_columns(tables["note"]) == {"tenant_id": "tenant"}
    assert watched.probe.owner_columns(tables["shared"]) == {}
    assert {key.columns for key in tables["note"].unique} == {("id",), ("name",)}


def test_the_bots_own_classes_keep_working(watched: Watched) -> None:
    class MyCursor(sqlite3.Cursor):
        def execute(self, *args: Any) -> Any:
            return super().execute(*args)

    class MyConnection(sqlite3.Connection):
        def cursor(self) -> Any:  # type: ignore[override]
            return super().cursor(MyCursor)

        def hello(self) -> str:
            return "hello"

    connection = sqlite3.connect(":memory:", 5.0, 0, None, True, MyConnection)
    assert isinstance(connection, MyConnection) and connection.hello() == "hello"
    connection.cursor().execute("CREATE TABLE t (a)")
    assert isinstance(connection.cursor(), MyCursor)
    before = len(watched.recorder.accesses)
    connection.cursor().execute("INSERT INTO t VALUES (1)")
    connection.execute("INSERT INTO t VALUES (2)")
    assert [a.key for a in watched.since(before)] == ["1", "2"]
    connection.close()


def test_every_scoping_field_must_be_held(tmp_path: Path) -> None:
    facts = Facts(
        name="t",
        generation="t",
        packages=(),
        owner_columns={"tenant_id": "tenant", "agent_id": "agent"},
        scoping=("tenant", "agent"),
    )
    with watching(tmp_path, facts) as run:
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE t (tenant_id, agent_id)")
        (half,) = run.run(connection, "SELECT * FROM t WHERE tenant_id = ?", ("x",))
        (whole,) = run.run(connection, "SELECT * FROM t WHERE tenant_id = ? AND agent_id = ?", ("x", "y"))
        assert (half.detail["scoped"], whole.detail["scoped"]) == (False, True)
