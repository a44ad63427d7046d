"""In which order plans are tried for a fault: those that come by the places it stands for, unlike ones first. Pure.

A plan that did not show a fault makes it unlikely that a plan of the same steps does. So each next plan is the one that
brings most of what was not tried yet for its length; what few plans do counts for more than what nearly all of them do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from harness.plan import Plan
from harness.riskmap import RiskMap
from harness.trace import Trace

START = 12
"""Steps that a plan's beginning and end cost as much as."""

DRAWN = 3.0
"""How much more a plan is worth that comes by the rarest of the places meant than one that comes by none."""

Feature = tuple[str, str, str]


def features(plan: Plan) -> frozenset[Feature]:
    """What tells a plan from others: what is done in it, how its twins differ, and what lay there before."""
    steps = {
        (step.entry, step.action, msgspec.json.encode(step.payload, order="sorted").decode()) for step in plan.steps
    }
    twins = plan.twins
    around = (("twins", twins.dimension, twins.hostile), ("pictures", twins.pictures, ""), ("before", plan.before, ""))
    return frozenset((*steps, *around))


class Passing:
    """Which items' places plans came by, on an entry that the item's cells claim."""

    def __init__(self, riskmap: RiskMap, target: str) -> None:
        self._items = [(item, item.places[target]) for item in riskmap.items if target in item.places]
        self._known: dict[tuple[str, str, str, tuple[str, ...]], frozenset[str]] = {}

    def items(self, trace: Trace) -> frozenset[str]:
        """Ids of the items whose places the run came by."""
        kinds = {(a.sink, a.surface, a.entry, a.stack) for a in trace.accesses if a.step >= 0}
        found: set[str] = set()
        for sink, surface, entry, stack in kinds:
            key = sink, surface, entry, trace.stacks[stack] if 0 <= stack < len(trace.stacks) else ()
            if key not in self._known:
                self._known[key] = self._there(*key)
            found |= self._known[key]
        return frozenset(found)

    def _there(self, sink: str, surface: str, entry: str, stack: tuple[str, ...]) -> frozenset[str]:
        return frozenset(
            item.id
            for item, patterns in self._items
            if any(cell.entry == entry and cell.sink in (sink, "context") for cell in item.cells)
            and any(pattern.matches(sink, surface, stack) for pattern in patterns)
        )


def drawn_to(items: Sequence[str], passed: Sequence[frozenset[str]]) -> list[float]:
    """Of each plan, given the items it came by, how much it has to do with `items`: from 0 to 1 for the one that comes
    by the rarest of them."""
    common = Counter(item for ids in passed for item in ids)
    sums = [sum(1 / common[item] for item in items if item in ids) for ids in passed]
    most = max(sums, default=0.0)
    return [one / most if most else 0.0 for one in sums]


def unlike(plans: Sequence[Plan], drawn: Sequence[float]) -> Iterator[Plan]:
    """`plans`, the most telling first; `drawn` says of each how much it has to do with what is looked for (0 to 1)."""
    has = [features(plan) for plan in plans]
    common = Counter(feature for found in has for feature in found)
    tried: Counter[Feature] = Counter()
    left = dict.fromkeys(range(len(plans)))

    def worth(index: int) -> float:
        new = sum(1 / (common[feature] * (1 + tried[feature]) ** 2) for feature in has[index])
        return math.sqrt(new) * (1 + DRAWN * drawn[index]) / (START + len(plans[index].steps))

    while left:
        best = max(left, key=lambda index: (worth(index), -index))
        del left[best]
        tried.update(has[best])
        yield plans[best]
