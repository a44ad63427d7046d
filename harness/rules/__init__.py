"""Rules: pure functions from a trace (and what the target declares) to findings. One file a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.finding import Finding
from harness.rules._evidence import Evidence

Rule = Callable[[Evidence], Iterator[Finding]]


def registry() -> dict[str, Rule]:
    """Every rule by name, in the order in which a report lists them."""
    from harness.rules import (
        absence,
        canary_flow,
        constraint,
        context,
        default_fallback,
        foreign,
        forged,
        shared_key,
        unscoped,
    )

    return {
        "foreign-read": foreign.foreign_read,
        "foreign-write": foreign.foreign_write,
        "foreign-delete": foreign.foreign_delete,
        "canary-flow": canary_flow.canary_flow,
        "shared-key": shared_key.shared_key,
        "context-missing": context.context_missing,
        "context-mismatch": context.context_mismatch,
        "default-fallback": default_fallback.default_fallback,
        "unscoped-constraint": constraint.unscoped_constraint,
        "unscoped-statement": unscoped.unscoped_statement,
        "demanded-absence": absence.demanded_absence,
        "forged-identity": forged.forged_identity,
    }
