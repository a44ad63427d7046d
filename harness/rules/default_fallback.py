"""default-fallback: a config read under a tenant resolves to the process default without saying so."""

from __future__ import annotations

from collections.abc import Iterator

from harness.finding import Finding
from harness.principal import TWINS
from harness.rules._evidence import Evidence, place


def default_fallback(evidence: Evidence) -> Iterator[Finding]:
    """The tenant has its own value there, the default answered, and nothing was said."""
    for access in evidence.accesses("config", ops=("read",)):
        detail = access.detail
        if detail.get("level") != "default" or not detail.get("overridden") or detail.get("announced"):
            continue
        if evidence.in_region(access):
            continue
        claim = evidence.claim(access)
        if claim.label in TWINS and claim.kind != "direct":
            message = f"{claim.label} has its own {place(access)}, but the process default answered"
            # A section that falls back is one defect, however many functions read it.
            yield evidence.finding("default-fallback", access, None, claim.label, message, cause="fallback")
