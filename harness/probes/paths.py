"""Paths as the file probe reports them: the pattern of a path without whose it is, and what is nobody's business."""

# Paths are strings here, relative and with forward slashes.
# ruff: noqa: PTH115, PTH122
from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import quote

from harness.flow import FLOW, identity
from harness.principal import DIMENSION_FIELDS, Twins

ID = "{id}"

_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
# A word may consist of hex letters only; an id nearly never does.
_HEX = re.compile(r"(?<![0-9A-Za-z])(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}(?![0-9A-Za-z])")
_DIGITS = re.compile(r"[0-9]{5,}")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}")
_UNSAFE = re.compile(r"[^a-zA-Z0-9_.-]")
_SHORT = 5  # identity values shorter than this count only as a whole part, or a platform "qq" would eat words

REMEMBERED = 64
"""Twins whose values are remembered."""

DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
"""Databases by name; with ``-wal``, ``-shm`` and ``-journal`` they belong to the row probe."""


def pattern_of(path: str, twins: Twins) -> str:
    """The place a path (relative, ``/``) stands for, without whose it is or which file.

    The file name becomes ``*`` plus its suffix; in folders, identities and canaries of the twins, UUIDs, hex of 8 and
    numbers of 5 digits or more become ``{id}``: ``data/images/tenant_1/ab12ab12.png`` -> ``data/images/{id}/*.png``.
    A path that ends in ``/`` is a folder: ``data/tenant_1/`` -> ``data/{id}/``.
    """
    folder = path.endswith("/")
    parts = PurePosixPath(path).parts
    values = _values(twins)
    named = [_anonymous(part, values) for part in (parts if folder else parts[:-1])]
    if folder:
        return "/".join(named) + "/" if named else "./"
    suffix = os.path.splitext(parts[-1])[1] if parts else ""
    return "/".join([*named, "*" + (suffix if _SUFFIX.fullmatch(suffix) else "")])


@lru_cache(maxsize=8)
def _of_twins(a: frozenset[str], b: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(a | b, key=lambda value: (-len(value), value)))


_named: dict[int, tuple[Twins, tuple[str, ...]]] = {}


def _values(twins: Twins) -> tuple[str, ...]:
    """What may name a twin in a path, longest first, so that no value hides inside a longer one. Worked out once for
    as long as the same twins are asked about."""
    known = _named.get(identity(twins))
    if known is None:
        if len(_named) >= REMEMBERED:
            _named.clear()
        known = _named[identity(twins)] = twins, _values_of(twins)
    return known[1]


def _values_of(twins: Twins) -> tuple[str, ...]:
    both = []
    for principal in (twins.a, twins.b):
        own = [getattr(principal, field) for field in DIMENSION_FIELDS.values()]
        own += [principal.user, principal.credential, *principal.secrets.values()]
        both.append(frozenset(form for value in own if value for form in _forms(value)))
    return _of_twins(*both)


def _forms(value: str) -> Iterator[str]:
    """The value and what bots make of it for a path: escaped, or with a substitute for what is unsafe there."""
    yield value
    if not value.isalnum() or not value.isascii():
        escaped = quote(value, safe="")
        yield from (escaped, escaped.replace(".", "%2E"))
        yield from (_UNSAFE.sub(substitute, value) for substitute in ("_", "-"))


def _anonymous(part: str, values: Iterable[str]) -> str:
    for value in values:
        if part == value:
            return ID
        if len(value) >= _SHORT:
            part = part.replace(value, ID)
    for known in (_UUID, _HEX, _DIGITS):
        part = known.sub(ID, part)
    return part


def is_database(path: str) -> bool:
    """Whether the path names an SQLite database or one of the files SQLite keeps beside it."""
    for beside in ("-wal", "-shm", "-journal"):
        path = path.removesuffix(beside)
    return path.lower().endswith(DATABASE_SUFFIXES)


_SYSTEM_ROOTS = ("/proc/", "/sys/", "/dev/")
_CODE = (".py", ".pyc", ".pyi", ".so", ".pyd")


def is_code(path: str) -> bool:
    """Whether the path names code: reading it is the interpreter's doing, not the bot's."""
    return path.endswith(_CODE)


def is_device(path: str) -> bool:
    """Whether writing this absolute path leaves nothing behind: devices and the kernel's own files, without
    ``/dev/shm``, which is memory that other processes see."""
    return path.startswith(_SYSTEM_ROOTS) and not path.startswith(("/dev/shm/", "/dev/mqueue/"))


class TempNames:
    """Names for `tempfile`: keyed by lineage and counted, so that the same plan gives the same paths."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()

    def __iter__(self) -> TempNames:
        return self

    def __next__(self) -> str:
        lineage = "".join(c if c.isalnum() else "_" for c in FLOW.get().lineage)
        self._count[lineage] += 1
        return f"{lineage}_{self._count[lineage]}"


def path_of_fd(descriptor: int) -> str | None:
    """The path an open descriptor leads to; None where nobody can tell."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no /proc on this platform, or the descriptor is closed
        return None
