"""Whose a row is among twins of one tenant: what its columns tell of agent and place, else who wrote it first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from harness.flow import FLOW, Flow
from harness.principal import Twins
from tests.rows_support import FACTS, Watched, watching

OWNED = {"tenant_id": "tenant", "agent_id": "agent"}
PLACED = msgspec.structs.replace(FACTS, owner_columns=OWNED, place_columns={"chat": "chat", "platform": "platform"})
SCHEMA = """
CREATE TABLE person (name TEXT, tenant_id TEXT);
CREATE TABLE note (name TEXT, tenant_id TEXT, agent_id TEXT);
CREATE TABLE stream (name TEXT, tenant_id TEXT, chat TEXT);
CREATE TABLE line (name TEXT, tenant_id TEXT, chat TEXT, platform TEXT);
"""


def differing(watched: Watched, **fields: str) -> None:
    """From now on the twins are of one tenant; B has these fields."""
    twins = watched.recorder.twins
    b = msgspec.structs.replace(twins.b, tenant=twins.a.tenant, **fields)
    watched.recorder.twins = Twins(spec=twins.spec, a=twins.a, b=b)


def owners(folder: Path, table: str, values: tuple[str, ...], **fields: str) -> tuple[str | None, str | None]:
    """Who A's row belongs to, and by what, as B's read of it says."""
    with watching(folder, PLACED) as watched:
        connection = sqlite3.connect(":memory:")
        with watched.recorder.muted():
            connection.executescript(SCHEMA)
        differing(watched, **fields)
        token = FLOW.set(Flow("A.0", step=0, actor="A", entry="api"))
        try:
            watched.run(connection, f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
        finally:
            FLOW.reset(token)
        (read,) = [a for a in watched.run(connection, f"SELECT * FROM {table}") if a.op == "read"]
        connection.close()
    return read.owner, read.detail.get("owned_by")


def test_a_table_without_agent_column_cannot_tell_two_agents_apart(tmp_path: Path) -> None:
    assert owners(tmp_path, "person", ("x", "tenant-A"), agent="other") == ("A", "first-writer")


def test_an_agent_column_tells_them_whoever_wrote(tmp_path: Path) -> None:
    assert owners(tmp_path, "note", ("x", "tenant-A", "agent"), agent="other") == ("A", "columns")
    assert owners(tmp_path, "note", ("x", "tenant-A", "other"), agent="other") == ("B", "columns")


def test_a_place_column_tells_two_chats_apart(tmp_path: Path) -> None:
    assert owners(tmp_path, "stream", ("x", "tenant-A", "1"), chat="9") == ("A", "columns")
    assert owners(tmp_path, "stream", ("x", "tenant-A", "9"), chat="9") == ("B", "columns")
    assert owners(tmp_path, "stream", ("x", "tenant-A", "third"), chat="9") == ("A", "first-writer")


def test_a_platform_tells_only_together_with_the_chat(tmp_path: Path) -> None:
    assert owners(tmp_path, "line", ("x", "tenant-A", "1", "wx"), platform="wx") == ("B", "columns")
    assert owners(tmp_path, "line", ("x", "tenant-A", "third", "wx"), platform="wx") == ("A", "first-writer")


def test_a_place_column_makes_no_table_tenant_scoped(tmp_path: Path) -> None:
    with watching(tmp_path, PLACED) as watched:
        connection = sqlite3.connect(":memory:")
        with watched.recorder.muted():
            connection.executescript("CREATE TABLE room (name TEXT, chat TEXT)")
        watched.run(connection, "INSERT INTO room VALUES ('x', '1')")
        (read,) = [a for a in watched.run(connection, "SELECT * FROM room") if a.op == "read"]
        connection.close()
    assert (read.owner, read.detail["owned_by"]) == ("A", "first-writer")
