"""A payload that names the other twin decides nothing, and where it does that is one finding of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from fixtures.targets.reference import ReferenceTarget
from fixtures.twins import make_twins
from harness import contrast
from harness.finding import Finding
from harness.forgery import honest, named, names_other, rendered
from harness.impostors import forging
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Outcome
from harness.principal import TwinSpec
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.rules.forged import RULE
from harness.target import Action
from harness.touring import tour
from harness.trace import Access, StepRecord, Trace
from harness.verdict import attribute
from harness.witness import Witnessed
from tests.evidence_factory import FACTS, access, trace

TWINS = make_twins(TwinSpec(dimension="TA"))
FORGED = {"extra": {"tenant_id": "{other.tenant}", "key": ["{other.credential}"]}, "text": "{message}"}


def step(index: int, *, forged: tuple[str, ...] = (), who: str = "A", first: int = 0) -> StepRecord:
    return StepRecord(
        index=index,
        entry="api",
        action="text",
        who=who,
        first_seq=first,
        last_seq=99,
        started=0,
        ended=1,
        forged=forged,
    )


def found(*accesses: Access, steps: tuple[StepRecord, ...]) -> list[Finding]:
    return judge(trace(*accesses, steps=steps), FACTS)


def rules(*accesses: Access, steps: tuple[StepRecord, ...]) -> list[str]:
    return [finding.rule for finding in found(*accesses, steps=steps)]


NAMES_B = (step(0, forged=("extra.tenant_id=tenant",)),)
OWNED: dict[str, Any] = {"owned_by": "columns"}


def test_placeholders_become_the_others_public_ids_and_are_found_where_they_stand() -> None:
    payload = rendered(FORGED, TWINS.a, TWINS)
    assert payload["extra"] == {"tenant_id": TWINS.b.tenant, "key": [TWINS.b.credential]}
    assert payload["text"] == TWINS.a.secrets["message"]
    assert named(FORGED, TWINS) == ("extra.tenant_id=tenant", "extra.key=credential")


def test_naming_what_both_share_is_no_forgery() -> None:
    assert names_other({"to": "{other.chat}"})
    assert named({"to": "{other.chat}"}, TWINS) == ()


def test_the_honest_plan_takes_the_first_choice_that_names_nobody() -> None:
    action = Action(entry="api", name="text", payload={"extra": [FORGED["extra"], {}], "to": ["{other.tenant}"]})
    forged = Step(entry="api", action="text", who="A", payload={**FORGED, "to": "{other.tenant}"})
    assert honest(Plan(steps=(forged,)), [action]).steps[0].payload == {"extra": {}, "text": "{message}"}


def test_working_in_the_others_context_is_one_finding_that_reaches_the_rest() -> None:
    acts = {"ambient": "B", "op": "write", "new_owner": "B", "detail": OWNED}
    shown = found(access(**acts), access(**acts, surface="notes"), access(sink="prompt", **acts), steps=NAMES_B)
    assert [f.rule for f in shown] == [RULE]
    assert shown[0].reaches == ("row notes", "prompt messages")
    assert "extra.tenant_id=tenant" in shown[0].message
    assert {f.rule for f in judge(trace(access(**acts), steps=(step(0),)), FACTS)} == {"context-mismatch"}


def test_an_answer_sent_to_the_one_named_is_found_without_any_canary() -> None:
    sent = access(sink="outbound", op="write", surface="api", new_owner="B", detail={"named": True})
    assert rules(sent, steps=NAMES_B) == [RULE]
    assert rules(sent, steps=(step(0),)) == []


def test_who_is_led_to_what_is_the_others_breaks_a_claim_on_what_lies_there() -> None:
    def opens(sink: str, **fields: Any) -> bool:
        cell = Cell(sink=sink, entry="api")
        item = RiskItem(
            id="item", group="g", generation="saas", module="bot.py", cells=(cell,), defect="d", mitigation="m",
            places={"bot": (Pattern(surface="messages"),)},
        )  # fmt: skip
        [finding] = found(access(owner="B", detail=OWNED, **fields), steps=NAMES_B)
        assert finding.rule == RULE
        return attribute(finding, RiskMap(items=(item,)), "bot") == ("item",)

    assert (opens("row"), opens("context")) == (True, False)
    assert (opens("row", ambient="B"), opens("context", ambient="B")) == (False, True), "it acts as the other"


def test_pages_that_each_believe_the_payload_are_findings_of_their_own() -> None:
    read: dict[str, Any] = {"owner": "B", "detail": OWNED, "direct": True}
    steps = (step(0, forged=("path=tenant",)), step(1, forged=("path=tenant",), first=2))
    ways = (("files.py:look", "pages.py:show"), ("files.py:look", "pages.py:drop"), ("files.py:see", "pages.py:show"))
    seen: list[set[str]] = []
    for way in ways:
        made = trace(access(**read), access(**read), access(**read, step=1, lineage="A.1", stack=1), steps=steps)
        made = msgspec.structs.replace(made, stacks=(*made.stacks, way))
        seen.append({finding.fingerprint for finding in judge(made, FACTS)})
    assert [len(fingerprints) for fingerprints in seen] == [2, 2, 2]
    assert seen[0] == seen[2]
    assert len(seen[0] & seen[1]) == 1


def test_what_a_long_lived_loop_does_after_the_forged_step_comes_of_it() -> None:
    loop = {"sink": "outbound", "op": "write", "surface": "api", "direct": False, "marks": "A"}
    steps = (step(0), step(1, forged=("key=credential",), first=1))
    before, after = access(**loop, new_owner="A"), access(**loop, new_owner="B")
    assert rules(before, after, steps=steps) == [RULE]


def test_what_honest_steps_show_as_well_stays_what_it_is() -> None:
    read = {"owner": "B", "detail": OWNED}
    steps = (step(0), step(1, forged=("extra.tenant_id=tenant",), first=1))
    assert rules(access(**read), access(**read, step=1, lineage="A.1"), steps=steps) == ["foreign-read"]
    alone = (step(1, forged=("extra.tenant_id=tenant",)),)
    assert rules(access(**read, step=1, lineage="A.1"), steps=alone) == [RULE]


def test_a_shared_worker_that_serves_the_others_job_is_silent() -> None:
    worker = {"ambient": "B", "direct": False, "op": "write", "new_owner": "B", "detail": OWNED, "marks": "B"}
    assert rules(access(**worker), access(**{**worker, "sink": "outbound"}), steps=NAMES_B) == []


def test_a_credential_that_the_harness_put_into_the_payload_proves_nothing() -> None:
    from harness.trace import Mark

    kept = msgspec.structs.replace(
        access(op="write", new_owner="A", detail=OWNED), marks=(Mark("B", "credential"), Mark("A", "message"))
    )
    assert rules(kept, steps=(step(0, forged=("named=credential",)),)) == []
    assert rules(kept, steps=(step(0),)) == ["canary-flow"]


def test_plans_that_forge_do_the_same_honestly_first() -> None:
    actions = ReferenceTarget().actions()
    plans = forging(actions)
    assert plans
    for plan in plans:
        forged = [index for index, s in enumerate(plan.steps) if names_other(s.payload)]
        twice = [s.who for s in plan.steps[: forged[0]] if s.who]
        assert sorted(twice) == ["A", "A", "B", "B"]
        assert {plan.steps[index].who for index in forged} == {"A", "B"}
    ordinary = [p for p in tour(actions) if p not in plans]
    assert not any(names_other(s.payload) for plan in ordinary for s in plan.steps)


class Ground:
    """A campaign of one finding, whose bot shows `shown` for an honest payload."""

    def __init__(self, finding: Finding, shown: list[Finding]) -> None:
        plan = Plan(steps=(Step(entry="api", action="text", who="A", payload=FORGED),))
        self.target: Any = type("T", (), {"actions": lambda self: ()})()
        self.found = {finding.fingerprint: Witnessed(finding, plan, {"api"}, {"T"})}
        self.pool: Any = self
        self.shown = shown

    def map(self, plans: list[Plan]) -> list[Outcome]:
        assert not any(names_other(s.payload) for plan in plans for s in plan.steps)
        return [Outcome(plan=plan, status="ok", trace=trace()) for plan in plans]

    def judge(self, trace: Trace) -> list[Finding]:
        return self.shown


def test_a_finding_that_an_honest_plan_shows_too_is_not_the_payloads() -> None:
    read = access(owner="B", detail=OWNED)
    (forged,) = found(read, steps=NAMES_B)
    (plain,) = found(read, steps=(step(0),))
    ground = Ground(forged, [plain])
    contrast.settle(ground)
    assert [w.finding.rule for w in ground.found.values()] == ["foreign-read"]
    ground = Ground(forged, [])
    contrast.settle(ground)
    assert [w.finding.rule for w in ground.found.values()] == [RULE]
