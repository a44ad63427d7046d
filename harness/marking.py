"""The control of an interference: what shows once the other's words carry its mark, and only then, is that leak."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.contrast import Ground
from harness.finding import Finding
from harness.plan import Step
from harness.rules.interference import RULE
from harness.witness import Witnessed

MARK = " {message}"
"""What is added to a text that anybody might say."""


def settle(ground: Ground) -> None:
    """Play the plan of each interference with marked words. Where what is found then, and not with the words as they
    were, shows at the place where A observed the difference, that finding stays, and the interference is one more plan
    of it."""
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
        # What unmarked words show as well is another leak, that happens to come out at the same place.
        without = {finding.fingerprint for finding in ground.judge(plain)}
        finding = _there(witnessed.finding, [f for f in ground.judge(marked) if f.fingerprint not in without])
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


def _there(told: Finding, found: Sequence[Finding]) -> Finding | None:
    """The finding that shows where the other one was told."""
    own = told.places[0]
    where = own.sink, own.surface, own.site
    for finding in found:
        if any((place.sink, place.surface, place.site) == where for place in finding.places):
            return finding
    return None
