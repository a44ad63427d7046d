"""Targets that do not hold what a target promises, each in one way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.target import Action, Facts
from tests.cli_target import QuietTarget


class NoTarget:
    """Takes what a target takes, and is none."""

    def __init__(self, root: Path | None = None, db_root: Path | None = None) -> None:
        self.name = "none"


class Unmakable(QuietTarget):
    """Has a mistake where it is made."""

    def __init__(self, root: Path | None = None, db_root: Path | None = None) -> None:
        raise ValueError("no such port")


class Undeclared(QuietTarget):
    """Declares its facts once only."""

    asked = False

    def facts(self) -> Facts:
        if self.asked:
            raise KeyError("owner")
        self.asked = True
        return super().facts()


class Idle(QuietTarget):
    """Can be made to do nothing."""

    def actions(self) -> Sequence[Action]:
        return []


class Failing(QuietTarget):
    """Prints, then fails at boot."""

    def boot(self, folder: Path) -> None:
        print("looking for the licence", flush=True)
        raise RuntimeError("no licence")


class Leaving(QuietTarget):
    """Ends the process at boot."""

    def boot(self, folder: Path) -> None:
        os._exit(7)


class Spinning(QuietTarget):
    """Boots for ever."""

    def boot(self, folder: Path) -> None:
        print("still looking", flush=True)
        while True:
            pass


class Dying(QuietTarget):
    """Takes the process with it at its first step."""

    async def deliver(self, *given: Any) -> Any:
        print("out of memory", flush=True)
        os.abort()
