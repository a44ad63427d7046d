"""A run of a pair in which the bot has never heard of B: what it does for B by itself must not be felt either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
import pytest

from fixtures.targets.reference import ReferenceTarget
from fixtures.twins import make_twins
from harness import pairs
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Outcome, Pool
from harness.principal import TwinSpec
from harness.rules.interference import Variant

SPEC = "fixtures.targets.reference:ReferenceTarget"
FACTS = ReferenceTarget().facts()
DAYS = Step(entry="world", action="advance", payload={"seconds": 330})
LATE = TwinSpec(first="B")
"""B's turn of a timer comes before A's."""


def said(who: str, text: str = "{message}") -> Step:
    return Step(entry="api", action="mention", who=who, payload={"text": text}, gap=3)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC, jobs=2) as pool:
        yield pool


def results(pool: Pool, plan: Plan) -> dict[str, str]:
    [made] = pairs.play(pool, [plan], FACTS, lambda trace: judge(trace, FACTS), variants=pairs.VARIANTS)
    return {pair.variant: pair.result for pair in made}


def test_nothing_of_an_absent_twin_is_written_and_nobody_is_another_for_it() -> None:
    beside, without = (make_twins(TwinSpec(first="B", third=True, absent=absent)) for absent in (False, True))
    assert [who.label for who in beside.everyone()] == ["B", "C", "A"]
    assert [who.label for who in without.everyone()] == ["C", "A"]
    assert (without.a, without.b) == (beside.a, beside.b)


def test_a_turn_that_another_uses_up_is_felt_where_that_one_is_not_there(pool: Pool) -> None:
    plan = Plan(twins=LATE, before="filled", steps=(said("A"), said("B"), DAYS))
    broken = msgspec.structs.replace(plan, overlays=("turn-used-up-by-another",))
    assert results(pool, broken) == {"alone": "equal", "others": "equal", "absent": "differs"}
    assert set(results(pool, plan).values()) == {"equal"}
    first = msgspec.structs.replace(broken, twins=TwinSpec())
    assert set(results(pool, first).values()) == {"equal"}, "whose turn comes first loses nothing"


def test_a_finding_of_an_absent_twin_says_so_and_is_shown_again_by_that_variant(pool: Pool) -> None:
    plan = Plan(twins=LATE, before="filled", steps=(said("A"), DAYS), overlays=("turn-used-up-by-another",))
    [[pair]] = pairs.play(pool, [plan], FACTS, lambda trace: judge(trace, FACTS), variants=("absent",))
    assert pair.finding is not None and "when there is no B" in pair.finding.message
    assert pairs.variants_of(pair.finding) == ("absent",)


class Played:
    """A pool that plays nothing: it hands out what is known already, or that each run was lost."""

    def __init__(self, known: Sequence[Outcome] = ()) -> None:
        self.known = known

    def map(self, plans: Iterator[Plan], **_: Any) -> Iterator[Outcome]:
        for index, plan in enumerate(plans):
            yield self.known[index] if self.known else Outcome(plan=plan, status="crash", trace=None)


def test_campaigns_take_turns_between_a_twin_that_is_idle_and_one_that_is_not_there() -> None:
    naming = Plan(steps=(said("A", "{other.user}"), said("B")))
    plans = [Plan(seed=seed, steps=(said("A"), said("B"))) for seed in range(40)]
    naming = [Plan(seed=seed, steps=(said("A", "{other.user}"), said("B"))) for seed in range(40)]

    def without(plans: Sequence[Plan]) -> list[Variant]:
        made = pairs.play(cast(Pool, Played()), plans, FACTS, lambda trace: [])
        return [pair.variant for both in made for pair in both if pair.variant != "others"]

    assert 10 <= without(plans).count("absent") <= 30
    assert without(plans[7:]) == without(plans)[7:], "a plan is played the same way wherever it stands"
    assert set(without(naming)) == {"alone"}, "whom A speaks of is there"


def test_where_other_things_of_a_could_be_laid_beside_b_the_pair_is_not_judged(pool: Pool) -> None:
    plan = Plan(twins=LATE, before="filled", steps=(said("A"), DAYS), overlays=("turn-used-up-by-another",))
    beside, absent = pool.map([plan, pairs.variant_of(plan, "absent")], paired=True)
    assert beside.laid == absent.laid != ""
    for other, result in ((absent, "differs"), (msgspec.structs.replace(absent, laid="more"), "moved")):
        played = cast(Pool, Played([beside, other]))
        [[pair]] = pairs.play(played, [plan], FACTS, lambda trace: judge(trace, FACTS), variants=("absent",))
        assert pair.result == result


def test_steps_count_from_the_same_moment_though_the_bot_is_ready_sooner_without_b(pool: Pool) -> None:
    plan = Plan(steps=(said("A"), said("B"), said("A")))
    beside, absent = pool.map([plan, pairs.variant_of(plan, "absent")], paired=True)
    assert beside.trace is not None and absent.trace is not None
    assert absent.trace.steps[0].started < beside.trace.steps[0].started
    made = pairs.started_with(absent, beside).trace
    assert made is not None
    assert [step.started for step in made.steps] == pytest.approx([step.started for step in beside.trace.steps])
    boot = made.steps[0].first_seq
    assert made.accesses[:boot] == absent.trace.accesses[:boot]
    later = made.steps[0].started - absent.trace.steps[0].started
    assert made.accesses[-1].time == pytest.approx(absent.trace.accesses[-1].time + later)
    assert pairs.started_with(beside, beside) is beside
