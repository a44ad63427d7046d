"""unscoped-constraint: a unique key without its owner columns lets one tenant's row stand in another's way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.finding import Finding
from harness.principal import TWINS, Label
from harness.rules._evidence import Evidence, has_mark
from harness.trace import Access


def unscoped_constraint(evidence: Evidence) -> Iterator[Finding]:
    """A write of one twin failed on, was swallowed by, or displaced a row of the other.

    A unique key without owner columns that no two tenants can ever share (a digest that includes the tenant) is no
    defect, so the collision itself is the evidence, not the schema. Nor is it one that a chat's row displaces a row of
    its agent's that another chat happened to write first. Where nobody acts (a timer that saves what lies in memory)
    the row that was put in the other's place says whose it is.
    """
    rows = list(evidence.accesses("row", ops=("error", "delete", "write")))
    for index, access in enumerate(rows):
        if access.op == "write" or access.owner not in TWINS:
            continue
        claim = evidence.claim(access)
        label = claim.label if claim.proven else _put_there(rows, index)
        if label in (None, access.owner):
            continue
        told = access.detail.get("owned_by") != "first-writer" or has_mark(access, access.owner)
        if not (told or evidence.scope.design):
            continue
        columns = [str(column) for column in access.detail.get("constraint") or ()]
        if access.op == "error" and columns:
            verb = "was dropped" if access.detail.get("swallowed") else "was refused"
            held = ", ".join(columns)
            message = f"{label}'s row in {access.surface} {verb}: {access.owner} already holds that {held}"
        elif access.op == "delete" and access.detail.get("statement") == "replace":
            message = f"{label}'s row in {access.surface} replaced one of {access.owner} under a shared unique key"
        else:
            continue
        yield evidence.finding(
            "unscoped-constraint", access, access.owner, label, message, cause=",".join(columns) or "replaced"
        )


def _put_there(rows: Sequence[Access], index: int) -> Label | None:
    """Whose row, by its own columns, the statement that displaced `rows[index]` wrote; None where it wrote none."""
    access = rows[index]
    if access.op != "delete":
        return None
    for other in (rows[number] for number in range(index + 1, len(rows))):
        if (other.surface, other.detail.get("sql")) != (access.surface, access.detail.get("sql")):
            break
        if other.op == "write" and other.detail.get("owned_by") == "columns":
            return other.new_owner
    return None
