"""Some plans have a principal do one thing over and over before the other looks; some leave out what a command asks."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from harness.choices import cut_short, one_by_one
from harness.pairing import Pairing
from harness.plan import Plan, Step
from harness.principal import Label
from harness.repeating import Repeating, insists
from harness.strategies import BATCH, TEXTS, generate
from harness.target import Action
from tests.evidence_factory import trace

COMMANDS = ["/off draft here", "/draft {message}", "/mood", "/who is there", "/who"]
ACTIONS = (
    Action(entry="api", name="command", payload={"text": COMMANDS}),
    Action(entry="api", name="text", payload={"text": "text", "kind": ["group chat", "private chat"]}),
    Action(entry="webui", name="page", payload={"token": ["/unknown token"]}, wrong={"token": ["/unknown token"]}),
    Action(entry="timer", name="tick", principal=False),
)


def insisting(seed: int = 0) -> Repeating:
    return Repeating(ACTIONS, seed, ("T",), ("empty",), 8)


def runs(plan: Plan) -> list[tuple[str, str, int]]:
    """Who said what how often in a row."""
    found: list[tuple[str, str, int]] = []
    for step in plan.steps:
        if step.who is None:
            continue
        said = (str(step.who), str(step.payload.get("text")))
        if found and found[-1][:2] == said:
            found[-1] = (*said, found[-1][2] + 1)
        else:
            found.append((*said, 1))
    return found


def test_commands_are_cut_short_and_nothing_else_is() -> None:
    assert cut_short(ACTIONS[0], "text") == ["/off", "/off draft", "/draft", "/who is"]
    assert cut_short(ACTIONS[1], "kind") == [] and cut_short(ACTIONS[1], "text") == []
    assert cut_short(ACTIONS[2], "token") == []


def test_what_is_cut_short_has_one_turn_beside_each_choice() -> None:
    turns = [action.payload["text"] for action in one_by_one(ACTIONS[:1])]
    assert turns == [*([said] for said in COMMANDS), cut_short(ACTIONS[0], "text")]


def test_what_is_cut_short_is_seldom_drawn() -> None:
    said = [str(step.payload["text"]) for plan in generate(ACTIONS[:1], 300, 3) for step in plan.steps if step.who]
    short = sum(one in cut_short(ACTIONS[0], "text") for one in said)
    assert 0 < short < len(said) / 5


def test_both_insist_and_each_time_the_other_looks() -> None:
    plan = insisting().draw(TEXTS)
    assert {who for who, _, count in runs(plan) if count > 1} == {"A", "B"} and insists(plan)
    assert all(step.join for step in plan.steps), "each thing has ended before the next one begins"


def test_everything_that_is_offered_has_its_turn() -> None:
    drawn = insisting()
    choices = one_by_one(ACTIONS[:2])
    said = {text for _ in range(len(choices) // 2 + 1) for _, text, count in runs(drawn.draw(TEXTS)) if count > 1}
    assert {*COMMANDS} <= said and said & set(cut_short(ACTIONS[0], "text"))


def test_the_other_rather_looks_at_what_speaks_of_the_same() -> None:
    drawn = insisting()
    looked = []
    for _ in range(30):
        made = runs(drawn.draw(TEXTS))
        looked += [
            text for (one, first, count), (other, text, _) in itertools.pairwise(made)
            if first == "/off draft here" and count > 1 and one != other
        ]  # fmt: skip
    looked = [text for text in looked if text != "/off"]
    akin = sum(text.startswith("/draft") or text == "/off draft here" for text in looked)
    assert looked and akin > len(looked) / 2


def test_the_other_also_looks_without_saying_what_was_said() -> None:
    drawn = insisting()
    followed = [
        (said, text)
        for _ in range(30)
        for (one, said, count), (other, text, _) in itertools.pairwise(runs(drawn.draw(TEXTS)))
        if count > 1 and one != other
    ]
    assert ("/draft {message}", "/draft") in followed and ("/off draft here", "/off") in followed
    assert all(text != "/mood" or said == "/mood" for said, text in followed if text == said.split()[0])


def test_the_same_seed_draws_the_same_plans_and_one_in_so_many_insists() -> None:
    plans = generate(ACTIONS, 4 * (BATCH + 2), 5)
    assert plans == generate(ACTIONS, 4 * (BATCH + 2), 5)
    assert all(insists(plan) for plan in plans[BATCH :: BATCH + 2])


@pytest.mark.parametrize(("order", "does"), [("AAB", True), ("ABA", False), ("AA", False), ("ABBA", True)])
def test_insisting_is_doing_the_same_in_a_row_before_the_other_comes(order: str, does: bool) -> None:
    assert insists(Plan(steps=said(*order))) is does


def said(*order: str) -> tuple[Step, ...]:
    who: list[Label] = list(order)
    return tuple(Step(entry="api", action="command", who=one, payload={"text": "/mood"}) for one in who)


def test_one_pair_in_four_is_of_a_plan_in_which_somebody_insists() -> None:
    kept = Pairing(("tenant",))
    for number in range(40):
        steps = said(*("AAB" if number < 4 else "AB"))
        kept.add(Plan(seed=number, steps=steps), msgspec.structs.replace(trace(), steps=()), clean=True)
    assert sum(plan.seed < 4 for plan in kept.chosen(8)) == 2
    assert sum(plan.seed < 4 for plan in kept.chosen(40)) == 4
