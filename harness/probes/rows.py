"""The row probe: every row that a statement on SQLite reads, writes, deletes or is refused, with its owner.

Writes are seen as row images (see `images`); reads by running the statement again with keys and owners as its result
(see `provenance`). Both work below any ORM. A statement is recorded when it runs, whether or not its rows are fetched,
and one that meets no row is recorded with ``rows: 0``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.flow import FLOW
from harness.principal import Label
from harness.probes.connection import Classes, Link, link_of, plain
from harness.probes.images import RowEvent, settle
from harness.probes.provenance import Rewritten, leaves
from harness.probes.schema import Schema, TableInfo, quoted
from harness.probes.statement import Statement, analyse, bind, number, verb
from harness.recorder import Recorder, current
from harness.target import Facts
from harness.trace import Mark

SHOWN = 300
KEYS = 20
STATEMENTS = 4096
PLANT = "isolation_plant"

_UNIQUE = re.compile(r"(?:UNIQUE|PRIMARY KEY) constraint failed: (.*)")
_NO_TABLE = re.compile(r"no such table: (?:main\.|temp\.)?(\S+)")
_CHANGES = ("insert", "update", "delete")


class _Group(msgspec.Struct):
    """The rows of one table and owner that one statement read."""

    table: TableInfo
    owner: Label | None
    owned_by: str
    filtering: bool
    keys: dict[str, None] = {}
    texts: dict[str | bytes, None] = {}


class _Call(msgspec.Struct):
    """One execution under way."""

    recorder: Recorder
    link: Link
    sql: str
    statement: Statement
    groups: list[_Group] | None = None


class RowProbe:
    """Watches rows. `listener`, if given, receives every row image of a statement that succeeded (for tests)."""

    sink = "row"

    def __init__(self, listener: Callable[[RowEvent], None] | None = None) -> None:
        self._listener = listener
        self._facts: Facts | None = None
        self._owners: dict[str, str] = {}
        self._classes = Classes(self)
        self._undo: list[tuple[Any, Any]] = []
        self._statements: dict[tuple[str, int], Statement] = {}
        self._schemas: dict[int, Schema] = {}
        self._writers: dict[tuple[str, str], Label] = {}
        self._labels: dict[tuple[Any, ...], Label | None] = {}

    # the Probe protocol

    def install(self, facts: Facts) -> None:
        """Wrap `sqlite3.connect`. Connections opened before stay unwatched."""
        self._facts = facts
        self._owners = {name.lower(): field for name, field in facts.owner_columns.items()}
        plain_connect = sqlite3.connect
        classes = self._classes

        def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            factory = args[5] if len(args) > 5 else kwargs.get("factory", sqlite3.Connection)
            if isinstance(factory, type) and issubclass(factory, sqlite3.Connection):
                watched = classes.connection(factory)
                if len(args) > 5:
                    args = (*args[:5], watched, *args[6:])
                else:
                    kwargs["factory"] = watched
            elif (recorder := current()) is not None:
                recorder.fault(
                    "probe", f"rows behind the connection factory {factory!r} are not seen: pass a class", harness=True
                )
            return plain_connect(*args, **kwargs)

        for module in (sqlite3, sqlite3.dbapi2):
            self._undo.append((module, module.connect))
            module.connect = connect  # type: ignore[assignment]

    def uninstall(self) -> None:
        """Give `sqlite3.connect` back. Watched connections stay watched."""
        while self._undo:
            module, former = self._undo.pop()
            module.connect = former

    def booted(self, roots: Sequence[Path]) -> None:
        """Nothing to find at boot: connections are met as they open."""

    def begin(self, folder: Path) -> None:
        """Forget who wrote what in an earlier run."""
        self._writers.clear()
        self._labels.clear()

    def between(self) -> None:
        """Every access was recorded when it happened."""

    def finish(self) -> None:
        """Every access was recorded when it happened."""

    def plant(self, folder: Path) -> None:
        """Write, read and delete one row of a table `isolation_plant` in a database of its own."""
        path = folder / f"{PLANT}.db"
        connection = sqlite3.connect(str(path))
        try:
            connection.execute(f"CREATE TABLE {PLANT} (id INTEGER PRIMARY KEY, note TEXT)")
            connection.execute(f"INSERT INTO {PLANT} (note) VALUES (?)", ("planted",))
            connection.execute(f"SELECT note FROM {PLANT} WHERE id = ?", (1,)).fetchall()
            connection.execute(f"UPDATE {PLANT} SET note = ? WHERE id = ?", ("moved", 1))
            connection.execute(f"DELETE FROM {PLANT} WHERE id = ?", (1,))
            connection.commit()
        finally:
            connection.close()
        path.unlink(missing_ok=True)

    # inventory

    def tables(self) -> dict[str, TableInfo]:
        """Every user table met on any connection, by name. For the inventory and for constraint rules."""
        found = {table.name: table for schema in self._schemas.values() for table in schema.tables.values()}
        return {name: table for name, table in sorted(found.items()) if table.kind != "shadow" and name != PLANT}

    def owner_columns(self, table: TableInfo) -> dict[str, str]:
        """The table's owner columns -> the principal's field each holds. Empty: the table is not tenant-scoped."""
        return {name: self._owners[name.lower()] for name in table.columns if name.lower() in self._owners}

    # the observer around executions

    def watching(self) -> bool:
        """Whether a run is recorded and the bot, not the harness, is at work."""
        recorder = current()
        return recorder is not None and recorder.listening

    def execute(self, connection: sqlite3.Connection, run: Callable[[], Any], sql: str, parameters: Any) -> Any:
        """One statement."""
        call = self._before(connection, sql, parameters)
        if call is None:
            return run()
        capture = call.link.capture
        capture.take()
        capture.on = True
        try:
            result = run()
        except Exception as error:
            capture.on = False
            self._safely(call, lambda: self._failed(call, error, [], capture.take()))
            raise
        finally:
            capture.on = False
        self._safely(call, lambda: self._succeeded(call, connection, parameters, [capture.take()]))
        return result

    def executemany(
        self, connection: sqlite3.Connection, run: Callable[[Iterable[Any]], Any], sql: str, rows: Iterable[Any]
    ) -> Any:
        """One statement over many parameters: each execution counts by itself when a later one fails."""
        call = self._before(connection, sql, None)
        if call is None:
            return run(rows)
        capture = call.link.capture
        capture.take()
        done: list[list[RowEvent]] = []

        def feed(source: Iterator[Any]) -> Iterator[Any]:
            for row in source:
                done.append(capture.take())
                yield row

        capture.on = True
        try:
            result = run(feed(iter(rows)) if hasattr(rows, "__iter__") or hasattr(rows, "__next__") else rows)
        except Exception as error:
            capture.on = False
            self._safely(call, lambda: self._failed(call, error, done, capture.take()))
            raise
        finally:
            capture.on = False
        self._safely(call, lambda: self._succeeded(call, connection, None, [*done, capture.take()]))
        return result

    def executescript(self, connection: sqlite3.Connection, run: Callable[[], Any], sql: str) -> Any:
        """A script: its writes are seen as images; rows of tables it makes itself are read when it has ended."""
        call = self._before(connection, sql, None, script=True)
        if call is None:
            return run()
        capture = call.link.capture
        capture.take()
        capture.on = True
        before = call.link.schema
        try:
            result = run()
        except Exception as error:
            capture.on = False
            self._safely(call, lambda: self._failed(call, error, [capture.take()], []))
            raise
        finally:
            capture.on = False
            call.link.stale = True

        def after() -> None:
            with call.recorder.muted():
                made = self._made(connection, call.link, before)
            self._written(call, [capture.take(), made])

        self._safely(call, after)
        return result

    # before

    def _before(
        self, connection: sqlite3.Connection, sql: str, parameters: Any, script: bool = False
    ) -> _Call | None:
        recorder = current()
        if recorder is None:
            return None
        try:
            with recorder.muted():
                link = link_of(connection)
                first = verb(sql)
                if not script and first in ("begin", "commit", "end", "rollback", "savepoint", "release", "pragma", ""):
                    return None
                if script and re.search(r"\balter\b", sql, re.I) or first == "alter":
                    link.disarm(connection)
                if not script and first in ("create", "drop", "alter", "attach", "detach", "vacuum", "reindex"):
                    link.stale = True
                schema = link.refresh(connection)
                self._schemas[schema.number] = schema
                if script:
                    link.arm(connection, schema.tables)
                    return _Call(recorder, link, sql, Statement(kind="script"))
                call = _Call(recorder, link, sql, self._statement(sql, schema))
                statement = call.statement
                if statement.kind == "ddl":
                    link.stale = True
                if statement.kind in _CHANGES:
                    target = statement.target
                    names = set(schema.tables) if target is None else schema.written_with(target.name)
                    link.arm(connection, names)
                    if statement.reads is not None and parameters is not None:
                        call.groups = self._read(recorder, connection, statement, sql, parameters)
                return call
        except sqlite3.ProgrammingError:
            return None  # a closed connection or a foreign thread: the bot's own call says so
        except Exception as error:
            recorder.fault("probe", f"row probe: {type(error).__name__}: {error}", sql[:SHOWN], harness=True)
            return None

    def _statement(self, sql: str, schema: Schema) -> Statement:
        known = self._statements.get((sql, schema.number))
        if known is None:
            assert self._facts is not None
            if len(self._statements) >= STATEMENTS:
                self._statements.clear()
            known = analyse(sql, schema, self._owners, self._facts.scoping)
            self._statements[(sql, schema.number)] = known
        return known

    def _safely(self, call: _Call, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            text = f"row probe: {type(error).__name__}: {error}"
            call.recorder.fault("probe", text, call.sql[:SHOWN], harness=True)

    # after

    def _succeeded(
        self, call: _Call, connection: sqlite3.Connection, parameters: Any, executions: list[list[RowEvent]]
    ) -> None:
        statement = call.statement
        if statement.kind == "ddl":
            call.link.stale = True
            return
        if statement.kind == "select":
            if statement.reads is not None:
                with call.recorder.muted():
                    call.groups = self._read(call.recorder, connection, statement, call.sql, parameters)
            self._reads(call)
            return
        if statement.kind in _CHANGES:
            self._reads(call)
            written = self._written(call, executions)
            if not written and statement.target is not None:
                op = "delete" if statement.kind == "delete" else "write"
                self._record(call, op, statement.target, "", detail={"rows": 0, "statement": statement.verb})
            if statement.returning:
                self._returned(call, written)

    def _read(
        self, recorder: Recorder, connection: sqlite3.Connection, statement: Statement, sql: str, parameters: Any
    ) -> list[_Group] | None:
        """The rows a statement reads, grouped by table and owner; None when they cannot be named."""
        reads = statement.reads
        assert reads is not None
        try:
            with plain(connection) as cursor:
                rows = cursor.execute(reads.sql, bind(parameters, number(sql)[1]))
                return self._grouped(recorder, reads, statement.skip, (row[-1] for row in rows))
        except (sqlite3.Error, ValueError):
            return None

    def _grouped(self, recorder: Recorder, reads: Rewritten, skip: int, values: Iterable[Any]) -> list[_Group]:
        groups: dict[tuple[str, Label | None, str, bool], _Group] = {}
        for value in values:
            for leaf in leaves(reads, value):
                if leaf.source == skip:
                    continue
                source = reads.sources[leaf.source]
                key = ",".join(map(_text, leaf.key))
                owner, owned_by = self._owner(recorder, source.table, source.owners, leaf.owners, key)
                name = (source.table.name, owner, owned_by, source.filtering)
                group = groups.get(name)
                if group is None:
                    group = groups[name] = _Group(source.table, owner, owned_by, source.filtering, {}, {})
                group.keys[key] = None
                for text in leaf.values:
                    group.texts[text] = None
        return list(groups.values())

    def _reads(self, call: _Call) -> None:
        statement = call.statement
        opaque = list(statement.opaque)
        if statement.reads is not None and call.groups is None:
            opaque += [s.table for i, s in enumerate(statement.reads.sources) if i != statement.skip]
        for table in {table.name: table for table in opaque}.values():
            self._record(call, "read", table, "", detail={"rows": None, "shape": "opaque", "statement": statement.verb})
        if statement.reads is None or call.groups is None:
            return
        shape = {} if statement.reads.exact else {"shape": "approximate"}
        for group in call.groups:
            keys = list(group.keys)
            detail: dict[str, Any] = {"rows": len(keys), "keys": keys[:KEYS], "statement": statement.verb, **shape}
            if group.filtering:
                detail["via"] = "filter"
            marks = self._marks(call.recorder, group.texts)
            self._record(call, "read", group.table, keys[0], group.owner, marks=marks, owned_by=group.owned_by, detail=detail)
        met = {group.table.name for group in call.groups}
        for index, source in enumerate(statement.reads.sources):
            if index != statement.skip and source.table.name not in met:
                met.add(source.table.name)
                self._record(call, "read", source.table, "", detail={"rows": 0, "statement": statement.verb, **shape})

    def _written(self, call: _Call, executions: list[list[RowEvent]]) -> list[RowEvent]:
        """Record the images of executions that succeeded, each settled by itself."""
        everything: list[RowEvent] = []
        for events in executions:
            written, swallowed = settle(events)
            for event in written:
                self._write(call, event)
            for conflict in swallowed:
                columns = [f"{conflict.table.name}.{name}" for name in _unique_columns(conflict)]
                self._conflict(call, conflict, columns, {"swallowed": True, "error": "IntegrityError"})
            everything += written
        return everything

    def _write(self, call: _Call, event: RowEvent) -> None:
        if self._listener is not None:
            self._listener(event)
        recorder, table, statement = call.recorder, event.table, call.statement
        key = _key(table, event.old or event.new or {})
        owner, owned_by = self._owner_of(recorder, event, event.old, key)
        changed = event.changed()
        if event.new is None:
            new_owner = None
            self._writers.pop((table.name, key), None)
        else:
            new_key = _key(table, event.new)
            if not self.owner_columns(table):
                writer = owner or self._writer(recorder)
                self._writers.pop((table.name, key), None)
                if writer is not None:
                    self._writers[(table.name, new_key)] = writer
            new_owner, owned_by = self._owner_of(recorder, event, event.new, new_key)
        texts = {
            value: None
            for image in (event.new, event.old)
            if image is not None
            for value in (image[name] for name in changed)
            if isinstance(value, (str, bytes)) and value
        }
        replaced = statement.verb == "replace" or event.op == "replace"
        self._record(
            call,
            "delete" if event.new is None else "write",
            table,
            key,
            owner,
            new_owner,
            marks=self._marks(recorder, texts),
            owned_by=owned_by,
            detail={"statement": "replace" if replaced else event.op, "columns": list(changed), "rows": 1},
        )

    def _returned(self, call: _Call, written: list[RowEvent]) -> None:
        """RETURNING shows the caller the rows it wrote, as they are after an insert or update."""
        for event in written:
            image = event.new if event.new is not None else event.old
            if image is None or event.table is not call.statement.target or event.op == "replace":
                continue
            key = _key(event.table, image)
            owner, owned_by = self._owner_of(call.recorder, event, event.old or event.new, key)
            texts = {value: None for value in image.values() if isinstance(value, (str, bytes)) and value}
            detail = {"rows": 1, "keys": [key], "via": "returning", "statement": call.statement.verb}
            marks = self._marks(call.recorder, texts)
            self._record(call, "read", event.table, key, owner, marks=marks, owned_by=owned_by, detail=detail)

    def _failed(self, call: _Call, error: Exception, done: list[list[RowEvent]], last: list[RowEvent]) -> None:
        """The statement failed: what an earlier execution of it wrote stays, the rest was rolled back by SQLite."""
        if call.statement.resolution == "fail":
            done = [*done, [event for event in last if event.op != "conflict"]]
        self._written(call, done)
        about = {"error": type(error).__name__, "message": str(error), "statement": call.statement.verb}
        match = _UNIQUE.search(str(error))
        if match is not None:
            columns = match.group(1).split(", ")
            hits = [e for e in last if e.op == "conflict" and [f"{e.table.name}.{c}" for c in _unique_columns(e)] == columns]
            if hits:
                self._conflict(call, hits[-1], columns, about)
                return
            about["constraint"] = [column.rpartition(".")[2] for column in columns]
            surface = columns[0].rpartition(".")[0] or (call.statement.target.name if call.statement.target else "")
            if surface:
                self._record(call, "error", surface, ", ".join(columns), detail=about)
            return
        missing = _NO_TABLE.search(str(error))
        if missing is not None:
            surfaces: list[str] = [missing.group(1)]
        elif call.statement.target is not None:
            surfaces = [call.statement.target.name]
        else:
            surfaces = list(call.statement.named)
        for surface in surfaces:
            self._record(call, "error", surface, "", detail=about)

    def _conflict(self, call: _Call, conflict: RowEvent, columns: list[str], about: dict[str, Any]) -> None:
        key = _key(conflict.table, conflict.old or {})
        owner, owned_by = self._owner_of(call.recorder, conflict, conflict.old, key)
        detail = {**about, "constraint": [column.rpartition(".")[2] for column in columns], "row": key}
        detail.setdefault("statement", call.statement.verb)
        self._record(call, "error", conflict.table, ", ".join(columns), owner, owned_by=owned_by, detail=detail)

    def _made(self, connection: sqlite3.Connection, link: Link, before: Schema | None) -> list[RowEvent]:
        """The rows of tables that did not stand in the schema `before`."""
        known = before.qualified if before is not None else {}
        schema = link.refresh(connection)
        self._schemas[schema.number] = schema
        events = []
        with plain(connection) as cursor:
            for key, table in schema.qualified.items():
                if key in known or table.kind != "table":
                    continue
                names = table.image_columns()
                select = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table.database)}.{quoted(table.name)}"
                for row in cursor.execute(select).fetchall():
                    events.append(RowEvent(op="insert", table=table, new=dict(zip(names, row, strict=True))))
        return events

    # owners and marks

    def _owner_of(
        self, recorder: Recorder, event: RowEvent, image: dict[str, Any] | None, key: str
    ) -> tuple[Label | None, str]:
        names = tuple(self.owner_columns(event.table))
        if image is None:
            return None, "columns" if names else "first-writer"
        return self._owner(recorder, event.table, names, tuple(image[name] for name in names), key)

    def _owner(
        self, recorder: Recorder, table: TableInfo, names: tuple[str, ...], values: tuple[Any, ...], key: str
    ) -> tuple[Label | None, str]:
        if not names:
            return self._writers.get((table.name, key)), "first-writer"
        told = (names, values)
        if told not in self._labels:
            identity: dict[str, str | None] = {}
            for name, value in zip(names, values, strict=True):
                identity[self._owners[name.lower()]] = None if value is None else _text(value)
            self._labels[told] = recorder.label(identity)
        return self._labels[told], "columns"

    def _writer(self, recorder: Recorder) -> Label | None:
        ambient = recorder.ambient()
        return ambient if ambient in ("A", "B") else FLOW.get().actor

    def _marks(self, recorder: Recorder, texts: Iterable[str | bytes]) -> tuple[Mark, ...]:
        """One pass over the joined texts; blobs each by themselves."""
        joined = "\n".join(text for text in texts if isinstance(text, str))
        return recorder.marks(joined, *(text for text in texts if isinstance(text, bytes)))

    def _record(
        self,
        call: _Call,
        op: str,
        table: TableInfo | str,
        key: str,
        owner: Label | None = None,
        new_owner: Label | None = None,
        *,
        marks: tuple[Mark, ...] = (),
        owned_by: str = "",
        detail: dict[str, Any],
    ) -> None:
        name = table if isinstance(table, str) else table.name
        scoped = call.statement.scoped.get(name.lower())
        if scoped is not None:
            detail["scoped"] = scoped
        if owned_by:
            detail["owned_by"] = owned_by
        detail["sql"] = call.sql[:SHOWN]
        call.recorder.access("row", op, name, key, owner=owner, new_owner=new_owner, marks=marks, detail=detail)


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _key(table: TableInfo, image: dict[str, Any]) -> str:
    return ",".join(_text(image[name]) for name in table.key_columns())


def _unique_columns(event: RowEvent) -> tuple[str, ...]:
    return event.unique.columns if event.unique is not None else ()
