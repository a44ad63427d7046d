"""What the documents say stands beside what was measured, row by row; the rows on which they are wrong are counted."""

from __future__ import annotations

import msgspec

from reports import console, html_report, markdown_report, model
from tests.sample_record import make_record


def test_rows_on_which_the_documents_are_wrong_are_counted() -> None:
    report = model.from_record(make_record())
    found = report["contradictions"]
    said = {item["id"]: item for item in report["items"] if item["verdict"] != "not_applicable"}
    assert found["worse"] == [name for name, item in said.items() if item["against"] == "worse"] != []
    assert found["better"] == [name for name, item in said.items() if item["against"] == "better"] != []
    assert found["wrong"] == len(found["worse"]) + len(found["better"])
    # Where the documents contradict each other, what was measured says which of them holds.
    assert all(said[name]["documents"]["disagree"] and said[name]["against"] == "as said" for name in found["settled"])
    counted = found["wrong"] + len(found["settled"]) + found["agreed"] + found["unmeasured"] + found["silent"]
    assert counted == len(said)


def test_every_report_tells_the_count_and_both_sides_of_a_row() -> None:
    report = model.from_record(make_record())
    found = report["contradictions"]
    count = f"ocuments proved wrong on {found['wrong']} of"
    assert count in html_report.render(report) and count in markdown_report.render(report)
    assert count in " ".join(console.summary(report).split())
    (row,) = [item for item in report["items"] if item["id"] == found["worse"][0]]
    page = html_report.render(report).partition("The documents say closed, measured open")[2].partition("</table>")[0]
    assert row["id"] in page and row["documents"]["say"].split(";")[0].replace("'", "&#39;") in page
    assert f"open: {row['why']}" in page


def test_documents_of_another_bot_are_not_held_against_this_one() -> None:
    record = make_record()
    record = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, documented=False))
    report = model.from_record(record)
    assert report["contradictions"] == {**model.from_record(make_record())["contradictions"]} | {
        "documented": False, "worse": [], "better": [], "settled": [],
        "agreed": 0, "unmeasured": 0, "silent": 0, "wrong": 0,
    }  # fmt: skip
    assert {item["against"] for item in report["items"]} == {"unmeasured"}
    assert "proved wrong" not in console.summary(report) + markdown_report.render(report)
    assert "speak of another bot" in html_report.render(report)
