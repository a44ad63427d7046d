"""Faults that two tenants never show are found by twins of one tenant, by the right rule, and by no others."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from fixtures.overlays import _reference_within
from fixtures.targets.reference import ReferenceTarget
from harness import catalogue, riskmap
from harness.finding import Finding
from harness.judge import judge
from harness.plan import Plan
from harness.pool import Pool
from harness.rules.interference import RULE
from harness.target import Overlay
from harness.touring import tour

FAULTS = [fault for fault in _reference_within.FAULTS if fault.rule != RULE]
"""What takes pairs to be felt is tested with them."""

DIMENSION = {
    "config-by-tenant": "A",
    "description-by-tenant": "A",
    "stream-id-without-chat": "C",
    "history-of-all-chats": "C",
    "last-message-of-the-agent": "C",
    "messages-known-by-the-hundredth": "C",
    "stream-id-without-platform": "P",
}
TARGET = ReferenceTarget()
DEMANDS = riskmap.load(TARGET.risk_map()).demands("reference")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as made:
        yield made


def plans(dimension: str) -> list[Plan]:
    """The tour over mentions and pictures, by twins that differ in `dimension`."""
    actions = [action for action in TARGET.actions() if action.name in ("mention", "picture")]
    everything = tour(actions, dict.fromkeys("ACP", ("api",)))
    return [plan for plan in everything if plan.twins.dimension == dimension]


def findings(pool: Pool, dimension: str, *overlays: str) -> list[Finding]:
    found = []
    for outcome in pool.map([msgspec.structs.replace(plan, overlays=overlays) for plan in plans(dimension)]):
        assert outcome.trace is not None, outcome.detail
        assert not outcome.trace.faults
        found += judge(outcome.trace, TARGET.facts(), DEMANDS)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_within_a_tenant_is_found_by_its_rule(pool: Pool, fault: Overlay) -> None:
    found = findings(pool, DIMENSION[fault.name], fault.name)
    assert any(fault.speaks_of(f.rule, f.surface) for f in found), {(f.rule, f.surface) for f in found}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_two_tenants_do_not_show_it(pool: Pool, fault: Overlay) -> None:
    assert not findings(pool, "T", fault.name)


@pytest.mark.parametrize("dimension", list("ACP"))
def test_the_correct_bot_keeps_what_it_must_within_a_tenant(pool: Pool, dimension: str) -> None:
    assert plans(dimension)
    assert not findings(pool, dimension)
