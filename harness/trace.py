"""The trace of one run: every observed access in order, and what the run as a whole showed.

A trace is pure data. Rules, verdicts and reports read nothing else of a run.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from harness.principal import Label, Twins

SINKS = ("row", "key", "file", "config", "prompt", "outbound", "event", "log", "quota")
FAILED = frozenset(("error", "refuse"))
"""Operations that did not come about: the place failed, or the bot would not touch it for want of an identity."""


class Site(msgspec.Struct, frozen=True, array_like=True):
    """Where in the bot an access happened: path relative to the target's root, line (from 1), qualified function."""

    file: str
    line: int
    function: str


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A canary seen in an access: whose, which slot, and in which encoding (``plain``, ``base64``, ...)."""

    label: Label
    slot: str
    encoding: str = "plain"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One observation.

    `seq` orders the accesses of a run. `step` indexes the plan's steps (-1: boot or a bare timer). `actor` is the
    lineage's principal (None for boot and bare timers); `ambient` is what the bot's own context said at that
    moment (`A`, `B`, `=` the tenant that both share, `-` nothing, `?` somebody else). `direct` is true when the access
    happened in the step's own task or in what it calls, false in a task that was spawned from it: there lineage is
    evidence, not proof.
    `op` is ``read``, ``write``, ``delete``, ``iterate`` (many records met at once), ``rebind`` (a name that holds
    something else), ``error`` or ``refuse`` (see `FAILED`).
    `surface` names the place without its content: a table, container path, path pattern, config section, model
    name. `key` names the record inside it. `owner` is who owned the record before the access, as its owner
    columns, path or first writer say; `new_owner` who owns it after a write. `marks` are the canaries in what
    was read or written. `stack` indexes `Trace.stacks`. `detail` holds what a rule needs besides (the statement's
    text, the config level that answered, the recipient; `repeats` of the same read; `observed` ``between`` for a change
    that was seen by comparing states, by one of its `writers`); plain data only.
    """

    seq: int
    step: int
    actor: Label | None
    ambient: Label
    entry: str
    direct: bool
    lineage: str
    sink: str
    op: str
    surface: str
    key: str
    owner: Label | None = None
    new_owner: Label | None = None
    marks: tuple[Mark, ...] = ()
    site: Site = Site("", 0, "")
    stack: int = -1
    time: float = 0.0
    detail: dict[str, Any] = {}


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """When a step ran (access sequence numbers and virtual seconds) and how it ended: ``ok``, ``raised``, ``refused``
    (a request answered with an error), ``unmet`` (nothing to call it with), ``cancelled`` or ``contained``. `wrong`: it
    carried a wrong identity, or none. `crossed`: it was called with ids of the other principal. `call`: it called a
    function or route that the harness found by itself. `forged`: the payload fields that named the other twin, as
    ``path=field``. `lent`: the numbers that the harness handed to that call, as ``argument=number``."""

    index: int
    entry: str
    action: str
    who: Label | None
    first_seq: int
    last_seq: int
    started: float
    ended: float
    outcome: str = "ok"
    detail: str = ""
    wrong: bool = False
    crossed: bool = False
    call: bool = False
    forged: tuple[str, ...] = ()
    lent: tuple[str, ...] = ()


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong in a run: `kind` (crash, hang, containment, thread, boot, probe), message, where."""

    kind: str
    message: str
    where: str = ""
    harness: bool = False


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What running code descends from: a ``task``, ``timer``, ``callback``, ``executor`` job, ``thread`` or ``queue``
    item `what`, made at `site` in the flow `lineage` of step `step` by `actor`, with the context `ambient` to run in
    (of a queued item: its giver's). `parent` indexes `Trace.origins` (-1: the step's or the boot's own task).
    """

    kind: str
    what: str
    site: Site
    lineage: str
    step: int
    actor: Label | None
    ambient: Label
    parent: int = -1


class Begun(msgspec.Struct, frozen=True, array_like=True):
    """A wait for the outside that a step began: the `number`-th of `lineage` at `site`, when `seq` accesses had been
    recorded, in virtual second `time`."""

    lineage: str
    site: str
    number: int
    seq: int
    time: float


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of one run. `stacks` are the target's frames, innermost first, as ``path:function``.

    `observed` is what each principal could see from outside (label -> texts, in order). `choices` counts the waits
    for the outside that were begun, by ``lineage site`` (only in runs with a tape, or when asked for); `deviations` are
    those of the tape that took effect, `met` the waits they changed: (tape entry, site, number of the wait there).
    `descents` says of accesses without context, or with another's than the flow's, which of `origins` they descend
    from (-1: the step itself): by sequence number, one for each change within a lineage.
    `waits` are those of the steps in the order in which they began (only when asked for).
    """

    plan: str
    twins: Twins
    accesses: tuple[Access, ...]
    stacks: tuple[tuple[str, ...], ...] = ()
    steps: tuple[StepRecord, ...] = ()
    observed: dict[str, list[str]] = {}
    faults: tuple[Fault, ...] = ()
    choices: dict[str, int] = {}
    deviations: tuple[int, ...] = ()
    met: tuple[tuple[int, str, int], ...] = ()
    origins: tuple[Origin, ...] = ()
    descents: dict[int, int] = {}
    waits: tuple[Begun, ...] = ()
    virtual_seconds: float = 0.0
    wall_seconds: float = 0.0

    def digest(self) -> str:
        """Digest of everything that must be equal when the same plan is run again; no wall time, no line."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()

    def lines(self) -> list[str]:
        """What `digest` is of: one line for each access, in order, then what was observed and what went wrong."""
        lines = []
        for a in self.accesses:
            marks = ",".join(f"{m.label}.{m.slot}.{m.encoding}" for m in a.marks)
            lines.append(
                f"{a.step}|{a.actor}|{a.ambient}|{a.entry}|{a.lineage}|{a.sink}|{a.op}|{a.surface}|{a.key}|"
                f"{a.owner}|{a.new_owner}|{marks}|{a.site.file}:{a.site.function}|{a.time:.6f}"
            )
        for label in sorted(self.observed):
            lines.extend(f"{label}>{text}" for text in self.observed[label])
        lines.extend(f"{f.kind}:{f.message}" for f in self.faults)
        return lines
