"""A witness told as a two-lane timeline: steps, what they touched, where the flow switched, the violating access."""

from __future__ import annotations

from harness.finding import Finding
from harness.principal import TWINS
from harness.record import TimelineEvent
from harness.trace import Access, Trace

LONGEST = 40
"""Events kept; the ones nearest to the violation win."""
STEPS = 8
"""First steps that are kept all the same."""


def timeline(trace: Trace, finding: Finding) -> tuple[TimelineEvent, ...]:
    """Events up to the violating access, in the order in which they happened."""
    last = finding.seqs[-1]
    events: list[tuple[int, int, TimelineEvent]] = []
    for record in trace.steps:
        if record.first_seq <= last:
            text = f"step {record.index}: {record.entry} {record.action}"
            events.append(
                (record.first_seq, 0, TimelineEvent(lane=record.who or "-", kind="step", at=record.started, text=text))
            )
    former: str | None = None
    for access in trace.accesses[: last + 1]:
        if not _matters(access, finding):
            continue
        lane = access.actor or (access.ambient if access.ambient in TWINS else "-")
        if former is not None and lane != former:
            text = f"the loop goes on with {lane if lane != '-' else 'the bot itself'}"
            events.append((access.seq, 1, TimelineEvent(lane=lane, kind="switch", at=access.time, text=text)))
        former = lane
        kind = "violation" if access.seq == last else "access"
        text = finding.message if kind == "violation" else _said(access)
        events.append((access.seq, 2, TimelineEvent(lane=lane, kind=kind, at=access.time, text=text, site=access.site)))
    # By sequence, never by time: an access may carry an earlier time than what came before it.
    ordered = [event for _, _, event in sorted(events, key=lambda e: (e[0], e[1]))]
    if len(ordered) <= LONGEST:
        return tuple(ordered)
    steps = [place for place, event in enumerate(ordered) if event.kind == "step"][:STEPS]
    rest = [place for place in range(len(ordered)) if place not in steps]
    return tuple(ordered[place] for place in sorted([*steps, *rest[len(steps) - LONGEST :]]))


def _matters(access: Access, finding: Finding) -> bool:
    return (
        access.seq in finding.seqs
        or access.surface == finding.surface
        or any(mark.label == finding.source for mark in access.marks)
    )


def _said(access: Access) -> str:
    whose = f" of {access.owner}" if access.owner else ""
    marks = sorted({f"{m.label}'s {m.slot}" for m in access.marks})
    carrying = f", carrying {', '.join(marks[:3])}" if marks else ""
    context = "no context" if access.ambient == "-" else f"context {access.ambient}"
    return f"{access.op} {access.sink} {access.surface}{whose} ({context}{carrying})"
