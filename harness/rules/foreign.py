"""foreign-read, foreign-write, foreign-delete: a principal's flow touches what another owns."""

from __future__ import annotations

from collections.abc import Iterator

from harness.finding import Finding
from harness.principal import TWINS
from harness.rules._evidence import Evidence, has_mark, passes, place, wiped
from harness.rules.unscoped import explained
from harness.trace import Access

SINKS = ("row", "key", "file")


def foreign_read(evidence: Evidence) -> Iterator[Finding]:
    """A flow of one twin reads what the other owns."""
    for access in evidence.accesses(*SINKS, ops=("read", "iterate")):
        yield from _judge(evidence, access, "foreign-read", access.owner, "reads")


def foreign_write(evidence: Evidence) -> Iterator[Finding]:
    """A flow of one twin changes, or makes, what the other owns."""
    for access in evidence.accesses(*SINKS, ops=("write", "rebind")):
        owner = access.owner if access.owner in TWINS else access.new_owner
        yield from _judge(evidence, access, "foreign-write", owner, "writes")


def foreign_delete(evidence: Evidence) -> Iterator[Finding]:
    """A flow of one twin deletes what the other owns."""
    for access in evidence.accesses(*SINKS, ops=("delete",)):
        if not _displaced(access) and not wiped(access) and not evidence.is_cache(access):
            yield from _judge(evidence, access, "foreign-delete", access.owner, "deletes")


def _judge(evidence: Evidence, access: Access, rule: str, owner: str | None, verb: str) -> Iterator[Finding]:
    claim = evidence.claim(access)
    # In a split flow one of lineage and context is wrong; data that disagrees with the context is wrong either way.
    if owner not in TWINS or not (claim.proven or claim.kind == "split") or claim.label == owner:
        return
    if access.detail.get("worked"):
        return  # a memo of what its key alone says
    if access.detail.get("via") == "filter":
        return  # only looked at by a sub-select: what came of it is judged where it goes
    # Two truths are wanted. An owner that stands in the data itself (owner columns, a path or key that names the
    # tenant) is one; an owner that is only who wrote first is none, there the canary must agree.
    declared = access.detail.get("owned_by") != "first-writer"
    if not declared and (not has_mark(access, owner) or passes(access, owner)):
        return
    message = f"{claim.label} {verb} {place(access)}, which belongs to {owner}{explained(access)}"
    yield evidence.crossing(rule, access, owner, claim.label, message)


def _displaced(access: Access) -> bool:
    """A row deleted by a REPLACE met a unique key; that is the constraint's doing (rule unscoped-constraint)."""
    return bool(access.detail.get("statement") == "replace")
