"""What a SQLite connection's schema says: tables, keys, foreign keys. Read once for each distinct schema."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

PREFIX = "_isolation_"
"""Every name the probe gives to something in a database starts with this."""


class UniqueKey(msgspec.Struct, frozen=True):
    """Columns that no two rows may share. `where` is a partial index's predicate (SQL), empty for a whole one."""

    columns: tuple[str, ...]
    collations: tuple[str, ...]
    where: str = ""
    primary: bool = False


class ForeignKey(msgspec.Struct, frozen=True):
    """`columns` name a row of `table`; `action` is true when a change there can write or delete here."""

    columns: tuple[str, ...]
    table: str
    parents: tuple[str, ...]
    action: bool


class TableInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `columns` and `types` are parallel; `rowid` is the name the hidden row number answers to (None:
    WITHOUT ROWID, or every such name is taken by a column). `kind`: ``table``, ``virtual`` or ``shadow``."""

    name: str
    database: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    pk: tuple[str, ...]
    rowid: str | None
    kind: str
    unique: tuple[UniqueKey, ...] = ()
    foreign: tuple[ForeignKey, ...] = ()

    def key_columns(self) -> tuple[str, ...]:
        """What names a row to a reader: its primary key, else its row number."""
        return self.pk or ((self.rowid,) if self.rowid else self.columns)

    def image_columns(self) -> tuple[str, ...]:
        """What a row image holds: the row number first where there is one, then every column."""
        return (self.rowid, *self.columns) if self.rowid else self.columns


class Schema:
    """All tables and views a connection can see, by lower-case name; temporary ones hide others as SQLite does."""

    def __init__(self, tables: Sequence[TableInfo], views: dict[str, str], triggered: set[str], number: int) -> None:
        self.number = number
        self.tables: dict[str, TableInfo] = {}
        self.qualified: dict[tuple[str, str], TableInfo] = {}
        for table in tables:
            self.tables.setdefault(table.name.lower(), table)
            self.qualified[(table.database.lower(), table.name.lower())] = table
        self.views = views
        self.everything = bool(triggered)
        self._children: dict[str, set[str]] = {}
        for table in tables:
            for link in table.foreign:
                if link.action:
                    self._children.setdefault(link.table.lower(), set()).add(table.name.lower())

    def find(self, name: str, database: str = "") -> TableInfo | None:
        """The table a statement means by that name."""
        if database:
            return self.qualified.get((database.lower(), name.lower()))
        return self.tables.get(name.lower())

    def written_with(self, name: str) -> set[str]:
        """Lower-case names of the tables that a write to `name` can write: itself, foreign-key actions, or, where
        the bot has triggers of its own, any."""
        if self.everything:
            return set(self.tables)
        reached: set[str] = set()
        todo = [name.lower()]
        while todo:
            one = todo.pop()
            if one not in reached:
                reached.add(one)
                todo.extend(self._children.get(one, ()))
        return reached


class Reading(msgspec.Struct, frozen=True):
    """A schema as data: `key` is what SQLite says of it, the rest what was worked out from that."""

    key: tuple[tuple[str, str, str, str, str | None], ...]
    tables: tuple[TableInfo, ...]
    views: dict[str, str]
    triggered: tuple[str, ...]
    number: int


_known: dict[tuple[Any, ...], Schema] = {}
_fresh: list[Reading] = []


def fresh() -> list[Reading]:
    """The schemas met for the first time since the last call."""
    found = list(_fresh)
    _fresh.clear()
    return found


def learn(readings: Sequence[Reading]) -> None:
    """Take over what another process worked out."""
    for reading in readings:
        if reading.key not in _known:
            _known[reading.key] = Schema(reading.tables, reading.views, set(reading.triggered), reading.number)


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def read_schema(cursor: sqlite3.Cursor) -> Schema:
    """The schema of the connection behind `cursor` (a plain cursor without row factory).

    Equal schemas give the same object, whichever connection they were read from.
    """
    rows: list[tuple[Any, ...]] = []
    databases = [str(row[1]) for row in cursor.execute("PRAGMA database_list").fetchall()]
    databases.sort(key=lambda name: {"temp": 0, "main": 1}.get(name, 2))
    for database in databases:
        master = "sqlite_temp_master" if database == "temp" else f"{quoted(database)}.sqlite_master"
        for kind, name, table, sql in cursor.execute(f"SELECT type, name, tbl_name, sql FROM {master}").fetchall():
            if not str(name).startswith(PREFIX):
                rows.append((database, kind, name, table, sql))
    key = tuple(rows)
    schema = _known.get(key)
    if schema is None:
        schema = _known[key] = _build(cursor, rows)
    return schema


def _build(cursor: sqlite3.Cursor, rows: Sequence[tuple[Any, ...]]) -> Schema:
    predicates = {(row[0], row[2]): _predicate(row[4]) for row in rows if row[1] == "index"}
    virtual = {(row[0], row[2]) for row in rows if row[1] == "table" and _is_virtual(row[4])}
    tables = []
    for database, kind, name, _, _sql in rows:
        if kind != "table" or name.lower().startswith("sqlite_"):
            continue
        shape = "table"
        if (database, name) in virtual:
            shape = "virtual"
        elif any(database == where and name.startswith(f"{owner}_") for where, owner in virtual):
            shape = "shadow"
        tables.append(_table(cursor, database, name, shape, predicates))
    views = {str(row[2]).lower(): str(row[4]) for row in rows if row[1] == "view"}
    triggered = {str(row[3]).lower() for row in rows if row[1] == "trigger"}
    content = msgspec.msgpack.encode((tables, sorted(views.items()), sorted(triggered)))
    number = int.from_bytes(hashlib.sha256(content).digest()[:7])
    _fresh.append(Reading(tuple(rows), tuple(tables), views, tuple(sorted(triggered)), number))
    return Schema(tables, views, triggered, number)


def _is_virtual(sql: str | None) -> bool:
    return bool(sql and re.match(r"\s*create\s+virtual\b", sql, re.I))


def _predicate(sql: str | None) -> str:
    """The WHERE of a partial index's definition. The last WHERE outside parentheses starts it."""
    if not sql:
        return ""
    depth, quote, start = 0, "", -1
    for index, char in enumerate(sql):
        if quote:
            if char == quote:
                quote = ""
        elif char in "'\"`[":
            quote = "]" if char == "[" else char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif depth == 0 and char in "wW" and re.match(r"where\b", sql[index:], re.I):
            start = index + 5
            break
    return sql[start:].strip() if start >= 0 else ""


def _table(
    cursor: sqlite3.Cursor, database: str, name: str, kind: str, predicates: dict[tuple[str, str], str]
) -> TableInfo:
    where = f"{quoted(database)}."

    def pragma(what: str, of: str) -> list[tuple[Any, ...]]:
        return cursor.execute(f"PRAGMA {where}{what}({quoted(of)})").fetchall()

    described = [row for row in pragma("table_xinfo", name) if row[6] != 1]
    columns = tuple(str(row[1]) for row in described)
    pk = tuple(str(row[1]) for row in sorted((row for row in described if row[5]), key=lambda row: int(row[5])))
    taken = {column.lower() for column in columns}
    rowid: str | None = next((word for word in ("rowid", "_rowid_", "oid") if word not in taken), None)
    if rowid is not None:
        try:
            cursor.execute(f"SELECT {rowid} FROM {where}{quoted(name)} LIMIT 0")
        except sqlite3.OperationalError:
            rowid = None
    unique: list[UniqueKey] = []
    for _, index, is_unique, origin, partial, *_ in pragma("index_list", name):
        if not is_unique:
            continue
        parts = [row for row in pragma("index_xinfo", index) if row[5]]
        if any(row[1] < 0 for row in parts):
            continue  # an index on an expression: a conflict there is reported without the other row's owner
        predicate = predicates.get((database, index), "") if partial else ""
        names = tuple(str(row[2]) for row in parts)
        unique.append(UniqueKey(names, tuple(str(row[4]) for row in parts), predicate, origin == "pk"))
    if pk and rowid and not any(key.primary for key in unique):
        unique.append(UniqueKey(pk, ("BINARY",) * len(pk), "", True))  # INTEGER PRIMARY KEY has no index of its own
    foreign: dict[int, list[tuple[Any, ...]]] = {}
    for row in pragma("foreign_key_list", name):
        foreign.setdefault(int(row[0]), []).append(row)
    links = tuple(
        ForeignKey(
            tuple(str(row[3]) for row in group),
            str(group[0][2]),
            tuple(str(row[4] or "") for row in group),
            any(str(action).upper() not in ("NO ACTION", "RESTRICT") for action in group[0][5:7]),
        )
        for group in foreign.values()
    )
    return TableInfo(
        name=name,
        database=database,
        columns=columns,
        types=tuple(str(row[2]).upper() for row in described),
        pk=pk,
        rowid=rowid,
        kind=kind,
        unique=tuple(unique),
        foreign=links,
    )
