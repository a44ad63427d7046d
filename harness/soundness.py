"""What a campaign must show of itself before it is believed: every probe sees what was planted for it, and one plan
played twice gives one trace."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from harness.diagnosis import diagnose, first_difference
from harness.errors import SoundnessError
from harness.plan import Plan
from harness.pool import Pool
from harness.trace import Fault, Trace

PLANTED = {
    "row": ("read", "write", "delete"), "key": ("read", "write"), "file": ("read", "write", "delete"),
    "log": ("write",), "config": ("read",), "prompt": ("write",), "outbound": ("write",),
}  # fmt: skip
"""What each probe must have seen of its planted access before a campaign is believed."""

OFFERED = {"event": ("read",)}
"""The same of sinks that not every bot has: a target that plants there must be seen to."""


def check(
    pool: Pool,
    tour: Sequence[Plan],
    probes: dict[str, bool],
    note: Callable[[Fault], None],
    planted_by_target: Collection[str] = (),
) -> tuple[Plan, Trace] | None:
    """Fill `probes`: of each sink, whether its planted access was seen. `note` is given what went wrong meanwhile;
    `planted_by_target` are the sinks the target plants in. Raises SoundnessError when a probe is blind or the first
    plan of the tour gives two different traces, with the source of that. Returns that plan and its trace."""
    planted = pool.run(Plan(), plant=True)
    if planted.trace is None:
        raise SoundnessError(f"the planted run did not end: {planted.status}: {planted.detail}")
    wanted = {**PLANTED, **{sink: ops for sink, ops in OFFERED.items() if sink in planted_by_target}}
    probes |= _seen(planted.trace, wanted)
    blind = sorted(sink for sink, seen in probes.items() if not seen)
    for fault in (*pool.ready.faults, *planted.trace.faults):
        note(fault)
    if blind:
        notes = "; ".join(f"{f.kind}: {f.message} {f.where}" for f in planted.trace.faults[:3])
        raise SoundnessError(f"blind probe(s): {', '.join(blind)} did not see a planted access. {notes}")
    plan = next((p for p in tour if p.steps), Plan())
    first, second = (pool.run(plan) for _ in range(2))
    if first.trace and second.trace and (parted := first_difference(first.trace, second.trace)):
        told = diagnose(pool, plan, parted).told()
        raise SoundnessError(f"plan {plan.digest()} gave two different traces: {told}")
    return (plan, first.trace) if first.trace else None


def _seen(trace: Trace, planted: Mapping[str, tuple[str, ...]]) -> dict[str, bool]:
    """Of each sink, whether every operation planted there was recorded under the planting step."""
    ops: dict[str, set[str]] = {}
    for access in trace.accesses:
        if access.step == -2:
            ops.setdefault(access.sink, set()).add(access.op)
    return {sink: set(wanted) <= ops.get(sink, set()) for sink, wanted in planted.items()}
