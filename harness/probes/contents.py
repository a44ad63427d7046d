"""What stands in files: the canaries a reader meets, and those a writer leaves, told in the writer's name."""

# Paths come from audit events, as strings.
# ruff: noqa: PTH116
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import msgspec

from harness.principal import Twins
from harness.recorder import Recorder
from harness.trace import Access, Mark

SCAN_BYTES = 1 << 20
"""At most this many bytes of a file are scanned for canaries."""

_OVERLAP = 256  # appended text is scanned from this much before the end last seen: a canary may straddle it
_open = open


class _Written(msgspec.Struct):
    """A file opened for writing whose content is still to be looked at. `start` is the offset of what the opener
    wrote, `known` the canaries that were there before, `stamp` (mtime, size) when it was last looked at."""

    access: Access
    start: int
    known: frozenset[Mark]
    append: bool
    stamp: tuple[int, int] | None = None


class Contents:
    """Looks into the files of one run. Paths are absolute; files are read while the recorder is muted."""

    def __init__(self) -> None:
        self._written: dict[str, _Written] = {}
        self._seen: dict[tuple[str, int, int, int], tuple[tuple[Mark, ...], str | None]] = {}
        self._pictures: dict[bytes, str] = {}

    def know_pictures(self, twins: Twins) -> None:
        """From now on files that hold exactly a twin's picture are recognised, whoever's it is."""
        for principal in (twins.a, twins.b):
            self._pictures.update((_digest(data), slot) for slot, data in principal.pictures.items())

    def of(self, recorder: Recorder, path: str, state: os.stat_result) -> tuple[tuple[Mark, ...], str | None]:
        """The canaries in the file, and the picture slot whose bytes it holds."""
        stamp = (path, state.st_ino, state.st_mtime_ns, state.st_size)
        if stamp not in self._seen:
            data = _bytes(recorder, path, 0)
            self._seen[stamp] = (recorder.marks(data), self._picture(data))
        return self._seen[stamp]

    def opened(self, path: str, access: Access, *, start: int, known: Iterable[Mark], append: bool) -> None:
        """`access` opened the file for writing; what is written from now on is told in its name."""
        self._written[path] = _Written(access, start, frozenset(known), append)

    def forget(self, path: str) -> None:
        """The file, or the folder with all in it, is gone or somewhere else."""
        for known in [k for k in self._written if k == path or k.startswith(path + os.sep)]:
            del self._written[known]

    def settle_all(self, recorder: Recorder) -> None:
        """`settle` every file opened for writing."""
        for path in list(self._written):
            self.settle(recorder, path)

    def settle(self, recorder: Recorder, path: str) -> None:
        """Tell what the last opener of the file wrote since it was last looked at, if it holds a canary or picture.

        The access repeats the opener's (actor, context, site, time) with `marks` and ``detail["content"]``.
        """
        written = self._written.get(path)
        state = None if written is None else stat_of(path)
        if written is None or state is None or written.stamp == (state.st_mtime_ns, state.st_size):
            return
        data = _bytes(recorder, path, written.start)
        marks, picture = recorder.marks(data), self._picture(data)
        new = tuple(mark for mark in marks if mark not in written.known)
        written.stamp = (state.st_mtime_ns, state.st_size)
        if written.append:
            written.start += max(0, len(data) - _OVERLAP)
            written.known = frozenset(recorder.marks(data[-_OVERLAP:]))
        else:
            written.known |= frozenset(marks)
        if new or picture is not None:
            detail = {**written.access.detail, "content": True}
            if picture is not None:
                detail["picture"] = picture
            recorder.accesses.append(
                msgspec.structs.replace(written.access, seq=len(recorder.accesses), marks=new, detail=detail)
            )

    def _picture(self, data: bytes) -> str | None:
        return self._pictures.get(_digest(data)) if data else None


def stat_of(path: str) -> os.stat_result | None:
    """`os.stat`, or None where there is nothing to be had."""
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _digest(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _bytes(recorder: Recorder, path: str, start: int) -> bytes:
    try:
        with recorder.muted(), _open(path, "rb") as file:
            file.seek(start)
            return file.read(SCAN_BYTES)
    except OSError:
        return b""
