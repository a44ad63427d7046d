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

from harness.probes import schema as schemas
from harness.probes.connection import Classes, Link, link_of, plain
from harness.probes.images import RowEvent
from harness.probes.rowlog import SHOWN, Call, Group, RowLog
from harness.probes.schema import Schema, TableInfo, quoted
from harness.probes.statement import Statement, analyse, bind, verb
from harness.recorder import Recorder, current
from harness.target import Facts

STATEMENTS = 4096
PLANT = "isolation_plant"

_CHANGES = ("insert", "update", "delete")


class _Lessons(msgspec.Struct):
    """What a run worked out: schemas, and statements with the number of the schema they were read against."""

    schemas: list[schemas.Reading]
    statements: list[tuple[str, int, Statement]]


class RowProbe:
    """Watches rows. `listener`, if given, receives every row image of a statement that succeeded (for tests)."""

    sink = "row"

    def __init__(self, listener: Callable[[RowEvent], None] | None = None) -> None:
        self.log = RowLog(listener)
        self._facts: Facts | None = None
        self._classes = Classes(self)
        self._undo: list[tuple[Any, Any]] = []
        self._statements: dict[tuple[str, int], Statement] = {}
        self._fresh: list[tuple[str, int, Statement]] = []
        self._schemas: dict[int, Schema] = {}

    # the Probe protocol

    def install(self, facts: Facts) -> None:
        """Wrap `sqlite3.connect`. Connections opened before stay unwatched."""
        self._facts = facts
        self.log.declared = frozenset(name.lower() for name in facts.owner_columns)
        told = {**facts.place_columns, **facts.owner_columns}
        self.log.owners = {name.lower(): field for name, field in told.items()}
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
            connection: sqlite3.Connection = plain_connect(*args, **kwargs)
            return connection

        modules: tuple[Any, ...] = (sqlite3, sqlite3.dbapi2)
        for module in modules:
            self._undo.append((module, module.connect))
            module.connect = connect

    def uninstall(self) -> None:
        """Give `sqlite3.connect` back. Watched connections stay watched."""
        while self._undo:
            module, former = self._undo.pop()
            module.connect = former

    def booted(self, roots: Sequence[Path]) -> None:
        """Nothing to find at boot: connections are met as they open."""

    def begin(self, folder: Path) -> None:
        """Forget who wrote what in an earlier run."""
        self.log.begin()

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
        return dict(self.log.owner_columns(table))

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
            self._safely(call, self.log.failed, call, error, [], capture.take())
            raise
        finally:
            capture.on = False
        self._safely(call, self._succeeded, call, connection, parameters, [capture.take()])
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
            self._safely(call, self.log.failed, call, error, done, capture.take())
            raise
        finally:
            capture.on = False
        self._safely(call, self._succeeded, call, connection, None, [*done, capture.take()])
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
            self._safely(call, self.log.failed, call, error, [capture.take()], [])
            raise
        finally:
            capture.on = False
            call.link.stale = True
            if "temp_store" in sql.lower():
                with call.recorder.muted():
                    call.link.disarm(connection)  # what the script did after that was not seen; what comes next is

        def after() -> None:
            with call.recorder.muted():
                made = self._made(connection, call.link, before)
            self.log.written(call, [capture.take(), made])

        self._safely(call, after)
        return result

    # before

    def _before(self, connection: sqlite3.Connection, sql: str, parameters: Any, script: bool = False) -> Call | None:
        recorder = current()
        if recorder is None:
            return None
        try:
            with recorder.muted():
                link = link_of(connection)
                first = verb(sql)
                if first == "pragma" and "temp_store" in sql.lower():
                    link.disarm(connection)  # SQLite throws away what is temporary, the triggers with it
                if not script and first in ("begin", "commit", "end", "rollback", "savepoint", "release", "pragma", ""):
                    return None
                if first == "alter" or (script and re.search(r"\balter\b", sql, re.I)):
                    link.disarm(connection)
                if not script and first in ("create", "drop", "alter", "attach", "detach", "vacuum", "reindex"):
                    link.stale = True
                schema = link.refresh(connection)
                self._schemas[schema.number] = schema
                if script:
                    link.arm(connection, schema.tables)
                    return Call(recorder, link, sql, Statement(kind="script"))
                call = Call(recorder, link, sql, self._statement(sql, schema), parameters=parameters)
                statement = call.statement
                if statement.kind == "ddl":
                    link.stale = True
                if statement.kind in _CHANGES:
                    target = statement.target
                    names = set(schema.tables) if target is None else schema.written_with(target.name)
                    link.arm(connection, names)
                    if statement.reads is not None and parameters is not None:
                        call.groups = self._read(recorder, connection, statement, parameters)
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
            known = analyse(sql, schema, self.log.owners, self._facts.scoping)
            self._statements[(sql, schema.number)] = known
            self._fresh.append((sql, schema.number, known))
        return known

    def lessons(self) -> bytes:
        """The schemas read and statements analysed since the last call, for `learn` in the process that forks the next
        run: an analysis costs milliseconds, and a fork starts with what its parent knows."""
        fresh, self._fresh = self._fresh, []
        lessons = _Lessons(schemas=schemas.fresh(), statements=fresh)
        return msgspec.msgpack.encode(lessons) if lessons.schemas or lessons.statements else b""

    def learn(self, lessons: bytes) -> None:
        """Take over what a finished fork analysed."""
        learnt = msgspec.msgpack.decode(lessons, type=_Lessons)
        schemas.learn(learnt.schemas)
        for sql, index, statement in learnt.statements:
            if len(self._statements) < STATEMENTS:
                self._statements[(sql, index)] = statement

    def _safely(self, call: Call, work: Callable[..., None], *given: Any) -> None:
        try:
            work(*given)
        except Exception as error:
            text = f"row probe: {type(error).__name__}: {error}"
            call.recorder.fault("probe", text, call.sql[:SHOWN], harness=True)

    # after

    def _succeeded(
        self, call: Call, connection: sqlite3.Connection, parameters: Any, executions: list[list[RowEvent]]
    ) -> None:
        statement = call.statement
        if statement.kind == "ddl":
            call.link.stale = True
            return
        if statement.kind == "select":
            if statement.reads is not None:
                with call.recorder.muted():
                    call.groups = self._read(call.recorder, connection, statement, parameters)
            self.log.reads(call)
            return
        if statement.kind in _CHANGES:
            self.log.reads(call)
            self.log.changed(call, executions)

    def _read(
        self, recorder: Recorder, connection: sqlite3.Connection, statement: Statement, parameters: Any
    ) -> list[Group] | None:
        """The rows a statement reads, grouped by table and owner; None when they cannot be named."""
        reads = statement.reads
        assert reads is not None
        try:
            with plain(connection) as cursor:
                rows = cursor.execute(reads.sql, bind(parameters, statement.numbered))
                return self.log.grouped(recorder, reads, statement.skip, (row[-1] for row in rows))
        except (sqlite3.Error, ValueError):
            return None

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
