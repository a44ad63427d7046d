"""What a principal holds when a run begins and when it ends: its rows and its files. Taken in the fork of a run that is
one of a pair."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from harness.principal import Label, Twins, TwinSpec
from harness.target import Target

_MAGIC = b"SQLite format 3\x00"
_BESIDE = ("-wal", "-shm", "-journal")
"""Endings of what a database keeps beside its file."""

LONGEST = 1 << 20
"""Bytes of a file that are compared as text; a longer one by its digest."""


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """A row (`surface` its table, `key` its primary key as accesses name it) or a file (`surface` and `key` its path
    below the private folder), with its content. A row's content is ``column=value`` by column, without the number that
    the database gave it and without the rows' numbers that it refers to, in a column or as a list in a text."""

    sink: str
    surface: str
    key: str
    text: str


def take(target: Target, spec: TwinSpec, folder: Path, label: Label = "A") -> tuple[Holding, ...]:
    """Everything under `folder` whose owner columns or path name that twin, in a stable order."""
    twins = target.twins(spec)
    return (*_rows(target, twins, folder, label), *_files(target, twins, folder, label))


def digest(holdings: Sequence[Holding]) -> str:
    """One word for the content of `holdings`, whatever numbers a database gave to the rows and in whichever order they
    were laid; empty for none."""
    if not holdings:
        return ""
    told = sorted((one.sink, one.surface, one.text) for one in holdings)
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def missing(before: Sequence[Holding], after: Sequence[Holding]) -> tuple[Holding, ...]:
    """Those of `before` that are not in `after`, in their order: files by their path, rows by their content, since a
    database gives the number of a row that is gone to another, and one that was laid anew may have another number. A
    row that was changed is among them."""
    places = {(holding.sink, holding.surface, holding.key) for holding in after}
    known = set(after)
    left = Counter((holding.surface, holding.text) for holding in after if holding.sink == "row")
    # Of equal rows those that are still under their number are themselves.
    left.subtract((holding.surface, holding.text) for holding in before if holding.sink == "row" and holding in known)
    found = []
    for holding in before:
        if holding in known or (holding.sink == "file" and (holding.sink, holding.surface, holding.key) in places):
            continue
        if holding.sink == "row" and left[holding.surface, holding.text] > 0:
            left[holding.surface, holding.text] -= 1
            continue
        found.append(holding)
    return tuple(found)


def _rows(target: Target, twins: Twins, folder: Path, label: Label) -> Iterator[Holding]:
    owners = target.facts().owner_columns
    for path in _walk(folder):
        if not _is_database(path):
            continue
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)
        try:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            own = [set(map(int, _own_rows(connection, table, owners, twins, label))) for (table,) in names]
            for (table,) in names:
                yield from _of_table(connection, table, owners, twins, label, [some for some in own if some])
        except sqlite3.Error:
            continue  # torn by an injected failure: there is nothing to hold
        finally:
            connection.close()


def _own_rows(
    connection: sqlite3.Connection, table: str, owners: dict[str, str], twins: Twins, label: Label
) -> Iterator[str]:
    """The numbers of that twin's rows in a table that numbers its rows."""
    if _own_number(connection, table):
        yield from (holding.key for holding in _of_table(connection, table, owners, twins, label, ()))


def _of_table(
    connection: sqlite3.Connection,
    table: str,
    owners: dict[str, str],
    twins: Twins,
    label: Label,
    own: Sequence[set[int]],
) -> Iterator[Holding]:
    quoted = '"' + table.replace('"', '""') + '"'
    described = connection.execute(f"PRAGMA table_info({quoted})").fetchall()
    columns = [row[1] for row in described]
    owned = [(index, owners[column]) for index, column in enumerate(columns) if column in owners]
    if not owned:
        return
    # What names a row to accesses: its primary key, else its number.
    keys = ['"' + row[1].replace('"', '""') + '"' for row in described if row[5]] or ["rowid"]
    numbers = set(_row_numbers(connection, table))
    for row in connection.execute(f"SELECT *, {', '.join(keys)} FROM {quoted}"):
        identity = {field: None if row[index] is None else str(row[index]) for index, field in owned}
        if twins.label_of(identity) != label:
            continue
        told = zip(columns, row, strict=False)
        kept = [f"{column}={_shown(value, own)}" for column, value in told if column not in numbers]
        yield Holding("row", table, ",".join(map(str, row[len(columns) :])), "\n".join(kept))


def _shown(value: object, own: Sequence[set[int]]) -> str:
    """A value as text. Of a list of numbers that are those of the twin's own rows of one table (`own`), as a bot keeps
    what it made use of, only how many there are: a database counts rows over all owners."""
    if isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(msgspec.DecodeError):
            listed = msgspec.json.decode(value, type=list[int])
            if listed and any(some.issuperset(listed) for some in own):
                return f"{len(listed)} own rows"
    return repr(value)


def _row_numbers(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    """Columns that hold a row's number: the table's own, and those that refer to another's."""
    own = _own_number(connection, table)
    if own:
        yield own
    quoted = '"' + table.replace('"', '""') + '"'
    for link in connection.execute(f"PRAGMA foreign_key_list({quoted})").fetchall():
        parent = _own_number(connection, link[2])
        if parent and link[4] in (None, parent):
            yield link[3]


def _own_number(connection: sqlite3.Connection, table: str) -> str:
    quoted = '"' + table.replace('"', '""') + '"'
    keys = [row for row in connection.execute(f"PRAGMA table_info({quoted})").fetchall() if row[5]]
    return str(keys[0][1]) if len(keys) == 1 and str(keys[0][2]).upper() == "INTEGER" else ""


def _files(target: Target, twins: Twins, folder: Path, label: Label) -> Iterator[Holding]:
    for path in _walk(folder):
        name = str(path.relative_to(folder))
        identity = target.owner_of_path(name)
        if twins.label_of(None if identity is None else dict(identity)) == label and not _is_database(path):
            yield Holding("file", name, name, _content(path))


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place) / name for name in sorted(names))


def _is_database(path: Path) -> bool:
    if path.name.endswith(_BESIDE):
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _content(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        return type(error).__name__
    try:
        text = data[:LONGEST].decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    return text if text and len(data) <= LONGEST else hashlib.sha256(data).hexdigest()
