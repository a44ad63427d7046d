"""The documents' demands: what is played for them, and when one is met, broken, inert or not exercised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.targets.maimbot_saas_facts import ACTIONS as REAL_ACTIONS
from fixtures.targets.reference import ReferenceTarget
from harness import requirement
from harness.coverage import Coverage
from harness.errors import UsageError
from harness.finding import Finding
from harness.inventory import Table
from harness.judge import judge
from harness.plan import Step
from harness.pool import Pool
from harness.record import RequirementRecord
from harness.requirement import Claim, Evidence, Play, Requirement, Scenario
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap, load
from harness.target import Action
from harness.trace import Access
from harness.verdict import Matcher
from tests.evidence_factory import FACTS, access, trace

SHIPPED = Path(__file__).parent.parent / "scenarios" / "risk_map.json"
MAP = RiskMap(
    items=(
        RiskItem(
            id="notes-apart", group="g", generation="saas", module="m", cells=(Cell(sink="row", entry="api"),),
            defect="d", mitigation="m", places={"bot": (Pattern(sink="row", surface="notes"),)},
        ),
    )
)  # fmt: skip
ROWS = Claim(about="notes stay apart", items=("notes-*",))


def both(times: int = 10, **fields: Any) -> list[Access]:
    """Both twins at their own notes, so often that silence means something."""
    fields = {"surface": "notes", **fields}
    return [access(actor=who, ambient=who, owner=who, **fields) for who in ("A", "B") for _ in range(times)]


def evidence(coverage: Coverage, findings: list[Finding], tables: tuple[Table, ...] | None = None) -> Evidence:
    known = {finding.fingerprint: finding for finding in findings}
    return Evidence(matcher=Matcher(coverage), findings=known, tables=tables)


def decided(
    *claims: Claim, accesses: list[Access], unshown: str = "", tables: tuple[Table, ...] | None = None
) -> RequirementRecord:
    one = Requirement(id="r", number=1, text="t", bots={"bot": Scenario(claims=claims, unshown=unshown)})
    made = trace(*accesses)
    coverage = Coverage()
    coverage.add(made)
    findings = {f.fingerprint: f for f in judge(made, FACTS)}
    evidence = Evidence(
        matcher=Matcher(coverage),
        findings=findings,
        tables=tables,
    )
    return requirement.decide(one, FACTS, MAP, evidence)


def test_met_when_both_reached_it_and_no_rule_fired() -> None:
    made = decided(ROWS, accesses=both())
    assert (made.outcome, made.findings) == ("met", ())
    assert [(cell.sink, cell.state, cell.count) for cell in made.claims[0].cells] == [("row", "closed", 20)]


def test_broken_by_a_finding_in_its_place_and_names_it() -> None:
    leak = access(surface="notes", actor="B", ambient="B", owner="A", marks="A")
    made = decided(ROWS, accesses=[*both(), leak])
    assert made.outcome == "broken"
    assert len(made.findings) == 1
    assert "foreign-read" in made.why


def test_a_finding_elsewhere_of_another_rule_or_on_another_entry_breaks_nothing() -> None:
    leak = {"actor": "B", "ambient": "B", "owner": "A", "marks": "A"}
    silent = Claim(about="nothing is overwritten", items=("notes-*",), rules=("foreign-write",))
    assert decided(ROWS, accesses=[*both(), access(surface="messages", **leak)]).outcome == "met"
    assert decided(silent, accesses=[*both(), access(surface="notes", **leak)]).outcome == "met"
    assert decided(ROWS, accesses=[*both(), access(surface="notes", entry="webui", **leak)]).outcome == "met"


def test_not_exercised_says_which_claim_and_how_many_held() -> None:
    timers = Claim(about="timers too", items=("notes-*",), cells=(Cell(sink="row", entry="timer"),))
    made = decided(ROWS, timers, accesses=both())
    assert made.outcome == "not_exercised"
    assert made.why == "timers too: row on timer: never reached: no step was played on timer; 1 of 2 claims held"


def test_what_cannot_be_shown_keeps_it_from_being_met_but_not_from_being_broken() -> None:
    made = decided(ROWS, accesses=both(), unshown="the script is not played")
    assert (made.outcome, made.why) == ("not_exercised", "the script is not played; 1 of 1 claims held")
    leak = access(surface="notes", actor="B", ambient="B", owner="A", marks="A")
    assert decided(ROWS, accesses=[*both(), leak], unshown="the script is not played").outcome == "broken"


def test_inert_when_the_feature_fails() -> None:
    assert decided(ROWS, accesses=both(op="error")).outcome == "inert"


def test_a_bot_without_a_scenario_is_said() -> None:
    one = Requirement(id="r", number=1, text="t", bots={"other": Scenario()})
    made = requirement.decide(one, FACTS, MAP, Evidence(matcher=Matcher(Coverage()), findings={}, tables=()))
    assert (made.outcome, made.why) == ("not_exercised", "no scenario is written for this bot")


def table(name: str, *columns: str, **keys: Any) -> Table:
    owners = tuple(name for name in columns if name == "tenant_id")
    return Table(name=name, database="d", columns=columns, owners=owners, primary=("id",), **keys)


@pytest.mark.parametrize(
    ("tables", "outcome", "why"),
    [
        ((table("notes", "id", "tenant_id", indexes=(("tenant_id", "time"),)),), "met", "1 tables carry tenant_id"),
        ((table("notes", "id", "tenant_id", unique=(("tenant_id", "name"),)),), "met", "1 tables"),
        (
            (table("notes", "id", "tenant_id", indexes=(("time", "tenant_id"),)),),
            "broken",
            "starts with tenant_id: notes",
        ),
        ((table("notes", "id"),), "broken", "no tenant_id in notes"),
        ((table("other", "id"),), "not_exercised", "no such table"),
        (None, "not_exercised", "was not taken"),
    ],
)
def test_owner_columns_and_their_index(tables: Any, outcome: str, why: str) -> None:
    made = decided(Claim(about="owned", owned=("note*",)), accesses=[], tables=tables)
    assert made.outcome == outcome
    assert why in made.claims[0].why


def test_steps_are_done_by_both_twins_in_each_way_of_differing() -> None:
    say, tick = Step(entry="api", action="say", gap=2.0), Step(entry="timer", action="tick")
    alone = Step(entry="api", action="say", who="B")
    play = Play(steps=(say, tick, alone, Step(entry="world", action="advance")), dimensions=("T", "A"))
    one = Requirement(id="r", number=1, text="t", bots={"bot": Scenario(plays=(play,))})
    actions = [Action(entry="api", name="say"), Action(entry="timer", name="tick", principal=False)]
    made = requirement.plans([one], "bot", actions)
    assert [plan.twins.dimension for plan in made] == ["T", "A"]
    assert [(step.action, step.who, step.gap) for step in made[0].steps] == [
        ("say", "A", 2.0), ("say", "B", 0.0), ("tick", None, 0.0), ("say", "B", 0.0), ("advance", None, 0.0),
    ]  # fmt: skip
    assert requirement.plans([one], "another bot", actions) == []
    with pytest.raises(UsageError, match="requirement r plays timer tick"):
        requirement.plans([one], "bot", actions[:1])


def test_the_shipped_demands_are_eighteen_and_play_what_the_targets_offer() -> None:
    shipped = requirement.beside(SHIPPED)
    assert [one.number for one in shipped] == list(range(1, 19))
    assert not [one.id for one in shipped if "maimbot-saas" not in one.bots]
    for name, actions in (("reference", ReferenceTarget().actions()), ("maimbot-saas", REAL_ACTIONS)):
        assert len(requirement.plans(shipped, name, actions)) > 20
        choices = {(action.entry, action.name): action.payload for action in actions}
        for one in shipped:
            for play in one.bots.get(name, Scenario()).plays:
                for step in play.steps:
                    for field, value in step.payload.items():
                        kinds = choices.get((step.entry, step.action), {}).get(field)
                        assert not isinstance(kinds, list) or value in kinds, (one.id, step)


def test_the_shipped_claims_speak_of_something() -> None:
    ids = {item.id for item in load(SHIPPED).items}
    for one in requirement.beside(SHIPPED):
        for scenario in one.bots.values():
            assert scenario.claims or scenario.unshown, one.id
            for claim in scenario.claims:
                assert set(claim.items) <= ids, one.id
                assert claim.owned or claim.cells, (one.id, claim.about)


def test_a_broken_file_is_named_and_a_missing_one_means_none(tmp_path: Path) -> None:
    assert requirement.beside(tmp_path / "risk_map.json") == ()
    (tmp_path / "demands.json").write_text('{"schema": 1}')
    with pytest.raises(UsageError, match=r"demands\.json are malformed"):
        requirement.beside(tmp_path / "risk_map.json")
    (tmp_path / "demands.json").write_text('{"schema": "s", "requirements": []}')
    with pytest.raises(UsageError, match="are of schema 's'; this version reads"):
        requirement.beside(tmp_path / "risk_map.json")
    twice = {"id": "r", "number": 1, "text": "t"}
    (tmp_path / "demands.json").write_text(
        json.dumps({"schema": requirement.REQUIREMENTS_SCHEMA, "requirements": [twice, twice]})
    )
    with pytest.raises(UsageError, match="name r twice"):
        requirement.beside(tmp_path / "risk_map.json")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool("fixtures.targets.reference:ReferenceTarget", jobs=2) as made:
        yield made


def played(pool: Pool, name: str, *overlays: str) -> RequirementRecord:
    """What the demand's own plans show."""
    target = ReferenceTarget()
    facts, whole = target.facts(), load(target.risk_map())
    asked = [one for one in requirement.beside(target.risk_map()) if one.id == name]
    coverage, findings = Coverage(), list[Finding]()
    plans = requirement.plans(asked, facts.name, target.actions())
    for outcome in pool.map(msgspec.structs.replace(plan, overlays=overlays) for plan in plans):
        assert outcome.trace is not None, outcome.detail
        coverage.add(outcome.trace)
        findings += judge(outcome.trace, facts, whole.demands(facts.name))
    made = requirement.decide(asked[0], facts, whole, evidence(coverage, findings))
    mine = {f.fingerprint for f in findings if requirement.concerns(f, asked, facts.name, whole)}
    assert set(made.findings) <= mine, "what breaks a demand is kept when only that demand was chosen"
    return made


@pytest.mark.parametrize(
    ("name", "fault", "rule"),
    [
        ("runtime-keys", "state-without-owner", "shared-key"),
        ("no-legacy-files", "config-rewritten-at-boot", "demanded-absence"),
        ("timers-take-context", "autosave-without-context", "context-missing"),
    ],
)
def test_on_the_reference_bot_a_demand_is_met_and_a_fault_breaks_it(
    pool: Pool, name: str, fault: str, rule: str
) -> None:
    clean = played(pool, name)
    assert clean.outcome in ("met", "not_exercised") and not clean.findings, clean.why
    broken = played(pool, name, fault)
    assert broken.outcome == "broken"
    assert rule in broken.why
