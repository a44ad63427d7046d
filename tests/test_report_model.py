"""report.json: the published schema holds, nothing is lost on the way back, the same record gives the same bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from harness.errors import UsageError
from harness.record import ErrorRecord, RunRecord, Soundness
from reports import json_report, model
from tests.sample_record import CANARY, fingerprint, make_finding, make_item, make_record

SCHEMA = Path(model.__file__).parent / "schema" / "report-1.schema.json"

PROMISED = {
    "run": "target target_version harness_version profile seed python plans steps seconds overlays",
    "summary": "open closed inert not_exercised not_applicable waived findings",
    "soundness": "faults killed right_rule controls false_positives clean_plans bound95 pairs",
    "performance": "plans_per_second overhead_ratio fork_ms",
}


def test_report_is_valid_under_the_published_schema(tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    report = json.loads(json_report.write(model.from_record(make_record()), tmp_path).read_text())
    jsonschema.Draft202012Validator(schema).validate(report)
    broken = copy.deepcopy(report)
    broken["items"][0]["verdict"] = "probably fine"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(broken)


def test_published_schema_is_the_one_the_code_means() -> None:
    # After a change of the model: write json.dumps(model.schema(), indent=2) there.
    assert json.loads(SCHEMA.read_text()) == model.schema()


def test_published_schema_does_not_depend_on_how_python_keeps_docstrings() -> None:
    # Python strips their margin from 3.13 on.
    described = [line for text in descriptions(json.loads(SCHEMA.read_text())) for line in text.splitlines()]
    assert len(described) > 20
    assert not [line for line in described if line != line.strip()]


def descriptions(node: Any) -> Iterator[str]:
    """Every description of a schema."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            yield node["description"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from descriptions(child)


def test_report_holds_what_the_contract_promises() -> None:
    report = model.from_record(make_record())
    assert report["schema"] == "isolation-report/1"
    for part, names in PROMISED.items():
        assert set(names.split()) <= set(report[part])
    finding = report["findings"][0]
    names = "fingerprint rule sink entry dimension source observer key site items message witness"
    names += " steps deviations delays_only"
    assert set(names.split()) <= set(finding)
    assert {"file", "line", "function"} <= set(finding["site"])
    assert {"sink", "entry", "dimension", "predicate", "count", "control", "state"} <= set(
        report["items"][0]["cells"][0]
    )
    assert {"sink", "entry", "accesses", "findings"} <= set(report["matrix"][0])
    assert report["summary"]["findings"] == len(report["findings"]) == 8
    assert sum(report["summary"][verdict] for verdict in model.words.VERDICTS) == len(report["items"]) == 24


def test_a_saved_run_is_read_back_whole(tmp_path: Path) -> None:
    report = model.from_record(make_record())
    json_report.write(report, tmp_path)
    assert model.load(tmp_path) == report


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "isolation-report/2"}', "[1, 2"])
def test_a_broken_report_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(UsageError, match=r"report\.json"):
        model.load(tmp_path)


def test_a_missing_report_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="isolation run --out"):
        model.load(tmp_path / "nowhere")


def test_code_around_the_site_is_shown_when_the_source_is_there(tmp_path: Path) -> None:
    finding = make_finding(0)
    source = tmp_path / finding.site.file
    source.parent.mkdir(parents=True)
    source.write_text("".join(f"line {n}\n" for n in range(1, 60)))
    report = model.from_record(make_record(), source_root=tmp_path)
    shown = {f["fingerprint"]: f["site"]["code"] for f in report["findings"]}
    assert [line["number"] for line in shown[fingerprint(0)]] == [37, 38, 39, 40, 41, 42, 43]
    assert [line["text"] for line in shown[fingerprint(0)] if line["hit"]] == ["line 40"]
    assert shown[fingerprint(1)] == []  # its file is not there


def test_code_outside_the_source_root_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("password = 1\n" * 60)
    (tmp_path / "root").mkdir()
    finding = make_finding(0)
    outside = msgspec.structs.replace(finding, site=msgspec.structs.replace(finding.site, file="../secret.py"))
    report = model.from_record(make_record(leaks=1, findings=(outside,)), source_root=tmp_path / "root")
    assert report["findings"][0]["site"]["code"] == []


def verdict(record: RunRecord) -> tuple[str, str]:
    headline = model.from_record(record)["verdict"]
    return headline["state"], " ".join(headline["reasons"])


def test_the_verdict_of_a_run_is_open_while_a_finding_is() -> None:
    state, reasons = verdict(make_record())
    assert state == "open"
    assert "secret reaches another tenant (2)" in reasons


def test_the_verdict_is_closed_only_when_every_item_is() -> None:
    closed = tuple(make_item(number, "closed") for number in range(3))
    assert verdict(make_record(leaks=0, errors=(), items=closed))[0] == "closed"


@pytest.mark.parametrize("gap", ["inert", "not_exercised"])
def test_an_item_that_was_not_shown_is_never_green(gap: str) -> None:
    items = (make_item(0, "closed"), make_item(1, gap))  # type: ignore[arg-type]
    assert verdict(make_record(leaks=0, errors=(), items=items))[0] == "incomplete"


def test_nothing_tried_is_not_a_pass() -> None:
    items = (make_item(0, "not_exercised"), make_item(1, "not_applicable"))
    assert verdict(make_record(leaks=0, errors=(), items=items))[0] == "incomplete"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"soundness": Soundness(probes={"row": False})}, "probe for row"),
        ({"soundness": Soundness(faults=5, killed=4, right_rule=4)}, "went unnoticed"),
        ({"soundness": Soundness(faults=5, killed=5, right_rule=4)}, "wrong rule"),
        ({"soundness": Soundness(false_positives=1)}, "false positive"),
        ({"errors": (ErrorRecord(kind="crash", message="boom", harness=True),)}, "harness itself"),
    ],
)
def test_a_harness_in_doubt_says_so_before_anything_else(change: dict[str, object], word: str) -> None:
    headline = model.from_record(make_record(**change))["verdict"]
    assert headline["state"] == "unsound"
    assert word in headline["reasons"][0]


def test_documents_are_held_against_what_was_measured() -> None:
    report = model.from_record(make_record())
    claims = {item["id"]: (item["documents"]["status"], item["verdict"], item["against"]) for item in report["items"]}
    assert claims["item-000"] == ("solved", "open", "worse")
    assert claims["item-016"] == ("solved", "closed", "as said")
    assert claims["item-010"] == ("partly", "closed", "better")
    assert claims["item-002"] == ("partly", "inert", "unmeasured")


def test_the_witness_itself_goes_along() -> None:
    report = model.from_record(make_record(), replay="isolation replay out/{witness} --root BOT")
    finding = report["findings"][0]
    assert CANARY in finding["plan"]["steps"][0]["payload"]["text"]
    assert finding["replay"] == f"isolation replay out/witnesses/{finding['fingerprint']}.json --root BOT"
