"""report.junit.xml: one suite a group of the risk map, one case a risk item.

Open is a failure. Not exercised, inert, not applicable and waived are skipped, never passed: only closed is green.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reports import words

UNCLAIMED_SUITE = "findings outside the risk map"
ERRORS_SUITE = "errors of the run"

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: dict[str, Any], out: Path) -> Path:
    """Write `out`/report.junit.xml; returns its path. The same report gives the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.junit.xml"
    root = build(report)
    ET.indent(root, " ")
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return path


def build(report: dict[str, Any]) -> ET.Element:
    """The JUnit tree."""
    findings = {finding["fingerprint"]: finding for finding in report["findings"]}
    root = ET.Element("testsuites", name=_clean(f"isolation of {report['run']['target']}"))
    groups: dict[str, list[ET.Element]] = {}
    for item in report["items"]:
        groups.setdefault(item["group"], []).append(_item(item, findings))
    stray = [finding for finding in report["findings"] if not finding["items"]]
    if stray:
        groups[UNCLAIMED_SUITE] = [_stray(finding) for finding in stray]
    if report["errors"]:
        groups[ERRORS_SUITE] = [_error(number, error) for number, error in enumerate(report["errors"], 1)]
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for name, cases in groups.items():
        counts = _counts(cases)
        for key, count in counts.items():
            totals[key] += count
        suite = ET.SubElement(root, "testsuite", name=_clean(name), time="0")
        for key, count in counts.items():
            suite.set(key, str(count))
        suite.extend(cases)
    for key in ("tests", "failures", "errors"):
        root.set(key, str(totals[key]))
    root.set("time", f"{report['run']['seconds']:.3f}")
    return root


def _counts(cases: Iterable[ET.Element]) -> dict[str, int]:
    cases = list(cases)
    return {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }


def _case(classname: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_clean(classname), name=_clean(name), time="0")


def _item(item: dict[str, Any], findings: dict[str, dict[str, Any]]) -> ET.Element:
    case = _case("isolation.items", item["id"])
    verdict = item["verdict"]
    if verdict == "closed":
        return case
    label = words.VERDICTS[verdict][0]
    if verdict == "open":
        failure = ET.SubElement(case, "failure", type="open", message=_clean(f"{label}: {item['why']}"))
        failure.text = _clean(
            "\n\n".join(_describe(findings[f]) for f in item["findings"] if f in findings) or item["why"]
        )
        return case
    why = item["why"]
    if waiver := item["waiver"]:
        why = f"accepted by {waiver['owner']} until {waiver['until']}: {waiver['reason']}"
    ET.SubElement(case, "skipped", message=_clean(f"{label}: {why}"))
    return case


def _stray(finding: dict[str, Any]) -> ET.Element:
    case = _case("isolation.findings", f"{finding['rule']} {finding['fingerprint']}")
    if finding["waived"]:
        ET.SubElement(case, "skipped", message="Waived: accepted in the baseline")
    else:
        failure = ET.SubElement(case, "failure", type=_clean(finding["rule"]), message=_clean(finding["message"]))
        failure.text = _clean(_describe(finding))
    return case


def _error(number: int, error: dict[str, Any]) -> ET.Element:
    case = _case("isolation.errors", f"{number} {error['kind']}")
    found = ET.SubElement(case, "error", type=_clean(error["kind"]), message=_clean(error["message"]))
    cause = "the harness" if error["harness"] else "the target"
    found.text = _clean(
        f"{words.plural(error['count'], 'time')}, caused by {cause}; where: {error['where'] or 'not known'}"
    )
    return case


def _describe(finding: dict[str, Any]) -> str:
    lines = [
        f"{finding['fingerprint']} {finding['rule']}: {finding['message']}",
        f"  {words.spot(finding['site'])}",
        f"  {finding['sink']} {finding['surface']}, entry {', '.join(finding['entries'] or [finding['entry']])}",
    ]
    if finding["replay"]:
        lines.append(f"  {finding['replay']}")
    return "\n".join(lines)


def _clean(text: str) -> str:
    """XML 1.0 has no place for control characters, and a bot's error may quote any."""
    return _NOT_XML.sub("�", text)
