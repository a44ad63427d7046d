"""What one tenant feels of the other's unmarked words is no second finding where marked ones show the same leak."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from harness import marking
from harness.finding import Finding
from harness.plan import Plan, Step
from harness.pool import Outcome
from harness.rules.interference import RULE
from harness.target import Action
from harness.trace import Mark, Trace
from harness.witness import Witnessed
from tests.evidence_factory import access, trace
from tests.verdict_support import LEAK, findings

SAID = Step(entry="api", action="say", who="B", payload={"text": "hello", "loud": "yes"})


class Ground:
    """A campaign whose bot hands on the words of the plans that `leaks` says; what was played is kept."""

    def __init__(self, leaks: Literal["marked", "all", "none"]) -> None:
        (leak,) = findings(LEAK)
        self.leak = leak
        self.leaks = leaks
        felt = msgspec.structs.replace(leak, rule=RULE)
        self.found = {"felt": Witnessed(felt, Plan(steps=(SAID,)), {"api"}, {"T"}, trace=trace(access()), besides={})}
        self.played: list[Plan] = []
        self.pool: Any = self
        self.target: Any = self

    def actions(self) -> list[Action]:
        return [Action(entry="api", name="say", payload={"text": "text", "loud": ["yes", "no"]})]

    def run(self, plan: Plan) -> Outcome:
        self.played.append(plan)
        shown = self.leaks == "all" or (self.leaks == "marked" and plan.steps[0] != SAID)
        observed = msgspec.structs.replace(
            LEAK, step=self.leak.step, marks=(Mark(self.leak.source, "message"),) * shown
        )
        return Outcome(plan=plan, status="ok", trace=trace(observed))

    def judge(self, made: Trace) -> list[Finding]:
        return [self.leak] if made.accesses[0].marks else []


def test_it_is_one_more_plan_of_the_leak_that_marks_show() -> None:
    ground = Ground(leaks="marked")
    marking.settle(ground)
    assert list(ground.found) == [ground.leak.fingerprint]
    assert [step.payload for step in ground.played[0].steps] == [{"text": "hello {message}", "loud": "yes"}]


def test_it_stays_where_marks_show_nothing_there() -> None:
    ground = Ground(leaks="none")
    marking.settle(ground)
    assert list(ground.found) == ["felt"]


def test_it_stays_beside_what_shows_there_without_marks_too() -> None:
    ground = Ground(leaks="all")
    marking.settle(ground)
    assert list(ground.found) == ["felt"]


def test_words_that_were_marked_are_not_played_again() -> None:
    ground = Ground(leaks="marked")
    marked = msgspec.structs.replace(SAID, payload={"text": "{message}", "loud": "yes"})
    ground.found["felt"].plan = Plan(steps=(marked,))
    marking.settle(ground)
    assert list(ground.found) == ["felt"] and ground.played == []
