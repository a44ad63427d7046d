"""Twins whose credentials begin and end alike: what knows a credential by its ends takes them for one, and is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given

from fixtures.overlays._reference_alike import SHOWN
from fixtures.targets.maimbot_saas import SHAPES
from fixtures.targets.reference import ReferenceTarget
from fixtures.twins import PLAIN_SHAPES, Shapes, make_twins
from harness import catalogue, riskmap
from harness.finding import Finding
from harness.hostile import spec_of
from harness.impostors import colliding, specs
from harness.judge import judge
from harness.naming import Names
from harness.plan import Plan
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.scanner import TokenScanner
from harness.verdict import attribute

TARGET = ReferenceTarget()
MAP = riskmap.load(TARGET.risk_map())
TALK = [action for action in TARGET.actions() if action.name in ("text", "mention", "command")]
FAULT = next(fault for fault in TARGET.overlays() if fault.name == "key-known-by-its-head")


@given(specs(("credential",), 4))
def test_they_share_both_ends_and_hold_the_canary_of_ordinary_ones(spec: TwinSpec) -> None:
    head, tail = int(spec.parts[1]), int(spec.parts[2])
    for shapes in (PLAIN_SHAPES, SHAPES, Shapes(credential="{token}")):
        twins = make_twins(spec, shapes=shapes)
        mine, theirs = twins.a.credential, twins.b.credential
        literal = shapes.credential.index("{")
        assert mine != theirs and len(mine) == len(theirs)
        assert mine[: literal + head] == theirs[: literal + head]
        assert mine[len(mine) - tail :] == theirs[len(theirs) - tail :]
        scanner = TokenScanner(twins)
        for who in (twins.a, twins.b):
            assert who.credential.startswith(shapes.credential[:literal])
            assert {(mark.label, mark.slot) for mark in scanner.scan(who.credential)} == {(who.label, "credential")}
            assert scanner.scan(who.credential[: literal + head]) == ()


def test_what_both_share_of_a_credential_names_neither() -> None:
    twins = make_twins(spec_of("credential", 0))
    names = Names(twins, ("credential", "tenant", "agent"))
    assert names.owner(f"cache:{twins.a.credential}") == {"credential": twins.a.credential}
    for cut in (8, 12, 20, 32):
        assert names.owner(f"cache:{twins.a.credential[:cut]}") is None
        assert names.owner(f"cache:{twins.a.credential[-cut // 4 :]}") is None


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as made:
        yield made


def findings(pool: Pool, plans: Sequence[Plan], *overlays: str) -> list[Finding]:
    found = []
    for outcome in pool.map([msgspec.structs.replace(plan, overlays=overlays) for plan in plans]):
        assert outcome.trace is not None, outcome.detail
        assert not outcome.trace.faults
        found += judge(outcome.trace, TARGET.facts(), MAP.demands("reference"))
    return found


def ordinary(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, twins=msgspec.structs.replace(plan.twins, hostile="", parts=()))


def test_a_bot_that_knows_keys_by_their_head_is_found_and_one_that_knows_them_whole_is_not(pool: Pool) -> None:
    plans = colliding(TALK, ["credential"])
    assert all(int(plan.twins.parts[1]) >= SHOWN for plan in plans)
    assert findings(pool, plans) == []
    for plan in plans:
        found = findings(pool, [plan], FAULT.name)
        mine = [f for f in found if FAULT.speaks_of(f.rule, f.surface)]
        assert mine, {(f.rule, f.surface) for f in found}
        assert set(FAULT.items) <= {item for f in mine for item in attribute(f, MAP, TARGET.name)}


def test_ordinary_twins_do_not_show_it(pool: Pool) -> None:
    assert findings(pool, [ordinary(plan) for plan in colliding(TALK, ["credential"])], FAULT.name) == []
