"""One tenant must not feel another: two runs of one plan are held against each other by what A observes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from fixtures.overlays import _reference_cut, _reference_presence, _reference_turns
from fixtures.targets.reference import ReferenceTarget
from harness import pairs
from harness.campaign import Campaign
from harness.cli import main
from harness.cli_schedules import Field
from harness.confirm import confirm
from harness.finding import Finding
from harness.judge import judge
from harness.memory import Stopwatch
from harness.nearness import Nearness
from harness.ordering import Doing
from harness.overlap import hunt
from harness.pairing import Pairing
from harness.pairs import Pair
from harness.plan import Plan, Step, cancels
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.profiles import Profile
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.rules.interference import RULE, Variant
from harness.target import Action
from harness.trace import Trace
from harness.trials import try_fault
from harness.witness import Witness, Witnessed, save
from tests.campaign_targets import CountingTarget, SoundTarget

SPEC = "fixtures.targets.reference:ReferenceTarget"
TARGET = ReferenceTarget()
FACTS = TARGET.facts()


def step(who: str | None, action: str, text: str = "{message}", gap: float = 0.1, entry: str = "api") -> Step:
    payload = {"slot": "picture"} if action == "picture" else {"text": text}
    return Step(entry=entry, action=action, who=who, payload=payload, gap=gap)


def wait(seconds: float) -> Step:
    return Step(entry="world", action="advance", payload={"seconds": seconds})


NOTES = (step("B", "command", "/note {command}"), step("A", "command", "/note {command}", gap=3), wait(3))
TALK = (*(step(who, "mention", gap=2) for who in "BABABABA"), wait(9))
AT_ONCE = (step("B", "mention"), step("A", "mention"), wait(9))
BROKEN_OFF = (
    Step(entry="webui", action="emoji_upload", who="B", payload={"slot": "picture"}),
    Step(entry="world", action="cancel", who="B", payload={"after": 3}),
    Step(entry="webui", action="emoji_upload", who="A", payload={"slot": "picture"}, gap=3),
    wait(5),
)
TWICE = (
    step("A", "command", "/note x"),
    step("B", "command", "/note x"),
    step("A", "command", "/note y", gap=5),
    wait(3),
)

LOCKED = Step(entry="world", action="fail", who="B", payload={"what": "database.locked", "times": 100})

SHOWS: dict[str, tuple[Step, ...]] = {
    "notes-counted-for-all": NOTES,
    "order-by-turn-of-all": NOTES,
    "message-ids-in-one-sequence": AT_ONCE,
    "rows-numbered-for-all": (
        *(step(who, "command", "/jargon word", gap=2) for who in "BA"),
        step("A", "GET /api/v1/learnt/jargon", gap=5, entry="webui"),
        wait(3),
    ),
    "rate-limit-for-all": (*(step(who, "mention", gap=2) for who in "BBA"), wait(9)),
    "budget-for-all": TALK,
    "welcome-forgotten": TWICE,
    "every-third-unanswered": (*(step(who, "mention", gap=8) for who in "BBA"), wait(9)),
    "cooldown-for-all": (step("B", "command", "/note x"), step("A", "command", "/note y", gap=0.5), wait(3)),
    "one-random-pool": NOTES,
    "busy-for-all": AT_ONCE,
    "paused-for-all-when-broken-off": BROKEN_OFF,
    "names-from-one-list": NOTES,
    "one-tag-for-all": NOTES,
    "switched-off-for-all": (
        step("B", "command", "/off draft everywhere"),
        step("A", "command", "/draft x", gap=3),
        wait(3),
    ),
    "pages-tagged-for-all": (
        step("B", "text"),
        Step(entry="webui", action="statistics", who="A", gap=3),
        wait(3),
    ),
    "exports-counted-beside": (step("B", "area", "/export"), step("A", "area", "/export", gap=3), wait(3)),
    "topics-written-by-a-partial": (
        *(step(who, "area", "/topic {memory}", gap=2) for who in "BAA"),
        wait(3),
    ),
    "said-within-the-hour": (*(step(who, "mention", "what did I say before?", gap=9) for who in "BA"), wait(9)),
    "typing-sign-for-all": (step("B", "mention"), step("A", "mention", gap=9), wait(12)),
    "round-ends-with-who-fails": (*(step(who, "mention", gap=3) for who in "BA"), wait(9), LOCKED, wait(330)),
    "window-ends-all": (
        Step(entry="world", action="watch", who="A"),
        *(step(who, "chat", gap=9, entry="webui") for who in "BA"),
        wait(9),
    ),
}

SAYS = (("mention", "{message}"), ("command", "/note {command}"), ("text", "{name} says {message}"))

SHARED_WORK: dict[str, tuple[Step, ...]] = {
    "one worker for all pictures": (step("B", "picture"), step("A", "picture"), step("A", "mention"), wait(20)),
    "everything at once": (*(step(who, *said, gap=0.0) for said in SAYS for who in "BA"), wait(20)),
    "timers that serve all": (
        *(step(who, "mention") for who in "BA"),
        *(Step(entry="timer", action="tick", payload={"task": task}) for task in ("topics", "statistics", "autosave")),
        wait(330),
    ),
}

FAULTS = (*_reference_presence.FAULTS, *_reference_turns.FAULTS, *_reference_cut.FAULTS)

TENANTS = TwinSpec()

LENGTHS = "replies-of-mean-length"

IDLE: tuple[Variant, ...] = ("alone", "others")
"""B is there in either: what it feels like where it is not has a file of its own."""

TURNED = {"round-ends-with-who-fails": TwinSpec(first="B")}
"""Where A shows it only if its turn comes after B's."""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC, jobs=2) as pool:
        yield pool


def of(trace: Trace) -> list[Finding]:
    return judge(trace, FACTS)


def play(pool: Pool, *steps: Step, overlay: str = "", twins: TwinSpec = TENANTS) -> list[Pair]:
    plan = Plan(twins=twins, steps=steps, overlays=(overlay,) if overlay else ())
    return next(pairs.play(pool, [plan], FACTS, of, variants=IDLE))


def test_every_fault_has_a_plan_that_shows_it() -> None:
    elsewhere = {"turn-used-up-by-another", LENGTHS}  # which have a test each
    assert {fault.name for fault in FAULTS} == {*SHOWS, *elsewhere}
    assert {fault.rule for fault in FAULTS} == {RULE} and len(FAULTS) >= 8


@pytest.mark.parametrize("name", SHOWS)
def test_a_fault_without_canary_or_foreign_access_is_found_by_interference_alone(pool: Pool, name: str) -> None:
    alone, others = play(pool, *SHOWS[name], overlay=name, twins=TURNED.get(name, TENANTS))
    assert alone.result == "differs" and alone.finding is not None
    assert (alone.finding.rule, alone.finding.source, alone.finding.observer) == (RULE, "B", "A")
    assert alone.finding.site.file.endswith(".py") and "when B does nothing" in alone.finding.message
    assert alone.outcome.trace is not None and of(alone.outcome.trace) == []
    fault = next(fault for fault in FAULTS if fault.name == name)
    assert fault.speaks_of(RULE, alone.finding.surface)
    # How often B does something is what A feels, and of one fault what B's users are called.
    assert others.result == ("differs" if name == "one-tag-for-all" else "equal")
    assert others.finding is None or others.finding.fingerprint == alone.finding.fingerprint


def test_what_hangs_on_the_length_of_texts_shows_by_longer_secrets_alone(pool: Pool) -> None:
    said = (*(step(who, "area", "/say {command}", gap=3) for who in "BA"), wait(3))
    alone, others = play(pool, *said, overlay=LENGTHS)
    assert (alone.result, others.result) == ("equal", "differs"), "twins say texts of one length"
    assert others.finding is not None and (others.finding.rule, others.finding.surface) == (RULE, "rewrite")
    assert {pair.result for pair in play(pool, *said)} == {"equal"}


@pytest.mark.parametrize("name", SHOWS)
def test_without_the_fault_the_same_steps_are_silent(pool: Pool, name: str) -> None:
    assert {pair.result for pair in play(pool, *SHOWS[name], twins=TURNED.get(name, TENANTS))} <= {"equal", "moved"}


def test_what_the_other_agent_of_a_tenant_does_is_felt_by_agents_alone(pool: Pool) -> None:
    alone, _ = play(pool, *NOTES, overlay="notes-counted-by-tenant", twins=TwinSpec(dimension="A"))
    assert alone.result == "differs" and alone.finding is not None and alone.finding.dimension == "A"
    assert "(2 answers so far)" in alone.finding.message and "(1 answers so far)" in alone.finding.message
    tenants = play(pool, *NOTES, overlay="notes-counted-by-tenant")
    assert {pair.result for pair in tenants} == {"equal"}
    without = play(pool, *NOTES, twins=TwinSpec(dimension="A"))
    assert {pair.result for pair in without} == {"equal"}


def test_what_both_do_hides_what_either_does_to_the_other_until_one_leaves_it_out(pool: Pool) -> None:
    words = ("/hello", "/off draft everywhere", "/plugins")
    steps = (*(Step(entry="plugin", action="command", who=who, payload={"text": said}, gap=2)
               for said in words for who in "BA"), wait(3))  # fmt: skip
    alike = Plan(steps=steps, overlays=("switched-off-for-all",))
    ways = [alike, pairs.thinned(alike, odd=1), pairs.thinned(alike)]
    made = [alone for alone, _ in pairs.play(pool, ways, FACTS, of, variants=IDLE)]
    assert [pair.result for pair in made] == ["equal", "differs", "equal"]
    plain = [msgspec.structs.replace(way, overlays=()) for way in ways]
    assert {pair.result for both in pairs.play(pool, plain, FACTS, of) for pair in both} == {"equal"}


@pytest.mark.parametrize("name", SHARED_WORK)
@pytest.mark.parametrize("dimension", ["T", "TA"])
def test_correct_shared_workers_are_silent(pool: Pool, name: str, dimension: str) -> None:
    made = play(pool, *SHARED_WORK[name], twins=TwinSpec(dimension=dimension, pictures="marked"))
    assert [pair.finding for pair in made] == [None, None]
    assert made[1].result == "equal"


def test_a_leak_that_another_rule_shows_is_no_second_finding(pool: Pool) -> None:
    # A's reply holds what B wrote: history-by-group is foreign-read's, and all that follows from it.
    steps = (step("B", "mention"), step("A", "mention", gap=9), wait(9))
    made = play(pool, *steps, overlay="history-by-group")
    assert {pair.result for pair in made} == {"explained"}


def test_the_message_puts_both_runs_side_by_side(pool: Pool) -> None:
    alone, _ = play(pool, *NOTES, overlay="notes-counted-for-all")
    assert alone.finding is not None
    message = alone.finding.message
    beside, _, without = message.partition("when B does nothing")
    assert "(2 answers so far)" in beside and "(1 answers so far)" in without


def test_a_witness_is_one_plan_and_replays_to_the_same_fingerprint(pool: Pool, tmp_path: Path) -> None:
    alone, _ = play(pool, *NOTES, overlay="one-random-pool")
    assert alone.finding is not None
    again, _ = play(pool, *NOTES, overlay="one-random-pool")
    assert again.finding is not None and again.finding.fingerprint == alone.finding.fingerprint
    found = Witness(
        fingerprint=alone.finding.fingerprint, target=SPEC, target_version=TARGET.version(), rule=RULE,
        message=alone.finding.message, plan=alone.plan,
    )  # fmt: skip
    shown = CliRunner().invoke(main, ["replay", str(save(found, tmp_path)), "--times", "2", "--explain"])
    assert shown.exit_code == 1, shown.output
    assert "shown in 2 of 2 replays" in shown.output and "violation" in shown.output
    gone = msgspec.structs.replace(found, plan=msgspec.structs.replace(found.plan, overlays=()))
    shown = CliRunner().invoke(main, ["replay", str(save(gone, tmp_path))])
    assert shown.exit_code == 0 and "shown in 0 of 1 replays" in shown.output


class Ground:
    """What confirming a finding needs, and no campaign around it."""

    facts = FACTS

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.found: dict[str, Witnessed] = {}
        self.touched = Nearness()
        self.did: dict[str, frozenset[Doing]] = {}
        self.riskmap = RiskMap(schema="isolation-risk-map/1", items=())
        self.pairing = Pairing(FACTS.scoping)
        self.seed = 0
        self.watch = Stopwatch()
        self.target = self
        self.offers: tuple[Action, ...] = ()

    def actions(self) -> tuple[Action, ...]:
        return self.offers

    def judge(self, trace: Trace) -> list[Finding]:
        return of(trace)

    def late(self) -> bool:
        return False

    def items_of(self, finding: Finding) -> tuple[str, ...]:
        return ()

    def shows(self, fingerprint: str, plans: list[Plan], rule: str) -> list[bool]:
        played = pairs.judged(self.pool, plans, FACTS, of, rule=rule, variants=("alone",))
        return [any(f.fingerprint == fingerprint for f in findings) for _, findings in played]


def test_a_witness_of_a_pair_is_made_small_and_confirmed(pool: Pool) -> None:
    steps = (step("A", "mention"), step("B", "text"), *NOTES, step("B", "picture"))
    alone, _ = play(pool, *steps, overlay="notes-counted-for-all")
    assert alone.finding is not None
    ground = Ground(pool)
    ground.found[alone.finding.fingerprint] = Witnessed(alone.finding, alone.plan, {"api"}, {"T"})
    confirm(ground, 2, 60, lambda fingerprint, hits, replays, parted: None)  # type: ignore[arg-type]
    [small] = ground.found.values()
    assert [s.action for s in small.plan.steps] == ["command", "command"]
    assert small.replays == (2, 2)


@pytest.mark.parametrize("swap", [False, True])
def test_the_trial_of_a_fault_plays_the_tour_in_pairs_with_either_twin_observing(pool: Pool, swap: bool) -> None:
    first = pairs.swapped(Plan(steps=NOTES)) if swap else Plan(steps=NOTES)
    tour = [Plan(steps=(step("A", "text"), step("B", "text"))), first]
    ground = Ground(pool)
    for plan in tour:
        trace = pool.run(plan).trace
        assert trace is not None
        ground.pairing.add(plan, trace, clean=True)
    faults = {fault.name: fault for fault in FAULTS}
    made = try_fault(ground, faults["one-random-pool"], tour, small=False)  # type: ignore[arg-type]
    assert made.killed and made.right_rule and "lucky number" in made.detail
    elsewhere = msgspec.structs.replace(faults["one-random-pool"], surface="elsewhere")
    made = try_fault(ground, elsewhere, tour, small=False)  # type: ignore[arg-type]
    assert made.killed and not made.right_rule and made.detail == "instead: interference on api"


def test_a_fault_that_is_felt_by_whoever_says_the_same_later_is_found_after_the_tour(pool: Pool) -> None:
    ground = Ground(pool)
    fault = next(fault for fault in FAULTS if fault.name == "said-within-the-hour")
    assert not try_fault(ground, fault, [], small=False).killed  # type: ignore[arg-type]
    ground.offers = (Action(entry="api", name="mention", payload={"text": "text"}),)
    made = try_fault(ground, fault, [], small=False)  # type: ignore[arg-type]
    assert made.killed and made.right_rule and "beside B nothing" in made.detail


RISKS = RiskMap(
    items=(
        RiskItem(
            id="reply", group="g", generation="saas", module="tests", cells=(Cell(sink="outbound", entry="api"),),
            defect="d", mitigation="m", places={"tiny": (Pattern(surface="wire"),)}, rules=("*", RULE),
        ),
    )
)  # fmt: skip


def test_a_campaign_plays_some_plans_as_pairs_and_opens_the_item(tmp_path: Path) -> None:
    few = Profile(plans=2, seconds=60, replays=2, overlays=False, pairs=4)
    with Pool("tests.campaign_targets:CountingTarget", jobs=2) as tiny:
        record = Campaign(tiny, CountingTarget(), RISKS, few).run()
    [finding] = record.findings
    assert (finding.rule, finding.items, finding.replays, finding.steps) == (RULE, ("reply",), (2, 2), 2)
    assert record.items[0].verdict == "open"
    assert record.soundness.pairs["plans"] >= 2 and record.soundness.pairs["differs"] >= 1
    assert any(event.kind == "violation" for event in finding.timeline)
    # An item that does not say that it shows so is not open by it, but nothing vouches for it either.
    silent = RiskMap(items=tuple(msgspec.structs.replace(item, rules=("*",)) for item in RISKS.items))
    with Pool("tests.campaign_targets:CountingTarget", jobs=2) as tiny:
        more = msgspec.structs.replace(few, plans=14)
        record = Campaign(tiny, CountingTarget(), silent, more).run()
    assert record.findings[0].items == () and record.items[0].verdict == "not_exercised"
    assert "depends on the other" in record.items[0].why
    with Pool("tests.campaign_targets:SoundTarget", jobs=2) as tiny:
        record = Campaign(tiny, SoundTarget(), RISKS, few).run()
    assert record.findings == () and set(record.soundness.pairs) == {"plans", "equal"}


def test_where_one_process_plays_all_plans_there_are_no_pairs() -> None:
    few = Profile(plans=1, seconds=60, replays=1, overlays=False, pairs=4)
    with Pool("tests.campaign_targets:SoundTarget", fork=False) as tiny:
        record = Campaign(tiny, SoundTarget(), RISKS, few).run()
    assert record.run.plans > 0 and record.soundness.pairs == {}


def test_what_broken_off_work_leaves_behind_is_felt_in_plans_that_are_explored(pool: Pool) -> None:
    fault = next(fault for fault in FAULTS if fault.overlap)
    ended = hunt(Field(pool, TARGET), fault, TARGET.actions(), 0, "mixed", within=40, small=False)
    assert ended.finding is not None and ended.finding.rule == RULE and ended.plan is not None
    assert any(cancels(step) and step.who == "B" for step in ended.plan.steps)
    assert not any(cancels(step) and step.who == "A" for step in ended.plan.steps), "who observes is let be"


def test_a_number_that_the_database_gives_away_again_hides_no_loss(pool: Pool) -> None:
    said = tuple(Step(entry="api", action="mention", who=who, payload={"text": "{message}"}, gap=3) for who in "BA")
    plan = Plan(before="filled", steps=(wait(330), *said, wait(1)))
    assert {pair.result for pair in next(pairs.play(pool, [plan], FACTS, of))} == {"equal"}


def test_either_twin_may_be_the_one_whose_turn_comes_first(pool: Pool) -> None:
    locked = msgspec.structs.replace(LOCKED, who="A")
    plan = Plan(before="filled", steps=(locked, wait(330)), overlays=("round-ends-with-who-fails",))
    alone, _ = next(pairs.play(pool, [pairs.swapped(plan)], FACTS, of, variants=IDLE))
    assert alone.result == "differs", "A has not what it has when B, who is served before it, does not fail"
    plain = msgspec.structs.replace(pairs.swapped(plan), overlays=())
    assert {pair.result for pair in next(pairs.play(pool, [plain], FACTS, of))} == {"equal"}
