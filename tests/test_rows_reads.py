"""Whatever the shape of a SELECT, the rows it returned or drew on are named with their owners, no more and no fewer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.rows_support import Watched, watching

SCHEMA = """
CREATE TABLE note (id INTEGER PRIMARY KEY, tenant_id TEXT, room INTEGER, body TEXT);
CREATE TABLE room (id INTEGER PRIMARY KEY, tenant_id TEXT, title TEXT);
CREATE TABLE tag (note INTEGER, word TEXT, PRIMARY KEY (note, word)) WITHOUT ROWID;
CREATE VIEW long AS SELECT n.id, n.body FROM note AS n WHERE n.id > 2;
INSERT INTO room VALUES (1, 'tenant-A', 'canary-a'), (2, 'tenant-B', 'canary-b');
INSERT INTO note VALUES (1, 'tenant-A', 1, 'one'), (2, 'tenant-A', 1, 'two'), (3, 'tenant-B', 2, 'canary-b'),
    (4, 'tenant-B', 2, 'one'), (5, 'tenant-A', NULL, 'one');
INSERT INTO tag VALUES (1, 'x'), (3, 'x'), (3, 'y');
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with watching(tmp_path) as run:
        yield run


@pytest.fixture
def db(watched: Watched) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    with watched.recorder.muted():
        connection.executescript(SCHEMA)
    yield connection
    connection.close()


A, B = "A", "B"
SHAPES: dict[str, tuple[str, Any, dict[tuple[str, str | None], set[str]]]] = {
    "plain": ("SELECT * FROM note WHERE body = ?", ("one",), {("note", A): {"1", "5"}, ("note", B): {"4"}}),
    "columns": ("SELECT body FROM note WHERE tenant_id = ? AND id < ?", ("tenant-A", 2), {("note", A): {"1"}}),
    "limit": ("SELECT body FROM note ORDER BY id DESC LIMIT ? OFFSET ?", (1, 1), {("note", B): {"4"}}),
    "by alias": ("SELECT body AS b, id AS i FROM note ORDER BY i DESC LIMIT 1", (), {("note", A): {"5"}}),
    "by position": ("SELECT body, id FROM note ORDER BY 2 LIMIT 1", (), {("note", A): {"1"}}),
    "in": ("SELECT id FROM note WHERE id IN (?, ?, ?)", (1, 3, 99), {("note", A): {"1"}, ("note", B): {"3"}}),
    "named": ("SELECT id FROM note WHERE id = :i OR id = @j", {"i": 1, "j": 2}, {("note", A): {"1", "2"}}),
    "numbered": ("SELECT id FROM note WHERE id = ?2 OR id = ?1", (1, 2), {("note", A): {"1", "2"}}),
    "join": (
        "SELECT n.body, r.title FROM note n JOIN room r ON r.id = n.room WHERE r.tenant_id = ?",
        ("tenant-B",),
        {("note", B): {"3", "4"}, ("room", B): {"2"}},
    ),
    "left join": (
        "SELECT * FROM note LEFT JOIN room ON room.id = note.room WHERE note.id IN (4, 5)",
        (),
        {("note", A): {"5"}, ("note", B): {"4"}, ("room", B): {"2"}},
    ),
    "comma join": (
        "SELECT count(*) FROM note, tag WHERE tag.note = note.id AND word = 'y'",
        (),
        {("note", B): {"3"}, ("tag", None): {"3,y"}},
    ),
    "using": (
        "SELECT 1 FROM note JOIN room USING (tenant_id) WHERE room.id = 2",
        (),
        {("note", B): {"3", "4"}, ("room", B): {"2"}},
    ),
    "self join": (
        "SELECT a.id FROM note a JOIN note b ON b.body = a.body AND b.id > a.id",
        (),
        {("note", A): {"1", "5"}, ("note", B): {"4"}},
    ),
    "count": ("SELECT count(*) FROM note WHERE room = 1", (), {("note", A): {"1", "2"}}),
    "group having": (
        "SELECT body, count(*) c FROM note GROUP BY body HAVING c > ? ORDER BY c DESC",
        (1,),
        {("note", A): {"1", "5"}, ("note", B): {"4"}},
    ),
    "group limit": (
        "SELECT tenant_id, max(id) FROM note GROUP BY 1 ORDER BY 1 LIMIT 1",
        (),
        {("note", A): {"1", "2", "5"}},
    ),
    "distinct": (
        "SELECT DISTINCT body FROM note WHERE id <> 3",
        (),
        {("note", A): {"1", "2", "5"}, ("note", B): {"4"}},
    ),
    "distinct limit": (
        "SELECT DISTINCT body FROM note ORDER BY body DESC LIMIT 1",
        (),
        {("note", A): {"2"}},
    ),
    "union": (
        "SELECT body FROM note WHERE id = ? UNION SELECT title FROM room WHERE id = ?",
        (1, 2),
        {("note", A): {"1"}, ("room", B): {"2"}},
    ),
    "cte": (
        "WITH mine AS (SELECT * FROM note WHERE tenant_id = ?), n(k) AS (SELECT id FROM mine) "
        "SELECT k FROM n WHERE k > ?",
        ("tenant-A", 1),
        {("note", A): {"2", "5"}},
    ),
    "derived": (
        "SELECT x.b FROM (SELECT id i, body b FROM note) x WHERE x.i = ?",
        (3,),
        {("note", B): {"3"}},
    ),
    "count of derived": (
        "SELECT count(1) FROM (SELECT 1 FROM note WHERE id < ? LIMIT 2) AS w",
        (9,),
        {("note", A): {"1", "2"}},
    ),
    "derived group": (
        "SELECT s.n FROM (SELECT tenant_id t, count(*) n FROM note GROUP BY tenant_id) s WHERE s.t = 'tenant-B'",
        (),
        {("note", B): {"3", "4"}},
    ),
    "derived union": (
        "SELECT count(*) FROM (SELECT id FROM note WHERE id = 3 UNION ALL SELECT id FROM room WHERE id = 1)",
        (),
        {("note", B): {"3"}, ("room", A): {"1"}},
    ),
    "in select": (
        "SELECT body FROM note WHERE room IN (SELECT id FROM room WHERE title = ?) AND id > ?",
        ("canary-b", 3),
        {("note", B): {"4"}, ("room", B): {"2"}},
    ),
    "exists": (
        "SELECT body FROM note n WHERE EXISTS (SELECT 1 FROM tag t WHERE t.note = n.id AND t.word = 'y')",
        (),
        {("note", B): {"3"}, ("tag", None): {"3,y"}},
    ),
    "scalar": (
        "SELECT (SELECT title FROM room r WHERE r.id = n.room LIMIT 1) FROM note n WHERE n.id = ?",
        (4,),
        {("note", B): {"4"}, ("room", B): {"2"}},
    ),
    "count exists": (
        "SELECT count(*) FROM note n WHERE EXISTS (SELECT 1 FROM room r WHERE r.id = n.room) AND n.id > 3",
        (),
        {("note", B): {"4"}, ("room", B): {"2"}},
    ),
    "view": ("SELECT v.body FROM long v WHERE v.id < ?", (4,), {("note", B): {"3"}}),
    "window": ("SELECT id, row_number() OVER (ORDER BY id DESC) FROM note LIMIT 1", (), {("note", A): {"5"}}),
    "case": ("SELECT CASE WHEN id = 1 THEN body END FROM note WHERE body LIKE ?", ("tw%",), {("note", A): {"2"}}),
    "comment": ("-- why?\nSELECT id /* what? */ FROM note WHERE body = '?' OR id = ?", (2,), {("note", A): {"2"}}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_names_its_rows(watched: Watched, db: sqlite3.Connection, name: str) -> None:
    sql, parameters, expected = SHAPES[name]
    found: dict[tuple[str, str | None], set[str]] = {}
    for access in watched.run(db, sql, parameters):
        assert access.op == "read" and "shape" not in access.detail
        assert access.detail["rows"] == len(access.detail["keys"])
        found[(access.surface, access.owner)] = set(access.detail["keys"])
    assert found == expected


def test_marks_go_to_the_row_they_came_from(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "SELECT n.body, r.title FROM note n JOIN room r WHERE n.id IN (1, 3) AND r.id = 1")
    assert {(a.surface, a.owner): [m.label for m in a.marks] for a in found} == {
        ("note", "A"): [],
        ("note", "B"): ["B"],
        ("room", "A"): ["A"],
    }


def test_columns_that_are_not_selected_carry_no_mark(watched: Watched, db: sqlite3.Connection) -> None:
    assert [a.marks for a in watched.run(db, "SELECT id, count(body) FROM note WHERE body = 'canary-b'")] == [()]


def test_blobs_are_scanned_too(watched: Watched, db: sqlite3.Connection) -> None:
    watched.run(db, "UPDATE note SET body = ? WHERE id = 1", (b"\x00\xffcanary-b\xff",))
    assert [m.label for a in watched.run(db, "SELECT body FROM note WHERE id = 1") for m in a.marks] == ["B"]


def test_a_select_that_finds_nothing_still_counts(watched: Watched, db: sqlite3.Connection) -> None:
    (access,) = watched.run(db, "SELECT * FROM note WHERE tenant_id = ?", ("nobody",))
    assert (access.op, access.owner, access.detail["rows"], access.detail["scoped"]) == ("read", None, 0, True)


def test_a_shape_nobody_can_rewrite_is_said_to_be_opaque(watched: Watched, db: sqlite3.Connection) -> None:
    body = "SELECT id FROM note WHERE id = 1 UNION ALL SELECT i + 1 FROM up, note WHERE i < 3"
    sql = f"WITH RECURSIVE up(i) AS ({body}) SELECT * FROM up"
    (access,) = watched.run(db, sql)
    assert (access.surface, access.owner, access.detail["shape"]) == ("note", None, "opaque")


def test_a_select_counts_even_when_nothing_is_fetched(watched: Watched, db: sqlite3.Connection) -> None:
    cursor = db.execute("SELECT id FROM note ORDER BY id")
    assert watched.recorder.accesses[-1].detail["rows"] in (2, 3)
    assert cursor.fetchone() == (1,)
    assert watched.run(db, "SELECT 1 FROM room WHERE id = 1")[0].key == "1"
    assert [row[0] for row in cursor] == [2, 3, 4, 5]


def test_what_an_insert_from_select_reads_is_named(watched: Watched, db: sqlite3.Connection) -> None:
    found = watched.run(db, "INSERT INTO tag SELECT id, body FROM note WHERE room = ?", (2,))
    assert [(a.op, a.surface, a.owner) for a in found] == [
        ("read", "note", "B"),
        ("write", "tag", None),
        ("write", "tag", None),
    ]


def test_what_an_update_looks_up_is_named(watched: Watched, db: sqlite3.Connection) -> None:
    sql = (
        "UPDATE room SET title = (SELECT body FROM note WHERE id = ?) WHERE id IN (SELECT room FROM note WHERE id = ?)"
    )
    found = watched.run(db, sql, (3, 1))
    assert {(a.op, a.surface, a.owner) for a in found} == {
        ("read", "note", "A"),
        ("read", "note", "B"),
        ("write", "room", "A"),
    }


def test_odd_settings_of_the_connection_do_not_blind_it(watched: Watched) -> None:
    connection = sqlite3.connect(
        ":memory:", isolation_level=None, detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES
    )
    connection.row_factory = sqlite3.Row
    connection.text_factory = bytes
    connection.execute("CREATE TABLE n (id INTEGER PRIMARY KEY, tenant_id TEXT, body TEXT)")
    connection.execute("INSERT INTO n VALUES (1, 'tenant-B', 'canary-b')")
    (access,) = watched.run(connection, "SELECT * FROM n")
    assert (access.owner, [m.label for m in access.marks]) == ("B", ["B"])
    row = connection.execute("SELECT body FROM n").fetchone()
    assert isinstance(row, sqlite3.Row) and row["body"] == b"canary-b"
    connection.close()


def test_peewee_models_are_seen(watched: Watched) -> None:
    database = peewee.SqliteDatabase(str(watched.folder / "peewee.db"))

    class Note(peewee.Model):  # type: ignore[misc]
        tenant_id = peewee.TextField()
        name = peewee.TextField(unique=True)
        body = peewee.TextField(default="")

        class Meta:
            pass

    database.bind([Note])
    database.connect()
    database.create_tables([Note])

    def seen(work: Any) -> list[tuple[Any, ...]]:
        before = len(watched.recorder.accesses)
        work()
        return [(a.op, a.owner, a.new_owner, a.detail.get("scoped")) for a in watched.since(before)]

    assert seen(lambda: Note.create(tenant_id="tenant-A", name="a")) == [("write", None, "A", True)]
    rows = [{"tenant_id": "tenant-B", "name": name} for name in "bc"]
    assert seen(lambda: Note.insert_many(rows).execute()) == [("write", None, "B", True)] * 2
    assert seen(lambda: Note.get(Note.name == "b")) == [("read", "B", None, False)]
    mine = Note.select().where(Note.tenant_id == "tenant-A")
    assert seen(lambda: list(mine)) == [("read", "A", None, True)]
    assert seen(mine.count) == [("read", "A", None, True)]
    assert seen(mine.exists) == [("read", "A", None, True)]
    assert seen(lambda: Note.get_or_none(Note.tenant_id == "nobody")) == [("read", None, None, True)]
    assert seen(lambda: Note.get_or_create(name="b", defaults={"tenant_id": "tenant-A"}))[0][:2] == ("read", "B")
    assert seen(lambda: Note.insert(tenant_id="tenant-A", name="b").on_conflict_ignore().execute())[0] == (
        "error",
        "B",
        None,
        True,
    )
    assert seen(lambda: Note.replace(tenant_id="tenant-A", name="b").execute()) == [
        ("delete", "B", None, True),
        ("write", None, "A", True),
    ]
    with pytest.raises(peewee.IntegrityError), database.atomic():
        Note.create(tenant_id="tenant-A", name="c")
    assert watched.recorder.accesses[-1].op == "error" and watched.recorder.accesses[-1].owner == "B"
    assert seen(lambda: Note.update(body="x").where(Note.name == "c").execute()) == [("write", "B", "B", False)]
    assert seen(lambda: Note.delete().where(Note.tenant_id == "tenant-B").execute()) == [("delete", "B", None, True)]
    database.close()


def test_rows_that_only_decided_are_told_apart_from_rows_that_came_back(
    watched: Watched, db: sqlite3.Connection
) -> None:
    db.execute("SELECT title FROM room WHERE id IN (SELECT room FROM note WHERE body = 'canary-b')").fetchall()
    told = {(a.surface, a.detail.get("via")) for a in watched.recorder.accesses if a.op == "read" and a.owner}
    assert told == {("room", None), ("note", "filter")}
