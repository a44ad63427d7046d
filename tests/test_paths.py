"""The pattern of a path says which place it is, and not whose."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.twins import make_twins
from harness.principal import TwinSpec
from harness.probes.paths import is_database, is_device, pattern_of

TWINS = make_twins(TwinSpec(dimension="TACP"))
A, B = TWINS.a, TWINS.b


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("isolation_plant.txt", "*.txt"),
        ("data/local_store.json", "data/*.json"),
        ("data/images/ab12cd34ef56.png", "data/images/*.png"),
        (f"data/{A.tenant}/images/x.png", "data/{id}/images/*.png"),
        (f"data/{B.agent}-{B.chat}/notes", "data/{id}-{id}/*"),
        (f"{A.platform}/cache/x.bin", "{id}/cache/*.bin"),
        (f"{A.platform}_cache/x.bin", f"{A.platform}_cache/*.bin"),
        ("u/1234567/x.md", "u/{id}/*.md"),
        ("u/1234/x.md", "u/1234/*.md"),
        ("c/123e4567-e89b-12d3-a456-426614174000/x.md", "c/{id}/*.md"),
        ("h/0a1b2c3d/x.md", "h/{id}/*.md"),
        ("h/defaced_facefeed/x.md", "h/defaced_facefeed/*.md"),
        (f"k/{A.secrets['name']}/x.md", "k/{id}/*.md"),
        ("a/archive.tar.gz", "a/*.gz"),
        ("a/name.20251213", "a/*"),
        (f"data/{A.tenant}/", "data/{id}/"),
        ("./", "./"),
    ],
)
def test_pattern_of(path: str, pattern: str) -> None:
    assert pattern_of(path, TWINS) == pattern


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["data", "img", "{tenant}", "{agent}", "{chat}", "x_{tenant}_y"]), min_size=1, max_size=4),
    st.sampled_from(["a.png", "{chat}.json", "notes"]),
)
def test_both_twins_paths_of_one_kind_have_one_pattern(folders: list[str], name: str) -> None:
    path = "/".join([*folders, name])
    of_a, of_b = (pattern_of(path.format(**who.identity()), TWINS) for who in (A, B))
    assert of_a == of_b
    assert A.tenant not in of_a
    assert A.chat not in of_a


def test_databases_and_their_journals_are_the_row_probes() -> None:
    for name in ("x/bot.db", "bot.sqlite3", "bot.db-wal", "bot.sqlite-shm", "bot.DB-journal"):
        assert is_database(name)
    assert not is_database("x/bot.dbx")
    assert not is_database("notes-wal")


def test_devices_leave_nothing_behind_but_shared_memory_does() -> None:
    assert is_device("/dev/null")
    assert not is_device("/dev/shm/x")
    assert not is_device("/tmp/x")
