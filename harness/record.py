"""The record of a campaign: everything the report writers may know. Plain data, one field for each report part."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.riskmap import Documents
from harness.trace import Site

OutcomeName = Literal["met", "broken", "inert", "not_exercised"]
VerdictName = Literal["open", "closed", "inert", "not_exercised", "not_applicable", "waived"]


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What ran, on what, and when: `started` is UTC, ISO 8601 to the second, empty in records of before there was one.
    `seconds` is wall time. `hidden`, `shared` and `regions` are what the target declares. `documented` is false where
    the documents that the risk map quotes speak of another bot."""

    target: str
    target_version: str
    harness_version: str
    profile: str
    seed: int
    python: str
    plans: int
    steps: int
    seconds: float
    overlays: tuple[str, ...] = ()
    overlap: float = 0.0
    hidden: tuple[dict[str, str], ...] = ()
    shared: tuple[dict[str, str], ...] = ()
    regions: tuple[dict[str, str], ...] = ()
    environment: dict[str, str] = {}
    interrupted: bool = False
    started: str = ""
    documented: bool = True


class CellRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as measured. `count` accesses, by which twins (`twins`), whether the positive control held (None: not
    reached), and its state (a verdict name)."""

    sink: str
    entry: str
    dimension: str
    predicate: str
    count: int
    control: bool | None
    state: VerdictName
    twins: tuple[str, ...] = ()
    why: str = ""


class ItemRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An item with its verdict and the reason in one sentence."""

    id: str
    group: str
    module: str
    verdict: VerdictName
    why: str
    findings: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    cells: tuple[CellRecord, ...] = ()
    defect: str = ""
    mitigation: str = ""
    documents: Documents = Documents()
    waiver: dict[str, str] | None = None


class MatrixCell(msgspec.Struct, frozen=True, kw_only=True):
    """Accesses and findings of one sink on one entry; the same by dimension in which the twins of the plan differed (a
    finding counts in each dimension that showed it). Empty in records of before they were kept apart."""

    sink: str
    entry: str
    accesses: int
    findings: int
    accesses_by: dict[str, int] = {}
    findings_by: dict[str, int] = {}


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a witness's two-lane timeline. `lane` is `A`, `B` or `-`; `kind` step, access, switch or
    violation; `text` a sentence; `at` virtual seconds."""

    lane: str
    kind: str
    at: float
    text: str
    site: Site | None = None


class ProvenanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One link of how a violating access came to be: a ``step`` (or ``start``), the ``task``, ``timer``, ``callback``,
    ``executor`` job or ``queue`` item made on the way, an ``access``, at last the ``violation``. `who` made it (`-`:
    the bot itself), `context` is the bot's context that it runs in (of a queued item: of who put it); `parted` where
    that ceased to be the flow's."""

    kind: str
    who: str
    context: str
    text: str
    site: Site = Site("", 0, "")
    parted: bool = False


class FindingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with its witness. `witness` is a path relative to the output folder; `steps` and `deviations` count
    the witness's; `entries` and `dimensions` all that reached it; `replays` how many replays showed it (of how many).
    `rules` are all that showed it, `rule` first; `shows` says where, as ``rule: sink surface at path:function``;
    `reaches` are places the same data showed in later on. `confirmed_by` are the fix overlays under which it vanished
    in this run: a change of the bot's code that closes it proves that it is there. `provenance` tells of a finding of
    a lost or swapped context how the code came to run there, and where flow and context parted."""

    fingerprint: str
    rule: str
    sink: str
    entry: str
    dimension: str
    source: str
    observer: str
    surface: str
    key: str
    site: Site
    items: tuple[str, ...]
    message: str
    witness: str
    steps: int
    deviations: int
    delays_only: bool
    entries: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    occurrences: int = 0
    replays: tuple[int, int] = (0, 0)
    timeline: tuple[TimelineEvent, ...] = ()
    stack: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    confirmed_by: tuple[str, ...] = ()
    provenance: tuple[ProvenanceRecord, ...] = ()


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong, where, how often; `harness` when the harness caused it."""

    kind: str
    message: str
    where: str = ""
    count: int = 1
    harness: bool = False


class OverlayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What an overlay showed. `killed`: a fault was found (a fix made its finding vanish); `right_rule`: by the rule
    it names (the fix left everything else as it was). Of a control: both twins reached it; no rule spoke. `closes` are
    the findings of a fix that vanished under it. `plans` were played under the overlay until it was decided (as pairs
    where the rule holds runs against each other); `opens` are the items that the finding which killed a fault belongs
    to, `fingerprint` is that finding's, and `witness` the plan, as JSON, that shows it."""

    name: str
    kind: str
    rule: str
    items: tuple[str, ...]
    killed: bool
    right_rule: bool
    detail: str = ""
    witness: str = ""
    steps: int = 0
    deviations: int = 0
    closes: tuple[str, ...] = ()
    plans: int = 0
    opens: tuple[str, ...] = ()
    fingerprint: str = ""


class Soundness(msgspec.Struct, frozen=True, kw_only=True):
    """How far the harness can be believed. `bound95` is 3/n for n clean plans without a false positive.
    `controls` (odd but right behaviours tried) and `false_positives` are None where a run did not measure them.
    `pairs` counts ``plans`` that were played as pairs, those that were played ``behind`` known leaks, and how
    often that was ``equal``, ``moved``, ``explained``, ``differs`` or ``lost`` (`harness.pairs.Pair`). `median_plans`
    were played until a fault was found, `median_steps` and `median_deviations` has what shows it (None: no fault was
    found); `hardest` names the faults that took the most, `astray` those that were found only by what belongs to none
    of the items they stand for."""

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


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """Measured figures; None where a run did not measure them."""

    plans_per_second: float | None = None
    overhead_ratio: float | None = None
    fork_ms: float | None = None


class UnclaimedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A place that tenants reach and no risk item claims. `holding` says in words how much of the tenants was seen
    there, `twins` which of them reached it, `site` where that happened first."""

    sink: str
    surface: str
    entries: tuple[str, ...]
    accesses: int
    holding: str
    twins: tuple[str, ...] = ()
    site: Site = Site("", 0, "")


class ClaimRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One claim of a requirement, with its cells as measured and the reason in words."""

    about: str
    outcome: OutcomeName
    why: str
    cells: tuple[CellRecord, ...] = ()


class RequirementRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the documents ask of verification, and what became of it. `findings` are those that break it."""

    id: str
    number: int
    text: str
    source: str
    outcome: OutcomeName
    why: str
    findings: tuple[str, ...] = ()
    claims: tuple[ClaimRecord, ...] = ()


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A function or route that the harness found and called: how many calls were served and not served with one's own
    things (`own`, `own_failed`), with the other's (`crossed`, `crossed_failed`) and with no context (`bare`,
    `bare_failed`). A refusal of the other's says something only where `own` is not 0."""

    entry: str
    name: str
    own: int = 0
    own_failed: int = 0
    crossed: int = 0
    crossed_failed: int = 0
    bare: int = 0
    bare_failed: int = 0


class UnservedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was tried so many times (`tries`) and never once ended well, so that nothing behind it was
    exercised: an action of the target, or a found function or route (`call`). `outcomes` counts how the tries ended,
    `error` is what was said most often, with ids and secrets by name."""

    entry: str
    name: str
    tries: int
    outcomes: dict[str, int]
    error: str = ""
    call: bool = False


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All of one campaign. `witnesses` maps fingerprints to the shrunk plan's JSON."""

    run: RunInfo
    items: tuple[ItemRecord, ...]
    matrix: tuple[MatrixCell, ...]
    findings: tuple[FindingRecord, ...]
    errors: tuple[ErrorRecord, ...]
    soundness: Soundness
    performance: Performance
    unclaimed: tuple[UnclaimedRecord, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    unserved: tuple[UnservedRecord, ...] = ()
    requirements: tuple[RequirementRecord, ...] = ()
    witnesses: dict[str, bytes] = {}
