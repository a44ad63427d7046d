"""The file probe: what is read, written, moved, listed and deleted in the run's private folder, and by whom.

It listens to the interpreter's audit events, so it sees every library that goes through Python's `open` or `os`. What
it cannot see: `stat` and `exists`, libraries that open files in C (SQLite's are the row probe's), and a file that
is opened with `dir_fd`, whose audit event does not say which folder is meant.
"""

# Audit events speak in strings, and the hook runs at every call: os.path, not pathlib.
# ruff: noqa: PTH100, PTH103, PTH105, PTH110, PTH112, PTH113, PTH117, PTH118, PTH120
from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from harness import containment
from harness.errors import ContainmentError
from harness.principal import Label
from harness.probes.contents import Contents, stat_of
from harness.probes.paths import TempNames, is_code, is_database, is_device, path_of_fd, pattern_of
from harness.recorder import Recorder, current
from harness.strikes import at_open
from harness.target import Facts
from harness.trace import Access, Mark

PLANT = "isolation_plant.txt"


class _Struck(Exception):
    """A failure step strikes this call: `args[0]` is the error it shall meet."""


class FileProbe:
    """Watches sink ``file``. Keys are paths relative to the private folder (folders end in ``/``), surfaces their
    patterns (`harness.probes.paths.pattern_of`).

    `owner_of_path` names whose a path is; where it says nothing a file belongs to whoever wrote it first in
    the run. A write outside the private folder is a fault and raises ContainmentError in the bot.
    """

    sink = "file"
    _active: FileProbe | None = None

    def __init__(self, owner_of_path: Callable[[str], Mapping[str, str | None] | None] | None = None) -> None:
        self._owner_of_path = owner_of_path
        self._folder = ""
        self._reset()

    def _reset(self) -> None:
        self._writers: dict[str, Label] = {}
        self._contents = Contents()
        self._databases: set[str] = set()
        self._patterns: dict[str, str] = {}
        self._owners: dict[str, Label | None] = {}

    def install(self, facts: Facts) -> None:
        """Put the audit hook in place, once a process."""
        containment.install()
        containment.listen(dict.fromkeys(_HANDLERS, _heard))

    def booted(self, roots: Sequence[Path]) -> None:
        """Nothing to find: audit events need no places."""

    def begin(self, folder: Path) -> None:
        """Watch `folder`; temporary files go to ``tmp`` inside it until `finish`."""
        self._reset()
        self._folder = os.path.realpath(folder) + os.sep
        self._former = (tempfile.tempdir, os.environ.get("TMPDIR"), sys.dont_write_bytecode)
        temp = os.path.join(self._folder, "tmp")
        os.makedirs(temp, exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = temp
        tempfile._name_sequence = TempNames()  # type: ignore[attr-defined]
        sys.dont_write_bytecode = True  # a late import of the bot must not write beside its source
        recorder = current()
        if recorder is not None:
            self._contents.know_pictures(recorder.twins)
        FileProbe._active = self

    def between(self) -> None:
        """Look at what was written since."""
        recorder = current()
        if recorder is not None:
            self._contents.settle_all(recorder)

    def finish(self) -> None:
        """Look at what was written last, and let go of the process."""
        self.between()
        FileProbe._active = None
        tempfile.tempdir, temp, sys.dont_write_bytecode = self._former
        tempfile._name_sequence = None  # type: ignore[attr-defined]
        if temp is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = temp

    def plant(self, folder: Path) -> None:
        """Write, read, rename and delete one file."""
        first, second = folder / PLANT, folder / ("moved_" + PLANT)
        first.write_text("planted", encoding="utf-8")
        first.read_text(encoding="utf-8")
        os.replace(first, second)
        second.unlink()

    # -- where a path leads ------------------------------------------------------------------------------------

    def _full(self, path: Any, dir_fd: Any = -1, *, follow: bool = True) -> str | None:
        """The absolute path meant, symbolic links resolved (the last part's only with `follow`); None: no path."""
        if path is None:
            path = "."
        if isinstance(path, int):
            return path_of_fd(path)
        try:
            text = os.fsdecode(path)
        except TypeError:
            return None
        if isinstance(dir_fd, int) and dir_fd >= 0 and not os.path.isabs(text):
            base = path_of_fd(dir_fd)
            if base is None:
                return None
            text = os.path.join(base, text)
        if follow:
            return os.path.realpath(text)
        head, tail = os.path.split(os.path.abspath(text))
        return os.path.join(os.path.realpath(head), tail)

    def _key(self, full: str, *, folder: bool = False) -> str | None:
        """The path relative to the private folder, or None outside it. Databases and the like are the row probe's."""
        if not (full + os.sep).startswith(self._folder) or is_database(full) or full in self._databases:
            return None
        relative = full[len(self._folder) :].replace(os.sep, "/")
        return (relative or ".") + "/" if folder else relative

    def _contain(self, full: str, what: str) -> None:
        """Stop a write outside the private folder."""
        if not (full + os.sep).startswith(self._folder) and not is_device(full):
            containment.stop(
                f"{what} {full}, outside the private folder: rebind the root it is made from in `enter` (what is made "
                "with a path is made there, not in `boot`)"
            )

    # -- what an event means -----------------------------------------------------------------------------------

    def opened(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``open``: (path or descriptor, mode or None, flags)."""
        path, _, flags = args
        if isinstance(path, int):
            return
        full = self._full(path)
        if full is None:
            return
        flags = flags if isinstance(flags, int) else 0
        access = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
        writes = access != os.O_RDONLY or bool(flags & os.O_TRUNC)
        state = stat_of(full)
        if state is not None and not stat.S_ISREG(state.st_mode):
            return
        if writes:
            self._contain(full, "writing")
        key = self._key(full)
        if key is None or (state is None and not flags & os.O_CREAT) or (state is not None and flags & os.O_EXCL):
            return  # not ours, or the call is about to fail
        self._contents.settle(recorder, full)
        error = None if is_code(full) else at_open(full, writes=writes, exists=state is not None)
        if error is not None:
            detail = {"error": type(error).__name__, "injected": True}
            self._record(recorder, "error", key, owner=self._owner(recorder, key), detail=detail)
            raise _Struck(error)
        kept = writes and not flags & os.O_TRUNC
        if state is not None and access != os.O_WRONLY and not flags & os.O_TRUNC and not is_code(full):
            self._read(recorder, full, key, state)
        if writes and os.path.isdir(os.path.dirname(full)):
            append = bool(flags & os.O_APPEND)
            start = state.st_size if state is not None and append else 0
            known = self._contents.of(recorder, full, state)[0] if state is not None and kept and not append else ()
            owner = self._owner(recorder, key) if state is not None else self._declared(recorder, key)
            mode = "append" if append else "update" if kept and state is not None else "write"
            written = self._record(recorder, "write", key, owner=owner, takes=True, detail={"mode": mode})
            if written is not None:
                self._contents.opened(full, written, start=start, known=known, append=append)

    def _read(self, recorder: Recorder, full: str, key: str, state: os.stat_result) -> None:
        marks, picture = self._contents.of(recorder, full, state)
        detail: dict[str, Any] = {"mode": "read"} if picture is None else {"mode": "read", "picture": picture}
        self._record(recorder, "read", key, owner=self._owner(recorder, key), marks=marks, detail=detail)

    def moved(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.rename`` (rename, replace, move): (source, target, source dir_fd, target dir_fd)."""
        source = self._full(args[0], args[2], follow=False)
        target = self._full(args[1], args[3], follow=False)
        if source is None or target is None:
            return
        self._contain(target, "moving a file to")
        self._contain(source, "moving away")
        state = stat_of(source)
        if state is None:
            return
        folder = stat.S_ISDIR(state.st_mode)
        for full in (source, target):
            self._contents.settle(recorder, full)
        before, after = self._key(source, folder=folder), self._key(target, folder=folder)
        content = ((), None) if folder else self._contents.of(recorder, source, state)
        owner = None
        if before is not None:
            owner = self._owner(recorder, before)
            self._record(recorder, "delete", before, owner=owner, marks=content[0], detail={"moved_to": after or ""})
        if after is not None:
            detail: dict[str, Any] = {"moved_from": before or ""}
            former = self._owner(recorder, after) if os.path.lexists(target) else None
            if owner is not None and not folder:
                self._writers.setdefault(after, owner)
            if content[1] is not None:
                detail["picture"] = content[1]
            self._record(recorder, "write", after, owner=former, takes=True, marks=content[0], detail=detail)
        self._rekey(before, after)
        self._contents.forget(source)
        self._contents.forget(target)

    def _rekey(self, before: str | None, after: str | None) -> None:
        """Ownership moves with what is moved; what was overwritten keeps its first writer."""
        if before is None:
            return
        if not before.endswith("/"):
            self._writers.pop(before, None)
            return
        for key in [k for k in self._writers if k.startswith(before)]:
            label = self._writers.pop(key)
            if after is not None:
                self._writers[after + key[len(before) :]] = label

    def removed(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.remove``, ``os.rmdir``: (path, dir_fd)."""
        full = self._full(args[0], args[1], follow=False)
        if full is None:
            return
        self._contain(full, "deleting")
        try:
            state = os.lstat(full)
        except OSError:
            return
        key = self._key(full, folder=stat.S_ISDIR(state.st_mode))
        if key is None:
            return
        self._contents.settle(recorder, full)
        self._record(recorder, "delete", key, owner=self._owner(recorder, key))
        self._writers.pop(key, None)
        self._contents.forget(full)

    def made(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.mkdir``: (path, mode, dir_fd). Making what is there already changes nothing and is no access."""
        full = self._full(args[0], args[2])
        if full is None or os.path.exists(full):
            return
        self._contain(full, "making the folder")
        key = self._key(full, folder=True)
        if key is not None:
            self._record(recorder, "write", key, owner=None, takes=True)

    def listed(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.listdir``, ``os.scandir``: (path or descriptor). `detail.holds` tells whose files are in there."""
        full = self._full(args[0])
        if full is None or not os.path.isdir(full):
            return
        key = self._key(full, folder=True)
        if key is None:
            return
        prefix = "" if key == "./" else key
        inside = [k for k in self._writers if k.startswith(prefix) and "/" not in k[len(prefix) :].rstrip("/")]
        holds = sorted({owner for k in inside if (owner := self._owner(recorder, k)) is not None})
        self._record(recorder, "iterate", key, owner=self._declared(recorder, key), detail={"holds": holds})

    def linked(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.link`` (source, target, source dir_fd, target dir_fd), ``os.symlink`` (source, target, dir_fd)."""
        target = self._full(args[1], args[-1], follow=False)
        if target is None:
            return
        self._contain(target, "linking")
        key = self._key(target)
        if key is not None and not os.path.lexists(target):
            source = os.path.join(os.path.dirname(target), os.fsdecode(args[0])) if len(args) == 3 else args[0]
            full = self._full(source)
            state = None if full is None else stat_of(full)
            marks = () if full is None or state is None else self._contents.of(recorder, full, state)[0]
            self._record(recorder, "write", key, owner=self._declared(recorder, key), takes=True, marks=marks)

    def truncated(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.truncate``: (path or descriptor, length)."""
        full = None if isinstance(args[0], int) else self._full(args[0])
        if full is None:
            return
        self._contain(full, "truncating")
        key = self._key(full)
        if key is not None and os.path.isfile(full):
            self._contents.settle(recorder, full)
            self._record(
                recorder, "write", key, owner=self._owner(recorder, key), takes=True, detail={"mode": "truncate"}
            )

    def changed(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``os.chmod``, ``os.chown``, ``os.utime``: (path or descriptor, ...). Contained, not recorded."""
        full = None if isinstance(args[0], int) else self._full(args[0])
        if full is not None:
            self._contain(full, "changing the attributes of")

    def connected(self, recorder: Recorder, args: tuple[Any, ...]) -> None:
        """``sqlite3.connect``: (database). Contained; from then on the file is the row probe's."""
        try:
            name = os.fsdecode(args[0])
        except TypeError:
            return
        query = ""
        if name.startswith("file:"):
            name, _, query = name[5:].partition("?")
            name = unquote(name)
            name = "/" + name.lstrip("/") if name.startswith("//") else name
        if not name or name == ":memory:" or "mode=memory" in query:
            return
        full = self._full(name)
        if full is None:
            return
        if "mode=ro" not in query and "immutable=1" not in query:
            self._contain(full, "opening the database")
        self._databases.update((full, full + "-wal", full + "-shm", full + "-journal"))

    # -- recording ---------------------------------------------------------------------------------------------

    def _record(
        self,
        recorder: Recorder,
        op: str,
        key: str,
        *,
        owner: Label | None,
        takes: bool = False,
        marks: tuple[Mark, ...] = (),
        detail: dict[str, Any] | None = None,
    ) -> Access | None:
        """One access now; with `takes` the running flow becomes the owner of what has none."""
        new_owner = None
        declared = self._declared(recorder, key)
        if takes:
            new_owner = owner or self._owner(recorder, key)
            # A folder belongs to nobody for having been made by somebody: lazily made parents are shared.
            if not key.endswith("/"):
                new_owner = new_owner or recorder.served()
                if new_owner is not None:
                    self._writers.setdefault(key, new_owner)
        surface = self._patterns.get(key)
        if surface is None:
            surface = self._patterns[key] = pattern_of(key, recorder.twins)
        both = tuple(dict.fromkeys((*recorder.marks(key), *marks)))
        if owner is not None or new_owner is not None:
            detail = {**(detail or {}), "owned_by": "first-writer" if declared is None else "target"}
        return recorder.access("file", op, surface, key, owner=owner, new_owner=new_owner, marks=both, detail=detail)

    def _declared(self, recorder: Recorder, key: str) -> Label | None:
        if self._owner_of_path is None:
            return None
        if key not in self._owners:
            self._owners[key] = recorder.label(self._owner_of_path(key))
        return self._owners[key]

    def _owner(self, recorder: Recorder, key: str) -> Label | None:
        return self._declared(recorder, key) or self._writers.get(key)


_HANDLERS: dict[str, Callable[[FileProbe, Recorder, tuple[Any, ...]], None]] = {
    "open": FileProbe.opened,
    "os.rename": FileProbe.moved,
    "os.remove": FileProbe.removed,
    "os.rmdir": FileProbe.removed,
    "os.mkdir": FileProbe.made,
    "os.listdir": FileProbe.listed,
    "os.scandir": FileProbe.listed,
    "os.link": FileProbe.linked,
    "os.symlink": FileProbe.linked,
    "os.truncate": FileProbe.truncated,
    "os.chmod": FileProbe.changed,
    "os.chown": FileProbe.changed,
    "os.utime": FileProbe.changed,
    "sqlite3.connect": FileProbe.connected,
}


def _heard(event: str, args: tuple[Any, ...]) -> None:
    probe, recorder = FileProbe._active, current()
    if probe is None or recorder is None or not recorder.listening:
        return
    try:
        _HANDLERS[event](probe, recorder, args)
    except ContainmentError:
        raise
    except _Struck as struck:
        raise struck.args[0] from None
    except Exception as error:
        # An audit hook that raises breaks the bot's call: say that the probe failed, and let the call pass.
        recorder.fault("probe", f"file probe on {event}: {type(error).__name__}: {error}", harness=True)
