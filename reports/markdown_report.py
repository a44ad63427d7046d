"""report.md: a summary for a pull request. Verdict first, details folded, never longer than a job summary may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from reports import contradictions, words

LIMIT = 64 * 1024
"""Bytes. GitHub refuses longer comments (65,536 characters) and cuts long job summaries."""

TOLD = 0.35
"""The share of it that findings told in full may take."""

_SPARE = 400

_MOST_PLACES = 50
_LONGEST_WHY = 400

_MARKS = re.compile(r"[&<>|@\\`*\[\]#]|(?<!\w)_|_(?!\w)")


def write(report: dict[str, Any], out: Path) -> Path:
    """Write `out`/report.md; returns its path. The same report gives the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.md"
    path.write_text(render(report), encoding="utf-8", newline="\n")
    return path


def render(report: dict[str, Any]) -> str:
    """The summary. Findings are told in full while a third of it holds them, then a line each; other parts are added,
    the weightiest first, while they fit. What did not fit is counted at the end."""
    parts = [_head(report), *_findings([f for f in report["findings"] if not f["waived"]])]
    rest = [
        _fold("Findings accepted in the baseline", [_line(f) for f in report["findings"] if f["waived"]]),
        _fold("Waivers that need attention", [_waiver(w) for w in report["waivers"] if w["state"] != "active"]),
        _fold("Errors of the run", [_error(e) for e in report["errors"]]),
    ]
    rest += [_requirements(report)]
    for verdict, (label, meaning) in words.VERDICTS.items():
        items = [item for item in report["items"] if item["verdict"] == verdict]
        rest.append(_fold(f"{label}: {words.plural(len(items), 'item')} ({meaning})", [_item(item) for item in items]))
    rest += [
        _soundness(report),
        _scope(report),
        _matrix(report),
        _unserved(report),
        _unclaimed(report),
        _contradictions(report),
    ]
    text, left = "", 0
    for part in [*parts, *(part for part in rest if part)]:
        if len((text + part).encode()) > LIMIT - _SPARE:
            left += 1
        else:
            text += part + "\n"
    if left:
        text += f"\n_{words.plural(left, 'part')} left out to stay below {LIMIT // 1024} KiB; report.html has all._\n"
    return text


def _head(report: dict[str, Any]) -> str:
    run, summary, verdict = report["run"], report["summary"], report["verdict"]
    counts = " | ".join(str(summary[name]) for name in words.VERDICTS)
    labels = " | ".join(label for label, _ in words.VERDICTS.values())
    lines = [
        f"## {_text(verdict['line'])}",
        "",
        *(f"- {_text(reason)}" for reason in verdict["reasons"]),
        "",
        f"| {labels} |",
        "| " + " | ".join("---:" for _ in words.VERDICTS) + " |",
        f"| {counts} |",
        "",
        f"Target {_code(run['target'])} {_code(run['target_version'])}, profile {_code(run['profile'])}, seed "
        f"{run['seed']}, {words.plural(run['plans'], 'plan')}, {words.plural(run['steps'], 'step')}, "
        f"{run['seconds']:.0f} s.",
        "",
    ]
    if summary["findings_open"]:
        lines += ["### Findings", ""]
    return "\n".join(lines)


def _findings(findings: list[dict[str, Any]]) -> list[str]:
    """Findings in full as long as their share of the summary holds them; the others by name, since each is open."""
    told: list[str] = []
    for finding in findings:
        part = _finding(finding)
        if sum(len(one.encode()) for one in (*told, part)) > LIMIT * TOLD:
            break
        told.append(part)
    more = findings[len(told) :]
    title = f"{words.plural(len(more), 'more finding')}, told in full in report.html"
    return [*told, _fold(title, [f"{_text(one['title'])}: {_line(one)}" for one in more])]


def _spot(site: dict[str, Any]) -> str:
    return f"in {_text(site['file'])}:{site['line']}" if site["file"] else words.NOWHERE


def _finding(finding: dict[str, Any]) -> str:
    site = finding["site"]
    lines = [
        "<details>",
        f"<summary><b>{_text(finding['title'])}</b>: {_text(finding['surface'])} {_spot(site)} "
        f"({finding['fingerprint']})</summary>",
        "",
        _text(finding["meaning"]),
        "",
        f"- what: {_text(finding['message'])}",
        f"- where: {_code(site['function']) or 'the code of several places'}, reached from "
        f"{', '.join(finding['entries'] or [finding['entry']])} with twins that differ in "
        f"{words.apart(finding['dimensions'] or [finding['dimension']])}",
        *_cause(finding),
        f"- risk items: {', '.join(_code(item) for item in finding['items']) or 'none claims this place'}",
        *_confirmed(finding),
        f"- control: OWASP ASVS 5.0 {', '.join(finding['asvs'])}",
        f"- witness: {words.plural(finding['steps'], 'step')}, {words.plural(finding['deviations'], 'deviation')}"
        + (f", replay with {_code(finding['replay'])}" if finding["replay"] else ""),
        "",
    ]
    lines += _provenance(finding)
    if finding["timeline"]:
        events = words.recent(finding["timeline"], finding["surface"])
        if len(events) < len(finding["timeline"]):
            lines += [f"{len(events)} of {len(finding['timeline'])} events (`--explain` tells all):", ""]
        lines += ["| s | lane | |", "| ---: | --- | --- |"]
        lines += [
            f"| {event['at']:.3f} | {event['lane']} | "
            + (f"**{_text(event['text'])}**" if event["kind"] == "violation" else _text(event["text"]))
            + " |"
            for event in events
        ]
        lines.append("")
    return "\n".join([*lines, "</details>", ""])


def _provenance(finding: dict[str, Any]) -> list[str]:
    """How the code came to run there, where flow and context parted in bold."""
    if not finding["provenance"]:
        return []
    lines = ["How it came to run there:", ""]
    for number, link in enumerate(finding["provenance"], 1):
        site = link["site"]
        where = f" ({_text(site['file'])}:{site['line']})" if site else ""
        text = _text(link["text"])
        lines.append(f"{number}. {f'**{text}**' if link['parted'] else text}{where}")
    return [*lines, ""]


def _cause(finding: dict[str, Any]) -> list[str]:
    """What else shows the same cause; nothing where it shows once."""
    shown = len(finding["shows"])
    if shown < 2:
        return []
    rules = ", ".join(_code(rule) for rule in finding["rules"])
    return [f"- one cause, shown at {words.plural(shown, 'place')} by {rules}"]


def _confirmed(finding: dict[str, Any]) -> list[str]:
    return [f"- vanishes under {', '.join(map(_code, finding['confirmed_by']))}"] if finding["confirmed_by"] else []


def _line(finding: dict[str, Any]) -> str:
    return f"{_code(finding['fingerprint'])} {finding['rule']} {_text(finding['surface'])} {_spot(finding['site'])}"


def _waiver(waiver: dict[str, Any]) -> str:
    return f"**{waiver['state']}** {_code(waiver['subject'])} ({_text(waiver['owner'])}): {_text(waiver['why'])}"


def _error(error: dict[str, Any]) -> str:
    cause = ", caused by the harness" if error["harness"] else ""
    return f"{_text(error['kind'])} ({words.plural(error['count'], 'time')}{cause}): {_text(error['message'])}"


def _item(item: dict[str, Any]) -> str:
    return f"{_code(item['id'])} {_text(item['why'])}"


def _requirements(report: dict[str, Any]) -> str:
    lines = [
        f"{one['number']}. **{words.OUTCOMES[one['outcome']][0]}** {_code(one['id'])} "
        + _text(one["why"][:_LONGEST_WHY])
        for one in report["requirements"]
    ]
    title = f"Demands of the documents: {words.outcomes(report['requirements'])}"
    return _details(title, "\n".join(lines)) if lines else ""


def _contradictions(report: dict[str, Any]) -> str:
    """What the documents say beside what was measured, where they are wrong or contradict each other."""
    lines = []
    for title, rows in contradictions.table(report):
        lines += [f"**{title}** ({len(rows)})", "", "| item | the documents say | measured |", "| --- | --- | --- |"]
        lines += [
            f"| {_code(row['id'])} | {_text(contradictions.said(row)[:_LONGEST_WHY])} | "
            f"{_text(contradictions.measured(row)[:_LONGEST_WHY])} |"
            for row in rows
        ]
        lines.append("")
    title = contradictions.sentence(report["contradictions"])
    return _details(title[:1].upper() + title[1:], "\n".join(lines)) if lines else ""


def _unserved(report: dict[str, Any]) -> str:
    lines = [
        f"{_code(tried['entry'] + '.' + tried['name'])}: tried {words.plural(tried['tries'], 'time')}, "
        f"{words.ended(tried['outcomes'])}" + (f"; mostly: {_text(tried['error'])}" if tried["error"] else "")
        for tried in report["unserved"][:_MOST_PLACES]
    ]
    more = len(report["unserved"]) - len(lines)
    if more:
        lines.append(f"{more} more in report.json")
    return _fold(f"Tried and never once served: nothing behind it was exercised ({len(report['unserved'])})", lines)


def _unclaimed(report: dict[str, Any]) -> str:
    lines = [
        f"{place['sink']} {_code(place['surface'])}: {place['holding']}, "
        f"{words.plural(place['accesses'], 'access', 'accesses')} ({', '.join(place['entries'])}), "
        f"first at {_code(words.spot(place['site']))}"
        for place in report["unclaimed"][:_MOST_PLACES]
    ]
    more = len(report["unclaimed"]) - len(lines)
    if more:
        lines.append(f"{more} more in report.json")
    return _fold(f"Places that tenants reach and no risk item claims ({len(report['unclaimed'])})", lines)


def _matrix(report: dict[str, Any]) -> str:
    entries = list(dict.fromkeys(cell["entry"] for cell in report["matrix"]))
    sinks = list(dict.fromkeys(cell["sink"] for cell in report["matrix"]))
    if not sinks:
        return ""
    cells = {(cell["sink"], cell["entry"]): cell for cell in report["matrix"]}
    lines = ["| sink | " + " | ".join(entries) + " |", "| --- |" + " ---: |" * len(entries)]
    for sink in sinks:
        row = [_cell(cells.get((sink, entry))) for entry in entries]
        lines.append(f"| {sink} | " + " | ".join(row) + " |")
    return _details("Accesses watched (findings in bold)", "\n".join(lines))


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    return f"{cell['accesses']:,}" + (f" **{cell['findings']}**" if cell["findings"] else "")


def _scope(report: dict[str, Any]) -> str:
    run = report["run"]
    lines = [f"replaced: {' '.join(_text(value) for value in entry.values() if value)}" for entry in run["hidden"]]
    lines += [
        f"shared on purpose: {' '.join(_text(value) for value in entry.values() if value)}" for entry in run["shared"]
    ]
    return _fold("What this run cannot see, and sharing declared as intended", lines)


def _soundness(report: dict[str, Any]) -> str:
    sound = report["soundness"]
    lines = [
        f"{sound['killed']} of {words.plural(sound['faults'], 'injected fault')} found, "
        f"{sound['right_rule']} by the right rule",
        f"{words.controls(sound['controls'], sound['false_positives'])}; "
        f"{words.plural(sound['clean_plans'], 'plan')} without a finding"
        + ("" if sound["bound95"] is None else f" (95 % bound {sound['bound95']:.2%} a plan)"),
        *filter(None, [_text(words.hardness(sound)), _text(words.astray(sound))]),
        *filter(None, [_text(words.untested(report["items"], sound))]),
        words.pairs(sound.get("pairs", {})),
        *filter(None, [words.confirmed(report["findings"], sound["overlays"])]),
    ]
    return _fold("How far the harness can be believed", lines)


def _fold(title: str, lines: list[str]) -> str:
    return _details(title, "\n".join(f"- {line}" for line in lines)) if lines else ""


def _details(title: str, body: str) -> str:
    return f"<details>\n<summary>{_text(title)}</summary>\n\n{body}\n\n</details>\n"


def _text(text: str) -> str:
    """Text that turns into no markup, neither as Markdown nor inside an HTML block: marks become entities."""
    return " ".join(_MARKS.sub(lambda match: f"&#{ord(match.group())};", text).split())


def _code(text: str) -> str:
    """Inline code; backticks inside become quotes and bars do not end a table cell."""
    return "`" + " ".join(text.replace("`", "'").replace("|", "/").split()) + "`" if text.strip() else ""
