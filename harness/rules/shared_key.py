"""shared-key: two principals map to one key, row identity, path or cell that was written under one of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from harness.finding import Finding
from harness.principal import TWINS
from harness.rules._evidence import Claim, Evidence, has_mark, passes, place, wiped
from harness.trace import FAILED, Access


def shared_key(evidence: Evidence) -> Iterator[Finding]:
    """One twin wrote a cell and the other meets the same cell.

    That alone is how every cache and counter of a process behaves. It is a leak when the cell is *about* a tenant:
    its key was made from an identity both share (chat, user, agent, content of a picture) and from nothing that
    tells them apart, or what was written carries the writer's canary or identity. A cell that was emptied is nobody's:
    what a queue hands over lies in one place after the other.
    """
    written: dict[tuple[str, ...], Access] = {}
    displaced: dict[tuple[str, ...], Access] = {}
    emptied = _emptied(evidence)
    starts = [step.first_seq for step in evidence.trace.steps if step.entry == "start" and step.who is None]
    for access in evidence.accesses("key", "file", "row"):
        if access.op in FAILED or (access.sink == "row" and access.detail.get("owned_by") == "columns"):
            continue
        if access.sink == "file" and access.detail.get("owned_by") == "target":
            continue  # its path tells the tenants apart; meeting it is foreign-read's matter
        if access.op == "iterate" or not (access.key or access.sink == "key"):
            continue
        claim = evidence.claim(access)
        cell = _cell(access)
        # Where lineage and context differ one of them is wrong, or a shared worker serves; that two contexts meet in
        # one cell is a defect either way: the cell's, or that of whoever set the context.
        certain = claim.proven or claim.kind == "split" or _left(access, claim)
        if wiped(access) or not certain or claim.label not in TWINS:
            if access.op == "delete":
                written.pop(cell, None)
            continue
        if access.detail.get("worked"):
            continue  # a memo of what its key alone says: nobody can tell from it that another asked before
        if access.detail.get("added"):
            written[cell] = access  # an element more lies where others lay before they moved up
            continue
        first = written.get(cell)
        if first is not None and bisect_left(ends := emptied.get(cell, ()), first.seq) < bisect_left(ends, access.seq):
            del written[cell]
            first = None
        if first is not None and _renewed(access) and any(first.seq < start <= access.seq for start in starts):
            first = None  # what a restart left nothing of is not overwritten
        if first is None or evidence.claim(first).label == claim.label:
            if access.op in ("write", "rebind"):
                written[cell] = access
            elif access.op == "delete":
                written.pop(cell, None)
            # A file is opened for writing before it shows what is put there, over what the other had put there.
            first = displaced.get(cell) if access.detail.get("content") else None
            if first is None:
                continue
        writer = evidence.claim(first).label or ""
        if passes(access, writer):
            if access.op == "delete":
                written.pop(cell, None)
            continue
        if access.sink == "row" and access.op == "read" and access.owner == writer and has_mark(access, writer):
            continue  # foreign-read says so
        hostile = bool(evidence.trace.twins.spec.hostile)
        why = _about_a_tenant(first, access, writer, claim.label, evidence.scope.by_right, hostile)
        if why:
            verb = "overwrites" if access.op in ("write", "rebind") else "meets"
            message = f"{claim.label} {verb} {place(access)}, which {writer} wrote: {why}"
            yield evidence.crossing("shared-key", access, writer, claim.label, message, first.seq)
        if access.op in ("write", "rebind"):
            written[cell], displaced[cell] = access, first
        elif access.op == "delete":
            written.pop(cell, None)


def _cell(access: Access) -> tuple[str, ...]:
    return (access.sink, access.surface, access.key, str(access.detail.get("object", 0)))


def _emptied(evidence: Evidence) -> dict[tuple[str, ...], list[int]]:
    """When each cell was emptied, by whomever: a cell of which nothing may be judged between these twins is empty all
    the same, and a table gives the number of a deleted row away again."""
    found: dict[tuple[str, ...], list[int]] = {}
    for access in evidence.trace.accesses:
        if access.op == "delete" and access.key:
            found.setdefault(_cell(access), []).append(access.seq)
    return found


def _renewed(access: Access) -> bool:
    """Whether a name was bound anew between two steps: where the bot has started in the meantime, it had gone with what
    it held, which nobody saw."""
    return access.op == "rebind" and access.detail.get("observed") == "between"


def _left(access: Access, claim: Claim) -> bool:
    """Whether it is a write that nobody saw, known by what stood there between two steps: whose canary that is, wrote
    it."""
    return access.detail.get("observed") == "between" and claim.label is not None and has_mark(access, claim.label)


def _about_a_tenant(
    first: Access, access: Access, writer: str, other: str, by_right: frozenset[str], hostile: bool
) -> str:
    """Why the cell is about a tenant, in words; empty when it is not. `hostile`: the twins' ids are easily confused."""
    identity = first.detail.get("identity") or {}
    own = {name.rpartition(":")[2] for name in identity.get("own") or ()}
    if len(own) > 1 and hostile:
        return "ids that differ read the same where its key joins them"
    if own:
        return ""  # the key itself tells the tenants apart; meeting it is foreign-read's matter
    shared = [name for name in identity.get("shared") or [] if name not in by_right]
    if shared:
        return f"its key is made of the {' and '.join(shared)} that both share"
    if "picture" not in by_right and (first.detail.get("picture") or access.detail.get("picture")):
        return "it is found by the content of a picture that both sent"
    if access.op not in ("write", "rebind"):
        if has_mark(access, writer) or has_mark(first, writer):
            return f"it holds {writer}'s data"
        return ""
    if has_mark(first, writer) and has_mark(access, other):
        return "each put its own data there"
    return ""
