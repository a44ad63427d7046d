"""Findings: what a rule concluded from a trace, named so that the same cause keeps the same fingerprint."""

from __future__ import annotations

import hashlib

import msgspec

from harness.principal import Label
from harness.trace import Site


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One violation. `source` is whose data or identity it was, `observer` who met it.

    `fingerprint` derives from rule, sink, surface and `cause`, or where that is empty the function of the site: no
    line, no payload, no plan. A `cause` names what is wrong where that is not the code that met it: a container that
    both share is one defect however many functions look into it, and so is a unique key.
    `seqs` are the accesses that prove it, the violating one last. `stack` are the bot's frames at that access.
    `reaches` are the places (``sink surface``) where the same data, or the same flow, showed again later on.
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

    @property
    def fingerprint(self) -> str:
        """16 hex digits."""
        where = self.cause or f"{self.site.file}|{self.site.function}"
        text = "|".join((self.rule, self.sink, self.surface, where))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
