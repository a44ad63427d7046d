"""Every risk item, decided on the chosen target: ``pytest scenarios --target NAME``."""

import pytest

from harness.record import RunRecord

pytestmark = pytest.mark.isolation


def test_item(isolation_item: str, isolation_record: RunRecord) -> None:
    """Open fails; closed passes; what was not shown either way is reported as skipped, never as passed."""
    item = next(item for item in isolation_record.items if item.id == isolation_item)
    if item.verdict == "open":
        shown = [f for f in isolation_record.findings if f.fingerprint in item.findings]
        pytest.fail("\n".join([item.why, *(f"{f.fingerprint} {f.rule}: {f.message}" for f in shown)]), pytrace=False)
    if item.verdict != "closed":
        pytest.skip(f"{item.verdict}: {item.why}")
