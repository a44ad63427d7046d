"""context-missing and context-mismatch: tenant-scoped state is touched with no ambient context, or with another's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from harness.finding import Finding
from harness.principal import MISSING, TWINS
from harness.rules._evidence import Evidence, container, has_mark, place
from harness.rules._own import OwnDoing
from harness.trace import FAILED, Access


def context_missing(evidence: Evidence) -> Iterator[Finding]:
    """A bot that must refuse without context did not."""
    if not evidence.facts.refuses:
        return
    own = OwnDoing(evidence)
    for access in evidence.accesses("row", "key", "file", "config", "prompt"):
        if access.ambient != MISSING or access.op in FAILED or access.detail.get("observed") == "between":
            own.put(access)
            continue  # a change seen by comparing states was not made where it was seen
        if own.before_context(access):
            continue  # a credential is looked up, a message queued: that has to be done before anybody is known
        if access.detail.get("handed"):
            continue  # whoever serves all takes a job from the queue first and enters its context then
        if evidence.in_region(access):
            continue
        why = _tenant_state(access)
        if why:
            message = f"no tenant context at {access.op} of {place(access)}: {why}"
            owner = access.owner or access.new_owner
            source = owner if owner in TWINS else None
            if _at_rest(evidence, access):
                yield evidence.crossing("context-missing", access, source, access.actor, message)
                continue
            cause, spans = _let_in(evidence, access)
            yield evidence.finding(
                "context-missing", access, source, access.actor, message, cause=cause, spans=spans
            )  # fmt: skip


def _at_rest(evidence: Evidence, access: Access) -> bool:
    """Whether a missing context shows the same defect as a crossing there would: what tells nobody apart asks nobody
    for a context."""
    untold = access.detail.get("owned_by") == "first-writer"
    return untold and (access.sink == "file" or (access.sink == "key" and evidence.is_call(access.step)))


def _let_in(evidence: Evidence, access: Access) -> tuple[str, Literal["place", "surfaces", "sinks"]]:
    """The cause of a flow without context, and what it spans.

    Code that runs for a known principal and lost its context is to blame itself, and so is the way in that gave it
    none, whatever is touched afterwards. Nobody's flow (a timer's) is to blame with the function that reaches for what
    is a tenant's. Where the caller has no context to give, the defect is that the place answers at all, whoever asks
    it: the table, the container, the code that answers for the configuration.
    """
    asked = evidence.is_call(access.step) and evidence.is_wrong(access.step)
    gate = "" if asked else evidence.gate(access)
    if gate:
        return gate, "sinks"
    if not asked:
        return "", "surfaces"
    if access.sink == "key":
        return container(access), "surfaces"
    if access.sink == "config" and evidence.stack(access):
        return evidence.stack(access)[0], "surfaces"
    return access.surface, "place"


def context_mismatch(evidence: Evidence) -> Iterator[Finding]:
    """The step of one twin works in the context of the other.

    In the step's own task lineage is proof. In a spawned task it is evidence, and the actor's canary must agree:
    a shared worker that serves each job in its own tenant's context keeps its first caller's lineage and is right.
    """
    for access in evidence.accesses("row", "key", "file", "config", "prompt"):
        if evidence.claim(access).kind != "split" or access.op in FAILED:
            continue
        actor = access.actor or ""
        if not (access.direct or has_mark(access, actor)):
            continue
        if access.direct and not _tenant_state(access) and access.sink not in ("config", "prompt"):
            continue
        message = f"{actor}'s step runs in {access.ambient}'s context at {access.op} of {place(access)}"
        yield evidence.finding("context-mismatch", access, access.ambient, actor, message)


def _tenant_state(access: Access) -> str:
    """Why this access is of tenant-scoped state, in words; empty when it is not."""
    owner = access.owner if access.owner in TWINS else access.new_owner
    if access.sink == "row":
        if owner in TWINS and access.detail.get("owned_by") != "first-writer":
            return f"the row belongs to {owner}"
        return ""
    if access.sink in ("key", "file"):
        if access.detail.get("derived"):
            return ""  # a memo: whoever has the key can work it out, and nobody comes to it without
        if owner in TWINS and access.detail.get("owned_by") == "target":
            return f"the {access.sink} names {owner}"
        if owner in TWINS and has_mark(access, owner):
            return f"it holds {owner}'s data"
        return ""
    if access.sink == "config":
        # Process defaults are legitimate at boot and for a bare timer; under a principal's flow they are a
        # fallback that nobody asked for.
        if access.actor in TWINS and access.direct:
            return f"the flow is {access.actor}'s and the {access.detail.get('level')} level answered"
        return ""
    marked = sorted({m.label for m in access.marks if m.label in TWINS})
    return f"it carries data of {' and '.join(marked)}" if marked else ""
