"""What plans touched without any overlay, so that a fault is tried first where it can show. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from harness.plan import Plan
from harness.riskmap import Pattern, RiskMap
from harness.target import Overlay
from harness.trace import Trace

Place = tuple[str, tuple[str, ...]]
"""A surface and the bot's frames (``path:function``) under which it was touched."""


class Nearness:
    """Of the plans of the tour, what each touched; of the others those that touched what no plan of the tour did. Say
    with `expect` which plans are the tour's before any is added."""

    def __init__(self) -> None:
        self._tour: frozenset[str] = frozenset()
        self._places: dict[Place, int] = {}
        self._touched: dict[str, frozenset[int]] = {}
        self._shortest: dict[str, Plan] = {}  # by surface and function, of plans that are not the tour's
        self._known: set[str] = set()  # surfaces and functions that the tour touched
        self._matching: dict[tuple[str, str], frozenset[int]] = {}

    def expect(self, tour: Sequence[Plan]) -> None:
        """These are the tour's plans."""
        self._tour = frozenset(plan.digest() for plan in tour)

    def add(self, plan: Plan, trace: Trace) -> bool:
        """Keep what the plan touched; false where there is nothing to keep, for it is no plan to try a fault on."""
        digest, toured = plan.digest(), plan.digest() in self._tour
        places = {(access.surface, access.stack) for access in trace.accesses}
        met = [(surface, trace.stacks[stack] if stack >= 0 else ()) for surface, stack in places]
        names = {surface for surface, _ in met} | {frame for _, stack in met for frame in stack}
        if toured:
            self._known |= names
        else:
            names = {name for name in names - self._known if len(plan.steps) < self._length(name)}
            self._shortest.update(dict.fromkeys(names, plan))
        if toured or names:
            self._matching.clear()
            self._touched[digest] = frozenset(self._places.setdefault(one, len(self._places)) for one in met)
        return toured or bool(names)

    def split(
        self, overlay: Overlay, riskmap: RiskMap, target: str, tour: Iterable[Plan]
    ) -> tuple[list[Plan], list[Plan]]:
        """Plans to try the fault on: those of the tour that touched its place or a place of a row it stands for, with
        others that touched its place where no plan of the tour did; and the rest of the tour. Left out are plans whose
        twins differ in what its findings never do. In which order they are tried `harness.ordering` says."""
        mine = set(overlay.items)
        patterns = [p for item in riskmap.items if item.id in mine for p in item.places.get(target, ())]
        beyond = {plan.digest(): plan for name, plan in self._shortest.items() if name not in self._known}
        near: list[Plan] = []
        others: list[Plan] = []
        for plan in tour:
            if fnmatch.fnmatchcase(plan.twins.dimension, overlay.dimension):
                (near if self._is_at(plan, overlay, patterns) else others).append(plan)
        near += [
            plan for plan in beyond.values()
            if fnmatch.fnmatchcase(plan.twins.dimension, overlay.dimension) and self._is_at(plan, overlay, ())
        ]  # fmt: skip
        return near, others

    def _is_at(self, plan: Plan, overlay: Overlay, patterns: Sequence[Pattern]) -> bool:
        touched = self._touched.get(plan.digest(), frozenset())
        own = (overlay.surface, overlay.site)
        places = [*([own] if own != ("*", "*") else []), *((p.surface, p.site) for p in patterns)]
        return any(not touched.isdisjoint(self._like(*place)) for place in places)

    def _like(self, surface: str, site: str) -> frozenset[int]:
        """Numbers of the places that both globs match."""
        found = self._matching.get((surface, site))
        if found is None:
            pattern = Pattern(surface=surface)
            surfaces = {one for one in {place[0] for place in self._places} if pattern.matches("*", one, ())}
            there = [(place[1], number) for place, number in self._places.items() if place[0] in surfaces]
            if site != "*":
                at = Pattern(site=site)
                frames = {frame for frame in {frame for stack, _ in there for frame in stack} if at.stands_at(frame)}
                there = [(stack, number) for stack, number in there if not frames.isdisjoint(stack)]
            found = self._matching[surface, site] = frozenset(number for _, number in there)
        return found

    def _length(self, name: str) -> float:
        known = self._shortest.get(name)
        return len(known.steps) if known is not None else float("inf")
