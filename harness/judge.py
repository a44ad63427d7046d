"""Judging: every rule over a trace, all fingerprints at once."""

from __future__ import annotations

from harness.finding import Finding
from harness.rules import registry
from harness.rules._evidence import Evidence
from harness.target import Facts
from harness.trace import Trace


def judge(trace: Trace, facts: Facts) -> list[Finding]:
    """Findings of all rules, the first of each fingerprint, in the order of the rules and then of the trace."""
    evidence = Evidence(trace, facts)
    found: dict[str, Finding] = {}
    for rule in registry().values():
        for finding in rule(evidence):
            found.setdefault(finding.fingerprint, finding)
    return list(found.values())
