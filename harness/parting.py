"""Where a flow and the bot's context parted: how the code that made a violating access came to be, link by link.

Pure: it reads a trace and a finding, and knows nothing of loops.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from harness.finding import Finding
from harness.principal import MISSING, SHARED, TWINS, Label
from harness.record import ProvenanceRecord
from harness.trace import Access, Origin, Site, Trace

RULES = ("context-missing", "context-mismatch")
"""Findings of these rules are told with their provenance."""

_MADE = {
    "task": "task {} is created", "timer": "timer {} is set", "callback": "callback {} is handed to the loop",
    "executor": "{}, which takes no context along, is handed to an executor",
    "thread": "a thread on {}, which takes no context along, is started", "queue": "a {} is put into the queue",
}  # fmt: skip


def provenance(trace: Trace, finding: Finding) -> tuple[ProvenanceRecord, ...]:
    """From the step (or the bot's start) to the violating access, each link with who made it and under which context;
    `parted` on the one where the context is no longer the flow's. Empty for findings of other rules."""
    if finding.rule not in RULES or not finding.seqs:
        return ()
    access = next((a for a in trace.accesses if a.seq == finding.seqs[-1]), None)
    if access is None:
        return ()
    # What no code of the bot made is the target's: a task that holds a connection open stands for the step itself.
    made = [origin for origin in reversed(list(Descents(trace).of(access))) if origin.site.file]
    links = [_beginning(trace, made[0].step if made else access.step), *(_link(trace, origin) for origin in made)]
    if made and made[-1].kind == "queue" and made[-1].actor in TWINS:
        links[-1] = _taken(links[-1], made[-1], access)
        return (*links, _last(access, ""))
    expected = access.actor if access.actor in TWINS else next((o.actor for o in made if o.actor in TWINS), None)
    if expected is None:
        return (*links, _last(access, "nobody's flow, which nobody gave a context", parted=True))
    place = next((n for n, origin in enumerate(made, 1) if origin.ambient not in (expected, SHARED)), None)
    if place is not None:
        links[place] = _parted(links[place], "here flow and context part")
        return (*links, _last(access, ""))
    return (*links, *_within(trace, access, expected))


def told(links: tuple[ProvenanceRecord, ...]) -> list[str]:
    """The links as lines, for a terminal."""
    return [f"{'!' if link.parted else ' '} {link.text}{_at(link.site)}" for link in links]


class Descents:
    """What the accesses of a trace descend from."""

    def __init__(self, trace: Trace) -> None:
        self._origins = trace.origins
        self._known: dict[str, list[tuple[int, int]]] = {}
        for access in trace.accesses:
            if access.seq in trace.descents:
                self._known.setdefault(access.lineage, []).append((access.seq, trace.descents[access.seq]))

    def of(self, access: Access) -> Iterator[Origin]:
        """What that access descends from, the newest first."""
        known = self._known.get(access.lineage, [])
        at = bisect_right(known, access.seq, key=lambda one: one[0])
        index = known[at - 1][1] if at else -1
        while 0 <= index < len(self._origins):
            yield self._origins[index]
            index = self._origins[index].parent


def _beginning(trace: Trace, index: int) -> ProvenanceRecord:
    step = next((record for record in trace.steps if record.index == index), None)
    if step is None:
        return ProvenanceRecord(kind="start", who="-", context=MISSING, text="the bot starts")
    text = f"step {step.index} of {step.who or 'nobody'} begins: {step.entry} {step.action}"
    return ProvenanceRecord(kind="step", who=step.who or "-", context=MISSING, text=text)


def _link(trace: Trace, origin: Origin) -> ProvenanceRecord:
    made = _MADE.get(origin.kind, f"{origin.kind} {{}} is made").format(origin.what)
    text = f"{made} by {_by(trace, origin)}, {_under(origin.ambient)}"
    return ProvenanceRecord(
        kind=origin.kind, who=origin.actor or "-", context=origin.ambient, text=text, site=origin.site
    )


def _taken(link: ProvenanceRecord, origin: Origin, access: Access) -> ProvenanceRecord:
    """The item that the code works on: its flow is that of whoever put it."""
    if origin.ambient not in (origin.actor, SHARED):
        return _parted(link, "the context was lost before that already")
    return _parted(link, f"here flow and context part, for who takes it out works {_under(access.ambient)}")


def _by(trace: Trace, origin: Origin) -> str:
    step = next((record for record in trace.steps if record.index == origin.step), None)
    if step is None or origin.actor is None:
        return "the bot itself"
    return f"{origin.actor}'s step {step.index}"


def _within(trace: Trace, access: Access, expected: Label) -> Iterator[ProvenanceRecord]:
    """No link says where: the context went (or never came) while the code ran."""
    mine = [a for a in trace.accesses if a.seq <= access.seq and a.lineage == access.lineage and a.step == access.step]
    held = [a for a in mine if a.ambient == expected]
    if not held:
        stack = trace.stacks[access.stack] if 0 <= access.stack < len(trace.stacks) else ()
        gate = stack[-1] if stack and access.direct else ""
        where = f", which came in by {gate}," if gate else ""
        yield _last(access, f"this flow of {expected}{where} was never in {expected}'s context", parted=True)
        return
    former = held[-1]
    after = next(a for a in mine if a.seq > former.seq)
    yield ProvenanceRecord(
        kind="access", who=expected, context=former.ambient, site=former.site,
        text=f"the flow is still in {expected}'s context at {former.op} of {former.sink} {former.surface}",
    )  # fmt: skip
    said = f"after it and before this the flow left {expected}'s context"
    if after.seq == access.seq:
        yield _last(access, said, parted=True)
        return
    yield ProvenanceRecord(
        kind="access", who=expected, context=after.ambient, site=after.site, parted=True,
        text=f"{_did(after)}: {said}",
    )  # fmt: skip
    yield _last(access, "")


def _last(access: Access, why: str, *, parted: bool = False) -> ProvenanceRecord:
    text = _did(access) + (f": {why}" if why else "")
    return ProvenanceRecord(
        kind="violation", who=access.actor or "-", context=access.ambient, text=text, site=access.site, parted=parted
    )


def _did(access: Access) -> str:
    return f"{access.op} of {access.sink} {access.surface} {_under(access.ambient)}"


def _parted(link: ProvenanceRecord, why: str) -> ProvenanceRecord:
    return ProvenanceRecord(
        kind=link.kind, who=link.who, context=link.context, site=link.site, parted=True, text=f"{link.text}: {why}"
    )


def _under(ambient: Label) -> str:
    if ambient == MISSING:
        return "under no context"
    if ambient == SHARED:
        return "in the tenant that both share"
    return f"in {ambient}'s context" if ambient in TWINS else "in somebody else's context"


def _at(site: Site) -> str:
    return f"  ({site.file}:{site.line} in {site.function})" if site.file else ""
