"""The numbers of rows in what a principal holds: left out where a text lists its own, since they count over all."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.holdings import take
from harness.principal import TwinSpec


class Target:
    """A target whose rows name their tenant; the twins are called as their labels."""

    def facts(self) -> Any:
        return SimpleNamespace(owner_columns={"tenant_id": "tenant"})

    def twins(self, spec: TwinSpec) -> Any:
        return SimpleNamespace(label_of=lambda identity: (identity or {}).get("tenant"))

    def owner_of_path(self, path: str) -> None:
        return None


def held(folder: Path, used: str, first: str = "A") -> list[str]:
    """What stands in A's messages, one of which keeps `used`; A has rows 1 and 2 of the phrases if it comes first."""
    path = folder / "bot.db"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE phrases (id INTEGER PRIMARY KEY, tenant_id TEXT)")
    database.execute("CREATE TABLE messages (name TEXT PRIMARY KEY, tenant_id TEXT, used TEXT)")
    for who in (first, "B" if first == "A" else "A"):
        database.executemany("INSERT INTO phrases (tenant_id) VALUES (?)", [(who,), (who,)])
    database.execute("INSERT INTO messages VALUES ('m', 'A', ?)", (used,))
    database.commit()
    database.close()
    target: Any = Target()
    return [one.text for one in take(target, TwinSpec(), folder) if one.surface == "messages"]


def test_a_list_of_own_rows_is_the_same_whoever_came_first(tmp_path: Path) -> None:
    assert held(tmp_path, "[1, 2]") == held(tmp_path, "[3, 4]", first="B") != held(tmp_path, "[1]")


@pytest.mark.parametrize("text", ["[3, 4]", "[1, 3]", "[1, 9]", "[]", '["1"]', "[1, true]", "1, 2", "[1, 2"])
def test_anything_else_is_told_as_it_stands(tmp_path: Path, text: str) -> None:
    assert repr(text) in held(tmp_path, text)[0]
