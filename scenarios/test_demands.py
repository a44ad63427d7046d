"""Every demand of the documents, decided on the chosen target: ``pytest scenarios/test_demands.py --target NAME``."""

import pytest

from harness.record import RunRecord

pytestmark = pytest.mark.isolation


def test_demand(isolation_requirement: str, isolation_record: RunRecord) -> None:
    """Broken fails; met passes; what was not shown either way is skipped, never passed."""
    demand = next(one for one in isolation_record.requirements if one.id == isolation_requirement)
    if demand.outcome == "broken":
        shown = [f for f in isolation_record.findings if f.fingerprint in demand.findings]
        pytest.fail("\n".join([demand.why, *(f"{f.fingerprint} {f.rule}: {f.message}" for f in shown)]), pytrace=False)
    if demand.outcome != "met":
        pytest.skip(f"{demand.outcome.replace('_', ' ')}: {demand.why}")
