"""The worked example of docs/examples, a help desk on somebody else's framework, shows what that framework mixes up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness import catalogue, riskmap
from harness.campaign import Campaign
from harness.pool import Pool
from harness.profiles import Profile

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
SPEC = "helpdesk_target:HelpdeskTarget"


@pytest.fixture
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    paths = [str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    for name in ("helpdesk", "helpdesk_target"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("_importable")
def test_runs_of_one_customer_are_read_on_the_ticket_of_another() -> None:
    target = catalogue.make_target(SPEC, None, None)
    profile = Profile(plans=2, seconds=60, replays=1, overlays=True, confirming=20, trying=120)
    with Pool(SPEC, jobs=2) as pool:
        record = Campaign(pool, target, riskmap.load(target.risk_map()), profile).run()
    assert record.errors == ()
    met = {(found.rule, found.surface) for found in record.findings}
    assert ("foreign-read", "agno_runs") in met
    assert {surface for _, surface in met} <= {"agno_runs", "agno_sessions"}
    verdicts = {item.id: item.verdict for item in record.items}
    assert verdicts["ticket-history"] == "open"
    assert verdicts["desk-memory"] == "closed"
    assert [made.name for made in record.soundness.overlays if not made.right_rule] == []
