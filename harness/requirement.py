"""What the documents ask of verification, as data: each requirement a scenario for each bot, and its outcome. Pure.

The file lies beside the risk map. A scenario names steps to play and claims to hold the campaign against; a claim is
measured by the cells it names, just as a risk item's are.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.finding import Finding, Place
from harness.inventory import Table
from harness.plan import Plan, Step
from harness.principal import TwinSpec
from harness.record import CellRecord, ClaimRecord, OutcomeName, RequirementRecord, VerdictName
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.rules._scope import coarsest
from harness.target import Action, Facts
from harness.verdict import CONTEXT_RULES, Matcher, measure

REQUIREMENTS_SCHEMA = "isolation-requirements/1"
FILE = "demands.json"

OUTCOMES: dict[VerdictName, OutcomeName] = {
    "open": "broken", "inert": "inert", "not_exercised": "not_exercised", "closed": "met",
}  # fmt: skip
WORST: tuple[OutcomeName, ...] = ("broken", "inert", "not_exercised", "met")


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that both twins do side by side, once for each way of differing (`dimensions`). A step that names its `who`
    is done by that twin only, one that nobody acts (a tick, ``world advance``) once."""

    steps: tuple[Step, ...]
    dimensions: tuple[str, ...] = ("T", "TA")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold, in words (`about`) and as cells: no finding of `rules` (globs) in `places`, nor in those of the
    risk items whose ids match `items`, and each cell's control. Without `cells` the items' own cells of the dimension T
    count. `owned` are globs of tables: each must have every owner column, the first of them starting a key or an
    index."""

    about: str
    items: tuple[str, ...] = ()
    places: tuple[Pattern, ...] = ()
    cells: tuple[Cell, ...] = ()
    rules: tuple[str, ...] = ("*",)
    owned: tuple[str, ...] = ()


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement in one bot. `unshown` says which part of it cannot be shown there, and why; with one it can be
    broken but never met."""

    claims: tuple[Claim, ...] = ()
    plays: tuple[Play, ...] = ()
    unshown: str = ""


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One demand of the documents: `text` in a sentence, `source` where it stands, `bots` its scenario by target."""

    id: str
    number: int
    text: str
    source: str = ""
    bots: dict[str, Scenario] = {}


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    schema: str
    requirements: tuple[Requirement, ...]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign knows that requirements are held against. `tables` is None where no inventory was taken."""

    matcher: Matcher
    findings: Mapping[str, Finding]
    tables: Sequence[Table] | None


def beside(riskmap: Path) -> tuple[Requirement, ...]:
    """The requirements in the risk map's folder, none where there is no such file. Raises UsageError naming file and
    place when it is malformed, of a schema that this version does not read, or an id stands there twice."""
    path = riskmap.with_name(FILE)
    try:
        read = msgspec.json.decode(path.read_bytes(), type=Requirements)
    except FileNotFoundError:
        return ()
    except msgspec.MsgspecError as error:
        raise UsageError(f"requirements {path} are malformed: {error}") from error
    if read.schema != REQUIREMENTS_SCHEMA:
        raise UsageError(
            f"requirements {path} are of schema {read.schema!r}; this version reads {REQUIREMENTS_SCHEMA!r}"
        )
    found = read.requirements
    twice = {one.id for one in found if sum(other.id == one.id for other in found) > 1}
    if twice:
        raise UsageError(f"requirements {path} name {', '.join(sorted(twice))} twice")
    return found


def plans(requirements: Iterable[Requirement], target: str, actions: Sequence[Action]) -> list[Plan]:
    """The plans that the requirements ask for. Raises UsageError when a step is none that the target offers."""
    known = {(action.entry, action.name): action for action in actions}
    made: list[Plan] = []
    for requirement in requirements:
        for play in requirement.bots.get(target, Scenario()).plays:
            for dimension in play.dimensions:
                steps = tuple(_steps(play, known, requirement.id))
                made.append(Plan(twins=TwinSpec(dimension=dimension, seed=len(made) % 8), steps=steps))
    return made


def _steps(play: Play, known: Mapping[tuple[str, str], Action], name: str) -> Iterator[Step]:
    for step in play.steps:
        action = known.get((step.entry, step.action))
        if action is None and (step.entry, step.action) != ("world", "advance"):
            raise UsageError(f"requirement {name} plays {step.entry} {step.action}, which the target does not offer")
        if step.who is not None or action is None or not action.principal:
            yield step
            continue
        yield msgspec.structs.replace(step, who="A")
        yield msgspec.structs.replace(step, who="B", gap=0.0, join=False)


def decide(requirement: Requirement, facts: Facts, riskmap: RiskMap, evidence: Evidence) -> RequirementRecord:
    """Whether the campaign met the requirement, broke it, or did not show it. `riskmap` is the whole one."""

    def record(
        outcome: OutcomeName, why: str, findings: Iterable[str] = (), claims: Iterable[ClaimRecord] = ()
    ) -> RequirementRecord:
        return RequirementRecord(
            id=requirement.id, number=requirement.number, text=requirement.text, source=requirement.source,
            outcome=outcome, why=why, findings=tuple(findings), claims=tuple(claims),
        )  # fmt: skip

    scenario = requirement.bots.get(facts.name)
    if scenario is None:
        return record("not_exercised", "no scenario is written for this bot")
    judged = [_claim(claim, facts, riskmap, evidence) for claim in scenario.claims]
    claims = [claim for claim, _ in judged]
    findings = dict.fromkeys(fingerprint for _, found in judged for fingerprint in found)
    outcomes = {claim.outcome for claim in claims} or {"not_exercised"}
    worst = next(outcome for outcome in WORST if outcome in outcomes)
    bad = [f"{claim.about}: {claim.why}" for claim in claims if claim.outcome == worst]
    if worst in ("broken", "inert"):
        return record(worst, "; ".join(bad), findings, claims)
    met = sum(claim.outcome == "met" for claim in claims)
    said = f"{met} of {len(claims)} claims held" if claims else ""
    if scenario.unshown:
        return record("not_exercised", "; ".join(filter(None, (scenario.unshown, said))), (), claims)
    if worst == "not_exercised":
        return record(worst, "; ".join((*bad, said)), (), claims)
    return record("met", f"every claim held: {'; '.join(claim.about for claim in claims)}", (), claims)


def decide_all(
    requirements: Iterable[Requirement], facts: Facts, riskmap: RiskMap, evidence: Evidence
) -> tuple[RequirementRecord, ...]:
    """Every requirement decided, in their order."""
    return tuple(decide(one, facts, riskmap, evidence) for one in requirements)


def concerns(finding: Finding, requirements: Iterable[Requirement], target: str, riskmap: RiskMap) -> bool:
    """Whether a finding would break one of the requirements, on whichever entry."""
    return any(
        _speaking(claim, cells, patterns, finding)
        for requirement in requirements
        for claim in requirement.bots.get(target, Scenario()).claims
        for patterns, cells in (_resolved(claim, target, riskmap),)
    )


def _claim(claim: Claim, facts: Facts, riskmap: RiskMap, evidence: Evidence) -> tuple[ClaimRecord, list[str]]:
    patterns, cells = _resolved(claim, facts.name, riskmap)
    reached = evidence.matcher.of(patterns)
    shown = {f: _speaking(claim, cells, patterns, found) for f, found in evidence.findings.items()}
    mine = {f: evidence.findings[f] for f, places in shown.items() if places}
    measured = [
        measure(
            cell,
            reached,
            [place for places in shown.values() for place in places if _claims(cell, place)],
            evidence.matcher,
            facts,
        )
        for cell in cells
    ]
    states = [(OUTCOMES[cell.state], f"{cell.sink} on {cell.entry}: {cell.why}") for cell in measured]
    states += _owned(claim, evidence.tables, tuple(facts.owner_columns))
    if not states:
        states = [("not_exercised", "the places it names do not exist in this bot")]
    outcome = next(outcome for outcome in WORST if any(state == outcome for state, _ in states))
    broken = [f for f in mine if any(_broken(cell, place) for cell in measured for place in shown[f])]
    why = next(said for state, said in states if state == outcome)
    if broken:
        rules = sorted({rule for f in broken for rule in mine[f].rules})
        why = f"{len(broken)} finding{'s' * (len(broken) > 1)} ({', '.join(rules)})"
    return ClaimRecord(about=claim.about, outcome=outcome, why=why, cells=tuple(measured)), broken


def _broken(cell: CellRecord, place: Place) -> bool:
    met = cell.entry == place.entry and coarsest(place.dimension) in cell.dimension
    return cell.state == "open" and met and cell.sink in (place.sink, "context")


def _resolved(claim: Claim, target: str, riskmap: RiskMap) -> tuple[tuple[Pattern, ...], tuple[Cell, ...]]:
    """The claim's patterns and cells, the items' own where it names items."""
    items = [item for item in riskmap.items if any(fnmatch.fnmatchcase(item.id, glob) for glob in claim.items)]
    own: list[Pattern] = [pattern for item in items for pattern in item.places.get(target, ())]
    cells = claim.cells or tuple(dict.fromkeys(cell for item in items for cell in _tenant_cells(item)))
    return tuple(dict.fromkeys((*claim.places, *own))), cells


def _tenant_cells(item: RiskItem) -> Iterator[Cell]:
    return (cell for cell in item.cells if cell.dimension == "T")


def _claims(cell: Cell, place: Place) -> bool:
    return cell.sink == place.sink or (cell.sink == "context" and place.rule in CONTEXT_RULES)


def _speaking(claim: Claim, cells: Sequence[Cell], patterns: Sequence[Pattern], finding: Finding) -> list[Place]:
    """Where the finding shows what the claim denies."""
    return [
        place
        for place in finding.places
        if any(fnmatch.fnmatchcase(place.rule, rule) for rule in claim.rules)
        and any(_claims(cell, place) for cell in cells)
        and any(pattern.matches(place.sink, place.surface, place.stack) for pattern in patterns)
    ]


def _owned(claim: Claim, known: Sequence[Table] | None, wanted: tuple[str, ...]) -> list[tuple[OutcomeName, str]]:
    if not claim.owned:
        return []
    if known is None:
        return [("not_exercised", "the inventory of tables was not taken")]
    tables = [t for t in known if any(fnmatch.fnmatchcase(t.name, glob) for glob in claim.owned)]
    if not tables:
        return [("not_exercised", "no such table exists in this bot")]
    bare = {table.name for table in tables if not set(wanted) <= set(table.owners)}
    lacks = {column: [table.name for table in tables if column not in table.owners] for column in wanted}
    slow = [table.name for table in tables if table.name not in bare and not table.indexed(wanted[0])]
    if bare:
        return [("broken", "; ".join(f"no {name} in {', '.join(mine)}" for name, mine in lacks.items() if mine))]
    if slow:
        return [("broken", f"no key or index starts with {wanted[0]}: {', '.join(slow)}")]
    return [("met", f"{len(tables)} tables carry {' and '.join(wanted)}, indexed")]
