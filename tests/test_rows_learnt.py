"""What one run worked out about statements and schemas changes the cost of the next, never what it records."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from harness.probes import schema
from harness.trace import Access
from tests.rows_support import Watched, watching

TABLE = "CREATE TABLE note (id INTEGER PRIMARY KEY, tenant_id TEXT, body TEXT)"


def bot(watched: Watched, folder: Path) -> list[Access]:
    connection = sqlite3.connect(str(folder / "bot.db"))
    before = len(watched.recorder.accesses)
    watched.run(connection, "INSERT INTO note (tenant_id, body) VALUES (?, ?) RETURNING id, body", ("tenant-A", "a"))
    watched.run(connection, "UPDATE note SET body = ? WHERE tenant_id = ? RETURNING body", ("canary-a", "tenant-A"))
    watched.run(connection, "SELECT body FROM note WHERE body = ?", ("canary-a",))
    connection.rollback()
    connection.close()
    return [msgspec.structs.replace(access, seq=0, site=access.site, stack=-1) for access in watched.since(before)]


def test_a_run_with_lessons_records_what_the_first_one_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sqlite3.connect(str(tmp_path / "bot.db"))
    plain.execute(TABLE)
    plain.close()
    with watching(tmp_path) as first:
        recorded = bot(first, tmp_path)
        lessons = first.probe.lessons()
        assert first.probe.lessons() == b"", "nothing was worked out since"
    # As in another process: neither the schema nor a statement is known but by what was learnt.
    monkeypatch.setattr(schema, "_known", {})
    monkeypatch.setattr(schema, "_build", None)
    monkeypatch.setattr("harness.probes.rows.analyse", None)
    with watching(tmp_path) as second:
        second.probe.learn(lessons)
        again = bot(second, tmp_path)
    assert again == recorded
    shown = [access.detail.get("via") for access in recorded if access.op == "read"]
    assert shown.count("returning") == 2, "RETURNING shows its rows"
