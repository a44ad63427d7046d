"""The baseline: leaks accepted by a named owner, for a reason, until a date. A reviewed TOML file.

    [[waiver]]
    fingerprint = "0123456789abcdef"     # or: item = "picture-cache"
    owner = "alice"
    reason = "moved to the per-tenant store in #412"
    until = 2026-12-31                   # the last day on which it holds

Everything but `load` and `save` is pure. A waiver never hides: what it accepts stays in the report as waived.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.errors import UsageError
from harness.record import FindingRecord, ItemRecord, RunRecord

FailOn = Literal["new", "open", "uncovered"]
WaiverState = Literal["active", "expired", "unknown", "unneeded"]

_FIELDS = {"fingerprint", "item", "owner", "reason", "until", "about"}
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted leak: a finding (by `fingerprint`) or a whole risk item. `about` is a reminder for reviewers."""

    owner: str
    reason: str
    until: datetime.date
    fingerprint: str = ""
    item: str = ""
    about: str = ""

    @property
    def subject(self) -> str:
        """What is accepted: the fingerprint or the item's id."""
        return self.fingerprint or self.item


class JudgedWaiver(msgspec.Struct, frozen=True, kw_only=True):
    """A waiver held against a run. *active*: it accepts something open; *expired*: its date has passed, what it
    accepted counts as open; *unknown*: the risk map has no such item; *unneeded*: nothing it accepts is open now."""

    waiver: Waiver
    state: WaiverState
    why: str


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A run with a baseline applied. `waived` and `open` split the run's fingerprints; `record` carries the verdicts
    after waiving."""

    record: RunRecord
    waivers: tuple[JudgedWaiver, ...]
    waived: tuple[str, ...]
    open: tuple[str, ...]

    def of_state(self, state: WaiverState) -> tuple[JudgedWaiver, ...]:
        """The waivers in that state."""
        return tuple(judged for judged in self.waivers if judged.state == state)


def load(path: Path) -> tuple[Waiver, ...]:
    """Read a baseline. Raises UsageError naming the file and the entry when it is missing or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"baseline {path} does not exist; `isolation baseline update` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"baseline {path} cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str = "baseline") -> tuple[Waiver, ...]:
    """Waivers from TOML text; `name` is what errors call the file."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not valid TOML: {error}") from error
    entries = data.get("waiver", [])
    if set(data) - {"waiver"} or not isinstance(entries, list):
        raise UsageError(f"{name} may hold [[waiver]] entries only; found {', '.join(sorted(data))}")
    waivers = tuple(_waiver(entry, f"{name}, waiver {number}") for number, entry in enumerate(entries, 1))
    seen: set[str] = set()
    for waiver in waivers:
        if waiver.subject in seen:
            raise UsageError(f"{name} accepts {waiver.subject} twice; keep one entry")
        seen.add(waiver.subject)
    return waivers


def _waiver(entry: Any, where: str) -> Waiver:
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is not a table")
    if extra := sorted(set(entry) - _FIELDS):
        raise UsageError(f"{where} has unknown fields: {', '.join(extra)}")
    if bool(entry.get("fingerprint")) == bool(entry.get("item")):
        raise UsageError(f"{where} must name either a fingerprint or an item")
    for field in ("owner", "reason"):
        if not isinstance(entry.get(field), str) or not entry[field].strip():
            raise UsageError(f"{where} ({entry.get('fingerprint') or entry.get('item')}) needs a non-empty {field}")
    until = entry.get("until")
    if isinstance(until, str):
        try:
            until = datetime.date.fromisoformat(until)
        except ValueError:
            until = None
    if isinstance(until, datetime.datetime) or not isinstance(until, datetime.date):
        raise UsageError(f"{where} needs a date `until = YYYY-MM-DD`")
    for field in ("fingerprint", "item", "about"):
        if not isinstance(entry.get(field, ""), str):
            raise UsageError(f"{where}: {field} must be a string")
    fingerprint = entry.get("fingerprint", "")
    if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
        raise UsageError(f"{where}: {fingerprint!r} is no fingerprint (16 hex digits)")
    return Waiver(
        owner=entry["owner"],
        reason=entry["reason"],
        until=until,
        fingerprint=fingerprint,
        item=entry.get("item", ""),
        about=entry.get("about", ""),
    )


def apply(record: RunRecord, waivers: Iterable[Waiver], today: datetime.date) -> Applied:
    """Hold a baseline against a run.

    A finding is waived when its fingerprint is, or when every item it is attributed to is. An item is waived when it
    is open and either itself or each of its findings is waived. Expired waivers accept nothing.
    """
    waivers = tuple(waivers)
    by_fingerprint = {w.fingerprint: w for w in waivers if w.fingerprint and today <= w.until}
    by_item = {w.item: w for w in waivers if w.item and today <= w.until}
    opened = {item.id for item in record.items if item.verdict in ("open", "waived")}

    waived = {
        finding.fingerprint
        for finding in record.findings
        if finding.fingerprint in by_fingerprint or (finding.items and all(item in by_item for item in finding.items))
    }
    items = tuple(_rejudge(item, by_item, by_fingerprint) for item in record.items)
    known = {item.id for item in record.items}
    found = {finding.fingerprint: finding for finding in record.findings}
    judged = tuple(_judge(waiver, today, known, opened, found) for waiver in waivers)
    return Applied(
        record=msgspec.structs.replace(record, items=items),
        waivers=judged,
        waived=tuple(f.fingerprint for f in record.findings if f.fingerprint in waived),
        open=tuple(f.fingerprint for f in record.findings if f.fingerprint not in waived),
    )


def _rejudge(item: ItemRecord, by_item: dict[str, Waiver], by_fingerprint: dict[str, Waiver]) -> ItemRecord:
    if item.verdict != "open":
        return item
    waiver = by_item.get(item.id)
    if waiver is None and item.findings and all(finding in by_fingerprint for finding in item.findings):
        # Shown with the waiver that ends first: that is when the item turns red again.
        waiver = min((by_fingerprint[finding] for finding in item.findings), key=lambda w: w.until)
    if waiver is None:
        return item
    shown = {"owner": waiver.owner, "reason": waiver.reason, "until": waiver.until.isoformat()}
    return msgspec.structs.replace(item, verdict="waived", waiver=shown)


def _judge(
    waiver: Waiver, today: datetime.date, known: set[str], opened: set[str], found: dict[str, FindingRecord]
) -> JudgedWaiver:
    if waiver.item and waiver.item not in known:
        # A run of a selection does not hold every item; the caller should check against a run of the whole map.
        return JudgedWaiver(waiver=waiver, state="unknown", why="this run has no such item")
    needed = waiver.item in opened if waiver.item else waiver.fingerprint in found
    if not needed:
        why = "the item is not open in this run" if waiver.item else "this run has no such finding"
        return JudgedWaiver(waiver=waiver, state="unneeded", why=why)
    if today > waiver.until:
        return JudgedWaiver(waiver=waiver, state="expired", why=f"ended on {waiver.until.isoformat()}; counts as open")
    return JudgedWaiver(waiver=waiver, state="active", why=f"holds until {waiver.until.isoformat()}")


def reasons_to_fail(applied: Applied, fail_on: FailOn = "new") -> tuple[str, ...]:
    """Why a run does not pass under a policy, one sentence each; empty when it passes.

    *new*: open beyond the baseline. *open*: anything open, waived or not. *uncovered*: as *new*, and any item of
    this generation that was not closed either.
    """
    reasons = [
        f"waiver of {judged.waiver.subject} by {judged.waiver.owner} {judged.why}"
        for judged in applied.of_state("expired")
    ]
    findings = {f.fingerprint: f for f in applied.record.findings}
    reasons += [f"open: {_about(findings[fingerprint])} ({fingerprint})" for fingerprint in applied.open]
    # Every finding may be accepted and an item open still: it has findings this record no longer lists.
    attributed = set(applied.open)
    reasons += [
        f"open: item {item.id}: {item.why}"
        for item in applied.record.items
        if item.verdict == "open" and not attributed.intersection(item.findings)
    ]
    if fail_on == "open":
        reasons += [f"waived: {_about(findings[fingerprint])} ({fingerprint})" for fingerprint in applied.waived]
    if fail_on == "uncovered":
        reasons += [
            f"{item.verdict.replace('_', ' ')}: item {item.id}: {item.why}"
            for item in applied.record.items
            if item.verdict in ("not_exercised", "inert")
        ]
    return tuple(reasons)


def update(
    record: RunRecord, waivers: Iterable[Waiver], owner: str, reason: str, until: datetime.date, today: datetime.date
) -> tuple[Waiver, ...]:
    """The baseline that accepts this run as it is: every needed waiver stays as it was reviewed, an expired one is
    renewed under the new owner, reason and date, unneeded ones go, and each finding left open is added."""
    if not owner.strip() or not reason.strip():
        raise UsageError("a waiver needs an owner and a reason: --owner NAME --reason TEXT")
    if until < today:
        raise UsageError(f"--until {until.isoformat()} has passed; give a later date")
    kept = [judged.waiver for judged in apply(record, waivers, today).of_state("active")]
    covered = set(apply(record, kept, today).waived)
    added = [
        Waiver(fingerprint=f.fingerprint, owner=owner, reason=reason, until=until, about=_about(f))
        for f in record.findings
        if f.fingerprint not in covered
    ]
    return (*kept, *added)


def dump(waivers: Iterable[Waiver]) -> str:
    """The baseline as TOML text, ordered by subject, so that a review shows only what changed."""
    lines = ["# Accepted leaks. Each entry has an owner, a reason and a last day; an expired one counts as open.", ""]
    for waiver in sorted(waivers, key=lambda w: w.subject):
        lines.append("[[waiver]]")
        if waiver.about:
            lines.append(f"about = {_quote(waiver.about)}")
        name = "fingerprint" if waiver.fingerprint else "item"
        lines.append(f"{name} = {_quote(waiver.subject)}")
        lines.append(f"owner = {_quote(waiver.owner)}")
        lines.append(f"reason = {_quote(waiver.reason)}")
        lines.append(f"until = {waiver.until.isoformat()}")
        lines.append("")
    return "\n".join(lines)


def save(path: Path, waivers: Iterable[Waiver]) -> Path:
    """Write a baseline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(waivers), encoding="utf-8")
    return path


def _about(finding: FindingRecord) -> str:
    return f"{finding.rule} on {finding.sink} {finding.surface} in {finding.site.file}:{finding.site.function}"


def _quote(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of it, but for DEL, which TOML wants escaped."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
