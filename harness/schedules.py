"""Schedules: how a plan's loop departs from first-in-first-out, drawn where the plan has a choice.

A run in FIFO order tells where waits for the outside begin (`Trace.choices`). From that a *walk* lets any of them
arrive later by chance, and a *priority* schedule follows Burckhardt et al., "A randomized scheduler with probabilistic
guarantees of finding bugs" (ASPLOS 2010): lineages have random priorities, an arrival waits while a lineage of a
higher one can run, and at d-1 random waits the lineage that waits there falls behind all others. Both are plain
deviations; `explicit` spells out the ones that mattered in a run, and `plainer` makes them simpler.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from harness.plan import Deviation, Plan
from harness.rivals import Passing
from harness.tape import answered
from harness.trace import Trace

Kind = Literal["hold", "delay"]
KINDS: tuple[Kind, ...] = ("hold", "delay")

HOLDS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 1000.0)
"""Callbacks of others that a walk lets go first; the last stands for all that are ready."""

DELAYS = (0.01, 0.1, 0.7, 3.0, 12.0)
"""Seconds by which a walk lets a wait end later: beside what happens at once, beside a model's answer, beyond the
usual time-outs."""

AT_ONCE = 1000.0
"""Seconds by which an answer comes early that comes at once."""

PROMPT = 0.5
"""Part of the random schedules in which answers from outside may come at once; under priorities, in as much of the rest
one of them comes beyond the usual time-outs."""

RATES = (0.05, 0.15, 0.35)
"""Share of a plan's waits that a walk lets arrive later; one of them for a whole plan."""

LONGEST = 60
"""Deviations of one walk at most."""

DEPTHS = (1, 2, 2, 3, 3)
"""How many order constraints a priority schedule aims at, by weight."""

AIMED = (0.0, 0.1, 0.3)
"""Share of the pieces of code of which a directed schedule lets a wait end late, beside the one whose turn it is."""

CLOSE = 0.7
"""Part of the directed schedules whose turn is one of the pieces of code that matter most, where such are told."""

TOGETHER = 0.3
"""Part of them that only fall behind what is ready at the same time; the others end after the rival has passed."""

WHOLE = 0.35
"""Part of the others for which a rival that was already under way begins only after the wait has begun, so that it
passes as a whole."""

OVERDUE = 0.25
"""Part of the others that end beyond the usual time-outs instead: what was given up then comes after all."""

RANK = 1000.0
"""Callbacks by which the arrivals of one priority outwait those of the next higher one. Finite, so that a lineage which
spins until a lower one has moved comes to an end."""

NEVER = ("runner", "boot", "idle", "")
"""Lineages of the harness itself, and the boot that is over before the first step."""


class Point(msgspec.Struct, frozen=True):
    """A place where a run can go more than one way: `count` waits for the outside that `lineage` begins at `site`."""

    lineage: str
    site: str
    count: int


class Bound(msgspec.Struct, frozen=True):
    """What a priority schedule promises (Burckhardt et al., theorem 9): `lineages` (n) that make `waits` (k) meet a
    fault of depth `depth` (d) with at least `chance` in one run, if it is one of order between what is ready together.
    """

    lineages: int
    waits: int
    depth: int

    @property
    def chance(self) -> float:
        """1 / (n * k^(d-1))."""
        return float(1 / (max(1, self.lineages) * max(1, self.waits) ** (self.depth - 1)))


def points(choices: Mapping[str, int]) -> list[Point]:
    """The places of choice in a trace's `choices`, in an order that does not depend on the run's."""
    found = []
    for name, count in sorted(choices.items()):
        lineage, _, site = name.partition(" ")
        if lineage not in NEVER and not lineage.endswith(".plant"):
            found.append(Point(lineage, site, count))
    return found


def of_steps(found: Sequence[Point]) -> list[Point]:
    """Those of what steps do, where there are any; the bot's own background tasks may wait thousands of times."""
    return [point for point in found if "/" not in point.lineage and "." in point.lineage] or list(found)


def bound(choices: Mapping[str, int], depth: int, places: Sequence[tuple[str, int]] = ()) -> Bound:
    """What a priority schedule of this depth promises on a plan with these choices; with `places`, of faults whose
    points of change lie among those."""
    found = points(choices)
    waits = len(places) or sum(point.count for point in of_steps(found))
    return Bound(len({point.lineage for point in found}), waits, depth)


def walk(
    plan: Plan,
    choices: Mapping[str, int],
    rng: random.Random,
    kinds: Sequence[Kind] = KINDS,
    answers: Sequence[str] = (),
) -> Plan:
    """`plan` with each of its waits let arrive later with equal chance, by one of `kinds`, and one of them at least.
    Where sites wait for one of the `answers` from outside, in every second plan each of those comes at once with even
    chance instead."""
    rate = rng.choice(RATES)
    prompt = bool(answers) and rng.random() < PROMPT
    found = points(choices)
    steps = set(of_steps(found))
    tape = _at_once(found, answers, rng) if prompt else []
    moved: list[tuple[Point, int]] = []
    still: list[tuple[Point, int]] = []
    for point in found:
        if prompt and answered(point.site, answers):
            continue
        # What a background task does over and over is one place, not a thousand.
        for occurrence in range(point.count) if point in steps else sorted({0, rng.randrange(point.count)}):
            (moved if rng.random() < rate else still).append((point, occurrence))
    if not tape and not moved and still:  # the run without any was seen before
        moved = [rng.choice(still)]
    for point, occurrence in moved:
        kind = rng.choice(kinds)
        amount = rng.choice(HOLDS if kind == "hold" else DELAYS)
        tape.append(Deviation(kind=kind, lineage=point.lineage, site=point.site, occurrence=occurrence, amount=amount))
    if len(tape) > LONGEST:
        tape = [tape[index] for index in sorted(rng.sample(range(len(tape)), LONGEST))]
    return msgspec.structs.replace(plan, tape=tuple(tape))


def _at_once(found: Sequence[Point], answers: Sequence[str], rng: random.Random) -> list[Deviation]:
    """Each wait for one of the `answers` let end at once, with even chance."""
    return [
        Deviation(kind="early", lineage=point.lineage, site=point.site, occurrence=occurrence, amount=AT_ONCE)
        for point in found
        if answered(point.site, answers)
        for occurrence in range(min(point.count, LONGEST))
        if rng.random() < 0.5
    ]


def _overdue(found: Sequence[Point], answers: Sequence[str], rng: random.Random) -> list[Deviation]:
    """One wait for one of the `answers`, in every second plan, let end beyond the usual time-outs."""
    waits = [(point, at) for point in found if answered(point.site, answers) for at in range(point.count)]
    if not waits or rng.random() < PROMPT:
        return []
    point, at = rng.choice(waits)
    amount = rng.choice(DELAYS[3:])
    return [Deviation(kind="delay", lineage=point.lineage, site=point.site, occurrence=at, amount=amount)]


def prioritised(
    plan: Plan,
    choices: Mapping[str, int],
    depth: int,
    rng: random.Random,
    places: Sequence[tuple[str, int]] = (),
    answers: Sequence[str] = (),
) -> Plan:
    """`plan` under random priorities of its lineages with `depth` - 1 points of change, drawn from all waits of steps
    or from `places` (lineage, number of its wait). In every second plan what falls behind at such a point also arrives
    later by some time, so that others get past their own timers. `answers` are as for `walk`, or one of them comes
    too late: when they come is nothing that priorities speak of."""
    found = points(choices)
    lineages = list(dict.fromkeys(point.lineage for point in found))
    rng.shuffle(lineages)
    totals = {name: sum(point.count for point in found if point.lineage == name) for name in lineages}
    waits = [point.lineage for point in of_steps(found) for _ in range(point.count)]
    known = [place for place in places if place[1] < totals.get(place[0], 0)]
    changes: dict[str, list[int]] = {}
    late = rng.random() < 0.5
    tape = _at_once(found, answers, rng) if answers and rng.random() < PROMPT else _overdue(found, answers, rng)
    for _ in range(min(depth - 1, len(waits))):
        if known:
            name, at = rng.choice(known)
        else:
            name = rng.choice(waits)
            at = rng.randrange(totals[name])
        changes.setdefault(name, []).append(at)
        if late:
            tape.append(Deviation(kind="delay", lineage=name, occurrence=at, amount=rng.choice(DELAYS)))
    lowest = len(lineages)
    for rank, name in enumerate(lineages):
        behind = rank
        starts = [0, *sorted(set(changes.get(name, ())))]
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            if behind and start != end:
                amount, times = RANK * behind, 0 if end is None else end - start
                tape.append(Deviation(kind="hold", lineage=name, occurrence=start, amount=amount, times=times))
            behind, lowest = lowest, lowest + 1
    return msgspec.structs.replace(plan, tape=tuple(tape))


def directed(
    plan: Plan,
    found: Sequence[Passing],
    rng: random.Random,
    tried: Counter[str],
    close: Collection[str] = frozenset(),
) -> Plan:
    """`plan` with some waits that end only when a rival has passed, at most one for each piece of code: for the one
    that `tried` counts least often, in most plans of those in `close` if there are any, and by chance for others.
    `tried` is counted up."""
    places: dict[str, list[Passing]] = {}
    for passing in found:
        places.setdefault(passing.code, []).append(passing)
    tape: list[Deviation] = []
    first = frozenset(close) if rng.random() < CLOSE else frozenset()
    order = sorted(places, key=lambda code: (code not in first, tried[code], rng.random()))
    rate = rng.choice(AIMED)
    for code in [code for turn, code in enumerate(order) if not turn or rng.random() < rate][:LONGEST]:
        tried[code] += 1
        passing = rng.choice(places[code])
        late = Deviation(
            kind="hold", lineage=passing.lineage, site=passing.site, occurrence=passing.occurrence, amount=RANK
        )
        if rng.random() >= TOGETHER:
            amount = max(0.0, rng.choice(passing.past) - passing.begun) + DELAYS[0]
            if passing.rival and rng.random() < WHOLE:
                behind = round(max(0.0, passing.begun - passing.entered) + DELAYS[0], 3)
                amount += behind
                tape.append(Deviation(kind="delay", lineage=passing.rival, amount=behind))
            if rng.random() < OVERDUE:
                amount = max(amount, rng.choice(DELAYS[3:]))
            late = msgspec.structs.replace(late, kind="delay", amount=round(amount, 3))
        tape.append(late)
    return msgspec.structs.replace(plan, tape=tuple(tape))


def explicit(plan: Plan, trace: Trace) -> Plan:
    """`plan` with one deviation for each wait that its tape changed in the run of `trace`, by lineage, site and number
    there; what took no effect is left out."""
    tape = tuple(
        msgspec.structs.replace(plan.tape[entry], site=site, occurrence=number, times=1)
        for entry, site, number in trace.met
    )
    return msgspec.structs.replace(plan, tape=tape)


def plainer(plan: Plan) -> Iterator[Plan]:
    """Plans with one deviation simpler: for one wait instead of many, a delay in the place of a hold (any bot may be
    answered late; few are answered in so fine an order), an ordinary amount."""
    tape = plan.tape
    for index, deviation in enumerate(tape):
        for plain in _plainer(deviation):
            yield msgspec.structs.replace(plan, tape=(*tape[:index], plain, *tape[index + 1 :]))


def _plainer(deviation: Deviation) -> Iterator[Deviation]:
    if deviation.times != 1:
        yield msgspec.structs.replace(deviation, times=1)
    if deviation.kind == "hold":
        yield msgspec.structs.replace(deviation, kind="delay", amount=DELAYS[1], times=1)
        if deviation.amount > 1:
            yield msgspec.structs.replace(deviation, amount=1.0)
    elif deviation.amount > DELAYS[1]:
        yield msgspec.structs.replace(deviation, amount=DELAYS[1])
