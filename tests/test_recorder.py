"""Each access says whose flow and whose context it was, what it carried, and where in the bot it happened."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from fixtures.twins import make_twins
from harness.flow import FLOW, Flow
from harness.principal import TwinSpec
from harness.recorder import MAX_FRAMES, Recorder, current
from harness.scanner import TokenScanner
from harness.target import Patcher
from harness.trace import Mark, Site
from harness.watch import RecorderWatch

TWINS = make_twins(TwinSpec())
BOT = """\
def touch(record):
    return record()


class Store:
    def save(self, record):
        return touch(record)


def handle(record):
    return Store().save(record)


def deep(record, levels):
    return deep(record, levels - 1) if levels else record()
"""


class Bench:
    """A bot of one file under `root`, and a recorder that listens to it."""

    def __init__(self, folder: Path, plumbing: Sequence[str] = ()) -> None:
        self.root = folder / "bot"
        self.identity: Mapping[str, str | None] | None = None
        self.now = 0.0
        self.asked = 0
        self.recorder = Recorder(TWINS, TokenScanner(TWINS), [self.root], self._ambient, lambda: self.now, plumbing)
        (self.root / "core").mkdir(parents=True)
        (self.root / "core" / "store.py").write_text(BOT)
        self.bot = self._load(self.root / "core" / "store.py")

    def _ambient(self) -> Mapping[str, str | None] | None:
        self.asked += 1
        # A bot's own context may well stand in a container that is watched.
        self.recorder.access("key", "read", "bot.CONTEXT", "")
        return self.identity

    @staticmethod
    def _load(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def probe(self) -> None:
        """What a probe does when the bot reaches it."""
        self.recorder.access("row", "read", "messages", "1")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def flow() -> Iterator[None]:
    token = FLOW.set(Flow("A.3", step=3, actor="A", entry="webui", depth=1))
    yield
    FLOW.reset(token)


def test_the_site_is_the_bot_s_innermost_frame_and_the_stack_all_of_them(bench: Bench) -> None:
    bench.bot.handle(bench.probe)
    (access,) = bench.recorder.accesses
    assert access.site == Site("core/store.py", 2, "touch")
    assert tuple(bench.recorder.stacks)[access.stack] == (
        "core/store.py:touch", "core/store.py:Store.save", "core/store.py:handle",
    )  # fmt: skip


def test_equal_stacks_are_kept_once(bench: Bench) -> None:
    for _ in range(3):
        bench.bot.handle(bench.probe)
    bench.bot.touch(bench.probe)
    assert [access.stack for access in bench.recorder.accesses] == [0, 0, 0, 1]
    assert len(bench.recorder.stacks) == 2


@pytest.mark.parametrize(
    ("plumbing", "function"),
    [
        (["core/store.py:touch"], "Store.save"),
        (["core/store.py:touch", "*:Store.*"], "handle"),
        (["other.py:touch"], "touch"),
        (["*"], "touch"),
    ],
    ids=str,
)
def test_the_site_is_the_first_frame_above_declared_plumbing(
    tmp_path: Path, plumbing: list[str], function: str
) -> None:
    bench = Bench(tmp_path, plumbing)
    bench.bot.handle(bench.probe)
    (access,) = bench.recorder.accesses
    assert access.site.function == function
    assert len(tuple(bench.recorder.stacks)[access.stack]) == 3, "the stack still has every frame"


def test_outside_the_bot_there_is_no_site(bench: Bench) -> None:
    bench.probe()
    (access,) = bench.recorder.accesses
    assert access.site == Site("", 0, "")
    assert tuple(bench.recorder.stacks)[access.stack] == ()


def test_a_folder_whose_name_only_begins_alike_is_not_the_bot(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "bottle").mkdir()
    other = tmp_path / "bottle" / "store.py"
    other.write_text(BOT)
    bench._load(other).touch(bench.probe)
    assert bench.recorder.accesses[0].site.file == ""


def test_very_deep_stacks_are_cut(bench: Bench) -> None:
    bench.bot.deep(bench.probe, 2 * MAX_FRAMES)
    (stack,) = bench.recorder.stacks
    assert 0 < len(stack) <= MAX_FRAMES and set(stack) == {"core/store.py:deep"}


def test_the_site_alone_is_the_asking_one(bench: Bench) -> None:
    asked: list[Site] = []
    bench.bot.touch(lambda: asked.append(bench.recorder.site()))
    assert asked == [Site("core/store.py", 2, "touch")]


@pytest.mark.usefixtures("flow")
def test_flow_context_and_time_are_added(bench: Bench) -> None:
    bench.identity, bench.now = {"tenant": TWINS.b.tenant}, 12.5
    access = bench.recorder.access("row", "write", "messages", "1", new_owner="B", detail={"x": 1})
    assert access is not None and bench.recorder.accesses == [access]
    assert (access.lineage, access.step, access.actor, access.entry, access.direct) == ("A.3", 3, "A", "webui", False)
    assert (access.ambient, access.time, access.new_owner, access.detail) == ("B", 12.5, "B", {"x": 1})


def test_outside_any_flow_nobody_acts(bench: Bench) -> None:
    access = bench.recorder.access("row", "read", "messages", "1")
    assert access is not None and (access.actor, access.step, access.entry, access.ambient) == (None, -1, "timer", "-")


@pytest.mark.parametrize(
    ("identity", "label"),
    [
        (None, "-"),
        ({}, "-"),
        ({"tenant": None}, "-"),
        ({"tenant": ""}, "-"),
        ({"tenant": TWINS.a.tenant}, "A"),
        ({"tenant": TWINS.b.tenant, "chat": TWINS.a.chat}, "B"),
        ({"tenant": "somebody"}, "?"),
        ({"tenant": TWINS.a.tenant, "credential": TWINS.b.credential}, "?"),
        ({"chat": TWINS.a.chat}, "-"),
    ],
)
def test_whose_context_it_is(bench: Bench, identity: Mapping[str, str | None] | None, label: str) -> None:
    bench.identity = identity
    assert bench.recorder.ambient() == label
    assert bench.recorder.label(identity) == (None if label == "-" else label)


def test_asking_for_the_context_is_not_recorded_itself(bench: Bench) -> None:
    bench.probe()
    assert bench.asked == 1 and [a.surface for a in bench.recorder.accesses] == ["messages"]


def test_nothing_is_recorded_while_muted(bench: Bench) -> None:
    recorder = bench.recorder
    assert recorder.listening
    with recorder.muted():
        with recorder.muted():
            assert not recorder.listening
        assert not recorder.listening, "the outer one still holds"
        assert recorder.access("row", "read", "messages", "1") is None
    assert recorder.listening and recorder.accesses == [] and bench.asked == 0


def test_others_are_heard_while_a_muted_body_waits(bench: Bench) -> None:
    async def harness_own(looking: asyncio.Event, done: asyncio.Event) -> None:
        with bench.recorder.muted():
            looking.set()
            await done.wait()
            bench.recorder.access("key", "read", "mine", "")

    async def both() -> None:
        looking, done = asyncio.Event(), asyncio.Event()
        waiting = asyncio.create_task(harness_own(looking, done))
        await looking.wait()
        bench.recorder.access("key", "read", "theirs", "")
        done.set()
        await waiting

    asyncio.run(both())
    assert [access.surface for access in bench.recorder.accesses] == ["theirs"]


def test_an_error_in_a_muted_body_does_not_deafen(bench: Bench) -> None:
    with pytest.raises(ValueError), bench.recorder.muted():
        raise ValueError
    assert bench.recorder.listening


def test_faults_are_noted_even_while_muted(bench: Bench) -> None:
    with bench.recorder.muted():
        bench.recorder.fault("probe", "went wrong", "here", harness=True)
    (fault,) = bench.recorder.faults
    assert (fault.kind, fault.message, fault.where, fault.harness) == ("probe", "went wrong", "here", True)


def test_the_current_recorder_is_the_innermost_active_one(bench: Bench, tmp_path: Path) -> None:
    inner = Bench(tmp_path / "other").recorder
    assert current() is None
    with bench.recorder.active():
        with inner.active():
            assert current() is inner
        assert current() is bench.recorder
    assert current() is None


def test_marks_are_each_canary_once_over_all_texts(bench: Bench) -> None:
    mine, theirs = TWINS.a.secrets["message"], TWINS.b.secrets["name"]
    assert bench.recorder.marks(f"{mine} {mine}", b"", theirs.encode(), mine) == (
        Mark("A", "message"), Mark("B", "name"),
    )  # fmt: skip
    assert bench.recorder.marks("nothing", "") == ()


@pytest.mark.parametrize(("level", "owner"), [("agent", "B"), ("tenant", "B"), ("default", "")])
def test_a_number_of_the_process_default_is_nobodys(bench: Bench, level: str, owner: str) -> None:
    # Two digits are soon the same by chance: a default is not where anybody's number was planted.
    planted = TWINS.b.numbers["config.agent"]
    RecorderWatch(bench.recorder).config("chat", "limit", planted, level=level, overridden=True, slot="config.agent")
    assert "".join(mark.label for mark in bench.recorder.accesses[-1].marks) == owner


def test_a_target_is_told_what_overlays_have_set_as_long_as_they_stand(bench: Bench) -> None:
    class Bot:
        first = 1

    patcher = Patcher()
    watch = RecorderWatch(bench.recorder, patcher)
    bot = Bot()
    patcher.set(Bot, "first", 2)
    patcher.set(bot, "first", 3)
    assert watch.overlaid() == ((Bot, "first", 2), (bot, "first", 3))
    vars(bot).clear()  # the bot forgets it, and is set right by the target
    bot.first = 3
    patcher.undo()
    assert watch.overlaid() == () and bot.first == 1
