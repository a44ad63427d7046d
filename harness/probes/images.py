"""Row images: TEMP triggers that tell what a statement really wrote, whatever its text.

The triggers only call a function, so they change nothing a caller could see: `changes()`, `total_changes`,
`last_insert_rowid()` and the bot's own triggers stay as they are. A BEFORE trigger reports the rows that stand in the
way of a unique key: who is hit by a conflict, and which row a REPLACE deletes. (`recursive_triggers` would show the
latter too, but switches the behaviour of the bot's own triggers.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from harness.probes.schema import PREFIX, TableInfo, UniqueKey, quoted

FUNCTION = PREFIX + "row"
CHUNK = 100
"""Values given to one call: SQLite allows 127 arguments (100 before 3.8), some of them ours."""

INSERT, UPDATE, DELETE, CONFLICT = 0, 1, 2, 3
NAMES = ("insert", "update", "delete", "conflict")

Image = dict[str, Any]


class RowEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One row written. `op` is ``insert``, ``update``, ``delete``, ``replace`` (a delete that REPLACE did) or
    ``conflict`` (`old` stands in the way of `new`, which holds the columns of `unique` only). Images map columns
    (and the row number's name) to values."""

    op: str
    table: TableInfo
    old: Image | None = None
    new: Image | None = None
    unique: UniqueKey | None = None

    def changed(self) -> tuple[str, ...]:
        """Columns whose value differs between the images; all of them for an insert or a delete."""
        if self.old is None or self.new is None:
            return self.table.columns
        old, new = self.old, self.new
        return tuple(name for name in self.table.columns if not _same(old[name], new[name]))


class Capture:
    """Receives the trigger calls of one connection and collects whole images. Never raises into SQLite."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[RowEvent] = []
        self._tables: list[TableInfo] = []
        self._pending: list[Any] = []

    def number(self, table: TableInfo) -> int:
        """The number under which triggers name `table`."""
        self._tables.append(table)
        return len(self._tables) - 1

    def call(self, number: int, op: int, part: int, *values: Any) -> None:
        """What the triggers call. `part` counts the calls still to come for this image: 0 completes it."""
        if not self.on:
            return
        self._pending.extend(values)
        if part:
            return
        values, self._pending = tuple(self._pending), []
        table = self._tables[number]
        names = table.image_columns()
        if op == INSERT:
            self.events.append(RowEvent(op="insert", table=table, new=dict(zip(names, values, strict=True))))
        elif op == UPDATE:
            half = len(names)
            old, new = (dict(zip(names, some, strict=True)) for some in (values[:half], values[half:]))
            self.events.append(RowEvent(op="update", table=table, old=old, new=new))
        elif op == DELETE:
            self.events.append(RowEvent(op="delete", table=table, old=dict(zip(names, values, strict=True))))
        else:
            unique = table.unique[values[0]]
            old = dict(zip(names, values[1 : len(names) + 1], strict=True))
            new = dict(zip(unique.columns, values[len(names) + 1 :], strict=True))
            self.events.append(RowEvent(op="conflict", table=table, old=old, new=new, unique=unique))

    def take(self) -> list[RowEvent]:
        """The events since the last call; forgets them."""
        events, self.events = self.events, []
        self._pending = []
        return events


def trigger_names(table: TableInfo) -> list[str]:
    """The triggers `create` makes for `table`, without their quotes."""
    stem = f"{PREFIX}{table.database}_{table.name}_"
    names = [stem + word for word in ("insert", "update", "delete")]
    for index, key in enumerate(table.unique):
        if _can_look_up(table, key):
            names += [f"{stem}before_insert_{index}", f"{stem}before_update_{index}"]
    return names


def create(cursor: sqlite3.Cursor, table: TableInfo, number: int) -> None:
    """Give `table` its triggers on the connection of `cursor`, which must have none of their names."""
    names = table.image_columns()
    stem = f"{PREFIX}{table.database}_{table.name}_"
    on = f"ON {quoted(table.database)}.{quoted(table.name)}"
    new, old = ([f"{side}.{quoted(name)}" for name in names] for side in ("NEW", "OLD"))
    for word, op, values in (("insert", INSERT, new), ("update", UPDATE, old + new), ("delete", DELETE, old)):
        body = f"SELECT {_calls(number, op, values)};"
        cursor.execute(f"CREATE TEMP TRIGGER {quoted(stem + word)} AFTER {word.upper()} {on} BEGIN {body} END")
    for index, key in enumerate(table.unique):
        if not _can_look_up(table, key):
            continue
        theirs = [f"o.{quoted(name)}" for name in names]
        wanted = [f"NEW.{quoted(name)}" for name in key.columns]
        test = " AND ".join(
            f"o.{quoted(name)} = NEW.{quoted(name)} COLLATE {quoted(collation)}"
            for name, collation in zip(key.columns, key.collations, strict=True)
        )
        if key.where:
            test += f" AND ({key.where}) AND ({_about_new(key.where)})"
        source = f"FROM {quoted(table.database)}.{quoted(table.name)} AS o WHERE {test}"
        look = f"SELECT {_calls(number, CONFLICT, [str(index), *theirs, *wanted])} {source}"
        own = (table.rowid,) if table.rowid else table.pk
        other = " AND ".join(f"o.{quoted(name)} IS OLD.{quoted(name)}" for name in own)
        columns = ", ".join(quoted(name) for name in key.columns)
        cursor.execute(
            f"CREATE TEMP TRIGGER {quoted(f'{stem}before_insert_{index}')} BEFORE INSERT {on} BEGIN {look}; END"
        )
        cursor.execute(
            f"CREATE TEMP TRIGGER {quoted(f'{stem}before_update_{index}')} BEFORE UPDATE OF {columns} {on} "
            f"BEGIN {look} AND NOT ({other}); END"
        )


def drop(cursor: sqlite3.Cursor, names: Iterable[str]) -> None:
    """Remove triggers, whether or not they exist."""
    for name in names:
        cursor.execute(f"DROP TRIGGER IF EXISTS temp.{quoted(name)}")


def settle(events: Sequence[RowEvent]) -> tuple[list[RowEvent], list[RowEvent]]:
    """What a statement that succeeded did about its conflicts: (rows written, conflicts that were swallowed).

    A row in the way is gone when the row it was in the way of is there: a REPLACE. An upsert updates it. Otherwise the
    new row was dropped without a word (OR IGNORE, DO NOTHING, OR FAIL).
    """
    written: list[RowEvent] = []
    swallowed: list[RowEvent] = []
    gone: set[tuple[int, Any]] = set()
    for index, event in enumerate(events):
        if event.op != "conflict":
            if event.op == "delete" and (id(event.table), _identity(event)) in gone:
                gone.discard((id(event.table), _identity(event)))  # recursive_triggers showed this REPLACE as well
                continue
            written.append(event)
            if event.op != "delete":  # the row the conflicts were about is written: the next one starts afresh
                gone = {entry for entry in gone if entry[0] != id(event.table)}
            continue
        follower = next(
            (e for e in events[index + 1 :] if e.table is event.table and e.op in ("insert", "update")), None
        )
        if follower is not None and _wins(event, follower):
            if (id(event.table), _identity(event)) not in gone:
                written.append(RowEvent(op="replace", table=event.table, old=event.old))
                gone.add((id(event.table), _identity(event)))
        elif follower is None or follower.op != "update" or not _same_row(event, follower):
            swallowed.append(event)
    return written, swallowed


def _wins(conflict: RowEvent, follower: RowEvent) -> bool:
    new, wanted = follower.new or {}, conflict.new or {}
    if follower.op == "update" and _same_row(conflict, follower):
        return False
    return all(_same(new.get(name), value) for name, value in wanted.items())


def _same_row(conflict: RowEvent, follower: RowEvent) -> bool:
    names = (conflict.table.rowid,) if conflict.table.rowid else conflict.table.pk
    old, other = conflict.old or {}, follower.old or {}
    return all(_same(old.get(name), other.get(name)) for name in names if name)


def _identity(event: RowEvent) -> tuple[Any, ...]:
    names = (event.table.rowid,) if event.table.rowid else event.table.pk
    return tuple((event.old or {}).get(name) for name in names if name)


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _can_look_up(table: TableInfo, key: UniqueKey) -> bool:
    if key.where and not _about_new(key.where):
        return False
    return bool(key.columns) and bool(table.rowid or table.pk)


@lru_cache(maxsize=256)
def _about_new(predicate: str) -> str:
    """A partial index's predicate, said of the new row; empty when it cannot be read. As it stands its bare columns
    mean the other row's inside the look-up."""
    try:
        tree = sqlglot.parse_one(predicate, dialect="sqlite")
    except SqlglotError:
        return ""
    for column in list(tree.find_all(exp.Column)):
        column.set("table", exp.to_identifier("NEW"))
    return tree.sql(dialect="sqlite")


def _calls(number: int, op: int, values: Sequence[str]) -> str:
    chunks = [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]
    last = len(chunks) - 1
    return ", ".join(
        f"{FUNCTION}({number}, {op}, {last - index}, {', '.join(chunk)})" for index, chunk in enumerate(chunks)
    )
