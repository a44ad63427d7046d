"""What was tried again and again and never once came to a good end: nothing behind it was exercised."""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from harness.principal import PUBLIC, Principal, Twins
from harness.record import UnservedRecord
from harness.trace import Trace

LONGEST = 200
"""Characters of an error that are kept."""

KEPT = 40
"""Different errors of one action that are counted."""

_DRAWN = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\b\d{5,}\b")
"""Digests, row numbers and the like, which differ from plan to plan."""


class _Tries(msgspec.Struct):
    """How often an action was tried and how that ended; `served` once it came to a good end, after which nothing more
    is counted."""

    call: bool = False
    served: bool = False
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    errors: Counter[str] = msgspec.field(default_factory=Counter)


class Unserved:
    """Actions and calls of all traces, by entry and name. What is meant to be turned away is no try: a wrong identity,
    the other's things, a payload that names the other. Neither is what the harness itself does to the world."""

    def __init__(self) -> None:
        self._tries: dict[tuple[str, str], _Tries] = {}

    def add(self, trace: Trace) -> None:
        """Count the steps of one trace."""
        said: dict[int, str] | None = None
        for step in trace.steps:
            if step.entry == "world":
                continue
            tries = self._tries.setdefault((step.entry, step.action), _Tries(step.call))
            if tries.served:
                continue
            if step.outcome == "ok":
                tries.served = True
                tries.outcomes.clear()
                tries.errors.clear()
            elif not (step.wrong or step.crossed or step.forged):
                if said is None:
                    said = _answers(trace)
                tries.outcomes[step.outcome] += 1
                text = _plain(step.detail or said.get(step.index, ""), trace.twins)
                if text and (text in tries.errors or len(tries.errors) < KEPT):
                    tries.errors[text] += 1

    def records(self) -> tuple[UnservedRecord, ...]:
        """What never came to a good end, what was tried most often first; the error of each is its most frequent."""
        made = [
            UnservedRecord(
                entry=entry, name=name, call=tries.call, tries=tries.outcomes.total(),
                outcomes=dict(sorted(tries.outcomes.items())),
                error=min(tries.errors.items(), key=lambda one: (-one[1], one[0]), default=("",))[0],
            )
            for (entry, name), tries in self._tries.items()
            if not tries.served and tries.outcomes
        ]  # fmt: skip
        return tuple(sorted(made, key=lambda one: (one.call, -one.tries, one.entry, one.name)))


def _answers(trace: Trace) -> dict[int, str]:
    """What steps were answered, by their number: a refusal is told by its text, no exception says it."""
    return {
        access.step: str(access.detail.get("text", ""))
        for access in trace.accesses
        if access.sink == "outbound" and access.detail.get("returned")
    }


def _plain(text: str, twins: Twins) -> str:
    """The first line of an error without what is the twins' own or drawn anew in each plan: alike errors are one."""
    for who in (twins.a, twins.b, *(() if twins.third is None else (twins.third,))):
        for name, value in _own(who):
            text = text.replace(value, "{" + name + "}")
    first = next((line for line in text.splitlines() if line.strip()), "")
    return _DRAWN.sub("{number}", " ".join(first.split()))[:LONGEST]


def _own(who: Principal) -> list[tuple[str, str]]:
    """What a principal is called and carries, by name, the longest first: one may stand in another."""
    named = [(name, str(getattr(who, name))) for name in PUBLIC] + [
        (slot, token) for slot, token in who.secrets.items()
    ]
    return sorted(((name, value) for name, value in named if len(value) > 3), key=lambda one: (-len(one[1]), one))
