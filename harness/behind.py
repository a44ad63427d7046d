"""What lies behind known leaks: a leak explains whatever one tenant feels of another from then on. So some of the plans
that show one are played as pairs with everything closed that the target has a fix for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from harness import pairs
from harness.finding import Finding
from harness.pairing import Pairing
from harness.pairs import Judge, Pair
from harness.plan import Plan
from harness.pool import Pool
from harness.record import OverlayRecord
from harness.target import Facts, Target
from harness.trace import Trace
from harness.witness import Witnessed

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


def shown(made: Sequence[Pair], judge: Judge) -> Iterator[tuple[Finding, Plan, Trace]]:
    """What a plan shows by itself that was played behind known leaks."""
    trace = made[0].outcome.trace
    if trace is not None:
        for finding in judge(trace):
            yield finding, made[0].plan, trace


def others(met: Collection[str], found: Mapping[str, Witnessed], overlays: Sequence[OverlayRecord]) -> Iterator[str]:
    """A word on each of the findings that were `met` behind known leaks although a fix closes them where they were
    found first: two leaks of one name, of which the fix closes one."""
    for fingerprint in met:
        closers = [made.name for made in overlays if made.kind == "fix" and fingerprint in made.closes]
        if closers and fingerprint in found:
            one = found[fingerprint].finding
            yield (
                f"{one.rule} on {one.surface} ({fingerprint}) shows on other plans with all fixes on, though "
                f"{', '.join(closers)} closes its witness: another leak shows there as well"
            )


def told(finding: Finding, plan: Plan, overlays: Sequence[str]) -> str:
    """The finding's message, with a word on where it was seen if that was behind known leaks: its witness `plan` has
    overlays beside those of the campaign."""
    if set(plan.overlays) <= set(overlays):
        return finding.message
    return f"{finding.message}; seen where all leaks are closed that the target has a fix for"
