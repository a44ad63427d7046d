"""What lies behind known leaks: a leak explains whatever one tenant feels of another from then on. So some of the plans
that show one are played as pairs with everything closed that the target has a fix for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from harness import pairs
from harness.finding import Finding
from harness.pairs import Judge, Pair, Pairing
from harness.plan import Plan
from harness.pool import Pool
from harness.target import Facts, Target

SHARE = 3
"""One in so many pairs is played behind known leaks, where there are fixes."""

TURN = 3
"""Pairs of each kind that are played before those of the other, so that what is cut short has some of each."""


def chosen(pairing: Pairing, target: Target, count: int, bare: bool) -> tuple[list[Plan], list[Plan]]:
    """Plans to be played as pairs, `count` in all: as they are, and with the target's fixes. `bare`: no overlay is on
    already."""
    closing = tuple(overlay.name for overlay in target.overlays() if overlay.kind == "fix") if bare else ()
    leaky = [
        msgspec.structs.replace(plan, overlays=closing) for plan in pairing.leaky(count // SHARE if closing else 0)
    ]
    return pairing.chosen(count - len(leaky)), leaky


def play(
    pool: Pool, plans: Sequence[Plan], leaky: Sequence[Plan], facts: Facts, judge: Judge
) -> Iterator[tuple[list[Pair], bool]]:
    """Play both kinds in turns. Yields what came of a plan, and whether it was one behind known leaks."""
    some, others = TURN * (SHARE - 1), TURN
    for turn in range(max(-(-len(plans) // some), -(-len(leaky) // others))):
        for made in pairs.play(pool, plans[turn * some : (turn + 1) * some], facts, judge):
            yield made, False
        for made in pairs.play(pool, leaky[turn * others : (turn + 1) * others], facts, judge):
            yield made, True


def told(finding: Finding, plan: Plan, overlays: Sequence[str]) -> str:
    """The finding's message, with a word on where it was seen if that was behind known leaks: its witness `plan` has
    overlays beside those of the campaign."""
    if set(plan.overlays) <= set(overlays):
        return finding.message
    return f"{finding.message}; seen where all leaks are closed that the target has a fix for"
