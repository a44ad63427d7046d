"""forged-identity: an identity inside a payload wins over the credential's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from harness.finding import Finding
from harness.principal import TWINS
from harness.rules._evidence import Evidence, has_mark, place
from harness.trace import FAILED, Access, StepRecord

RULE = "forged-identity"


def forged_identity(evidence: Evidence) -> Iterator[Finding]:
    """A step whose payload names the other twin works in the other's context, or what comes of it is sent to the other.

    In a spawned task lineage is no proof (a shared worker keeps its first caller), so there the sender's context or
    its canary must agree.
    """
    forged = _Forged(evidence)
    for access in evidence.accesses() if forged else ():
        record = forged.behind(access)
        if record is None or access.op in FAILED:
            continue
        me, other = ("A", "B") if access.actor == "A" else ("B", "A")
        fields = ", ".join(record.forged)
        if access.sink == "outbound":
            if access.new_owner == other and (access.direct or access.ambient == me or has_mark(access, me)):
                message = (
                    f"{me}'s payload names {other} ({fields}), and the answer leaves by {place(access)} for {other}"
                )
                yield _of(evidence.finding(RULE, access, other, me, message), forged.way_in(record))
        elif access.ambient == other and (access.direct or has_mark(access, me)):
            message = f"{me}'s payload names {other} ({fields}), and the bot acts as {other} at {place(access)}"
            yield _of(evidence.finding(RULE, access, other, me, message), forged.way_in(record))


def fold(found: Sequence[Finding], evidence: Evidence) -> list[Finding]:
    """`found` in the order of the trace, where all that comes of a forged step is one finding of that step.

    A finding that honest steps show in the same run is not the payload's doing and stays what it is; so does a canary
    that merely turns up while the bot acts for the sender.
    """
    forged = _Forged(evidence)
    if not forged:
        return list(found)
    behind = [forged.behind(evidence.trace.accesses[finding.seqs[-1]]) for finding in found]
    honest = {finding.fingerprint for finding, record in zip(found, behind, strict=True) if record is None}
    acting = {
        record.index
        for finding, record in zip(found, behind, strict=True)
        if record is not None and finding.sink != "outbound" and finding.rule in (RULE, "context-mismatch")
    }
    kept: list[Finding] = []
    at: dict[int, int] = {}
    for finding, record in zip(found, behind, strict=True):
        access = evidence.trace.accesses[finding.seqs[-1]]
        crossing = {finding.source, finding.observer} == set(TWINS)
        mere_canary = finding.rule == "canary-flow" and access.sink != "outbound" and access.ambient == access.actor
        crossing = crossing and not mere_canary
        if record is None or not crossing or finding.fingerprint in honest:
            kept.append(finding)
            continue
        index = at.setdefault(record.index, len(kept))
        if index == len(kept):
            kept.append(_told(finding, record, forged.way_in(record), record.index in acting))
            continue
        first = kept[index]
        there = f"{finding.sink} {finding.surface}"
        reaches = (*first.reaches, *finding.reaches, *(() if there == f"{first.sink} {first.surface}" else (there,)))
        kept[index] = msgspec.structs.replace(
            first, reaches=tuple(dict.fromkeys(reaches)), stands_for=(*first.stands_for, finding.fingerprint)
        )
    return kept


class _Forged:
    """The forged steps of a run, and which of them an access comes of."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._records = [record for record in evidence.trace.steps if record.forged]

    def __bool__(self) -> bool:
        return bool(self._records)

    def behind(self, access: Access) -> StepRecord | None:
        """The forged step this comes of. A task that serves one step after the other (a chat's loop) has the lineage of
        the step that began it: what it does for an actor is taken for that actor's last forged step until then."""
        mine = [r for r in self._records if r.who == access.actor and r.first_seq <= access.seq]
        for record in mine:
            if record.index == access.step:
                return record
        return mine[-1] if mine and not access.direct else None

    def way_in(self, record: StepRecord) -> str:
        """The bot's function by which that step came in (``path:function``), empty where none is seen."""
        for access in self._evidence.trace.accesses[record.first_seq : record.last_seq + 1]:
            stack = self._evidence.stack(access)
            if access.step == record.index and access.direct and stack:
                return stack[-1]
        return ""


def _told(finding: Finding, record: StepRecord, way_in: str, acts: bool) -> Finding:
    """A finding of a forged step, whatever rule made it; `acts`: whether the bot acts as the other in that step."""
    if finding.rule == RULE:
        return msgspec.structs.replace(finding, stands_for=(finding.fingerprint,))
    fields = ", ".join(record.forged)
    message = f"{record.who}'s payload names the other twin ({fields}): {finding.message}"
    made = msgspec.structs.replace(finding, rule=RULE, message=message, stands_for=(finding.fingerprint,))
    return _of(made, way_in, acts)


def _of(finding: Finding, way_in: str, acts: bool = True) -> Finding:
    # What is wrong is whom the bot takes for the sender, or whom it answers, on that way in, wherever it shows first.
    # Which field it believes the witness tells once it is small: a drawn payload may name the other in several.
    if finding.sink == "outbound":
        return msgspec.structs.replace(finding, cause=f"answered by {way_in}", family="", spans="place")
    if acts:
        return msgspec.structs.replace(finding, cause=f"acts as the other by {way_in}", spans="sinks", family="")
    # In its own context, or in none, it goes where the payload says: a matter of what lies there, not of contexts.
    return msgspec.structs.replace(finding, cause=f"led by {way_in}", spans="surfaces", family="")
