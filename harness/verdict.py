"""Verdicts: what the measured cells, findings and overlays say of each risk item. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence

import msgspec

from harness.coverage import Coverage, Reach
from harness.finding import Finding, Place
from harness.principal import DIMENSION_FIELDS, MISSING, TWINS
from harness.record import CellRecord, ItemRecord, VerdictName
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.rules._scope import coarsest
from harness.rules.forged import RULE as FORGED
from harness.rules.interference import RULE as INTERFERENCE
from harness.target import Facts
from harness.trace import FAILED

ENOUGH = 20
"""A cell reached less often is not exercised."""

SHOWN = frozenset(("prompt", "outbound", "event", "log"))
"""Sinks where what crossed elsewhere comes out."""

CONTEXT_RULES = frozenset(("context-missing", "context-mismatch"))


def attribute(finding: Finding, riskmap: RiskMap, target: str) -> tuple[str, ...]:
    """Ids of the items a finding belongs to: at some place that one of the item's patterns matches, it shows what one
    of its cells denies: on the cell's sink (a ``context`` cell: the context rules on every sink), on the entry of one
    such cell, between twins that differ in the dimension of one, by a rule of the item. Who has no context at all has
    none whatever the twins differ in.

    One's own things touched without context, or the other's by a bot that takes one for the other, belong to items
    which speak of contexts or refusals, not to all whose data lies there; a timer's or a start-up's flow of nobody's
    brings the twins together, and belongs to items which deny that of it. Nor does a crossing belong to whatever code
    stands far above it on the stack, where the item names nothing but code."""
    return tuple(item.id for item in riskmap.items if places_of(item, item.cells, finding, target))


def places_of(item: RiskItem, cells: Sequence[Cell], finding: Finding, target: str) -> list[Place]:
    """Where the finding shows what these cells of the item deny."""
    patterns = item.places.get(target, ())
    found = []
    for place in finding.places if patterns else ():
        acts_as = place.rule == FORGED and finding.spans == "sinks"
        denying = [cell for cell in cells if _denies(cell, finding, place, acts_as)]
        if (
            any(cell.entry == place.entry for cell in denying)
            and (
                place.rule == "context-missing" or any(coarsest(place.dimension) in cell.dimension for cell in denying)
            )
            and _shown_by(item, place.rule)
            and any(_meant(pattern, place, acts_as or place.rule in CONTEXT_RULES) for pattern in patterns)
        ):
            found.append(place)
    return found


def _shown_by(item: RiskItem, rule: str) -> bool:
    """Whether the item's defect shows by that rule. What an interference names is where one was told another thing, not
    the code that made it so: it speaks of an item only where the item says so by name."""
    return any(fnmatch.fnmatchcase(rule, known) and (rule != INTERFERENCE or known == rule) for known in item.rules)


def _denies(cell: Cell, finding: Finding, place: Place, acts_as: bool) -> bool:
    """Whether the cell denies what the finding shows at this place, on whichever entry and in whichever dimension."""
    if cell.sink == "context":
        return acts_as or place.rule in CONTEXT_RULES
    if cell.sink != place.sink or acts_as:
        return False
    return place.rule != "context-missing" or cell.predicate != "apart" or finding.observer == MISSING


def _meant(pattern: Pattern, place: Place, contextual: bool) -> bool:
    """Whether the pattern means this place."""
    # Where the flow came from is what a missing context is about; what is met at rest is the matter of who met it.
    only_code = pattern.sink == "*" and pattern.surface == "*" and not contextual
    return pattern.speaks_of(place.holds) and pattern.matches(
        place.sink, place.surface, (place.site,) if only_code else place.stack
    )


class Matcher:
    """Matches an item's cells against a campaign's coverage; each distinct place is matched once an item."""

    def __init__(self, coverage: Coverage) -> None:
        self._by_sink: dict[str, list[tuple[Reach, int]]] = {}
        self._entries: dict[str, dict[str, int]] = {}
        self._wrong = coverage.wrong
        self._steps: dict[str, int] = {}
        for (entry, _, _), count in coverage.steps.items():
            self._steps[entry] = self._steps.get(entry, 0) + count
        for reach, count in coverage.counts.items():
            self._by_sink.setdefault(reach.sink, []).append((reach, count))
            twins = self._entries.setdefault(reach.entry, {})
            twins[reach.twin] = twins.get(reach.twin, 0) + count

    def of(self, patterns: Sequence[Pattern]) -> list[tuple[Reach, int]]:
        """Every kind of access that one of the patterns claims, with its count."""
        found: dict[Reach, int] = {}
        for pattern in patterns:
            sinks = self._by_sink if pattern.sink == "*" else (pattern.sink,)
            for sink in sinks:
                for reach, count in self._by_sink.get(sink, ()):
                    if reach not in found and pattern.matches(sink, reach.surface, reach.stack):
                        found[reach] = count
        return list(found.items())

    def steps(self, entry: str) -> int:
        """How many steps were played on the entry."""
        return self._steps.get(entry, 0)

    def wrong(self, entry: str) -> int:
        """How many steps on the entry carried a wrong identity or none."""
        return self._wrong.get(entry, 0)

    def tried(self, entry: str) -> bool:
        """Whether both twins were busy enough on an entry for silence there to mean something."""
        twins = self._entries.get(entry, {})
        return all(twins.get(label, 0) >= ENOUGH for label in TWINS)


def decide(
    item: RiskItem,
    *,
    facts: Facts,
    matcher: Matcher,
    findings: Mapping[str, Finding],
    attributed: Sequence[str],
    killed: Mapping[str, bool],
) -> ItemRecord:
    """The verdict of one item. `attributed` are fingerprints; `killed` maps the fault overlays that stand for the item
    to whether they were found by the right rule."""

    def record(verdict: VerdictName, why: str, cells: Sequence[CellRecord] = ()) -> ItemRecord:
        return ItemRecord(
            id=item.id, group=item.group, module=item.module, verdict=verdict, why=why, findings=tuple(attributed),
            overlays=tuple(sorted(killed)), cells=tuple(cells), defect=item.defect, mitigation=item.mitigation,
            documents=item.documents,
        )  # fmt: skip

    if item.generation != facts.generation:
        return record(
            "not_applicable", f"belongs to the {item.generation} generation; this bot claims {facts.generation}"
        )
    patterns = item.places.get(facts.name)
    if not patterns:
        return record("not_applicable", item.notes.get(facts.name) or "its module does not exist in this bot")
    reached = matcher.of(patterns)
    mine = [findings[f] for f in attributed]
    lacks = {(lack.sink, lack.entry, lack.dimension): lack.why for lack in item.lacks.get(facts.name, ())}
    shown = {cell: [p for one in mine for p in places_of(item, (cell,), one, facts.name)] for cell in item.cells}
    cells = [_without(measure(cell, reached, shown[cell], matcher, facts), lacks, reached) for cell in item.cells]
    carried = frozenset(place for finding in findings.values() for place in finding.reaches)
    cells = [_carried(cell, reached, carried, item) for cell in cells]
    if attributed:
        rules = sorted({place.rule for places in shown.values() for place in places})
        return record("open", f"{len(attributed)} finding(s): {', '.join(rules)}", cells)
    for cell in cells:
        if cell.state == "open":
            said = record("open", f"{cell.sink} on {cell.entry}: {cell.why}", cells)
            return msgspec.structs.replace(said, findings=_causes(reached, findings))
    if cells and all(cell.state == "not_applicable" for cell in cells):
        return record("not_applicable", cells[0].why, cells)
    behind = _behind(patterns, facts)
    if behind:
        return record("not_exercised", f"lies behind what the target replaces: {behind}", cells)
    for state in ("inert", "not_exercised"):
        for cell in cells:
            if cell.state == state:
                why = f"{cell.sink} on {cell.entry}: {cell.why}"
                note = item.notes.get(facts.name)
                return record(state, f"{why}. {note}" if note else why, cells)
    missed = sorted(name for name, dead in killed.items() if not dead)
    if missed:
        return record("not_exercised", f"the planted fault {missed[0]} was not found, so silence proves nothing", cells)
    named = msgspec.structs.replace(item, rules=(*item.rules, INTERFERENCE))
    for fingerprint, finding in findings.items():
        if finding.rule == INTERFERENCE and places_of(named, item.cells, finding, facts.name):
            why = f"what one twin observes there depends on the other ({fingerprint}), by whichever code made it so"
            return record("not_exercised", why, cells)
    return record("closed", "every cell reached, every control held, no rule fired", cells)


def _without(
    cell: CellRecord, lacks: Mapping[tuple[str, str, str], str], reached: Sequence[tuple[Reach, int]]
) -> CellRecord:
    """The cell, not applicable where the bot is said to have no such thing and the run does not refute it."""
    why = lacks.get((cell.sink, cell.entry, cell.dimension)) or lacks.get((cell.sink, cell.entry, ""))
    if why is None or cell.state != "not_exercised":
        return cell
    if cell.count and (cell.sink != "config" or any(r.sink == "config" and (r.held or r.crossed) for r, _ in reached)):
        return cell
    return msgspec.structs.replace(cell, state="not_applicable", why=why)


def _carried(
    cell: CellRecord, reached: Sequence[tuple[Reach, int]], carried: Collection[str], item: RiskItem
) -> CellRecord:
    """The cell, no longer closed where a finding elsewhere brought the other's data there. An item that speaks of
    nothing but what comes out is open then. Of one that speaks of what is kept as well it cannot be told whether it
    would let anything through by itself."""
    if cell.state != "closed" or cell.predicate != "apart" or cell.sink not in SHOWN:
        return cell  # of what is kept its owner is known, whatever it holds
    count = sum(
        n
        for reach, n in reached
        if reach.crossed
        and (reach.sink, reach.entry) == (cell.sink, cell.entry)
        and set(reach.dimension) <= set(cell.dimension)
        and f"{reach.sink} {reach.surface}" in carried
    )
    if not count:
        return cell
    if all(one.sink in SHOWN for one in item.cells):
        return msgspec.structs.replace(cell, state="open", why=f"the other's data came there {count} times")
    why = f"the other's data came there {count} times by a finding of another place, which hides whether this one holds"
    return msgspec.structs.replace(cell, state="not_exercised", why=why)


def _causes(reached: Sequence[tuple[Reach, int]], findings: Mapping[str, Finding]) -> tuple[str, ...]:
    """Fingerprints of the findings that lead to where a twin met the other's data in these places."""
    crossed = {f"{reach.sink} {reach.surface}" for reach, _ in reached if reach.crossed}
    return tuple(name for name, finding in findings.items() if crossed.intersection(finding.reaches))


def _behind(patterns: Sequence[Pattern], facts: Facts) -> str:
    """What hides the item, where every one of its places is a site in a module that the target replaces."""
    for hidden in facts.hidden:
        if hidden.module and all(
            fnmatch.fnmatchcase(pattern.site.partition(":")[0], hidden.module) for pattern in patterns
        ):
            return hidden.what
    return ""


def measure(
    cell: Cell,
    reached: Sequence[tuple[Reach, int]],
    shown: Sequence[Place],
    matcher: Matcher,
    facts: Facts,
) -> CellRecord:
    """One cell as measured. `shown` are the places at which findings show what it denies.

    Only twins that differ in the cell's dimensions and in nothing else show it: two agents of one tenant are not kept
    apart by a bot that keeps tenants apart.
    """
    mine = [
        (reach, count)
        for reach, count in reached
        if reach.entry == cell.entry
        and cell.sink in (reach.sink, "context")
        and set(reach.dimension) <= set(cell.dimension)
    ]
    if cell.predicate == "absent":
        mine = [(reach, n) for reach, n in mine if reach.op in ("write", "rebind", "error")]
    count = sum(n for _, n in mine)
    twins = tuple(sorted({reach.twin for reach, _ in mine if reach.twin}))
    held = {reach.twin for reach, _ in mine if reach.held}

    def record(state: VerdictName, why: str, control: bool | None) -> CellRecord:
        return CellRecord(
            sink=cell.sink, entry=cell.entry, dimension=cell.dimension, predicate=cell.predicate, count=count,
            control=control, state=state, twins=twins, why=why,
        )  # fmt: skip

    if any(
        cell.entry == place.entry
        and cell.sink in (place.sink, "context")
        and coarsest(place.dimension) in cell.dimension
        for place in shown
    ):
        return record("open", "a rule fired", bool(held) if mine else None)
    field = DIMENSION_FIELDS[coarsest(cell.dimension)]
    if field not in ("tenant", *facts.scoping) and cell.entry not in facts.speaks.get(field, ()):
        why = f"nobody acts as one {field} alone on {cell.entry}, so nothing could be told apart there"
        # Whatever was reached there was reached by the agent: of what one of them does it is not a single case.
        return msgspec.structs.replace(record("not_exercised", why, None), count=0, twins=())
    if cell.predicate == "absent":
        if mine:
            return record("open", f"written {count} times, though it must never be", None)
        if not matcher.tried(cell.entry):
            return record("not_exercised", f"never written, but {cell.entry} was hardly tried", None)
        return record("closed", "never written", None)
    if not mine:
        played = matcher.steps(cell.entry)
        why = f"never reached by {played} steps" if played else f"never reached: no step was played on {cell.entry}"
        return record("not_exercised", why, None)
    calm = [reach for reach, _ in mine if not reach.failing]
    steady = sum(n for reach, n in mine if not reach.failing)
    if not calm:
        return record("not_exercised", f"reached {count} times, but only after a failure step had struck", None)
    if all(reach.op in FAILED for reach in calm):
        how = "failed" if any(reach.op == "error" for reach in calm) else "were refused for want of a context"
        return record("inert", f"all {count} accesses {how}: the feature does not work", False)
    if steady < ENOUGH:
        broken = f" besides {count - steady} after a failure step had struck" if count > steady else ""
        return record("not_exercised", f"reached {steady} times{broken}, {ENOUGH} are wanted", bool(held))
    if cell.predicate == "registers_only":
        # A start-up handler acts for nobody; that it touched nothing is what the rules have just said.
        return record("closed", f"ran {count} times and touched no tenant's state", True)
    if len(twins) < 2:
        why = f"reached by {twins[0]} only" if twins else "reached on behalf of neither twin"
        return record("not_exercised", why, bool(held))
    if not held and cell.sink in ("row", "key", "file"):
        if all(reach.op not in ("write", "rebind", "delete") for reach in calm):
            return record("not_exercised", "only looked at: nothing of anybody's was ever there", False)
        return record("inert", "no owner ever met its own data there: the positive control failed", False)
    if not held:
        return record("not_exercised", "no marker of its own was ever seen there, so the control is missing", False)
    if len(held) < 2:
        (well,) = held
        crossed = sum(n for reach, n in mine if reach.twin != well and reach.crossed)
        if crossed and cell.sink in ("config", "prompt"):
            # The other's data stands where its own should: what carried it there is a finding of its own.
            return record("open", f"{_other(well)} never met its own there but {well}'s, {crossed} times", False)
        return record("not_exercised", f"the positive control held for {next(iter(held))} only", False)
    if cell.predicate == "refuses":
        wrong = matcher.wrong(cell.entry)
        if wrong < ENOUGH:
            why = f"the right identity works, but a wrong one was tried {wrong} times only, {ENOUGH} are wanted"
            return record("not_exercised", why, True)
    return record("closed", f"reached {count} times by both, the control held", True)


def _other(twin: str) -> str:
    return TWINS[1 - TWINS.index(twin)]
