"""Failure as a step: from a ``world.fail`` step on, the nth operation of one kind fails, so many times.

Three kinds strike where the probes already stand: ``database`` (a statement), ``disk`` (a file opened for writing) and
``vanish`` (a file that is there, opened for reading). Any other kind is the target's own: what it replaces (a model, a
configuration service) asks `harness.strikes.strike` before it answers and behaves as told. A run's failures end with
the run, and what the harness does itself is never counted nor struck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.principal import Label
from harness.target import Action

GENERIC = ("database.locked", "database.io", "disk.full", "vanish.file")
"""Failures that the harness brings about in any bot, as ``kind.how``."""


def fail_action(*own: str, weight: int = 1) -> Action:
    """The action a target lists to have failures drawn: the generic ones and `own`, each ``kind.how``."""
    return Action(
        entry="world",
        name="fail",
        payload={"what": [*GENERIC, *own], "nth": [1, 2, 3, 5, 8, 13, 21], "times": [1, 1, 3, 100]},
        weight=weight,
        about="from now on the nth operation of that kind fails",
    )


class _Armed(msgspec.Struct):
    """One failure in waiting. `who`: whose flow it strikes, None for anybody's; `met`: operations seen so far."""

    kind: str
    how: str
    who: Label | None
    nth: int
    times: int
    met: int = 0


class Failures:
    """The failures of one run. `struck` counts how often one of them struck."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self.struck = 0

    def arm(self, who: Label | None, payload: Mapping[str, Any], actions: Sequence[Action]) -> None:
        """Take up a ``world.fail`` step: `payload` holds ``what`` (``kind.how``), and ``nth`` and ``times`` (both 1 by
        default). Raises UsageError for a failure that none of the target's `actions` offers."""
        what = str(payload.get("what", ""))
        offered = [
            choice for a in actions if (a.entry, a.name) == ("world", "fail") for choice in a.payload.get("what", ())
        ]
        if what not in offered:
            raise UsageError(f"no failure {what!r} is on offer; there are: {', '.join(offered) or 'none'}")
        kind, _, how = what.partition(".")
        self._armed.append(_Armed(kind, how, who, int(payload.get("nth", 1)), int(payload.get("times", 1))))

    def strike(self, kind: str, who: Label | None) -> str:
        """One operation of that kind in the flow of `who`: how it fails, or empty when it does not.

        Every failure in waiting counts the operation; the first that is due says how it goes wrong."""
        how = ""
        for armed in self._armed:
            if armed.kind != kind or armed.who not in (None, who):
                continue
            armed.met += 1
            if not how and armed.nth <= armed.met < armed.nth + armed.times:
                how = armed.how
        self.struck += bool(how)
        return how

    def __bool__(self) -> bool:
        return bool(self._armed)
