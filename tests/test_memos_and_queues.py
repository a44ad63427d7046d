"""What a memo holds that anybody would work out alike is nobody's; what waits in a list meets nobody's place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fixtures.overlays import _reference_memos
from fixtures.targets.reference import ReferenceTarget
from harness import catalogue, riskmap
from harness.finding import Finding
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.trace import Access
from tests.evidence_factory import FACTS, access, trace
from tests.keys_support import Bot

MEMOS = """
    import functools

    CALLS = []
    KNOWN = {"group77": "said"}

    @functools.lru_cache
    def digest(chat):
        return f"digest of {chat}"

    @functools.lru_cache
    def counted(chat):
        CALLS.append(chat)
        return f"digest of {chat}"

    @functools.lru_cache
    def fresh(chat):
        return object()

    LAST = "said by canaryA"

    @functools.lru_cache
    def last(chat):
        return LAST

    @functools.lru_cache
    def owner(chat):
        return "tenantA"

    @functools.lru_cache
    def shortened(text):
        return text[:20]

    def known(chat):
        return KNOWN[chat]

    @functools.lru_cache
    def looked_up(chat):
        return known(chat)[:1]

    @functools.lru_cache
    def once(chat, seen=set()):
        if chat in seen:
            raise ValueError(chat)
        seen.add(chat)
        return 1
"""

DESK = """
    import asyncio
    import queue

    class Box:
        def __init__(self):
            self.held = ()
        def put_nowait(self, item):
            self.held = (*self.held, item)

    class Desk:
        def __init__(self):
            self.jobs = None
        def open(self):
            self.jobs = KIND()

    desk = Desk()
"""

TARGET = ReferenceTarget()
DEMANDS = riskmap.load(TARGET.risk_map()).demands("reference")


def hit_by_the_other(folder: Path, name: str) -> Access:
    """B's read of what A had worked out."""
    bot = Bot(folder, memos=MEMOS)
    with bot.run() as session:
        for who in "AB":
            session.as_(who)
            getattr(bot["memos"], name)("group77")
        reads = [one for one in session.on(f"{bot.name}.memos.{name}()") if one.op == "read"]
    return reads[-1]


def test_a_value_that_the_reader_would_work_out_itself_is_told_apart(tmp_path: Path) -> None:
    assert hit_by_the_other(tmp_path, "digest").detail["worked"]


@pytest.mark.parametrize("name", ["counted", "fresh", "once"])
def test_what_touches_something_or_cannot_be_compared_is_not(tmp_path: Path, name: str) -> None:
    assert "worked" not in hit_by_the_other(tmp_path, name).detail


def test_only_what_the_first_call_left_untouched_is_called_again(tmp_path: Path) -> None:
    bot = Bot(tmp_path, memos=MEMOS)
    with bot.run() as session:
        for who in "ABAB":
            session.as_(who)
            bot["memos"].counted("group77")
        assert len(bot["memos"].CALLS) == 1


KEPT = """
    import hashlib

    KEPT = {}

    def kept(made, *parts):
        if parts not in KEPT:
            KEPT[parts] = made
        return KEPT[parts]
"""


@pytest.mark.parametrize(
    ("made", "worked"),
    [
        (hashlib.md5(b"qq_user5").hexdigest(), True),
        (hashlib.sha256(b"qq:user5").hexdigest().upper(), True),
        (hashlib.md5(b"qq_user5_tenantA").hexdigest(), False),
        ("calm", False),
    ],
)
def test_a_digest_of_the_key_is_what_anybody_works_out(tmp_path: Path, made: str, worked: bool) -> None:
    bot = Bot(tmp_path, memos=KEPT)
    with bot.run() as session:
        for who in "AB":
            session.as_(who)
            assert bot["memos"].kept(made, "qq", "user5") == made
        met = [one for one in session.on(f"{bot.name}.memos.KEPT", "read") if one.ambient == "B"]
    assert len(met) == 2  # whether it is there, and what it is
    assert [one.detail.get("worked", False) for one in met] == [worked] * 2


def made_by_nobody(folder: Path, name: str, argument: str) -> list[Access]:
    """What a flow without context left in a memo, and what another such flow met there."""
    bot = Bot(folder, memos=MEMOS)
    with bot.run() as session:
        session.as_(None)
        bot["memos"].known("group77")
        for _ in range(2):
            getattr(bot["memos"], name)(argument)
        return session.on(f"{bot.name}.memos.{name}()")


@pytest.mark.parametrize(("name", "argument"), [("digest", "group77"), ("shortened", "canaryA of tenantA")])
def test_what_says_no_more_than_its_key_is_told_apart(tmp_path: Path, name: str, argument: str) -> None:
    assert [(one.op, one.detail.get("derived")) for one in made_by_nobody(tmp_path, name, argument)] == [
        ("write", True), ("read", True),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["last", "owner", "counted", "fresh", "looked_up"])
def test_what_says_more_or_comes_from_elsewhere_is_not(tmp_path: Path, name: str) -> None:
    assert not any("derived" in one.detail for one in made_by_nobody(tmp_path, name, "group77"))


@pytest.mark.parametrize(("detail", "told"), [({"derived": True}, False), ({}, True)])
def test_a_missing_context_matters_only_where_a_memo_says_more_than_its_key(detail: dict[str, Any], told: bool) -> None:
    detail = {"owned_by": "first-writer", **detail}
    written = access(sink="key", op="write", ambient="-", new_owner="A", marks="A", detail=detail)
    before = access(surface="settings")  # the flow had a context, and lost it
    assert bool(judge(trace(before, written), FACTS)) is told


@pytest.mark.parametrize(("kind", "met"), [("asyncio.Queue", False), ("queue.Queue", False), ("Box", True)])
def test_who_reaches_for_a_queue_has_not_met_what_waits_in_it(tmp_path: Path, kind: str, met: bool) -> None:
    bot = Bot(tmp_path, desk=DESK.replace("KIND", kind))
    with bot.run() as session:
        desk = bot["desk"].desk
        session.as_("A")
        desk.open()
        desk.jobs.put_nowait("canaryA")
        session.as_("B")
        desk.jobs.put_nowait("said by B")
        [read] = [one for one in session.on(f"{bot.name}.desk.desk.jobs", "read") if one.ambient == "B"]
    assert bool(read.marks) is met


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as made:
        yield made


def talk(order: Sequence[str]) -> list[Step]:
    """Everybody says something, shows a picture, and is answered."""
    does: list[tuple[str, dict[str, Any]]] = [("mention", {"text": "{message}"}), ("picture", {"slot": "picture"})]
    steps = [
        Step(entry="api", action=action, who=who, payload=payload, gap=0.05)  # type: ignore[arg-type]
        for action, payload in does
        for who in order
    ]
    return [*steps, Step(entry="world", action="advance", payload={"seconds": 8}, join=True)]


def findings(pool: Pool, overlay: str) -> tuple[list[Finding], set[str]]:
    """Findings of a talk in which the twins come first in turns, and where both were."""
    steps = (*talk("AB"), *talk("BA"), *talk("AB"))
    outcome = pool.run(Plan(twins=TwinSpec(dimension="T", pictures="marked"), steps=steps, overlays=(overlay,)))
    assert outcome.trace is not None, outcome.detail
    met = {one.surface for one in outcome.trace.accesses if one.ambient == "B"}
    return judge(outcome.trace, TARGET.facts(), DEMANDS), met


@pytest.mark.parametrize("control", _reference_memos.CONTROLS, ids=lambda control: control.name)
def test_nothing_is_said_of_a_control(pool: Pool, control: object) -> None:
    found, met = findings(pool, control.name)  # type: ignore[attr-defined]
    assert not found, [(one.rule, one.message) for one in found]
    assert met


@pytest.mark.parametrize("fault", _reference_memos.FAULTS, ids=lambda fault: fault.name)
def test_a_memo_that_leaves_the_owner_out_is_found(pool: Pool, fault: object) -> None:
    found, _ = findings(pool, fault.name)  # type: ignore[attr-defined]
    assert any(fault.speaks_of(one.rule, one.surface) for one in found), found  # type: ignore[attr-defined]
