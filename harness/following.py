"""Plans in which one twin does a stretch of things, and then the other comes and does another stretch.

Where both do the same at once, each has of its own what the other left: a cell is filled, a table has rows, a memo is
made. What one leaves behind shows best to whoever has done nothing yet, and often to something else than what left it
(kept by one command, looked for by another), or after a while, when timers have tidied up and numbers are given out
again. So all that is offered is cut into stretches, and each stretch of one twin is followed by each of the other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from harness.choices import bare, drawn_step, one_by_one
from harness.forgery import honest
from harness.plan import EMPTY, Plan, Step
from harness.principal import Label, TwinSpec
from harness.target import Action

STRETCH = 24
"""Things that one does in a row. Long ones, so that a few plans put everything before everything else: who does all of
it in one go leaves little out that the other could have come upon."""

BARE = 4
"""One in so many commands that who comes second gives leaves out what it asks for: where somebody has said it before,
that may be taken."""

ALIKE = 4
"""One plan in so many in which both say the very same words wherever anything may be said: what is kept by content is
met by whoever says it again."""

TRIES = 20
"""Draws for a step that carries no wrong identity."""

WAITS = 3
"""How time passes before the other comes: a moment, a while in which timers run, or the bot does something."""

QUIET = 0.4
"""Seconds between one thing and the next, each of which has ended before."""

SETTLED = 3.0
"""Seconds after which what was set off has mostly ended."""

LONG = 330.0
"""Seconds in which slow timers run."""


class Following:
    """Draws such plans over `actions`, stretch after stretch in turn; the same seed draws the same plans."""

    def __init__(
        self, actions: Sequence[Action], seed: int, dimensions: Sequence[str], states: Sequence[str], twin_seeds: int
    ) -> None:
        self._rng = random.Random(f"{seed} following")
        self._actions = tuple(actions)
        own = [action for action in actions if action.weight and not action.call and not _strikes(action)]
        choices = one_by_one([action for action in own if action.principal])
        self._rng.shuffle(choices)
        count = -(-len(choices) // STRETCH)
        # Every so many-th, so that stretches are alike in length. What is done to the bot's surroundings comes first.
        self._stretches = [
            sorted(choices[start::count], key=lambda choice: choice.entry != "world") for start in range(count)
        ]
        self._alone = one_by_one([action for action in own if not action.principal])
        self._rng.shuffle(self._alone)
        self._turns = [(one, two) for one in range(count) for two in range(count)]
        self._dimensions = tuple(dimensions)
        self._tenants = tuple(dimension for dimension in dimensions if "T" in dimension) or self._dimensions
        self._states = tuple(states)
        self._twin_seeds = twin_seeds
        self._drawn = 0

    def __len__(self) -> int:
        """After how many plans everything has followed everything, and each way of waiting met each way of speaking; 0
        where there is nothing that a principal does."""
        return max(len(self._turns), WAITS * ALIKE) if self._turns else 0

    def draw(self, texts: Sequence[str]) -> Plan:
        """The next plan; `texts` are what words are taken from."""
        rng, turn = self._rng, self._drawn
        self._drawn += 1
        if turn % len(self._turns) == 0:
            rng.shuffle(self._turns)  # so that in each round other stretches are put together otherwise
        one, two = self._turns[turn % len(self._turns)]
        if turn % ALIKE == ALIKE - 1:
            texts = [text for text in texts if "{" not in text][:1] or texts
        first, second = rng.sample(("A", "B"), 2)
        steps = [
            *self._done(one, first, texts),
            *self._between(turn, texts),
            *map(self._shortened, self._stretches[two], self._done(two, second, texts)),
            Step(entry="world", action="advance", payload={"seconds": SETTLED}, join=True),
        ]
        # Everything follows everything between tenants first, then between whoever else is to be kept apart as well.
        dimensions = self._tenants if turn < len(self._turns) else self._dimensions
        spec = TwinSpec(
            dimension=rng.choice(dimensions), pictures=rng.choice(("equal", "marked")),
            seed=rng.randrange(self._twin_seeds),
        )  # fmt: skip
        # Whoever has something from before is nobody who has done nothing yet.
        before = rng.choice(self._states) if self._states and rng.random() < 0.25 else EMPTY
        # What names the other twin has plans of its own, where nothing else can be the cause.
        return honest(Plan(seed=rng.randrange(2**16), twins=spec, before=before, steps=tuple(steps)), self._actions)

    def _done(self, at: int, who: Label, texts: Sequence[str]) -> list[Step]:
        return [self._taken(choice, who, texts) for choice in self._stretches[at]]

    def _taken(self, choice: Action, who: Label, texts: Sequence[str]) -> Step:
        """A step in one's own name: whoever is refused at the door leaves nothing and finds nothing."""
        drawn = (drawn_step(choice, who, texts, self._rng, QUIET) for _ in range(TRIES))
        last = next(drawn)
        while choice.is_wrong(last.payload) and (another := next(drawn, None)) is not None:
            last = another
        return last

    def _shortened(self, choice: Action, step: Step) -> Step:
        asked = bare(choice, step)
        return step if asked is None or self._rng.randrange(BARE) else msgspec.structs.replace(step, payload=asked)

    def _between(self, turn: int, texts: Sequence[str]) -> list[Step]:
        """What happens before the other comes, by turns (`WAITS`)."""
        wait = LONG if turn % WAITS == 1 else SETTLED
        steps = [Step(entry="world", action="advance", payload={"seconds": wait}, join=True)]
        if turn % WAITS == 2 and self._alone:
            steps.append(drawn_step(self._alone[turn // WAITS % len(self._alone)], None, texts, self._rng, QUIET))
        return steps


def _strikes(action: Action) -> bool:
    """Whether something outside fails by it: plans of their own do that at all depths."""
    return (action.entry, action.name) == ("world", "fail")
