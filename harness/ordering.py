"""In which order plans are tried for a fault: short ones that do much where it is, unlike ones first. Pure.

A plan that did not show a fault makes it unlikely that the same steps do so elsewhere. So each next plan is the one
that brings, for its length, most of what was not tried yet there: where the fault's surface is, and rather where the
items are that it stands for.
"""

from __future__ import annotations

import fnmatch
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from harness.plan import Plan, Step
from harness.riskmap import RiskMap
from harness.target import Overlay
from harness.trace import Trace

START = 12
"""Steps that a plan's beginning and end cost as much as."""

ELSEWHERE, ON_SURFACE, BY_ITEMS = 0.05, 1.0, 3.0
"""What it is worth to do something anywhere; besides, on the fault's surface; besides, where its items are. A fault may
well show on a surface that nothing touches without it."""


AROUND = {
    "twins": BY_ITEMS,
    "hostile": ON_SURFACE,
    "settings": ON_SURFACE,
    "pictures": ON_SURFACE,
    "before": ON_SURFACE,
    "world": ON_SURFACE,
}
"""What else tells plans apart, by kind: how much it is worth where a fault is."""


class Doing(msgspec.Struct, frozen=True, array_like=True):
    """Something that a plan did on a surface: on which entry, by which step (empty: by none), and which items have a
    place there that speaks of that entry."""

    surface: str
    entry: str
    action: str
    payload: str
    items: frozenset[str] = frozenset()


class Doings:
    """What plans did, held against the places of a risk map."""

    def __init__(self, riskmap: RiskMap, target: str) -> None:
        self._items = [(item, item.places[target]) for item in riskmap.items if target in item.places]
        self._known: dict[tuple[str, str, str, tuple[str, ...]], frozenset[str]] = {}

    def of(self, plan: Plan, trace: Trace) -> frozenset[Doing]:
        """What `plan` did in the run that left `trace`."""
        kinds = {(a.sink, a.surface, a.entry, a.stack, a.step) for a in trace.accesses if a.step >= -1}
        found: dict[tuple[str, str, str, str], frozenset[str]] = {}
        for sink, surface, entry, stack, index in kinds:
            place = sink, surface, entry, trace.stacks[stack] if 0 <= stack < len(trace.stacks) else ()
            if place not in self._known:
                self._known[place] = self._there(*place)
            did = (surface, entry, *_step(plan, index))
            found[did] = found.get(did, frozenset()) | self._known[place]
        return frozenset(Doing(*did, items) for did, items in found.items())

    def _there(self, sink: str, surface: str, entry: str, stack: tuple[str, ...]) -> frozenset[str]:
        return frozenset(
            item.id
            for item, patterns in self._items
            if any(cell.entry == entry and cell.sink in (sink, "context") for cell in item.cells)
            and any(pattern.matches(sink, surface, stack) for pattern in patterns)
        )


def _step(plan: Plan, index: int) -> tuple[str, str]:
    return _did(plan.steps[index]) if 0 <= index < len(plan.steps) else ("", "")


def _did(step: Step) -> tuple[str, str]:
    # Of a call that was found it matters which it is, not with what it was tried.
    payload = {} if "pick" in step.payload else step.payload
    return step.action, msgspec.json.encode(payload, order="sorted").decode()


def nearest(overlay: Overlay, plans: Sequence[Plan], did: Mapping[str, Iterable[Doing]]) -> Iterator[Plan]:
    """`plans` in the order in which they are tried for the overlay; `did` says what a plan (by digest) does without it.
    Those of which nothing is known come last."""
    items = frozenset(overlay.items)
    meant: dict[str, bool] = {}
    left: dict[int, dict[tuple[str, str, str], float]] = {}
    for index, plan in enumerate(plans):
        twins = plan.twins
        worths = {("twins", twins.dimension, ""): ELSEWHERE, ("pictures", twins.pictures, ""): ELSEWHERE}
        if twins.hostile:
            worths["hostile", "", twins.hostile] = ELSEWHERE
        if twins.settings != "marked":
            worths["settings", "", twins.settings] = ELSEWHERE
        worths["before", plan.before, ""] = ELSEWHERE
        # What happens around the bot touches nothing by itself; time passes in most plans.
        worths |= {(step.entry, *_did(step)): ELSEWHERE for step in plan.steps if step.entry == "world"}
        near = 0.0
        for doing in did.get(plan.digest(), ()):
            if doing.surface not in meant:
                meant[doing.surface] = fnmatch.fnmatchcase(doing.surface, overlay.surface)
            weight = ELSEWHERE + ON_SURFACE * meant[doing.surface] + BY_ITEMS * (not items.isdisjoint(doing.items))
            what = doing.entry, doing.action, doing.payload
            worths[what], near = max(worths.get(what, 0.0), weight), max(near, weight)
        if near > ELSEWHERE:  # there, that counts as much as what is done, and who the twins are counts for more
            worths |= {what: AROUND[what[0]] for what in worths if what[0] in AROUND and what[1] != "advance"}
        left[index] = worths if near else {}
    tried: Counter[tuple[str, str, str]] = Counter()

    def worth(index: int) -> float:
        new = sum(weight / (1 + tried[what]) ** 2 for what, weight in left[index].items())
        return math.sqrt(new) / (START + len(plans[index].steps))

    while left:
        best = max(left, key=lambda index: (worth(index), -len(plans[index].steps), -index))
        tried.update(left.pop(best).keys())
        yield plans[best]
