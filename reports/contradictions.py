"""What the bot's documents say of each row of the risk map, held against what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from reports.words import VERDICTS, plural


class Contradictions(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that apply to the bot, by what became of the documents' statement. `worse`: they say closed, a witness shows
    it open; `better`: they say open, and every cell was reached and nothing crossed; `settled`: they contradict each
    other, and what was measured says which of them holds (none of the former two). `agreed`, `unmeasured` (neither
    opened nor closed) and `silent` (they say nothing) are counts. `wrong` is how many rows say what is not so: `worse`
    and `better`. `documented` is false where the documents speak of another bot; then all is empty."""

    documented: bool = True
    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    agreed: int = 0
    unmeasured: int = 0
    silent: int = 0
    wrong: int = 0


def contradictions(items: Sequence[Any], documented: bool) -> Contradictions:
    """Of the report's items (`ItemReport`), those that apply."""
    if not documented:
        return Contradictions(documented=False)
    rows = [item for item in items if item.verdict != "not_applicable"]
    said = [item for item in rows if item.documents.status]
    worse = tuple(item.id for item in said if item.against == "worse")
    better = tuple(item.id for item in said if item.against == "better")
    return Contradictions(
        worse=worse,
        better=better,
        settled=tuple(item.id for item in said if item.against == "as said" and item.documents.disagree),
        agreed=sum(item.against == "as said" and not item.documents.disagree for item in said),
        unmeasured=sum(item.against == "unmeasured" for item in said),
        silent=len(rows) - len(said),
        wrong=len(worse) + len(better),
    )


def sentence(found: Mapping[str, Any]) -> str:
    """The count in one sentence; empty where the documents speak of another bot, or of nothing that was measured."""
    rows = len(found["worse"]) + len(found["better"]) + len(found["settled"]) + found["agreed"]
    if not rows:
        return ""
    parts = [
        f"{len(found['worse'])} say closed and a witness shows it open",
        f"{len(found['better'])} say open and nothing crossed",
    ]
    settled = len(found["settled"])
    more = f"; on {settled} more the documents contradict each other, which this settles" if settled else ""
    return (
        f"documents proved wrong on {found['wrong']} of {plural(rows, 'measured row')} ({', '.join(parts)}){more}"
    )  # fmt: skip


def table(report: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows to show, under what they have in common; the weightiest first, empty ones left out."""
    found = report.get("contradictions") or {}
    rows = {item["id"]: item for item in report["items"]}
    parts = (
        ("The documents say closed, measured open", found.get("worse", ())),
        ("The documents say open, measured closed", found.get("better", ())),
        ("The documents contradict each other, measured", found.get("settled", ())),
    )
    return [(title, [rows[name] for name in names if name in rows]) for title, names in parts if names]


def said(item: Mapping[str, Any]) -> str:
    """What the documents say of one row, their status first."""
    return f"{item['documents']['status']}: {item['documents']['say']}"


def measured(item: Mapping[str, Any]) -> str:
    """What was measured of one row, in a phrase."""
    return f"{VERDICTS[item['verdict']][0].lower()}: {item['why']}"
