"""What a flow does with its own in memory before it has a context: no rule can want one there, and nothing crosses."""

from __future__ import annotations

from harness.parting import Descents
from harness.principal import MISSING, TWINS, Label
from harness.rules._evidence import Evidence
from harness.trace import Access

_Cell = tuple[str, str, str]


class OwnDoing:
    """Asked access by access, in order.

    Before a credential is known a bot has to keep things: a queue of what came in, answers about credentials, a limit
    for each sender. As long as the flow that does it never had a context, and meets only what is its own principal's,
    the missing context has let nobody at anything. A flow that had one and lost it is another matter, and so are rows
    and the files of a tenant's own folder, which a bot that refuses has to refuse.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._left: dict[_Cell, Label] = {}
        self._entered: dict[tuple[int, str, str], int] = {}
        self._descents = Descents(evidence.trace)
        for access in evidence.trace.accesses:
            if access.ambient != MISSING:
                self._entered.setdefault(self._call(access), access.seq)

    def before_context(self, access: Access) -> bool:
        """Whether this access without context is a principal's own flow with nothing but its own, before it had any.

        Who came without a right credential may only put things there and meet what was put there in this way: the rest
        was kept under a context, and is to be had under one. A call that was made past the ways that messages come in
        asks for an answer without context, and gets it.
        """
        found = self._own(access) and (
            access.op == "write"
            or self._left.get(_cell(access)) == access.actor
            or not self._evidence.is_wrong(access.step)
        )
        self.put(access, without=found)
        return found

    def put(self, access: Access, *, without: bool = False) -> None:
        """Note who put what is there, where a flow did that `without` ever having had a context."""
        if access.op == "write" and access.sink in ("key", "file"):
            if without and access.actor is not None:
                self._left[_cell(access)] = access.actor
            else:
                self._left.pop(_cell(access), None)

    def _own(self, access: Access) -> bool:
        actor = access.actor
        if actor not in TWINS or not self._in_memory(access) or self._evidence.is_call(access.step):
            return False
        if any(owner not in (None, actor) for owner in (access.owner, access.new_owner)):
            return False
        if any(mark.label in TWINS and mark.label != actor for mark in access.marks):
            return False
        return not self._had_context(access) or self._left.get(_cell(access)) == actor

    @staticmethod
    def _in_memory(access: Access) -> bool:
        """In a container of the process, or in a file that no owner's name tells apart. A name (of a module, a class)
        is one for all, and nobody has anything of its own there."""
        if access.sink == "key":
            return access.op != "rebind"
        return access.sink == "file" and access.detail.get("owned_by") == "first-writer"

    def _call(self, access: Access) -> tuple[int, str, str]:
        stack = self._evidence.stack(access)
        return access.step, access.lineage, stack[-1] if stack else ""

    def _had_context(self, access: Access) -> bool:
        """Whether the flow was in a context before, or was made by code that was. Between one call into the bot and the
        next it has to have none: a client connects, and says something then."""
        if self._entered.get(self._call(access), access.seq) < access.seq:
            return True
        return any(origin.ambient != MISSING for origin in self._descents.of(access))


def _cell(access: Access) -> _Cell:
    return access.sink, access.surface, access.key
