"""demanded-absence: something is written that the risk map says is never written."""

from __future__ import annotations

from collections.abc import Iterator

from harness.finding import Finding
from harness.rules._evidence import Evidence, place


def demanded_absence(evidence: Evidence) -> Iterator[Finding]:
    """A write matches the place of an *absent* cell (a legacy file that must not come back, say)."""
    demands = [demand for demand in evidence.demands if demand.predicate == "absent"]
    if not demands:
        return
    for access in evidence.accesses("row", "file", "key", ops=("write", "rebind")):
        for demand in demands:
            if demand.sink != access.sink or demand.entry not in ("*", access.entry):
                continue
            if any(p.matches(access.sink, access.surface, evidence.stack(access)) for p in demand.patterns):
                claim = evidence.claim(access)
                message = f"{place(access)} is written, though {demand.item} demands that it never is"
                yield evidence.finding("demanded-absence", access, access.new_owner, claim.label, message)
                break
