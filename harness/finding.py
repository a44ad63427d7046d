"""Findings: what a rule concluded from a trace, named so that the same cause keeps the same fingerprint."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from harness.principal import Label
from harness.trace import Site

PLACES = 40
"""Places a finding keeps besides its own."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a defect showed: sink, surface and the bot's frames (``path:function``, innermost first)."""

    sink: str
    surface: str
    stack: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One violation. `source` is whose data or identity it was, `observer` who met it.

    `fingerprint` derives from rule, sink, surface and `cause`, or where that is empty the function of the site: no
    line, no payload, no plan. A `cause` names what is wrong where that is not the code that met it: a container that
    both share is one defect however many functions look into it, and so is a unique key. `spans` says what one
    defect covers and the fingerprint therefore leaves out: nothing, all surfaces of a sink (one function that reads
    several tables without scope), or all sinks as well (a flow let in without context). `shows` are the further
    places it showed at.
    `seqs` are the accesses that prove it, the violating one last. `stack` are the bot's frames at that access.
    `reaches` are the places (``sink surface``) where the same data, or the same flow, showed again later on.
    `stands_for` are the fingerprints of what a finding of a forged step was made from.
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
    shows: tuple[Place, ...] = ()
    stands_for: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """16 hex digits."""
        where = self.cause or f"{self.site.file}|{self.site.function}"
        sink = "" if self.spans == "sinks" else self.sink
        surface = self.surface if self.spans == "place" else ""
        text = "|".join((self.rule, sink, surface, where))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def places(self) -> tuple[Place, ...]:
        """Everywhere it showed, its own place first."""
        return (Place(self.sink, self.surface, self.stack), *self.shows)


def absorb(finding: Finding, other: Finding) -> Finding:
    """`finding`, which showed at the places of `other` as well: the same defect, met again."""
    if finding.spans == "place":
        return finding
    seen = {(place.sink, place.surface) for place in finding.places}
    more = [place for place in other.places if (place.sink, place.surface) not in seen]
    if not more:
        return finding
    return msgspec.structs.replace(finding, shows=(*finding.shows, *more)[:PLACES])
