"""interference: what A observes changes with what B does or holds, and no other rule says why.

It needs two runs of one plan: A beside B, and A alone or beside a B with other secrets (`harness.pairs`). They are held
against each other observation by observation; the first that has no like in the other run is where they part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.finding import Finding
from harness.observed import Observation, acts_for
from harness.rules._evidence import Evidence, has_mark
from harness.trace import Access, Site

RULE = "interference"

Variant = Literal["alone", "absent", "others"]
"""What the other run of a pair is: B does nothing, the bot has never heard of B, or B has other secrets."""

RESOLUTION = 1e-5
"""Virtual seconds within which two things happen at the same time."""

AROUND = 60
"""Characters shown on either side of the first difference."""

CARRIERS = 3
"""Places named as those by which B may have reached A."""

CHANGING = ("foreign-write", "foreign-delete", "unscoped-constraint")
"""Rules under which a flow of B's changed what is A's."""

STILL = ("default-fallback", "demanded-absence")
"""Rules under which nothing of B's comes to A."""

UNTIMED = ("key",)
"""Sinks of whose accesses the time says nothing. Whether one of memory is recorded hangs on what others did: a repeated
look is folded until somebody changes the container, and one made at need is watched from the next step on."""

_WORDS = {"alone": "when B does nothing", "absent": "when there is no B", "others": "when B's secrets are others"}


class Run(msgspec.Struct, frozen=True):
    """One run of a pair: its trace with what the target declares, and what A observed. `taken` is when the bot last
    deleted something of A's, by sink and surface."""

    evidence: Evidence
    observations: list[Observation]
    taken: dict[tuple[str, str], float] = {}


class Difference(msgspec.Struct, frozen=True):
    """Where two runs part: what A observed beside B, and what in the other run (None: nothing like it, and what was
    there may have been taken away until `taken`)."""

    beside: Observation | None
    other: Observation | None
    taken: float = 0.0

    @property
    def at(self) -> float:
        """The virtual time at which they part. What is held in the end had become the same until the later of the two
        last writes."""
        both = [one for one in (self.beside, self.other) if one is not None]
        if not both[0].held:
            return min(one.at for one in both)
        return max(one.at for one in both) if len(both) == 2 else max(both[0].at, self.taken)


Doings = dict[tuple[str, ...], list[Access]]
"""What A's flows did, by place (flow, sink, operation, surface and code), in order."""


class Move(msgspec.Struct, frozen=True):
    """Something that A's flow did in both runs, but not at the same time or not in its turn: when at the earliest, and
    as which access; in which flow, where it is one in both, and by how much it came sooner beside B (or later, below
    0)."""

    at: float
    beside: int
    other: int
    lineage: str = ""
    sooner: float = 0.0


def first_difference(beside: Run, other: Run) -> Difference | None:
    """The first thing that A observed in one run only, or, where it observed the same, the first that a flow of A's
    observed in another order. Between flows the order is a matter of time."""
    mine, theirs = _rest(beside.observations, other.observations), _rest(other.observations, beside.observations)
    if not mine and not theirs:
        return _order(beside.observations, other.observations)
    # Within one moment what is there beside B comes first: its access is the one that a reader can stop at.
    found = [
        *(Difference(one, _like(one, theirs), other.taken.get(one.place, 0.0)) for one in mine),
        *(Difference(_like(one, mine), one, beside.taken.get(one.place, 0.0)) for one in theirs),
    ]
    first = min(difference.at for difference in found)
    return next(difference for difference in found if difference.at <= first + RESOLUTION)


def _rest(ours: Sequence[Observation], against: Sequence[Observation]) -> list[Observation]:
    """What of `ours` has no like among `against`, in order."""
    known = Counter((one.place, one.text) for one in against)
    rest = []
    for one in ours:
        known[one.place, one.text] -= 1
        if known[one.place, one.text] < 0:
            rest.append(one)
    return rest


def _like(one: Observation, among: Sequence[Observation]) -> Observation | None:
    """What stands in the place of `one` in the other run: the same flow's at the same place and, where it is not held
    in the end, in the same moment; else anybody's there. What comes at another time stands in another place."""
    here = [
        other
        for other in among
        if (other.place, other.held) == (one.place, one.held) and (one.held or abs(other.at - one.at) <= RESOLUTION)
    ]
    return next((other for other in here if other.lineage == one.lineage), here[0] if here else None)


def _order(beside: Sequence[Observation], other: Sequence[Observation]) -> Difference | None:
    def flows(observations: Sequence[Observation]) -> dict[str, list[Observation]]:
        found: dict[str, list[Observation]] = defaultdict(list)
        for one in observations:
            if one.sink in ("prompt", "outbound"):
                found[one.lineage].append(one)
        return found

    mine, theirs = flows(beside), flows(other)
    found = []
    for lineage in mine.keys() & theirs.keys():
        said = [Counter((one.place, one.text) for one in side[lineage]) for side in (mine, theirs)]
        if said[0] == said[1]:
            pairs = zip(mine[lineage], theirs[lineage], strict=True)
            found += [Difference(a, b) for a, b in pairs if (a.place, a.text) != (b.place, b.text)][:1]
    return min(found, key=lambda one: one.at, default=None)


def moves(beside: Evidence, other: Evidence) -> list[Move]:
    """What A's flows did in both runs at different times, however that came: B kept a queue or a lock busy. What comes
    before the first step does not count: the runs are held against each other from there on (`harness.pairs`)."""
    mine, theirs = _times(beside), _times(other)
    found = []
    for place in mine.keys() & theirs.keys():
        if len(mine[place]) != len(theirs[place]):
            continue  # done more often in one run: that is no matter of time
        ours, others = _apart(mine[place], theirs[place]), _apart(theirs[place], mine[place])
        found += [
            Move(min(a.time, b.time), a.seq, b.seq, a.lineage if a.lineage == b.lineage else "", b.time - a.time)
            for a, b in zip(ours, others, strict=False)
        ]
    return found + _overtaken(mine, theirs)


def _overtaken(mine: Doings, theirs: Doings) -> list[Move]:
    """Where, within one moment, one of A's flows got its turn before another in one run and after it in the other."""
    ours, others = _numbered(mine), _numbered(theirs)
    moments: dict[int, list[tuple[Access, Access]]] = defaultdict(list)
    for name in ours.keys() & others.keys():
        moments[name[0]].append((ours[name], others[name]))
    found = []
    for both in moments.values():
        latest: dict[str, tuple[int, int]] = {}
        for here, there in sorted(both, key=lambda pair: pair[0].seq):
            mine_is = _flow(here)
            before = [late for flow, late in latest.items() if flow != mine_is and late[0] > there.seq]
            if before:
                found.append(Move(here.time, min(seq for _, seq in before), there.seq))
                break
            latest[mine_is] = max(latest.get(mine_is, (-1, -1)), (there.seq, here.seq))
    return found


def _flow(access: Access) -> str:
    """What takes turns as one: a step with its tasks. The bot's own tasks, and what serves both, are told apart by
    their code only."""
    return access.lineage if access.actor == "A" else f"{access.site.file}:{access.site.function}"


def _numbered(doings: Doings) -> dict[tuple[int, tuple[str, ...], int], Access]:
    """Accesses by moment, place, and which one it is there."""
    counts: Counter[tuple[int, tuple[str, ...]]] = Counter()
    found = {}
    for place, accesses in doings.items():
        for access in accesses:
            name = (round(access.time / RESOLUTION), place)
            found[*name, counts[name]] = access
            counts[name] += 1
    return found


def _times(evidence: Evidence) -> Doings:
    found: Doings = defaultdict(list)
    # In which order a bot serves whom it knows at its start hangs on how many there are.
    began = min((record.first_seq for record in evidence.trace.steps), default=0)
    for access in evidence.trace.accesses:
        if access.sink in UNTIMED or access.seq < began:
            continue
        if access.step != -2 and access.detail.get("observed") != "between" and acts_for(evidence, access) == "A":
            # A worker that both share descends from whoever came first.
            lineage = access.lineage if access.actor == "A" and access.direct else ""
            # Rows are numbered over all tenants.
            key = "" if access.sink == "row" else access.key
            place = (lineage, access.sink, access.op, access.surface, key, access.site.file, access.site.function)
            found[place].append(access)
    return found


def _apart(ours: Sequence[Access], against: Sequence[Access]) -> list[Access]:
    known = Counter(round(access.time / RESOLUTION) for access in against)
    rest = []
    for access in ours:
        tick = round(access.time / RESOLUTION)
        if known[tick] > 0:
            known[tick] -= 1
        else:
            rest.append(access)
    return rest


def moved_before(difference: Difference, found: Sequence[Move]) -> bool:
    """Whether the clock may be the reason: something of A's had moved in time when the runs parted. What came after the
    difference in the same moment is its consequence, not its cause."""
    beside, other = difference.beside, difference.other
    for move in found:
        if _left_out(difference, move):
            continue
        if move.at < difference.at - RESOLUTION:
            return True
        if move.at <= difference.at + RESOLUTION and (
            (beside is not None and move.beside < beside.seq) or (other is not None and move.other < other.seq)
        ):
            return True
    return False


def _left_out(difference: Difference, move: Move) -> bool:
    """Whether what moved follows, in its flow, on what only one run shows: where a flow leaves something out, what it
    does next comes sooner. The clock cannot be the reason for that: in the run that shows it, nothing had moved yet."""
    beside, other = difference.beside, difference.other
    shown = beside or other
    if shown is None or (beside is not None and other is not None):
        return False
    if shown.held or not move.lineage or shown.lineage != move.lineage:
        return False
    sooner = move.sooner if beside is None else -move.sooner
    return sooner > 0 and move.at + sooner >= shown.at - RESOLUTION


def explained(difference: Difference, beside: Run, other: Run, findings: Sequence[Finding]) -> bool:
    """Whether another rule shows why the runs part: a canary of B's stands in what A observes, or before it A's flow
    met what is B's, or B's flow changed what is A's."""
    for run, one in ((beside, difference.beside), (other, difference.other)):
        if one is None or one.sink == "outcome":
            continue  # what canary-flow says of an error is among the findings
        if any(token in one.text for token in run.evidence.trace.twins.b.secrets.values()):
            return True
        if one.seq >= 0 and has_mark(run.evidence.trace.accesses[one.seq], "B"):
            return True
    accesses = beside.evidence.trace.accesses
    for finding in findings:
        at = accesses[finding.seqs[-1]]
        if at.time > difference.at + RESOLUTION or finding.rule in STILL:
            continue
        if finding.source == "A" and finding.rule in CHANGING:
            return True
        if finding.observer == "A" or at.actor == "A":
            return True
    return False


def finding(difference: Difference, beside: Run, other: Run, variant: Variant) -> Finding:
    """The finding of a difference that nothing else explains. It is placed where what A observes came from: the access
    that shows it, in the run that has it."""
    shown = difference.beside or difference.other
    assert shown is not None
    run = beside if difference.beside is not None else other
    site, stack, entry, step = _origin(run.evidence, shown)
    seq = difference.beside.seq if difference.beside is not None else _before(beside.evidence, shown)
    return Finding(
        rule=RULE, sink=shown.sink if shown.sink != "outcome" else "outbound", entry=entry,
        dimension=beside.evidence.trace.twins.spec.dimension, source="B", observer="A", surface=shown.surface, key="",
        site=site, message=_message(difference, beside.evidence, variant), stack=stack, seqs=(max(seq, 0),), step=step,
        variant=variant,
    )  # fmt: skip


def _origin(evidence: Evidence, shown: Observation) -> tuple[Site, tuple[str, ...], str, int]:
    """Site, stack, entry and step of an observation: of its access, or where that is the harness's own (an answer
    handed back), of the last one of the bot's code in the same flow."""
    accesses = evidence.trace.accesses
    for access in reversed(accesses[: shown.seq + 1]):
        if access.lineage == shown.lineage and access.site.file:
            return access.site, evidence.stack(access), access.entry, access.step
    if shown.seq >= 0:
        access = accesses[shown.seq]
        return access.site, evidence.stack(access), access.entry, access.step
    return Site("", 0, ""), (), "start", -1


def _before(evidence: Evidence, missing: Observation) -> int:
    """The last access of A's before what is missing from this run."""
    found = -1
    for access in evidence.trace.accesses:
        if access.time <= missing.at + RESOLUTION and acts_for(evidence, access) == "A":
            found = access.seq
    return found


def _message(difference: Difference, evidence: Evidence, variant: Variant) -> str:
    one = difference.beside or difference.other
    assert one is not None
    mine, theirs = _side_by_side(difference)
    text = f"what A observes in {one.sink} {one.surface} depends on B: beside B {mine}, {_WORDS[variant]} {theirs}"
    carriers = _carriers(evidence, one)
    return f"{text}; both came by {', '.join(carriers)} before" if carriers else text


def _side_by_side(difference: Difference) -> tuple[str, str]:
    mine, theirs = difference.beside, difference.other
    if mine is None or theirs is None:
        shown = mine or theirs
        assert shown is not None
        said = f"{_cut(shown.text, 0)}"
        return (said, "nothing") if theirs is None else ("nothing", said)
    at = next((i for i, (a, b) in enumerate(zip(mine.text, theirs.text, strict=False)) if a != b),
              min(len(mine.text), len(theirs.text)))  # fmt: skip
    return _cut(mine.text, at), _cut(theirs.text, at)


def _cut(text: str, at: int) -> str:
    start, stop = max(0, at - AROUND // 2), at + AROUND
    body = text[start:stop].replace("\n", " / ")
    return f"«{'...' if start else ''}{body}{'...' if stop < len(text) else ''}»"


def _carriers(evidence: Evidence, shown: Observation) -> list[str]:
    """Cells and files that B's flow wrote and A's flow touched later, the last ones before the difference first."""
    written: set[tuple[str, str, str]] = set()
    met: dict[str, int] = {}
    for access in evidence.trace.accesses:
        if access.time > shown.at + RESOLUTION:
            break
        place = (access.sink, access.surface, access.key)
        whose = acts_for(evidence, access)
        if access.sink in ("key", "file") and whose == "B" and access.op in ("write", "delete", "rebind"):
            written.add(place)
        elif whose == "A" and place in written and access.lineage == shown.lineage:
            met[f"{access.sink} {access.surface}"] = access.seq
    return sorted(met, key=lambda name: -met[name])[:CARRIERS]
