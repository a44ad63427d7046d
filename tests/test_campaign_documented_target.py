"""The example in docs/drive-your-bot.md runs as printed: its item closes, its fault is found by the rule it names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from harness import catalogue, riskmap
from harness.campaign import Campaign
from harness.pool import Pool
from harness.profiles import Profile

PAGE = Path(__file__).parent.parent / "docs" / "drive-your-bot.md"
SPEC = "parrot_target:ParrotTarget"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    text = PAGE.read_text(encoding="utf-8")
    for name, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(code, encoding="utf-8")
    (risks,) = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "risks.json").write_text(risks, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    for name in ("parrot", "parrot_target"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("example")
def test_the_example_closes_its_item_and_its_fault_is_found() -> None:
    target = catalogue.make_target(SPEC, None, None)
    profile = Profile(plans=8, seconds=60, replays=1, overlays=True)
    with Pool(SPEC, jobs=2) as pool:
        record = Campaign(pool, target, riskmap.load(target.risk_map()), profile).run()
    assert record.findings == () and record.errors == ()
    assert [
        (made.name, made.right_rule, made.detail) for made in record.soundness.overlays if not made.right_rule
    ] == []
    (item,) = record.items
    assert (item.verdict, item.overlays) == ("closed", ("memory-by-chat",)), item.why
