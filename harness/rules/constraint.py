"""unscoped-constraint: a unique key without its owner columns lets one tenant's row stand in another's way."""

from __future__ import annotations

from collections.abc import Iterator

from harness.finding import Finding
from harness.rules._evidence import TWINS, Evidence, has_mark


def unscoped_constraint(evidence: Evidence) -> Iterator[Finding]:
    """A write of one twin failed on, was swallowed by, or displaced a row of the other.

    A unique key without owner columns that no two tenants can ever share (a digest that includes the tenant) is no
    defect, so the collision itself is the evidence, not the schema. Nor is it one that a chat's row displaces a row of
    its agent's that another chat happened to write first.
    """
    for access in evidence.accesses("row", ops=("error", "delete")):
        claim = evidence.claim(access)
        if access.owner not in TWINS or not claim.proven or claim.label in (None, access.owner):
            continue
        told = access.detail.get("owned_by") != "first-writer" or has_mark(access, access.owner)
        if not (told or evidence.scope.design):
            continue
        columns = [str(column) for column in access.detail.get("constraint") or ()]
        if access.op == "error" and columns:
            verb = "was dropped" if access.detail.get("swallowed") else "was refused"
            held = ", ".join(columns)
            message = f"{claim.label}'s row in {access.surface} {verb}: {access.owner} already holds that {held}"
        elif access.op == "delete" and access.detail.get("statement") == "replace":
            message = (
                f"{claim.label}'s row in {access.surface} replaced one of {access.owner} under a shared unique key"
            )
        else:
            continue
        yield evidence.finding(
            "unscoped-constraint", access, access.owner, claim.label, message, cause=",".join(columns) or "replaced"
        )
