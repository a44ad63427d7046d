"""A target that does not hold what a target promises: one message that says what and where, never exit status 1."""

from __future__ import annotations

import pytest

import harness.pool
from harness.errors import TargetError
from harness.plan import Plan, Step
from harness.pool import Pool
from tests.cli_support import isolation

BROKEN = {
    "NoTarget": "'tests.broken_targets:NoTarget' is no target: it lacks actions, ambient, boot, ",
    "Unmakable": "'tests.broken_targets:Unmakable' cannot be made: ValueError: no such port (at ",
    "Idle": "target tiny offers no action, so nothing can be played",
    "Failing": "target tests.broken_targets:Failing cannot boot: RuntimeError: no licence (at ",
    "Leaving": "target tests.broken_targets:Leaving cannot boot: its process ended (7). It printed nothing.",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_target_is_said_once_and_exits_2(name: str, tmp_path: object) -> None:
    done = isolation("run", "--target", f"tests.broken_targets:{name}", "--jobs", "1", "--out", f"{tmp_path}/r")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[0].startswith("isolation: ")
    assert BROKEN[name] in done.stderr


def test_what_the_bot_printed_stands_behind_an_error_at_boot() -> None:
    with pytest.raises(TargetError, match=r"no licence (?s:.*)Its last output:\nlooking for the licence"):
        Pool("tests.broken_targets:Failing", jobs=1)


def test_a_target_that_never_boots_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.pool, "BOOT_LIMIT", 3.0)
    with pytest.raises(TargetError, match="did not boot within 3 s and was stopped"):
        Pool("tests.broken_targets:Spinning", jobs=1)


def test_a_mistake_nobody_foresaw_is_no_finding() -> None:
    done = isolation("items", "--target", "tests.broken_targets:Undeclared")
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].startswith("isolation: stopped by a mistake of the harness or of the target: ")


def test_a_fork_that_died_tells_its_last_words() -> None:
    with Pool("tests.broken_targets:Dying", jobs=1) as pool:
        outcome = pool.run(Plan(steps=(Step(entry="api", action="echo", who="A", payload={"text": "x"}),)))
    assert outcome.status == "crash"
    assert outcome.detail.endswith("died with signal 6; the last that was printed: out of memory")


def test_a_bot_of_which_no_plan_ends_is_not_vouched_for(tmp_path: object) -> None:
    """What is planted is seen, since no step is played then; a run of nothing else is no run."""
    done = isolation(
        "run", "--target", "tests.broken_targets:Dying", "--jobs", "1", "--plans", "2", "--out", f"{tmp_path}/r"
    )  # fmt: skip
    assert done.exit_code == 3
    assert "none of the plans ended, so nothing was watched; the first: " in done.stderr
    assert "out of memory" in done.stderr
