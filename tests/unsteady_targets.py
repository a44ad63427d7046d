"""Bots that do not repeat themselves, one for each source; and one that touches the same things and does."""

from __future__ import annotations

import _random
import os
import random
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.principal import Principal
from tests.campaign_targets import SoundTarget


class ClockTarget(SoundTarget):
    """Says how much processor time it has used."""

    def reply(self, who: Principal, text: str) -> str:
        return f"{time.process_time_ns()} {text}"


class RandomTarget(SoundTarget):
    """Draws from a generator that only a compiled module knows, after a harmless look at its own number."""

    def reply(self, who: Principal, text: str) -> str:
        os.getpid()
        return f"{_random.Random().random()} {text}"


class ThreadTarget(SoundTarget):
    """Counts in a thread, and says how far that has got."""

    def reply(self, who: Principal, text: str) -> str:
        self.count, self.over = 0, False
        thread = threading.Thread(target=self._count)
        thread.start()
        spent = sum(range(400_000))
        said = f"{self.count} {spent} {text}"
        self.over = True
        thread.join()
        return said

    def _count(self) -> None:
        while not self.over:
            self.count += 1


class HashTarget(SoundTarget):
    """Lists words as a set of strings has them."""

    words = frozenset(f"word{number}" for number in range(40))

    def reply(self, who: Principal, text: str) -> str:
        said = " ".join(word for word in self.words)
        return f"{said} {text}"


class Thing:
    """Told apart by its address alone, all of it: the hash that objects have by default counts the low part first, and
    objects that all moved by some pages come in the same order once in a while."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash((object.__hash__(self),))


class AddressTarget(SoundTarget):
    """Lists things as a set of objects has them, made at boot: alike in every fork, other in every process."""

    def boot(self, folder: Path) -> None:
        self.things = {Thing(f"thing{number}") for number in range(400)}

    def reply(self, who: Principal, text: str) -> str:
        names = [thing.name for thing in self.things]
        return f"{names[:40]} {text}"


class PlaceTarget(SoundTarget):
    """Tells everybody where it lies: the same in every run, as far as a bot can help it."""

    def reply(self, who: Principal, text: str) -> str:
        return f"{Path.cwd()}/plugins {text}"


class BootedTarget(SoundTarget):
    """Draws a number for itself at boot, as servers name themselves."""

    def boot(self, folder: Path) -> None:
        self.number = _random.Random().random()

    def reply(self, who: Principal, text: str) -> str:
        return f"{self.number} {text}"


class NumberTarget(SoundTarget):
    """Says its process's number."""

    def reply(self, who: Principal, text: str) -> str:
        return f"{os.getpid()} {text}"


class FileTarget(SoundTarget):
    """Says when a file was changed."""

    def reply(self, who: Principal, text: str) -> str:
        Path("made.txt").write_text("x")
        return f"{Path('made.txt').stat().st_mtime_ns} {text}"


class LateTarget(SoundTarget):
    """Steady but in one of its actions, which answers with the last text of anybody and the time that took."""

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        if action != "note" or who is None:
            return await super().deliver(entry, action, who, payload)
        assert self.watch is not None
        former = self._remember(str(payload["text"]))
        self.watch.outbound("wire", f"{former} {time.process_time_ns()}", recipient={"tenant": who.tenant})
        return None


class StubbornTarget(SoundTarget):
    """Differs by something that no sensor knows."""

    def reply(self, who: Principal, text: str) -> str:
        with open("/proc/self/stat") as own:  # noqa: PTH123
            return f"{own.read()} {text}"


class SteadyTarget(SoundTarget):
    """Asks the clock, draws, and goes through sets, all of it as a bot may."""

    words = frozenset(f"word{number}" for number in range(40))

    def reply(self, who: Principal, text: str) -> str:
        said = [random.random(), uuid.uuid4(), os.urandom(4), time.time(), time.monotonic(), random.Random().random()]
        return f"{said} {sorted(self.words)} {len({id(word) for word in self.words})} {text}"
