"""A temporary table is one connection's scratch paper: to wipe it before use is no deletion of another's rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from harness.judge import judge
from tests.evidence_factory import FACTS, access, trace
from tests.rows_support import watching


@pytest.mark.parametrize(
    ("kind", "op", "rule"),
    [("TEMP", "DELETE", None), ("TEMP", "SELECT *", "foreign-read"), ("", "DELETE", "foreign-delete")],
)
def test_what_the_one_before_left_in_a_scratch_table(kind: str, op: str, rule: str | None, tmp_path: Path) -> None:
    with watching(tmp_path) as run:
        connection = sqlite3.connect(tmp_path / "bot.db")
        connection.execute(f"CREATE {kind} TABLE recalled (id INTEGER PRIMARY KEY, summary TEXT)")
        run.run(connection, "INSERT INTO recalled VALUES (1, 'canary-a')")
        (written,) = run.recorder.accesses
        run.ambient = {"tenant": "tenant-B"}
        run.run(connection, f"{op} FROM recalled")
        met = run.recorder.accesses[-1]
        connection.close()
    assert (written.owner or written.new_owner, met.owner, met.surface) == ("A", "A", "recalled")
    theirs = {"surface": "recalled", "key": "1", "marks": "A"}
    seen = trace(
        access(**theirs, op="write", new_owner="A", detail=written.detail),
        access(**theirs, op=met.op, owner="A", actor="B", ambient="B", detail=met.detail),
    )
    assert [finding.rule for finding in judge(seen, FACTS)] == ([rule] if rule else [])
