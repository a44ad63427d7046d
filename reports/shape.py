"""The types of `report.json`: its published schema (`reports/schema/report-1.schema.json`) is made from them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from harness.record import (
    ErrorRecord,
    MatrixCell,
    OutcomeName,
    OverlayRecord,
    Performance,
    RunInfo,
    UnservedRecord,
    VerdictName,
)
from harness.riskmap import Documents
from reports.contradictions import Contradictions
from reports.verdict_line import Headline


class CodeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the bot's code; `hit` on the line of the violating access."""

    number: int
    text: str
    hit: bool = False


class SiteReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where in the bot. `code` is empty when the source was not at hand."""

    file: str
    line: int
    function: str
    code: tuple[CodeLine, ...] = ()


class EventReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a finding's timeline: `lane` A, B or -, `kind` step, access, switch or violation, `at` in virtual
    seconds."""

    lane: str
    kind: str
    at: float
    text: str
    site: SiteReport | None = None


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as measured; `control` is null when it was not reached."""

    sink: str
    entry: str
    dimension: str
    predicate: str
    count: int
    control: bool | None
    state: VerdictName
    twins: tuple[str, ...] = ()
    why: str = ""


class ItemReport(msgspec.Struct, frozen=True, kw_only=True):
    """A risk item. `overlays` name what stands for it; `against` holds what was measured against the documents."""

    id: str
    group: str
    module: str
    verdict: VerdictName
    why: str
    findings: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    cells: tuple[CellReport, ...] = ()
    defect: str = ""
    mitigation: str = ""
    documents: Documents = Documents()
    against: Literal["worse", "better", "as said", "unmeasured"] = "unmeasured"
    waiver: dict[str, str] | None = None


class ProvenanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """One link of how code came to run without its context, or in another's: what was made (`kind` step, start, task,
    timer, callback, executor, thread, queue, access, violation), by whom (`-`: the bot itself), under which context;
    `parted` where that ceased to be the flow's."""

    kind: str
    who: str
    context: str
    text: str
    site: SiteReport | None = None
    parted: bool = False


class FindingReport(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with its witness. `plan` is the witness itself (null when redacted), `replay` the command that shows
    it again, `asvs` the controls of OWASP ASVS 5.0 it breaks. One root cause is one finding: `rules` are all that
    showed it, the most telling (`rule`) first, and `shows` says where each did. `confirmed_by` are the fix overlays
    under which it vanished in this run. `provenance` is told of findings of a lost or swapped context."""

    fingerprint: str
    rule: str
    title: str
    sink: str
    entry: str
    dimension: str
    source: str
    observer: str
    surface: str
    key: str
    site: SiteReport
    items: tuple[str, ...]
    message: str
    meaning: str
    asvs: tuple[str, ...]
    witness: str
    replay: str
    steps: int
    deviations: int
    delays_only: bool
    waived: bool = False
    entries: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    occurrences: int = 0
    replays: tuple[int, int] = (0, 0)
    timeline: tuple[EventReport, ...] = ()
    stack: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    confirmed_by: tuple[str, ...] = ()
    provenance: tuple[ProvenanceReport, ...] = ()
    plan: dict[str, Any] | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Items by verdict; findings; findings beyond the baseline."""

    open: int
    closed: int
    inert: int
    not_exercised: int
    not_applicable: int
    waived: int
    findings: int
    findings_open: int


class WaiverReport(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline entry held against this run."""

    subject: str
    owner: str
    reason: str
    until: str
    state: Literal["active", "expired", "unknown", "unneeded"]
    why: str


class UnclaimedReport(msgspec.Struct, frozen=True, kw_only=True):
    """A place that tenants reach and no risk item claims: no leak, but nobody said what should hold there. `holding`
    says how much of the tenants was seen there."""

    sink: str
    surface: str
    entries: tuple[str, ...]
    accesses: int
    holding: str
    twins: tuple[str, ...] = ()
    site: SiteReport


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """A function or route that was found and called: calls served and not served with one's own things, with the
    other's, and with no context. A refusal of the other's says something only where one's own call was served."""

    entry: str
    name: str
    own: int
    own_failed: int
    crossed: int
    crossed_failed: int
    bare: int
    bare_failed: int


class ClaimReport(msgspec.Struct, frozen=True, kw_only=True):
    """One claim of a demand, with the cells it was measured by."""

    about: str
    outcome: OutcomeName
    why: str
    cells: tuple[CellReport, ...] = ()


class RequirementReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot's documents ask of verification, and what became of it: ``met``, ``broken`` (by `findings`),
    ``inert`` or ``not_exercised``, with the reason."""

    id: str
    number: int
    text: str
    source: str
    outcome: OutcomeName
    why: str
    findings: tuple[str, ...] = ()
    claims: tuple[ClaimReport, ...] = ()


class SoundnessReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far the harness can be believed; `bound95` is the 95 % bound on false positives a clean plan, `pairs` counts
    plans played as pairs and what came of it. `median_plans` were played until a fault was found, `median_steps` and
    `median_deviations` has what shows it; `hardest` names the faults that took most, `astray` those that were found
    only by what belongs to none of the items they stand for."""

    faults: int = 0
    killed: int = 0
    right_rule: int = 0
    controls: int | None = None
    false_positives: int | None = None
    clean_plans: int = 0
    bound95: float | None = None
    probes: dict[str, bool] = {}
    overlays: tuple[OverlayRecord, ...] = ()
    pairs: dict[str, int] = {}
    median_plans: int | None = None
    median_steps: int | None = None
    median_deviations: int | None = None
    hardest: tuple[str, ...] = ()
    astray: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of report.json."""

    schema: Literal["isolation-report/1"]
    verdict: Headline
    run: RunInfo
    summary: Summary
    items: tuple[ItemReport, ...]
    matrix: tuple[MatrixCell, ...]
    findings: tuple[FindingReport, ...]
    requirements: tuple[RequirementReport, ...] = ()
    unclaimed: tuple[UnclaimedReport, ...] = ()
    calls: tuple[CallReport, ...] = ()
    unserved: tuple[UnservedRecord, ...] = ()
    waivers: tuple[WaiverReport, ...] = ()
    errors: tuple[ErrorRecord, ...] = ()
    soundness: SoundnessReport = SoundnessReport()
    performance: Performance = Performance()
    contradictions: Contradictions = Contradictions()
    redacted: bool = False
