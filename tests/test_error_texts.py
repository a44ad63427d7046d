"""What an exception says that ends a step is what its principal is told: another's secret there has crossed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from harness.judge import judge
from harness.observed import observations
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.principal import Principal
from harness.rules._evidence import Evidence
from harness.target import Action
from harness.trace import Access
from tests.tiny_target import CONTEXT, TinyTarget


class Refusing(TinyTarget):
    """Refuses everything, and says why: naming what was said now (``own``), or before (``former``)."""

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name=name, payload={"text": ["{message}", "{other.credential}"]}) for name in NAMES]

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        assert who is not None
        CONTEXT.set(who.tenant)
        former = self._remember(payload["text"])
        raise ValueError(f"no {payload['text']}" if action == "own" else f"not like {former}")


NAMES = ("own", "former")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool("tests.test_error_texts:Refusing", jobs=1) as pool:
        yield pool


def shown(pool: Pool, action: str, text: str = "{message}") -> tuple[list[Access], list[tuple[str, str, str, str]]]:
    """What is told to the twins, and what is found."""
    steps = tuple(
        Step(entry="api", action=action, who=who, payload={"text": text}, join=True) for who in ("A", "B", "B")
    )
    trace = pool.run(Plan(steps=steps)).trace
    assert trace is not None and {step.outcome for step in trace.steps} == {"raised"}
    told = [access for access in trace.accesses if access.sink == "outbound"]
    return told, [(f.rule, f.sink, f.surface, f.observer) for f in judge(trace, TinyTarget().facts())]


def test_an_error_that_tells_what_another_said_is_found(pool: Pool) -> None:
    told, found = shown(pool, "former")
    assert found == [("canary-flow", "outbound", "api.former", "B")]
    assert [access.step for access in told] == [1], "B's second error tells B what it said itself"


def test_an_error_that_repeats_what_one_said_is_no_answer(pool: Pool) -> None:
    assert shown(pool, "own") == ([], [])


def test_an_error_that_repeats_what_the_harness_lent_is_silent(pool: Pool) -> None:
    told, found = shown(pool, "own", "{other.credential}")
    assert told and found == []


def test_in_a_pair_an_error_is_observed_once_as_the_end_of_its_step(pool: Pool) -> None:
    steps = tuple(Step(entry="api", action="former", who=who, payload={"text": "{message}"}, join=True) for who in "BA")  # type: ignore[arg-type]
    outcome = pool.run(Plan(steps=steps))
    assert outcome.trace is not None
    seen = observations(Evidence(outcome.trace, TinyTarget().facts()), outcome.holdings, 0.0)
    assert [one.sink for one in seen if outcome.trace.twins.b.secrets["message"] in one.text] == ["outcome"]
