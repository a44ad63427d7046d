"""A replay that differs names what it owes that to, and where; a bot that repeats itself is accused of nothing."""

from __future__ import annotations

import pytest

from harness.diagnosis import Diagnosis, Difference, diagnose, first_difference, named
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.sensing import BOOT, Touch
from harness.trace import Site

PLAN = Plan(steps=tuple(Step(entry="api", action="echo", who=who, payload={"text": "{message}"}) for who in ("A", "B")))


def diagnosed(name: str) -> Diagnosis:
    with Pool(f"tests.unsteady_targets:{name}", jobs=1) as pool:
        return diagnose(pool, PLAN)


@pytest.mark.parametrize(
    ("name", "source", "level", "what", "function"),
    [
        ("ClockTarget", "clock", "fork", "time.process_time_ns()", "reply"),
        ("RandomTarget", "unseeded random", "fork", "_random.Random.random()", "reply"),
        ("ThreadTarget", "thread", "fork", "_thread.start_", "reply"),
        ("HashTarget", "hash order", "seed", "the order of the set `self.words`", "reply"),
        ("AddressTarget", "hash order", "process", "the order of the set `self.things`", "reply"),
        ("BootedTarget", "unseeded random", "process", "_random.Random.random()", "boot"),
        ("NumberTarget", "process number", "fork", "getpid()", "reply"),
        ("FileTarget", "file system", "fork", "stat()", "reply"),
    ],
)
def test_each_source_is_named_with_its_site(name: str, source: str, level: str, what: str, function: str) -> None:
    found = diagnosed(name)
    assert (found.source, found.level) == (source, level), found.told()
    assert what in found.what
    assert (found.site.file, found.site.function) == ("unsteady_targets.py", f"{name}.{function}")
    assert found.difference is not None
    assert "A was sent" in found.told(), "and what became of it"


def test_what_no_sensor_knows_is_told_by_its_first_differing_access() -> None:
    found = diagnosed("StubbornTarget")
    assert (found.source, found.level, found.what) == ("other", "fork", "")
    assert "nothing known was touched before it" in found.told()
    assert found.site.function == "TinyTarget.deliver"


def test_a_bot_that_tells_where_it_lies_repeats_itself() -> None:
    assert diagnosed("PlaceTarget").level == ""


def test_a_bot_that_repeats_itself_is_accused_of_nothing() -> None:
    found = diagnosed("SteadyTarget")
    assert (found.source, found.level, found.what, found.difference) == ("other", "", "", None)
    with Pool("tests.unsteady_targets:SteadyTarget", jobs=1, sensing=True) as pool:
        touches = pool.run(PLAN).touches
    assert {touch.source for touch in touches if touch.seq != BOOT} <= {"address"}, "the harness's own are no touches"


def test_the_last_touch_of_the_flow_that_parts_is_named_and_others_beside_it() -> None:
    def touch(source: str, seq: int, lineage: str = "A.0") -> Touch:
        return Touch(source, f"{source} {seq}", Site("bot.py", seq, "f"), lineage, seq)

    parted = Difference(seq=9, lineage="A.0", site=Site("bot.py", 1, "f"), one="x", two="y")
    touches = [touch("clock", 2), touch("random", 5), touch("clock", 8, "B.1"), touch("thread", 12)]
    found = named(parted, touches, touches, "fork")
    assert found.what == "random 5", "not what another flow touched, nor what came after"
    assert found.besides == ("clock 2 at bot.py:2 in f", "clock 8 at bot.py:8 in f")


def test_traces_that_are_equal_do_not_part() -> None:
    with Pool("tests.unsteady_targets:SteadyTarget", jobs=1) as pool:
        one, two = (outcome.trace for outcome in pool.map([PLAN, PLAN]))
    assert one is not None and two is not None
    assert first_difference(one, two) is None
