"""report.html: one file for a reviewer with ten minutes. No network, no script needed to read it; scripts only filter.

Everything that came from the bot is escaped; a content security policy keeps the page from loading anything.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reports import contradictions, words

LIMIT = 1_500_000
"""Bytes; what a full run's page must stay below."""

TEMPLATES = Path(__file__).parent / "templates"

_LONGEST_TEXT = 1_200
_LONGEST_PLAN = 6_000
_MOST_ROWS = 200


def write(report: dict[str, Any], out: Path) -> Path:
    """Write `out`/report.html; returns its path. The same report gives the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.html"
    path.write_text(render(report), encoding="utf-8", newline="\n")
    return path


def render(report: dict[str, Any]) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        clip=clip, plural=words.plural, who=words.who, plan=_plan, anchor=_anchor, recent=words.recent
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        pairs=words.pairs(report["soundness"].get("pairs", {})),
        confirmed=words.confirmed(report["findings"], report["soundness"]["overlays"]),
        controls=words.controls(report["soundness"]["controls"], report["soundness"]["false_positives"]),
        run=report["run"],
        summary=report["summary"],
        verdict=report["verdict"],
        findings={finding["fingerprint"]: finding for finding in report["findings"]},
        places=_places(report["findings"]),
        groups=_groups(report["items"]),
        matrix=_matrix(report),
        options=_options(report["items"]),
        untried=_untried(report["items"]),
        contradicted=contradictions.table(report),
        contradictions=contradictions.sentence(report["contradictions"]),
        measured=contradictions.measured,
        hardness=words.hardness(report["soundness"]),
        astray=words.astray(report["soundness"]),
        untested=words.untested(report["items"], report["soundness"]),
        rests={item["id"]: _rests(item, report["soundness"]) for item in report["items"]},
        overlays={overlay["name"]: overlay for overlay in report["soundness"]["overlays"]},
        words=words,
        most=_MOST_ROWS,
        # Our own files, not the bot's: the only texts that go in unescaped.
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
    )


def clip(text: str, longest: int = _LONGEST_TEXT) -> str:
    """`text`, cut when a bot put a whole page into it."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters in report.json)"


def _plan(plan: dict[str, Any]) -> str:
    return clip(json.dumps(plan, ensure_ascii=False, indent=1), _LONGEST_PLAN)


def _anchor(text: str) -> str:
    """A risk item's id as a fragment."""
    return "item-" + "".join(c if c.isalnum() or c in "-_." else "-" for c in text)


def _places(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Findings grouped by sink and surface, in the report's order."""
    places: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for finding in findings:
        places.setdefault((finding["sink"], finding["surface"]), []).append(finding)
    return [
        {"sink": sink, "surface": surface, "findings": found, "waived": all(f["waived"] for f in found)}
        for (sink, surface), found in places.items()
    ]


def _groups(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items by area, the worst first within one, with counts by verdict."""
    order = {name: rank for rank, name in enumerate(words.VERDICTS)}
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        groups.setdefault(item["group"], []).append(item)
    return [
        {
            "name": name,
            "items": sorted(
                (item for item in members if item["verdict"] != "not_applicable"),
                key=lambda item: order[item["verdict"]],
            ),
            # Half of a map may be of another generation: folded, so that what was judged can be read.
            "beyond": [item for item in members if item["verdict"] == "not_applicable"],
            "counts": Counter(item["verdict"] for item in members),
        }
        for name, members in groups.items()
    ]


def _matrix(report: dict[str, Any]) -> dict[str, Any]:
    """Accesses and findings by sink and entry, and the claims of the risk map on each, by dimension."""
    cells = {(cell["sink"], cell["entry"]): cell for cell in report["matrix"]}
    claims: dict[tuple[str, str], Counter[str]] = {}
    states: dict[str, Counter[str]] = {}
    for item in report["items"]:
        for cell in item["cells"]:
            if cell["state"] == "not_applicable":
                continue
            claims.setdefault((cell["sink"], cell["entry"]), Counter())[cell["dimension"]] += 1
            for dimension in cell["dimension"]:
                states.setdefault(dimension, Counter())[cell["state"]] += 1
    found: dict[str, int] = Counter()
    for finding in report["findings"]:
        for dimension in set(finding["dimensions"]) or {finding["dimension"]}:
            found[dimension] += 1
    return {
        "sinks": list(dict.fromkeys([s for s, _ in cells] + [s for s, _ in claims])),
        "entries": list(dict.fromkeys([e for _, e in cells] + [e for _, e in claims])),
        "cells": cells,
        "claims": claims,
        "states": {name: states.get(name, Counter()) for name in sorted({*states, *found}, key=_dimension_rank)},
        "found": found,
    }


def _untried(items: list[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Why items could not be judged: verdict, reason and the items it holds for, the commonest reason first. Reasons
    that differ in a number only are one."""
    reasons: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in items:
        if item["verdict"] in ("not_exercised", "inert"):
            reasons.setdefault((item["verdict"], re.sub(r"\d+", "#", item["why"])), []).append(item)
    return [
        (verdict, held[0]["why"] if len(held) == 1 else reason.replace("#", "n"), held)
        for (verdict, reason), held in sorted(reasons.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    ]


def _rests(item: dict[str, Any], soundness: dict[str, Any]) -> str:
    """What a closed item's verdict rests on, and what it does not."""
    if item["verdict"] != "closed":
        return ""
    cells = [cell for cell in item["cells"] if cell["state"] == "closed"]
    count = sum(cell["count"] for cell in cells)
    met = f"{words.plural(count, 'access', 'accesses')} in {words.plural(len(cells), 'cell')}, every control held"
    tried = [one for one in soundness["overlays"] if one["kind"] == "fault" and one["name"] in item["overlays"]]
    found = sum(one["killed"] and one["right_rule"] for one in tried)
    if tried:
        return f"{met}; {found} of {words.plural(len(tried), 'fault')} planted for it found by the right rule."
    return f"{met}. No fault was planted for it in this run, so that a rule would have fired there was not shown."


def _dimension_rank(name: str) -> tuple[int, str]:
    order = list(words.DIMENSIONS)
    return (order.index(name) if name in order else len(order), name)


def _options(items: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What there is to filter by."""
    cells = [cell for item in items for cell in item["cells"]]
    return {
        name: sorted(
            {cell[name] for cell in cells}, key=list(known).index if {c[name] for c in cells} <= set(known) else str
        )
        for name, known in (("sink", words.SINKS), ("entry", words.ENTRIES), ("dimension", words.DIMENSIONS))
    }
