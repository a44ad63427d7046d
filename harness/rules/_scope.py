"""What twins share by right. Two tenants share nothing; two agents of one tenant share what is the tenant's; two
chats of one agent share everything but what is a chat's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.principal import DIMENSION_FIELDS, NESTING, TWINS
from harness.riskmap import Demand
from harness.target import Facts
from harness.trace import Access, Mark, Trace

BY_RIGHT = {
    "T": ("platform",),
    "A": ("platform", "tenant"),
    "C": ("platform", "tenant", "agent", "user", "picture"),
    "P": ("tenant", "agent", "picture"),
}
"""Identities that twins of a dimension share and that make no collision: what stands above the difference; a platform,
which every tenant's bot may be on; for two chats also their users, and what an agent knows of a picture by its content.
On two platforms an equal chat or user id names two chats or users."""

SAID = frozenset(("message", "wide", "event", "reply"))
"""Slots whose canaries are a chat's own. What a user tells the agent (names, commands, pictures), what the agent learns
and what it is configured with is the agent's, in whichever chat it meets it."""


class Scope:
    """Which accesses of a trace may be judged, given how its twins differ.

    Twins that differ in a field the bot's own design keeps apart (`Facts.scoping`) are judged everywhere. Twins of one
    tenant and agent (C, P) are judged where an *apart* cell of the risk map claims that dimension for the place, or
    the place itself shows it: a row whose columns name the chat, a key made of it, a message sent to it. And only on
    entries where a flow speaks for a chat (`Facts.speaks`).
    """

    def __init__(self, trace: Trace, facts: Facts, demands: Sequence[Demand] = ()) -> None:
        self.dimension = coarsest(trace.twins.spec.dimension)
        self.by_right = frozenset(BY_RIGHT[self.dimension])
        self.design = DIMENSION_FIELDS[self.dimension] in facts.scoping
        self._trace = trace
        self._fields = frozenset(DIMENSION_FIELDS[letter] for letter in trace.twins.spec.dimension)
        self._entries = frozenset(entry for field in self._fields for entry in facts.speaks.get(field, ()))
        self._claims = [d for d in demands if d.predicate == "apart" and d.dimension in trace.twins.spec.dimension]
        self._claimed: dict[tuple[str, str, str, int], bool] = {}
        self._nested: dict[str, set[str]] | None = None

    def judged(self, access: Access) -> Access | None:
        """The access with the marks that count, or None where twins meet by right."""
        if self._is_partition(access):
            return None
        if self.design:
            return access
        if access.entry not in self._entries or not (self._shows(access) or self._is_claimed(access)):
            return None
        marks = self.marks(access)
        return access if len(marks) == len(access.marks) else msgspec.structs.replace(access, marks=marks)

    def marks(self, access: Access) -> tuple[Mark, ...]:
        """Canaries in the access that the other twin has no right to."""
        return access.marks if self.design else tuple(mark for mark in access.marks if mark.slot in SAID)

    def _shows(self, access: Access) -> bool:
        """Whether the place itself is told apart by a field in which the twins differ."""
        if access.sink in ("outbound", "prompt"):
            return access.new_owner in TWINS
        if access.sink == "row":
            told = access.owner in TWINS or access.new_owner in TWINS
            # An agent may look through its chats; what was said in one must not be found so.
            said = access.op != "read" or any(mark.label == access.owner for mark in self.marks(access))
            return told and said and access.detail.get("owned_by") == "columns"
        identity = access.detail.get("identity") or {}
        own = {name.partition(":")[0] for name in identity.get("own") or ()}
        # A chat is a chat of a platform: what is kept by chat is kept by platform.
        return bool(own & self._fields) or (self.dimension == "P" and "chat" in (identity.get("shared") or ()))

    def _is_claimed(self, access: Access) -> bool:
        place = (access.sink, access.entry, access.surface, access.stack)
        known = self._claimed.get(place)
        if known is None:
            stack = self._trace.stacks[access.stack] if 0 <= access.stack < len(self._trace.stacks) else ()
            known = self._claimed[place] = any(
                claim.sink == access.sink
                and claim.entry == access.entry
                and any(pattern.matches(access.sink, access.surface, stack) for pattern in claim.patterns)
                for claim in self._claims
            )
        return known

    def _is_partition(self, access: Access) -> bool:
        """Whether the access only passes through a level of nested containers, whose cells are watched themselves."""
        if not access.detail.get("nests") or access.op not in ("read", "iterate"):
            return False
        identity = access.detail.get("identity") or {}
        shared = set(identity.get("shared") or ())
        if identity.get("own") or not shared or not shared <= NESTING:
            return False
        if self._nested is None:
            self._nested = _nested(self._trace.accesses)
        # A container made within the step is watched from the next look on; that its keys go on with identities shows.
        return access.detail["nests"] == "levels" or access.key in self._nested.get(access.surface, ())


def coarsest(dimension: str) -> str:
    """The letter that says most: tenants that differ in their agent as well are two tenants."""
    return next(letter for letter in DIMENSION_FIELDS if letter in dimension)


def _nested(accesses: Sequence[Access]) -> dict[str, set[str]]:
    """Containers whose values are watched containers themselves, by surface: the keys that lead to one."""
    found: dict[str, set[str]] = {}
    for access in accesses:
        if access.sink == "key" and access.surface.endswith("[]"):
            parts = access.key.split("/")
            keys = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
            found.setdefault(access.surface.removesuffix("[]"), set()).update(keys)
    return found
