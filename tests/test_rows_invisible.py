"""Random programs: the row images add up to the table, and a bot cannot tell whether it is watched."""

from __future__ import annotations

import gc
import sqlite3
import tempfile
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.probes.images import RowEvent
from tests.rows_support import watching

_BODY = "id INTEGER {}, tenant_id TEXT, u INTEGER UNIQUE {}, v INTEGER {}, w TEXT {}"
SCHEMAS = {
    "rowid": f"CREATE TABLE t ({_BODY.format('PRIMARY KEY', '', '', '')}, UNIQUE (v, w))",
    "autoincrement": f"CREATE TABLE t ({_BODY.format('PRIMARY KEY AUTOINCREMENT', '', '', '')})",
    "without rowid": f"CREATE TABLE t ({_BODY.format('', '', '', '')}, PRIMARY KEY (id)) WITHOUT ROWID",
    "no key": f"CREATE TABLE t ({_BODY.format('', 'ON CONFLICT REPLACE', 'CHECK (v < 5)', 'NOT NULL')})",
}

small = st.integers(0, 5)
word = st.sampled_from(["p", "q", None, b"\x00\xff"])
tenant = st.sampled_from(["tenant-A", "tenant-B"])
insert = st.sampled_from(
    ["INSERT", "REPLACE", "INSERT OR IGNORE", "INSERT OR REPLACE", "INSERT OR FAIL", "INSERT OR ABORT"]
)
row = st.tuples(st.one_of(small, st.none()), tenant, st.one_of(small, st.none()), small, word)
tail = st.sampled_from(["", "", " RETURNING id, w"])


def inserts(verb: str, rows: list[Any], end: str) -> tuple[str, str, Any]:
    values = ", ".join(["(?, ?, ?, ?, ?)"] * len(rows))
    return "execute", f"{verb} INTO t (id, tenant_id, u, v, w) VALUES {values}{end}", [v for r in rows for v in r]


UPSERTS = (
    " ON CONFLICT DO NOTHING",
    " ON CONFLICT (u) DO UPDATE SET v = v + 1, w = excluded.w",
    " ON CONFLICT (u) DO UPDATE SET id = excluded.id",
)
updates = st.sampled_from(["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE", "UPDATE OR FAIL"])
changes = st.sampled_from(["u = ?", "v = ?", "id = ?", "u = u + ?", "v = v + 1, u = ?"])
tests = st.sampled_from(
    ["u = ?", "v >= ?", "id < ?", "tenant_id = 'tenant-A' AND id > ?", "id IN (SELECT id FROM t WHERE v = ?)"]
)

operation = st.one_of(
    st.builds(inserts, insert, st.lists(row, min_size=1, max_size=3), tail),
    st.builds(inserts, st.just("INSERT"), st.lists(row, min_size=1, max_size=3), st.sampled_from(UPSERTS)),
    st.builds(
        lambda v, c, t, a, b, e: ("execute", f"{v} t SET {c} WHERE {t}{e}", [a, b]),
        updates,
        changes,
        tests,
        small,
        small,
        tail,
    ),
    st.builds(lambda t, a, e: ("execute", f"DELETE FROM t WHERE {t}{e}", [a]), tests, small, tail),
    st.builds(
        lambda v, rows: ("executemany", f"{v} INTO t (id, tenant_id, u, v, w) VALUES (?, ?, ?, ?, ?)", rows),
        insert,
        st.lists(row, max_size=4),
    ),
    st.builds(
        lambda a: (
            "execute",
            "INSERT INTO t (tenant_id, u, v, w) SELECT tenant_id, u + 3, v, w FROM t WHERE v = ?",
            [a],
        ),
        small,
    ),
    st.builds(lambda t, a: ("execute", f"SELECT * FROM t WHERE {t} ORDER BY u, v, w", [a]), tests, small),
    st.just(("execute", "DELETE FROM t", [])),
    st.just(("execute", "SELECT tenant_id, count(*), max(w) FROM t GROUP BY 1 HAVING count(*) > ?", [0])),
)
boundary = st.sampled_from(
    [("commit", "", None), ("rollback", "", None), ("execute", "SAVEPOINT s", []), ("execute", "ROLLBACK TO s", [])]
)


def play(connection: sqlite3.Connection, program: list[tuple[str, str, Any]]) -> list[Any]:
    """Everything a bot can see of a program."""
    seen: list[Any] = []
    cursor = connection.cursor()
    for method, sql, parameters in program:
        try:
            if method in ("commit", "rollback"):
                getattr(connection, method)()
                rows = []
            else:
                rows = getattr(cursor, method)(sql, parameters).fetchall()
            outcome: Any = rows
        except sqlite3.Error as error:
            outcome = (type(error).__name__, str(error))
        counts = connection.total_changes, connection.in_transaction, cursor.rowcount, cursor.lastrowid
        inner = connection.execute("SELECT changes(), last_insert_rowid(), total_changes()").fetchone()
        seen.append((method, sql, outcome, counts, inner, cursor.description))
    seen.append(sorted(connection.execute("SELECT * FROM t").fetchall(), key=repr))
    return seen


def replay(images: list[RowEvent]) -> list[Any]:
    """The table that the images add up to."""
    table: dict[Any, tuple[Any, ...]] = {}

    def name(event: RowEvent, image: dict[str, Any]) -> Any:
        return image[event.table.rowid or "id"]

    for event in images:
        if event.old is not None:
            assert table.pop(name(event, event.old)) == tuple(event.old[c] for c in event.table.columns)
        if event.new is not None:
            assert name(event, event.new) not in table
            table[name(event, event.new)] = tuple(event.new[c] for c in event.table.columns)
    return sorted(table.values(), key=repr)


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=60, deadline=None, database=None)
@given(program=st.lists(operation, max_size=12), recursive=st.booleans())
def test_images_replayed_give_the_table(schema: str, program: list[Any], recursive: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, watching(Path(folder)) as run:
        connection = sqlite3.connect(":memory:")
        connection.execute(f"PRAGMA recursive_triggers = {int(recursive)}")
        connection.execute(SCHEMAS[schema])
        content = play(connection, program)[-1]
        connection.close()
        assert replay(run.images) == content


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=60, deadline=None, database=None)
@given(
    program=st.lists(st.one_of(operation, operation, boundary), max_size=12),
    isolation=st.sampled_from([None, "", "IMMEDIATE"]),
    audited=st.booleans(),
)
def test_a_bot_sees_the_same_watched_or_not(schema: str, program: list[Any], isolation: Any, audited: bool) -> None:
    views = []
    for on in (False, True):
        with tempfile.TemporaryDirectory() as folder, watching(Path(folder)) if on else nullcontext():
            connection = sqlite3.connect(Path(folder) / "bot.db", isolation_level=isolation)
            connection.execute(SCHEMAS[schema])
            if audited:
                connection.execute("CREATE TABLE audit (op, id)")
                connection.execute(
                    "CREATE TRIGGER gone AFTER DELETE ON t BEGIN INSERT INTO audit VALUES ('gone', OLD.id); END"
                )
                connection.execute(
                    "CREATE TRIGGER came BEFORE INSERT ON t BEGIN INSERT INTO audit VALUES ('came', NEW.u); END"
                )
            seen = play(connection, program)
            if audited:
                seen.append(connection.execute("SELECT * FROM audit").fetchall())
            connection.close()
            views.append(seen)
    assert views[0] == views[1]


def test_a_dropped_connection_can_be_collected(tmp_path: Path) -> None:
    with watching(tmp_path):
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("SELECT * FROM t").fetchall()
        gone = weakref.ref(connection)
        del connection
        gc.collect()
        assert gone() is None
