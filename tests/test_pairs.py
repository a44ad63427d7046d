"""How two runs of a plan are made and held against each other: plain data, without a bot."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import pairs
from harness.arguments import numbers_of
from harness.clock import START as EPOCH
from harness.holdings import Holding
from harness.observed import FOLDER, TIME, Observation, normal
from harness.observed import observations as observations_of
from harness.pairing import Pairing
from harness.plan import Deviation, Plan, Step
from harness.principal import TwinSpec
from harness.rules._evidence import Evidence
from harness.rules.interference import Difference, Move, Run, explained, first_difference, moved_before, moves
from harness.trace import Access, Begun, StepRecord, Trace
from tests.evidence_factory import FACTS, TWINS, access, trace

SCOPING = ("tenant", "agent")


def seen(text: str = "hi", **fields: Any) -> Observation:
    base: dict[str, Any] = {"sink": "outbound", "surface": "api", "at": 1.0, "seq": 0, "lineage": "A.0"}
    return Observation(**{**base, **fields}, text=text)


def parted(mine: list[Observation], theirs: list[Observation], taken: float = 0.0) -> Difference | None:
    """Where two runs part, in the other of which something of A's is deleted last at `taken`."""
    evidence = Evidence(trace(), FACTS)
    places = {one.place: taken for one in mine}
    return first_difference(Run(evidence, mine), Run(evidence, theirs, places))


observations = st.lists(
    st.builds(
        seen, st.sampled_from(["hi", "ho", "bye"]), at=st.floats(0, 9), seq=st.integers(0, 50),
        surface=st.sampled_from(["api", "web"]), lineage=st.sampled_from(["A.0", "A.1"]),
    ),
    max_size=6,
).map(lambda found: sorted(found, key=lambda one: (one.at, one.seq)))  # fmt: skip


@given(observations)
def test_what_is_equal_does_not_part(found: list[Observation]) -> None:
    assert parted(found, list(found)) is None


@given(observations, st.floats(0, 100))
def test_the_clock_alone_makes_no_difference(found: list[Observation], late: float) -> None:
    assert parted(found, [msgspec.structs.replace(one, at=one.at + late) for one in found]) is None


@given(observations, observations)
def test_two_runs_part_at_the_same_time_from_either_side(mine: list[Observation], theirs: list[Observation]) -> None:
    one, two = parted(mine, theirs), parted(theirs, mine)
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert one.at == pytest.approx(two.at, abs=1e-4)


@given(observations, st.integers(0, 6), st.booleans())
def test_what_is_in_one_run_only_is_found(found: list[Observation], place: int, beside: bool) -> None:
    more = seen("only here", at=found[place].at if place < len(found) else 10.0)
    longer = [*found[:place], more, *found[place:]]
    difference = parted(longer, found) if beside else parted(found, longer)
    assert difference is not None
    assert (difference.beside if beside else difference.other) == more
    assert (difference.other if beside else difference.beside) is None


def test_a_changed_text_is_shown_with_what_stands_in_its_place() -> None:
    mine = [seen("one"), seen("2 so far", at=2.0, lineage="A.1"), seen("x", at=3.0)]
    theirs = [seen("one"), seen("other", at=2.0), seen("1 so far", at=2.0, lineage="A.1"), seen("y", at=3.0)]
    difference = parted(mine, [theirs[0], *theirs[2:]])
    assert difference == Difference(mine[1], theirs[2])


def test_the_order_within_a_flow_counts_and_between_flows_it_does_not() -> None:
    same = [seen("a"), seen("b", at=2.0)]
    other = [seen("b"), seen("a", at=2.0)]
    assert parted(same, other) == Difference(same[0], other[0])
    apart = [seen("a"), seen("b", at=2.0, lineage="A.1")]
    assert parted(apart, [seen("b", lineage="A.1"), seen("a", at=2.0)]) is None


def test_what_comes_later_does_not_stand_in_the_place_of_what_is_missing() -> None:
    later = seen("no second answer", at=5.0)
    missing = seen("answer", at=2.0)
    assert parted([later], [missing, seen("a second answer", at=5.0)]) == Difference(None, missing)


def test_what_is_held_parts_at_the_later_last_write() -> None:
    # Alone the row was last written at the start; the answer was other before B's doing reached the row.
    mine = [seen("answer", at=3.0), seen("used=1", at=5.0, sink="row", surface="emoji", held=True)]
    theirs = [seen("used=0", at=0.4, sink="row", surface="emoji", held=True), seen("another", at=3.0)]
    assert parted(mine, theirs) == Difference(mine[0], theirs[1])
    held = parted(mine[1:], theirs[:1])
    assert held == Difference(mine[1], theirs[0]) and held.at == 5.0


@pytest.mark.parametrize(("who", "then", "asked"), [("A", 2.0, True), ("A", 0.5, False), ("B", 2.0, False)])
def test_what_a_asked_for_by_numbers_that_the_harness_looked_up_is_not_felt(who: Any, then: float, asked: bool) -> None:
    def lent(number: int) -> Trace:
        step = msgspec.structs.replace(ran(0, 1.0, 1.5, who), lent=(f"ids={number}",))
        return msgspec.structs.replace(trace(), steps=(step,))

    assert pairs._asked_otherwise(then, lent(2), lent(1)) is asked
    assert not pairs._asked_otherwise(then, lent(2), lent(2))


@pytest.mark.parametrize(("who", "then", "struck"), [("A", 2.0, True), ("A", 0.5, False), ("B", 2.0, False)])
def test_what_the_tape_struck_at_another_point_of_a_s_work_is_not_felt(who: Any, then: float, struck: bool) -> None:
    plan = Plan(tape=(Deviation(kind="delay", lineage=f"{who}.0", occurrence=1),))

    def ran_with(*ops: str) -> Trace:
        made = trace(*(access(lineage=f"{who}.0", actor=who, op=op) for op in ops))
        began = Begun(f"{who}.0", "off", 1, len(ops), 1.0)
        return msgspec.structs.replace(made, met=((0, "off", 1),), waits=(began,))

    assert pairs._struck_otherwise(then, ran_with("read"), ran_with("read", "write"), plan) is struck
    assert not pairs._struck_otherwise(then, ran_with("read"), ran_with("read"), plan)


def test_numbers_are_found_in_lists_and_fields_of_arguments() -> None:
    given = {"body": {"ids": [3, 14], "name": "x", "on": True}, "emoji_id": "5", "at": 1.5}
    assert numbers_of(given) == ("body.ids=3", "body.ids=14", "emoji_id=5")


def run(*accesses: Access) -> Evidence:
    return Evidence(trace(*accesses), FACTS)


def read(time: float, surface: str = "notes", **fields: Any) -> Access:
    return access(time=time, surface=surface, **fields)


def test_what_b_delayed_is_no_ground_for_a_finding() -> None:
    found = moves(run(read(1.0), read(2.5, "queue")), run(read(1.0), read(2.0, "queue")))
    assert [(move.at, move.beside, move.other) for move in found] == [(2.0, 1, 1)]
    late, early = Difference(seen(at=3.0, seq=9), None), Difference(seen(at=1.5, seq=0), None)
    assert moved_before(late, found) and not moved_before(early, found)


def test_what_happens_more_often_has_not_moved() -> None:
    assert moves(run(read(1.0), read(2.0), read(3.0)), run(read(1.0), read(3.0))) == []


def test_what_a_difference_brings_about_in_its_moment_does_not_excuse_it() -> None:
    # Beside B one more thing happens, and so the next one comes later.
    beside, alone = run(read(2.0, "extra"), read(2.3, "next")), run(read(2.0, "next"))
    found = moves(beside, alone)
    assert found and not moved_before(Difference(seen(at=2.0, seq=0), None), found)
    assert moved_before(
        Difference(seen(at=2.0, seq=5), None), [msgspec.structs.replace(found[0], beside=1, sooner=0.0)]
    )


def test_what_a_flow_leaves_out_is_no_matter_of_the_clock_though_the_rest_of_it_comes_sooner() -> None:
    # Alone something is shown at 3.5, and what follows comes after that; beside B it is left out.
    beside, alone = run(read(2.0, "next")), run(read(3.5, "sign"), read(3.5, "next"))
    found = moves(beside, alone)
    assert [(move.at, move.sooner) for move in found] == [(2.0, 1.5)]
    left_out = Difference(None, seen(at=3.5, seq=0))
    assert not moved_before(left_out, found)
    # What another flow shows may well hang on when this one came, and so may what had moved before.
    assert moved_before(Difference(None, seen(at=3.5, seq=0, lineage="A.1")), found)
    assert moved_before(Difference(None, seen(at=4.0, seq=0)), found)
    # What comes later beside B was kept waiting.
    assert moved_before(left_out, moves(run(read(3.5, "next")), run(read(2.0, "next"))))
    # The other way round: shown beside B alone, by a flow that goes on sooner without it.
    assert not moved_before(Difference(seen(at=3.5, seq=0), None), moves(alone, beside))


def test_flows_that_overtake_each_other_in_one_moment_have_moved() -> None:
    first, second = read(1.0, "one"), read(1.0, "two", lineage="A.1", step=1)
    found = moves(run(first, second), run(second, first))
    assert [move.at for move in found] == [1.0]
    # Within one flow the order is what the code does, not when.
    assert moves(run(first, read(1.0, "two")), run(read(1.0, "two"), first)) == []


def test_memory_that_is_seen_to_be_used_at_another_time_has_not_moved() -> None:
    # Beside B the container was watched, or changed, before A came to it; alone the first use to show is a later one.
    for op in ("read", "iterate", "write"):
        uses = [read(when, "cache", sink="key", op=op) for when in (1.0, 2.0)]
        beside, alone = run(uses[0], read(3.0)), run(uses[1], read(3.0))
        assert not moved_before(Difference(seen(at=3.0, seq=1), seen(at=3.0, seq=1)), moves(beside, alone))


def test_what_is_deleted_in_one_run_parts_them_when_it_is_deleted() -> None:
    written = seen(sink="row", surface="messages", at=1.0, held=True)
    difference = parted([written], [], taken=9.0)
    assert difference is not None and difference.at == 9.0
    late = Move(at=5.0, beside=0, other=0)
    assert moved_before(difference, [late]), "the clean-up came at another time, or after something that did"
    never = parted([written], [])
    assert never is not None and not moved_before(never, [late])


def test_what_b_does_at_other_times_is_b_s_business() -> None:
    theirs = {"actor": "B", "ambient": "B", "lineage": "B.0"}
    assert moves(run(read(1.0, **theirs)), run(read(2.0, **theirs))) == []


DAY = datetime.datetime.fromtimestamp(EPOCH, datetime.UTC)


@given(st.floats(0, 86400 * 30))
def test_times_of_the_run_are_all_alike(seconds: float) -> None:
    moment = DAY + datetime.timedelta(seconds=seconds)
    for text in (
        moment.isoformat(), moment.strftime("%Y-%m-%d %H:%M"), moment.strftime("%Y%m%d_%H%M%S"),
        moment.strftime("%Y/%m/%d"), moment.strftime("%H:%M:%S"), f"{EPOCH + seconds:.3f}", f"{int(EPOCH + seconds)}",
        f"{int((EPOCH + seconds) * 1000)}",
    ):  # fmt: skip
        assert normal(f"seen={text}, twice", EPOCH) == f"seen={TIME}, twice", text


@pytest.mark.parametrize("text", ["3 notes", "message-101", "482722724", "1999-12-31", "9767225600", "a1767225601b"])
def test_numbers_and_dates_that_are_no_time_of_the_run_stay(text: str) -> None:
    assert normal(text, EPOCH) == text


def test_the_folder_of_a_run_is_the_same_in_every_run() -> None:
    told = [f'{{"path": "/tmp/x/isolation-{name}/plugins"}}' for name in ("8zm7aei7/run-34", "8zm7aei7/run-36")]
    assert {normal(text, EPOCH) for text in told} == {f'{{"path": "{FOLDER}/plugins"}}'}


@given(st.text())
def test_what_is_normal_stays_normal(text: str) -> None:
    assert normal(normal(text, EPOCH), EPOCH) == normal(text, EPOCH)


def step(who: str | None, **fields: Any) -> Step:
    return Step(**{"entry": "api", "action": "text", "payload": {"text": "hi"}, **fields}, who=who)


def ran(index: int, started: float, ended: float, who: str | None = "A") -> StepRecord:
    return StepRecord(
        index=index, entry="api", action="text", who=who, first_seq=0, last_seq=0, started=started, ended=ended
    )


def lost(*accesses: Access, missing: tuple[Holding, ...] = ()) -> list[str]:
    evidence = Evidence(trace(*accesses), FACTS)
    return [one.text for one in observations_of(evidence, (), EPOCH, missing) if not one.held]


def test_what_a_had_before_and_has_lost_is_observed() -> None:
    gone = access(op="delete", owner="A", key="7")
    had = (Holding("row", "messages", "7", "text='x'"),)
    assert lost(gone, missing=had) == ["deleted: text='x'"] == lost(gone, gone, missing=had)
    assert lost(access(op="delete", owner="B", key="7", actor="B"), missing=had) == []
    assert lost(gone) == [], "it came and went within the run, or is there again"
    assert lost(gone, missing=(Holding("row", "persons", "7", "text='x'"),)) == []
    assert lost(missing=had) == [], "nobody of the bot's took it away"


def test_steps_start_when_they_did_and_wait_for_nobody() -> None:
    plan = Plan(
        steps=(step("A"), step("B", gap=0.5), step("A", join=True)),
        tape=(Deviation(kind="hold", lineage="A.0"), Deviation(kind="delay", lineage="A.2")),
    )
    made = pairs.timed(plan, [ran(0, 1.0, 1.2), ran(1, 1.5, 4.0, "B"), ran(2, 4.0, 6.0)])
    assert [(s.who, s.gap, s.join) for s in made.steps[:3]] == [("A", 0, False), ("B", 0.5, False), ("A", 2.501, False)]
    assert made.steps[3].payload["seconds"] == pytest.approx(2.001) and made.steps[3].entry == "world"
    assert [d.kind for d in made.tape] == ["delay"]


def test_b_alone_keeps_the_numbers_and_times_of_a_s_steps() -> None:
    plan = Plan(steps=(step("B"), step("A", gap=2.0), step("B", gap=1.0)))
    alone = pairs.variant_of(plan, "alone")
    assert [(s.who, s.gap, s.entry) for s in alone.steps] == [
        (None, 0, "world"),
        ("A", 2.0, "api"),
        (None, 1.0, "world"),
    ]
    others = pairs.variant_of(plan, "others")
    assert others.steps == plan.steps and others.twins == TwinSpec(others=1)


def test_a_run_without_b_lasts_as_long_as_bs_longest_step() -> None:
    slow = Step(entry="api", action="revoked", who="B")
    made = pairs.timed(Plan(steps=(slow, Step(entry="api", action="text", who="A"))), [
        ran(0, 0.0, 330.0, "B"), ran(1, 0.5, 1.0),
    ])  # fmt: skip
    assert 0.5 + made.steps[-1].payload["seconds"] >= 330.0


def test_a_step_that_never_ends_makes_no_pair() -> None:
    plan = Plan(steps=(Step(entry="api", action="text", who="A"), Step(entry="api", action="text", who="B")))
    ended, endless = ran(0, 0.0, 1.0), ran(1, 0.0, 900.0, "B")
    kept = Pairing(SCOPING)
    kept.add(plan, msgspec.structs.replace(trace(), steps=(ended, endless)), clean=True)
    assert len(kept.chosen(1)) == 1
    kept = Pairing(SCOPING)
    never = msgspec.structs.replace(endless, outcome="cancelled")
    kept.add(plan, msgspec.structs.replace(trace(), steps=(ended, never)), clean=True)
    assert kept.chosen(1) == []
    both = msgspec.structs.replace(plan, steps=(*plan.steps, cancelled("A")))
    kept.add(both, msgspec.structs.replace(trace(), steps=(ended, never)), clean=True)
    assert kept.chosen(1) == [], "it was A that was cancelled, and B never ends"


def cancelled(who: str, gap: float = 0.0) -> Step:
    return step(who, entry="world", action="cancel", gap=gap, payload={"after": 1})


def test_b_alone_is_cancelled_in_a_pair() -> None:
    plan = Plan(steps=(step("B"), cancelled("B"), step("A"), cancelled("A", gap=2.0)))
    made = pairs.spared(plan)
    assert made.steps[:3] == plan.steps[:3]
    assert (made.steps[3].who, made.steps[3].action, made.steps[3].gap) == (None, "advance", 2.0)


def test_where_one_twin_is_cancelled_the_other_observes() -> None:
    kept = Pairing(SCOPING)
    for who, other in ("AB", "BA"):
        for seed in range(2):
            plan = Plan(seed=seed, steps=(step(who), cancelled(who), step(other)))
            broken = msgspec.structs.replace(ran(0, 0.0, 1.0, who), outcome="cancelled")
            kept.add(plan, msgspec.structs.replace(trace(), steps=(broken, ran(2, 1.0, 2.0, other))), clean=True)
    assert [[s.who for s in plan.steps[:3]] for plan in kept.chosen(4)] == [["B", "B", "A"]] * 4


def test_the_harness_takes_nothing_from_the_other_for_a_pair() -> None:
    crossed = step("A", payload={"ids": "other", "pick": 0})
    lent = step("B", payload={"text": "hi", "extra": {"key": "{other.credential}"}})
    public = step("A", payload={"extra": {"tenant": "{other.tenant}"}})
    made = pairs.timed(Plan(steps=(crossed, lent, public)), [])
    assert [s.who for s in made.steps] == [None, None, "A"]


steps = st.lists(st.builds(step, st.sampled_from(["A", "B", None])), max_size=5).map(tuple)


@given(steps, st.lists(st.builds(Deviation, kind=st.just("delay"), lineage=st.sampled_from(["A.0", "B.1", "timer"]))))
def test_twice_in_each_other_s_place_is_where_they_were(made: tuple[Step, ...], tape: list[Deviation]) -> None:
    plan = Plan(steps=made, tape=tuple(tape))
    assert pairs.swapped(pairs.swapped(plan)) == plan
    assert pairs.swapped(plan).twins.first == "B", "whose turn comes first is the other as well"
    assert [s.who for s in pairs.swapped(plan).steps] == [{"A": "B", "B": "A"}.get(s.who or "") for s in made]


@pytest.mark.parametrize(
    ("plan", "fits"),
    [
        (Plan(steps=(step("A"), step("B"))), True),
        (Plan(steps=(step("A"),)), False),
        (Plan(steps=(step("A"), step("B")), twins=TwinSpec(dimension="A")), True),
        (Plan(steps=(step("A"), step("B")), twins=TwinSpec(dimension="C")), False),
        (Plan(steps=(step("A"), step("B"), step(None, entry="world", action="fail"))), False),
        (Plan(steps=(step("A"), step("B"), step("A", entry="world", action="cancel"))), True),
    ],
)
def test_only_two_that_are_kept_apart_and_both_at_work_make_a_pair(plan: Plan, fits: bool) -> None:
    assert pairs.pairable(plan, SCOPING) is fits


def test_two_agents_make_no_pair_where_the_bot_s_design_lets_them_share() -> None:
    agents = Plan(steps=(step("A"), step("B")), twins=TwinSpec(dimension="A"))
    assert not pairs.pairable(agents, ("tenant",))
    assert pairs.pairable(msgspec.structs.replace(agents, twins=TwinSpec(dimension="TA")), ("tenant",))


def test_clean_plans_are_taken_first_and_both_twins_observe() -> None:
    chosen = Pairing(SCOPING)
    for number in range(8):
        plan = Plan(seed=number, steps=(step("A"), step("B")))
        chosen.add(plan, trace(), clean=number % 2 == 0)
    taken = chosen.chosen(6)
    assert [plan.seed for plan in taken] == [0, 2, 4, 6, 1, 5]
    assert [plan.steps[0].who for plan in taken] == ["A", "B"] * 3
    assert chosen.chosen(0) == []


def said(who: str, *texts: str) -> tuple[Step, ...]:
    return tuple(step(who, payload={"text": text}) for text in texts)


def kept_by_a(plan: Plan) -> list[str]:
    return [one.payload.get("text", "") for one in plan.steps if one.who == "A"]


def test_a_leaves_out_every_other_thing_that_both_do() -> None:
    plan = Plan(steps=(*said("A", "v", "w", "x", "y", "w"), *said("B", "y", "x", "w")))
    assert kept_by_a(pairs.thinned(plan)) == ["v", "x"]
    assert kept_by_a(pairs.thinned(plan, odd=1)) == ["v", "w", "y", "w"]
    assert len(pairs.thinned(plan).steps) == len(plan.steps), "later steps keep their numbers"
    assert [s for s in pairs.thinned(plan).steps if s.who == "B"] == [s for s in plan.steps if s.who == "B"]


def test_one_pair_in_three_is_thinned_where_that_leaves_something_to_observe() -> None:
    chosen = Pairing(SCOPING)
    for number in range(6):
        words = ("x",) if number == 2 else ("x", "y")
        chosen.add(Plan(seed=number, steps=(*said("A", *words), *said("B", *words))), trace(), clean=True)
    counts = [(len(kept_by_a(plan)), plan.seed) for plan in chosen.chosen(6)]
    assert counts == [(2, 0), (2, 1), (1, 2), (2, 3), (2, 4), (1, 5)]
    plans = [Plan(seed=number, steps=(*said("A", "x", "y"), *said("B", "x", "y"))) for number in (0, 1)]
    ways = chosen.both_ways(plans)
    assert [len(kept_by_a(way)) for way in ways] == [2, 2, 2, 2, 1, 1, 1, 1]


def test_what_the_harness_fills_with_ids_is_thinned_as_well() -> None:
    chosen = Pairing(SCOPING)
    plan = Plan(steps=(*said("A", "x", "y"), *said("B", "x", "y"), step("A", payload={"ids": "own", "pick": 0})))
    chosen.add(plan, trace(), clean=True)
    ways = chosen.both_ways([plan])
    assert [len(kept_by_a(way)) for way in ways] == [3, 2, 2, 1]
    assert all(way.steps[-1] == plan.steps[-1] for way in (ways[0], ways[2]))


def test_a_call_that_only_one_run_could_make_is_not_felt() -> None:
    def ended(outcome: str, call: bool) -> Trace:
        made = msgspec.structs.replace(ran(0, 1.0, 1.5), outcome=outcome, call=call)
        return msgspec.structs.replace(trace(), steps=(made,))

    assert pairs._asked_otherwise(2.0, ended("ok", True), ended("unmet", True))
    assert not pairs._asked_otherwise(2.0, ended("ok", True), ended("refused", True))
    assert not pairs._asked_otherwise(0.5, ended("ok", True), ended("unmet", True))
    assert not pairs._asked_otherwise(2.0, ended("ok", False), ended("unmet", False))


@pytest.mark.parametrize(("sink", "explains"), [("outbound", True), ("outcome", False)])
def test_no_other_rule_shows_what_stands_in_an_error(sink: str, explains: bool) -> None:
    told = Difference(seen(f"step 1 raised: not {TWINS.b.secrets['message']}", sink=sink, seq=-1), None)
    runs = [Run(run(read(0.5)), []) for _ in range(2)]
    assert explained(told, *runs, []) is explains
