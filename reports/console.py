"""The summary a terminal shows: verdict first, then what a reader would ask next, within the given width."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import Any

from reports import contradictions, words

_COLOURS = {"open": "31", "unsound": "35", "incomplete": "33", "closed": "32"}
_SHOWN = 20


def summary(report: dict[str, Any], *, width: int = 100, colour: bool = False, findings: int = _SHOWN) -> str:
    """Plain text. No line is wider than `width` columns (40 at least); at most `findings` findings are listed."""
    width = max(40, width)
    verdict, run, counts = report["verdict"], report["run"], report["summary"]
    label = {"open": "OPEN", "unsound": "UNSOUND", "incomplete": "INCOMPLETE", "closed": "CLOSED"}[verdict["state"]]
    lines = _wrap(f"{label}  {verdict['line']}", width)
    if colour:
        lines = [f"\x1b[1;{_COLOURS[verdict['state']]}m{line}\x1b[0m" for line in lines]
    for reason in verdict["reasons"]:
        lines += _wrap(f"- {reason}", width, "  ", "    ")
    lines.append("")
    lines += _wrap(
        f"{run['target']} {run['target_version']}: {words.plural(run['plans'], 'plan')}, "
        f"{words.plural(run['steps'], 'step')}, {run['seconds']:.1f} s, profile {run['profile']}, seed {run['seed']}",
        width,
    )
    lines += _wrap(
        "items: " + ", ".join(f"{counts[name]} {label.lower()}" for name, (label, _) in words.VERDICTS.items()), width
    )
    if said := contradictions.sentence(report["contradictions"]):
        lines += _wrap(said, width)
    if said := words.unserved(report["unserved"]):
        lines += _wrap(said, width)
    lines += _findings(report, width, findings)
    for waiver in report["waivers"]:
        if waiver["state"] != "active":
            lines += _wrap(f"waiver {waiver['state']}: {waiver['subject']} ({waiver['owner']}): {waiver['why']}", width)
    for error in report["errors"]:
        mine = " caused by the harness" if error["harness"] else ""
        lines += _wrap(
            f"error{mine}, {words.plural(error['count'], 'time')}: {error['kind']}: {error['message']}", width
        )
    return "\n".join(lines) + "\n"


def _findings(report: dict[str, Any], width: int, limit: int) -> list[str]:
    shown = [finding for finding in report["findings"] if not finding["waived"]]
    if not shown:
        return []
    lines = ["", "findings:"]
    for finding in shown[:limit]:
        lines += _wrap(f"{finding['fingerprint']}  {finding['rule']}: {finding['message']}", width, "  ", "    ")
        where = words.spot(finding["site"])
        size = f"{words.plural(finding['steps'], 'step')}, {words.plural(finding['deviations'], 'deviation')}"
        lines += _wrap(f"{where} ({size}; items: {', '.join(finding['items']) or 'none'})", width, "    ", "    ")
        if finding["replay"]:
            lines += _wrap(finding["replay"], width, "    ", "      ")
    if len(shown) > limit:
        lines.append(f"  and {len(shown) - limit} more: see the report")
    return lines


def _wrap(text: str, width: int, first: str = "", rest: str = "  ") -> list[str]:
    """Wrapped by columns: a CJK character takes two. What the bot says may hold control characters; they go."""
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    if not wide:
        return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest) or [""]
    lines, line, used = [], first, len(first)
    for word in text.split(" "):
        for piece in _pieces(word, width - len(rest) - 1):
            size = _columns(piece)
            if used + size > width:
                lines.append(line.rstrip())
                line, used = rest, len(rest)
            line += piece
            used += size
        line += " "
        used += 1
    lines.append(line.rstrip())
    return lines


def _pieces(word: str, room: int) -> list[str]:
    pieces, piece = [], ""
    for c in word:
        if _columns(piece + c) > room:
            pieces.append(piece)
            piece = ""
        piece += c
    return [*pieces, piece]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
