"""Short plans in which both twins' flows overlap, drawn by a swarm.

Each plan is a swarm of its own (Groce et al., "Swarm testing", ISSTA 2012): it takes a random half of the target's
entries and actions and of the kinds of steps around them, since what is left out lets the rest go further.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from harness.choices import drawn_value
from harness.plan import EMPTY, Plan, Step
from harness.principal import Label, TwinSpec
from harness.strategies import ADVANCES, TEXTS, TWIN_SEEDS
from harness.target import Action

AROUND = ("cancel", "tick", "advance", "world", "call", "burst")
"""Kinds of steps a swarm takes or leaves beside what the twins send: cancelling what is in flight, the bot's own
timers, the clock, whatever else the target lets happen around it, calls that were found, many times the same at once.
"""

AFTER = (0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 13, 17, 22)
"""Waits after which what is in flight is cancelled."""

GAPS = (0.0, 0.0, 0.0, 0.0, 0.05, 0.4)
"""Seconds between two steps."""

REFUSED = 3
"""Draws of a payload until it carries a right identity: who is refused at the door overlaps with nobody."""

QUIET = 3.0
"""Seconds after which what a step set off has mostly ended."""

EARLIER = 0.25
"""Part of the plans in which both twins did something before, so that what overlaps then has something of theirs to
show."""

MANY = 3
"""How often a burst does the same thing."""


def swarm(actions: Sequence[Action], rng: random.Random) -> list[Action]:
    """A random half of the actions on a random part of the entries, with at least one that a principal does where there
    is any."""
    entries = sorted({action.entry for action in actions})
    kept = {entry for entry in entries if rng.random() < 0.6}
    chosen = [action for action in actions if action.entry in kept and rng.random() < 0.5]
    if not any(is_sent(action) for action in chosen):
        sent = [action for action in actions if is_sent(action)]
        chosen += rng.sample(sent, min(1, len(sent)))
    return chosen


def drawn(
    actions: Sequence[Action],
    rng: random.Random,
    dimensions: Sequence[str],
    states: Sequence[str] = (EMPTY,),
    favoured: Sequence[Action] = (),
    surely: bool = False,
) -> Plan:
    """One plan: one to three rounds in which both twins do the same or different things at once, with some of what
    may happen around that. Three in four (all, with `surely`) take what they send from `favoured`, where there is any.
    """
    chosen = swarm(actions, rng)
    around = {kind for kind in AROUND if rng.random() < 0.4}
    sent = [action for action in chosen if is_sent(action)]
    if favoured and (rng.random() < 0.75 or surely):
        sent = rng.sample(favoured, min(len(favoured), rng.randint(1, 2)))
    ticks = [action for action in chosen if not action.principal and action.entry != "world"]
    world = [action for action in chosen if action.entry == "world"]
    calls = [action for action in actions if action.call] if "call" in around else []
    steps: list[Step] = []
    if (others := [action for action in actions if is_sent(action)]) and rng.random() < EARLIER:
        first = weighted(others, rng)
        steps += [step_of(first, who, rng) for who in rng.sample("AB", 2)]
    before = len(steps)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        pool = calls if calls and rng.random() < 0.5 else sent
        steps += _round(pool or calls, ticks if "tick" in around else (), around, rng)
        if world and "world" in around and rng.random() < 0.5:
            action, at = rng.choice(world), rng.randrange(len(steps) + 1)
            both = rng.sample("AB", rng.randint(1, 2)) if action.principal else [None]
            steps[at:at] = [step_of(action, who, rng) for who in both]
        if "advance" in around:
            seconds = rng.choice(ADVANCES)
            steps.append(Step(entry="world", action="advance", payload={"seconds": seconds}, join=rng.random() < 0.5))
    if 0 < before < len(steps):  # what was done before is over by then
        steps[before] = msgspec.structs.replace(steps[before], join=True)
    if rng.random() < 0.6:  # both again once all is quiet: what the overlap left behind shows then
        last = {step.who: step for step in steps if step.who and step.entry != "world"}
        again = [msgspec.structs.replace(step, gap=QUIET, join=True) for step in last.values()]
        rng.shuffle(again)  # whoever comes first may put right what the overlap left for the other
        steps += again
    return Plan(
        seed=rng.randrange(2**16),
        twins=TwinSpec(
            dimension=rng.choice(dimensions), pictures=rng.choice(("equal", "marked")), seed=rng.randrange(TWIN_SEEDS)
        ),
        before=rng.choice(states),
        steps=tuple(steps),
    )


def _round(sent: Sequence[Action], ticks: Sequence[Action], around: set[str], rng: random.Random) -> list[Step]:
    if not sent:
        return [step_of(action, None, rng) for action in ticks]
    first, second = rng.sample("AB", 2)
    one = weighted(sent, rng)
    other = one if rng.random() < 0.7 else weighted(sent, rng)
    steps = [step_of(one, first, rng), step_of(other, second, rng)]
    if other is one and rng.random() < 0.7:
        steps[1] = msgspec.structs.replace(steps[1], payload=steps[0].payload)
    if "burst" in around and rng.random() < 0.3:
        steps = [step for step in steps for _ in range(rng.randint(1, MANY))]
        rng.shuffle(steps)
    if ticks and rng.random() < 0.6:
        steps.insert(rng.randrange(len(steps) + 1), step_of(rng.choice(ticks), None, rng))
    if "cancel" in around and rng.random() < 0.8:
        at = rng.choice([index for index, step in enumerate(steps) if step.who])
        steps.insert(
            at + 1,
            Step(entry="world", action="cancel", who=steps[at].who, payload={"after": rng.choice(AFTER)}),
        )
    if rng.random() < 0.3:  # whoever came first comes again while the others are still under way
        steps.append(step_of(one, first, rng))
    return steps


def step_of(action: Action, who: Label | str | None, rng: random.Random) -> Step:
    """A step that does this, its payload drawn."""
    label: Any = who if action.principal else None
    for _ in range(REFUSED):
        payload = {name: drawn_value(kind, TEXTS, rng) for name, kind in action.payload.items()}
        if not action.is_wrong(payload):
            break
    return Step(entry=action.entry, action=action.name, who=label, payload=payload, gap=rng.choice(GAPS))


def is_sent(action: Action) -> bool:
    """Whether it is something that a principal sends: neither what happens around the bot nor a call that was found."""
    return action.principal and action.entry != "world" and not action.call


def weighted(actions: Sequence[Action], rng: random.Random) -> Action:
    """One of `actions`, by weight."""
    return rng.choices(actions, [max(1, action.weight) for action in actions])[0]
