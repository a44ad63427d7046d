"""Failure as a step: from a ``world.fail`` step on, the nth operation of one kind fails, so many times.

Three kinds strike where the probes already stand: ``database`` (a statement), ``disk`` (a file opened for writing) and
``vanish`` (a file that is there, opened for reading). Any other kind is the target's own: what it replaces (a model, a
configuration service) asks `harness.strikes.strike` before it answers and behaves as told. With ``one`` the nth thing
of a kind fails whenever it is asked (this model, this file, this statement) while all else of the kind answers: that is
how a bot comes to give something up and turn to another.
With ``each``, from the nth thing of a kind on, every one fails when it is used and answers again after that: a table
when it is written, a file, a model. Whoever sends often enough then meets each of them failing, however late its turn
comes. A run's failures end with the run, and what the harness does itself is never counted nor struck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.plan import Step
from harness.principal import Label
from harness.target import Action

GENERIC = ("database.locked", "database.io", "disk.full", "vanish.file")
"""Failures that the harness brings about in any bot, as ``kind.how``."""


def fail_action(*own: str, weight: int = 1) -> Action:
    """The action a target lists to have failures drawn: the generic ones and `own`, each ``kind.how``."""
    return Action(
        entry="world",
        name="fail",
        payload={
            "what": [*GENERIC, *own],
            "nth": [1, 2, 3, 5, 8, 13, 21],
            "times": [1, 1, 3, 100],
            "one": [False, False, True],
            "each": [False, False, True],
        },
        weight=weight,
        about="from now on the nth operation of that kind fails, or one thing whenever it is asked, or each for once",
    )


def at_each(step: Step) -> bool:
    """Whether from that step on each thing of a kind fails."""
    payload = step.payload
    return (step.entry, step.action) == ("world", "fail") and bool(payload.get("each")) and not payload.get("one")


class _Armed(msgspec.Struct):
    """One failure in waiting. `who`: whom it strikes, in a flow of its steps or in its turn of a timer, None for
    anybody; `one`: whether it is one thing that fails; `each`: whether every thing does in its turn; `met`: operations
    seen so far; `seen`: what they were done on, where one thing fails, which is the last; `used`: how often each thing
    was used, where every one fails."""

    kind: str
    how: str
    who: Label | None
    nth: int
    times: int
    one: bool = False
    each: bool = False
    met: int = 0
    seen: list[str] = []
    used: dict[str, int] = {}

    @property
    def chosen(self) -> bool:
        """Whether it is known which one thing fails."""
        return self.one and len(self.seen) == self.nth

    def due(self, thing: str) -> bool:
        """Where every thing fails: whether this one does as it is used now. What is not told apart is not used."""
        if not thing:
            return False
        self.used[thing] = self.used.get(thing, 0) + 1
        return list(self.used).index(thing) >= self.nth - 1 and self.used[thing] <= self.times


class Failures:
    """The failures of one run. `struck` counts how often one of them struck."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self.struck = 0

    def arm(self, who: Label | None, payload: Mapping[str, Any], actions: Sequence[Action]) -> None:
        """Take up a ``world.fail`` step: `payload` holds ``what`` (``kind.how``), ``nth`` and ``times`` (both 1 by
        default), ``one`` and ``each`` (both false by default; of both ``one`` holds). Raises UsageError for what none
        of the target's `actions` offers."""
        what = str(payload.get("what", ""))
        offered = [
            choice for a in actions if (a.entry, a.name) == ("world", "fail") for choice in a.payload.get("what", ())
        ]
        if what not in offered:
            raise UsageError(f"no failure {what!r} is on offer; there are: {', '.join(offered) or 'none'}")
        kind, _, how = what.partition(".")
        nth, times, one = int(payload.get("nth", 1)), int(payload.get("times", 1)), bool(payload.get("one"))
        self._armed.append(_Armed(kind, how, who, nth, times, one, bool(payload.get("each")) and not one))

    def strike(self, kind: str, who: Label | None, of: str, thing: str) -> str:
        """One operation of that kind on `of`, by which `thing` is used, that is done for `who`: how it fails, or empty
        when it does not.

        Every failure in waiting counts the operation; the first that is due says how it goes wrong. Where one thing is
        to fail, things are counted first, and only those that no other failure took down already."""
        waiting = [armed for armed in self._armed if armed.kind == kind and armed.who in (None, who)]
        down = {armed.seen[-1] for armed in waiting if armed.chosen}
        how = ""
        for armed in waiting:
            if armed.each:
                if armed.due(thing) and not how:
                    how = armed.how
                continue
            if armed.one and not armed.chosen and of not in down and of not in armed.seen:
                armed.seen.append(of)
                down |= {of} if armed.chosen else set()
            if armed.one and (not armed.chosen or armed.seen[-1] != of):
                continue
            armed.met += 1
            first = 1 if armed.one else armed.nth
            if not how and first <= armed.met < first + armed.times:
                how = armed.how
        self.struck += bool(how)
        return how

    def __bool__(self) -> bool:
        return bool(self._armed)
