"""Where private folders lie: in memory where there is room, else where temporary files do."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import pool
from harness.plan import Plan
from harness.pool import Pool


def test_they_lie_in_memory_and_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(pool, "MEMORY", tmp_path)
    monkeypatch.setattr(pool, "ROOM", 1)
    with Pool("tests.tiny_target:TinyTarget", jobs=1) as made:
        assert made.folder.parent == tmp_path
        assert made.run(Plan()).status == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", ["named elsewhere", "no room", "no such place"])
def test_they_lie_with_temporary_files_otherwise(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(pool, "MEMORY", tmp_path / "none" if why == "no such place" else tmp_path)
    monkeypatch.setattr(pool, "ROOM", 1 << 60 if why == "no room" else 1)
    if why == "named elsewhere":
        monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert pool._in_memory() is None
