"""The inventory of a booted bot: what there is to attack, whether or not a plan has reached it yet. Plain data."""

from __future__ import annotations

import msgspec

INVENTORY_SCHEMA = "isolation-inventory/1"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table. `database` is the file, relative to the working folder. `owners` are its columns that carry an owner
    (by the target's declaration); `unique` its unique keys, `indexes` the columns of every index, `foreign` its foreign
    keys as ``columns -> table(columns)``."""

    name: str
    database: str
    columns: tuple[str, ...]
    owners: tuple[str, ...] = ()
    primary: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    foreign: tuple[str, ...] = ()

    def indexed(self, column: str) -> bool:
        """Whether some index or key starts with the column, so that a search by it alone need not read the table."""
        return any(key[:1] == (column,) for key in (self.primary, *self.unique, *self.indexes))


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """Containers of one kind at one surface (`count` of them, `elements` in all), reachable from the bot's modules.
    `watched` is ``every access`` or ``between steps``."""

    surface: str
    kind: str
    elements: int
    watched: str
    count: int = 1


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of one class of the bot at one surface (`count` of them), reachable from its modules, with the names in
    which they keep state (cells)."""

    surface: str
    kind: str
    cells: tuple[str, ...]
    count: int = 1


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A living object of somebody else's library that the bot keeps: a connection, a client, a pool."""

    surface: str
    kind: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a web application: methods (``WS`` for a socket), full path, endpoint as ``module:function``."""

    methods: tuple[str, ...]
    path: str
    endpoint: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A task that runs in the background: what it runs (``path:function``) and how many of it there are."""

    code: str
    count: int


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """A function, method or class of the bot that stands in a container: a handler, a command, a plugin."""

    surface: str
    code: str


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A public function or method of a module that the risk map names, with its parameters."""

    module: str
    name: str
    parameters: str
    kind: str


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found in one booted process."""

    schema: str = INVENTORY_SCHEMA
    tables: tuple[Table, ...] = ()
    containers: tuple[Container, ...] = ()
    caches: tuple[str, ...] = ()
    holders: tuple[Holder, ...] = ()
    clients: tuple[Client, ...] = ()
    routes: tuple[Route, ...] = ()
    tasks: tuple[Running, ...] = ()
    handlers: tuple[Handler, ...] = ()
    functions: tuple[Function, ...] = ()
