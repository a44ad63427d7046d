"""With ``each`` a failure step strikes every thing of a kind as it is used, a table only when it is written, so that
what a flow writes last fails as well as what it writes first."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.targets.reference import ReferenceTarget
from harness import pairs, touring
from harness.failures import fail_action
from harness.finding import Finding
from harness.judge import judge
from harness.pairing import Pairing
from harness.pairs import spared, timed
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.probes.files import FileProbe
from harness.probes.statement import written
from harness.recorder import Recorder
from harness.strikes import strike
from harness.target import Action, Facts
from harness.trace import Trace
from tests.evidence_factory import TWINS, trace
from tests.rows_support import Watched, Words, watching

ACTIONS = [fail_action("llm.error")]
SPEC = "fixtures.targets.reference:ReferenceTarget"


def arm(recorder: Recorder, what: str, **more: Any) -> None:
    recorder.failures.arm(None, {"what": what, "each": True, **more}, ACTIONS)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(TWINS, Words(), [tmp_path], lambda: None, lambda: 0.0)
    with made.active():
        yield made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Watched, Any]]:
    with watching(tmp_path) as watched:
        connection = sqlite3.connect(tmp_path / "bot.db", isolation_level=None)
        for table in ("note", "usage"):
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, tenant_id, body)")
        yield watched, connection
        connection.close()


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("INSERT INTO note VALUES (1)", "note"),
        ('  insert or replace into "Note" (id) values (1)', "note"),
        ("REPLACE INTO main.note VALUES (1)", "note"),
        ("UPDATE OR IGNORE `note` SET body = 'x'", "note"),
        ("/* tidy */ DELETE FROM note", "note"),
        ("SELECT * FROM note", ""),
        ("WITH x AS (SELECT 1) SELECT * FROM x", ""),
    ],
)
def test_what_a_statement_writes(sql: str, table: str) -> None:
    assert written(sql) == table


def test_every_table_fails_when_it_is_written_first_and_answers_after_that(database: tuple[Watched, Any]) -> None:
    watched, connection = database
    arm(watched.recorder, "database.locked")
    failed = []
    for number, table in enumerate(["note", "note", "usage", "note", "usage"]):
        connection.execute("SELECT count(*) FROM note, usage").fetchall()
        try:
            connection.execute(f"INSERT INTO {table} VALUES ({number}, 'tenant-A', 'x')")
        except sqlite3.OperationalError:
            failed.append(number)
    assert failed == [0, 2]


def test_so_many_writes_of_each_fail_from_the_nth_table_on(database: tuple[Watched, Any]) -> None:
    watched, connection = database
    arm(watched.recorder, "database.io", nth=2, times=2)
    failed = []
    for number, table in enumerate(["note", "usage", "note", "usage", "usage"]):
        try:
            connection.execute(f"UPDATE {table} SET body = 'y'")
        except sqlite3.OperationalError:
            failed.append(number)
    assert failed == [1, 3]


def test_every_file_that_is_written_fails_once(tmp_path: Path, recorder: Recorder) -> None:
    probe = FileProbe()
    probe.install(Facts(name="x", generation="x", packages=()))
    probe.begin(tmp_path)
    try:
        arm(recorder, "disk.full")
        for name in ("one.txt", "two.txt"):
            with pytest.raises(OSError, match=name) as raised:
                (tmp_path / name).write_text("x", encoding="utf-8")
            assert raised.value.errno == errno.ENOSPC
            (tmp_path / name).write_text("x", encoding="utf-8")
    finally:
        probe.finish()


def test_of_what_a_target_replaces_each_fails_once(recorder: Recorder) -> None:
    arm(recorder, "llm.error")
    assert [strike("llm", name) for name in ("big", "small", "big", "small")] == ["error", "error", "", ""]


def test_a_step_of_an_older_plan_strikes_by_number_as_before(recorder: Recorder) -> None:
    recorder.failures.arm(None, {"what": "llm.error", "nth": 2, "times": 1, "one": False}, ACTIONS)
    assert [strike("llm", name) for name in ("big", "small", "big")] == ["", "error", ""]


def test_where_both_are_asked_for_one_thing_stays_down(recorder: Recorder) -> None:
    arm(recorder, "llm.error", one=True, times=9)
    assert [strike("llm", name) for name in ("big", "small", "big")] == ["error", "", "error"]


# -- the tour -----------------------------------------------------------------------------------------------------


def _sweeps() -> list[Plan]:
    tour = touring.tour(ReferenceTarget().actions())
    return [plan for plan in tour if any(step.action == "fail" and step.payload.get("each") for step in plan.steps)]


def test_the_tour_strikes_each_thing_that_is_written_in_one_plan_a_failure() -> None:
    struck = [step for plan in _sweeps() for step in plan.steps if step.action == "fail"]
    assert [step.payload["what"] for step in struck] == ["database.locked", "database.io", "disk.full"]
    assert {step.who for step in struck} == {"A", "B"}, "in one's own flow, since pairs judge nothing else"


def test_a_target_of_before_that_offers_no_each_has_no_such_plan() -> None:
    say = Action(entry="api", name="say", payload={"text": "text"})
    old = Action(entry="world", name="fail", payload={"what": ["database.io"], "nth": [1], "times": [1]})
    plans = touring.tour([say, old])
    assert not any(step.payload.get("each") for plan in plans for step in plan.steps)


def test_one_pair_in_ten_is_of_a_plan_in_which_each_thing_fails() -> None:
    kept = Pairing(("tenant",))
    for number in range(40):
        payload = {"what": "database.io", "nth": 1, "each": number < 4}
        fails = Step(entry="world", action="fail", who="A", payload=payload)
        said = [Step(entry="api", action="text", who=who) for who in ("A", "B", "A")]
        kept.add(Plan(seed=number, steps=(fails, *said)), msgspec.structs.replace(trace(), steps=()), clean=True)
    assert [sum(plan.seed < 4 for plan in kept.chosen(count)) for count in (9, 10, 20)] == [0, 1, 2]


def test_what_one_could_not_write_and_another_writes_for_it_shows_in_a_plan_of_the_tour() -> None:
    """Failures by number do not come that far: the call is written down after everything else of a reply."""
    facts = ReferenceTarget().facts()

    def differs(plan: Plan, overlay: str) -> bool:
        made = msgspec.structs.replace(plan, overlays=(overlay,) if overlay else ())
        outcome = pool.run(made)
        assert outcome.trace is not None and judge(outcome.trace, facts) == []
        struck = {access.surface for access in outcome.trace.accesses if access.detail.get("injected")}
        assert struck >= {"messages", "llm_usage", "expressions"}, "what is written late as well"
        tried = spared(timed(made, outcome.trace.steps))
        return any(pair.result == "differs" for pair in next(pairs.play(pool, [tried], facts, of)))

    def of(found: Trace) -> list[Finding]:
        return judge(found, facts)

    with Pool(SPEC, jobs=1) as pool:
        plan = _sweeps()[0]
        assert differs(plan, "usage-written-later")
        assert not differs(plan, "")


def test_what_a_failing_turn_of_a_timer_leaves_lying_shows_in_a_plan_of_the_tour() -> None:
    facts = ReferenceTarget().facts()

    def of(found: Trace) -> list[Finding]:
        return judge(found, facts)

    def results(plan: Plan, *overlays: str) -> set[str]:
        outcome = pool.run(msgspec.structs.replace(plan, overlays=overlays))
        assert outcome.trace is not None and of(outcome.trace) == []
        tried = spared(timed(outcome.plan, outcome.trace.steps))
        return {pair.result for pair in next(pairs.play(pool, [tried], facts, of))}

    tour = touring.tour(ReferenceTarget().actions())
    failing = [plan for plan in tour if [step.action for step in plan.steps].count("fail") > 6]
    with Pool(SPEC) as pool:
        plan = next(plan for plan in failing if plan.steps[-2].entry == "timer" and plan.steps[-2].who == "A")
        assert "differs" in results(plan, "figures-left-by-a-failure")
        assert results(plan) <= {"equal", "moved"}
