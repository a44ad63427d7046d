"""Schedules aim at waits that exist, keep what they promise, and come down to the few deviations that matter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness import schedules
from harness.clock import VirtualClock
from harness.flow import Flow
from harness.loop import IsolationLoop
from harness.plan import Deviation, Plan, Step
from harness.principal import TwinSpec
from harness.shrink import shrink
from harness.trace import Trace
from tests.evidence_factory import TWINS

CHOICES = st.dictionaries(
    st.builds("{} {}".format, st.sampled_from(["A.0", "B.1", "world.2", "boot/loop#0"]), st.sampled_from("xyz")),
    st.integers(1, 12),
    min_size=1,
)


async def work(log: list[str], name: str, waits: int) -> None:
    """Waits for so many executor jobs and says so after each."""
    for number in range(waits):
        await asyncio.to_thread(int)
        log.append(f"{name}{number}")


def run(tape: Sequence[Deviation], lengths: dict[str, int]) -> tuple[list[str], IsolationLoop]:
    log: list[str] = []
    loop = IsolationLoop(clock=VirtualClock(), tape=tape, count_sites=True)

    async def main() -> None:
        flows = [
            loop.spawn(work(log, name, waits), Flow(f"{name}.{index}", step=index, actor="A"), name)
            for index, (name, waits) in enumerate(lengths.items())
        ]
        await asyncio.gather(*flows)

    loop.run_until_complete(loop.spawn(main(), Flow("runner"), "runner"))
    loop.close()
    return log, loop


def choices_of(lengths: dict[str, int]) -> dict[str, int]:
    return run((), lengths)[1].choices


def test_the_harness_itself_is_no_place_of_choice() -> None:
    found = schedules.points({"runner x": 3, "boot y": 2, "idle ": 1, "A.plant x": 4, "A.0 x": 5, "boot/loop#0 z": 6})
    assert found == [schedules.Point("A.0", "x", 5), schedules.Point("boot/loop#0", "z", 6)]


@given(CHOICES, st.integers(0, 999))
def test_a_walk_names_only_waits_that_there_are(choices: dict[str, int], seed: int) -> None:
    tape = schedules.walk(Plan(), choices, random.Random(seed)).tape
    assert all(0 <= d.occurrence < choices[f"{d.lineage} {d.site}"] for d in tape)
    assert len({(d.lineage, d.site, d.occurrence) for d in tape}) == len(tape) <= schedules.LONGEST
    assert schedules.walk(Plan(), choices, random.Random(seed)).tape == tape


def test_a_walk_reaches_every_wait_and_takes_only_the_kinds_it_is_given() -> None:
    choices = {"A.0 x": 3, "B.1 y": 2}
    met = set()
    for seed in range(200):
        for d in schedules.walk(Plan(), choices, random.Random(seed), ("hold",)).tape:
            assert d.kind == "hold"
            met.add((d.lineage, d.occurrence))
    assert met == {("A.0", 0), ("A.0", 1), ("A.0", 2), ("B.1", 0), ("B.1", 1)}


def test_a_walk_never_repeats_the_run_that_was_seen() -> None:
    assert all(schedules.walk(Plan(), {"A.0 x": 1}, random.Random(seed)).tape for seed in range(50))


def test_answers_come_at_once_under_priorities_as_well() -> None:
    choices = {"A.0 model:ask": 2, "B.1 y": 2}
    tapes = [
        schedules.prioritised(Plan(), choices, 2, random.Random(seed), answers=("model:*",)).tape for seed in range(60)
    ]
    early = [{(d.lineage, d.site, d.occurrence) for d in tape if d.kind == "early"} for tape in tapes]
    assert set().union(*early) == {("A.0", "model:ask", 0), ("A.0", "model:ask", 1)}
    assert 0 < sum(not some for some in early) < len(early), "not in every plan"


def test_an_answer_comes_too_late_under_priorities_as_well() -> None:
    choices = {"A.0 model:ask": 2, "B.1 y": 2}
    tapes = [
        schedules.prioritised(Plan(), choices, 1, random.Random(seed), answers=("model:*",)).tape for seed in range(60)
    ]
    late = [{(d.lineage, d.site, d.occurrence) for d in tape if d.kind == "delay" and d.amount > 2} for tape in tapes]
    assert set().union(*late) == {("A.0", "model:ask", 0), ("A.0", "model:ask", 1)}
    assert {len(some) for some in late} == {0, 1}, "one of them, and not in every plan"
    assert not any(some and any(d.kind == "early" for d in tape) for some, tape in zip(late, tapes, strict=True))


def test_points_of_change_are_drawn_from_the_places_that_are_told() -> None:
    choices = {"A.0 x": 30, "B.1 y": 30}
    met = set()
    for seed in range(60):
        tape = schedules.prioritised(Plan(), choices, 3, random.Random(seed), [("A.0", 7), ("B.1", 9), ("C.2", 1)]).tape
        met |= {(d.lineage, d.occurrence) for d in tape if d.occurrence}
    assert met == {("A.0", 7), ("B.1", 9)}
    assert schedules.bound(choices, 2, [("A.0", 7), ("B.1", 9)]).waits == 2


def test_a_background_task_that_waits_a_thousand_times_does_not_drown_the_steps() -> None:
    tape = [
        d.lineage
        for seed in range(50)
        for d in schedules.walk(Plan(), {"A.0 x": 5, "boot/poll#0 y": 5000}, random.Random(seed)).tape
    ]
    assert tape.count("A.0") > tape.count("boot/poll#0")


@given(CHOICES, st.integers(1, 3), st.integers(0, 999))
def test_priorities_cover_every_wait_but_those_of_the_first(choices: dict[str, int], depth: int, seed: int) -> None:
    tape = schedules.prioritised(Plan(), choices, depth, random.Random(seed)).tape
    holds = [d for d in tape if d.kind == "hold"]
    lineages = {point.lineage for point in schedules.points(choices)}
    totals = {n: sum(p.count for p in schedules.points(choices) if p.lineage == n) for n in lineages}
    free = 0
    for name, total in totals.items():
        for wait in range(total):
            amounts = [
                d.amount
                for d in holds
                if d.lineage == name and d.occurrence <= wait and (not d.times or wait < d.occurrence + d.times)
            ]
            assert len(amounts) <= 1
        free += not any(d.lineage == name and d.occurrence == 0 for d in holds)
    assert free <= 1 + (depth - 1)
    assert len(holds) <= len(lineages) + depth - 1


def test_who_has_the_highest_priority_runs_through() -> None:
    lengths = {"A": 3, "B": 3, "C": 3}
    choices = choices_of(lengths)
    assert run((), lengths)[0] == ["A0", "B0", "C0", "A1", "B1", "C1", "A2", "B2", "C2"]
    orders = set()
    for seed in range(60):
        log, _ = run(schedules.prioritised(Plan(), choices, 1, random.Random(seed)).tape, lengths)
        names = list(dict.fromkeys(entry[0] for entry in log))
        assert log == [f"{name}{number}" for name in names for number in range(3)]
        orders.add("".join(names))
    assert len(orders) == 6


def test_a_fault_of_depth_two_is_met_at_least_as_often_as_promised() -> None:
    """B must run through between the second and the third wait of A."""
    lengths = {"A": 5, "B": 4}
    choices = choices_of(lengths)
    bound = schedules.bound(choices, 2)
    waits = sum(count for name, count in choices.items() if name[0] in "AB")
    assert (bound.lineages, bound.waits, bound.depth) == (2, waits, 2)
    assert bound.chance == 1 / (bound.lineages * bound.waits)
    wanted = ["A0", "A1", "B0", "B1", "B2", "B3", "A2", "A3", "A4"]
    runs = 600
    met = sum(
        run(schedules.prioritised(Plan(), choices, 2, random.Random(seed)).tape, lengths)[0] == wanted
        for seed in range(runs)
    )
    assert met >= 0.6 * runs * bound.chance
    assert not any(
        run(schedules.prioritised(Plan(), choices, 1, random.Random(seed)).tape, lengths)[0] == wanted
        for seed in range(50)
    )


@given(st.integers(0, 5000), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_a_tape_spelt_out_gives_the_same_order(seed: int, depth: int, a: int, b: int) -> None:
    lengths = {"A": a, "B": b}
    plan = schedules.prioritised(Plan(), choices_of(lengths), depth, random.Random(seed))
    log, loop = run(plan.tape, lengths)
    trace = Trace(plan="", twins=TWINS, accesses=(), met=tuple(loop.met))
    spelt = schedules.explicit(plan, trace)
    assert all(d.times == 1 and d.site for d in spelt.tape)
    assert run(spelt.tape, lengths)[0] == log


def test_a_long_tape_shrinks_to_what_matters_and_a_delay_stands_for_a_hold() -> None:
    steps = tuple(Step(entry="api", action="text", who=who) for who in ("A", "B"))
    tape = tuple(
        Deviation(kind="hold", lineage=lineage, site="x", occurrence=n, amount=8.0)
        for lineage in ("A.0", "B.1")
        for n in range(20)
    )

    def shows(plans: Sequence[Plan]) -> list[bool]:
        return [any((d.lineage, d.occurrence) == ("A.0", 13) for d in plan.tape) for plan in plans]

    small, runs = shrink(Plan(steps=steps, tape=tape, twins=TwinSpec(seed=3)), shows)
    assert [(d.kind, d.lineage, d.occurrence) for d in small.tape] == [("delay", "A.0", 13)]
    assert runs <= 96

    def needs_hold(plans: Sequence[Plan]) -> list[bool]:
        return [
            any((d.kind, d.lineage, d.occurrence) == ("hold", "A.0", 13) and d.amount >= 1 for d in plan.tape)
            for plan in plans
        ]

    small, _ = shrink(Plan(steps=steps, tape=tape), needs_hold)
    assert small.tape == (Deviation(kind="hold", lineage="A.0", site="x", occurrence=13, amount=1.0),)


def test_deviations_of_former_witnesses_still_read_as_they_were() -> None:
    old = b'{"schema":"isolation-plan/1","tape":[{"kind":"hold","lineage":"A.0","occurrence":2,"amount":3}]}'
    assert Plan.from_json(old).tape == (Deviation(kind="hold", lineage="A.0", occurrence=2, amount=3.0, times=1),)
    ranged = Plan(tape=(Deviation(kind="hold", lineage="A.0", times=0),))
    assert Plan.from_json(ranged.to_json()) == ranged
    assert msgspec.structs.replace(ranged, tape=()) == Plan()


def test_answers_from_outside_come_at_once_in_some_walks_and_nothing_else_comes_early() -> None:
    choices = {"A.0 stand_in:ask": 3, "A.0 bot:sleep": 3, "B.1 bot:sleep": 3}
    tapes = [schedules.walk(Plan(), choices, random.Random(seed), answers=["stand_in:*"]).tape for seed in range(100)]
    soon = [[d for d in tape if d.kind == "early"] for tape in tapes]
    assert 20 < sum(bool(some) for some in soon) < 80
    assert {d.site for some in soon for d in some} == {"stand_in:ask"}
    blind = [schedules.walk(Plan(), choices, random.Random(seed)).tape for seed in range(100)]
    assert not any(d.kind == "early" for tape in blind for d in tape)
