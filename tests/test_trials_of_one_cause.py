"""Overlays and findings that several rules show: a fault is found by the one it names, a fix must close all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from harness.confirm import confirm
from harness.finding import Finding
from harness.judge import judge
from harness.memory import Stopwatch
from harness.nearness import Nearness
from harness.ordering import Doing
from harness.plan import Plan, Step
from harness.pool import Outcome
from harness.principal import TwinSpec
from harness.riskmap import Cell, RiskItem, RiskMap
from harness.target import Action, Overlay
from harness.trace import Access, Site, Trace
from harness.trials import PATIENCE, PORTION, OutOfTime, try_fault, try_fix
from harness.witness import Witnessed
from tests.evidence_factory import FACTS, TWINS, access, trace

CELL: dict[str, Any] = {"sink": "key", "surface": "bot.cache", "key": "100", "detail": {"owned_by": "first-writer"}}
OTHER: dict[str, Any] = {"owner": "B", "marks": "B"}
READ = access(**CELL, **OTHER, site=Site("bot.py", 3, "load"))
WRITE = access(**CELL, **OTHER, op="write", new_owner="A", site=Site("bot.py", 5, "save"))
ELSEWHERE = access(**{**CELL, "surface": "bot.other"}, **OTHER, site=Site("bot.py", 7, "peek"))
BY_ACTION = {"read": READ, "write": WRITE, "elsewhere": ELSEWHERE}


class Played:
    """A bot of which each step makes one access, unless an overlay of the plan keeps it from that."""

    jobs = 1
    fork = True

    def __init__(
        self,
        closes: Callable[[str, str], bool] = lambda overlay, action: False,
        within: Callable[[str, Plan], bool] = lambda overlay, plan: False,
    ) -> None:
        self.closes = closes
        self.within = within

    def map(self, plans: Iterable[Plan], stop: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
        for plan in plans:
            kept = [
                BY_ACTION[step.action]
                for step in plan.steps
                if step.action in BY_ACTION
                and not any(self.closes(name, step.action) or self.within(name, plan) for name in plan.overlays)
            ]
            twins = msgspec.structs.replace(TWINS, spec=plan.twins)
            made = msgspec.structs.replace(trace(*kept), plan=plan.digest(), twins=twins)
            yield Outcome(plan=plan, status="ok", trace=made)


class Ground:
    """What trials and confirming need of a campaign."""

    def __init__(self, pool: Played, *overlays: Overlay) -> None:
        self.pool: Any = pool
        self.target: Any = self
        self.offered = overlays
        self.offers: Sequence[Action] = ()
        self.facts = FACTS
        self.found: dict[str, Witnessed] = {}
        self.touched = Nearness()
        self.did: dict[str, frozenset[Doing]] = {}
        self.riskmap = RiskMap(schema="isolation-risk-map/1", items=())
        self.seed = 0
        self.watch = Stopwatch()

    def overlays(self) -> Sequence[Overlay]:
        return self.offered

    def actions(self) -> Sequence[Action]:
        return self.offers

    def judge(self, made: Trace) -> list[Finding]:
        return judge(made, FACTS)

    def late(self) -> bool:
        return False

    def items_of(self, finding: Finding) -> tuple[str, ...]:
        return (finding.key,)

    def shows(self, fingerprint: str, plans: Sequence[Plan], rule: str) -> list[bool]:
        traces = [outcome.trace for outcome in self.pool.map(plans)]
        return [any(f.fingerprint == fingerprint and rule in f.rules for f in self.judge(one)) for one in traces]

    def met(self, *plans: Plan) -> None:
        """What a campaign keeps of these plans."""
        for outcome in self.pool.map(plans):
            for finding in self.judge(outcome.trace):
                known = self.found.get(finding.fingerprint)
                if known is None:
                    self.found[finding.fingerprint] = Witnessed(
                        finding, outcome.plan, {finding.entry}, {finding.dimension}, trace=outcome.trace,
                        besides={(rule, outcome.plan.twins.dimension): outcome.plan for rule in finding.rules},
                    )  # fmt: skip
                else:
                    known.met(finding, outcome.plan, outcome.trace)


def plan(*actions: str, overlays: tuple[str, ...] = ()) -> Plan:
    return Plan(steps=tuple(Step(entry="api", action=action, who="A") for action in actions), overlays=overlays)


def overlay(kind: Any, rule: str, name: str = "it") -> Overlay:
    return Overlay(name=name, kind=kind, about="a", rule=rule, surface="bot.cache", apply=lambda patcher: None)


def test_a_fix_that_closes_only_one_of_the_rules_does_not_close_the_cause() -> None:
    for closed, killed in ((("read",), False), (("write",), False), (("read", "write"), True)):
        ground = Ground(Played(lambda name, action, closed=closed: action in closed))  # type: ignore[misc]
        ground.met(plan("read"), plan("write"))
        assert len(ground.found) == 1, "one container, one cause"
        assert try_fix(ground, overlay("fix", "foreign-read")).killed is killed


def test_a_fix_must_close_a_finding_for_twins_of_every_dimension_that_shows_it() -> None:
    for closed, killed in ((("T",), False), (("T", "TA"), True)):
        pool = Played(within=lambda name, one, closed=closed: one.twins.dimension in closed)  # type: ignore[misc]
        ground = Ground(pool)
        ground.met(*(msgspec.structs.replace(plan("read"), twins=TwinSpec(dimension=d)) for d in ("T", "TA")))
        assert try_fix(ground, overlay("fix", "foreign-read")).killed is killed


def test_a_fix_of_what_a_finding_shows_besides_claims_nothing() -> None:
    ground = Ground(Played(lambda name, action: action == "write"))
    ground.met(plan("read"), plan("write"))
    assert not try_fix(ground, overlay("fix", "foreign-write")).closes
    assert "no finding" in try_fix(ground, overlay("fix", "foreign-write")).detail


def test_a_fix_closes_a_flow_only_where_it_speaks_of_it_on_every_sink() -> None:
    ground = Ground(Played())
    ground.met(plan("read"))
    (witnessed,) = ground.found.values()
    elsewhere = msgspec.structs.replace(witnessed.finding.places[0], sink="file", surface="a.txt")
    witnessed.finding = msgspec.structs.replace(witnessed.finding, shows=(elsewhere,), spans="sinks")
    assert "no finding" in try_fix(ground, overlay("fix", "foreign-read")).detail
    whole = msgspec.structs.replace(overlay("fix", "foreign-read"), also=(("foreign-read", "a.txt"),))
    assert "closes 0 of 1" in try_fix(ground, whole).detail
    witnessed.finding = msgspec.structs.replace(witnessed.finding, spans="place")
    assert "closes 0 of 1" in try_fix(ground, overlay("fix", "foreign-read")).detail


def test_what_vanishes_from_its_witness_stays_where_another_plan_shows_it() -> None:
    for refused, right in ((1, True), (2, False)):
        ground = Ground(Played(within=lambda name, one, most=refused: len(one.steps) <= most))  # type: ignore[misc]
        ground.met(
            plan("read"),
            plan("elsewhere"),
            msgspec.structs.replace(plan("elsewhere", "noise"), twins=TwinSpec(dimension="TA")),
        )
        made = try_fix(ground, overlay("fix", "foreign-read"))
        assert made.right_rule is right, made.detail


def test_what_vanishes_besides_is_damage_but_for_what_an_included_fix_speaks_of() -> None:
    mine = overlay("fix", "foreign-read")
    other = Overlay(name="other", kind="fix", about="a", rule="*", surface="bot.other", apply=lambda patcher: None)
    same = msgspec.structs.replace(other, name="same", apply=mine.apply)
    whole = msgspec.structs.replace(mine, includes=("other",))
    part = msgspec.structs.replace(other, name="part", includes=("common",))
    shares = msgspec.structs.replace(mine, includes=("common",))
    for offered, tried, right in (
        ((), mine, False), ((other,), mine, False), ((other,), whole, True), ((same,), mine, True),
        ((part,), mine, False), ((part,), shares, True),
    ):  # fmt: skip
        ground = Ground(Played(lambda name, action: True), *offered)
        ground.met(plan("read"), plan("elsewhere"))
        assert len(ground.found) == 2
        tried_out = try_fix(ground, tried)
        assert tried_out.killed and tried_out.right_rule is right, tried_out.detail


def test_the_most_telling_rule_speaks_on_the_shortest_plan_that_shows_it() -> None:
    ground = Ground(Played())
    ground.met(plan("write"), plan("noise", "read", "noise"), plan("read", "noise"))
    (witnessed,) = ground.found.values()
    assert witnessed.finding.rules == ("foreign-read", "foreign-write", "canary-flow")
    assert witnessed.plan == plan("read", "noise")
    assert {rule for rule, _ in witnessed.besides} == {"foreign-read", "foreign-write", "canary-flow"}
    assert witnessed.occurrences == 3


def test_a_witness_is_made_small_and_still_shows_the_most_telling_rule() -> None:
    ground = Ground(Played())
    ground.met(plan("write", "noise", *["noise"] * 20, "read"))
    confirm(ground, 2, 60, lambda *told: None)
    (witnessed,) = ground.found.values()
    assert [step.action for step in witnessed.plan.steps] == ["read"] and witnessed.replays == (2, 2)
    assert "foreign-write" in witnessed.finding.rules, "what the long plan showed besides is not forgotten"


def test_a_fault_is_found_by_the_rule_it_names_though_another_speaks_for_the_finding() -> None:
    ground = Ground(Played())
    assert try_fault(ground, overlay("fault", "foreign-write"), [plan("read", "write")], False).right_rule
    missed = try_fault(ground, overlay("fault", "foreign-delete"), [plan("read", "write")], False)
    assert missed.killed and not missed.right_rule


def test_a_fault_that_no_plan_of_the_tour_shows_is_looked_for_where_one_comes_after_the_other() -> None:
    ground = Ground(Played())
    ground.offers = [Action(entry="api", name="read")]
    fault = overlay("fault", "foreign-read")
    found = try_fault(ground, fault, [plan("quiet")], False)
    assert found.right_rule and found.plans == 2, "after the tour"
    assert {step.who for step in Plan.from_json(found.witness).steps} == {"A", "B", None}
    assert try_fault(ground, fault, [plan("read")], False).plans == 1


def test_a_fault_that_adds_a_rule_to_a_known_cause_is_found_all_the_same() -> None:
    ground = Ground(Played())
    ground.met(plan("write"))
    assert not try_fault(ground, overlay("fault", "foreign-write"), [plan("write")], False).killed
    assert try_fault(ground, overlay("fault", "foreign-read"), [plan("write", "read")], False).right_rule


class Opened(Played):
    """A step that is harmless reads what is another's under an overlay."""

    def map(self, plans: Iterable[Plan], stop: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
        for one in plans:
            reads = [s for s in one.steps if s.action == "read" or (s.action == "quiet" and one.overlays)]
            made = msgspec.structs.replace(trace(*[READ] * len(reads)), plan=one.digest())
            yield Outcome(plan=one, status="ok", trace=made)


def test_a_fault_counts_on_a_plan_that_plain_code_does_not_leak_on_though_it_does_on_another() -> None:
    ground = Ground(Opened())
    ground.met(plan("read"))
    fault = overlay("fault", "foreign-read")
    assert try_fault(ground, fault, [plan("read"), plan("quiet")], False).right_rule
    assert not try_fault(ground, fault, [plan("read")], False).right_rule, "that leak is there without the fault"


class Two(Played):
    """Under an overlay one step leaks where the fault is not meant, another where it is."""

    def map(self, plans: Iterable[Plan], stop: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
        for one in plans:
            if stop():
                return
            keys = [s.action for s in one.steps if one.overlays and s.action in ("astray", "mine")]
            made = trace(*[msgspec.structs.replace(READ, key=key) for key in keys])
            yield Outcome(plan=one, status="ok", trace=msgspec.structs.replace(made, plan=one.digest()))


def test_a_kill_that_belongs_to_the_items_of_the_fault_is_looked_for_beyond_one_that_does_not() -> None:
    fault = msgspec.structs.replace(overlay("fault", "foreign-read"), items=("mine",))
    made = try_fault(Ground(Two()), fault, [plan("astray"), plan("quiet"), plan("mine"), plan("mine", "x")], False)
    assert (made.right_rule, made.opens, made.plans) == (True, ("mine",), 3)
    made = try_fault(Ground(Two()), fault, [plan("astray"), plan("quiet")], False)
    assert (made.right_rule, made.opens, made.plans) == (True, ("astray",), 1), "found all the same"
    anything = overlay("fault", "foreign-read")
    assert try_fault(Ground(Two()), anything, [plan("quiet"), plan("astray"), plan("mine")], False).plans == 2


class Late(Ground):
    """A campaign whose time for trials is up."""

    def late(self) -> bool:
        return True


def test_a_fault_that_the_time_runs_out_on_is_neither_found_nor_missed() -> None:
    fault = overlay("fault", "foreign-read")
    early = [plan("read", *["quiet"] * n) for n in range(PORTION + 1)]
    tour = [plan(*["quiet"] * n) for n in range(PORTION)] + [plan("read", *["quiet"] * PORTION)]
    assert try_fault(Ground(Played()), fault, tour, False).right_rule
    assert try_fault(Late(Played()), fault, early, False).right_rule
    with pytest.raises(OutOfTime):
        try_fault(Late(Played()), fault, tour, False)


def test_a_kill_that_is_not_of_the_items_is_looked_for_past_the_first_portion_and_then_no_further() -> None:
    fault = msgspec.structs.replace(overlay("fault", "foreign-read"), items=("mine",))
    for gap, opens in ((PATIENCE, ("mine",)), (PATIENCE + 2, ("astray",))):
        at = {PORTION - 1: "astray", PORTION - 1 + gap: "mine"}
        # The shortest are tried first where nothing is known of any.
        tour = [plan(at.get(n, "quiet"), *["noise"] * n) for n in range(PORTION + gap)]
        assert try_fault(Ground(Two()), fault, tour, False).opens == opens


class Between(Two):
    """Under an overlay agents of one tenant meet where the fault is not meant, tenants where it is."""

    def map(self, plans: Iterable[Plan], stop: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
        for one in plans:
            met = [msgspec.structs.replace(READ, key="astray" if one.twins.dimension == "A" else "mine")]
            made = trace(*(met if one.overlays else []))
            yield Outcome(plan=one, status="ok", trace=msgspec.structs.replace(made, plan=one.digest()))


def test_a_plan_that_shows_a_fault_astray_is_tried_between_twins_that_differ_as_its_items_have_it() -> None:
    fault = msgspec.structs.replace(overlay("fault", "foreign-read"), items=("mine",))
    agents = msgspec.structs.replace(plan("quiet"), twins=TwinSpec(dimension="A"))
    for dimension, opens in (("T", ("mine",)), ("A", ("astray",))):
        ground = Ground(Between())
        cell = Cell(sink="key", entry="api", dimension=dimension)
        item = RiskItem(
            id="mine", group="", generation="saas", module="", cells=(cell,), defect="", mitigation=""
        )  # fmt: skip
        ground.riskmap = RiskMap(items=(item,))
        assert try_fault(ground, fault, [agents], False).opens == opens


def test_accesses_stand_for_what_they_are_meant_to() -> None:
    assert isinstance(READ, Access) and [f.rule for f in judge(trace(READ), FACTS)] == ["foreign-read"]
