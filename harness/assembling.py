"""What a campaign found, put into the records that reports read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.behind import told
from harness.finding import Finding
from harness.parting import provenance
from harness.plan import Plan
from harness.record import FindingRecord, ItemRecord, OverlayRecord, RunRecord
from harness.riskmap import RiskMap
from harness.target import Facts
from harness.timeline import timeline
from harness.verdict import Matcher, decide
from harness.witness import Witness, Witnessed, save

STALE = "stale mapping: nothing in the bot's code is called any more what the risk map names for it"


def item_records(
    riskmap: RiskMap,
    facts: Facts,
    matcher: Matcher,
    findings: Mapping[str, Finding],
    owners: Mapping[str, Collection[str]],
    overlays: Sequence[OverlayRecord],
    gone: Collection[str] = (),
) -> tuple[ItemRecord, ...]:
    """Every item decided. `owners` maps fingerprints to the items a finding belongs to; `gone` are items no place
    of which is left in the bot's code: silence there shows nothing."""
    faults = [overlay for overlay in overlays if overlay.kind == "fault"]
    records = [
        decide(
            item, facts=facts, matcher=matcher, findings=findings,
            attributed=[fingerprint for fingerprint, ids in owners.items() if item.id in ids],
            killed={fault.name: fault.right_rule for fault in faults if item.id in fault.items},
        )
        for item in riskmap.items
    ]  # fmt: skip
    return tuple(
        msgspec.structs.replace(record, verdict="not_exercised", why=STALE)
        if record.id in gone and record.verdict not in ("open", "not_applicable")
        else record
        for record in records
    )


def finding_record(
    fingerprint: str,
    witnessed: Witnessed,
    items: tuple[str, ...],
    overlays: Sequence[OverlayRecord],
    under: Sequence[str] = (),
) -> FindingRecord:
    """A finding as reports know it, confirmed by the fixes among `overlays` under which it vanishes. `under` are the
    overlays of the whole campaign."""
    f, plan = witnessed.finding, witnessed.plan
    return FindingRecord(
        fingerprint=fingerprint, rule=f.rule, sink=f.sink, entry=f.entry, dimension=f.dimension, source=f.source,
        observer=f.observer, surface=f.surface, key=f.key, site=f.site, items=items, message=told(f, plan, under),
        witness=f"witnesses/{fingerprint}.json", steps=len(plan.steps), deviations=len(plan.tape),
        delays_only=all(d.kind == "delay" for d in plan.tape), entries=tuple(sorted(witnessed.entries)),
        dimensions=tuple(sorted(witnessed.dimensions)), occurrences=witnessed.occurrences,
        replays=witnessed.replays, stack=f.stack, rules=f.rules,
        shows=tuple(dict.fromkeys(f"{p.rule}: {p.sink} {p.surface} at {p.site}" for p in f.places)),
        reaches=_reached(f),
        timeline=timeline(witnessed.trace, f) if witnessed.trace else (),
        provenance=provenance(witnessed.trace, f) if witnessed.trace else (),
        confirmed_by=tuple(sorted(o.name for o in overlays if o.kind == "fix" and fingerprint in o.closes)),
    )  # fmt: skip


def _reached(finding: Finding) -> tuple[str, ...]:
    """``sink surface`` of every other place where the finding shows or that it reaches."""
    shown = {f"{place.sink} {place.surface}": None for place in finding.places}
    return tuple(dict.fromkeys((*shown, *finding.reaches)))[1:]


def median(values: Sequence[float]) -> float | None:
    """The upper median of what is above 0, or None."""
    known = sorted(v for v in values if v > 0)
    return round(known[len(known) // 2], 2) if known else None


def write_witnesses(record: RunRecord, folder: Path) -> None:
    """One file a fingerprint under ``folder/witnesses``: what `isolation replay` takes."""
    for finding in record.findings:
        made = Witness(
            fingerprint=finding.fingerprint, target=record.run.target, target_version=record.run.target_version,
            rule=finding.rule, message=finding.message, plan=Plan.from_json(record.witnesses[finding.fingerprint]),
        )  # fmt: skip
        save(made, folder / "witnesses")


def write_kills(record: RunRecord, folder: Path) -> None:
    """One file a fault that was found, ``folder/kills/<overlay>.json``: a witness under its overlay."""
    for made in record.soundness.overlays:
        if made.witness:
            killed = Witness(
                fingerprint=made.fingerprint, target=record.run.target, target_version=record.run.target_version,
                rule=made.rule, message=made.detail, plan=Plan.from_json(made.witness),
            )  # fmt: skip
            save(killed, folder / "kills", made.name)
