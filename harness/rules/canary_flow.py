"""canary-flow: one principal's canary reaches another's sink."""

from __future__ import annotations

from collections.abc import Iterator

from harness.finding import Finding
from harness.principal import TWINS
from harness.rules._evidence import Evidence, other_marks, place, slots_of, spanned
from harness.trace import Access


def canary_flow(evidence: Evidence) -> Iterator[Finding]:
    """A token that only one twin knows stands in what the other's flow writes, reads as its own, asks or gets."""
    for access in evidence.accesses():
        holder = _holder(evidence, access)
        if holder is None:
            continue
        marks = other_marks(access, holder)
        if not marks:
            continue
        source = "B" if holder == "A" else "A"
        told = [m.slot if m.encoding == "plain" else f"{m.slot} ({m.encoding})" for m in marks[:4]]
        message = f"{source}'s {', '.join(told)} stands in {place(access)} of {holder}"
        if access.sink == "key" or (access.op in ("read", "iterate") and access.sink in ("row", "file")):
            yield evidence.crossing("canary-flow", access, source, holder, message, holds=slots_of(marks))
        else:
            # What one writes with the other's token in it is the writing code's matter, wherever it puts it.
            yield evidence.finding(
                "canary-flow", access, source, holder, message, spans=spanned(access), holds=slots_of(marks)
            )


def _changed_in_place(access: Access, flow: str | None) -> bool:
    """Whether it is an object of one's own in memory: nobody sees what the other put into it once it was handed out."""
    return access.sink == "key" and access.owner == flow and access.detail.get("owned_by") == "first-writer"


def _holder(evidence: Evidence, access: Access) -> str | None:
    """Whose sink it is, where that is certain; None when it is nobody's or another rule's matter."""
    claim = evidence.claim(access)
    flow = claim.label if claim.proven or claim.kind == "split" else None
    if access.sink == "outbound":
        # Whoever sends: what counts is who receives. A message that names no recipient is judged by its flow.
        return access.new_owner if access.new_owner in TWINS else (None if access.detail.get("named") else flow)
    if access.sink == "prompt":
        return access.new_owner if access.new_owner in TWINS else flow
    if access.sink in ("config", "event"):
        return flow
    if access.sink == "log":
        # Nobody is shown a log, so only that the flow had the other's token in hand counts, and that must be certain.
        return flow if claim.proven else None
    if access.sink in ("row", "file", "key"):
        if access.op in ("write", "rebind"):
            owned = access.new_owner if access.detail.get("owned_by") != "first-writer" else None
            return owned if owned in TWINS else flow
        if access.op in ("read", "iterate") and (access.owner not in TWINS or _changed_in_place(access, flow)):
            return flow
        # What the other owns by its own columns is foreign-read's; what is one's own and holds the other's canary
        # was reported when it was written.
    return None
