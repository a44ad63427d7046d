"""Probes: each watches one sink behind one small protocol and costs nothing while no run is recorded.

A probe is installed once in the zygote, before the bot is imported. It reports through the current recorder
(`harness.recorder.current()`), which is None outside a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.target import Facts


@runtime_checkable
class Learner(Protocol):
    """A probe that works something out once for all runs. Forks hand it back, so that the next fork knows it."""

    def lessons(self) -> bytes:
        """What was worked out since the last call; empty when nothing was."""

    def learn(self, lessons: bytes) -> None:
        """Take over the lessons of a finished run."""


class Probe(Protocol):
    """One sink's observer."""

    sink: str

    def install(self, facts: Facts) -> None:
        """Hook what must be hooked before the bot is imported. Called once a process."""

    def booted(self, roots: Sequence[Path]) -> None:
        """The bot is imported; nothing has forked yet. Find what there is to watch."""

    def begin(self, folder: Path) -> None:
        """A run starts in this process with `folder` as its private folder; the recorder is current."""

    def between(self) -> None:
        """Called between steps, when no bot code is on the Python stack."""

    def finish(self) -> None:
        """The run has ended; report what only shows at the end."""

    def plant(self, folder: Path) -> None:
        """Do one real access of this sink, the way a bot does it. The caller checks that it was recorded."""
