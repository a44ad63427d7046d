"""A plan may begin with what both twins left behind earlier, and leaks that want it are found from there alone."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from harness import strategies, touring
from harness.catalogue import make_target
from harness.judge import judge
from harness.plan import EMPTY, Plan, Step
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.shrink import shrink
from harness.target import states_of
from harness.trace import Trace

SPEC = "fixtures.targets.reference:ReferenceTarget"
TINY = "tests.tiny_target:TinyTarget"
TARGET = make_target(SPEC, None, None)

SCAN = Plan(
    twins=TwinSpec(pictures="marked"),
    steps=tuple(
        Step(entry=entry, action=action, who=who, payload=payload, join=True)
        for entry, action, payload in (
            ("api", "mention", {"text": "{message}"}),
            ("api", "command", {"text": "/notes"}),
            ("timer", "run", {"task": "emoji"}),
            ("webui", "history", {"all": True}),
        )
        for who in "AB"
    ),
)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC) as made:
        yield made


def play(pool: Pool, before: str, *overlays: str) -> Trace:
    outcome = pool.run(msgspec.structs.replace(SCAN, before=before, overlays=overlays))
    assert outcome.trace is not None, outcome.detail
    return outcome.trace


def rules(trace: Trace) -> set[tuple[str, str]]:
    return {(finding.rule, finding.surface) for finding in judge(trace, TARGET.facts())}


def test_a_plan_of_an_earlier_release_begins_empty() -> None:
    assert Plan.from_json(b'{"steps": []}').before == EMPTY


@pytest.mark.parametrize("before", states_of(TARGET))
def test_a_correct_bot_stays_clean_whatever_lay_there_before(pool: Pool, before: str) -> None:
    trace = play(pool, before)
    assert rules(trace) == set()
    assert not trace.faults


def test_what_lay_there_is_each_twins_own_and_no_access_of_the_bots(pool: Pool) -> None:
    filled, empty = play(pool, "filled"), play(pool, EMPTY)
    for label in "AB":
        met = [a for a in filled.accesses if a.sink == "row" and a.owner == label and a.op == "read"]
        assert {"messages", "emoji", "persons", "notes"} <= {access.surface for access in met}
    notes = [access for access in filled.accesses if (access.sink, access.surface) == ("row", "notes")]
    assert {access.op for access in notes} == {"read"}
    assert {mark.slot for access in notes for mark in access.marks} == {"plugin"}
    assert not [a for a in empty.accesses if a.sink == "row" and any(m.slot == "plugin" for m in a.marks)]


@pytest.mark.parametrize(
    ("fault", "before", "shown"),
    [
        ("trim-of-all", "full", ("foreign-delete", "emoji")),
        ("scan-of-old-folder", "legacy", ("canary-flow", "data/emoji/*.png")),
    ],
)
def test_a_leak_that_wants_a_state_is_found_from_it_alone(
    pool: Pool, fault: str, before: str, shown: tuple[str, str]
) -> None:
    assert shown in rules(play(pool, before, fault))
    assert shown not in rules(play(pool, EMPTY, fault))


def test_strategies_draw_every_state_and_the_tour_visits_each_entry_from_it() -> None:
    actions, states = list(TARGET.actions()), states_of(TARGET)
    drawn = [plan.before for plan in strategies.generate(actions, 80, 3, states=states)]
    assert set(drawn) == set(states)
    assert drawn.count(EMPTY) > 20
    toured = {(plan.before, step.entry) for plan in touring.tour(actions, states=states) for step in plan.steps}
    entries = {action.entry for action in actions if action.entry != "world"}
    assert {(state, entry) for state in states[1:] for entry in entries} <= toured
    agents = {
        (plan.before, step.entry)
        for plan in touring.tour(actions, {"A": ["timer"]}, states=states)
        for step in plan.steps
        if plan.twins.dimension == "A" and plan.before != EMPTY
    }
    assert {(state, "timer") for state in states[1:]} <= agents, "two agents of one tenant find it, too"


def test_a_target_without_states_is_asked_for_none() -> None:
    tiny = make_target(TINY, None, None)
    assert states_of(tiny) == (EMPTY,)
    assert {plan.before for plan in touring.tour(list(tiny.actions()), states=states_of(tiny))} == {EMPTY}
    with Pool(TINY) as made:
        trace = made.run(Plan(before="full")).trace
    assert trace is not None
    assert any("cannot start from the state 'full'; it offers: empty" in fault.message for fault in trace.faults)


def test_a_state_that_the_finding_does_not_need_is_shrunk_away() -> None:
    needless, _ = shrink(msgspec.structs.replace(SCAN, before="full"), lambda plans: [True for _ in plans])
    needed, _ = shrink(
        msgspec.structs.replace(SCAN, before="full"), lambda plans: [plan.before == "full" for plan in plans]
    )
    assert (needless.before, needed.before) == (EMPTY, "full")


@pytest.mark.parametrize("dimension", ["T", "A", "C", "P"])
def test_the_reference_bot_is_furnished_for_twins_of_every_dimension(dimension: str) -> None:
    with Pool(SPEC, jobs=1) as made:
        for outcome in made.map(
            [Plan(before=state, twins=TwinSpec(dimension=dimension)) for state in states_of(TARGET)]
        ):
            assert outcome.trace is not None, outcome.detail
            assert not outcome.trace.faults
