"""forged-identity: an identity inside a payload wins over the credential's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from harness.finding import Finding
from harness.rules._evidence import TWINS, Evidence, has_mark, place
from harness.trace import StepRecord

RULE = "forged-identity"


def forged_identity(evidence: Evidence) -> Iterator[Finding]:
    """A step whose payload names the other twin works in the other's context, or what comes of it is sent to the other.

    In a spawned task lineage is no proof (a shared worker keeps its first caller), so there the sender's context or
    its canary must agree.
    """
    forged = {record.index: record for record in evidence.trace.steps if record.forged}
    if not forged:
        return
    for access in evidence.accesses():
        record = forged.get(access.step)
        if record is None or access.actor not in TWINS or access.actor != record.who or access.op == "error":
            continue
        me, other = access.actor, "B" if access.actor == "A" else "A"
        fields = ", ".join(record.forged)
        if access.sink == "outbound":
            if access.new_owner == other and (access.direct or access.ambient == me or has_mark(access, me)):
                message = (
                    f"{me}'s payload names {other} ({fields}), and the answer leaves by {place(access)} for {other}"
                )
                yield _of(evidence.finding(RULE, access, other, me, message), record)
        elif access.ambient == other and (access.direct or has_mark(access, me)):
            message = f"{me}'s payload names {other} ({fields}), and the bot acts as {other} at {place(access)}"
            yield _of(evidence.finding(RULE, access, other, me, message), record)


def fold(found: Sequence[Finding], evidence: Evidence) -> list[Finding]:
    """`found` in the order of the trace, where all that goes wrong in a forged step is one finding of that step.

    A finding that an honest step shows in the same run is not the payload's doing and stays what it is.
    """
    forged = {record.index: record for record in evidence.trace.steps if record.forged}
    if not forged:
        return list(found)
    honest = {f.fingerprint for f in found if f.step not in forged}
    kept: list[Finding] = []
    at: dict[int, int] = {}
    for finding in found:
        record = forged.get(finding.step)
        crossing = {finding.source, finding.observer} == set(TWINS)
        if record is None or not crossing or finding.fingerprint in honest:
            kept.append(finding)
            continue
        index = at.setdefault(finding.step, len(kept))
        if index == len(kept):
            kept.append(_told(finding, record))
            continue
        first = kept[index]
        there = f"{finding.sink} {finding.surface}"
        reaches = first.reaches if there == f"{first.sink} {first.surface}" else (*first.reaches, there)
        kept[index] = msgspec.structs.replace(
            first, reaches=tuple(dict.fromkeys(reaches)), stands_for=(*first.stands_for, finding.fingerprint)
        )
    return kept


def _told(finding: Finding, record: StepRecord) -> Finding:
    """A finding of a forged step, whatever rule made it."""
    if finding.rule == RULE:
        return msgspec.structs.replace(finding, stands_for=(finding.fingerprint,))
    fields = ", ".join(record.forged)
    message = f"{record.who}'s payload names the other twin ({fields}): {finding.message}"
    return _of(msgspec.structs.replace(finding, rule=RULE, message=message, stands_for=(finding.fingerprint,)), record)


def _of(finding: Finding, record: StepRecord) -> Finding:
    # What is wrong is that the field is believed, wherever in the bot it shows first.
    return msgspec.structs.replace(finding, cause="; ".join(record.forged))
