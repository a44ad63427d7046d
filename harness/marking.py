"""The control of an interference: what shows once the other's words carry its mark, and only then, is that leak."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.contrast import Ground
from harness.finding import Finding
from harness.plan import Step
from harness.rules._evidence import has_mark
from harness.rules.interference import RULE
from harness.trace import Trace
from harness.witness import Witnessed

MARK = " {message}"
"""What is added to a text that anybody might say."""


def settle(ground: Ground) -> None:
    """Play the plan of each interference with marked words. Where what A observed carries the mark then, and did not
    with the words as they were, the finding that shows it stays, and the interference is one more plan of it."""
    words = {
        (action.entry, action.name): [name for name, kind in action.payload.items() if kind == "text"]
        for action in ground.target.actions()
    }
    for fingerprint, witnessed in [(f, w) for f, w in ground.found.items() if w.finding.rule == RULE]:
        plan = witnessed.plan
        steps = tuple(_marked(step, words.get((step.entry, step.action), ())) for step in plan.steps)
        if steps == plan.steps:
            continue
        plan = msgspec.structs.replace(plan, steps=steps)
        marked, plain = ground.pool.run(plan).trace, ground.pool.run(witnessed.plan).trace
        if marked is None or plain is None:
            continue
        # Where the mark of another word was before, that is another leak, which comes out at the same place.
        told = witnessed.finding
        carried = _carries(told, marked) and not _carries(told, plain)
        finding = _there(told, ground.judge(marked)) if carried else None
        if finding is None:
            continue
        del ground.found[fingerprint]
        known = ground.found.get(finding.fingerprint)
        if known is not None:
            known.met(finding, plan, marked)
        else:
            ground.found[finding.fingerprint] = Witnessed(
                finding, plan, {finding.entry}, {finding.dimension}, trace=marked,
                besides={(rule, plan.twins.dimension): plan for rule in finding.rules},
            )  # fmt: skip


def _marked(step: Step, names: Sequence[str]) -> Step:
    said = {
        name: step.payload[name] + MARK
        for name in names
        if isinstance(step.payload.get(name), str) and "{" not in step.payload[name]
    }
    return msgspec.structs.replace(step, payload={**step.payload, **said}) if said else step


def _carries(told: Finding, trace: Trace) -> bool:
    """Whether what A observed in that step, at that place, carries a mark of the other's."""
    own = told.places[0]
    return any(
        (access.sink, access.surface, access.step) == (own.sink, own.surface, told.step)
        and has_mark(access, told.source)
        for access in trace.accesses
    )


def _there(told: Finding, found: Sequence[Finding]) -> Finding | None:
    """The finding that shows where the other one was told."""
    own = told.places[0]
    where = own.sink, own.surface, own.site
    for finding in found:
        if any((place.sink, place.surface, place.site) == where for place in finding.places):
            return finding
    return None
