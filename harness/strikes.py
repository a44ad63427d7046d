"""Where failures strike: called at an operation of the bot that may be due to fail (see `harness.failures`)."""

from __future__ import annotations

import errno
import os
import sqlite3
from typing import TypeVar

from harness.flow import FLOW
from harness.probes.statement import verb, written
from harness.recorder import current

INJECTED = "injected by the harness: a failure step struck here"
"""Note on every error that a generic failure raises."""

E = TypeVar("E", bound=BaseException)

_STATEMENTS = ("select", "insert", "update", "delete", "replace", "with", "values")


def strike(kind: str, of: str = "", thing: str | None = None) -> str:
    """Whether the operation of `kind` that the running code is about to do shall fail: how, or empty.

    For what a target replaces (``strike("llm", name)`` in the stand-in of a model). `of` names what the operation is
    done on, as far as it may fail while others of its kind do not; `thing` what it uses where
    each of a kind is to fail, if that is another: the table that a statement writes, empty where it writes none. Empty
    outside a run and while the harness itself is at work.
    """
    recorder = current()
    if recorder is None or not recorder.listening or not recorder.failures:
        return ""
    # Where no step acts, as in a timer's round of all tenants, it is the turn of whoever the bot serves there.
    return recorder.failures.strike(kind, FLOW.get().actor or recorder.served(), of, of if thing is None else thing)


def injected(error: BaseException) -> bool:
    """Whether a generic failure raised this error."""
    return INJECTED in getattr(error, "__notes__", ())


def at_statement(sql: str) -> None:
    """Called before a statement of the bot runs; what only steers a transaction is not counted. Raises
    sqlite3.OperationalError, as a database does that is busy or whose disk is gone."""
    recorder = current()
    if recorder is None or not recorder.failures or verb(sql) not in _STATEMENTS:
        return
    how = strike("database", sql, written(sql))
    if how:
        locked = how == "locked"
        error = sqlite3.OperationalError("database is locked" if locked else "disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY if locked else sqlite3.SQLITE_IOERR
        error.sqlite_errorname = "SQLITE_BUSY" if locked else "SQLITE_IOERR"
        raise _noted(error)


def at_open(path: str, *, writes: bool, exists: bool) -> OSError | None:
    """The error with which the opening of a file of the private folder shall fail, or None."""
    if writes:
        return _noted(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)) if strike("disk", path) else None
    if exists and strike("vanish", path):
        return _noted(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path))
    return None


def _noted(error: E) -> E:
    error.add_note(INJECTED)
    return error
