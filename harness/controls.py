"""Trials of the harness's silence: correct but odd behaviour is planted, both twins go through it, and no rule may
fire."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from itertools import islice

from harness.plan import Plan
from harness.principal import TWINS
from harness.record import OverlayRecord
from harness.rules._evidence import Evidence
from harness.target import Overlay
from harness.trace import Trace
from harness.trials import PORTION, Ground, candidates, reseeded


def try_control(ground: Ground, control: Overlay, tour: Sequence[Plan]) -> OverlayRecord:
    """Whether nothing is found under the control that plain code does not show, on the plans of the tour nearest to
    its surface. The record is ``killed`` where both twins reached the surface (else silence says nothing) and has its
    ``right_rule`` where no rule spoke; its witness is the first plan that showed something."""
    chosen = candidates(ground, control, tour)
    reached: set[str] = set()
    while plans := [reseeded(plan, ground.seed, control) for plan in islice(chosen, PORTION)]:
        for plan, outcome in zip(plans, ground.pool.map(plans), strict=True):
            if outcome.trace is None:
                return _record(control, False, False, f"a plan did not end: {outcome.status}: {outcome.detail}", plan)
            reached |= _twins_at(control, outcome.trace)
            said = [
                finding
                for finding in ground.judge(outcome.trace)
                if (known := ground.found.get(finding.fingerprint)) is None
                or not set(finding.rules) <= set(known.finding.rules)
            ]
            if said:
                told = "; ".join(f"{finding.rule} on {finding.surface}: {finding.message}" for finding in said[:3])
                return _record(control, True, False, f"false positive: {told}", plan)
        if reached >= set(TWINS):
            return _record(control, True, True, "nothing was said")
    return _record(control, False, True, f"not reached by both twins: {', '.join(sorted(reached)) or 'neither came'}")


def measured(records: Sequence[OverlayRecord]) -> tuple[int | None, int | None]:
    """How many controls were tried in earnest, and under how many of them something was found; None where none was."""
    tried = [record for record in records if record.kind == "control" and (record.killed or not record.right_rule)]
    return (len(tried), sum(not record.right_rule for record in tried)) if tried else (None, None)


def _twins_at(control: Overlay, trace: Trace) -> set[str]:
    return {
        label
        for access in trace.accesses
        if fnmatch.fnmatchcase(access.surface, control.surface) and (label := Evidence.claim(access).label)
    }


def _record(control: Overlay, reached: bool, silent: bool, detail: str, plan: Plan | None = None) -> OverlayRecord:
    return OverlayRecord(
        name=control.name, kind=control.kind, rule=control.rule, items=control.items, killed=reached,
        right_rule=silent, detail=detail, witness=plan.to_json().decode() if plan else "",
        steps=len(plan.steps) if plan else 0,
    )  # fmt: skip
