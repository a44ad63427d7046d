"""One pytest test for each demand of the documents: met passes, broken fails with its finding, the rest is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli_support import isolation, report_of

pytest_plugins = ["pytester"]

SCENARIO = Path(__file__).parent.parent / "scenarios" / "test_demands.py"
SPEC = "tests.demanding_target:DemandingTarget"
FAST = ("--target", SPEC, "--isolation-plans", "15")
LEAK = ("--isolation-overlays", "last-text")


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_demands=SCENARIO.read_text(encoding="utf-8"))
    return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:asyncio", *FAST, *arguments)


def test_met_passes_and_what_cannot_be_shown_is_skipped_with_the_reason(pytester: pytest.Pytester) -> None:
    done = run(pytester, "-v", "-rs")
    done.assert_outcomes(passed=1, skipped=1)
    done.stdout.fnmatch_lines(
        ["test_demands.py::test_demand?wire-keeps-apart? PASSED*", "*not exercised: no step plays a script*"]
    )


def test_broken_fails_with_the_finding_though_no_risk_item_was_chosen(pytester: pytest.Pytester) -> None:
    done = run(pytester, *LEAK)
    done.assert_outcomes(failed=1, skipped=1)
    done.stdout.fnmatch_lines(["messages reach their own tenant: 1 finding (canary-flow)", "*canary-flow: *wire of*"])


def test_a_run_reports_them_in_every_format_and_a_selection_does_not(tmp_path: Path) -> None:
    fast = ("run", "--target", SPEC, "--plans", "15", "--jobs", "1", "--out")
    assert isolation(*fast, tmp_path / "all").exit_code == 0
    assert [(one["id"], one["outcome"]) for one in report_of(tmp_path / "all")["requirements"]] == [
        ("wire-keeps-apart", "met"), ("scripts", "not_exercised"),
    ]  # fmt: skip
    page = (tmp_path / "all" / "report.html").read_text(encoding="utf-8")
    assert "What one tenant says is not sent to another." in page and "no step plays a script" in page
    text = (tmp_path / "all" / "report.md").read_text(encoding="utf-8")
    assert "Demands of the documents: 1 met, 1 not exercised" in text
    isolation(*fast, tmp_path / "part", "--items", "wire-*")
    assert report_of(tmp_path / "part")["requirements"] == []
