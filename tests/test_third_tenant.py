"""What two tenants never show is found where a third stands by, and who stands by is judged in nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from fixtures.overlays._reference_company import FAULTS
from fixtures.targets.reference import ReferenceTarget
from fixtures.twins import make_twins
from harness import catalogue, riskmap
from harness.company import standing_by
from harness.errors import UsageError
from harness.finding import Finding
from harness.judge import judge
from harness.plan import Plan
from harness.pool import Pool
from harness.principal import BYSTANDER, TwinSpec
from harness.strategies import generate
from harness.target import Overlay

TARGET = ReferenceTarget()
DEMANDS = riskmap.load(TARGET.risk_map()).demands("reference")
TALK = [action for action in TARGET.actions() if action.name in ("text", "mention", "picture")]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as made:
        yield made


def findings(pool: Pool, plans: Sequence[Plan], *overlays: str) -> list[Finding]:
    found = []
    for outcome in pool.map([msgspec.structs.replace(plan, overlays=overlays) for plan in plans]):
        assert outcome.trace is not None, outcome.detail
        assert not outcome.trace.faults
        assert all(record.outcome == "ok" for record in outcome.trace.steps if record.who == BYSTANDER)
        found += judge(outcome.trace, TARGET.facts(), DEMANDS)
    return found


def without_third(plan: Plan) -> Plan:
    steps = tuple(step for step in plan.steps if step.who != BYSTANDER)
    return msgspec.structs.replace(plan, steps=steps, twins=msgspec.structs.replace(plan.twins, third=False))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_among_three_is_found_by_its_rule(pool: Pool, fault: Overlay) -> None:
    found = findings(pool, standing_by(TALK), fault.name)
    assert any(fault.speaks_of(f.rule, f.surface) for f in found), {(f.rule, f.surface) for f in found}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_two_tenants_do_not_show_it(pool: Pool, fault: Overlay) -> None:
    assert not findings(pool, [without_third(plan) for plan in standing_by(TALK)], fault.name)


def test_who_stands_by_is_judged_in_nothing(pool: Pool) -> None:
    assert not findings(pool, standing_by(TALK))


def test_a_third_changes_nothing_about_the_twins() -> None:
    spec = TwinSpec(dimension="TA")
    two, three = make_twins(spec), make_twins(msgspec.structs.replace(spec, third=True))
    assert (two.a, two.b, two.third) == (three.a, three.b, None)
    assert three.third is not None and three.everyone() == (three.a, three.third, three.b)
    for field in ("tenant", "agent", "credential"):
        assert len({getattr(who, field) for who in three.everyone()}) == 3
    assert {three.a.chat, three.b.chat} == {three.third.chat}
    tokens = [token for who in three.everyone() for token in who.secrets.values()]
    assert len(set(tokens)) == len(tokens)


def test_a_third_platform_is_refused() -> None:
    with pytest.raises(UsageError, match="two platforms"):
        make_twins(TwinSpec(dimension="P", third=True))


def test_drawn_plans_have_a_third_where_the_target_writes_one() -> None:
    drawn = generate(TALK, 60, 1, third=True)
    assert any(plan.twins.third and any(step.who == BYSTANDER for step in plan.steps) for plan in drawn)
    assert not any(plan.twins.third or any(s.who == BYSTANDER for s in plan.steps) for plan in generate(TALK, 60, 1))
