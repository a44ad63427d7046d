"""What plans touched without any overlay, so that a fault is tried first where it can show. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from harness.plan import Plan
from harness.riskmap import Pattern, RiskMap
from harness.target import Overlay
from harness.trace import Trace


class Touched(msgspec.Struct, frozen=True):
    """Surfaces that a plan touched, and the bot's functions (``path:function``) under which it touched anything."""

    surfaces: frozenset[str]
    functions: frozenset[str]


class Nearness:
    """Of the plans of the tour, what each touched; of the others those that touched what no plan of the tour did. Say
    with `expect` which plans are the tour's before any is added."""

    def __init__(self) -> None:
        self._tour: frozenset[str] = frozenset()
        self._touched: dict[str, Touched] = {}
        self._others: dict[str, Plan] = {}
        self._whole: dict[str, str] = {}  # each name once, however many plans touched it
        self._matching: dict[str, frozenset[str]] = {}

    def expect(self, tour: Sequence[Plan]) -> None:
        """These are the tour's plans."""
        self._tour = frozenset(plan.digest() for plan in tour)

    def add(self, plan: Plan, trace: Trace) -> None:
        """Keep what the plan touched."""
        self._matching.clear()
        digest = plan.digest()
        surfaces = self._once(access.surface for access in trace.accesses)
        functions = self._once(frame for stack in trace.stacks for frame in stack)
        self._touched[digest] = Touched(surfaces, functions)
        if digest in self._tour:
            return
        new = [name for name in surfaces | functions if len(plan.steps) < self._length(name)]
        for name in new:
            self._others[name] = plan
        if not new:
            del self._touched[digest]

    def order(self, overlay: Overlay, riskmap: RiskMap, target: str, tour: Iterable[Plan]) -> list[Plan]:
        """Plans to try the fault on: those of the tour that touched its place first, then those that touched a place of
        a row it stands for, and short ones before long ones. Other plans come in where they touched its place. Left
        out are plans whose twins differ in what its findings never do."""
        mine = set(overlay.items)
        patterns = [p for item in riskmap.items if item.id in mine for p in item.places.get(target, ())]
        ranked = [(self._far(overlay, patterns, plan), len(plan.steps), plan) for plan in tour]
        toured = frozenset(plan.digest() for _, _, plan in ranked)
        for plan in self._beyond(toured):
            far = self._far(overlay, patterns, plan)
            if far == 0:
                ranked.append((far, len(plan.steps), plan))
        told = [one for one in ranked if fnmatch.fnmatchcase(one[2].twins.dimension, overlay.dimension)]
        return [plan for *_, plan in sorted(told, key=lambda one: one[:2])]

    def _far(self, overlay: Overlay, patterns: Sequence[Pattern], plan: Plan) -> int:
        touched = self._touched.get(plan.digest())
        if touched is None:
            return 3
        if (overlay.surface, overlay.site) != ("*", "*") and self._at(touched, overlay.surface, overlay.site):
            return 0
        return 1 if any(self._at(touched, pattern.surface, pattern.site) for pattern in patterns) else 2

    def _at(self, touched: Touched, surface: str, site: str) -> bool:
        """Whether both globs match something touched."""
        return all(
            glob == "*" or not names.isdisjoint(self._like(glob))
            for glob, names in ((surface, touched.surfaces), (site, touched.functions))
        )

    def _like(self, glob: str) -> frozenset[str]:
        found = self._matching.get(glob)
        if found is None:
            found = self._matching[glob] = frozenset(n for n in self._whole if fnmatch.fnmatchcase(n, glob))
        return found

    def _beyond(self, toured: frozenset[str]) -> Iterator[Plan]:
        """Plans that touched what none of these did, each once."""
        known: set[str] = set()
        for digest in toured:
            touched = self._touched.get(digest)
            if touched is not None:
                known |= touched.surfaces | touched.functions
        found = {plan.digest(): plan for name, plan in self._others.items() if name not in known}
        return iter(found.values())

    def _length(self, name: str) -> float:
        known = self._others.get(name)
        return len(known.steps) if known is not None else float("inf")

    def _once(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(self._whole.setdefault(name, name) for name in names)
