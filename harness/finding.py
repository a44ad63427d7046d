"""Findings: what a rule concluded from a trace, named so that the same cause keeps the same fingerprint."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from harness.principal import Label
from harness.trace import Site

PLACES = 200
"""Places a finding keeps besides its own."""

CARRIED = 24
"""Places a finding lists as reached: enough to tell which items it opens, few enough to read."""

STRENGTH = ("foreign-read", "foreign-write", "foreign-delete", "canary-flow", "shared-key", "unscoped-statement")
"""Rules that may show one defect, the most telling first: one that met the other's data in fact before one that shows
where it would be met. Any other rule comes after them."""

CROSSING = "crossing"
"""The family of rules that show how somebody meets at rest what is another's."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a defect showed: sink, surface, the bot's frames (``path:function``, innermost first), the rule that said
    so, the site as ``path:function``, on which entry, by twins of which dimension, and which secrets of the other (by
    slot) were seen there, where the rule tells."""

    sink: str
    surface: str
    stack: tuple[str, ...] = ()
    rule: str = ""
    site: str = ""
    entry: str = ""
    dimension: str = ""
    holds: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One violation. `source` is whose data or identity it was, `observer` who met it.

    `fingerprint` derives from rule, sink, surface and `cause`, or where that is empty the function of the site: no
    line, no payload, no plan. A `cause` names what is wrong where that is not the code that met it: a container that
    both share is one defect however many functions look into it, and so is a unique key. `spans` says what one
    defect covers and the fingerprint therefore leaves out: nothing, all surfaces of a sink (one function that reads
    several tables without scope), or all sinks as well (a flow let in without context). `family` stands in the
    fingerprint for the rule where several rules show one defect: which of them a run happens to meet, and which first,
    must not rename it. `shows` are the further places it showed at, each with its rule; `holds` are the slots of the
    secrets that were seen at its own, where the rule tells.
    `seqs` are the accesses that prove it, the violating one last. `stack` are the bot's frames at that access.
    `reaches` are the places (``sink surface``) where the same data, or the same flow, showed again later on.
    `stands_for` are the fingerprints of what a finding of a forged step was made from. `variant` says of a pair which
    other run showed it (`harness.pairs`).
    """

    rule: str
    sink: str
    entry: str
    dimension: str
    source: Label
    observer: Label
    surface: str
    key: str
    site: Site
    message: str
    stack: tuple[str, ...] = ()
    seqs: tuple[int, ...] = ()
    step: int = -1
    reaches: tuple[str, ...] = ()
    cause: str = ""
    spans: Literal["place", "surfaces", "sinks"] = "place"
    family: str = ""
    shows: tuple[Place, ...] = ()
    holds: tuple[str, ...] = ()
    stands_for: tuple[str, ...] = ()
    variant: str = ""

    @property
    def fingerprint(self) -> str:
        """16 hex digits."""
        where = self.cause or f"{self.site.file}|{self.site.function}"
        sink = "" if self.spans == "sinks" else self.sink
        surface = self.surface if self.spans == "place" else ""
        text = "|".join((self.family or self.rule, sink, surface, where))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def places(self) -> tuple[Place, ...]:
        """Everywhere it showed, its own place first."""
        site = f"{self.site.file}:{self.site.function}"
        own = Place(self.sink, self.surface, self.stack, self.rule, site, self.entry, self.dimension, self.holds)
        return (own, *self.shows)

    @property
    def rules(self) -> tuple[str, ...]:
        """Every rule that showed it, its own first, then the most telling first."""
        others = {place.rule for place in self.shows if place.rule and place.rule != self.rule}
        return (self.rule, *sorted(others, key=lambda rule: (strength(rule), rule)))


def strength(rule: str) -> int:
    """How telling a rule is among those that may show one defect; 0 is the most telling."""
    return STRENGTH.index(rule) if rule in STRENGTH else len(STRENGTH)


def merged(finding: Finding, other: Finding) -> Finding:
    """Two findings of one fingerprint as one: the more telling speaks (by its rule, then by whether it names the bot's
    code; `finding` where they are equal), and it showed where either did."""
    if (strength(other.rule), not other.site.file) < (strength(finding.rule), not finding.site.file):
        finding, other = other, finding
    return absorb(finding, other)


def absorb(finding: Finding, other: Finding) -> Finding:
    """`finding`, which showed at the places of `other` as well and reaches what it does: the same defect, met again."""
    reaches = tuple(dict.fromkeys((*finding.reaches, *other.reaches)))[:CARRIED]
    places = {_told_apart(finding, place): place for place in finding.places}
    for place in other.places:
        told = _told_apart(finding, place)
        known = places.setdefault(told, place)
        if not set(place.holds) <= set(known.holds):
            places[told] = msgspec.structs.replace(known, holds=tuple(sorted({*known.holds, *place.holds})))
    own, *others = places.values()
    shows = tuple(others[:PLACES])
    if (own.holds, shows, reaches) == (finding.holds, finding.shows, finding.reaches):
        return finding
    return msgspec.structs.replace(finding, holds=own.holds, shows=shows, reaches=reaches)


def _told_apart(finding: Finding, place: Place) -> tuple[str, ...]:
    # A flow let in without context goes through any number of functions; which places it gets to is what counts.
    where = (place.rule, place.sink, place.surface, place.entry, place.dimension)
    return where if finding.spans == "sinks" else (*where, place.site, *place.stack)
