"""Plans once more, with other twins, for cells of the risk map that were reached too seldom to be judged. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from harness.ordering import START
from harness.plan import Plan
from harness.riskmap import RiskMap
from harness.strategies import TWIN_SEEDS
from harness.target import Facts
from harness.trace import Trace
from harness.verdict import ENOUGH

SHARE = 0.2
"""Part of a campaign's generated plans that may be played for cells reached too seldom."""

KEPT = 400
"""Plans of which is kept what they reach."""

Wanted = tuple[str, int]
"""A cell: the item's id and which of its cells it is."""


class Topping:
    """How often plans reach the cells of the items that this bot claims, and which plans to play again for those that
    are reached, but not often enough. What is never reached no repetition reaches."""

    def __init__(self, riskmap: RiskMap, facts: Facts) -> None:
        self._items = [
            (item, item.places[facts.name])
            for item in riskmap.items
            if item.generation == facts.generation and facts.name in item.places
        ]
        self._known: dict[tuple[str, str, str, tuple[str, ...], str], tuple[Wanted, ...]] = {}
        self._yields: dict[str, tuple[Plan, Counter[Wanted]]] = {}
        self.counts: Counter[Wanted] = Counter()

    def add(self, plan: Plan, trace: Trace) -> None:
        """Count what the run of a plan reached."""
        met: Counter[tuple[str, str, str, int]] = Counter()
        for access in trace.accesses:
            if access.step != -2 and not access.detail.get("injected") and not access.detail.get("failing"):
                times = 1 + int(access.detail.get("repeats", 0))
                met[access.sink, access.surface, access.entry, access.stack] += times
        found: Counter[Wanted] = Counter()
        dimension = trace.twins.spec.dimension
        for (sink, surface, entry, stack), count in met.items():
            place = sink, surface, entry, trace.stacks[stack] if 0 <= stack < len(trace.stacks) else (), dimension
            if place not in self._known:
                self._known[place] = tuple(self._cells(*place))
            for cell in self._known[place]:
                found[cell] += count
        self.counts.update(found)
        if found and len(self._yields) < KEPT:
            self._yields.setdefault(plan.digest(), (plan, found))

    def _cells(self, sink: str, surface: str, entry: str, stack: tuple[str, ...], dimension: str) -> Iterator[Wanted]:
        for item, patterns in self._items:
            if any(pattern.matches(sink, surface, stack) for pattern in patterns):
                for number, cell in enumerate(item.cells):
                    wanted = cell.entry == entry and cell.sink in (sink, "context")
                    if wanted and cell.predicate != "absent" and set(dimension) <= set(cell.dimension):
                        yield item.id, number

    def chosen(self, most: int) -> list[Plan]:
        """At most so many plans, those first that bring most of what is wanted for their length; each time one is
        played again it is with other twins and other draws."""
        needs = {cell: ENOUGH - count for cell, count in self.counts.items() if count < ENOUGH}
        useful = [
            (plan, {cell: count for cell, count in found.items() if cell in needs})
            for plan, found in self._yields.values()
        ]
        turns: Counter[int] = Counter()
        plans: list[Plan] = []
        while len(plans) < most:
            worth, best = 0.0, -1
            for index, (plan, found) in enumerate(useful):
                brings = sum(min(needs[cell], count) for cell, count in found.items() if needs[cell] > 0)
                if brings / (START + len(plan.steps)) > worth:
                    worth, best = brings / (START + len(plan.steps)), index
            if best < 0:
                break
            plan, found = useful[best]
            for cell, count in found.items():
                needs[cell] -= count
            turns[best] += 1
            twins = msgspec.structs.replace(plan.twins, seed=(plan.twins.seed + turns[best]) % TWIN_SEEDS)
            plans.append(msgspec.structs.replace(plan, seed=plan.seed + turns[best], twins=twins))
        return plans
