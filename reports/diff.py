"""What changed between two runs: new, fixed and still open findings, and coverage that was lost.

An item that was closed and is not exercised now is a regression: it went from shown to unknown. A finding that is
gone counts as fixed only where the new run looked: where each of its items is not exercised now, it is *unseen*. A run
of a part of the map leaves findings out, so there one is fixed only if an item of it is closed, or all were decided.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reports import words


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An item whose verdict changed."""

    item: str
    before: str
    now: str
    why: str = ""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """`new`, `fixed`, `open` and `unseen` hold findings (as in report.json), `lost` and `gained` items, `other` all
    other changes of verdict, and items that are open as before but by other findings. `notes` say what makes the two
    runs hard to compare."""

    new: tuple[dict[str, Any], ...]
    fixed: tuple[dict[str, Any], ...]
    open: tuple[dict[str, Any], ...]
    unseen: tuple[dict[str, Any], ...]
    lost: tuple[Change, ...]
    gained: tuple[Change, ...]
    other: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Whether the new run is worse: a new finding, or coverage lost."""
        return bool(self.new or self.lost)

    def text(self) -> str:
        """The difference in words, the worst first; findings that stay open are only counted."""
        if not (self.new or self.fixed or self.unseen or self.lost or self.gained or self.other):
            head = f"no change; {words.plural(len(self.open), 'finding')} still open"
        else:
            head = (
                f"{len(self.new)} new, {len(self.fixed)} fixed, {len(self.open)} still open, "
                f"{words.plural(len(self.lost), 'item')} of lost coverage"
            )
        lines = [("WORSE  " if self.regressed else "OK  ") + head]
        lines += [f"note: {note}" for note in self.notes]
        for title, findings in (("new", self.new), ("fixed", self.fixed), ("unseen", self.unseen)):
            for f in findings:
                lines.append(f"{title}: {f['fingerprint']} {f['rule']}: {f['message']} ({words.spot(f['site'])})")
        for title, changes in (("lost", self.lost), ("gained", self.gained), ("changed", self.other)):
            lines += [f"{title}: {c.item}: {_name(c.before)} -> {_name(c.now)}: {c.why}".rstrip(": ") for c in changes]
        return "\n".join(lines) + "\n"


def diff(old: dict[str, Any], new: dict[str, Any]) -> Diff:
    """Compare two reports. Findings are matched by fingerprint, items by id."""
    before = {finding["fingerprint"]: finding for finding in old["findings"]}
    now = {finding["fingerprint"]: finding for finding in new["findings"]}
    items = {item["id"]: item for item in old["items"]}
    items_now = {item["id"]: item for item in new["items"]}
    if _selection(old) or _selection(new):
        # A run of a part of the map says nothing of the rest: what only one of them decided is not compared.
        both = items.keys() & items_now.keys()
        items = {name: item for name, item in items.items() if name in both}
        items_now = {name: item for name, item in items_now.items() if name in both}
    gone = [finding for fingerprint, finding in before.items() if fingerprint not in now]
    unseen = [finding for finding in gone if _not_looked_at(finding, items_now, bool(_selection(new)))]
    lost, gained, other = [], [], []
    for name in list(dict.fromkeys([*items, *items_now])):
        was = items[name]["verdict"] if name in items else "absent"
        became = items_now[name]["verdict"] if name in items_now else "absent"
        if was == became:
            shifted = _shifted(items[name], items_now[name]) if name in items and name in items_now else ""
            if shifted:
                other.append(Change(item=name, before=was, now=became, why=shifted))
            continue
        change = Change(item=name, before=was, now=became, why=items_now[name]["why"] if name in items_now else "")
        if was == "closed" and became not in ("open", "waived"):
            lost.append(change)
        elif became == "closed" and was in ("not_exercised", "inert", "absent"):
            gained.append(change)
        else:
            other.append(change)
    return Diff(
        new=tuple(finding for fingerprint, finding in now.items() if fingerprint not in before),
        fixed=tuple(finding for finding in gone if finding not in unseen),
        open=tuple(finding for fingerprint, finding in now.items() if fingerprint in before),
        unseen=tuple(unseen),
        lost=tuple(lost),
        gained=tuple(gained),
        other=tuple(other),
        notes=(*_notes(old["run"], new["run"]), *_partial(old, new)),
    )


def _shifted(was: dict[str, Any], became: dict[str, Any]) -> str:
    """What to say of an item that is open in both runs, but by other findings: the old leak is gone, a new one came."""
    before, now = set(was["findings"]), set(became["findings"])
    if not before or not now or before & now:
        return ""
    return f"by other findings: {len(before)} of before are gone, {words.plural(len(now), 'finding')} came"


def _selection(report: dict[str, Any]) -> str:
    said: str = report["run"]["environment"].get("selection", "")
    return said


def _not_looked_at(finding: dict[str, Any], items: dict[str, dict[str, Any]], partial: bool) -> bool:
    verdicts = {items[name]["verdict"] if name in items else "absent" for name in finding["items"]}
    if partial and "closed" not in verdicts and (not verdicts or "absent" in verdicts):
        return True
    return bool(verdicts) and verdicts <= {"not_exercised", "inert", "absent"}


def _notes(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    notes = [
        f"{name.replace('_', ' ')} differs: {old[name]} and {new[name]}"
        for name in ("target", "target_version", "harness_version", "profile", "seed")
        if old[name] != new[name]
    ]
    if list(old["overlays"]) != list(new["overlays"]):
        notes.append(f"overlays differ: {_list(old['overlays'])} and {_list(new['overlays'])}")
    if old["interrupted"] or new["interrupted"]:
        notes.append("one of the runs was interrupted")
    return tuple(notes)


def _partial(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    runs = (("old", old), ("new", new))
    return [
        f"the {name} run decided a part of the risk map only: {said}" for name, r in runs if (said := _selection(r))
    ]


def _list(names: Any) -> str:
    return ", ".join(names) or "none"


def _name(verdict: str) -> str:
    return verdict.replace("_", " ")
