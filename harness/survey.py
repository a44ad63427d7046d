"""Takes the inventory of a booted bot, in the fork of a plan just played. Nothing of the bot is called."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import io
import os
import re
import sqlite3
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.inventory import (
    Client,
    Container,
    Function,
    Handler,
    Holder,
    Inventory,
    Route,
    Running,
    Table,
)
from harness.probes import Probe
from harness.probes._traced import items_of
from harness.probes.keys import KeyProbe
from harness.probes.schema import quoted, read_schema
from harness.target import Target

ENDINGS = ("close", "aclose", "shutdown", "disconnect", "terminate")
"""A foreign object with one of these methods has a life of its own: a connection, a client, a pool."""

EVERY = "every access"

INSIDE = 200
"""Elements of one container that are looked at."""

_PASSING = (
    types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FrameType, asyncio.AbstractEventLoop,
    BaseException, type, types.ModuleType, io.IOBase,
)  # fmt: skip
_LRU = type(functools.lru_cache(len))
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SQLITE = b"SQLite format 3\0"


def take(target: Target, probes: Sequence[Probe], folder: Path, modules: Sequence[str]) -> Inventory:
    """The inventory of this process. `modules` are globs over the bot's paths whose public functions are listed."""
    keys = next((probe for probe in probes if isinstance(probe, KeyProbe)), None)
    code = _Code(target.roots())
    found = _State(keys, code) if keys is not None else None
    return Inventory(
        tables=tuple(_tables(folder, tuple(target.facts().owner_columns))),
        containers=_by_surface(found.containers) if found else (),
        caches=tuple(sorted(found.caches)) if found else (),
        holders=_by_surface(found.holders) if found else (),
        clients=tuple(sorted(found.clients.values(), key=lambda one: one.surface)) if found else (),
        routes=tuple(_routes(code)),
        tasks=tuple(_tasks(code)),
        handlers=_by_surface(found.handlers) if found else (),
        functions=tuple(_functions(code, modules)),
    )


def _by_surface(found: Mapping[tuple[str, str], Any]) -> tuple[Any, ...]:
    return tuple(one for _, one in sorted(found.items()))


class _Code:
    """What is the bot's own code, and how it is named."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = tuple(str(root.resolve()) + os.sep for root in roots)

    def path(self, file: str | None) -> str | None:
        """The path below a root; None for somebody else's code."""
        return next((file[len(root) :] for root in self.roots if file and file.startswith(root)), None)

    def of(self, function: Any) -> str | None:
        """``path:function`` of a function, method, partial or class of the bot."""
        while isinstance(function, (functools.partial, types.MethodType)):
            function = function.func if isinstance(function, functools.partial) else function.__func__
        if isinstance(function, types.FunctionType):
            file = self.path(function.__code__.co_filename)
            return f"{file}:{function.__qualname__}" if file else None
        if isinstance(function, type):
            module = sys.modules.get(function.__module__)
            file = self.path(getattr(module, "__file__", None))
            return f"{file}:{function.__qualname__}" if file else None
        return None


class _State:
    """What the key probe's walk reached, sorted by what it is."""

    def __init__(self, keys: KeyProbe, code: _Code) -> None:
        self.code = code
        self.ours = keys.is_ours
        self.containers: dict[tuple[str, str], Container] = {}
        self.caches: set[str] = set()
        self.holders: dict[tuple[str, str], Holder] = {}
        self.clients: dict[int, Client] = {}
        self.handlers: dict[tuple[str, str], Handler] = {}
        for surface, holder, namespace in keys.namespaces():
            self._namespace(surface, holder, namespace)
        for surface, container, traced in keys.containers():
            self._container(surface, container, traced)

    def _namespace(self, surface: str, holder: Any, namespace: dict[str, Any]) -> None:
        cells = []
        for name, value in sorted(namespace.items()):
            if name.startswith("__") and name.endswith("__"):
                continue
            if type(value) is _LRU or (type(value) is types.FunctionType and "cache_info" in vars(value)):
                self.caches.add(f"{surface}.{name}()")
            elif not callable(value):
                cells.append(name)
            self._client(f"{surface}.{name}", value)
        if not isinstance(holder, (types.ModuleType, type)):
            kind = f"{type(holder).__module__}.{type(holder).__qualname__}"
            known = self.holders.get((surface, kind))
            if known is not None:  # objects of one kind in one container share a surface
                cells = sorted({*known.cells, *cells})
            count = known.count + 1 if known is not None else 1
            self.holders[surface, kind] = Holder(surface=surface, kind=kind, cells=tuple(cells), count=count)

    def _container(self, surface: str, container: Any, traced: bool) -> None:
        kind = next(base.__name__ for base in type(container).__mro__ if base.__module__ in ("builtins", "collections"))
        known = self.containers.get((surface, kind))
        traced = traced and (known is None or known.watched == EVERY)
        self.containers[surface, kind] = Container(
            surface=surface, kind=kind, elements=len(container) + (known.elements if known else 0),
            count=1 + (known.count if known else 0),
            watched=EVERY if traced else "between steps",
        )  # fmt: skip
        for _, value in items_of(container)[:INSIDE]:
            self._client(f"{surface}[]", value)
            code = self.code.of(value)
            if code is not None:
                self.handlers.setdefault((surface, code), Handler(surface=f"{surface}[]", code=code))

    def _client(self, surface: str, value: Any) -> None:
        kind = type(value)
        if issubclass(kind, _PASSING) or kind.__module__ == "builtins" or self.ours(kind.__module__):
            return
        if any(callable(getattr(kind, name, None)) for name in ENDINGS):
            # Modules import it from one another: the shortest name, and the first of those, stands for the object.
            made = Client(surface=surface, kind=f"{kind.__module__}.{kind.__qualname__}")
            known = self.clients.get(id(value), made)
            self.clients[id(value)] = min(known, made, key=lambda one: (len(one.surface), one.surface))


def _tables(folder: Path, owners: tuple[str, ...]) -> Iterator[Table]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size < len(_SQLITE):
            continue
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                continue
        connection = sqlite3.Connection(f"file:{path}?mode=ro", uri=True)
        try:
            cursor = connection.cursor()
            for table in sorted(read_schema(cursor).tables.values(), key=lambda one: one.name):
                listed = cursor.execute(f"PRAGMA index_list({quoted(table.name)})").fetchall()
                indexes = tuple(
                    tuple(str(part[2]) for part in cursor.execute(f"PRAGMA index_info({quoted(index[1])})").fetchall())
                    for index in listed
                )
                links = [(", ".join(one.columns), one.table, ", ".join(one.parents)) for one in table.foreign]
                yield Table(
                    name=table.name, database=path.relative_to(folder).as_posix(), columns=table.columns,
                    owners=tuple(name for name in table.columns if name in owners), primary=table.pk,
                    unique=tuple(key.columns for key in table.unique if not key.primary),
                    indexes=tuple(sorted(indexes)),
                    foreign=tuple(f"{columns} -> {parent}({keys})" for columns, parent, keys in links),
                )  # fmt: skip
        finally:
            connection.close()


def _routes(code: _Code) -> list[Route]:
    """Routes of every application and router of the Starlette family that lives in the process, mounted ones under
    their path."""
    applications, routing = (sys.modules.get(f"starlette.{name}") for name in ("applications", "routing"))
    if applications is None or routing is None:
        return []
    gc.unfreeze()  # frozen objects are in no generation, where nobody finds them
    found: dict[tuple[str, tuple[str, ...]], Route] = {}
    for app in gc.get_objects():
        if issubclass(type(app), (applications.Starlette, routing.Router)):
            for route in _below(app, "", code):
                # A router that is part of an application shows again there, under its prefix.
                known = found.setdefault((route.endpoint, route.methods), route)
                if len(route.path) > len(known.path):
                    found[route.endpoint, route.methods] = route
    return sorted(found.values(), key=lambda route: (route.path, route.methods))


def _below(app: Any, prefix: str, code: _Code) -> Iterator[Route]:
    for route in getattr(app, "routes", None) or ():
        path = prefix + str(getattr(route, "path", ""))
        endpoint = getattr(route, "endpoint", None)
        where = code.of(endpoint)
        if where is not None:
            methods = tuple(sorted(getattr(route, "methods", None) or ("WS",)))
            yield Route(methods=methods, path=path, endpoint=where)
        elif endpoint is None:
            yield from _below(getattr(route, "app", None), path, code)


def _tasks(code: _Code) -> list[Running]:
    counts: dict[str, int] = {}
    for task in asyncio.all_tasks():
        # A target may have wrapped what the bot runs: the outermost code of the bot is meant.
        coroutine: Any = task.get_coro()
        running = getattr(coroutine, "cr_code", None)
        while running is not None and not code.path(running.co_filename):
            coroutine = coroutine.cr_await
            running = getattr(coroutine, "cr_code", None)
        file = code.path(running.co_filename) if running is not None else None
        if running is not None and file:
            where = f"{file}:{running.co_qualname}"
            counts[where] = counts.get(where, 0) + 1
    return [Running(code=where, count=count) for where, count in sorted(counts.items())]


def _functions(code: _Code, wanted: Sequence[str]) -> Iterator[Function]:
    for name, module in sorted(sys.modules.items()):
        own_file = vars(module).get("__file__") if isinstance(module, types.ModuleType) else None
        file = code.path(own_file)
        if file is None or not any(fnmatchcase(file, pattern) for pattern in wanted):
            continue
        for own, value in sorted(vars(module).items()):
            if own.startswith("_"):
                continue
            if isinstance(value, type) and value.__module__ == name:
                for method, inner in sorted(vars(value).items()):
                    function = inner.__func__ if isinstance(inner, (staticmethod, classmethod)) else inner
                    if not method.startswith("_") and isinstance(function, types.FunctionType):
                        yield _function(name, f"{value.__qualname__}.{method}", function)
            elif isinstance(value, types.FunctionType) and value.__module__ == name:
                yield _function(name, own, value)


def _function(module: str, name: str, function: types.FunctionType) -> Function:
    try:
        parameters = ", ".join(map(_parameter, inspect.signature(function).parameters.values()))
    except (ValueError, TypeError):
        parameters = "..."
    kind = "coroutine" if inspect.iscoroutinefunction(function) else "function"
    return Function(module=module, name=name, parameters=f"({parameters})", kind=kind)


def _parameter(parameter: inspect.Parameter) -> str:
    """Name and type. Of a default only that there is one: its text would be the bot's code, or an address."""
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
    kind = parameter.annotation
    said = "" if kind is parameter.empty else f": {kind if isinstance(kind, str) else _ADDRESS.sub('', _named(kind))}"
    return f"{stars}{parameter.name}{said}" + ("" if parameter.default is parameter.empty else " = ...")


def _named(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) else inspect.formatannotation(kind)
