"""A report names what was tried and never once ended well, with what was mostly said: nothing behind it was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.trace import StepRecord, Trace
from harness.unserved import Unserved
from reports import console, html_report, markdown_report, model
from tests.evidence_factory import TWINS, access, trace
from tests.sample_record import CANARY, make_record

REMEMBER = "OperationalError: no such table: runtime_state"


def step(outcome: str, detail: str = "", action: str = "remember", **more: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "index": 0, "entry": "timer", "action": action, "who": "A", "first_seq": 0, "last_seq": 0, "started": 0.0,
        "ended": 0.0, "outcome": outcome, "detail": detail, **more,
    }  # fmt: skip
    return StepRecord(**fields)


def of(*steps: StepRecord, accesses: tuple[Any, ...] = ()) -> Trace:
    return msgspec.structs.replace(trace(*accesses), steps=steps)


def told(*traces: Trace) -> list[tuple[str, int, dict[str, int], str]]:
    made = Unserved()
    for one in traces:
        made.add(one)
    return [(f"{one.entry}.{one.name}", one.tries, one.outcomes, one.error) for one in made.records()]


def test_what_always_ends_badly_is_told_with_what_is_said_most_often() -> None:
    steps = [step("raised", REMEMBER), step("raised", "TimeoutError: later"), step("cancelled")]
    again = [step("raised", REMEMBER)]
    expected = {"cancelled": 1, "raised": 3}
    assert told(of(*steps), of(*again)) == [("timer.remember", 4, expected, REMEMBER)]


def test_what_ended_well_once_is_not_whenever_that_was() -> None:
    assert told(of(step("raised", REMEMBER), step("ok")), of(step("raised", REMEMBER))) == []


@pytest.mark.parametrize("more", [{"wrong": True}, {"crossed": True}, {"forged": ("user=tenant",)}])
def test_what_is_meant_to_be_turned_away_is_no_try(more: dict[str, Any]) -> None:
    assert told(of(step("refused", **more))) == []
    assert told(of(step("refused", **more), step("raised", "boom"))) == [("timer.remember", 1, {"raised": 1}, "boom")]


def test_what_the_harness_does_to_the_world_is_left_out() -> None:
    assert told(of(step("unmet", "nothing is in flight", entry="world", action="cancel"))) == []


def test_errors_that_differ_by_whom_they_name_alone_are_one() -> None:
    said = [f"KeyError: {who.tenant} has no row {number}" for who, number in ((TWINS.a, 12345), (TWINS.b, 998877))]
    other = "AttributeError: x"
    found = told(of(*(step("raised", text) for text in (other, *said))))
    assert found == [("timer.remember", 3, {"raised": 3}, "KeyError: {tenant} has no row {number}")]


def test_of_errors_as_frequent_as_each_other_the_first_by_name_is_told() -> None:
    for texts in (["b", "a"], ["a", "b"]):
        assert told(of(*(step("raised", text) for text in texts)))[0][3] == "a"


def test_a_refusal_is_told_by_its_answer() -> None:
    answer = access(sink="outbound", op="write", step=0, detail={"text": "404 {'detail': 'gone'}", "returned": True})
    assert told(of(step("refused"), accesses=(answer,)))[0][3] == "404 {'detail': 'gone'}"


# -- the report ---------------------------------------------------------------------------------------------------


def test_every_format_for_readers_names_it() -> None:
    report = model.from_record(make_record())
    assert report["unserved"][0]["name"] == "remember"
    for text in (html_report.render(report), markdown_report.render(report), console.summary(report)):
        assert "remember" in text
    assert "10 with an error, 2 cut off" in html_report.render(report)
    assert "1 action never once ended well: timer.remember" in console.summary(report, width=200)


def test_where_everything_was_served_nothing_is_said() -> None:
    report = model.from_record(make_record(unserved=()))
    assert "never once" not in html_report.render(report) + markdown_report.render(report) + console.summary(report)


def test_a_redacted_report_keeps_what_was_tried_and_leaves_out_what_was_said() -> None:
    report = model.redact(model.from_record(make_record()))
    assert CANARY not in json.dumps(report["unserved"])
    assert [(tried["name"], tried["tries"]) for tried in report["unserved"]] == [("remember", 12), ("GET /gone", 4)]


def test_a_report_of_before_is_read_as_one_that_has_none(tmp_path: Path) -> None:
    report = model.from_record(make_record())
    del report["unserved"]
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert model.load(tmp_path)["unserved"] == []
