"""What a principal owns in a running bot, by the name under which somebody would ask for it.

Calls are fed with it: with one's own, to see them work, and with the other's, to see them refused. Nothing here knows a
bot: rows tell their owner by owner columns, files by their path, objects by the identity or the canaries in them,
returned values by who got them.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.principal import Label, Principal, Twins
from harness.probes import _text
from harness.recorder import Scanner
from harness.target import Facts

ROWS = 6
"""Rows of one table that are looked at: the newest, since old ones are often alike."""

VALUES = 8
"""Values kept under one name."""

LONGEST_NAME = 200
"""Characters of a bare text that may be the name of something."""

UNSURE = 4
"""How well an id fits of which the parameter's name does not say what it is the id of."""

ANYWHERE = 5
"""How well an id fits whose name speaks of no table: it is taken where nothing fits better."""

HELD = 24
"""Returned values of one principal that are kept alive."""

WANTED = re.compile(
    r"(^|_)(p?ids?|uuid|hash(es)?|md5|sha256|token|key|keys|names?|paths?|file|files|filename|stream|chat|user|person|group"
    r"|task|job|event|ticket|session|handle|link|links|url|ref|cursor|code)$"
)
"""Names of parameters that ask for something somebody owns."""

_PATHS = re.compile(r"(^|_)(paths?|files?|filename)$")
_STATUS = re.compile(r"^[1-5]\d\d ")
"""What a route's answer begins with: its status."""

_MAGIC = b"SQLite format 3\x00"


def wanted(name: str) -> bool:
    """Whether a parameter of that name asks for something somebody owns."""
    return WANTED.search(name.lower()) is not None


class Harvest:
    """What each twin owns in the private folder and memory of one run. Looks, and changes nothing."""

    def __init__(
        self,
        folder: Path,
        facts: Facts,
        twins: Twins,
        scanner: Scanner,
        owner_of_path: Callable[[str], Mapping[str, str | None] | None],
        guess: bool = True,
    ) -> None:
        """With `guess` a number is also taken for the name of things of another table, where nothing fits better."""
        self._folder = folder
        self._facts = facts
        self._twins = twins
        self._scanner = scanner
        self._owner_of_path = owner_of_path
        self._worst = ANYWHERE if guess else UNSURE - 1
        self._schema: dict[Path, dict[str, tuple[str, ...]]] = {}
        self._held: dict[Label, list[Any]] = {"A": [], "B": []}
        self._returned: dict[Label, dict[str, dict[Any, None]]] = {"A": {}, "B": {}}
        self._lent: dict[Label, set[tuple[str, str]]] = {"A": set(), "B": set()}

    def values(self, name: str, label: Label, call: str = "", *, to: Label | None = None) -> list[Any]:
        """Scalars that `label` owns and that a parameter of that name of `call` may take, in a stable order. They are
        handed `to` whoever calls: `label`, where nobody else is named.

        Left out are values that show a canary of anybody but the caller, for nobody could have guessed them, and who is
        given them does not leak them; and what `label` was lent of the other's before: that it stands in `label`'s rows
        now makes it no own one. What of `label`'s is handed to `label` does not hang on what the other has.
        """
        found: dict[Any, None] = {}
        wanted_names = _spellings(name)
        for value in self._rows(wanted_names, label):
            found.setdefault(value)
        for spelling in wanted_names:
            for value in self._returned[label].get(spelling, ()):
                found.setdefault(value)
        if _PATHS.search(name.lower()):
            for value in self._files(label, whole="path" in name.lower()):
                found.setdefault(value)
        for value in self._returned[label].get(f"{call.lower().rpartition('.')[0]}.", ()) if not found else ():
            found.setdefault(value)
        if not found:
            own = _identity(self._twins.of(label), name)
            if own:
                found.setdefault(own)
        lent, caller = self._lent[label], to or label
        return [
            value for value in found
            if not lent.intersection(_marked(name, value))
            and all(mark.label == caller for mark in self._scanner.scan(str(value)))
        ][:VALUES]  # fmt: skip

    def lend(self, label: Label, name: str, value: Any) -> None:
        """`label` is handed this value of the other's for a parameter of that name."""
        self._lent[label].update(_marked(name, value))

    def objects(self, kind: type, label: Label) -> list[Any]:
        """Objects of that class which hold an id or canary of `label` and of nobody else, oldest first; where there
        are none, those that hold nobody's."""
        other = self._twins.of("B" if label == "A" else "A")
        own = self._twins.of(label)
        ids = [getattr(own, f) for f in ("tenant", "agent", "credential") if getattr(own, f) != getattr(other, f)]
        theirs = [getattr(other, f) for f in ("tenant", "agent", "credential") if getattr(own, f) != getattr(other, f)]
        mine: list[Any] = []
        nobodys: list[Any] = []
        # What was made before the fork is hidden from the collector; what a call handed out is held here.
        seen: set[int] = set()
        for thing in (*_inside(self._held[label], 4), *gc.get_objects()):
            if not issubclass(type(thing), kind) or id(thing) in seen:
                continue
            seen.add(id(thing))
            text = _text.render(thing).text
            labels = {mark.label for mark in self._scanner.scan(text)}
            if other.label in labels or any(i in text for i in theirs):
                continue
            (mine if label in labels or any(i in text for i in ids) else nobodys).append(thing)
            if len(mine) == VALUES:
                break
        return mine or nobodys[:VALUES]

    def returned(self, label: Label, value: Any, call: str = "") -> None:
        """Remember what a call gave to `label`: its named scalars, and the thing itself, as a caller would hold it. A
        bare scalar has no name: the other functions beside `call` (``holder.function``) may ask with it."""
        self._held[label].append(value)
        del self._held[label][:-HELD]
        named = list(_scalars(value, 4))
        holder, dot, function = call.lower().rpartition(".")
        if dot and " " not in call and _is_bare(value):
            named += [(f"{holder}.", value), (function, value)]
        for name, scalar in named:
            kept = self._returned[label].setdefault(name, {})
            if len(kept) < VALUES:
                kept.setdefault(scalar)

    def _rows(self, names: tuple[str, ...], label: Label) -> Iterator[Any]:
        who = self._twins.of(label)
        other = self._twins.of("B" if label == "A" else "A")
        for path in self._databases():
            try:
                connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)
            except sqlite3.Error:
                continue
            try:
                yield from self._of_database(path, connection, names, who, other)
            except sqlite3.Error:
                continue  # locked by a transaction under way, or torn by an injected failure: there is nothing to take
            finally:
                connection.close()

    def _of_database(
        self, path: Path, connection: sqlite3.Connection, names: tuple[str, ...], who: Principal, other: Principal
    ) -> Iterator[Any]:
        if path not in self._schema:
            self._schema[path] = _schema(connection)
        ranked: list[tuple[int, str, str, str]] = []
        for table, columns in self._schema[path].items():
            owners = [(c, self._facts.owner_columns[c]) for c in columns if c in self._facts.owner_columns]
            # Where all of them read the same for both, a row of the other's would pass for one's own.
            if all(getattr(who, field) == getattr(other, field) for _, field in owners):
                continue
            where = " AND ".join(f'"{column}" = ?' for column, _ in owners)
            for column in columns:
                rank = _fits(names, table, column)
                if 0 < rank <= self._worst and column not in self._facts.owner_columns:
                    ranked.append((rank, table, column, where))
        best = min(ranked, default=(0,))[0]
        for rank, table, column, where in sorted(ranked):
            if rank == ANYWHERE and best < ANYWHERE:
                break
            owners = [(c, self._facts.owner_columns[c]) for c in self._schema[path][table]
                      if c in self._facts.owner_columns]  # fmt: skip
            query = f'SELECT DISTINCT "{column}" FROM "{table}" WHERE {where} ORDER BY rowid DESC LIMIT {ROWS}'
            for (value,) in connection.execute(query, [getattr(who, field) for _, field in owners]):
                if isinstance(value, (str, int)) and value != "":
                    yield value

    def _databases(self) -> list[Path]:
        found = []
        for folder, _, names in os.walk(self._folder):
            for name in sorted(names):
                path = Path(folder) / name
                if name.endswith((".db", ".sqlite", ".sqlite3")) and _begins(path) == _MAGIC:
                    found.append(path)
        return sorted(found)

    def _files(self, label: Label, whole: bool) -> Iterator[str]:
        for folder, _, names in sorted(os.walk(self._folder)):
            for name in sorted(names):
                path = (Path(folder) / name).relative_to(self._folder)
                if self._twins.label_of(_plain(self._owner_of_path(str(path)))) == label:
                    yield str(path) if whole else name


def _marked(name: str, value: Any) -> set[tuple[str, str]]:
    """How a lent value is known again: a text by itself, a number under its name, since numbers recur."""
    return {("" if isinstance(value, str) and not value.isdecimal() else name.lower(), str(value))}


def _is_bare(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and 0 < len(str(value)) <= LONGEST_NAME


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_MAGIC))


def _plain(identity: Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    return None if identity is None else dict(identity)


def _schema(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    names = [name for (name,) in connection.execute(tables).fetchall()]
    return {name: tuple(row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')) for name in names}


def _spellings(name: str) -> tuple[str, ...]:
    """The name as it stands, its singular, and a short form of an id (``pid``) as an id."""
    lower = name.lower()
    spelled = [lower]
    if lower.endswith("hashes"):
        spelled.append(lower[:-2])
    elif lower.endswith("s") and not lower.endswith("ss"):
        spelled.append(lower[:-1])
    return tuple(spelled)


def _fits(names: tuple[str, ...], table: str, column: str) -> int:
    """How well a column answers to a parameter's name: 1 is best, 0 not at all."""
    column, table = column.lower(), table.lower()
    for name in names:
        if column == name:
            return 1
        stem = name[:-3] if name.endswith("_id") else ""
        if stem and column == "id" and (table.startswith(stem) or table.rstrip("s").removesuffix("ie") + "y" == stem):
            return 1
        if column.endswith("_" + name):
            return 2
        if name.endswith("_" + column) and column != "id":
            return 2
        if column.endswith("_id") and column[:-3] == name:
            return 3
        if name in ("id", "pid") and (column == "id" or column.endswith("_id")):
            return UNSURE
    # What a number names is not said by its name alone (``phrase_id`` of a table of expressions).
    return ANYWHERE if column == "id" and any(name.endswith("_id") for name in names) else 0


def _identity(who: Principal, name: str) -> str:
    """A principal's own id for a parameter that asks for one, where no row holds it."""
    lower = name.lower()
    for field, words in (("user", ("user",)), ("chat", ("group", "chat")), ("platform", ("platform",))):
        if any(word in lower for word in words):
            return str(getattr(who, field))
    return ""


def _inside(value: Any, depth: int) -> Iterator[Any]:
    """A value and what is in its lists, tuples and dicts."""
    yield value
    if depth and isinstance(value, (list, tuple, dict)):
        for element in dict.values(value) if isinstance(value, dict) else list(value)[:VALUES]:
            yield from _inside(element, depth - 1)


def _scalars(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str) and depth == 4 and (answer := _STATUS.sub("", value))[:1] in ("{", "["):
        try:
            value = json.loads(answer)
        except ValueError:
            return
    if depth == 0:
        return
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(dict.items(value))
    elif isinstance(value, (list, tuple)):
        for element in list(value)[:VALUES]:
            yield from _scalars(element, depth - 1)
        return
    elif _text.instance_dict(value) is not None:
        pairs = list(_text.fields(value))
    for name, item in pairs:
        if not isinstance(name, str):
            continue
        if isinstance(item, bool) or item is None:
            continue
        if isinstance(item, (str, int)):
            if item != "" and wanted(name):
                yield name.lower().lstrip("_"), item
        else:
            yield from _scalars(item, depth - 1)
