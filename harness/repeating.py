"""Plans in which one principal insists: it does one thing over and over, then the other looks what came of it.

What is done twice in a row (switched off when it is off, added when it is there, taken back once more) goes through
code that hardly any plan reaches that draws each step anew, and what it leaves behind may be the other's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from harness.choices import bare, drawn_step, one_by_one
from harness.plan import EMPTY, Plan, Step
from harness.principal import Label, TwinSpec
from harness.target import Action

TIMES = (2, 2, 3)
"""How often the same thing is done in a row."""

LOOKS = 3
"""Things that the other does to see what came of it."""

AKIN = 0.75
"""Part of the looks that go to what speaks of the same, where there is anything."""

QUIET = 0.4
"""Seconds between one thing and the next, each of which has ended before."""

SETTLED = 3.0
"""Seconds after which what was set off has mostly ended."""

_SLOT = re.compile(r"\{[^}]*\}")
_WORD = re.compile(r"[^\W_]{3,}")


def insists(plan: Plan) -> bool:
    """Whether somebody does the very same thing twice in a row there, and then the other does something."""
    steps = [step for step in plan.steps if step.who is not None and step.entry != "world"]
    again = next((at for at, (one, two) in enumerate(pairwise(steps)) if _same(one, two)), None)
    return again is not None and any(step.who != steps[again].who for step in steps[again + 2 :])


def _same(one: Step, two: Step) -> bool:
    return (one.who, one.entry, one.action, one.payload) == (two.who, two.entry, two.action, two.payload)


class Repeating:
    """Draws such plans over `actions`, choice by choice in turn, and so that the same seed draws the same plans."""

    def __init__(
        self, actions: Sequence[Action], seed: int, dimensions: Sequence[str], states: Sequence[str], twin_seeds: int
    ) -> None:
        sent = [action for action in actions if action.principal and action.entry != "world" and not action.call]
        self._choices = one_by_one([action for action in sent if action.weight])
        self._words = [_words(choice) for choice in self._choices]
        self._dimensions = tuple(dimensions)
        self._states = tuple(states)
        self._twin_seeds = twin_seeds
        self._rng = random.Random(f"{seed} repeating")
        self._turns = list(range(len(self._choices)))
        self._rng.shuffle(self._turns)
        self._drawn = 0

    def __bool__(self) -> bool:
        """Whether there is anything that a principal may insist on."""
        return bool(self._choices)

    def draw(self, texts: Sequence[str]) -> Plan:
        """The next plan: each twin insists on one thing, and the other looks; `texts` are what words are taken from."""
        rng = self._rng
        steps: list[Step] = []
        for who in rng.sample(("A", "B"), 2):
            at = self._turns[self._drawn % len(self._turns)]
            self._drawn += 1
            steps += self._insisted(at, who, "B" if who == "A" else "A", texts)
        steps.append(Step(entry="world", action="advance", payload={"seconds": SETTLED}, join=True))
        spec = TwinSpec(
            dimension=rng.choice(self._dimensions), pictures=rng.choice(("equal", "marked")),
            seed=rng.randrange(self._twin_seeds),
        )  # fmt: skip
        before = rng.choice(self._states) if self._states and rng.random() < 0.5 else EMPTY
        return Plan(seed=rng.randrange(2**16), twins=spec, before=before, steps=tuple(steps))

    def _insisted(self, at: int, who: Label, other: Label, texts: Sequence[str]) -> Iterator[Step]:
        rng = self._rng
        again = drawn_step(self._choices[at], who, texts, rng, QUIET)
        yield from [again] * rng.choice(TIMES)
        looks = [drawn_step(self._choices[near], other, texts, rng, QUIET) for near in self._near(at)]
        if rng.random() < 0.5 and (asked := bare(self._choices[at], again)):
            looks.insert(0, msgspec.structs.replace(again, who=other, payload=asked))
        yield from looks
        if rng.random() < 0.5:  # and once more, now that the other has come by
            yield again
            yield from looks[:1]

    def _near(self, at: int) -> list[int]:
        """What the other does: rather what speaks of the same things, else what stands beside it; often the same."""
        rng = self._rng
        mine = self._choices[at]
        akin = [near for near, words in enumerate(self._words) if near != at and words & self._words[at]]
        beside = [
            near for near, choice in enumerate(self._choices)
            if near != at and (choice.entry, choice.name) == (mine.entry, mine.name)
        ]  # fmt: skip
        rest = [near for near in range(len(self._choices)) if near != at]
        found = [at] if not rest or rng.random() < 0.5 else []
        while len(found) < LOOKS and len(found) < len(self._choices):
            kinds = [akin] if rng.random() < AKIN else [beside]
            left = next((some for kind in (*kinds, beside, rest) if (some := [n for n in kind if n not in found])), [])
            if not left:
                break
            found.append(rng.choice(left))
        return found


def _words(choice: Action) -> frozenset[str]:
    """The words of a choice, without the slots of secrets, which say nothing of what it does."""
    said = " ".join(text for value in choice.payload.values() for text in _texts(value))
    return frozenset(word.lower() for word in _WORD.findall(_SLOT.sub(" ", said)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
