"""Judging: every rule over a trace, all fingerprints at once, consequences folded into their causes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from harness.finding import CARRIED, Finding, Place, absorb, merged
from harness.principal import MISSING, TWINS
from harness.riskmap import Demand
from harness.rules import forged, registry
from harness.rules._evidence import Evidence, container
from harness.target import Facts
from harness.trace import Access, Trace

MET = ("foreign-read", "foreign-write", "foreign-delete")
"""Rules under which a statement met the other's rows in fact."""


def judge(trace: Trace, facts: Facts, demands: Sequence[Demand] = ()) -> list[Finding]:
    """Findings of all rules, the first of each fingerprint, in the order of the trace.

    `demands` are the risk map's claims that something is never written. A canary that has crossed once shows again
    in whatever is made of it (the config read, then the prompt, the reply, the row of the reply). The first crossing is
    the finding, the later ones are what it `reaches`. So with a flow that has no context: its first access is the
    finding, or where it is nobody's flow its first access of each sink; that its tasks fall back to the process's
    configuration follows from it. All that goes wrong in a step whose payload names the other twin is one finding of
    that step.
    """
    evidence = Evidence(trace, facts, demands)
    found: list[Finding] = []
    for rule in registry().values():
        found.extend(rule(evidence))
    found.sort(key=lambda finding: finding.seqs[-1])
    return _folded(forged.fold(_held(_causes(proven(found), evidence), evidence), evidence))


def proven(found: Sequence[Finding]) -> list[Finding]:
    """`found` without the statements that might meet another's rows where the same code is known to do so: that
    finding says which predicate is missing."""
    met = {(f.surface, f.site.file, f.site.function) for f in found if f.rule in MET}
    return [f for f in found if f.rule != "unscoped-statement" or (f.surface, f.site.file, f.site.function) not in met]


def _causes(found: Sequence[Finding], evidence: Evidence) -> list[Finding]:
    """`found` without consequences; each cause knows what it reaches."""
    crossed: dict[tuple[str, str, str], int] = {}
    bare: dict[tuple[str, str], int] = {}
    entered: dict[tuple[str, str], int] = {}
    lacking: dict[str, int] = {}
    answered: dict[str, int] = {}
    causes: list[Finding] = []
    reaches: list[dict[str, None]] = []
    for finding in found:
        access = evidence.trace.accesses[finding.seqs[-1]]
        cause: int | None = None
        slots = evidence.slots(access, finding.source) if finding.source in TWINS else []
        if finding.rule == "canary-flow":
            earlier = [crossed.get((finding.source, finding.observer, slot)) for slot in slots]
            if earlier and all(index is not None for index in earlier):
                cause = earlier[0]
        elif finding.rule in MET and finding.sink == "key" and access.detail.get("owned_by") == "first-writer":
            # Who wrote first is the owner only as far as the token agrees. One that the observer had come by before,
            # and that the owner was not seen to put there, agrees with nobody: it may be the observer's own doing.
            before = {crossed.get((finding.source, finding.observer, slot)) for slot in slots}
            elsewhere = [at for at in before if at is not None and causes[at].fingerprint != finding.fingerprint]
            if elsewhere and len(elsewhere) == len(before) and not _put_there(access, finding, slots, evidence):
                cause = min(elsewhere)
        elif finding.rule == "context-mismatch" and not access.direct:
            # In a task that serves both the actor's token is all that speaks against the context; where it had come to
            # whom the context names before, that is why it stands there.
            told = evidence.slots(access, finding.observer) if finding.observer in TWINS else []
            earlier = [crossed.get((finding.observer, finding.source, slot)) for slot in told]
            if earlier and all(index is not None and causes[index].seqs[-1] < access.seq for index in earlier):
                cause = earlier[0]
        elif finding.rule == "context-missing":
            cause = bare.get((access.lineage, finding.sink))
            if cause is None and finding.sink == "prompt" and evidence.is_call(access.step):
                # What a call without context asks a model is made of what answered it before.
                cause = answered.get(access.lineage)
            if cause is None and finding.spans == "sinks":
                cause = entered.get((access.lineage, ""), entered.get((access.lineage, finding.cause)))
                if cause is not None:
                    bare[access.lineage, finding.sink] = cause
                    causes[cause] = absorb(causes[cause], finding)
        elif finding.rule == "default-fallback" and access.ambient == MISSING:
            # The tasks of a step that has no context have none either: it is the step's doing that they fall back.
            cause = lacking.get(access.lineage)
        if cause is not None:
            known = causes[cause]
            if known.fingerprint == finding.fingerprint and known.spans != "sinks":
                causes[cause] = absorb(known, finding)
            elif (known.fingerprint, known.surface) != (finding.fingerprint, finding.surface):
                reaches[cause][f"{finding.sink} {finding.surface}"] = None
            continue
        index = len(causes)
        causes.append(finding)
        reaches.append({})
        for slot in slots:
            crossed.setdefault((finding.source, finding.observer, slot), index)
        if finding.rule == "context-missing":
            bare[access.lineage, finding.sink] = index
            answered.setdefault(access.lineage, index)
            if access.direct:
                lacking.setdefault(access.lineage, index)
            if finding.spans == "sinks":
                # What a step does without context follows into its tasks; a task that lost it says nothing of others.
                entered.setdefault((access.lineage, "" if access.direct else finding.cause), index)
    return [
        msgspec.structs.replace(finding, reaches=tuple(reached)[:CARRIED]) if reached else finding
        for finding, reached in zip(causes, reaches, strict=True)
    ]


def _put_there(access: Access, finding: Finding, slots: Collection[str], evidence: Evidence) -> bool:
    """Whether the owner was seen with one of these tokens in that container before, or in what it is part of."""
    within = f"{container(access)}."
    return any(
        within.startswith(f"{container(one)}.") and not set(evidence.slots(one, finding.source)).isdisjoint(slots)
        for one in evidence.trace.accesses[: access.seq]
        if one.marks and one.sink == "key" and evidence.claim(one).label == finding.source
    )


def _held(findings: Sequence[Finding], evidence: Evidence) -> list[Finding]:
    """`findings`, each canary-flow with the names in memory where the token stood meanwhile, as far as nobody can see
    them read: what hands it over is as much the defect's place as where it comes out."""
    kept = [
        access for access in evidence.accesses("key", ops=("write", "rebind"))
        if access.marks and access.detail.get("observed") == "between"
        and not (access.detail.get("identity") or {}).get("own")
    ]  # fmt: skip
    if not kept:
        return list(findings)
    told = []
    for finding in findings:
        access = evidence.trace.accesses[finding.seqs[-1]]
        # What is read from a table or file lay there, whatever memory holds of it besides.
        stored = finding.sink == "key" or (finding.sink in ("row", "file") and access.op in ("read", "iterate"))
        if finding.rule == "canary-flow" and not stored:
            slots = set(evidence.slots(access, finding.source))
            for surface in _holding(kept, finding.source, slots):
                place = Place(
                    "key", surface, (), finding.rule, "", finding.entry, finding.dimension, tuple(sorted(slots))
                )
                finding = msgspec.structs.replace(finding, shows=(*finding.shows, place))
        told.append(finding)
    return told


def _holding(kept: Sequence[Access], source: str, slots: Collection[str]) -> list[str]:
    """Surfaces that held one of these canaries of `source`, and no other's, the first three."""
    held = {
        access.surface: None
        for access in kept
        if {mark.label for mark in access.marks} == {source} and any(mark.slot in slots for mark in access.marks)
    }
    return list(held)[:3]


def _folded(findings: Sequence[Finding]) -> list[Finding]:
    """One of each fingerprint, the most telling and of those the first, with the places where any of them shows or
    that it reaches."""
    first: dict[str, Finding] = {}
    for finding in findings:
        known = first.get(finding.fingerprint)
        first[finding.fingerprint] = finding if known is None else merged(known, finding)
    return list(first.values())
