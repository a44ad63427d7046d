"""Long work says where it is: in a log a line from time to time, and never on standard output."""

from __future__ import annotations

import pytest

from harness import cli_common
from harness.cli_common import Ticker


def test_a_log_gets_lines_at_intervals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(cli_common.time, "monotonic", lambda: now)
    show = Ticker()
    for now in range(0, 70, 10):
        show.say(f"tour: {now}/70")
    show.end()
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["tour: 30/70", "tour: 60/70"]
    assert shown.out == ""
