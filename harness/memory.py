"""What a campaign has played, kept on disk as it comes, so that one that was cut short can be gone on with.

A campaign is deterministic but for time: played again from the beginning with the outcomes that are known already, it
comes to where it was, and no plan is played twice. So nothing is kept but outcomes, by what was asked for; every
further state (findings, coverage, what was shrunk) follows from them.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.plan import Plan
from harness.trace import Trace
from harness.wire import Done, Job

NAME = "outcomes.bin"
_MAGIC = b"isolation-outcomes/1\n"
_HEAD = struct.Struct("!IId16s")
"""Length and checksum of what follows, campaign seconds so far, what was asked for."""

LARGEST = 8 << 30
"""Bytes after which no further outcome is kept: what comes later would be played again."""


class Stopwatch:
    """Seconds that a campaign has spent, over all its sittings."""

    def __init__(self) -> None:
        self._zero = time.monotonic()

    def elapsed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._zero

    def set(self, seconds: float) -> None:
        """So many seconds are spent by now. What is known is gone through at the times at which it was played, so that
        whatever hangs on time is decided as it was."""
        self._zero = time.monotonic() - seconds


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    plan: bytes
    paired: bool
    done: Done


class _Place(msgspec.Struct, frozen=True):
    offset: int
    length: int
    seconds: float


class Memory:
    """Outcomes on disk. Each is handed out as often as it was kept, in that order: a plan that is replayed ten times is
    ten outcomes. `kept` counts all of them, `handed` those that were asked for again."""

    def __init__(self, path: Path, known: dict[bytes, list[_Place]], end: int) -> None:
        self.watch = Stopwatch()
        self.handed = 0
        self.kept = sum(map(len, known.values()))
        self._known = known
        self._file = path.open("r+b")
        self._file.truncate(end)  # an outcome that was cut off in the writing is played again
        self._end = end

    @property
    def waiting(self) -> int:
        """Outcomes that are known and were not asked for yet."""
        return sum(map(len, self._known.values()))

    def take(self, job: Job) -> Done | None:
        """What came of this job when it was played before; None when it is to be played."""
        places = self._known.get(_key(job))
        if not places:
            return None
        place = places.pop(0)
        self.handed += 1
        self.watch.set(place.seconds)
        return self._read(place).done

    def rest(self) -> Iterator[tuple[Plan, Done]]:
        """What is known of plans by themselves and was not asked for yet; it stays known."""
        for place in [place for places in self._known.values() for place in places]:
            kept = self._read(place)
            if not kept.paired:
                yield Plan.from_json(kept.plan), kept.done

    def check(self, plan: Plan, trace: Trace) -> None:
        """Raise UsageError when that plan is known to have taken another course before: it is another bot by now."""
        known = next((done.trace for kept, done in self.rest() if kept == plan and done.trace), None)
        if known is not None and msgspec.msgpack.decode(known, type=Trace).digest() != trace.digest():
            raise UsageError(
                "the bot does not do what it did when the run was begun: has its code been changed? What was played "
                "does not hold for it any more; start the run anew without --resume"
            )

    def keep(self, job: Job, done: Done) -> None:
        """Remember what came of a job."""
        if self._end > LARGEST:
            return
        kept = _Kept(job.plan, job.paired, msgspec.structs.replace(done, touches=b"", lessons=()))
        data = zlib.compress(msgspec.msgpack.encode(kept), 1)
        head = _HEAD.pack(len(data), zlib.crc32(data), self.watch.elapsed(), _key(job))
        self._file.seek(self._end)
        self._file.write(head + data)
        self._file.flush()
        self._end += len(head) + len(data)
        self.kept += 1

    def _read(self, place: _Place) -> _Kept:
        self._file.seek(place.offset)
        return msgspec.msgpack.decode(zlib.decompress(self._file.read(place.length)), type=_Kept)

    def close(self) -> None:
        """No more is kept. May be called twice."""
        self._file.close()


def create(folder: Path) -> Memory:
    """An empty memory in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_bytes(_MAGIC)
    return Memory(path, {}, len(_MAGIC))


def holds(folder: Path) -> bool:
    """Whether any outcome was kept in `folder`."""
    path = folder / NAME
    return path.is_file() and path.stat().st_size > len(_MAGIC)


def recall(folder: Path) -> Memory:
    """The memory in `folder`, read whole and checked. Raises UsageError when it is damaged; an end that was cut off, as
    by a kill, is no damage."""
    path = folder / NAME
    known: dict[bytes, list[_Place]] = {}
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise UsageError(_damaged(path, 0))
            size = os.fstat(file.fileno()).st_size
            end = len(_MAGIC)
            while end + _HEAD.size <= size:
                length, checksum, seconds, key = _HEAD.unpack(file.read(_HEAD.size))
                start = end + _HEAD.size
                if start + length > size:
                    break
                if zlib.crc32(file.read(length)) != checksum:
                    raise UsageError(_damaged(path, end))
                known.setdefault(key, []).append(_Place(start, length, seconds))
                end = start + length
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; start the run anew without --resume") from error
    return Memory(path, known, end)


def _damaged(path: Path, offset: int) -> str:
    return f"{path} is damaged at byte {offset}: what was played cannot be trusted; start the run anew without --resume"


def _key(job: Job) -> bytes:
    said = f"{job.observe}|{job.choices}|{job.paired}|".encode()
    return hashlib.sha256(said + job.plan).digest()[:16]
