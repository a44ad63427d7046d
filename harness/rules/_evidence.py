"""What rules may rely on: whose flow an access belongs to, and how sure that is."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from harness.finding import CROSSING, Finding
from harness.principal import BYSTANDER, MISSING, TWINS, Label
from harness.riskmap import Demand
from harness.rules._scope import Scope
from harness.target import Facts, Region
from harness.trace import Access, Mark, Trace

UNTOLD = "tells nobody apart"
"""The cause where a place (a table, a file) says by nothing whose what it holds is: the defect is the place's,
whatever code meets it and whatever it does there."""


class Claim(msgspec.Struct, frozen=True):
    """Whose flow an access belongs to.

    ``agreed``: lineage and the bot's context name the same twin. ``context``: no lineage (a timer tick), the bot's
    context is the claim that data must agree with. ``direct``: the bot has no context of a twin, but the access
    happened in the step's own task, where lineage is proof. ``spawned``: no context, in a task spawned from the
    step: lineage is evidence only, for a shared worker keeps its first caller. ``split``: lineage and context name
    different twins. ``none``: neither names a twin; so it is for a third who stands by.
    """

    label: Label | None
    kind: str

    @property
    def proven(self) -> bool:
        """Whether the label alone may carry a finding."""
        return self.kind in ("agreed", "context", "direct")


class Evidence:
    """A trace together with what the target declares, and the readings of it that several rules share."""

    def __init__(self, trace: Trace, facts: Facts, demands: Sequence[Demand] = ()) -> None:
        self.trace = trace
        self.facts = facts
        self.demands = tuple(demands)
        self.scope = Scope(trace, facts, demands)
        self._regions: dict[tuple[str, str, int], bool] = {}
        self._shared: dict[tuple[str, str, int], bool] = {}
        dimension = set(trace.twins.spec.dimension)
        self._by_design = [s for s in facts.shared if not s.within or dimension <= set(s.within)]
        self._sited = any(s.site for s in self._by_design)
        self._wrong = {record.index for record in trace.steps if record.wrong}
        self._calls = {record.index for record in trace.steps if record.call}
        # A credential that the harness itself put into the other's payload proves nothing wherever it shows.
        self._lent = {
            ("B" if record.who == "A" else "A", "credential")
            for record in trace.steps
            if any(place.endswith("=credential") for place in record.forged)
        }

    def accesses(self, *sinks: str, ops: Iterable[str] = ()) -> Iterator[Access]:
        """Accesses of these sinks (all when none named) and operations that rules may judge, with the marks that count:
        without declared sharing, the harness's own planted ones and what the twins of this plan share by right (see
        `Scope`)."""
        wanted = frozenset(ops)
        lent = self._lent
        for access in self.trace.accesses:
            if sinks and access.sink not in sinks:
                continue
            if wanted and access.op not in wanted:
                continue
            if access.actor == BYSTANDER and access.ambient not in TWINS:
                continue  # what a third does by itself is judged where a twin does it
            if access.step == -2 or self.is_shared(access):
                continue
            if lent and any((m.label, m.slot) in lent for m in access.marks):
                access = msgspec.structs.replace(access, marks=self._unlent(access))
            judged = self.scope.judged(access)
            if judged is not None:
                yield judged

    def slots(self, access: Access, label: Label) -> list[str]:
        """Slots of that twin's canaries in an access, as far as they count: what the harness lent to the other does
        not, nor what twins share by right."""
        counting = self.scope.marks(msgspec.structs.replace(access, marks=self._unlent(access)))
        return [mark.slot for mark in counting if mark.label == label]

    def _unlent(self, access: Access) -> tuple[Mark, ...]:
        return tuple(mark for mark in access.marks if (mark.label, mark.slot) not in self._lent)

    def is_wrong(self, step: int) -> bool:
        """Whether the step carried a wrong identity, or none."""
        return step in self._wrong

    def is_call(self, step: int) -> bool:
        """Whether the step called a function or route by itself, past the ways that messages come in."""
        return step in self._calls

    def is_shared(self, access: Access) -> bool:
        """Whether the target declares this place as shared on purpose."""
        place = (access.sink, access.surface, access.stack if self._sited else -1)
        known = self._shared.get(place)
        if known is None:
            known = self._shared[place] = any(
                s.sink == access.sink
                and fnmatch.fnmatchcase(access.surface, s.surface)
                and (not s.site or any(fnmatch.fnmatchcase(frame, s.site) for frame in self.stack(access)))
                for s in self._by_design
            )
        return known

    def is_cache(self, access: Access) -> bool:
        """Whether the target says that entries of this place may be put out by anybody."""
        return any(s.sink == access.sink and fnmatch.fnmatchcase(access.surface, s.surface) for s in self.facts.caches)

    def in_region(self, access: Access) -> bool:
        """Whether this happened in code that the target declares to run before a credential is known: that excuses it
        from having a context, not from meeting what is another's."""
        place = (access.entry, access.surface, access.stack)
        known = self._regions.get(place)
        if known is None:
            known = self._regions[place] = any(self._inside(region, access) for region in self.facts.regions)
        return known

    def _inside(self, region: Region, access: Access) -> bool:
        if region.entry not in ("*", access.entry):
            return False
        if not any(fnmatch.fnmatchcase(access.surface, surface) for surface in region.surfaces):
            return False
        return any(fnmatch.fnmatchcase(frame, region.site) for frame in self.stack(access))

    def stack(self, access: Access) -> tuple[str, ...]:
        """The bot's frames at the access, innermost first."""
        return self.trace.stacks[access.stack] if 0 <= access.stack < len(self.trace.stacks) else ()

    def gate(self, access: Access) -> str:
        """Where a principal's flow came into the bot's code: the outermost of its frames. Empty for a flow of nobody's,
        which comes in without a context by right."""
        stack = self.stack(access)
        return stack[-1] if stack and access.actor in TWINS else ""

    @staticmethod
    def claim(access: Access) -> Claim:
        """Whose flow the access belongs to."""
        actor, ambient = access.actor, access.ambient
        if actor == BYSTANDER and ambient not in TWINS:
            return Claim(None, "none")
        if ambient in TWINS:
            if actor is None:
                return Claim(ambient, "context")
            return Claim(ambient, "agreed") if actor == ambient else Claim(ambient, "split")
        if actor is None:
            return Claim(None, "none")
        # Somebody else's context (a default tenant, say) is as good as none: lineage tells whose data it is.
        return Claim(actor, "direct" if access.direct else "spawned")

    def finding(
        self,
        rule: str,
        access: Access,
        source: Label | None,
        observer: Label | None,
        message: str,
        *earlier: int,
        cause: str = "",
        spans: Literal["place", "surfaces", "sinks"] = "place",
        family: str = "",
        holds: tuple[str, ...] = (),
    ) -> Finding:
        """A finding whose violating access is `access`; `earlier` are the accesses that lead to it, `cause`
        names the defect where it is not the code that met it, `spans` what it covers, `family` the rules that may show
        it, `holds` the secrets seen there (see `Finding`)."""
        return Finding(
            rule=rule,
            sink=access.sink,
            entry=access.entry,
            dimension=self.trace.twins.spec.dimension,
            source=source or MISSING,
            observer=observer or MISSING,
            surface=access.surface,
            key=access.key,
            site=access.site,
            message=message,
            stack=self.stack(access),
            seqs=(*earlier, access.seq),
            step=access.step,
            cause=cause,
            spans=spans,
            family=family,
            holds=holds,
        )

    def crossing(
        self, rule: str, access: Access, source: Label | None, observer: Label | None, message: str, *earlier: int,
        holds: tuple[str, ...] = (),
    ) -> Finding:  # fmt: skip
        """A finding that somebody meets at rest what is another's: one defect, whichever rules show it and whether it
        is read, changed or deleted. It is the container's where that is in memory; the place's where nothing there
        tells the twins apart; else it is that of the code that went past what does, over all tables, and over all
        files of one folder."""
        cause = ""
        spans: Literal["place", "surfaces"] = "surfaces"
        if access.sink == "key":
            cause = container(access)
        elif access.detail.get("owned_by") == "first-writer":
            cause, spans = UNTOLD, "place"
        elif access.sink == "file":
            cause = "|".join((access.site.file, access.site.function, access.surface.rpartition("/")[0]))
        return self.finding(
            rule, access, source, observer, message, *earlier,
            cause=cause, spans=spans, family=CROSSING, holds=holds,
        )  # fmt: skip


def container(access: Access) -> str:
    """The cause of a finding in a container of the process: the outermost container, whatever cell inside was met."""
    return access.surface.partition("[")[0] if access.sink == "key" else ""


def spanned(access: Access) -> Literal["place", "surfaces"]:
    """What a defect in the code that made the access covers: one function that takes rows of several tables without
    scope is one defect."""
    return "surfaces" if access.sink == "row" else "place"


def other_marks(access: Access, label: Label) -> list[Mark]:
    """Canaries in the access that belong to the other twin, in order."""
    return [m for m in access.marks if m.label in TWINS and m.label != label]


def slots_of(marks: Iterable[Mark]) -> tuple[str, ...]:
    """The slots of the secrets that marks are of, each once."""
    return tuple(sorted({mark.slot for mark in marks}))


def has_mark(access: Access, label: Label) -> bool:
    """Whether a canary of that twin is in the access."""
    return any(m.label == label for m in access.marks)


def wiped(access: Access) -> bool:
    """Whether a row of a temporary table was deleted: that is one connection's scratch paper, and whoever is handed the
    connection next wipes it before use. What is read there or left standing is another matter."""
    return access.op == "delete" and bool(access.detail.get("temporary"))


def passes(access: Access, owner: str) -> bool:
    """Whether an element of a list or queue was looked at or taken that says of itself whose it is: so work is handed
    to whoever does it for all, and a list is gone through for one's own. What is made of it is judged where it goes."""
    return access.op in ("read", "iterate", "delete") and owner in (access.detail.get("names") or ())


def place(access: Access) -> str:
    """The place in words: sink, surface and key."""
    return f"{access.sink} {access.surface}" + (f" [{access.key}]" if access.key else "")
