"""A witness of an earlier commit: it still replays after unrelated awaits were added, or says what moved."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.judge import judge
from harness.plan import Deviation, Plan, Step
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.witness import Witness, save
from tests.cli_support import isolation
from tests.edited_bot import RacyTarget

FOUND_ON = "tests.edited_bot:RacyTarget"
SITE = "tests.edited_bot:_waiting.<locals>.kept_for_a_moment"
STEPS = (
    Step(entry="api", action="text", who="A", payload={"text": "{message}"}),
    Step(entry="api", action="text", who="B", payload={"text": "{message}"}, gap=0.5),
)
LATE = Deviation(kind="delay", lineage="A.0", site=SITE, amount=0.7)
"""A's wait ends after B's message has come in."""


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A witness that needs its schedule: in the order of a stock loop nothing crosses."""
    target = RacyTarget()
    plan = Plan(twins=TwinSpec(), steps=STEPS, overlays=("race",), tape=(LATE,))
    with Pool(FOUND_ON, jobs=1) as pool:
        plain, late = (pool.run(msgspec.structs.replace(plan, tape=tape)).trace for tape in ((), plan.tape))
    assert plain is not None and late is not None
    assert judge(plain, target.facts()) == []
    finding = next(f for f in judge(late, target.facts()) if f.rule == "canary-flow" and f.sink == "row")
    return save(
        Witness(
            fingerprint=finding.fingerprint,
            target="reference",
            target_version=target.version(),
            rule=finding.rule,
            message=finding.message,
            plan=plan,
        ),
        tmp_path_factory.mktemp("witness"),
    )


def test_it_replays_on_the_code_it_was_found_on(witness: Path) -> None:
    done = isolation("replay", witness, "--target", FOUND_ON)
    assert done.exit_code == 1, done.output
    assert "the witness was found on" not in done.stdout


def test_it_replays_after_unrelated_awaits_were_added(witness: Path) -> None:
    done = isolation("replay", witness, "--target", "tests.edited_bot:AwaitsMoreTarget", "--times", "2")
    assert done.exit_code == 1, done.output
    assert "this is awaits-more" in done.stdout
    assert "shown in 2 of 2 replays" in done.stdout


def test_it_says_what_moved_when_its_place_is_gone(witness: Path) -> None:
    done = isolation("replay", witness, "--target", "tests.edited_bot:RenamedTarget")
    assert done.exit_code == 3, done.output
    assert f"the schedule's delay of A.0 at {SITE} met nothing" in done.stderr
    assert "run the campaign again" in done.stderr
