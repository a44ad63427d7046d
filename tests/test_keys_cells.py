"""What is recorded of state held by the bot's modules: who wrote a cell, who met it, whose canary stood in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.keys_support import Bot

STORE = """
    from collections import deque
    import asyncio
    import weakref

    TABLE = {}
    LISTING = []
    GROUP = set()
    RECENT = deque(maxlen=2)
    QUEUE = asyncio.Queue()
    LIVE = weakref.WeakValueDictionary()
    last = None

    class Session:
        def __init__(self, text):
            self.text = text

    class Manager:
        shared = {}

        def __init__(self):
            self.items = []
            self.current = None
            self.count = 0

        def remember(self, text):
            self.items.append(text)

        def everything(self):
            return [item for item in self.items]

    class Slotted:
        __slots__ = ("current", "items")

        def __init__(self):
            self.current = None
            self.items = []

    manager = Manager()
    slotted = Slotted()

    def set_last(text):
        global last
        last = text
"""


@pytest.mark.parametrize("lent", [False, True])
def test_an_owner_meets_what_the_other_put_into_its_object_in_place(tmp_path: Path, lent: bool) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        held = bot["store"].Session("hello canaryA")
        bot["store"].TABLE["group77"] = held
        if lent:
            session.as_("B")
            _ = bot["store"].TABLE["group77"]
        held.text = "canaryB was here"
        session.as_("A")
        _ = bot["store"].TABLE["group77"]
        *_, read = session.on(f"{bot.name}.store.TABLE", "read")
    assert (read.owner, read.ambient) == ("A", "A")
    assert ("B" in {mark.label for mark in read.marks}) is lent, "what nobody else had in hand is not looked into"


def test_reading_what_the_other_wrote_shows_owner_and_canary(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].TABLE["group77"] = {"text": ["hello canaryA"]}
        session.as_("B")
        _ = bot["store"].TABLE["group77"]
        write, read = session.on(f"{bot.name}.store.TABLE")
    assert (write.op, write.key, write.owner, write.new_owner) == ("write", "'group77'", None, "A")
    assert (read.op, read.owner, read.ambient) == ("read", "A", "B")
    assert {mark.label for mark in write.marks} == {mark.label for mark in read.marks} == {"A"}
    assert write.detail["identity"] == {"shared": ["chat"], "own": []}
    assert write.detail["owned_by"] == "first-writer"
    assert write.detail["value_type"] == "dict"


def test_reading_ones_own_is_recorded_without_a_scan(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].TABLE["k"] = "canaryA"
        assert bot["store"].TABLE.get("k") == "canaryA"
        assert bot["store"].TABLE.get("absent") is None
        reads = session.on(f"{bot.name}.store.TABLE", "read")
    assert [(a.key, a.owner, a.marks) for a in reads] == [("'k'", "A", ())]


def test_iterating_is_one_access_for_each_owner(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        for text in ("one canaryA", "two canaryA"):
            bot["store"].manager.remember(text)
        session.as_("B")
        bot["store"].manager.remember("canaryB")
        assert len(bot["store"].manager.everything()) == 3
        met = session.on(f"{bot.name}.store.manager.items", "iterate")
    assert [(a.owner, a.detail["cells"]) for a in met] == [("A", 2), ("B", 1)]
    assert [{mark.label for mark in a.marks} for a in met] == [{"A"}, set()]
    assert met[0].site.function == "Manager.everything"
    assert met[0].site.file == f"{bot.name}/store.py"


def test_the_same_read_at_the_same_line_is_recorded_once_until_something_changes(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        for _ in range(3):
            bot["store"].manager.remember("x")
            for _ in range(5):
                bot["store"].manager.everything()
        met = session.on(f"{bot.name}.store.manager.items", "iterate")
    assert [(a.detail["cells"], a.detail["repeats"]) for a in met] == [(1, 4), (2, 4), (3, 4)]


def test_a_cell_is_free_again_after_delete(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].TABLE["k"] = "canaryA"
        del bot["store"].TABLE["k"]
        session.as_("B")
        bot["store"].TABLE["k"] = "canaryB"
        seen = [(a.op, a.owner, a.new_owner) for a in session.on(f"{bot.name}.store.TABLE")]
    assert seen == [("write", None, "A"), ("delete", "A", None), ("write", None, "B")]


def test_the_first_writer_stays_owner_and_equal_values_have_equal_digests(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        for label in "AB":
            session.as_(label)
            bot["store"].TABLE["k"] = bot["store"].Session("same")
        first, second = session.on(f"{bot.name}.store.TABLE", "write")
    assert (second.owner, second.new_owner, second.detail["by"]) == ("A", "A", "B")
    assert first.detail["digest"] == second.detail["digest"] != ""


def test_a_cell_reads_the_same_in_whichever_private_folder_the_run_lies(tmp_path: Path) -> None:
    told = []
    for name in ("run-1", "run-2"):
        folder = tmp_path / name
        folder.mkdir()
        bot = Bot(folder, store=STORE)
        with bot.run() as session:
            session.as_("A")
            bot["store"].TABLE[f"{folder}/data"] = folder / "data" / "bot.db"
            (write,) = session.on(f"{bot.name}.store.TABLE")
        told.append((write.key, write.detail["digest"]))
    assert told[0] == told[1]
    assert told[0][0] == "'<folder>/data'"


def test_the_target_may_name_the_owner(tmp_path: Path) -> None:
    def owner_of_key(surface: str, key: str) -> Mapping[str, str | None] | None:
        return {"tenant": "tenantA"} if "tenantA" in key else None

    bot = Bot(tmp_path, owner_of_key, store=STORE)
    with bot.run() as session:
        session.as_("B")
        bot["store"].TABLE["tenantA:1"] = "x"
        (write,) = session.on(f"{bot.name}.store.TABLE")
    assert (write.owner, write.new_owner, write.detail["owned_by"]) == ("A", "A", "target")
    assert write.detail["identity"]["own"] == ["tenant:A"]


def test_attributes_of_singletons_are_cells(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        for name in ("manager", "slotted"):
            holder = getattr(bot["store"], name)
            session.as_("A")
            holder.current = "canaryA"
            session.as_("B")
            assert holder.current == "canaryA"
            holder.current = None
            write, read, reset = session.on(f"{bot.name}.store.{name}.current")
            assert (write.op, write.owner, write.new_owner) == ("write", None, "A")
            assert (read.op, read.owner, read.marks[0].label) == ("read", "A", "A")
            assert (reset.op, reset.new_owner) == ("write", None)


def test_a_name_that_appears_later_is_seen_at_its_first_write(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].manager.later = "canaryA"
        session.as_("B")
        assert bot["store"].manager.later == "canaryA"
        ops = [(a.op, a.owner) for a in session.on(f"{bot.name}.store.manager.later")]
    assert ops == [("write", None), ("read", "A")]


def test_a_rebound_global_is_seen_between_steps(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].TABLE["k"] = 1
        bot["store"].set_last("canaryA")
        bot.probe.between()
        (rebind,) = session.on(f"{bot.name}.store.last")
        bot.probe.between()
        assert len(session.on(f"{bot.name}.store.last")) == 1
    assert (rebind.op, rebind.new_owner, rebind.marks[0].label) == ("rebind", "A", "A")
    assert rebind.detail["writers"] == ["A"]


def test_a_rebound_list_is_watched_again_and_belongs_to_its_writer(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].manager.items = ["canaryA"]
        bot.probe.between()
        session.as_("B")
        bot["store"].manager.everything()
        (met,) = session.on(f"{bot.name}.store.manager.items", "iterate")
    assert (met.owner, met.marks[0].label) == ("A", "A")


def test_containers_put_into_containers_are_watched_after_the_step(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].TABLE["k"] = {"inner": []}
        bot.probe.between()
        bot["store"].TABLE["k"]["inner"].append("canaryA")
        (write,) = session.on(f"{bot.name}.store.TABLE[][]", "write")
    assert (write.key, write.new_owner) == ("'k'/'inner'/0", "A")


def test_queues_weak_dictionaries_sets_and_bounded_deques(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    store = bot["store"]
    with bot.run() as session:
        session.as_("A")
        store.QUEUE.put_nowait("canaryA")
        kept = store.Session("canaryA")
        store.LIVE["group77"] = kept
        store.GROUP.add("message1")
        store.RECENT.extend(["a", "b", "c"])
        session.as_("B")
        assert store.QUEUE.get_nowait() == "canaryA"
        assert store.LIVE["group77"] is kept
        assert "message1" in store.GROUP
        assert store.RECENT[0] == "b"
        taken = session.on(f"{bot.name}.store.QUEUE._queue", "delete")[0]
        found = session.on(f"{bot.name}.store.LIVE.data", "read")[0]
        member = session.on(f"{bot.name}.store.GROUP", "read")[0]
        recent = session.on(f"{bot.name}.store.RECENT", "read")[0]
        del kept
        assert "group77" not in store.LIVE, "watching must not keep objects alive"
    assert (taken.owner, taken.marks[0].label) == ("A", "A")
    assert (found.owner, found.marks[0].label) == ("A", "A")
    assert (member.owner, member.key) == ("A", "'message1'")
    assert recent.owner == "A"


def test_nothing_is_recorded_while_the_recorder_is_muted(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        with session.muted():
            bot["store"].TABLE["k"] = 1
        assert session.accesses == []


def test_keys_and_digests_hold_no_memory_address(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    with bot.run() as session:
        session.as_("A")
        bot["store"].TABLE[object()] = bot["store"].Session("x")
        bot["store"].TABLE["long" * 100] = 1
        bot["store"].TABLE["long" * 100 + "er"] = 1
        writes = session.on(f"{bot.name}.store.TABLE")
    assert "0x" not in writes[0].key
    assert all(len(a.key) <= 120 for a in writes)
    assert writes[1].key != writes[2].key


def test_a_cell_says_whether_it_holds_a_container_and_a_further_level_of_identities(tmp_path: Path) -> None:
    bot = Bot(tmp_path, store=STORE)
    held = {"level": {"agent1": {"x": "canaryA"}}, "shelf": {"x": "canaryA"}, "list": ["canaryA"], "text": "canaryA"}
    with bot.run() as session:
        session.as_("A")
        for key, value in held.items():
            bot["store"].TABLE[key] = value
        written = session.on(f"{bot.name}.store.TABLE", "write")
    nests = {access.key: access.detail.get("nests") for access in written}
    assert nests == {"'level'": "levels", "'shelf'": "container", "'list'": "container", "'text'": None}
