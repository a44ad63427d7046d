"""Leaves payloads, credentials and config values out of a report that is to be published.

It keeps what is known to be safe rather than hunting for what is not: a free text that could quote the bot's data is
replaced by one made from structured fields. A witness is an exploit, so neither its payloads nor its file go along.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from reports import words

LEFT_OUT = "(left out)"
SHORTEST = 4
"""Known secrets shorter than this are not searched for in texts: they are parts of ordinary words."""


def redact(report: dict[str, Any], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """A copy of the report without payloads, keys, credentials, config values, code and witnesses.

    `secrets` are further strings the caller knows of (canaries, credentials); they are removed wherever they stand.
    """
    report = copy.deepcopy(report)
    report["redacted"] = True
    known = set(secrets)
    keys: dict[str, str] = {}
    for finding in report["findings"]:
        known.update(_texts(finding["plan"]))
        if finding["key"]:
            known.add(finding["key"])
            keys.setdefault(finding["key"], f"key {len(keys) + 1}")
    report["findings"] = [_finding(finding, keys) for finding in report["findings"]]
    for error in report["errors"]:
        error["message"] = LEFT_OUT
    for tried in report["unserved"]:
        tried["error"] = LEFT_OUT if tried["error"] else ""
    for overlay in report["soundness"]["overlays"]:
        overlay["detail"] = overlay["witness"] = ""
    report["unclaimed"] = [
        {
            name: value
            for name, value in place.items()
            if name in ("sink", "surface", "entries", "accesses", "holding", "twins", "site")
        }
        for place in report["unclaimed"]
    ]
    ordered = sorted((text for text in known if len(text) >= SHORTEST), key=lambda text: (-len(text), text))
    scrubbed: dict[str, Any] = _scrub(report, ordered)
    return scrubbed


def _finding(finding: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    site = finding["site"]
    where = f"{site['file']}:{site['line']} ({site['function']})" if site["file"] else "no single place in the code"
    finding["key"] = keys.get(finding["key"], "")
    finding["message"] = (
        f"{finding['title']}: {words.who(finding['observer'])} and data of {words.who(finding['source'])} meet in "
        f"{finding['sink']} {finding['surface']} at {where}"
    )
    finding["witness"] = finding["replay"] = ""
    site["code"] = []
    finding["timeline"] = [_event(event) for event in finding["timeline"]]
    finding["provenance"] = [_event({**link, "lane": link["who"]}) for link in finding["provenance"]]
    for link in finding["provenance"]:
        del link["lane"]
    plan = finding["plan"]
    if plan is not None:
        finding["plan"] = {
            "steps": [
                {name: step[name] for name in ("entry", "action", "who", "gap", "join") if name in step}
                for step in plan.get("steps", ())
            ],
            "tape": plan.get("tape", []),
            "overlays": plan.get("overlays", []),
        }
    return finding


def _event(event: dict[str, Any]) -> dict[str, Any]:
    site = event["site"]
    at = f" in {site['function']}" if site else ""
    event["text"] = f"{event['kind']} of {words.who(event['lane'])}{at}"
    if site:
        site["code"] = []
    return event


def _texts(data: Any) -> Iterable[str]:
    """Every string inside a plan's payloads."""
    for step in (data or {}).get("steps", ()):
        yield from _strings(step.get("payload"))


def _strings(data: Any) -> Iterable[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _strings(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _strings(value)


FIXED = frozenset(
    {
        "schema",
        "state",
        "verdict",
        "sink",
        "entry",
        "entries",
        "dimension",
        "dimensions",
        "predicate",
        "rule",
        "id",
        "items",
        "fingerprint",
        "findings",
        "file",
        "function",
        "stack",
        "surface",
        "site",
        "kind",
        "lane",
        "steps",
        "tape",
        "who",
        "action",
        "module",
        "group",
        "target",
        "defect",
        "mitigation",
        "asvs",
        "overlays",
        "name",
        "about",
        "outcome",
        "source",
    }
)
"""Fields whose values are names of the harness, the risk map or the bot's code, never data: left as they are, so that
a payload as plain as ``ping`` does not garble them."""


def _scrub(data: Any, secrets: list[str]) -> Any:
    if isinstance(data, str):
        for secret in secrets:
            if secret in data:
                data = data.replace(secret, LEFT_OUT)
        return data
    if isinstance(data, dict):
        return {
            name: value if name in FIXED and isinstance(value, str) else _scrub(value, secrets)
            for name, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [_scrub(value, secrets) for value in data]
    return data
