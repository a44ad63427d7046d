"""report.sarif: SARIF 2.1.0, one result a root cause, the schedule as code flow.

A root cause is a place: sink, surface and function. Where several rules fire there, the most telling one speaks for
it and the others are named in the message. Fingerprints hold no line, so they survive unrelated edits.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from reports import words

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def write(report: dict[str, Any], out: Path) -> Path:
    """Write `out`/report.sarif; returns its path. The same report gives the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.sarif"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(build(report)), indent=1) + b"\n")
    return path


def build(report: dict[str, Any]) -> dict[str, Any]:
    """The SARIF log as plain data."""
    causes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        site = finding["site"]
        causes.setdefault((finding["sink"], finding["surface"], site["file"], site["function"]), []).append(finding)
    order = {name: rank for rank, name in enumerate(words.SEVERITY)}
    groups = [
        sorted(group, key=lambda f: (order.get(f["rule"], len(order)), f["fingerprint"])) for group in causes.values()
    ]
    rules = sorted({finding["rule"] for finding in report["findings"]}, key=lambda r: (order.get(r, len(order)), r))
    run = report["run"]
    return {
        "$schema": SCHEMA_URI,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tenant-isolation-harness",
                        "semanticVersion": _semantic(run["harness_version"]),
                        "rules": [_rule(name) for name in rules],
                    }
                },
                "automationDetails": {"id": f"isolation/{run['target']}/{run['profile']}"},
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the bot's checkout."}}},
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(report)],
                "results": [_result(group, rules) for group in groups],
                "properties": {
                    "verdict": report["verdict"]["line"],
                    "target": run["target"],
                    "targetVersion": run["target_version"],
                    "seed": run["seed"],
                    "summary": report["summary"],
                },
            }
        ],
    }


def _semantic(version: str) -> str:
    """SARIF wants SemVer; a version that has only two parts gets a third."""
    parts = version.split(".")
    return ".".join([*parts, *["0"] * (3 - len(parts))]) if len(parts) < 3 else version


def _rule(name: str) -> dict[str, Any]:
    known = words.rule(name)
    return {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": f"{known.title}."},
        "fullDescription": {
            "text": known.meaning.format(source="tenant A", observer="tenant B", what="the bot's state")
        },
        "help": {"text": "Breaks OWASP ASVS 5.0 " + "; ".join(f"{c}: {words.ASVS[c]}" for c in known.asvs) + "."},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["security", "multi-tenant", *(f"ASVS-5.0-{c}" for c in known.asvs)]},
    }


def _invocation(report: dict[str, Any]) -> dict[str, Any]:
    trusted = report["verdict"]["state"] != "unsound" and not report["run"]["interrupted"]
    invocation: dict[str, Any] = {"executionSuccessful": trusted}
    notes = [
        {
            "level": "error" if error["harness"] else "warning",
            "descriptor": {"id": error["kind"]},
            "message": {"text": f"{error['message']} ({words.plural(error['count'], 'time')})"},
        }
        for error in report["errors"]
    ]
    if notes:
        invocation["toolExecutionNotifications"] = notes
    return invocation


def _result(group: list[dict[str, Any]], rules: list[str]) -> dict[str, Any]:
    first = group[0]
    site = first["site"]
    text = f"{first['title']}: {first['message'].rstrip('.')}. {first['meaning']}"
    others = sorted({rule for finding in group for rule in finding["rules"] or [finding["rule"]]} - {first["rule"]})
    if others:
        text += f" Also: {', '.join(others)}."
    if first["replay"]:
        text += f" Replay: {first['replay']}"
    result: dict[str, Any] = {
        "ruleId": first["rule"],
        "ruleIndex": rules.index(first["rule"]),
        "level": "error",
        "message": {"text": text},
        "locations": [_location(site, None, surface=first["surface"])],
        "partialFingerprints": {
            "isolationFinding/v1": first["fingerprint"],
            "isolationPlace/v1": _place(first),
        },
        "codeFlows": _flows(first),
        "properties": {
            "sink": first["sink"],
            "entry": first["entry"],
            "dimension": first["dimension"],
            "surface": first["surface"],
            "items": sorted({item for finding in group for item in finding["items"]}),
            "fingerprints": sorted(finding["fingerprint"] for finding in group),
            "occurrences": sum(finding["occurrences"] for finding in group),
        },
    }
    if all(finding["waived"] for finding in group):
        result["level"] = "note"
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": "accepted in the baseline"}
        ]
    if not result["codeFlows"]:
        del result["codeFlows"]
    return result


def _place(finding: dict[str, Any]) -> str:
    site = finding["site"]
    text = "|".join((finding["sink"], finding["surface"], site["file"], site["function"]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _location(site: dict[str, Any] | None, text: str | None, surface: str = "") -> dict[str, Any]:
    location: dict[str, Any] = {}
    if site and site["file"]:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": quote(site["file"]), "uriBaseId": "SRCROOT"},
            "region": {"startLine": max(1, site["line"])},
        }
    logical = [{"fullyQualifiedName": site["function"], "kind": "function"}] if site and site["function"] else []
    if surface:
        logical.append({"fullyQualifiedName": surface, "kind": "resource"})
    if logical:
        location["logicalLocations"] = logical
    if text is not None:
        location["message"] = {"text": text}
    return location


def _flows(finding: dict[str, Any]) -> list[dict[str, Any]]:
    """One thread flow a lane; `executionOrder` gives the interleaving."""
    lanes: dict[str, list[dict[str, Any]]] = {}
    for number, event in enumerate(finding["timeline"]):
        lanes.setdefault(event["lane"], []).append(
            {
                "executionOrder": number,
                "importance": "essential" if event["kind"] == "violation" else "important",
                "kinds": [event["kind"]],
                "location": _location(event["site"], event["text"]),
                "nestingLevel": 0 if event["kind"] == "step" else 1,
            }
        )
    if not lanes:
        return []
    flows = [
        {"id": words.who(lane), "message": {"text": f"What ran for {words.who(lane)}."}, "locations": lanes[lane]}
        for lane in sorted(lanes)
    ]
    return [{"message": {"text": "The shortest schedule known to show it."}, "threadFlows": flows}]
