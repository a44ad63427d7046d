"""Exploration: short plans in which both twins' flows overlap, each played in FIFO order first and then under schedules
drawn at the points where it could have gone otherwise (`harness.schedules`)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from harness import schedules
from harness.choices import one_by_one
from harness.plan import EMPTY, Plan, Step
from harness.pool import Outcome, Pool
from harness.rivals import CHANGES, Passing, beside, passings, places
from harness.schedules import DEPTHS, KINDS, Bound, Kind
from harness.strategies import DIMENSIONS
from harness.swarms import GAPS, QUIET, drawn, is_sent, step_of, weighted
from harness.target import Action
from harness.trace import Access, Trace

How = Literal["fifo", "uniform", "pct", "directed", "mixed"]
"""Which schedules the variants of a plan get: none, walks, priorities, those aimed at rivals, or some of each kind."""

MIXED: tuple[How, ...] = ("directed", "uniform", "directed", "pct", "uniform")
"""Kinds of schedules in turns."""

ROUND = 8
"""Plans played in FIFO order before their variants."""

VARIANTS = 4
"""Schedules for each plan where only exploring counts; a campaign that also wants other steps takes fewer."""

CUTS = 0.2
"""Part of a plan's variants in which a step is cancelled at one of the waits that it was seen to have."""

FIRST = 0.7
"""Part of both that strikes the first step whom the other follows: who comes later has mostly come before, and had what
it needs then."""

DISTURBED = 0.25
"""Part of the others in which something happens around the bot between two steps."""

SHARE = 0.6
"""Part of a campaign's generated plans that explores."""

IN_CAMPAIGNS = 2
"""Schedules for each explored plan of a campaign, which wants other steps as well."""

EVENLY = 3
"""One plan in so many, where nothing is aimed at, takes what it sends from all that may be sent, choice by choice and
in turn: by weight, one choice of an action that has many would hardly ever come from both twins at once."""

TOGETHER = 2
"""Choices that such a plan takes."""

FAVOURED = 12
"""Actions that are kept because they touch what is aimed at, and as many of those that change it."""

PAYLOADS = 3
"""Payloads that are kept of each: of what may be said much is said in many ways, and would be all there is."""

CHANGING = 0.5
"""Part of the plans that take what they send from those that change what is aimed at, as far as any do: most of what
touches it only looks at it in passing."""

NARROWED = 0.5
"""Part of the random schedules that change only what comes of waits in whose midst a rival may pass, as far as any are
known: of all waits few matter (Zhao et al., "Selectively uniform concurrency testing", ASPLOS 2025)."""


class Tally(msgspec.Struct):
    """What was explored: plans by schedule, and the bounds of the priority schedules."""

    plans: Counter[str] = msgspec.field(default_factory=Counter)
    bounds: list[Bound] = msgspec.field(default_factory=list)

    def told(self) -> str:
        """In a sentence: how many of which, and the median n, k and chance for each depth d; empty when nothing was."""
        if not self.plans:
            return ""
        parts = [f"{count} {name}" for name, count in sorted(self.plans.items())]
        for depth in sorted({bound.depth for bound in self.bounds}):
            those = sorted((b for b in self.bounds if b.depth == depth), key=lambda b: b.chance)
            middle = those[len(those) // 2]
            parts.append(
                f"pct depth d={depth}: median n={middle.lineages} lineages, k={middle.waits} waits, "
                f"chance in one plan >= {middle.chance:.2g}"
            )
        return "; ".join(parts)


class Explorer:
    """Draws plans over `actions` and plays them with their variants. The same seed draws the same plans; a variant
    depends on the plan, on where its FIFO run had a choice, and on what was tried before. `overlays` are applied in
    each; `lay` has the last word on how a plan is played; `answers` are as in `Facts`."""

    def __init__(
        self,
        actions: Sequence[Action],
        seed: int,
        *,
        how: How = "mixed",
        dimensions: Sequence[str] = DIMENSIONS,
        states: Sequence[str] = (EMPTY,),
        overlays: Sequence[str] = (),
        variants: int = VARIANTS,
        lay: Callable[[Plan], Plan] = lambda plan: plan,
        answers: Sequence[str] = (),
    ) -> None:
        self.actions = [action for action in actions if action.weight or action.call]
        self.seed = seed
        self.how = how
        self.dimensions = tuple(dimensions)
        self.states = tuple(states)
        self.overlays = tuple(overlays)
        self.variants = 0 if how == "fifo" else variants
        self.lay = lay
        self.answers = tuple(answers)
        self.tally = Tally()
        self.favoured: dict[tuple[str, str], list[Action]] = {}
        self.changing: dict[tuple[str, str], list[Action]] = {}
        self.choices = one_by_one([action for action in self.actions if is_sent(action)])
        random.Random(f"{seed} choices").shuffle(self.choices)
        self.drawn = 0
        self.tried: Counter[str] = Counter()

    def play(
        self,
        pool: Pool,
        count: int,
        *,
        aim: Callable[[Trace], Sequence[Access]] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Outcome]:
        """`count` plans, those in FIFO order included; may be called again for more. `aim` tells the
        accesses of a FIFO run's steps to what is aimed at: only where both twins made some, schedules are drawn, those
        aimed at rivals rather for waits beside them, and what did it is taken more often from then on."""
        left = count
        while left > 0 and not stop():
            bases = [self.base(evenly=aim is None) for _ in range(min(ROUND, left))]
            left -= len(bases)
            found: list[Plan] = []
            for number, outcome in enumerate(pool.map(bases, choices=True, stop=stop), self.drawn - len(bases)):
                self.tally.plans["fifo"] += 1
                met = aim(outcome.trace) if aim is not None and outcome.trace is not None else None
                if outcome.trace is not None and self._aimed(outcome.plan, met):
                    found += self._variants(number, outcome.plan, outcome.trace, met or ())
                yield outcome
            for outcome in pool.map(found[:left], stop=stop):
                left -= 1
                yield outcome

    def _aimed(self, plan: Plan, met: Sequence[Access] | None) -> bool:
        if met is None:
            return True
        for favoured, those in (
            (self.favoured, met),
            (self.changing, [access for access in met if access.op in CHANGES]),
        ):
            for index in dict.fromkeys(access.step for access in those):
                _keep(favoured, plan.steps[index])
        return len({access.actor for access in met}) > 1

    def base(self, *, evenly: bool = False) -> Plan:
        """The next plan in FIFO order; with `evenly`, one in `EVENLY` takes what has its turn."""
        rng = random.Random(f"{self.seed} plan {self.drawn}")
        acting = _sendable(self.changing, rng) if self.changing and rng.random() < CHANGING else []
        acting = acting or _sendable(self.favoured, rng)
        turn = evenly and bool(self.choices) and self.drawn % EVENLY == EVENLY - 1
        if turn:
            first = self.drawn // EVENLY * TOGETHER
            acting = [self.choices[at % len(self.choices)] for at in range(first, first + TOGETHER)]
        plan = drawn(self.actions, rng, self.dimensions, self.states, acting, surely=turn)
        self.drawn += 1
        return self.lay(msgspec.structs.replace(plan, overlays=self.overlays))

    def _variants(self, number: int, plan: Plan, trace: Trace, met: Sequence[Access]) -> Iterator[Plan]:
        rng = random.Random(f"{self.seed} schedule {number}")
        choices, rivals = contested(trace), passings(trace)
        close = beside(rivals, trace, met)
        near = [passing for passing in rivals if passing.code in close] or rivals
        # What reads only leaves nothing half done.
        steps = {one.step for one in met if one.op in CHANGES} or {one.step for one in met}
        for turn in range(self.variants):
            how = self.how if self.how != "mixed" else MIXED[(number + turn) % len(MIXED)]
            if rng.random() < CUTS and (cut := broken_off(plan, choices, rng, steps)) is not None:
                self.tally.plans["cut"] += 1
                yield self.lay(cut)
            elif rng.random() < DISTURBED and (made := disturbed(plan, self.actions, rng, steps)) is not None:
                self.tally.plans["disturbed"] += 1
                yield self.lay(made)
            elif how == "directed" and rivals:
                self.tally.plans["directed"] += 1
                yield self.lay(schedules.directed(plan, rivals, rng, self.tried, close))
            elif how == "pct":
                depth = rng.choice(DEPTHS)
                among = places(near, trace) if rng.random() < NARROWED else []
                self.tally.plans["pct"] += 1
                self.tally.bounds.append(schedules.bound(choices, depth, among))
                yield self.lay(schedules.prioritised(plan, choices, depth, rng, among, self.answers))
            else:
                kinds: Sequence[Kind] = rng.choice((KINDS, KINDS, KINDS[:1], KINDS[1:]))
                told = _at(near, choices) if rng.random() < NARROWED else choices
                self.tally.plans["uniform"] += 1
                yield self.lay(schedules.walk(plan, told, rng, kinds, self.answers))


def _keep(favoured: dict[tuple[str, str], list[Action]], step: Step) -> None:
    """Take down what a step did, unless there is enough of that."""
    name = step.entry, step.action
    if name in favoured or len(favoured) < FAVOURED:
        known = Action(entry=step.entry, name=step.action, payload=step.payload, principal=step.who is not None)
        ways = favoured.setdefault(name, [])
        if known not in ways and len(ways) < PAYLOADS:
            ways.append(known)


def _sendable(favoured: dict[tuple[str, str], list[Action]], rng: random.Random) -> list[Action]:
    """What a principal did of it, each with one of its payloads."""
    return [rng.choice(ways) for ways in favoured.values() if ways[0].principal]


def _at(found: Sequence[Passing], choices: Mapping[str, int]) -> Mapping[str, int]:
    """Those of the choices that are among `found`; all where none is."""
    names = {f"{passing.lineage} {passing.site}" for passing in found}
    return {name: count for name, count in choices.items() if name in names} or choices


def broken_off(plan: Plan, choices: Mapping[str, int], rng: random.Random, aimed: Collection[int] = ()) -> Plan | None:
    """`plan` with one of its steps, of those `aimed` at if any, cancelled at a wait that its run in FIFO order showed;
    None where it showed none."""
    waits: dict[int, int] = {}
    for name, count in choices.items():
        who, _, number = name.partition(" ")[0].partition(".")
        if number.isdigit() and int(number) < len(plan.steps) and plan.steps[int(number)].who == who:
            waits[int(number)] = waits.get(int(number), 0) + count
    if not waits:
        return None
    where = sorted(waits.keys() & set(aimed)) or sorted(waits)
    followed = [one for one in where if _followed(plan, one)]
    at = followed[0] if followed and rng.random() < FIRST else rng.choice(where)
    cancel = Step(entry="world", action="cancel", who=plan.steps[at].who, payload={"after": rng.randrange(waits[at])})
    after = list(plan.steps[at + 1 :])
    if after and rng.random() < 0.5:  # what was left behind is met by who comes afterwards, not by who is under way
        after[0] = msgspec.structs.replace(after[0], gap=max(after[0].gap, rng.choice((GAPS[-1], QUIET))))
    # The numbers of later steps move along, and with them the lineages that a tape would name.
    return msgspec.structs.replace(plan, steps=(*plan.steps[: at + 1], cancel, *after), tape=())


def disturbed(plan: Plan, actions: Sequence[Action], rng: random.Random, aimed: Collection[int] = ()) -> Plan | None:
    """`plan` with something that the target lets happen around it right after one of its steps, of those `aimed` at if
    any, to whoever took that; None where it offers nothing of the kind. Whoever comes next may still come upon what was
    under way."""
    world = [action for action in actions if action.entry == "world" and action.principal]
    where = [index for index, step in enumerate(plan.steps) if step.who and step.entry != "world"]
    if not world or not where:
        return None
    where = [index for index in where if index in aimed] or where
    followed = [one for one in where if _followed(plan, one)]
    at = followed[0] if followed and rng.random() < FIRST else rng.choice(where)
    # Some moments later: at first the step before has not even begun.
    happens = msgspec.structs.replace(step_of(weighted(world, rng), plan.steps[at].who, rng), gap=rng.choice(GAPS[-2:]))
    return msgspec.structs.replace(plan, steps=(*plan.steps[: at + 1], happens, *plan.steps[at + 1 :]), tape=())


def _followed(plan: Plan, at: int) -> bool:
    """Whether the next step that somebody takes is the other's."""
    after = next((step for step in plan.steps[at + 1 :] if step.who and step.entry != "world"), None)
    return after is not None and after.who != plan.steps[at].who


def contested(trace: Trace) -> dict[str, int]:
    """The choices of a run without those of steps that had the bot for themselves: their order cannot matter. All,
    where no two steps of different principals overlap."""
    spans: dict[str, tuple[int, int]] = {}
    for access in trace.accesses:
        first, _ = spans.get(access.lineage, (access.seq, access.seq))
        spans[access.lineage] = first, access.seq
    met = {
        mine
        for mine, (start, end) in spans.items()
        for other, (begin, last) in spans.items()
        if mine.partition(".")[0] != other.partition(".")[0] and start <= last and begin <= end
    }
    kept = {name: count for name, count in trace.choices.items() if name.partition(" ")[0] in met}
    return kept or dict(trace.choices)
