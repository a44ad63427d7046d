"""The reference bot beside further tenants: it serves all of them, the twins find nothing of anybody else's."""

from __future__ import annotations

import pytest

from fixtures.targets.reference_facts import FACTS
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Outcome, Pool
from harness.target import CROWD

SPEC = "fixtures.targets.reference:ReferenceTarget"


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    hour = (Step(entry="world", action="advance", payload={"seconds": 3600}),)
    with Pool(SPEC, jobs=1) as pool:
        return list(pool.map([Plan(steps=hour), Plan(before=f"{CROWD}5", steps=hour), Plan(before=f"{CROWD}x")]))


def test_each_further_tenant_is_served_and_nothing_crosses(outcomes: list[Outcome]) -> None:
    alone, crowded = outcomes[0].trace, outcomes[1].trace
    assert alone is not None and crowded is not None
    strangers = [access for access in crowded.accesses if access.ambient == "?"]
    assert not [access for access in alone.accesses if access.ambient == "?"]
    assert len({access.key for access in strangers if access.sink == "file"}) >= 5
    assert not crowded.faults
    assert judge(crowded, FACTS) == []


def test_a_crowd_of_no_number_is_refused_by_name(outcomes: list[Outcome]) -> None:
    refused = outcomes[2].trace
    assert refused is not None
    assert "crowd:x" in refused.faults[0].message
