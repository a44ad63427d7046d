"""The control of a forged step: what an honest step in its place shows as well is not the payload's doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.finding import Finding
from harness.forgery import honest
from harness.pool import Pool
from harness.rules.forged import RULE
from harness.target import Action, Target
from harness.trace import Trace
from harness.witness import Witnessed


class Ground(Protocol):
    """What the control needs of a campaign: its findings so far, and how to play and judge."""

    pool: Pool
    target: Target
    found: dict[str, Witnessed]

    def judge(self, trace: Trace) -> list[Finding]:
        """Findings of one trace."""


def settle(ground: Ground) -> None:
    """Play the plan of each forged-identity finding with honest payloads. Where that shows all the finding was made
    from, the forged one goes and the plain ones stay, with the honest plan for a witness."""
    suspects = [(f, w) for f, w in ground.found.items() if w.finding.rule == RULE]
    actions: Sequence[Action] = ground.target.actions() if suspects else ()
    for fingerprint, witnessed in suspects:
        plan = honest(witnessed.plan, actions)
        for outcome in ground.pool.map([plan]):
            if outcome.trace is None:
                continue
            plain = {finding.fingerprint: finding for finding in ground.judge(outcome.trace)}
            if not set(witnessed.finding.stands_for) <= plain.keys():
                continue
            del ground.found[fingerprint]
            for name in witnessed.finding.stands_for:
                one = plain[name]
                ground.found.setdefault(name, Witnessed(one, plan, {one.entry}, {one.dimension}, trace=outcome.trace))
