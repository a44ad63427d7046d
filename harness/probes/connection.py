"""SQLite connections and cursors that let an observer stand around every execution, whatever opened them.

The classes are made under the caller's own factory, so a bot's subclass keeps its behaviour and its name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from harness.probes.images import FUNCTION, Capture, create, drop, trigger_names
from harness.probes.schema import PREFIX, Schema, TableInfo, read_schema
from harness.strikes import at_statement

LINK = PREFIX + "link"


class Observer(Protocol):
    """Stands around executions. `run` is the plain operation; its result and its exceptions pass through."""

    def watching(self) -> bool:
        """False: call the plain operation at once."""

    def execute(self, connection: sqlite3.Connection, run: Callable[[], Any], sql: str, parameters: Any) -> Any: ...

    def executemany(
        self, connection: sqlite3.Connection, run: Callable[[Iterable[Any]], Any], sql: str, rows: Iterable[Any]
    ) -> Any: ...

    def executescript(self, connection: sqlite3.Connection, run: Callable[[], Any], sql: str) -> Any: ...


class Link:
    """What the harness keeps of one connection. Holds no reference to it: connections close when a bot drops them."""

    def __init__(self) -> None:
        self.capture = Capture()
        self.schema: Schema | None = None
        self.stale = True
        self._version = -1
        self._temp_version = -1
        self._have: dict[tuple[str, str], TableInfo] = {}
        self._had: set[tuple[str, str]] = set()
        self._fragile: set[tuple[str, str]] = set()
        self._registered = False

    def refresh(self, connection: sqlite3.Connection) -> Schema:
        """The schema as it stands; read again only after a change, by whichever connection."""
        probe = sqlite3.Cursor(connection)
        probe.row_factory = None
        version = probe.execute("PRAGMA main.schema_version").fetchone()[0]
        if self.schema is None or self.stale or version != self._version:
            with plain(connection) as cursor:
                self.schema = read_schema(cursor)
                self._version = version
                self.stale = False
                now = self.schema.qualified
                changed = [key for key, table in self._have.items() if now.get(key) != table]
                for key in changed:
                    drop(cursor, trigger_names(self._have.pop(key)))
        return self.schema

    def arm(self, connection: sqlite3.Connection, names: Iterable[str]) -> None:
        """Make sure that the tables of these names (lower case) have their triggers."""
        assert self.schema is not None
        if self._fragile:
            self._verify(connection)
        wanted = set(names)
        missing = [
            (key, table)
            for key, table in self.schema.qualified.items()
            if key[1] in wanted and key not in self._have and table.kind == "table"
        ]
        if not missing:
            return
        if not self._registered:
            connection.create_function(FUNCTION, -1, self.capture.call)
            self._registered = True
        with plain(connection) as cursor:
            for key, table in missing:
                if key in self._had:  # some of its triggers may have outlived a rollback
                    drop(cursor, trigger_names(table))
                self._had.add(key)
                create(cursor, table, self.capture.number(table))
                self._have[key] = table
                if connection.in_transaction:
                    self._fragile.add(key)
        self._temp_version = _temp_version(connection)

    def disarm(self, connection: sqlite3.Connection) -> None:
        """Remove every trigger: ALTER TABLE refuses a change that a trigger depends on."""
        with plain(connection) as cursor:
            for table in self._have.values():
                drop(cursor, trigger_names(table))
        self._have.clear()
        self._fragile.clear()
        self.stale = True

    def _verify(self, connection: sqlite3.Connection) -> None:
        """Triggers made inside a transaction vanish when it is rolled back."""
        if _temp_version(connection) == self._temp_version:
            if not connection.in_transaction:
                self._fragile.clear()
            return
        with plain(connection) as cursor:
            there = {row[0] for row in cursor.execute("SELECT name FROM sqlite_temp_master WHERE type = 'trigger'")}
        for key in list(self._fragile):
            table = self._have.get(key)
            if table is None or trigger_names(table)[0] not in there:
                self._have.pop(key, None)
        self._temp_version = _temp_version(connection)
        if not connection.in_transaction:
            self._fragile.clear()


def _temp_version(connection: sqlite3.Connection) -> int:
    cursor = sqlite3.Cursor(connection)
    cursor.row_factory = None
    return int(cursor.execute("PRAGMA temp.schema_version").fetchone()[0])


class plain:
    """A cursor of the harness's own: the bot's factories do not touch it, nor it the bot's cursors."""

    __slots__ = ("_connection", "_cursor", "_factory")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Cursor:
        self._factory = self._connection.text_factory
        self._connection.text_factory = str
        self._cursor = sqlite3.Cursor(self._connection)
        self._cursor.row_factory = None
        return self._cursor

    def __exit__(self, *_: object) -> None:
        self._cursor.close()
        self._connection.text_factory = self._factory


def link_of(connection: sqlite3.Connection) -> Link:
    """The link of a watched connection, made on first use."""
    link: Link | None = connection.__dict__.get(LINK)
    if link is None:
        link = connection.__dict__[LINK] = Link()
    return link


class Classes:
    """Makes the watched form of a connection or cursor class, once for each.

    The watched base comes behind the bot's class in the method order, so what a bot overrides stays on top and its
    `super()` calls arrive here.
    """

    def __init__(self, observer: Observer) -> None:
        self._cursor = _cursor_class(observer)
        self._connection = _connection_class(self)
        self._made: dict[type, Any] = {sqlite3.Connection: self._connection, sqlite3.Cursor: self._cursor}

    def connection(self, base: type[sqlite3.Connection]) -> type[sqlite3.Connection]:
        """The watched form of `base`."""
        made: type[sqlite3.Connection] = self._watched(base, self._connection)
        return made

    def cursor(self, base: type[sqlite3.Cursor]) -> type[sqlite3.Cursor]:
        """The watched form of `base`."""
        made: type[sqlite3.Cursor] = self._watched(base, self._cursor)
        return made

    def _watched(self, base: type, below: type) -> Any:
        if issubclass(base, below):
            return base
        if base not in self._made:
            made = type(base.__name__, (base, below), {})
            made.__module__, made.__qualname__, made.__doc__ = base.__module__, base.__qualname__, base.__doc__
            self._made[base] = made
        return self._made[base]


def _connection_class(classes: Classes) -> type[sqlite3.Connection]:
    # Connection.execute and its kin make their cursor in C, past `cursor`, so they are led through it here.
    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
            if isinstance(factory, type) and issubclass(factory, sqlite3.Cursor):
                factory = classes.cursor(factory)
            return super().cursor(factory)

        def execute(self, *args: Any) -> Any:
            return Connection.cursor(self).execute(*args)

        def executemany(self, *args: Any) -> Any:
            return Connection.cursor(self).executemany(*args)

        def executescript(self, *args: Any) -> Any:
            return Connection.cursor(self).executescript(*args)

    Connection.__module__, Connection.__qualname__ = "sqlite3", "Connection"
    return Connection


def _cursor_class(observer: Observer) -> type[sqlite3.Cursor]:
    class Cursor(sqlite3.Cursor):
        def execute(self, *args: Any) -> Any:
            run = super().execute
            if not observer.watching() or not args or not isinstance(args[0], str):
                return run(*args)
            parameters = args[1] if len(args) > 1 else ()

            def attempt() -> Any:
                at_statement(args[0])
                return run(*args)

            return observer.execute(self.connection, attempt, args[0], parameters)

        def executemany(self, *args: Any) -> Any:
            run = super().executemany
            if not observer.watching() or len(args) != 2 or not isinstance(args[0], str):
                return run(*args)

            def attempt(rows: Iterable[Any]) -> Any:
                at_statement(args[0])
                return run(args[0], rows)

            return observer.executemany(self.connection, attempt, args[0], args[1])

        def executescript(self, *args: Any) -> Any:
            run = super().executescript
            if not observer.watching() or not args or not isinstance(args[0], str):
                return run(*args)
            return observer.executescript(self.connection, lambda: run(*args), args[0])

    Cursor.__module__, Cursor.__qualname__ = "sqlite3", "Cursor"
    return Cursor
