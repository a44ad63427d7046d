"""What a campaign reached: accesses counted by place, code, entry and twin, small enough to keep for a whole run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from harness.principal import SHARED, TWINS
from harness.record import MatrixCell
from harness.trace import FAILED, Access, Trace
from harness.unserved import Unserved


class Reach(msgspec.Struct, frozen=True):
    """One kind of access: where, from which code, on which entry, by or about which twin, and how it went.

    `held` is true for an access that shows the feature working for its owner: an own row, cell or file read back
    or landed, an own canary in the own prompt, config or reply. `failing` is true once a failure step has struck in
    that run: what goes wrong there says nothing of the feature, and what goes right is no control. `crossed` is true
    for one that shows the twin the other's canary in what speaks for itself.
    """

    sink: str
    surface: str
    stack: tuple[str, ...]
    entry: str
    twin: str
    dimension: str
    op: str
    ambient: bool
    held: bool
    failing: bool = False
    crossed: bool = False


class Coverage:
    """Counts of `Reach`, summed over traces."""

    def __init__(self) -> None:
        self.counts: dict[Reach, int] = {}
        self.steps: dict[tuple[str, str, str], int] = {}
        self.wrong: dict[str, int] = {}
        self.dimensions: set[str] = set()
        self.calls: dict[tuple[str, str], dict[str, int]] = {}
        self.unserved = Unserved()

    def add(self, trace: Trace) -> None:
        """Count one trace."""
        dimension = trace.twins.spec.dimension
        self.dimensions.add(dimension)
        counts = self.counts
        for access in trace.accesses:
            if access.step == -2 or access.detail.get("injected"):
                continue
            failing = bool(access.detail.get("failing"))
            stack = trace.stacks[access.stack] if 0 <= access.stack < len(trace.stacks) else ()
            reach = Reach(
                access.sink, access.surface, stack, access.entry, _twin(access), dimension, access.op,
                access.ambient in (*TWINS, SHARED), _held(access) and not failing, failing,
                _crossed(access) and not failing,
            )  # fmt: skip
            counts[reach] = counts.get(reach, 0) + 1 + int(access.detail.get("repeats", 0))
        self.unserved.add(trace)
        for record in trace.steps:
            step = (record.entry, record.action, record.outcome)
            self.steps[step] = self.steps.get(step, 0) + 1
            if record.call and record.outcome != "unmet":
                how = "bare" if record.wrong else "crossed" if record.crossed else "own"
                told = self.calls.setdefault((record.entry, record.action), {})
                name = how if record.outcome == "ok" else f"{how}_failed"
                told[name] = told.get(name, 0) + 1
            if record.wrong:
                self.wrong[record.entry] = self.wrong.get(record.entry, 0) + 1

    def matrix(self, findings: Iterable[tuple[str, str, Iterable[str]]] = ()) -> tuple[MatrixCell, ...]:
        """Accesses by sink, entry and dimension; `findings` are sink, entry, and the dimensions that showed it."""
        accesses: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for reach, count in self.counts.items():
            accesses[reach.sink, reach.entry][reach.dimension] += count
        hits: Counter[tuple[str, str]] = Counter()
        shown: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for sink, entry, dimensions in findings:
            hits[sink, entry] += 1
            shown[sink, entry].update(dimensions)
        return tuple(
            MatrixCell(
                sink=sink, entry=entry, accesses=accesses[sink, entry].total(), findings=hits[sink, entry],
                accesses_by=dict(sorted(accesses[sink, entry].items())),
                findings_by=dict(sorted(shown[sink, entry].items())),
            )
            for sink, entry in sorted(accesses.keys() | hits.keys())
        )  # fmt: skip

    def surfaces(self) -> set[tuple[str, str]]:
        """Every (sink, surface) met."""
        return {(reach.sink, reach.surface) for reach in self.counts}


def _twin(access: Access) -> str:
    """Whom the access speaks for: the actor, else the context, else the owner of what was touched."""
    for label in (access.actor, access.ambient, access.owner, access.new_owner):
        if label in TWINS:
            return str(label)
    return ""


def _held(access: Access) -> bool:
    twin = _twin(access)
    if access.op in FAILED or not twin:
        return False
    if access.sink in ("row", "key", "file"):
        owner = access.new_owner if access.op in ("write", "rebind") else access.owner
        return owner == twin
    return any(mark.label == twin for mark in access.marks)


def _crossed(access: Access) -> bool:
    twin = _twin(access)
    if access.sink in ("row", "key", "file") or access.op in FAILED or access.ambient not in ("-", twin):
        return False
    return any(mark.label in TWINS and mark.label != twin for mark in access.marks)
