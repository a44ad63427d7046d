"""Which steps of a run led to a finding, as its trace tells: what a witness is first cut down to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.finding import Finding
from harness.plan import Plan, Step
from harness.trace import Access, Trace

Steps = frozenset[int]

WORLD = "world"
"""The entry of what happens around the bot: time passes, a tenant is configured, something fails."""


def origins(plan: Plan, trace: Trace | None, finding: Finding) -> list[Steps]:
    """Sets of the plan's steps that may be all the finding needs, the smallest and likeliest first.

    What the trace proves comes first: the violating step, the steps of the other accesses that prove the finding, those
    that first and last wrote what was met and the secret it held. Then what it can only suggest, for a call does not
    say where its arguments were found: what the owner did by the same way and before, and all that the owner did.
    `trace` is of this very plan; without one (None) there is nothing to go by. Around each set stand the world's steps
    once, since some things only happen when time passes.
    """
    found: list[Steps] = []
    for steps in _likely(plan, trace, finding) if trace is not None else ():
        last = max(steps, default=-1)
        waiting = frozenset(n for n, step in enumerate(plan.steps) if step.entry == WORLD and (n < last or last < 0))
        for one in (steps, steps | waiting, steps | _world(plan)):
            if one not in found and len(one) < len(plan.steps):
                found.append(one)
    return found


def _likely(plan: Plan, trace: Trace, finding: Finding) -> Iterator[Steps]:
    known = range(len(plan.steps))
    last = trace.accesses[finding.seqs[-1]]
    violating = frozenset((last.step,)) & frozenset(known)
    yield violating
    proven = violating | {trace.accesses[seq].step for seq in finding.seqs}
    made = proven | _writers(trace.accesses[: last.seq], last)
    proven, made = (frozenset(n for n in steps if n in known) for steps in (proven, made))
    yield proven
    yield made
    if last.step not in known:
        return
    here = plan.steps[last.step]
    before = range(last.step)
    others = [n for n in before if plan.steps[n].who not in (None, here.who)]
    calls = {record.index for record in trace.steps if record.call}
    same = [n for n in others if _way(plan.steps[n]) == _way(here)]
    near = [n for n in others if _module(plan.steps[n]) == _module(here)]
    yield made | set(same[-1:])
    yield made | set(near)
    messages = [n for n in others if n not in calls]
    for count in (1, 4):
        yield made | set(messages[-count:])
    yield made | set(messages)
    yield made | set(others)
    yield made | {n for n in before if n not in calls}


def _writers(accesses: Sequence[Access], last: Access) -> set[int]:
    """Steps that first and last wrote what was met, and that first wrote each secret it held."""
    cell = [a.step for a in accesses if a.op in ("write", "rebind") and _cell(a) == _cell(last)]
    found = {*cell[:1], *cell[-1:]}
    for mark in last.marks:
        if mark.label != last.actor:
            found.update([a.step for a in accesses if a.op == "write" and mark in a.marks][:1])
    return found


def _cell(access: Access) -> tuple[str, str, str]:
    return access.sink, access.surface.partition("[")[0], access.key.partition("/")[0]


def _way(step: Step) -> tuple[str, str]:
    return step.entry, step.action


def _module(step: Step) -> tuple[str, str]:
    return step.entry, step.action.partition(".")[0]


def _world(plan: Plan) -> Steps:
    return frozenset(n for n, step in enumerate(plan.steps) if step.entry == WORLD)
