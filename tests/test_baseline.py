"""The baseline: today's leaks accepted by name, until a date, and never silently."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import baseline
from harness.baseline import Waiver, apply, dump, parse, reasons_to_fail, update
from harness.errors import UsageError
from reports import model
from tests.sample_record import fingerprint, make_finding, make_item, make_record

TODAY = datetime.date(2026, 6, 1)
LATER = datetime.date(2026, 12, 31)
PAST = datetime.date(2026, 5, 31)


def waiver(subject: str, until: datetime.date = LATER) -> Waiver:
    kind = "item" if subject.startswith("item") else "fingerprint"
    return Waiver(owner="alice", reason="moved in #412", until=until, **{kind: subject})


def record(*numbers: int) -> object:
    findings = tuple(make_finding(number, ("item-000",)) for number in numbers)
    marks = tuple(finding.fingerprint for finding in findings)
    first = make_item(0, "open" if marks else "closed", marks)
    return make_record(leaks=0, items=(first, make_item(4, "closed")), findings=findings, errors=())


def test_a_baseline_of_today_lets_today_pass_and_nothing_more() -> None:
    today = record(0, 1)
    accepted = update(today, (), "alice", "known on adoption", LATER, TODAY)
    assert reasons_to_fail(apply(today, accepted, TODAY)) == ()
    worse = reasons_to_fail(apply(record(0, 1, 2), accepted, TODAY))
    assert len(worse) == 1
    assert fingerprint(2) in worse[0]


def test_a_waiver_is_shown_not_hidden() -> None:
    applied = apply(record(0), [waiver(fingerprint(0))], TODAY)
    report = model.from_record(applied.record, applied=applied)
    assert report["items"][0]["verdict"] == "waived"
    assert report["items"][0]["waiver"]["owner"] == "alice"
    assert report["findings"][0]["waived"] is True
    assert report["summary"]["waived"] == 1
    assert report["summary"]["findings_open"] == 0
    assert report["waivers"][0]["state"] == "active"


def test_an_item_stays_open_while_one_of_its_findings_is() -> None:
    applied = apply(record(0, 1), [waiver(fingerprint(0))], TODAY)
    assert applied.record.items[0].verdict == "open"
    assert applied.waived == (fingerprint(0),)
    assert applied.open == (fingerprint(1),)


def test_waiving_an_item_accepts_its_findings() -> None:
    applied = apply(record(0, 1), [waiver("item-000")], TODAY)
    assert applied.record.items[0].verdict == "waived"
    assert applied.open == ()


def test_a_finding_of_two_items_needs_both_waived() -> None:
    shared = make_finding(0, ("item-000", "item-006"))
    items = (make_item(0, "open", (shared.fingerprint,)), make_item(6, "open", (shared.fingerprint,)))
    both = make_record(leaks=0, items=items, findings=(shared,))
    assert apply(both, [waiver("item-000")], TODAY).open == (shared.fingerprint,)
    assert apply(both, [waiver("item-000"), waiver("item-006")], TODAY).open == ()


def test_an_expired_waiver_counts_as_open_and_is_named() -> None:
    assert reasons_to_fail(apply(record(0), [waiver(fingerprint(0), TODAY)], TODAY)) == ()
    applied = apply(record(0), [waiver(fingerprint(0), PAST)], TODAY)
    reasons = reasons_to_fail(applied)
    assert f"waiver of {fingerprint(0)} by alice ended on 2026-05-31; counts as open" in reasons[0]
    assert applied.record.items[0].verdict == "open"


def test_unknown_and_unneeded_entries_are_reported_and_do_not_fail() -> None:
    applied = apply(
        record(0), [waiver(fingerprint(0)), waiver("item-999"), waiver("item-004"), waiver("f" * 16)], TODAY
    )
    states = {judged.waiver.subject: judged.state for judged in applied.waivers}
    assert states == {
        fingerprint(0): "active",
        "item-999": "unknown",
        "item-004": "unneeded",
        "f" * 16: "unneeded",
    }
    assert reasons_to_fail(applied) == ()


def test_policies() -> None:
    items = (make_item(0, "open", (fingerprint(0),)), make_item(3, "not_exercised"), make_item(2, "inert"))
    run = make_record(leaks=0, items=items, findings=(make_finding(0, ("item-000",)),))
    applied = apply(run, [waiver(fingerprint(0))], TODAY)
    assert reasons_to_fail(applied, "new") == ()
    assert len(reasons_to_fail(applied, "open")) == 1
    assert [reason.split(":")[0] for reason in reasons_to_fail(applied, "uncovered")] == ["not exercised", "inert"]


def test_update_keeps_reviewed_entries_renews_expired_ones_and_drops_the_rest() -> None:
    old = [waiver(fingerprint(0)), waiver(fingerprint(1), PAST), waiver(fingerprint(5))]
    new = {w.subject: w for w in update(record(0, 1, 2), old, "bob", "next release", LATER, TODAY)}
    assert set(new) == {fingerprint(0), fingerprint(1), fingerprint(2)}
    assert new[fingerprint(0)].owner == "alice"
    assert new[fingerprint(1)].owner == "bob"
    assert "foreign-read on row person" in new[fingerprint(1)].about


@pytest.mark.parametrize(
    ("owner", "reason", "until"),
    [("", "r", LATER), ("a", " ", LATER), ("a", "r", PAST)],
    ids=["owner", "reason", "until"],
)
def test_update_wants_a_name_a_reason_and_a_date_to_come(owner: str, reason: str, until: datetime.date) -> None:
    with pytest.raises(UsageError):
        update(record(0), (), owner, reason, until, TODAY)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
WAIVERS = st.builds(
    Waiver,
    owner=TEXTS,
    reason=TEXTS,
    until=st.dates(),
    fingerprint=st.text("0123456789abcdef", min_size=16, max_size=16),
    about=st.text(st.characters(exclude_categories=["Cs"])),
)


@given(st.lists(WAIVERS, unique_by=lambda w: w.subject, max_size=4))
def test_any_baseline_survives_the_file(waivers: list[Waiver]) -> None:
    assert parse(dump(waivers)) == tuple(sorted(waivers, key=lambda w: w.subject))


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    path = baseline.save(tmp_path / "ci" / "baseline.toml", [waiver("item-000")])
    assert baseline.load(path) == (waiver("item-000"),)


ENTRY = 'owner = "a"\nreason = "r"\nuntil = 2026-12-31\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[waiver", "not valid TOML"),
        ("[other]\nx = 1", "may hold"),
        (f"[[waiver]]\n{ENTRY}", "either a fingerprint or an item"),
        (f'[[waiver]]\nitem = "x"\nfingerprint = "{"0" * 16}"\n{ENTRY}', "either a fingerprint or an item"),
        (f'[[waiver]]\nfingerprint = "123"\n{ENTRY}', "no fingerprint"),
        ('[[waiver]]\nitem = "x"\nreason = "r"\nuntil = 2026-12-31', "owner"),
        ('[[waiver]]\nitem = "x"\nowner = "a"\nreason = " "\nuntil = 2026-12-31', "reason"),
        ('[[waiver]]\nitem = "x"\nowner = "a"\nreason = "r"', "until"),
        ('[[waiver]]\nitem = "x"\nowner = "a"\nreason = "r"\nuntil = "soon"', "until"),
        (f'[[waiver]]\nitem = "x"\nforever = true\n{ENTRY}', "forever"),
        (f'[[waiver]]\nitem = "x"\n{ENTRY}[[waiver]]\nitem = "x"\n{ENTRY}', "twice"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "baseline.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        baseline.load(path)
    assert "baseline.toml" in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="baseline update"):
        baseline.load(tmp_path / "none.toml")
