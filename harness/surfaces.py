"""Places that tenants reach, and those of them that no risk item claims (rule unclaimed-surface)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from harness.principal import TWINS
from harness.record import UnclaimedRecord
from harness.riskmap import RiskItem
from harness.rules._evidence import Evidence
from harness.target import Facts
from harness.trace import Access, Site, Trace

RESTING = ("row", "key", "file", "config")
"""Sinks that are places: what a tenant leaves there can be met again. Prompts and messages leave."""

CHANGES = frozenset(("write", "rebind", "delete"))
HOLDINGS = ("both twins' data", "one twin's data", "written by tenants")
"""How much a place says of a tenant, the most telling first; one with nothing of it is no tenant surface."""


class Surface(msgspec.Struct):
    """One place as tenants' flows reached it. `stacks` are the distinct call stacks, `sites` the code
    (``path:function``) that touched it itself; `first` is where that happened first. `holds` are the twins whose
    canary, owner column, path or key was seen there, `writers` the twins that changed it."""

    sink: str
    surface: str
    first: Site
    accesses: int = 0
    entries: set[str] = msgspec.field(default_factory=set)
    twins: set[str] = msgspec.field(default_factory=set)
    stacks: set[tuple[str, ...]] = msgspec.field(default_factory=set)
    sites: set[str] = msgspec.field(default_factory=set)
    holds: set[str] = msgspec.field(default_factory=set)
    writers: set[str] = msgspec.field(default_factory=set)

    def holding(self) -> int | None:
        """Index into `HOLDINGS`; None where nothing of a tenant was seen: a registry filled at boot, say."""
        if self.holds:
            return 0 if len(self.holds) > 1 else 1
        return 2 if self.writers or self.sink == "config" else None


class Surfaces:
    """Every resting place that a tenant's flow reached, over many traces."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.places: dict[tuple[str, str], Surface] = {}

    def add(self, trace: Trace) -> None:
        """Count one trace. Places declared as shared, and the harness's own accesses, are left out."""
        evidence = Evidence(trace, self.facts)
        for access in trace.accesses:
            if access.sink not in RESTING or access.step == -2:
                continue
            label = evidence.claim(access).label
            if label is None or evidence.is_shared(access):
                continue
            place = self.places.get((access.sink, access.surface))
            if place is None:
                place = Surface(access.sink, access.surface, access.site)
                self.places[access.sink, access.surface] = place
            place.accesses += 1 + int(access.detail.get("repeats", 0))
            place.entries.add(access.entry)
            place.twins.add(label)
            place.stacks.add(evidence.stack(access))
            place.sites.add(f"{access.site.file}:{access.site.function}")
            place.holds.update(_data_of(access))
            if access.op in CHANGES:
                place.writers.add(label)


def _data_of(access: Access) -> set[str]:
    """Whose data the access shows. Who wrote first is no proof of whose it is."""
    found = {str(mark.label) for mark in access.marks}
    if access.detail.get("owned_by") != "first-writer":
        found.update(str(owner) for owner in (access.owner, access.new_owner))
    return found.intersection(TWINS)


def claimants(place: Surface, items: Iterable[RiskItem], target: str) -> tuple[str, ...]:
    """Ids of the items that claim the place: one of its cells is about the sink, and one of its patterns names the
    surface or the very code that touches it. That the code runs somewhere below an item's function is no claim: an
    entry's handler would claim all that is ever reached."""
    found = []
    for item in items:
        if any(cell.sink == place.sink for cell in item.cells) and any(
            pattern.matches(place.sink, place.surface, place.sites)
            if pattern.surface == "*"
            else any(pattern.matches(place.sink, place.surface, stack) for stack in place.stacks)
            for pattern in item.places.get(target, ())
        ):
            found.append(item.id)
    return tuple(found)


def unclaimed(surfaces: Surfaces, items: Iterable[RiskItem]) -> tuple[UnclaimedRecord, ...]:
    """The tenant surfaces that no item claims, those first where most of the tenants was seen. Not leaks: nobody has
    said what should hold there, so silence of the rules there says nothing about any item."""
    items = tuple(items)
    found = [
        (holding, place)
        for place in surfaces.places.values()
        if (holding := place.holding()) is not None and not claimants(place, items, surfaces.facts.name)
    ]
    found.sort(key=lambda entry: (entry[0], -len(entry[1].twins), -entry[1].accesses, entry[1].sink, entry[1].surface))
    return tuple(
        UnclaimedRecord(
            sink=place.sink, surface=place.surface, entries=tuple(sorted(place.entries)), accesses=place.accesses,
            holding=HOLDINGS[holding], twins=tuple(sorted(place.twins)), site=place.first,
        )
        for holding, place in found
    )  # fmt: skip
