"""Shrinks a witness as data: fewer steps, plain payloads, the fewest deviations that still show the finding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from harness import hostile, schedules
from harness.plan import EMPTY, Plan, Step
from harness.trace import Trace

BUDGET = 48
"""Runs a shrink may take; each is one fork. As many again where the order matters: a tape has its own parts to try."""

Shows = Callable[[Sequence[Plan]], list[bool]]
"""Plays plans and says of each whether the finding is still there."""


def shrink(
    plan: Plan,
    shows: Shows,
    budget: int = BUDGET,
    likely: Sequence[Collection[int]] = (),
    late: Callable[[], bool] = lambda: False,
    width: int = 2,
    thorough: bool = True,
    trace: Trace | None = None,
) -> tuple[Plan, int]:
    """The smallest plan found that still shows the finding, and how many runs it took. `plan` itself must show it.

    `likely` are sets of its steps that may be all it takes (see `harness.origins`): they are tried first, in their
    order, so that a long plan is cut down in a few runs. Once `late()` is true nothing more is tried. `width` plans are
    tried at a time. Without `thorough` nothing but `likely` is tried. `trace`, where it is of a run of `plan`, tells
    which of its deviations mattered.
    """
    state = _State(plan, shows, budget, late, width)
    state.take(_without_tape(state.plan))
    if state.plan.tape:
        state.left, budget = state.left + budget, 2 * budget
        if trace is not None and trace.plan == plan.digest():
            state.take(schedules.explicit(plan, trace))
    state.first(only(state.plan, steps) for steps in likely)
    changed = thorough
    while changed and state.left > 0:
        changed = state.drop_steps()  # before the tape: a step takes its deviations along
        changed = state.cut_tape() or changed
        changed = state.first(_plainer(state.plan)) or changed
    return state.plan, budget - state.left


class _State:
    def __init__(self, plan: Plan, shows: Shows, budget: int, late: Callable[[], bool], width: int) -> None:
        self.late = late
        self.width = width
        self.plan = plan
        self.shows = shows
        self.left = budget

    def take(self, candidate: Plan) -> bool:
        """Adopt `candidate` if it still shows the finding."""
        return self.first(iter([candidate]))

    def first(self, candidates: Iterator[Plan]) -> bool:
        """Adopt the first candidate that still shows the finding."""
        batch: list[Plan] = []
        for candidate in candidates:
            if candidate != self.plan:
                batch.append(candidate)
            if len(batch) == self.width:
                if self._try(batch) is not None:
                    return True
                batch = []
        return bool(batch) and self._try(batch) is not None

    def _try(self, batch: list[Plan]) -> int | None:
        """Adopt the first of the batch that still shows the finding; which it was."""
        batch = [] if self.late() else batch[: self.left]
        if not batch:
            self.left = 0
            return None
        self.left -= len(batch)
        for number, (candidate, shown) in enumerate(zip(batch, self.shows(batch), strict=True)):
            if shown:
                self.plan = candidate
                return number
        return None

    def cut_tape(self) -> bool:
        """Remove chunks of the tape, large ones first, until no single entry can go; then make the rest simpler."""
        changed = False
        size = (len(self.plan.tape) + 1) // 2
        while size:
            start = 0
            while start < len(self.plan.tape) and self.left > 0:
                tape = self.plan.tape
                if self.take(msgspec.structs.replace(self.plan, tape=tape[:start] + tape[start + size :])):
                    changed = True
                else:
                    start += size
            size //= 2
        while self.left > 0 and self.first(schedules.plainer(self.plan)):
            changed = True
        return changed

    def drop_steps(self) -> bool:
        """Remove chunks of steps, large ones first, until no single step can go."""
        changed = False
        size = max(1, len(self.plan.steps) // 2)
        while self.left > 0:
            fewer = self._sweep(size)
            changed = changed or fewer
            if size == 1 and not fewer:
                break
            size = max(1, min(size // 2, len(self.plan.steps) // 2))
        return changed

    def _sweep(self, size: int) -> bool:
        """Try to do without each chunk of that size, once. What had to stay is not asked about again."""
        changed, start = False, 0
        while start < len(self.plan.steps) and self.left > 0:
            starts = list(range(start, len(self.plan.steps), size))[: self.width]
            chunks = [drop(self.plan, one, one + size) for one in starts]
            gone = self._try(chunks)
            start = starts[-1] + size if gone is None else starts[gone]
            changed = changed or gone is not None
        return changed


def drop(plan: Plan, start: int, stop: int) -> Plan:
    """`plan` without the steps [start, stop); the tape's lineages, which carry step numbers, move along."""
    return only(plan, [index for index in range(len(plan.steps)) if not start <= index < stop])


def only(plan: Plan, steps: Collection[int]) -> Plan:
    """`plan` with these of its steps, in their order; the tape's lineages move along."""
    kept = sorted(steps)
    moved = {old: new for new, old in enumerate(kept)}
    tape = []
    for deviation in plan.tape:
        who, dot, number = deviation.lineage.rpartition(".")
        if not dot or not number.isdigit():
            tape.append(deviation)
        elif int(number) in moved:
            tape.append(msgspec.structs.replace(deviation, lineage=f"{who}.{moved[int(number)]}"))
    return msgspec.structs.replace(plan, steps=tuple(plan.steps[index] for index in kept), tape=tuple(tape))


def _without_tape(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, tape=())


def _plainer(plan: Plan) -> Iterator[Plan]:
    """The same plan with less in it: nothing from before, ordinary twins or shorter ids, default seed, no gaps and
    joins, short texts."""
    yield msgspec.structs.replace(plan, before=EMPTY)
    for twins in hostile.plainer(plan.twins):
        yield msgspec.structs.replace(plan, twins=twins)
    yield msgspec.structs.replace(plan, seed=0, twins=msgspec.structs.replace(plan.twins, seed=0))
    yield msgspec.structs.replace(plan, steps=tuple(_bare(step) for step in plan.steps))
    for index, step in enumerate(plan.steps):
        steps = list(plan.steps)
        steps[index] = _bare(step)
        yield msgspec.structs.replace(plan, steps=tuple(steps))


def _bare(step: Step) -> Step:
    payload = {
        k: "{message}" if isinstance(v, str) and "{" in v and "{other." not in v else v for k, v in step.payload.items()
    }
    return msgspec.structs.replace(step, payload=payload, gap=0.0, join=False)
