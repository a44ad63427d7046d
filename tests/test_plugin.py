"""The pytest plugin: one test a risk item, options checked early, one campaign a session, also under xdist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli_support import report_of
from tests.cli_target import SPEC

pytest_plugins = ["pytester"]

SCENARIO = Path(__file__).parent.parent / "scenarios" / "test_risk_items.py"
FAST = ("--target", SPEC, "--isolation-plans", "15")
LEAK = ("--isolation-overlays", "last-text", "--isolation-plans", "4")
"""The fault shows in the first plans; an item is closed only after all of them."""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the scenario as somebody would have it."""
    pytester.makepyfile(test_items=SCENARIO.read_text(encoding="utf-8"))
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session in this process: what costs is the campaign, not another start of pytest."""
    return suite.runpytest_inprocess("-p", "no:randomly", "-p", "no:asyncio", *arguments)


def run_apart(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session in a process of its own, as a user starts it."""
    return suite.runpytest_subprocess("-p", "no:randomly", *arguments)


def test_each_item_is_a_test_with_its_verdict(suite: pytest.Pytester) -> None:
    done = run(suite, *FAST, "-v", "-rs")
    done.assert_outcomes(passed=1, skipped=2)
    done.stdout.fnmatch_lines(
        [
            "test_items.py::test_item?wire-apart? PASSED*",
            "test_items.py::test_item?never-reached? SKIPPED*",
            "test_items.py::test_item?elsewhere? SKIPPED*",
            "*= tenant isolation =*",
            "tiny tiny: * plans, * steps, seed 0",
            "1 closed, 1 not applicable, 1 not exercised",
            "*not exercised: row on timer: never reached*",
        ]
    )


def test_an_open_item_fails_with_its_finding(suite: pytest.Pytester) -> None:
    done = run(suite, *FAST, *LEAK)
    done.assert_outcomes(failed=1, skipped=2)
    done.stdout.fnmatch_lines(
        ["*canary-flow: *message stands in outbound wire of*", "*= tenant isolation =*", "*1 open*"]
    )


def test_under_xdist_the_campaign_runs_once_and_is_summed_up_once(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
import os, pathlib
from harness.campaign import Campaign
former = Campaign.run
def run(self):
    with open(os.environ["COUNTER"], "a") as file:
        file.write("x")
    return former(self)
Campaign.run = run
"""
    )
    counter = suite.path / "counter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTER", str(counter))
        done = run_apart(suite, *FAST, *LEAK, "-n", "2")
    done.assert_outcomes(failed=1, skipped=2)
    assert counter.read_text() == "x"
    assert str(done.stdout).count("= tenant isolation =") == 1
    done.stdout.fnmatch_lines(["1 not applicable, 1 not exercised, 1 open"])


def test_minutes_end_the_campaign(suite: pytest.Pytester) -> None:
    done = run(suite, *FAST, "--isolation-minutes", "0")
    done.assert_outcomes(skipped=3)
    done.stdout.fnmatch_lines(["tiny tiny: 0 plans, 0 steps, seed 0"])


def test_a_choice_of_items_is_decided_alone(suite: pytest.Pytester) -> None:
    done = run(suite, *FAST, *LEAK, "-k", "never-reached")
    done.assert_outcomes(skipped=1, deselected=2)
    done.stdout.fnmatch_lines(["1 not exercised"])
    done.stdout.no_fnmatch_line("*canary-flow*")


def test_last_failed_and_stop_at_first(suite: pytest.Pytester) -> None:
    run(suite, *FAST, *LEAK, "-x").assert_outcomes(failed=1)
    run(suite, *FAST, "--lf").assert_outcomes(passed=1)


def test_ini_keys_stand_for_options_and_paths_are_theirs(suite: pytest.Pytester) -> None:
    suite.makeini(
        f"""
[pytest]
isolation_target = {SPEC}
isolation_plans = 4
isolation_overlays = last-text
isolation_items = wire-*
isolation_out = made
"""
    )
    deeper = suite.mkdir("deeper")
    done = run(suite, str(suite.path), "--isolation-seed", "3", "--rootdir", str(suite.path), "-c", "tox.ini")
    done.assert_outcomes(failed=1)
    report = report_of(suite.path / "made")
    assert report["run"]["seed"] == 3
    assert report["findings"][0]["replay"].endswith(f"--target {SPEC}")
    assert list((suite.path / "made" / "witnesses").iterdir())
    assert not list(deeper.iterdir())


def test_what_the_baseline_accepts_is_an_expected_failure(suite: pytest.Pytester) -> None:
    suite.makefile(
        ".toml", accepted='[[waiver]]\nitem = "wire-apart"\nowner = "alice"\nreason = "known"\nuntil = 2999-01-01\n'
    )
    done = run(suite, *FAST, *LEAK, "--isolation-baseline", "accepted.toml", "-rx")
    done.assert_outcomes(xfailed=1, skipped=2)
    done.stdout.fnmatch_lines(["*accepted by alice until 2999-01-01: known*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--isolation-profile", "nope"), "*isolation_profile*'nope' is none of quick, ci, nightly"),
        (("--isolation-seed", "x"), "*isolation_seed*'x' is no whole number from 0"),
        (("--isolation-plans", "-1"), "*isolation_plans*'-1' is no whole number from 0"),
        (("--isolation-minutes", "soon"), "*isolation_minutes*'soon' is no number of minutes"),
        (("--target", "nope"), "*no target is called 'nope'*"),
        (("--root", "/nope"), "*isolation_root*'/nope' is no folder"),
        (("--isolation-baseline", "nope.toml"), "*nope.toml does not exist*"),
    ],
)
def test_bad_values_are_refused_before_anything_runs(
    suite: pytest.Pytester, arguments: tuple[str, ...], said: str
) -> None:
    done = run(suite, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {said}"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--isolation-items", "nope"), "*no risk item matches 'nope'*"),
        (("--isolation-overlays", "nope"), "*has no overlay 'nope'*"),
    ],
)
def test_unknown_items_and_overlays_are_refused_at_collection(
    suite: pytest.Pytester, arguments: tuple[str, ...], said: str
) -> None:
    done = run(suite, *FAST, *arguments)
    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.stdout.fnmatch_lines([said])


def test_a_blind_probe_ends_the_session_with_status_3(suite: pytest.Pytester) -> None:
    done = run(suite, "--target", "tests.cli_target:BlindTarget")
    assert done.ret == 3
    done.stdout.fnmatch_lines(["isolation: blind probe(s): prompt*"])
    done.assert_outcomes(errors=1)


UNSOUND = """
import msgspec
from harness.profiles import PROFILES
PROFILES["quick"] = msgspec.structs.replace(PROFILES["quick"], overlays=True)
"""
"""The target's overlay `nothing` is declared a fault and changes nothing: tried, it goes unnoticed."""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_unsound_record_ends_the_session_with_status_3(suite: pytest.Pytester, workers: str) -> None:
    suite.makeconftest(UNSOUND)
    done = run_apart(suite, *FAST, "-n", workers)
    assert done.ret == 3
    done.assert_outcomes(passed=1, skipped=2)
    done.stdout.fnmatch_lines(["*cannot vouch for this run*1 of 2 injected faults went unnoticed*"])


def test_other_suites_do_not_notice_the_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): pass")
    done = run_apart(pytester)
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*= tenant isolation*")
