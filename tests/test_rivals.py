"""Of all waits those are told in whose midst a rival may pass; a schedule aimed at them lets just those end late."""

from __future__ import annotations

import random
from collections import Counter

import msgspec

from harness import schedules
from harness.plan import Plan
from harness.rivals import Passing, beside, passings, places
from harness.trace import Begun, Trace
from tests.evidence_factory import access, trace

HELPER, OTHER = "bot:helper", "bot:other"


def touched(lineage: str, op: str, surface: str, time: float, site: str = "f") -> dict[str, object]:
    from harness.trace import Site

    who, _, step = lineage.partition(".")
    return {
        "lineage": lineage, "actor": who, "step": int(step), "op": op, "surface": surface, "time": time,
        "site": Site("bot.py", 1, site),
    }  # fmt: skip


def run(accesses: list[dict[str, object]], *waits: tuple[str, str, int, int, float]) -> Trace:
    told = tuple(Begun(*wait) for wait in waits)
    return msgspec.structs.replace(trace(*(access(**fields) for fields in accesses)), waits=told)


TORN = [
    touched("A.0", "write", "last", 0.0), touched("B.1", "write", "last", 0.0),
    touched("A.0", "write", "last", 0.5), touched("B.1", "write", "last", 1.0),
]  # fmt: skip


def test_a_wait_between_two_touches_of_what_the_rival_touches_as_well() -> None:
    found = passings(run(TORN, ("A.0", HELPER, 0, 1, 0.0), ("B.1", OTHER, 0, 2, 0.0)))
    assert [(one.lineage, one.site, one.torn) for one in found] == [
        ("A.0", HELPER, "row last"),
        ("B.1", OTHER, "row last"),
    ]
    assert found[0].past == (0.0, 1.0), "past the rival's next touch, and past its end"


def test_reads_alone_and_what_only_one_touches_tear_nothing() -> None:
    reads = [{**fields, "op": "read"} for fields in TORN]
    waits = ("A.0", HELPER, 0, 1, 0.0), ("B.1", OTHER, 0, 2, 0.0)
    assert passings(run(reads, *waits)) == []
    apart = [{**fields, "surface": f"{fields['lineage']}"} for fields in TORN]
    assert passings(run(apart, *waits)) == []
    own = [{**fields, "lineage": "A.1" if fields["actor"] == "B" else "A.0", "actor": "A"} for fields in TORN]
    assert passings(run(own, ("A.0", HELPER, 0, 1, 0.0), ("A.1", OTHER, 0, 2, 0.0))) == []


def test_a_wait_before_or_after_both_touches_is_none_of_them() -> None:
    assert passings(run(TORN, ("A.0", HELPER, 0, 0, 0.0), ("A.0", HELPER, 1, 4, 0.6))) == []


def test_rivals_that_run_through_the_same_code() -> None:
    apart = [{**fields, "surface": f"{fields['lineage']}"} for fields in TORN]
    found = passings(run(apart, ("A.0", HELPER, 0, 1, 0.0), ("B.1", HELPER, 0, 2, 0.2)))
    assert [(one.lineage, one.torn, one.past) for one in found] == [("A.0", "", (1.0,))]
    late = passings(run(apart, ("A.0", HELPER, 0, 1, 0.0), ("B.1", HELPER, 0, 2, 60.0)))
    assert late == [], "a rival that comes a minute later is not overlapped with"


def test_what_goes_through_one_helper_is_told_apart_by_what_is_touched_next() -> None:
    steps = [touched(lineage, "write", surface, 0.0, surface) for surface in "xy" for lineage in ("A.0", "B.1")]
    waits = [
        ("A.0", HELPER, 0, 0, 0.0),
        ("B.1", HELPER, 0, 1, 0.0),
        ("A.0", HELPER, 1, 2, 0.0),
        ("B.1", HELPER, 1, 3, 0.0),
    ]
    assert len({one.code for one in passings(run(steps, *waits))}) == 2


def passing(code: str, occurrence: int = 0) -> Passing:
    return Passing(lineage="A.0", site=HELPER, occurrence=occurrence, code=code, begun=1.0, past=(3.5,))


def test_a_directed_schedule_takes_turns_and_waits_until_the_rival_has_passed() -> None:
    found = [passing(code, number) for number, code in enumerate("abcdefgh")]
    tried: Counter[str] = Counter()
    tapes = [schedules.directed(Plan(), found, random.Random(seed), tried).tape for seed in range(40)]
    assert all(1 <= len(tape) <= len(found) for tape in tapes)
    assert {d.occurrence for tape in tapes[:8] for d in tape} == set(range(8)), "each had its turn"
    assert {d.amount for tape in tapes for d in tape if d.kind == "delay"} == {2.51, 3.0, 12.0}
    assert {d.kind for tape in tapes for d in tape} == {"hold", "delay"}
    again = [schedules.directed(Plan(), found, random.Random(seed), Counter()).tape for seed in range(2)]
    assert again[0] == schedules.directed(Plan(), found, random.Random(0), Counter()).tape


def test_a_rival_that_was_under_way_may_begin_only_once_the_wait_has_begun() -> None:
    early = msgspec.structs.replace(passing("a"), rival="B.1", entered=0.25)
    tapes = [schedules.directed(Plan(), [early], random.Random(seed), Counter()).tape for seed in range(60)]
    both = [{d.lineage: d.amount for d in tape} for tape in tapes if len(tape) == 2]
    assert 0 < len(both) < len(tapes)
    assert {late["B.1"] for late in both} == {0.76}, "just after the wait began at 1.0"
    assert {late["A.0"] for late in both} <= {3.27, 12.0}, "the rival's end moves along"
    never = [schedules.directed(Plan(), [passing("a")], random.Random(seed), Counter()).tape for seed in range(60)]
    assert {len(tape) for tape in never} == {1}, "who came later is not held back"


def test_a_rival_knows_whether_it_was_under_way() -> None:
    found = passings(run(TORN, ("A.0", HELPER, 0, 1, 0.0), ("A.0", HELPER, 1, 2, 0.2)))
    assert [(one.occurrence, one.rival) for one in found] == [(0, ""), (1, "B.1")]


def test_waits_beside_what_is_aimed_at_come_first() -> None:
    waits = [(f"{who}", HELPER, number, 2 * number, 0.0) for number in range(20) for who in ("A.0", "B.1")]
    steps = [touched(who, "write", f"x{turn}", 0.0, f"f{turn}") for turn in range(20) for who in ("A.0", "B.1")]
    traced = run(steps, *waits)
    found = passings(traced)
    close = beside(found, traced, [traced.accesses[20]])
    near = {one.occurrence for one in found if one.code in close and one.lineage == "A.0"}
    assert near and near <= set(range(5, 16)), "not those that came long before or after"
    assert beside(found, traced, []) == frozenset()
    tapes = [schedules.directed(Plan(), found, random.Random(seed), Counter(), close).tape for seed in range(60)]
    codes = {(one.lineage, one.occurrence): one.code for one in found}
    first = [codes[tape[0].lineage, tape[0].occurrence] in close for tape in tapes]
    assert 30 < sum(first) < 60, "most of the turns, but not all"


def test_waits_are_told_by_their_number_in_the_whole_flow() -> None:
    waits = [
        ("A.0", OTHER, 0, 0, 0.0),
        ("A.0", HELPER, 0, 1, 0.0),
        ("A.0", HELPER, 1, 2, 0.2),
        ("B.1", OTHER, 0, 2, 0.0),
    ]
    traced = run(TORN, *waits)
    known = {(one.lineage, one.site, one.occurrence) for one in passings(traced)}
    assert ("A.0", HELPER, 0) in known
    told = places(passings(traced), traced)
    assert ("A.0", 1) in told and len(set(told)) == len(told) == len(known)
