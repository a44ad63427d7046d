"""Where two flows are in each other's way: waits of one in whose midst the other would do harm, if ever.

A fault of order needs a flow that pauses while another one passes. Of all the waits of a run few are such that it could
matter who passes: where the rival runs through the same code, and where the flow touches a container before its wait
and after it, and the rival touches the same one, one of them writing. To hold a flow there until its rival has come is
race-directed testing (Sen, "Race directed random testing of concurrent programs", PLDI 2008).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from harness.trace import Access, Begun, Trace

SINKS = ("row", "key", "file", "config")
"""Where what one flow leaves can meet another."""

CHANGES = ("write", "delete", "rebind")

REACH = 15.0
"""Virtual seconds after a wait begins in which a rival may still come along: a late answer can be that late."""

OFTEN = 16
"""Waits of one flow at one site that are looked at; what goes round in a loop is told by its first ones."""


BESIDE = 4
"""Waits before and after an access that are beside it."""


class Passing(msgspec.Struct, frozen=True, kw_only=True):
    """A wait that could end too late: the `occurrence`-th of `lineage` at `site`, begun in virtual second `begun`.
    `past` are the moments after which its rival has passed: by its next wait or access, and by its end. `torn` is the
    container that both touch, empty where they only run through the same code. `code` is the site with what is
    touched next, since all that goes through one helper waits at one site. `rival` is the flow that passes, first heard
    of in virtual second `entered`; empty where that was after the wait began."""

    lineage: str
    site: str
    occurrence: int
    code: str
    begun: float
    past: tuple[float, ...]
    torn: str = ""
    rival: str = ""
    entered: float = 0.0


def beside(found: Sequence[Passing], trace: Trace, met: Sequence[Access]) -> frozenset[str]:
    """The pieces of code (`Passing.code`) of those waits between which and the nearest of the accesses `met` the same
    flow waits less than `BESIDE` times."""
    waits: dict[str, list[Begun]] = {}
    for wait in sorted(trace.waits, key=lambda wait: wait.seq):
        waits.setdefault(wait.lineage, []).append(wait)
    near: set[tuple[str, str, int]] = set()
    for lineage, moment in {(access.lineage, access.seq) for access in met}:
        mine = waits.get(lineage, [])
        at = bisect_left(mine, moment, key=lambda wait: wait.seq)
        near |= {(lineage, wait.site, wait.number) for wait in mine[max(0, at - BESIDE) : at + BESIDE]}
    return frozenset(one.code for one in found if (one.lineage, one.site, one.occurrence) in near)


def places(found: Sequence[Passing], trace: Trace) -> list[tuple[str, int]]:
    """Each wait that is among `found` once: its lineage, and its number among all waits of that lineage."""
    wanted = {(one.lineage, one.site, one.occurrence) for one in found}
    begun: Counter[str] = Counter()
    told: list[tuple[str, int]] = []
    for wait in trace.waits:
        if (wait.lineage, wait.site, wait.number) in wanted:
            told.append((wait.lineage, begun[wait.lineage]))
        begun[wait.lineage] += 1
    return told


class _Flow:
    """What one step did, in order."""

    def __init__(self) -> None:
        self.waits: list[Begun] = []
        self.touched: dict[str, list[tuple[int, bool, float]]] = {}
        self.moments: list[tuple[int, float]] = []
        self.accesses: list[Access] = []

    def spans(self, surface: str, seq: int) -> bool:
        """Whether the container was touched both before and after that moment of the trace."""
        touches = self.touched[surface]
        return touches[0][0] < seq <= touches[-1][0]

    def writes(self, surface: str) -> bool:
        return any(write for _, write, _ in self.touched[surface])

    def code(self, wait: Begun) -> str:
        """Which piece of code waits there."""
        after = next((access for access in self.accesses if access.seq >= wait.seq), None)
        return wait.site if after is None else f"{wait.site} {after.site.function} {after.surface}"

    def next(self, seq: int) -> float:
        """When this flow is heard of next after that moment of the trace."""
        return next((time for at, time in self.moments if at > seq), self.moments[-1][1])


def passings(trace: Trace) -> list[Passing]:
    """The waits of a run, played in first-in-first-out order with its choices told, in whose midst a flow of another
    principal may pass, in the order in which they began."""
    flows = _flows(trace.accesses, trace.waits)
    found: dict[Passing, None] = {}
    for lineage, flow in flows.items():
        rivals = [one for one in flows.items() if one[0].partition(".")[0] != lineage.partition(".")[0]]
        for wait in flow.waits:
            if wait.number >= OFTEN:
                continue
            code = flow.code(wait)
            for other, rival in rivals:
                seq, entered = rival.moments[0]
                for torn, past in _met(flow, wait, rival):
                    ends = past, rival.moments[-1][1]
                    made = Passing(
                        lineage=lineage, site=wait.site, occurrence=wait.number, code=code, begun=wait.time,
                        past=tuple(dict.fromkeys(ends)), torn=torn, rival=other if seq < wait.seq else "",
                        entered=entered,
                    )  # fmt: skip
                    found[made] = None
    return list(found)


def _met(flow: _Flow, wait: Begun, rival: _Flow) -> Iterator[tuple[str, float]]:
    """What the rival comes upon after the wait began, and when it is past it."""
    last = wait.time + REACH
    for one in rival.waits:
        if one.site == wait.site and one.seq >= wait.seq and wait.time <= one.time <= last:
            yield "", rival.next(one.seq)
            break
    for surface in flow.touched.keys() & rival.touched.keys():
        if not (flow.spans(surface, wait.seq) and (flow.writes(surface) or rival.writes(surface))):
            continue
        for seq, _, time in rival.touched[surface]:
            if seq >= wait.seq and time <= last:
                yield surface, time
                break


def _flows(accesses: Sequence[Access], waits: Sequence[Begun]) -> dict[str, _Flow]:
    flows: dict[str, _Flow] = {}
    for access in accesses:
        if access.step >= 0:
            flow = flows.setdefault(access.lineage, _Flow())
            flow.moments.append((access.seq, access.time))
            flow.accesses.append(access)
            if access.sink in SINKS:
                touch = access.seq, access.op in CHANGES, access.time
                flow.touched.setdefault(f"{access.sink} {access.surface}", []).append(touch)
    for wait in waits:
        if wait.lineage in flows:
            flows[wait.lineage].waits.append(wait)
            flows[wait.lineage].moments.append((wait.seq, wait.time))
    for flow in flows.values():
        flow.moments.sort()
    return flows
