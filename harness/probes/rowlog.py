"""What the row probe saw, put on record: whose each row is, which canaries it carried, how a conflict ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from harness.principal import TWINS, Label
from harness.probes.connection import Link
from harness.probes.images import RowEvent, settle
from harness.probes.predicates import asked
from harness.probes.provenance import Rewritten, leaves
from harness.probes.schema import TableInfo
from harness.probes.statement import Statement
from harness.recorder import Recorder
from harness.strikes import injected
from harness.trace import Mark

SHOWN = 300
"""Characters of a statement's text kept with an access."""
KEYS = 20
"""Keys kept with one read."""

_UNIQUE = re.compile(r"(?:UNIQUE|PRIMARY KEY) constraint failed: (.*)")
_NO_TABLE = re.compile(r"no such table: (?:main\.|temp\.)?(\S+)")


class Group(msgspec.Struct):
    """The rows of one table and owner that one statement read."""

    table: TableInfo
    owner: Label | None
    owned_by: str
    filtering: bool
    keys: dict[str, None] = {}
    texts: dict[str | bytes, None] = {}


class Call(msgspec.Struct):
    """One execution under way."""

    recorder: Recorder
    link: Link
    sql: str
    statement: Statement
    groups: list[Group] | None = None
    parameters: Any = None

    def gap(self, op: str, table: str) -> dict[str, Any] | None:
        """How this execution meets a table (lower case) with no owner named (see `harness.probes.predicates`)."""
        if op not in ("read", "delete") and self.statement.kind != "update":
            return None
        gap = next((gap for gap in self.statement.gaps if gap.table == table), None)
        return None if gap is None else asked(gap, self.parameters)


class RowLog:
    """Records accesses of the sink ``row``. `owners` maps owner and place columns (lower case) to the principal's
    field; `declared` are those that make a table tenant-scoped."""

    def __init__(self, listener: Callable[[RowEvent], None] | None) -> None:
        self.owners: dict[str, str] = {}
        self.declared: frozenset[str] = frozenset()
        self._listener = listener
        self._columns: dict[tuple[str, ...], dict[str, str]] = {}
        self._writers: dict[tuple[str, str], Label] = {}
        self._labels: dict[tuple[Any, ...], Label | None] = {}
        self._telling: dict[tuple[str, ...], bool] = {}

    def begin(self) -> None:
        """Forget who wrote what in an earlier run."""
        self._writers.clear()
        self._labels.clear()
        self._telling.clear()

    def owner_columns(self, table: TableInfo) -> dict[str, str]:
        """See `RowProbe.owner_columns`."""
        told = self._told_by(table)
        return {name: field for name, field in told.items() if name.lower() in self.declared}

    def _told_by(self, table: TableInfo) -> dict[str, str]:
        known = self._columns.get(table.columns)
        if known is None:
            known = {name: self.owners[name.lower()] for name in table.columns if name.lower() in self.owners}
            self._columns[table.columns] = known
        return known

    def grouped(self, recorder: Recorder, reads: Rewritten, skip: int, values: Iterable[Any]) -> list[Group]:
        """The rows named by values of the hidden column, by table and owner; source `skip` left out."""
        groups: dict[tuple[str, Label | None, str, bool], Group] = {}
        for value in values:
            for leaf in leaves(reads, value):
                if leaf.source == skip:
                    continue
                source = reads.sources[leaf.source]
                key = ",".join(map(_text, leaf.key))
                owner, owned_by = self._owner(recorder, source.table, source.owners, leaf.owners, key)
                name = (source.table.name, owner, owned_by, source.filtering)
                group = groups.get(name)
                if group is None:
                    group = groups[name] = Group(source.table, owner, owned_by, source.filtering, {}, {})
                group.keys[key] = None
                for text in leaf.values:
                    group.texts[text] = None
        return list(groups.values())

    def reads(self, call: Call) -> None:
        """Record one read for each table and owner: what was named, what was empty, what cannot be named."""
        statement = call.statement
        opaque = list(statement.opaque)
        if statement.reads is not None and call.groups is None:
            opaque += [s.table for i, s in enumerate(statement.reads.sources) if i != statement.skip]
        for table in {table.name: table for table in opaque}.values():
            self._record(call, "read", table, "", detail={"rows": None, "shape": "opaque", "statement": statement.verb})
        if statement.reads is None or call.groups is None:
            return
        shape = {} if statement.reads.exact else {"shape": "approximate"}
        for group in call.groups:
            keys = list(group.keys)
            detail: dict[str, Any] = {"rows": len(keys), "keys": keys[:KEYS], "statement": statement.verb, **shape}
            if group.filtering:
                detail["via"] = "filter"
            marks = self._marks(call.recorder, group.texts)
            self._record(
                call, "read", group.table, keys[0], group.owner, marks=marks, owned_by=group.owned_by, detail=detail
            )
        met = {group.table.name for group in call.groups}
        for index, source in enumerate(statement.reads.sources):
            if index != statement.skip and source.table.name not in met:
                met.add(source.table.name)
                self._record(call, "read", source.table, "", detail={"rows": 0, "statement": statement.verb, **shape})

    def changed(self, call: Call, executions: list[list[RowEvent]]) -> None:
        """Record what a change did, or that it met no row."""
        statement = call.statement
        written = self.written(call, executions)
        if not written and statement.target is not None:
            op = "delete" if statement.kind == "delete" else "write"
            self._record(call, op, statement.target, "", detail={"rows": 0, "statement": statement.verb})
        if statement.returning:
            self.returned(call, written)

    def written(self, call: Call, executions: list[list[RowEvent]]) -> list[RowEvent]:
        """Record the images of executions that succeeded, each settled by itself."""
        everything: list[RowEvent] = []
        for events in executions:
            written, swallowed = settle(events)
            for event in written:
                self._write(call, event)
            for conflict in swallowed:
                columns = [f"{conflict.table.name}.{name}" for name in _unique_columns(conflict)]
                self._conflict(call, conflict, columns, {"swallowed": True, "error": "IntegrityError"})
            everything += written
        return everything

    def _write(self, call: Call, event: RowEvent) -> None:
        if self._listener is not None:
            self._listener(event)
        recorder, table, statement = call.recorder, event.table, call.statement
        key = _key(table, event.old or event.new or {})
        owner, owned_by = self._owner_of(recorder, event, event.old, key)
        changed = event.changed()
        if event.new is None:
            new_owner = None
            self._writers.pop((table.name, key), None)
        else:
            new_key = _key(table, event.new)
            writer = self._writers.pop((table.name, key), None) or recorder.served()
            if writer is not None:
                self._writers[(table.name, new_key)] = writer
            new_owner, owned_by = self._owner_of(recorder, event, event.new, new_key)
        texts = {
            value: None
            for image in (event.new, event.old)
            if image is not None
            for value in (image[name] for name in changed)
            if isinstance(value, (str, bytes)) and value
        }
        replaced = statement.verb == "replace" or event.op == "replace"
        self._record(
            call,
            "delete" if event.new is None else "write",
            table,
            key,
            owner,
            new_owner,
            marks=self._marks(recorder, texts),
            owned_by=owned_by,
            detail={"statement": "replace" if replaced else event.op, "columns": list(changed), "rows": 1},
        )

    def returned(self, call: Call, written: list[RowEvent]) -> None:
        """RETURNING shows the caller the rows it wrote, as they are after an insert or update."""
        for event in written:
            image = event.new if event.new is not None else event.old
            # Not by identity: a statement learnt from another run has a table of its own.
            if image is None or event.table != call.statement.target or event.op == "replace":
                continue
            key = _key(event.table, image)
            owner, owned_by = self._owner_of(call.recorder, event, event.old or event.new, key)
            texts = {value: None for value in image.values() if isinstance(value, (str, bytes)) and value}
            detail = {"rows": 1, "keys": [key], "via": "returning", "statement": call.statement.verb}
            marks = self._marks(call.recorder, texts)
            self._record(call, "read", event.table, key, owner, marks=marks, owned_by=owned_by, detail=detail)

    def failed(self, call: Call, error: Exception, done: list[list[RowEvent]], last: list[RowEvent]) -> None:
        """The statement failed: what an earlier execution of it wrote stays, the rest was rolled back by SQLite."""
        if call.statement.resolution == "fail":
            done = [*done, [event for event in last if event.op != "conflict"]]
        self.written(call, done)
        about: dict[str, Any] = {"error": type(error).__name__, "message": str(error), "statement": call.statement.verb}
        if injected(error):
            about["injected"] = True
        match = _UNIQUE.search(str(error))
        if match is not None:
            columns = match.group(1).split(", ")
            hits = [
                e for e in last if e.op == "conflict" and [f"{e.table.name}.{c}" for c in _unique_columns(e)] == columns
            ]
            if hits:
                self._conflict(call, hits[-1], columns, about)
                return
            about["constraint"] = [column.rpartition(".")[2] for column in columns]
            surface = columns[0].rpartition(".")[0] or (call.statement.target.name if call.statement.target else "")
            if surface:
                self._record(call, "error", surface, ", ".join(columns), detail=about)
            return
        missing = _NO_TABLE.search(str(error))
        if missing is not None:
            surfaces: list[str] = [missing.group(1)]
        elif call.statement.target is not None:
            surfaces = [call.statement.target.name]
        else:
            surfaces = list(call.statement.named)
        for surface in surfaces:
            self._record(call, "error", surface, "", detail=about)

    def _conflict(self, call: Call, conflict: RowEvent, columns: list[str], about: dict[str, Any]) -> None:
        key = _key(conflict.table, conflict.old or {})
        owner, owned_by = self._owner_of(call.recorder, conflict, conflict.old, key)
        detail = {**about, "constraint": [column.rpartition(".")[2] for column in columns], "row": key}
        detail.setdefault("statement", call.statement.verb)
        self._record(call, "error", conflict.table, ", ".join(columns), owner, owned_by=owned_by, detail=detail)

    # owners and marks

    def _owner_of(
        self, recorder: Recorder, event: RowEvent, image: dict[str, Any] | None, key: str
    ) -> tuple[Label | None, str]:
        names = tuple(self._told_by(event.table))
        if image is None:
            return None, "columns" if self._tells(recorder, names) else "first-writer"
        return self._owner(recorder, event.table, names, tuple(image[name] for name in names), key)

    def _owner(
        self, recorder: Recorder, table: TableInfo, names: tuple[str, ...], values: tuple[Any, ...], key: str
    ) -> tuple[Label | None, str]:
        told = (names, values)
        if told not in self._labels:
            identity: dict[str, str | None] = {}
            for name, value in zip(names, values, strict=True):
                identity[self.owners[name.lower()]] = None if value is None else _text(value)
            # A platform is shared by all who are on it: it tells whose row it is only together with the chat.
            chats = (recorder.twins.a.chat, recorder.twins.b.chat)
            if "platform" in identity and "chat" in identity and identity["chat"] not in chats:
                del identity["platform"]
            self._labels[told] = recorder.label(identity)
        label = self._labels[told]
        if label in TWINS or self._tells(recorder, names):
            return label, "columns"
        # No column tells these twins apart: all that is known is who wrote the row first.
        return self._writers.get((table.name, key)), "first-writer"

    def _tells(self, recorder: Recorder, names: tuple[str, ...]) -> bool:
        """Whether the columns are owner columns, and of twins under one tenant one of them tells."""
        known = self._telling.get(names)
        if known is None:
            known = self._telling[names] = self._told_apart(recorder, names)
        return known

    def _told_apart(self, recorder: Recorder, names: tuple[str, ...]) -> bool:
        twins = recorder.twins
        fields = {self.owners[name.lower()] for name in names if name.lower() in self.declared}
        if twins.a.tenant != twins.b.tenant:
            return bool(fields)
        return any(getattr(twins.a, field) != getattr(twins.b, field) for field in fields)

    def _marks(self, recorder: Recorder, texts: Iterable[str | bytes]) -> tuple[Mark, ...]:
        """One pass over the joined texts; blobs each by themselves."""
        joined = "\n".join(text for text in texts if isinstance(text, str))
        return recorder.marks(joined, *(text for text in texts if isinstance(text, bytes)))

    def _record(
        self,
        call: Call,
        op: str,
        table: TableInfo | str,
        key: str,
        owner: Label | None = None,
        new_owner: Label | None = None,
        *,
        marks: tuple[Mark, ...] = (),
        owned_by: str = "",
        detail: dict[str, Any],
    ) -> None:
        name = table if isinstance(table, str) else table.name
        scoped = call.statement.scoped.get(name.lower())
        if scoped is not None:
            detail["scoped"] = scoped
        if scoped is False and (gap := call.gap(op, name.lower())) is not None:
            detail["unscoped"] = gap
        if owned_by:
            detail["owned_by"] = owned_by
        if isinstance(table, TableInfo) and table.database == "temp":
            detail["temporary"] = True
        detail["sql"] = call.sql[:SHOWN]
        call.recorder.access("row", op, name, key, owner=owner, new_owner=new_owner, marks=marks, detail=detail)


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _key(table: TableInfo, image: dict[str, Any]) -> str:
    return ",".join(_text(image[name]) for name in table.key_columns())


def _unique_columns(event: RowEvent) -> tuple[str, ...]:
    return event.unique.columns if event.unique is not None else ()
