"""The ledger of in-process state: who wrote each cell first, and how an operation on one becomes an access."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from harness import recorder as _recorder
from harness.flow import FLOW, Flow, identity
from harness.principal import NESTING, Label
from harness.probes._memos import is_digest_of
from harness.probes._places import Cell, Place, Verbatim
from harness.probes._text import Identities, cut, identities_of, key_text, render
from harness.recorder import Recorder
from harness.trace import Access, Mark

OwnerOfKey = Callable[[str, str], Mapping[str, str | None] | None]

BULK = 8
"""An `update` or `extend` of more cells than this is recorded once for each owner it met."""

LEVELS = 8
"""Keys of a contained dict that are looked at to tell a further level of identities from data."""

_HERE = str(Path(__file__).resolve().parent)


Item = tuple[Any, Any]
"""Key (or index) and value."""


class Ledger:
    """Keeps every cell's owner in this run and records operations through the current recorder."""

    def __init__(self, owner_of_key: OwnerOfKey | None = None) -> None:
        self.numbers = itertools.count()
        self._owner_of_key = owner_of_key
        self._declared: dict[tuple[str, str], Label | None] = {}
        self._touched: dict[int, Place] = {}
        self._repeats: dict[tuple[Any, ...], Access] = {}
        self._again_met = 0
        self._objects: dict[tuple[str, str], dict[int, int]] = {}
        self._identities: tuple[Recorder, Identities] | None = None
        self._codes: dict[int, CodeType] = {}
        self._spaces: dict[int, tuple[dict[str, Any], bool]] = {}

    def reset(self) -> None:
        """Forget every owner: a run begins."""
        for place in self._touched.values():
            place.cells.clear()
        self._touched.clear()
        self._repeats.clear()
        self._declared.clear()
        self._objects.clear()
        self._identities = None

    def listening(self) -> Recorder | None:
        """The recorder, or None when nothing is to be recorded."""
        recorder = _recorder.current()
        return recorder if recorder is not None and recorder.listening else None

    def quiet(self) -> AbstractContextManager[None]:
        """Nothing that happens in the body is recorded."""
        recorder = _recorder.current()
        return recorder.muted() if recorder is not None else nullcontext()

    # -- one cell -----------------------------------------------------------------------------------------------

    def read(
        self, place: Place, key: Any, value: Any, *, scan: bool = True, only_known: bool = False, worked: bool = False,
        derived: bool = False,
    ) -> None:  # fmt: skip
        """A cell was read. Without `scan` only its presence showed (a membership test). `worked`: the reader would have
        worked out the very value itself, as it would a digest of the key. `derived`: see `write`."""
        recorder = self.listening()
        if recorder is None:
            return
        ambient = recorder.ambient()
        label = recorder.served(ambient)
        cell = self._find(place, key, value, label)
        if cell is None and only_known:
            return
        text = place.text(key)
        repeat = self._repeat(place, "read", text, ambient)
        if self._again(repeat):
            return
        owner, owned_by = self._owner(recorder, place, text, cell)
        marks: tuple[Mark, ...] = ()
        if scan and (cell is None or cell.strange_to(label, owner)):
            rendered = render(value)
            marks = recorder.marks(rendered.text, *rendered.blobs)
        more = self._telling(recorder, place, [value] if marks else [])
        if worked or (not place.indexed and is_digest_of(value, key)):
            more["worked"] = True
        if derived:
            more["derived"] = True
        self._record(recorder, ambient, "read", place, text, owner, None, marks, owned_by, cell, value, repeat, more)

    def write(
        self,
        place: Place,
        key: Any,
        value: Any,
        *,
        op: str = "write",
        told: Callable[[tuple[Mark, ...]], Flow | None] | None = None,
        more: dict[str, Any] | None = None,
        added: bool = False,
        derived: bool = False,
    ) -> None:
        """A cell got `value`. Where the running code is not the writer, `told` says of the canaries in what was written
        in which flow it may have been; lineage is no proof there. `added`: an element more, in nobody's place.
        `derived`: the value was worked out of the key alone, and says nothing that does not stand there."""
        place.dirty = True
        recorder = self.listening()
        if recorder is None:
            return
        ambient = recorder.ambient()
        rendered = render(value)
        text, blobs = rendered.text, rendered.blobs
        if not place.indexed and type(key) is not Verbatim:
            named = render(key)
            text, blobs = named.text + text, (*named.blobs, *blobs)
        marks = recorder.marks(text, *blobs)
        flow = told(marks) if told is not None else None
        label = recorder.served(ambient) if more is None else flow.actor if flow is not None else None
        cell = None if place.indexed else self._find(place, key, value, label)
        where = place.text(key)
        owner, owned_by = self._owner(recorder, place, where, cell)
        new = self._store(place, key, value, label, rendered.digest(), marks, cell)
        after = owner if owned_by == "target" else new.owner
        if added:
            more = {**(more or {}), "added": True}
        if derived:
            more = {**(more or {}), "derived": True}
        token = FLOW.set(flow or FLOW.get())
        try:
            self._record(recorder, ambient, op, place, where, owner, after, marks, owned_by, new, value, None, more)
        finally:
            FLOW.reset(token)

    def delete(
        self, place: Place, key: Any, value: Any, *, more: dict[str, Any] | None = None, handed: bool = False
    ) -> None:
        """A cell that held `value` is gone. `handed`: the running code has got it for that."""
        place.dirty = True
        recorder = self.listening()
        if recorder is None:
            return
        ambient = recorder.ambient()
        label = None if more is not None else recorder.served(ambient)
        cell = self._find(place, key, value, label)
        text = place.text(key)
        owner, owned_by = self._owner(recorder, place, text, cell)
        marks: tuple[Mark, ...] = ()
        if cell is not None and {cell.by, owner} != {label}:
            rendered = render(value)
            marks = recorder.marks(rendered.text, *rendered.blobs)
        more = {**(more or {}), **self._telling(recorder, place, [value] if marks else [])}
        if handed:
            more["handed"] = True
        self._record(recorder, ambient, "delete", place, text, owner, None, marks, owned_by, cell, value, None, more)
        self._forget(place, key, value, label)

    def replace(self, place: Place, index: int, former: Any, value: Any) -> None:
        """An element of a list was overwritten: the write meets the former element's owner."""
        recorder = self.listening()
        if recorder is None:
            place.dirty = True
            return
        label = recorder.served()
        cell = self._find(place, index, former, label)
        if cell is not None and cell.owner != label:
            self.delete(place, index, former)
        elif cell is not None:
            self._forget(place, index, former, label)
        self.write(place, index, value)

    # -- many cells ---------------------------------------------------------------------------------------------

    def iterate(self, place: Place, items: Iterable[Item], *, op: str = "iterate") -> None:
        """All of `items` were met at once (`op` iterate) or removed at once (`op` delete): one access for each
        distinct owner, with the marks of that owner's cells and the key of the first."""
        if op == "delete":
            place.dirty = True
        recorder = self.listening()
        if recorder is None:
            return
        ambient = recorder.ambient()
        label = recorder.served(ambient)
        repeat = self._repeat(place, op, "*", ambient)
        if op == "iterate" and self._again(repeat):
            return
        groups: dict[Label | None, list[tuple[Any, Any, Cell | None, str]]] = {}
        for key, value in items:
            cell = self._find(place, key, value, label)
            owner, owned_by = self._owner(recorder, place, place.text(key), cell)
            groups.setdefault(owner, []).append((key, value, cell, owned_by))
        for owner in sorted(groups, key=lambda name: name or ""):
            met = groups[owner]
            key, value, cell, owned_by = met[0]
            marks: tuple[Mark, ...] = ()
            strange = [c.strange_to(label, owner) for _, _, c, _ in met if c is not None]
            if owner != label or any(strange):
                rendered = render(*(part for k, v, _, _ in met for part in ((v,) if place.indexed else (k, v))))
                marks = recorder.marks(rendered.text, *rendered.blobs)
            values = [v for _, v, _, _ in met] if marks else []
            more = {"cells": len(met), **self._telling(recorder, place, values)}
            text = place.text(key)
            self._record(recorder, ambient, op, place, text, owner, None, marks, owned_by, cell, value, repeat, more)
            if op == "delete":
                for k, v, _, _ in met:
                    self._forget(place, k, v, label)

    def fill(self, place: Place, items: list[Item]) -> None:
        """All of `items` were written at once; to a list or deque they are added."""
        place.dirty = True
        if len(items) <= BULK:
            for key, value in items:
                self.write(place, key, value, added=place.indexed)
            return
        recorder = self.listening()
        if recorder is None:
            return
        ambient = recorder.ambient()
        label = recorder.served(ambient)
        groups: dict[Label | None, list[tuple[Any, Any, str]]] = {}
        for key, value in items:
            cell = None if place.indexed else self._find(place, key, value, label)
            owner, owned_by = self._owner(recorder, place, place.text(key), cell)
            groups.setdefault(owner, []).append((key, value, owned_by))
        for owner in sorted(groups, key=lambda name: name or ""):
            met = groups[owner]
            rendered = render(*(part for k, v, _ in met for part in ((v,) if place.indexed else (k, v))))
            marks = recorder.marks(rendered.text, *rendered.blobs)
            for k, v, _ in met:
                found = None if place.indexed else self._find(place, k, v, label)
                last = self._store(place, k, v, label, rendered.digest(), marks, found)
            key, value, owned_by = met[0]
            after = owner if owned_by == "target" else last.owner
            more = {"cells": len(met), **({"added": True} if place.indexed else {})}
            text = place.text(key)
            self._record(
                recorder, ambient, "write", place, text, owner, after, marks, owned_by, last, value, None, more
            )

    def seed(self, place: Place, items: Iterable[Item], label: Label | None) -> None:
        """The cells were there before the place was watched; `label` wrote them, as far as is known."""
        if label is None or self.listening() is None:
            return
        for key, value in items:
            self._store(place, key, value, label, "", (), None)

    def owner_of(self, place: Place, key: Any, value: Any) -> Label | None:
        """Who wrote the present value of the cell, as far as is known."""
        cell = self._find(place, key, value, None)
        return cell.by if cell is not None else None

    def is_strangers(self, place: Place, key: Any) -> bool:
        """Whether the cell was last written for another than the running code works for."""
        recorder = self.listening()
        cell = place.cells.get(key)
        return recorder is not None and cell is not None and cell.by != recorder.served()

    def recorded(self) -> int:
        """How many accesses have been recorded so far, each repeat by itself."""
        recorder = _recorder.current()
        return len(recorder.accesses) + self._again_met if recorder is not None else 0

    def says_no_more(self, value: Any, *given: Any) -> bool:
        """Whether every canary and every twin's id in `value` stands in `given` as well. False while nobody listens."""
        recorder = self.listening()
        if recorder is None:
            return False
        said, known = render(value), render(*given)
        marks, theirs = (
            {(m.label, m.slot) for m in recorder.marks(one.text, *one.blobs)} for one in (said, known)
        )  # fmt: skip
        names, others = (set(self._named(recorder, one.text)["own"]) for one in (said, known))
        return marks <= theirs and names <= others

    # -- inside -------------------------------------------------------------------------------------------------

    def _find(self, place: Place, key: Any, value: Any, label: Label | None) -> Cell | None:
        cells = place.cells
        if not cells:
            return None
        if not place.indexed:
            return cells.get(key)
        # Equal small objects are one object: prefer the reader's own entry of it.
        for writer in (label, "A", "B", None):
            cell = cells.get((identity(value), writer))
            if cell is not None:
                return cell
        return None

    def _store(
        self,
        place: Place,
        key: Any,
        value: Any,
        label: Label | None,
        digest: str,
        marks: tuple[Mark, ...],
        cell: Cell | None,
    ) -> Cell:
        place.version += 1
        self._touched[place.number] = place
        kind = type(value).__name__
        if place.indexed:
            new = Cell(label, label, digest, kind, value)
            place.cells[(identity(value), label)] = new
            return new
        if cell is None:
            cell = place.cells[key] = Cell(label, label, digest, kind)
            return cell
        if value is None and isinstance(key, Verbatim):
            cell.owner = None  # an attribute set back to None is free again
        elif label is None and not marks:
            cell.owner = None  # written by nobody and about nobody: as at boot
        elif cell.owner is None:
            cell.owner = label
        cell.by, cell.digest, cell.kind, cell.lent = label, digest, kind, False
        return cell

    def _forget(self, place: Place, key: Any, value: Any, label: Label | None) -> None:
        place.version += 1
        if not place.indexed:
            place.cells.pop(key, None)
            return
        for writer in (label, "A", "B", None):
            if place.cells.pop((identity(value), writer), None) is not None:
                return

    def _owner(self, recorder: Recorder, place: Place, text: str, cell: Cell | None) -> tuple[Label | None, str]:
        if self._owner_of_key is not None:
            asked = (place.surface, text)
            if asked in self._declared:
                declared = self._declared[asked]
            else:
                with recorder.muted():
                    declared = recorder.label(self._owner_of_key(*asked))
                self._declared[asked] = declared
            if declared is not None:
                return declared, "target"
        return (cell.owner if cell is not None else None), "first-writer"

    def _record(
        self,
        recorder: Recorder,
        ambient: Label,
        op: str,
        place: Place,
        text: str,
        owner: Label | None,
        new_owner: Label | None,
        marks: tuple[Mark, ...],
        owned_by: str,
        cell: Cell | None,
        value: Any,
        repeat: tuple[Any, ...] | None,
        more: dict[str, Any] | None = None,
    ) -> None:
        detail: dict[str, Any] = {
            "owned_by": owned_by,
            "value_type": type(value).__name__,
            "digest": cell.digest if cell is not None else "",
            "by": cell.by if cell is not None else None,
            "identity": self._named(recorder, text),
        }
        if isinstance(value, (dict, list, set, deque)):
            detail["nests"] = self._nesting(recorder, value)
        if more:
            detail.update(more)
        if "[]." in place.surface and text == place.prefix:
            # Objects come and go in a container; what two of them kept, one after the other at one place, never met.
            objects = self._objects.setdefault((place.surface, text), {})
            if nth := objects.setdefault(place.number, len(objects)):
                detail["object"] = nth
        access = recorder.access(
            "key", op, place.surface, cut(text), owner=owner, new_owner=new_owner, marks=marks, detail=detail,
            ambient=ambient,
        )  # fmt: skip
        if repeat is not None and access is not None:
            self._repeats[repeat] = access

    def _named(self, recorder: Recorder, text: str) -> dict[str, list[str]]:
        if self._identities is None or self._identities[0] is not recorder:
            self._identities = (recorder, identities_of(recorder.twins))
        return self._identities[1].of(text)

    def _telling(self, recorder: Recorder, place: Place, values: Sequence[Any]) -> dict[str, Any]:
        """``{"names": labels}``: whom every one of these elements of a list or deque names, each of itself."""
        if not place.indexed or not values:
            return {}
        named = [{own.rpartition(":")[2] for own in self._named(recorder, render(v).text)["own"]} for v in values]
        labels = sorted(set.intersection(*named))
        return {"names": labels} if labels else {}

    def _nesting(self, recorder: Recorder, value: Any) -> str:
        """``levels`` where a dict's own keys are identities again, else ``container``."""
        if not isinstance(value, dict):
            return "container"
        named = [self._named(recorder, key_text(key)) for key in itertools.islice(dict.__iter__(value), LEVELS)]
        fields = [{name.partition(":")[0] for name in (*found["shared"], *found["own"])} for found in named]
        return "levels" if fields and all(field and field <= NESTING for field in fields) else "container"

    def _repeat(self, place: Place, op: str, key: str, ambient: Label) -> tuple[Any, ...]:
        """Names a read that says nothing new: same flow, same context, same code line, unchanged place."""
        frame: FrameType | None = sys._getframe(3)
        # By globals, since asking a frame for its code raises an audit event; by identity, since code hashes slowly.
        while frame is not None and self._own(frame.f_globals):
            frame = frame.f_back
        where = None
        if frame is not None:
            code = frame.f_code
            self._codes[identity(code)] = code  # held, so that its identity stays its own
            where = (identity(code), frame.f_lineno)
        flow = FLOW.get()
        return (place.number, place.version, op, key, flow.lineage, flow.step, flow.depth == 0, ambient, where)

    def _own(self, names: dict[str, Any]) -> bool:
        """Whether code with these globals is the probe's."""
        known = self._spaces.get(identity(names))
        if known is None:
            file = names.get("__file__")
            ours = isinstance(file, str) and file.startswith(_HERE)
            known = self._spaces[identity(names)] = names, ours
        return known[1]

    def _again(self, repeat: tuple[Any, ...]) -> bool:
        earlier = self._repeats.get(repeat)
        if earlier is None:
            return False
        self._again_met += 1
        earlier.detail["repeats"] = earlier.detail.get("repeats", 0) + 1
        return True
