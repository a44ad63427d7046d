"""Every risk item, decided on the chosen target: ``pytest scenarios --target NAME``."""

import pytest

from harness.record import RunRecord

pytestmark = pytest.mark.isolation


def test_item(isolation_item: str, isolation_record: RunRecord) -> None:
    """Open fails; closed passes; accepted by the baseline is an expected failure; what was not shown either way is
    skipped, never passed."""
    item = next(item for item in isolation_record.items if item.id == isolation_item)
    if item.verdict == "open":
        shown = [f for f in isolation_record.findings if f.fingerprint in item.findings]
        pytest.fail("\n".join([item.why, *(f"{f.fingerprint} {f.rule}: {f.message}" for f in shown)]), pytrace=False)
    if item.verdict == "waived":
        waiver = item.waiver or {}
        pytest.xfail(f"accepted by {waiver.get('owner')} until {waiver.get('until')}: {waiver.get('reason')}")
    if item.verdict != "closed":
        pytest.skip(f"{item.verdict.replace('_', ' ')}: {item.why}")
