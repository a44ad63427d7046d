"""`--redact`: no payload, key, credential, config value or witness leaves in anything that is written."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from harness.record import ErrorRecord
from reports import console, html_report, json_report, junit_report, markdown_report, model, sarif_report
from tests.sample_record import CANARY, KEY, make_item, make_record

WRITERS = [json_report.write, html_report.write, sarif_report.write, junit_report.write, markdown_report.write]


@pytest.mark.parametrize("write", WRITERS)
def test_no_secret_is_written(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = model.from_record(make_record())
    assert CANARY in write(report, tmp_path / "open").read_text() or write is junit_report.write
    text = write(model.redact(report), tmp_path / "redacted").read_text()
    assert CANARY not in text
    assert KEY not in text
    assert "to yourself" not in text
    assert "witnesses/" not in text


def test_further_secrets_are_removed_wherever_they_stand() -> None:
    items = (make_item(0, "open"),)
    why = "the config answered hunter2-value"
    item = type(items[0])(**{**{f: getattr(items[0], f) for f in items[0].__struct_fields__}, "why": why})
    record = make_record(leaks=0, items=(item,), errors=(ErrorRecord(kind="crash", message="hunter2-value"),))
    text = json.dumps(model.redact(model.from_record(record), secrets=["hunter2-value"]))
    assert "hunter2-value" not in text
    assert "the config answered" in text


def test_a_redacted_report_still_says_where_and_what() -> None:
    report = model.redact(model.from_record(make_record()))
    finding = report["findings"][0]
    assert finding["site"]["file"] in finding["message"]
    assert finding["surface"] in finding["message"]
    assert [step["action"] for step in finding["plan"]["steps"]] == ["send_picture", "mention"]
    assert [event["kind"] for event in finding["timeline"]][-1] == "violation"
    assert report["verdict"]["line"] in console.summary(report)


def test_the_same_key_keeps_the_same_name() -> None:
    report = model.redact(model.from_record(make_record()))
    assert {finding["key"] for finding in report["findings"]} == {"key 1"}


def test_redacting_leaves_the_original_alone() -> None:
    report = model.from_record(make_record())
    model.redact(report)
    assert CANARY in json.dumps(report)
    assert report["redacted"] is False


def test_a_payload_quoted_by_a_reason_is_removed() -> None:
    said = f"keep {CANARY} to yourself"
    items = (msgspec.structs.replace(make_item(0, "open"), why=f"the reply was: {said}"),)
    text = json.dumps(model.redact(model.from_record(make_record(items=items))))
    assert "the reply was: (left out)" in text
