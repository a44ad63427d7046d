"""`isolation diff`: what is new, fixed, still open, and what went from shown to unknown."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.record import RunInfo
from reports import model
from reports.diff import Diff, diff
from tests.sample_record import fingerprint, make_finding, make_item, make_record


def report(items: Any, findings: Any = (), **run: Any) -> dict[str, Any]:
    record = make_record(leaks=0, items=tuple(items), findings=tuple(findings))
    info: RunInfo = msgspec.structs.replace(record.run, **run)
    return model.from_record(msgspec.structs.replace(record, run=info))


def marks(findings: tuple[dict[str, Any], ...]) -> list[str]:
    return [finding["fingerprint"] for finding in findings]


def compare(old: Any, new: Any, **run: Any) -> Diff:
    return diff(report(*old), report(*new, **run))


def test_a_run_against_itself_shows_no_change() -> None:
    same = model.from_record(make_record())
    made = diff(same, same)
    assert not made.regressed
    assert made.text() == "OK  no change; 8 findings still open\n"


def test_new_fixed_and_open_are_told_apart() -> None:
    one, two, three = make_finding(0), make_finding(1), make_finding(2)
    item = make_item(0, "open", (one.fingerprint,))
    made = compare(([item], [one, two]), ([item], [two, three]))
    assert marks(made.new) == [fingerprint(2)]
    assert marks(made.fixed) == [fingerprint(0)]
    assert marks(made.open) == [fingerprint(1)]
    assert made.regressed
    assert made.text().startswith("WORSE  1 new, 1 fixed, 1 still open")


def test_an_item_that_is_open_by_other_findings_than_before_is_told() -> None:
    one, two = make_finding(0), make_finding(1)
    before = [make_item(0, "open", (one.fingerprint,))]
    made = compare((before, [one]), ([make_item(0, "open", (two.fingerprint,))], [two]))
    assert [change.item for change in made.other] == ["item-000"]
    assert "item-000: open -> open: by other findings: 1 of before are gone, 1 finding came" in made.text()
    still = compare((before, [one]), ([make_item(0, "open", (one.fingerprint, two.fingerprint))], [one, two]))
    assert still.other == ()


def test_a_fix_alone_is_no_regression() -> None:
    made = compare(([make_item(0, "open")], [make_finding(0)]), ([make_item(0, "closed")], []))
    assert marks(made.fixed) == [fingerprint(0)]
    assert not made.regressed


def test_closed_before_and_not_tried_now_is_a_regression() -> None:
    for now in ("not_exercised", "inert", "not_applicable"):
        made = compare(([make_item(0, "closed")],), ([make_item(0, now)],))  # type: ignore[arg-type]
        assert [(change.item, change.before, change.now) for change in made.lost] == [("item-000", "closed", now)]
        assert made.regressed


def test_an_item_that_left_the_map_is_lost_coverage() -> None:
    made = compare(([make_item(0, "closed"), make_item(4, "closed")],), ([make_item(0, "closed")],))
    assert [change.item for change in made.lost] == ["item-004"]
    assert made.regressed


def test_a_finding_gone_because_nobody_looked_is_not_fixed() -> None:
    made = compare(([make_item(0, "open")], [make_finding(0)]), ([make_item(0, "not_exercised")], []))
    assert made.fixed == ()
    assert marks(made.unseen) == [fingerprint(0)]


def test_what_makes_runs_hard_to_compare_is_said() -> None:
    made = compare(([],), ([],), profile="quick", overlays=("fault-x",), interrupted=True)
    text = made.text()
    assert "profile differs: ci and quick" in text
    assert "overlays differ: none and fault-x" in text
    assert "interrupted" in text


def test_a_run_of_a_part_of_the_map_loses_no_coverage_elsewhere() -> None:
    old = ([make_item(0, "closed"), make_item(4, "closed")],)
    made = compare(old, ([make_item(0, "closed")],), environment={"selection": "items matching item-000"})
    assert not made.regressed
    assert "the new run decided a part of the risk map only: items matching item-000" in made.text()


def test_a_finding_outside_the_part_that_ran_is_not_fixed() -> None:
    old = ([make_item(0, "open", (fingerprint(0),))], [make_finding(0)])
    made = compare(old, ([make_item(4, "closed")],), environment={"selection": "items matching item-004"})
    assert made.fixed == ()
    assert marks(made.unseen) == [fingerprint(0)]


def test_a_part_of_the_map_shows_a_fix_only_by_a_closed_item_or_by_all_of_them() -> None:
    gone = msgspec.structs.replace(make_finding(0), items=("item-000", "item-001"))
    before = ([make_item(0, "open"), make_item(1, "open")], [gone])
    part = {"selection": "items matching item-000"}
    still_open_by_another = compare(before, ([make_item(0, "open")],), environment=part)
    assert (still_open_by_another.fixed, marks(still_open_by_another.unseen)) == ((), [fingerprint(0)])
    assert marks(compare(before, ([make_item(0, "closed")],), environment=part).fixed) == [fingerprint(0)]
    both = [make_item(0, "open"), make_item(1, "open")]
    assert marks(compare(before, (both,), environment=part).fixed) == [fingerprint(0)]


def test_a_finding_of_no_item_is_never_fixed_by_a_part_of_the_map() -> None:
    loose = msgspec.structs.replace(make_finding(0), items=())
    part = compare(([], [loose]), ([make_item(4, "closed")],), environment={"selection": "items matching item-004"})
    assert (part.fixed, marks(part.unseen)) == ((), [fingerprint(0)])
    assert marks(compare(([], [loose]), ([make_item(4, "closed")],)).fixed) == [fingerprint(0)]
