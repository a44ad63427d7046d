"""A failure step makes the nth operation of one kind fail in the flow it names, and nothing else."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.targets.reference import ReferenceTarget
from harness import touring
from harness.coverage import Coverage
from harness.errors import UsageError
from harness.failures import GENERIC, fail_action
from harness.flow import FLOW, Flow
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.probes.files import FileProbe
from harness.recorder import Recorder
from harness.strikes import strike
from harness.target import Facts
from tests.evidence_factory import TWINS, access, trace
from tests.rows_support import Watched, Words, watching

ACTIONS = [fail_action("llm.error", "llm.empty")]
SPEC = "fixtures.targets.reference:ReferenceTarget"


@contextmanager
def flow_of(label: str | None) -> Iterator[None]:
    token = FLOW.set(Flow(f"{label}.0", 0, label, "api"))
    try:
        yield
    finally:
        FLOW.reset(token)


def arm(
    recorder: Recorder, what: str, who: str | None = None, nth: int = 1, times: int = 1, *, one: bool = False
) -> None:
    recorder.failures.arm(who, {"what": what, "nth": nth, "times": times, "one": one}, ACTIONS)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(TWINS, Words(), [tmp_path], lambda: None, lambda: 0.0)
    with made.active():
        yield made


def test_in_a_timer_s_round_the_turn_of_whoever_is_served_is_struck(tmp_path: Path) -> None:
    turn: dict[str, str | None] = {}
    recorder = Recorder(TWINS, Words(), [tmp_path], lambda: turn, lambda: 0.0)
    with recorder.active():
        arm(recorder, "llm.error", who="B")
        struck = []
        for who in (TWINS.a, TWINS.b, TWINS.a):
            turn = {"tenant": who.tenant, "agent": who.agent}
            struck.append(strike("llm"))
        assert struck == ["", "error", ""]


# -- whom and when ------------------------------------------------------------------------------------------------


def test_the_nth_operation_fails_so_many_times(recorder: Recorder) -> None:
    arm(recorder, "llm.error", nth=2, times=2)
    assert [strike("llm") for _ in range(5)] == ["", "error", "error", "", ""]


def test_the_nth_thing_stays_down_while_all_else_of_its_kind_answers(recorder: Recorder) -> None:
    arm(recorder, "llm.error", nth=2, times=3, one=True)
    asked = ["big", "big", "small", "big", "small", "third", "small", "small"]
    assert [strike("llm", model) for model in asked] == ["", "", "error", "", "error", "", "error", ""]


def test_a_second_one_takes_down_something_else(recorder: Recorder) -> None:
    arm(recorder, "llm.error", times=9, one=True)
    arm(recorder, "llm.empty", times=9, one=True)
    asked = ["big", "big", "small", "third", "small", "big"]
    assert [strike("llm", model) for model in asked] == ["error", "error", "empty", "", "empty", "error"]


def test_only_the_flow_that_is_named_is_struck(recorder: Recorder) -> None:
    arm(recorder, "llm.empty", who="A")
    with flow_of("B"):
        assert strike("llm") == ""
    with flow_of(None):
        assert strike("llm") == ""
    with flow_of("A"):
        assert strike("llm") == "empty"


def test_other_kinds_are_neither_struck_nor_counted(recorder: Recorder) -> None:
    arm(recorder, "llm.error", nth=2)
    assert [strike("config"), strike("llm"), strike("config"), strike("llm")] == ["", "", "", "error"]


def test_what_the_harness_does_itself_is_neither_struck_nor_counted(recorder: Recorder) -> None:
    arm(recorder, "llm.error")
    with recorder.muted():
        assert strike("llm") == ""
    assert strike("llm") == "error"


def test_nothing_fails_outside_a_run() -> None:
    assert strike("llm") == ""


def test_a_failure_nobody_offers_is_refused_with_those_on_offer(recorder: Recorder) -> None:
    with pytest.raises(UsageError, match=r"'llm\.slow'.*database\.locked.*llm\.empty"):
        arm(recorder, "llm.slow")


# -- the generic kinds strike -------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Watched, Any]]:
    with watching(tmp_path) as watched:
        connection = sqlite3.connect(tmp_path / "bot.db", isolation_level=None)
        connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, tenant_id, body)")
        yield watched, connection
        connection.close()


@pytest.mark.parametrize(
    ("what", "message"), [("database.locked", "database is locked"), ("database.io", "disk I/O error")]
)
def test_a_statement_fails_as_a_database_fails_it(database: tuple[Watched, Any], what: str, message: str) -> None:
    watched, connection = database
    arm(watched.recorder, what, nth=2)
    connection.execute("INSERT INTO note VALUES (1, 'tenant-A', 'x')")
    connection.execute("BEGIN")
    connection.execute("COMMIT")
    with pytest.raises(sqlite3.OperationalError, match=message):
        connection.execute("INSERT INTO note VALUES (2, 'tenant-A', 'y')")
    assert connection.execute("SELECT id FROM note").fetchall() == [(1,)]
    failed = [a for a in watched.recorder.accesses if a.op == "error"]
    assert [(a.surface, a.detail["injected"]) for a in failed] == [("note", True)]


def test_many_at_once_are_one_statement(database: tuple[Watched, Any]) -> None:
    watched, connection = database
    arm(watched.recorder, "database.io")
    with pytest.raises(sqlite3.OperationalError):
        connection.executemany("INSERT INTO note VALUES (?, 'tenant-A', 'x')", [(1,), (2,)])
    assert connection.execute("SELECT count(*) FROM note").fetchone() == (0,)


def test_the_same_statement_fails_again_whatever_runs_in_between(database: tuple[Watched, Any]) -> None:
    watched, connection = database
    arm(watched.recorder, "database.locked", times=9, one=True)
    for body in "xy":
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("INSERT INTO note (body) VALUES (?)", (body,))
        assert connection.execute("SELECT count(*) FROM note").fetchone() == (0,)


@pytest.fixture
def files(tmp_path: Path, recorder: Recorder) -> Iterator[Path]:
    probe = FileProbe()
    probe.install(Facts(name="x", generation="x", packages=()))
    probe.begin(tmp_path)
    try:
        yield tmp_path
    finally:
        probe.finish()
        assert not [fault for fault in recorder.faults if fault.harness]


def test_a_full_disk_refuses_the_nth_file_that_is_written(files: Path, recorder: Recorder) -> None:
    arm(recorder, "disk.full", nth=2)
    (files / "one.txt").write_text("1", encoding="utf-8")
    (files / "one.txt").read_text(encoding="utf-8")
    with pytest.raises(OSError, match=r"two\.txt") as raised:
        (files / "two.txt").write_text("2", encoding="utf-8")
    assert raised.value.errno == errno.ENOSPC
    assert not (files / "two.txt").exists()
    assert [a.key for a in recorder.accesses if a.op == "error"] == ["two.txt"]


def test_one_file_is_gone_while_others_are_there(files: Path, recorder: Recorder) -> None:
    for name in ("one.txt", "two.txt"):
        (files / name).write_text(name, encoding="utf-8")
    arm(recorder, "vanish.file", times=9, one=True)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            (files / "one.txt").read_text(encoding="utf-8")
        assert (files / "two.txt").read_text(encoding="utf-8") == "two.txt"


def test_a_file_that_vanished_cannot_be_read_and_is_there_again(files: Path, recorder: Recorder) -> None:
    (files / "one.txt").write_text("1", encoding="utf-8")
    arm(recorder, "vanish.file")
    with pytest.raises(FileNotFoundError):
        (files / "missing.txt").read_text(encoding="utf-8")
    with pytest.raises(FileNotFoundError) as raised:
        (files / "one.txt").read_text(encoding="utf-8")
    assert raised.value.filename == str(files / "one.txt")
    assert (files / "one.txt").read_text(encoding="utf-8") == "1"


# -- verdicts -----------------------------------------------------------------------------------------------------


def test_what_a_failure_step_broke_is_no_access_and_what_comes_after_no_control() -> None:
    made = Coverage()
    made.add(
        trace(
            access(owner="A"),
            access(op="error", detail={"injected": True, "failing": True}),
            access(owner="A", detail={"failing": True}),
        )
    )
    assert sorted((reach.op, reach.failing, reach.held) for reach in made.counts) == [
        ("read", False, True),
        ("read", True, False),
    ]


# -- plans --------------------------------------------------------------------------------------------------------


def test_the_tour_tries_every_failure_around_messages_of_both_twins() -> None:
    seen = set()
    for plan in touring.tour(ReferenceTarget().actions()):
        kinds = {step.payload["what"] for step in plan.steps if step.action == "fail"}
        if kinds:
            first = next(index for index, step in enumerate(plan.steps) if step.action == "fail")
            talk = [step for step in plan.steps if step.entry == "api"]
            assert {step.who for step in talk} == {"A", "B"}
            if any(step in talk for step in plan.steps[first:]):  # the others are about turns of timers
                seen |= kinds
    assert seen >= {*GENERIC, "llm.hostile", "config.error"}


def test_the_tour_has_each_failure_as_one_thing_that_is_down_for_good() -> None:
    steps = [step for plan in touring.tour(ReferenceTarget().actions()) for step in plan.steps]
    down = [step.payload for step in steps if step.action == "fail" and step.payload["one"]]
    assert {payload["what"] for payload in down} >= {*GENERIC, "llm.error"}
    assert {payload["times"] for payload in down} == {100}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC, jobs=1) as made:
        yield made


def test_the_reference_bot_fails_as_told_and_keeps_its_tenants_apart(pool: Pool) -> None:
    target = ReferenceTarget()
    struck: dict[str, bool] = {}
    for plan in touring.tour(target.actions()):
        kinds = {str(step.payload["what"]) for step in plan.steps if step.action == "fail"}
        if not kinds or all(struck.get(kind) for kind in kinds):
            continue
        outcome = pool.run(plan)
        assert outcome.trace is not None
        assert judge(outcome.trace, target.facts()) == []
        for kind in kinds:
            struck[kind] = any(a.detail.get("failing") for a in outcome.trace.accesses)
    assert all(struck.values()), struck


def test_a_leak_in_a_fallback_shows_only_where_something_fails(pool: Pool) -> None:
    def rules(*, fails: bool, broken: bool) -> set[str]:
        talk = [Step(entry="api", action="mention", who=who, payload={"text": "{message}"}) for who in "AB"]
        failure = Step(entry="world", action="fail", payload={"what": "llm.error", "nth": 1, "times": 100})
        pause = Step(entry="world", action="advance", payload={"seconds": 5}, join=True)
        steps = (*talk, pause, *([failure] if fails else []), *talk, pause)
        plan = Plan(steps=steps, overlays=("answer-before-the-error",) if broken else ())
        outcome = pool.run(plan)
        assert outcome.trace is not None
        return {finding.rule for finding in judge(outcome.trace, ReferenceTarget().facts())}

    assert "canary-flow" in rules(fails=True, broken=True)
    assert rules(fails=False, broken=True) == set()
    assert rules(fails=True, broken=False) == set()
