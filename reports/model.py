"""The report model: `report.json`, the one thing every writer reads.

`from_record` makes it from a campaign's record, `load` reads it back from a folder. The types are those of
`reports/shape.py`; writers get it as plain dicts, so that a report of a later version with more fields still
renders. Nothing here looks at the clock: the same record gives the same bytes.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.baseline import Applied
from harness.errors import UsageError
from harness.record import FindingRecord, ItemRecord, RunRecord, UnclaimedRecord
from harness.trace import Site
from reports import words
from reports.contradictions import contradictions
from reports.redact import redact
from reports.shape import (
    CallReport,
    CellReport,
    CodeLine,
    EventReport,
    FindingReport,
    ItemReport,
    ProvenanceReport,
    Report,
    RequirementReport,
    SiteReport,
    SoundnessReport,
    Summary,
    UnclaimedReport,
    WaiverReport,
)
from reports.verdict_line import headline

__all__ = ["REPORT_SCHEMA", "Report", "from_record", "load", "redact", "schema"]

REPORT_SCHEMA = "isolation-report/1"
CONTEXT_LINES = 3
"""Lines of code shown on either side of a finding's site."""


def from_record(
    record: RunRecord,
    *,
    applied: Applied | None = None,
    source_root: Path | Sequence[Path] | None = None,
    replay: str = "isolation replay {witness}",
) -> dict[str, Any]:
    """The report of a record, as plain data.

    `applied` is the record with a baseline applied; its verdicts win. `source_root` is the bot's root, or its
    roots: with it, the lines around each finding's site are shown; files that cannot be read are left out. `replay` is
    the command shown for replaying a witness; ``{witness}`` in it stands for the witness's path.
    """
    if applied is not None:
        record = applied.record
    waived = set(applied.waived) if applied is not None else set()
    waivers = (
        ()
        if applied is None
        else tuple(
            WaiverReport(
                subject=judged.waiver.subject,
                owner=judged.waiver.owner,
                reason=judged.waiver.reason,
                until=judged.waiver.until.isoformat(),
                state=judged.state,
                why=judged.why,
            )
            for judged in applied.waivers
        )
    )
    sources: dict[str, list[str]] = {}
    roots = (source_root,) if isinstance(source_root, Path) else tuple(source_root or ())
    findings = tuple(_finding(f, record.witnesses, waived, roots, sources, replay) for f in _ranked(record.findings))
    items = tuple(_item(item, record) for item in record.items)
    counts = Counter(item.verdict for item in items)
    documented = record.run.documented
    summary = Summary(
        open=counts["open"],
        closed=counts["closed"],
        inert=counts["inert"],
        not_exercised=counts["not_exercised"],
        not_applicable=counts["not_applicable"],
        waived=counts["waived"],
        findings=len(findings),
        findings_open=len(findings) - len(waived),
    )
    report = Report(
        schema="isolation-report/1",
        verdict=headline(
            summary=msgspec.structs.asdict(summary),
            open_findings=[(f.title, f.sink, f.surface) for f in findings if not f.waived],
            errors=record.errors,
            soundness=record.soundness,
            run=record.run,
            expired=sum(1 for w in waivers if w.state == "expired"),
            unsteady=sum(1 for f in findings if f.replays[0] < f.replays[1]),
        ),
        run=record.run,
        summary=summary,
        items=items,
        matrix=record.matrix,
        findings=findings,
        requirements=msgspec.convert(msgspec.to_builtins(record.requirements), tuple[RequirementReport, ...]),
        unclaimed=tuple(_unclaimed(place) for place in record.unclaimed),
        calls=msgspec.convert(msgspec.to_builtins(record.calls), tuple[CallReport, ...]),
        unserved=record.unserved,
        waivers=waivers,
        errors=record.errors,
        soundness=SoundnessReport(**msgspec.structs.asdict(record.soundness)),
        performance=record.performance,
        contradictions=contradictions(items, documented),
    )
    # Through JSON, so that a report just made and one read back are equal down to the list.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(report))
    return plain


def load(folder: Path) -> dict[str, Any]:
    """The report in a run's folder. Raises UsageError naming file and place when it is missing or malformed."""
    path = folder / "report.json" if folder.is_dir() else folder
    try:
        data = path.read_bytes()
    except OSError:
        raise UsageError(f"{path} cannot be read; give the folder that `isolation run --out` wrote") from None
    try:
        known = msgspec.json.decode(data, type=Report)
        plain: dict[str, Any] = _filled(msgspec.json.decode(msgspec.json.encode(known)), msgspec.json.decode(data))
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path} is no {REPORT_SCHEMA} report: {error}") from error
    return plain


def _filled(known: Any, said: Any) -> Any:
    """`said`, with what an earlier version had no field for as `known` has it: its default."""
    if isinstance(known, dict) and isinstance(said, dict):
        return {**known, **{name: _filled(known.get(name), child) for name, child in said.items()}}
    if isinstance(known, list) and isinstance(said, list):
        return [_filled(*pair) for pair in zip(known, said, strict=True)]
    return said


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of report.json."""
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Report)))
    described: dict[str, Any] = _cleaned(made)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Isolation report, version 1",
        **described,
    }


def _cleaned(node: Any) -> Any:
    """`node` with descriptions unindented: Python strips the margin of docstrings from 3.13 on, earlier it stays."""
    if isinstance(node, list):
        return [_cleaned(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        name: inspect.cleandoc(child) if name == "description" and isinstance(child, str) else _cleaned(child)
        for name, child in node.items()
    }


def _ranked(findings: tuple[FindingRecord, ...]) -> list[FindingRecord]:
    """Findings by place, the most telling rule first within one, so that one cause reads as one block."""
    order = {name: rank for rank, name in enumerate(words.SEVERITY)}

    def rank(finding: FindingRecord) -> int:
        return order.get(finding.rule, len(order))

    best: dict[tuple[str, str], int] = {}
    for finding in findings:
        place = (finding.sink, finding.surface)
        best[place] = min(best.get(place, len(order)), rank(finding))
    return sorted(
        findings,
        key=lambda f: (
            best[f.sink, f.surface],
            f.sink,
            f.surface,
            rank(f),
            f.site.file,
            f.site.function,
            f.fingerprint,
        ),
    )


def _finding(
    finding: FindingRecord,
    witnesses: dict[str, bytes],
    waived: set[str],
    roots: Sequence[Path],
    sources: dict[str, list[str]],
    replay: str,
) -> FindingReport:
    plan = witnesses.get(finding.fingerprint)
    fields = msgspec.structs.asdict(finding)
    met = words.kind(finding.dimensions or (finding.dimension,))
    fields.update(
        title=words.title(finding.rule, met),
        site=_site(finding.site, roots, sources),
        meaning=words.meaning(finding.rule, finding.sink, finding.source, finding.observer, met),
        asvs=words.rule(finding.rule).asvs,
        replay=replay.replace("{witness}", finding.witness) if finding.witness else "",
        waived=finding.fingerprint in waived,
        timeline=tuple(
            EventReport(
                lane=event.lane,
                kind=event.kind,
                at=event.at,
                text=event.text,
                site=None if event.site is None else _site(event.site),
            )
            for event in finding.timeline
        ),
        provenance=tuple(
            ProvenanceReport(
                kind=link.kind,
                who=link.who,
                context=link.context,
                text=link.text,
                site=_site(link.site) if link.site.file else None,
                parted=link.parted,
            )
            for link in finding.provenance
        ),
        plan=None if plan is None else msgspec.json.decode(plan),
    )
    return FindingReport(**fields)


def _item(item: ItemRecord, record: RunRecord) -> ItemReport:
    fields = msgspec.structs.asdict(item)
    fields["cells"] = tuple(CellReport(**msgspec.structs.asdict(cell)) for cell in item.cells)
    fields["against"] = words.against(item.documents.status, item.verdict) if record.run.documented else "unmeasured"
    if not item.overlays:
        fields["overlays"] = tuple(o.name for o in record.soundness.overlays if item.id in o.items)
    return ItemReport(**fields)


def _unclaimed(place: UnclaimedRecord) -> UnclaimedReport:
    fields = msgspec.structs.asdict(place)
    return UnclaimedReport(**{**fields, "site": _site(place.site)})


def _site(site: Site, roots: Sequence[Path] = (), sources: dict[str, list[str]] | None = None) -> SiteReport:
    code: tuple[CodeLine, ...] = ()
    if sources is not None and site.file and site.line > 0:
        if site.file not in sources:
            sources[site.file] = next((lines for root in roots if (lines := _read(root, site.file))), [])
        lines = sources[site.file]
        if site.line <= len(lines):
            first = max(1, site.line - CONTEXT_LINES)
            last = min(len(lines), site.line + CONTEXT_LINES)
            code = tuple(
                CodeLine(number=number, text=lines[number - 1][:200], hit=number == site.line)
                for number in range(first, last + 1)
            )
    return SiteReport(file=site.file, line=site.line, function=site.function, code=code)


def _read(root: Path, name: str) -> list[str]:
    """The lines of a source file under `root`; none when it cannot be read or lies elsewhere."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        return []
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
