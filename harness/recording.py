"""What a campaign knows at its end, or at any moment before, as the record that reports read."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import harness
from harness import hardness, mapping, requirement
from harness.assembling import finding_record, item_records, median
from harness.controls import measured
from harness.record import CallRecord, ErrorRecord, Performance, RunInfo, RunRecord, Soundness
from harness.requirement import Evidence
from harness.riskmap import load
from harness.surfaces import unclaimed
from harness.verdict import Matcher

if TYPE_CHECKING:
    from harness.campaign import Campaign


def recorded(campaign: Campaign) -> RunRecord:
    """The record of what has happened so far."""
    findings = {fingerprint: w.finding for fingerprint, w in campaign.found.items()}
    owners = {fingerprint: campaign.items_of(w.finding) for fingerprint, w in campaign.found.items()}
    matcher = Matcher(campaign.coverage)
    # What a selection leaves out is claimed all the same.
    whole = load(campaign.target.risk_map())
    faults = [o for o in campaign.overlay_records if o.kind == "fault"]
    controls, false_positives = measured(campaign.overlay_records)
    hard = hardness.measured(campaign.overlay_records)
    shown = ((w.finding.sink, w.finding.entry, w.dimensions) for w in campaign.found.values())
    return RunRecord(
        run=_info(campaign),
        items=item_records(
            campaign.riskmap, campaign.facts, matcher, findings, owners, campaign.overlay_records,
            mapping.gone(campaign.riskmap, campaign.facts.name, campaign.stale),
        ),
        matrix=campaign.coverage.matrix(shown),
        findings=tuple(
            finding_record(f, w, owners[f], campaign.overlay_records, campaign.overlays)
            for f, w in campaign.found.items()
        ),
        errors=(*campaign.errors.values(), *_unmapped(campaign)),
        soundness=Soundness(
            faults=len(faults), killed=sum(o.killed for o in faults), right_rule=sum(o.right_rule for o in faults),
            controls=controls, false_positives=false_positives, clean_plans=campaign.clean,
            bound95=3 / campaign.clean if campaign.clean and not campaign.found else None,
            probes=campaign.probes, overlays=tuple(campaign.overlay_records), pairs=campaign.pairing.counts,
            median_plans=hard.plans, median_steps=hard.steps, median_deviations=hard.deviations,
            hardest=hard.hardest, astray=hard.astray,
        ),
        performance=Performance(
            plans_per_second=round(_rate(campaign), 2), fork_ms=median(campaign.fork_ms),
        ),
        unclaimed=unclaimed(campaign.surfaces, whole.items),
        calls=tuple(
            CallRecord(entry=entry, name=name, **told)
            for (entry, name), told in sorted(campaign.coverage.calls.items())
        ),
        unserved=campaign.coverage.unserved.records(),
        requirements=requirement.decide_all(
            campaign.requirements, campaign.facts, whole,
            Evidence(matcher=matcher, findings=findings, tables=campaign.tables),
        ),
        witnesses={f: w.plan.to_json() for f, w in campaign.found.items()},
    )  # fmt: skip


def _unmapped(campaign: Campaign) -> tuple[ErrorRecord, ...]:
    """What the risk map says that this run knows nothing of; only a run that came to its end can tell."""
    if campaign.interrupted or not campaign.played:
        return ()
    astray = mapping.astray(campaign.riskmap, campaign.facts)
    entries = {action.entry for action in (*campaign.target.actions(), *campaign.pool.ready.calls)}
    entries |= {reach.entry for reach in campaign.coverage.counts}
    said = (astray,) if astray else mapping.unmet(
        campaign.riskmap, campaign.facts, campaign.coverage.surfaces(), entries
    )  # fmt: skip
    return tuple(ErrorRecord(kind="risk map", message=message) for message in said)


def _rate(campaign: Campaign) -> float:
    """Plans a second over the plan phase, all cores together."""
    return campaign.played / campaign.busy if campaign.busy else 0.0


def _info(campaign: Campaign) -> RunInfo:
    facts = campaign.facts
    handed = campaign.pool.memory.handed if campaign.pool.memory is not None else 0
    return RunInfo(
        target=facts.name, target_version=campaign.target.version(), harness_version=harness.__version__,
        profile=campaign.profile_name, seed=campaign.seed, python=platform.python_version(), plans=campaign.played,
        steps=campaign.steps, seconds=round(campaign.watch.elapsed(), 1), overlays=campaign.overlays,
        overlap=round(campaign.overlapped / campaign.played, 3) if campaign.played else 0.0,
        hidden=tuple({"what": h.what, "hides": h.hides, "module": h.module} for h in facts.hidden),
        shared=tuple({"sink": s.sink, "surface": s.surface, "site": s.site, "within": s.within, "reason": s.reason}
                     for s in facts.shared),
        regions=tuple({"entry": r.entry, "site": r.site, "surfaces": ", ".join(r.surfaces), "reason": r.reason}
                      for r in facts.regions),
        environment={"platform": platform.platform(), "implementation": platform.python_implementation(),
                     "fork": str(campaign.pool.fork), "jobs": str(campaign.pool.jobs),
                     "boot_seconds": f"{campaign.pool.ready.seconds:.1f}",
                     "memory_mib": f"{campaign.pool.ready.rss_kib / 1024:.0f}",
                     **({"exploration": campaign.explored} if campaign.explored else {}),
                     **({"resumed": f"{handed} outcomes are of earlier sittings"} if handed else {})},
        documented=facts.name in (campaign.riskmap.documents_of or (facts.name,)),
        interrupted=campaign.interrupted, started=campaign.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )  # fmt: skip
