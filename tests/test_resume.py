"""A run that was cut short is gone on with: nothing is lost, no plan is played twice, the budget is what is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness import memory
from harness.campaign import Campaign
from harness.errors import UsageError
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.profiles import Profile, Progress, shared_out
from harness.record import RunRecord
from tests.campaign_targets import LeakyTarget
from tests.cli_support import LEAK, isolation, report_of
from tests.cli_target import SPEC
from tests.test_campaign_findings import RISKS
from tests.test_cli_run import interrupt, interruptible

WHOLE = Profile(plans=24, seconds=600, replays=3, overlays=True, pairs=3)


@pytest.fixture(scope="module", autouse=True)
def exploring_has_its_turns() -> Iterator[None]:
    """How much is explored between two turns of the tour hangs on the clock, and so on what else this machine does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.campaign.EXPLORING", 1e9)
        yield


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool("tests.campaign_targets:LeakyTarget", jobs=2) as made:
        yield made


def campaign(
    pool: Pool, kept: memory.Memory, report: Callable[[Progress], None] = lambda progress: None, **more: Any
) -> RunRecord:
    pool.memory = kept
    try:
        return Campaign(pool, LeakyTarget(), RISKS, WHOLE, seed=3, report=report, **more).run()
    finally:
        pool.memory = None
        kept.close()


def cut_at(phase: str, plans: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.phase == phase and progress.plans >= plans:
            raise KeyboardInterrupt

    return report


def told(record: RunRecord) -> dict[str, Any]:
    """All of a record that does not hang on the clock."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    for name in ("seconds", "environment", "started"):
        plain["run"].pop(name)
    plain.pop("performance")
    return plain


@pytest.fixture(scope="module")
def uncut(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    kept = memory.create(tmp_path_factory.mktemp("uncut"))
    record = campaign(pool, kept)
    assert (
        record.findings
        and record.soundness.overlays
        and record.soundness.pairs["plans"] + record.soundness.pairs["behind"] == 3
    )
    return told(record), kept.kept


@pytest.mark.parametrize(
    ("phase", "plans"), [("plans", 1), ("plans", 17), ("pairs", 1), ("witnesses", 0), ("witnesses", 1), ("overlays", 2)]
)
def test_a_run_cut_anywhere_and_gone_on_with_ends_as_one_that_was_not(
    pool: Pool, uncut: tuple[dict[str, Any], int], tmp_path: Path, phase: str, plans: int
) -> None:
    first = campaign(pool, memory.create(tmp_path), cut_at(phase, plans))
    assert first.run.interrupted
    again = memory.recall(tmp_path)
    assert again.kept > 0
    second = campaign(pool, again)
    assert not second.run.interrupted
    assert (told(second), again.kept) == uncut, "the same record, and as many plans played as in one go"


def test_it_may_be_cut_more_than_once(pool: Pool, uncut: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    campaign(pool, memory.create(tmp_path), cut_at("plans", 5))
    campaign(pool, memory.recall(tmp_path), cut_at("witnesses", 1))
    last = memory.recall(tmp_path)
    assert (told(campaign(pool, last)), last.kept) == uncut


def test_a_bot_that_does_something_else_by_now_is_not_gone_on_with(pool: Pool, tmp_path: Path) -> None:
    campaign(pool, memory.create(tmp_path), cut_at("plans", 5))
    with (
        Pool("tests.campaign_targets:SoundTarget", jobs=1) as other,
        pytest.raises(UsageError, match="does not do what it did when the run was begun"),
    ):
        campaign(other, memory.recall(tmp_path))


def test_the_time_that_is_spent_is_spent(pool: Pool, tmp_path: Path) -> None:
    first = campaign(pool, memory.create(tmp_path), cut_at("plans", 9))
    known = memory.recall(tmp_path)
    kept = known.kept
    # No time is left at all: what is known is judged all the same, and nothing else is played.
    record = campaign(pool, known, minutes=0.0)
    assert known.kept == kept
    assert record.run.plans >= first.run.plans
    assert {f.fingerprint for f in record.findings} == {f.fingerprint for f in first.findings}
    assert any("findings not replayed" in error.message for error in record.errors)


def test_what_was_played_sets_the_watch(tmp_path: Path) -> None:
    made = memory.create(tmp_path)
    job, done = _job(1), _done()
    made.watch.set(1000.0)
    made.keep(job, done)
    made.close()
    again = memory.recall(tmp_path)
    assert again.watch.elapsed() < 1000
    assert again.take(job) is not None
    assert again.watch.elapsed() >= 1000
    assert again.take(job) is None, "each outcome is handed out once"
    again.close()


def test_minutes_are_shared_out_over_all_that_a_run_does() -> None:
    for profile in (WHOLE, msgspec.structs.replace(WHOLE, overlays=False)):
        times = shared_out(profile, 100.0)
        assert times.plans + times.confirming + times.trying == pytest.approx(times.end) == 100
    assert shared_out(WHOLE, None).plans == WHOLE.seconds


def test_an_outcome_cut_off_in_the_writing_is_played_again(tmp_path: Path) -> None:
    made = memory.create(tmp_path)
    for number in (1, 2):
        made.keep(_job(number), _done())
    made.close()
    path = tmp_path / memory.NAME
    path.write_bytes(path.read_bytes()[:-3])
    again = memory.recall(tmp_path)
    assert (again.take(_job(1)) is not None, again.take(_job(2))) == (True, None)
    again.keep(_job(2), _done())
    again.close()
    assert memory.recall(tmp_path).kept == 2


def test_damage_is_told_with_the_place(tmp_path: Path) -> None:
    made = memory.create(tmp_path)
    for number in (1, 2):
        made.keep(_job(number), _done())
    made.close()
    path = tmp_path / memory.NAME
    data = bytearray(path.read_bytes())
    data[80] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"is damaged at byte 21: .* start the run anew without --resume"):
        memory.recall(tmp_path)


def _job(number: int) -> Any:
    from harness.wire import Job

    plan = Plan(steps=(Step(entry="api", action="echo", who="A", payload={"number": number}),))
    return Job(id=number, plan=plan.to_json(), limit=60)


def _done() -> Any:
    from harness.wire import Done

    return Done(id=1, status="crash", detail="x" * 100)


# The command


def test_after_ctrl_c_the_run_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    status, errors = interrupt(tmp_path, LEAK)
    assert status == 1
    assert f"`isolation run --resume {tmp_path}` goes on where it was" in errors
    first = report_of(tmp_path)
    done = isolation("run", "--resume", tmp_path)
    assert done.exit_code == 1, done.output
    report = report_of(tmp_path)
    assert not report["run"]["interrupted"]
    assert report["run"]["plans"] > first["run"]["plans"]
    assert report["run"]["started"] == first["run"]["started"]
    assert report["run"]["overlays"] == ["last-text"], "the options of the run as it was asked for"
    assert "outcomes are of earlier sittings" in report["run"]["environment"]["resumed"]
    assert {f["fingerprint"] for f in first["findings"]} <= {f["fingerprint"] for f in report["findings"]}
    assert not (tmp_path / "resume").exists()
    done = isolation("run", "--resume", tmp_path)
    assert (done.exit_code, "it holds a finished report" in done.stderr) == (2, True)


def test_a_run_that_was_killed_can_be_gone_on_with(tmp_path: Path) -> None:
    process = subprocess.Popen(interruptible(tmp_path, "steady", ()), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    next(line for line in process.stderr if "PLAYED" in line)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    assert not (tmp_path / "report.json").exists()
    done = isolation("run", "--resume", tmp_path)
    assert done.exit_code == 0, done.output
    assert "of earlier sittings" in report_of(tmp_path)["run"]["environment"]["resumed"]


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A folder with a run that was cut short."""
    interrupt(tmp_path, ())
    return tmp_path


def refused(*arguments: str | Path) -> str:
    done = isolation("run", *arguments)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_what_cannot_be_gone_on_with_is_refused_in_one_message(cut: Path) -> None:
    said = refused("--resume", cut, "--seed", "4", "--target", SPEC)
    assert "leave out --target, --seed" in said or "leave out --seed, --target" in said
    assert "no run was cut short there" in refused("--resume", cut / "elsewhere")
    session = cut / "resume" / "session.json"
    text = session.read_text()
    session.write_text(text.replace('"target_version": "tiny"', '"target_version": "older"'))
    assert "was begun on older, this is tiny" in refused("--resume", cut)
    session.write_text(text.replace('"harness_version": "', '"harness_version": "0'))
    assert "was begun by harness 0" in refused("--resume", cut)
    session.write_text(text[:-20])
    assert "session.json is damaged" in refused("--resume", cut)
    session.write_text(text)
    outcomes = cut / "resume" / memory.NAME
    outcomes.write_bytes(b"\0" + outcomes.read_bytes()[1:])
    assert "is damaged at byte 0" in refused("--resume", cut)


def test_another_run_into_the_folder_drops_the_one_that_was_cut_short(cut: Path) -> None:
    done = isolation("run", "--target", SPEC, "--plans", "4", "--jobs", "1", "--out", cut)
    assert done.exit_code == 0, done.output
    assert "the run that was cut short in" in done.stderr
    assert not (cut / "resume").exists()


def test_a_redacted_run_keeps_nothing_of_what_it_played(tmp_path: Path) -> None:
    _, errors = interrupt(tmp_path, ("--redact",))
    assert "--resume" not in errors
    assert not (tmp_path / "resume").exists()
