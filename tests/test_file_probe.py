"""The file probe sees what code does with files, whose they are, and lets nothing be written elsewhere."""

# The bot may use either way, so the tests use both.
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH105, PTH106, PTH107, PTH123, PTH208, PTH211, SIM115
from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.twins import make_twins
from harness.errors import ContainmentError
from harness.flow import FLOW, Flow
from harness.principal import Label, TwinSpec
from harness.probes.files import FileProbe
from harness.recorder import Recorder
from harness.scanner import TokenScanner
from harness.target import Facts
from harness.trace import Access, Mark

TWINS = make_twins(TwinSpec(pictures="marked"))
A, B = TWINS.a, TWINS.b


class World:
    """A run with a file probe; `ambient` is what the bot believes."""

    def __init__(self, folder: Path, twins: Any = TWINS, owner_of_path: Callable[[str], Any] | None = None) -> None:
        self.folder = folder
        self.ambient: dict[str, str | None] | None = None
        self.recorder = Recorder(twins, TokenScanner(twins), [Path(__file__).parent], lambda: self.ambient, lambda: 0.0)
        self.probe = FileProbe(owner_of_path)
        self.probe.install(Facts(name="x", generation="x", packages=()))

    @contextmanager
    def as_(self, label: Label | None) -> Iterator[None]:
        token = FLOW.set(Flow(f"{label}.0", 0, label, "api"))
        try:
            yield
        finally:
            FLOW.reset(token)

    def seen(self) -> list[Access]:
        self.probe.between()
        return [a for a in self.recorder.accesses if not a.key.startswith("tmp/")]

    def told(self) -> list[tuple[str, str, Label | None]]:
        return [(a.op, a.key, a.actor) for a in self.seen() if not a.detail.get("content")]

    def contents(self) -> list[Access]:
        return [a for a in self.seen() if a.detail.get("content")]


def running(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[World]:
    folder.mkdir()
    monkeypatch.chdir(folder)
    world = World(folder, **options)
    with world.recorder.active():
        world.probe.begin(folder)
        try:
            yield world
        finally:
            world.probe.finish()
    assert [f for f in world.recorder.faults if f.harness] == []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from running(tmp_path / "run", monkeypatch)


def test_the_planted_file_is_seen_being_written_read_moved_and_deleted(world: World) -> None:
    world.probe.plant(world.folder)
    assert [(op, key) for op, key, _ in world.told()] == [
        ("write", "isolation_plant.txt"),
        ("read", "isolation_plant.txt"),
        ("delete", "isolation_plant.txt"),
        ("write", "moved_isolation_plant.txt"),
        ("delete", "moved_isolation_plant.txt"),
    ]
    assert world.seen()[0].surface == "*.txt"
    assert world.seen()[0].site.function.endswith("test_the_planted_file_is_seen_being_written_read_moved_and_deleted")


def test_a_file_belongs_to_who_wrote_it_first(world: World) -> None:
    with world.as_("A"):
        Path("x.json").write_text("{}")
    with world.as_("B"):
        Path("x.json").read_text()
        Path("x.json").write_text("[]")
    write, read, again = world.seen()
    assert (write.actor, write.owner, write.new_owner) == ("A", None, "A")
    assert (read.actor, read.op, read.owner) == ("B", "read", "A")
    assert (again.actor, again.owner, again.new_owner) == ("B", "A", "A")


def test_whom_the_bot_believes_to_serve_is_the_writer_even_in_another_lineage(world: World) -> None:
    world.ambient = {"tenant": B.tenant}
    with world.as_("A"):
        Path("x.json").write_text("{}")
    assert (world.seen()[0].actor, world.seen()[0].ambient, world.seen()[0].new_owner) == ("A", "B", "B")


def test_whether_the_path_or_the_first_writer_says_whose_it_is_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def owner(path: str) -> dict[str, str | None]:
        return {"tenant": A.tenant} if path.startswith("of_a") else {}

    for world in running(tmp_path / "run", monkeypatch, owner_of_path=owner):
        with world.as_("A"):
            for name in ("of_a.txt", "plain.txt"):
                Path(name).write_text(A.secrets["message"])
        with world.as_("B"):
            for name in ("of_a.txt", "plain.txt"):
                Path(name).read_text()
            Path("nobody.txt").touch()
        world.seen()
        told = {(a.key, a.detail.get("owned_by")) for a in world.recorder.accesses}
        assert told == {("of_a.txt", "target"), ("plain.txt", "first-writer"), ("nobody.txt", "first-writer")}


def test_a_deleted_file_starts_anew(world: World) -> None:
    with world.as_("A"):
        Path("x").write_text("1")
        os.remove("x")
    with world.as_("B"):
        Path("x").write_text("2")
    assert [(a.op, a.owner, a.new_owner) for a in world.seen()] == [
        ("write", None, "A"),
        ("delete", "A", None),
        ("write", None, "B"),
    ]


def test_the_targets_word_on_owners_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def owner(path: str) -> Mapping[str, str | None] | None:
        return {"tenant": path.split("/")[1]} if path.startswith("data/") and path.count("/") > 1 else None

    for world in running(tmp_path / "run", monkeypatch, owner_of_path=owner):
        with world.as_("A"):
            os.makedirs(f"data/{B.tenant}")
            Path(f"data/{B.tenant}/x.png").write_bytes(b"1")
            os.listdir(f"data/{B.tenant}")
        assert [(a.op, a.surface, a.owner, a.new_owner) for a in world.seen()] == [
            ("write", "data/", None, None),
            ("write", "data/{id}/", None, "B"),
            ("write", "data/{id}/*.png", "B", "B"),
            ("iterate", "data/{id}/", "B", None),
        ]


def test_canaries_read_are_marked_on_the_read(world: World) -> None:
    with world.recorder.muted():
        Path("x.txt").write_text("hello " + A.secrets["message"])
    with world.as_("B"):
        assert "hello" in Path("x.txt").read_text()
    assert [(a.op, a.actor, a.marks) for a in world.seen()] == [("read", "B", (Mark("A", "message"),))]


def test_canaries_in_a_path_are_marked(world: World) -> None:
    Path(f"{B.secrets['file']}.txt").write_text("x")
    assert world.seen()[0].marks == (Mark("B", "file"),)


def test_what_was_written_is_told_in_the_name_of_the_opener(world: World) -> None:
    with world.as_("A"):
        Path("x.txt").write_text(A.secrets["message"])
    (content,) = world.contents()
    assert (content.op, content.actor, content.lineage, content.key) == ("write", "A", "A.0", "x.txt")
    assert content.marks == (Mark("A", "message"),)
    assert content.site == world.seen()[0].site
    assert [a.seq for a in world.seen()] == [0, 1]
    world.probe.between()
    assert len(world.contents()) == 1, "told once"


def test_each_appender_answers_for_its_own_text(world: World) -> None:
    for who, principal in (("A", A), ("B", B)):
        with world.as_(who), open("shared.log", "a") as file:
            file.write(principal.secrets["message"] + "\n")
    assert [(a.actor, a.marks) for a in world.contents()] == [
        ("A", (Mark("A", "message"),)),
        ("B", (Mark("B", "message"),)),
    ]


def test_a_file_kept_open_is_looked_at_between_steps(world: World) -> None:
    with world.as_("A"):
        file = open("kept.log", "a")
    with file:
        for slot in ("message", "name", "memory"):
            file.write("x" * 500 + A.secrets[slot])
            file.flush()
            world.probe.between()
    assert [a.marks for a in world.contents()] == [(Mark("A", slot),) for slot in ("message", "name", "memory")]


def test_an_update_answers_only_for_what_it_added(world: World) -> None:
    with world.recorder.muted():
        Path("x.txt").write_text(A.secrets["message"])
    with world.as_("B"), open("x.txt", "r+") as file:
        file.seek(0, os.SEEK_END)
        file.write(B.secrets["name"])
    told = world.seen()
    assert [(a.op, a.detail["mode"]) for a in told[:2]] == [("read", "read"), ("write", "update")]
    assert told[0].marks == (Mark("A", "message"),)
    assert told[2].marks == (Mark("B", "name"),)


def test_written_then_replaced_is_told_of_both_names(world: World) -> None:
    with world.as_("A"):
        Path("x.tmp").write_text(A.secrets["memory"])
        os.replace("x.tmp", "x.json")
    told = [(a.op, a.key, a.new_owner or a.owner, bool(a.marks)) for a in world.seen()]
    assert told == [
        ("write", "x.tmp", "A", False),
        ("write", "x.tmp", "A", True),
        ("delete", "x.tmp", "A", True),
        ("write", "x.json", "A", True),
    ]


def test_a_file_moved_by_another_still_belongs_to_its_writer(world: World) -> None:
    with world.as_("A"):
        Path("x").write_text("1")
    with world.as_("B"):
        os.rename("x", "y")
        Path("y").read_text()
    assert [(a.op, a.actor, a.owner) for a in world.seen()[1:]] == [
        ("delete", "B", "A"),
        ("write", "B", None),
        ("read", "B", "A"),
    ]


def test_a_writer_does_not_answer_for_a_later_file_of_the_same_name(world: World) -> None:
    with world.as_("A"):
        Path("x").write_text("1")
        os.rename("x", "y")
    with world.recorder.muted():
        Path("x").write_text(B.secrets["message"])
    assert world.contents() == []


def test_ownership_moves_with_a_folder(world: World) -> None:
    with world.as_("A"):
        os.mkdir("old")
        Path("old/x").write_text("1")
        os.rename("old", "new")
    with world.as_("B"):
        Path("new/x").read_text()
    assert (world.seen()[-1].key, world.seen()[-1].owner) == ("new/x", "A")


def test_listing_a_shared_folder_says_whose_files_it_holds(world: World) -> None:
    for who in ("A", "B"):
        with world.as_(who):
            os.makedirs("pool", exist_ok=True)
            Path(f"pool/{who}.txt").write_text("1")
    with world.as_("B"):
        assert sorted(path.name for path in Path("pool").iterdir()) == ["A.txt", "B.txt"]
    last = world.seen()[-1]
    assert (last.op, last.key, last.owner, last.detail["holds"]) == ("iterate", "pool/", None, ["A", "B"])
    assert [a.key for a in world.seen() if a.op == "write"].count("pool/") == 1


def test_descriptor_opens_links_truncation_and_trees_are_seen(world: World) -> None:
    descriptor = os.open("x.bin", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(descriptor, b"1234")
    os.close(descriptor)
    os.truncate("x.bin", 1)
    os.link("x.bin", "hard.bin")
    os.symlink("x.bin", "soft.bin")
    os.makedirs("tree/sub")
    shutil.copyfile("x.bin", "tree/sub/copy.bin")
    shutil.rmtree("tree")
    told = [(op, key) for op, key, _ in world.told() if op != "iterate"]
    assert told == [
        ("write", "x.bin"),
        ("write", "x.bin"),
        ("write", "hard.bin"),
        ("write", "soft.bin"),
        ("write", "tree/"),
        ("write", "tree/sub/"),
        ("read", "x.bin"),
        ("write", "tree/sub/copy.bin"),
        ("delete", "tree/sub/copy.bin"),
        ("delete", "tree/sub/"),
        ("delete", "tree/"),
    ]


def test_picture_bytes_are_recognised_in_both_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    equal = make_twins(TwinSpec(pictures="equal"))
    for world in running(tmp_path / "run", monkeypatch, twins=equal):
        with world.as_("A"):
            Path("x.png").write_bytes(equal.a.pictures["sticker"])
        with world.as_("B"):
            Path("x.png").read_bytes()
        content, read = world.contents()[0], world.seen()[-1]
        assert (content.actor, content.marks, content.detail["picture"]) == ("A", (), "sticker")
        assert (read.actor, read.owner, read.detail["picture"]) == ("B", "A", "sticker")


def test_code_missing_files_databases_and_the_outside_are_not_told(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "template.toml"
    with world.recorder.muted():
        outside.write_text("x = 1")
        Path("module.py").write_text("x = 1")
    outside.read_text()
    Path("module.py").read_text()
    with pytest.raises(FileNotFoundError):
        Path("missing").read_text()
    with pytest.raises(FileNotFoundError):
        Path("missing/x").write_text("1")
    connection = sqlite3.connect("odd_name")
    connection.execute("create table t (x)")
    connection.close()
    Path("odd_name").read_bytes()
    sqlite3.connect("bot.db").close()
    shutil.copyfile("bot.db", "copy.db")
    assert world.told() == []


ESCAPES: dict[str, Callable[[Path], object]] = {
    "write": lambda p: (p / "new").write_text("x"),
    "append": lambda p: open(p / "old", "a"),
    "os.open": lambda p: os.open(p / "new", os.O_RDWR | os.O_CREAT),
    "rename to": lambda p: os.rename("mine", p / "new"),
    "rename away": lambda p: os.replace(p / "old", "mine"),
    "remove": lambda p: os.remove(p / "old"),
    "rmdir": lambda p: os.rmdir(p / "folder"),
    "rmtree": lambda p: shutil.rmtree(p / "folder"),
    "mkdir": lambda p: (p / "made").mkdir(),
    "truncate": lambda p: os.truncate(p / "old", 0),
    "symlink": lambda p: os.symlink("mine", p / "new"),
    "chmod": lambda p: os.chmod(p / "old", 0),
    "database": lambda p: sqlite3.connect(p / "new.db"),
    "database uri": lambda p: sqlite3.connect(f"file:{p}/new.db?cache=private", uri=True),
    "through a link": lambda p: Path("way_out/new").write_text("x"),
    "upwards": lambda p: Path("../outside/new").write_text("x"),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_write_outside_is_prevented_and_told_with_its_site(name: str, world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    with world.recorder.muted():
        (outside / "folder").mkdir(parents=True)
        (outside / "folder" / "inner").write_text("1")
        (outside / "old").write_text("1234")
        Path("mine").write_text("1")
        os.symlink(outside, "way_out")
    with pytest.raises(ContainmentError, match="outside the private folder"):
        ESCAPES[name](outside)
    with world.recorder.muted():
        assert sorted(os.listdir(outside)) == ["folder", "old"]
        assert (outside / "old").read_text() == "1234"
        assert (outside / "folder" / "inner").exists()
    (fault,) = world.recorder.faults
    assert (fault.kind, fault.harness) == ("containment", False)
    assert str(outside) in fault.message
    assert "test_file_probe.py" in fault.where


def test_a_read_only_database_and_devices_outside_are_let_be(world: World, tmp_path: Path) -> None:
    with world.recorder.muted():
        sqlite3.connect(tmp_path / "ro.db").execute("create table t (x)").connection.close()
    sqlite3.connect(f"file:{tmp_path}/ro.db?mode=ro", uri=True).close()
    Path(os.devnull).write_text("x")
    assert world.recorder.faults == []


def test_temporary_files_stay_inside_under_names_a_replay_repeats(world: World) -> None:
    with world.as_("A"), tempfile.NamedTemporaryFile() as first, tempfile.NamedTemporaryFile() as second:
        names = [Path(first.name), Path(second.name)]
    assert [path.parent.name for path in names] == ["tmp", "tmp"]
    assert [path.name for path in names] == ["tmpA_0_1", "tmpA_0_2"]
    assert all(path.is_relative_to(world.folder) for path in names)
    assert [a.op for a in world.recorder.accesses if a.key.startswith("tmp/")] == ["write", "write", "delete", "delete"]


def test_after_the_run_the_process_is_its_own_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tempfile.gettempdir()
    recorders = []
    for world in running(tmp_path / "run", monkeypatch):
        recorders.append(world.recorder)
        assert tempfile.gettempdir() != before
    assert tempfile.gettempdir() == before
    (tmp_path / "free").write_text("x")
    assert recorders[0].accesses == []
    assert recorders[0].faults == []


def test_while_muted_nothing_is_told_or_stopped(world: World, tmp_path: Path) -> None:
    with world.recorder.muted():
        (tmp_path / "x").write_text("1")
        Path("y").write_text("1")
    assert world.told() == []
    assert world.recorder.faults == []
