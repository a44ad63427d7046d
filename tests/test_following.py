"""Some plans have one twin do a stretch of things before the other comes, so that each thing is met by each other."""

from __future__ import annotations

from itertools import groupby

import pytest

from harness.choices import cut_short
from harness.following import LONG, Following
from harness.pairing import Pairing
from harness.plan import Plan, Step
from harness.strategies import BATCH, TEXTS, generate
from harness.target import Action
from harness.trace import StepRecord
from tests.evidence_factory import trace

WORDS = [f"/word{number} {{message}}" for number in range(60)]
ACTIONS = (
    Action(entry="api", name="command", payload={"text": WORDS, "extra": [{}, {"tenant": "{other.tenant}"}]}),
    Action(entry="api", name="text", payload={"text": "text"}),
    Action(entry="world", name="configure", payload={"name": ["{name}"]}),
    Action(entry="world", name="fail", payload={"what": ["llm.error"]}),
    Action(entry="webui", name="page", payload={"token": ["unknown"]}, wrong={"token": ["unknown"]}),
    Action(
        entry="webui",
        name="list",
        payload={"what": ["a", "b", "c"], "key": ["own", "unknown"]},
        wrong={"key": ["unknown"]},
    ),
    Action(entry="plugin", name="call f", call=True),
    Action(entry="timer", name="tick", payload={"task": ["tidy", "save"]}, principal=False),
)


def drawn(count: int, seed: int = 0, dimensions: tuple[str, ...] = ("T",)) -> list[Plan]:
    following = Following(ACTIONS, seed, dimensions, ("empty", "filled"), 8)
    return [following.draw(TEXTS) for _ in range(count)]


def stretches(plan: Plan) -> list[tuple[str, list[Step]]]:
    """Who did what in a row; waits and what nobody does are left out."""
    acting = [step for step in plan.steps if step.who]
    return [(str(who), list(some)) for who, some in groupby(acting, key=lambda step: step.who)]


def word(step: Step) -> str:
    return str(step.payload["text"]).split()[0] if step.action == "command" else step.action


def test_one_does_a_stretch_and_then_the_other() -> None:
    plans = drawn(20)
    assert {tuple(who for who, _ in stretches(plan)) for plan in plans} == {("A", "B"), ("B", "A")}
    assert all(step.join for plan in plans for step in plan.steps), "each thing has ended before the next one begins"


def test_everything_is_followed_by_everything() -> None:
    met: set[tuple[str, str]] = set()
    for plan in drawn(9):
        (_, first), (_, second) = stretches(plan)
        met |= {(word(one), word(two)) for one in first for two in second}
    offered = {*(text.split()[0] for text in WORDS), "configure", "list", "text"}
    assert met == {(one, two) for one in offered for two in offered}


def test_each_round_puts_stretches_together_otherwise() -> None:
    short = set(cut_short(ACTIONS[0], "text"))
    began = [
        frozenset(word(step) for step in stretches(plan)[0][1] if step.payload.get("text") not in short)
        for plan in drawn(18)
    ]
    assert began[:9] != began[9:]
    assert sorted(map(began[:9].count, set(began))) == sorted(map(began[9:].count, set(began))) == [3, 3, 3]


def test_what_fails_what_is_refused_and_calls_are_left_to_other_plans() -> None:
    steps = [step for plan in drawn(9) for step in plan.steps]
    assert {step.action for step in steps} == {"command", "text", "list", "configure", "tick", "advance"}
    assert {step.payload["key"] for step in steps if step.action == "list"} == {"own"}


def test_the_surroundings_are_changed_before_anything_is_said() -> None:
    places = [[step.action for step in some] for plan in drawn(9) for _, some in stretches(plan)]
    assert {names.index("configure") for names in places if "configure" in names} == {0}


def test_the_other_comes_at_once_or_after_the_timers_or_after_what_the_bot_does_itself() -> None:
    between = []
    for plan in drawn(6):
        last = max(at for at, step in enumerate(plan.steps) if step.who == stretches(plan)[0][0])
        rest = list(plan.steps[last + 1 :])
        some = rest[: next(at for at, step in enumerate(rest) if step.who)]
        between.append(tuple(str(step.payload.get("task", step.payload.get("seconds", 0) >= LONG)) for step in some))
    assert between[0] == between[3] == ("False",) and between[1] == between[4] == ("True",)
    assert {between[2], between[5]} == {("False", "tidy"), ("False", "save")}


def test_who_comes_second_sometimes_leaves_out_what_is_asked_for() -> None:
    short = set(cut_short(ACTIONS[0], "text"))
    said = [[step.payload.get("text") in short for step in some] for plan in drawn(20) for _, some in stretches(plan)]
    first, second = said[::2], said[1::2]
    assert sum(map(sum, second)) > 2 * sum(map(sum, first)) > 0
    assert sum(map(sum, second)) < sum(map(len, second)) / 2


def test_in_one_plan_of_four_both_say_the_same() -> None:
    said = [{step.payload["text"] for step in plan.steps if step.action == "text"} for plan in drawn(40)]
    same = set().union(*said[3::4])
    assert len(same) == 1 and "{" not in same.pop()
    others = set().union(*(some for at, some in enumerate(said) if at % 4 != 3))
    assert len(others) > 1 and any("{" in text for text in others)


def test_nobody_names_the_other() -> None:
    said = [step.payload for plan in drawn(9) for step in plan.steps if step.action == "command"]
    assert {str(payload["extra"]) for payload in said} == {"{}"}


def test_tenants_come_first_and_then_agents_and_chats() -> None:
    differ = [plan.twins.dimension for plan in drawn(40, dimensions=("T", "TA", "A", "C"))]
    assert set(differ[:9]) == {"T", "TA"} and set(differ[9:]) == {"T", "TA", "A", "C"}


def test_the_same_seed_draws_the_same_and_another_seed_others() -> None:
    assert drawn(5, 1) == drawn(5, 1) != drawn(5, 2)


def test_generated_plans_hold_some() -> None:
    plans = generate(ACTIONS, 3 * (BATCH + 2), 0)
    assert [len(plan.steps) > 40 for plan in plans[BATCH + 1 :: BATCH + 2]] == [True] * 3


def test_a_target_that_nobody_uses_has_none() -> None:
    assert not Following([action for action in ACTIONS if not action.principal], 0, ("T",), (), 8)


def ran(index: int, who: str) -> StepRecord:
    times = {"first_seq": 0, "last_seq": 0, "started": float(index), "ended": index + 0.5}
    return StepRecord(index=index, entry="api", action="say", who=who, **times)  # type: ignore[arg-type]


def kept_plans(pauses: list[bool]) -> Pairing:
    """A says something and then B, after a pause or beside it."""
    kept = Pairing(("tenant",))
    say = {who: Step(entry="api", action="say", who=who) for who in ("A", "B")}  # type: ignore[arg-type]
    wait = Step(entry="world", action="advance", payload={"seconds": 3})
    for seed, pause in enumerate(pauses):
        steps = (say["A"], wait, say["B"]) if pause else (say["A"], say["B"])
        records = (ran(0, "A"), ran(1 + pause, "B"))
        kept.add(Plan(seed=seed, steps=steps), trace(steps=records), clean=True)
    return kept


@pytest.mark.parametrize(("pause", "first"), [(True, {"B"}), (False, {"A", "B"})])
def test_in_a_pair_who_comes_after_a_pause_observes(pause: bool, first: set[str]) -> None:
    # The one that observes is called A; who was A then comes first as B.
    chosen = kept_plans([pause] * 4).chosen(4)
    assert {next(step.who for step in plan.steps if step.who) for plan in chosen} == first


def test_one_pair_in_five_is_of_a_plan_in_which_one_comes_after_the_other() -> None:
    kept = kept_plans([number % 20 == 7 for number in range(100)])
    assert sum(plan.seed % 20 == 7 for plan in kept.chosen(10)) == 2
    assert sum(plan.seed % 20 == 7 for plan in kept.chosen(100)) == 5, "there are no more"
    assert len(kept_plans([True] * 6).chosen(6)) == 6, "there are no others"
