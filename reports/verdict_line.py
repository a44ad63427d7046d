"""The verdict of a whole run in one line, with its reasons: the first thing every report says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from harness.record import ErrorRecord, RunInfo, Soundness
from reports.words import plural

RISK_MAP = "risk map"
"""Kind of the errors that are the map's: they cost no plan, and what they leave undecided is told as such."""


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: *unsound* (do not trust the rest), *open*, *incomplete* (nothing crossed, but not all was
    tried), *closed*. `line` is one sentence, `reasons` are short sentences, the weightiest first."""

    state: Literal["unsound", "open", "incomplete", "closed"]
    line: str
    reasons: tuple[str, ...]


def headline(
    *,
    summary: Mapping[str, Any],
    open_findings: Sequence[tuple[str, str, str]],
    errors: Iterable[ErrorRecord],
    soundness: Soundness,
    run: RunInfo,
    expired: int,
    unsteady: int = 0,
) -> Headline:
    """The headline of a run. `open_findings` are the findings beyond the baseline: title, sink, surface. `unsteady`
    counts witnesses that did not show their finding in every replay."""
    places = len({(sink, surface) for _, sink, surface in open_findings})
    errors = tuple(errors)
    doubts = _sentences(_doubts(errors, soundness, unsteady))
    facts = _sentences(_facts(summary, open_findings, expired, errors))
    gaps = _sentences(_gaps(summary, errors, run))
    applicable = sum(summary[name] for name in ("open", "waived", "closed", "inert", "not_exercised"))
    if doubts:
        line = "The harness cannot vouch for this run; do not rely on the verdicts below."
        return Headline(state="unsound", line=line, reasons=(*doubts, *facts, *gaps))
    if summary["open"] or summary["findings_open"] or expired:
        line = (
            f"Isolation is broken: {plural(summary['findings_open'], 'finding')} at {plural(places, 'place')}, "
            f"{summary['open']} of {plural(applicable, 'item')} open."
        )
        return Headline(state="open", line=line, reasons=(*facts, *gaps))
    if not summary["closed"] and not summary["waived"]:
        line = f"Nothing was shown: none of {plural(applicable, 'item')} was closed."
        return Headline(state="incomplete", line=line, reasons=(*facts, *gaps))
    if run.overlays and summary["closed"] == applicable:
        line = f"All {plural(applicable, 'item')} closed, but with the target changed by overlays: "
        return Headline(state="incomplete", line=f"{line}{', '.join(run.overlays)}.", reasons=(*facts, *gaps))
    if gaps or summary["not_exercised"] or summary["inert"]:
        closed = f"{summary['closed']} of {plural(applicable, 'item')}"
        beyond = " beyond what is accepted" if summary["waived"] else ""
        line = f"Nothing crossed{beyond}, but only {closed} closed."
        return Headline(state="incomplete", line=line, reasons=(*facts, *gaps))
    line = f"Isolation holds: {summary['closed']} of {plural(applicable, 'item')} closed."
    if summary["waived"]:
        line = f"{line[:-1]}, {summary['waived']} waived."
    return Headline(state="closed", line=line, reasons=(*facts, *gaps))


def _sentences(reasons: list[str]) -> list[str]:
    return [reason[:1].upper() + reason[1:] for reason in reasons]


def _doubts(errors: tuple[ErrorRecord, ...], soundness: Soundness, unsteady: int) -> list[str]:
    doubts = [
        f"the probe for {name} saw nothing of what was planted" for name, seen in soundness.probes.items() if not seen
    ]
    own = sum(error.count for error in errors if error.harness)
    if own:
        doubts.append(f"the harness itself caused {plural(own, 'error')}")
    if soundness.killed < soundness.faults:
        missed = soundness.faults - soundness.killed
        doubts.append(f"{missed} of {plural(soundness.faults, 'injected fault')} went unnoticed")
    elif soundness.right_rule < soundness.faults:
        wrong = soundness.faults - soundness.right_rule
        doubts.append(f"{plural(wrong, 'injected fault was', 'injected faults were')} found by the wrong rule only")
    if unsteady:
        doubts.append(f"{plural(unsteady, 'witness', 'witnesses')} did not show the finding again in every replay")
    if soundness.false_positives:
        doubts.append(f"{plural(soundness.false_positives, 'false positive')} on behaviour known to be right")
    return doubts


def _facts(
    summary: Mapping[str, Any],
    open_findings: Sequence[tuple[str, str, str]],
    expired: int,
    errors: tuple[ErrorRecord, ...],
) -> list[str]:
    facts = []
    titles = Counter(title for title, _, _ in open_findings)
    if titles:
        facts.append("; ".join(f"{title.lower()} ({count})" for title, count in titles.most_common()))
    if expired:
        facts.append(f"{plural(expired, 'waiver has', 'waivers have')} expired and count as open")
    if summary["waived"]:
        facts.append(f"{plural(summary['waived'], 'item')} open but waived")
    if summary["closed"]:
        facts.append(f"{plural(summary['closed'], 'item')} closed: every cell reached, every control held")
    amiss = sum(error.count for error in errors if error.kind == RISK_MAP)
    if amiss:
        facts.append(f"the risk map and the bot differ in {plural(amiss, 'thing')}: see the errors")
    return facts


def _gaps(summary: Mapping[str, Any], errors: tuple[ErrorRecord, ...], run: RunInfo) -> list[str]:
    gaps = []
    if summary["not_exercised"]:
        gaps.append(f"{plural(summary['not_exercised'], 'item')} not exercised enough to judge")
    if summary["inert"]:
        gaps.append(f"{plural(summary['inert'], 'item')} inert: the feature does not work, so nothing is shown")
    lost = sum(error.count for error in errors if not error.harness and error.kind != RISK_MAP)
    if lost:
        gaps.append(f"{plural(lost, 'error')} during the run, each costing a plan or part of one")
    if run.interrupted:
        gaps.append("the run was interrupted before its budget was spent")
    if run.overlays:
        gaps.append(f"the target was changed by overlays: {', '.join(run.overlays)}")
    return gaps
