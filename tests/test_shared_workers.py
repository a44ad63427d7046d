"""Workers that tenants share by right stay silent, in the usual order and in others; the same gone wrong do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from harness.cli_schedules import Field
from harness.exploring import Explorer
from harness.finding import Finding
from harness.plan import Plan, Step
from harness.pool import Pool
from tests.shared_workers import WORKERS, SharingTarget

NAMES = [worker.__name__ for worker in WORKERS]


def step(who: str, entry: str, action: str, gap: float = 0.0, **payload: object) -> Step:
    return Step(entry=entry, action=action, who="A" if who == "A" else "B", payload=payload, gap=gap)


TALK = [step(who, "api", "mention", text="{message}") for who in "ABA"]
PAGES = [step(who, "webui", "statistics", gap=2.0) for who in "ABA"]
BROKEN_OFF = [
    step("A", "webui", "emoji_upload", slot="picture"), step("A", "world", "cancel", after=4),
    step("B", "webui", "emoji_upload", gap=3.0, slot="picture"),
]  # fmt: skip
STEPS = (*BROKEN_OFF, *TALK, *PAGES)


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with Pool("tests.shared_workers:SharingTarget", jobs=1) as pool:
        yield Field(pool, SharingTarget())


def findings(field: Field, steps: Sequence[Step], overlay: str) -> list[Finding]:
    trace = field.pool.run(Plan(steps=tuple(steps), overlays=(overlay,))).trace
    assert trace is not None and not trace.faults
    return field.judge(trace)


@pytest.mark.parametrize("name", NAMES)
def test_a_correct_shared_worker_is_silent(field: Field, name: str) -> None:
    assert findings(field, STEPS, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_silent_under_other_orders_too(field: Field, name: str) -> None:
    explorer = Explorer(field.target.actions(), 4, overlays=(name,), answers=field.facts.answers)
    for outcome in explorer.play(field.pool, 24):
        assert outcome.trace is not None
        assert field.judge(outcome.trace) == [], outcome.plan


@pytest.mark.parametrize("name", NAMES)
def test_a_careless_one_is_found(field: Field, name: str) -> None:
    assert findings(field, STEPS, f"careless_{name}") != []
