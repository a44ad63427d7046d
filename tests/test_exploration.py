"""Exploration draws short, mixed plans in which flows overlap; what is in flight can be cancelled at any wait."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fixtures.targets.reference import ReferenceTarget
from harness.clock import VirtualClock
from harness.exploring import ROUND, VARIANTS, Explorer, How, broken_off, disturbed
from harness.flow import Flow
from harness.loop import IsolationLoop
from harness.plan import Deviation, Plan, Step
from harness.pool import Outcome, Pool
from harness.target import Action
from harness.trace import Trace
from tests.evidence_factory import TWINS

SPEC = "fixtures.targets.reference:ReferenceTarget"
ACTIONS = ReferenceTarget().actions()
CHOICES = {"A.0 x": 9, "B.1 x": 9}


class Played:
    """Stands in for a pool: every plan ends at once, with the same choices."""

    def __init__(self) -> None:
        self.asked: list[tuple[Plan, bool]] = []

    def map(
        self, plans: Sequence[Plan], *, choices: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Outcome]:
        for plan in plans:
            if stop():
                return
            self.asked.append((plan, choices))
            trace = Trace(plan=plan.digest(), twins=TWINS, accesses=(), choices=CHOICES if choices else {})
            yield Outcome(plan=plan, status="ok", trace=trace)


def uncut(plan: Plan) -> tuple[Step, ...]:
    return tuple(step for step in plan.steps if step.action != "cancel")


def sent(plan: Plan) -> list[tuple[object, ...]]:
    return [(step.who, step.entry, step.action, step.payload) for step in plan.steps if step.entry != "world"]


def ungapped(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(msgspec.structs.replace(step, gap=0.0) for step in steps)


def explored(count: int, how: How = "mixed", seed: int = 1, **more: Any) -> tuple[Explorer, Played]:
    pool: Any = Played()
    explorer = Explorer(ACTIONS, seed, how=how)
    assert len(list(explorer.play(pool, count, **more))) == count
    return explorer, pool


def test_plans_are_played_in_order_first_and_then_under_schedules() -> None:
    explorer, pool = explored(6 * ROUND)
    plain = [plan for plan, choices in pool.asked if choices]
    rest = [plan for plan, choices in pool.asked if not choices]
    assert all(not plan.tape for plan in plain)
    assert sum(bool(plan.tape) for plan in rest) > len(rest) / 2
    assert all(any(sent(plan) == sent(base) for base in plain) for plan in rest), "the same is sent, whatever happens"
    assert sum(explorer.tally.plans.values()) >= 3 * ROUND
    told = explorer.tally.told()
    assert "uniform" in told and "pct depth d=" in told and "k=18 waits" in told


def test_each_kind_of_schedule_can_be_had_alone() -> None:
    assert set(explored(40, "fifo")[0].tally.plans) == {"fifo"}
    assert set(explored(40, "uniform")[0].tally.plans) == {"fifo", "uniform", "cut", "disturbed"}
    assert set(explored(40, "pct")[0].tally.plans) == {"fifo", "pct", "cut", "disturbed"}
    assert not any(plan.tape for plan, _ in explored(40, "fifo")[1].asked)


def test_a_step_is_cancelled_at_waits_that_it_was_seen_to_have() -> None:
    steps = tuple(Step(entry="api", action="say", who=who) for who in "AB")
    plan, rng = Plan(steps=steps, tape=(Deviation(kind="hold", lineage="B.1"),)), random.Random(3)
    drawn = [broken_off(plan, {"A.0 x": 2, "A.0 y": 1, "B.1 x": 5, "timer z": 40}, rng) for _ in range(200)]
    met = {(cut.steps.index(step), step.who, step.payload["after"]) for cut in drawn if cut for step in cut.steps[1:]
           if step.action == "cancel"}  # fmt: skip
    assert met == {*((1, "A", after) for after in range(3)), *((2, "B", after) for after in range(5))}
    assert all(cut is not None and ungapped(uncut(cut)) == steps and cut.tape == () for cut in drawn)
    late = {step.gap for cut in drawn if cut for step in cut.steps if step.who == "B"}
    assert late == {0.0, 0.4, 3.0}, "now and then who comes next begins when it is over"
    assert broken_off(plan, {"timer z": 40, "A.7 x": 1}, rng) is None
    aimed = [broken_off(plan, {"A.0 x": 2, "B.1 x": 5}, random.Random(seed), {1}) for seed in range(20)]
    assert {step.who for cut in aimed if cut for step in cut.steps if step.action == "cancel"} == {"B"}


def test_something_happens_to_whom_the_other_follows_some_moments_after_its_step() -> None:
    steps = tuple(Step(entry="api", action="say", who=who) for who in "AAB")
    world = [Action(entry="world", name=name) for name in ("drop", "clog")]
    made = [disturbed(Plan(steps=steps), world, random.Random(seed)) for seed in range(60)]
    happened = [(at, step) for plan in made if plan for at, step in enumerate(plan.steps) if step.entry == "world"]
    assert {step.action for _, step in happened} == {"drop", "clog"} and all(step.gap > 0 for _, step in happened)
    assert all(
        plan is not None and plan.steps[at - 1].who == step.who for plan, (at, step) in zip(made, happened, strict=True)
    )
    assert sum(at == 2 for at, _ in happened) > 40, "rather between the two than anywhere else"
    aimed = [disturbed(Plan(steps=steps), world, random.Random(seed), {0}) for seed in range(20)]
    assert {plan.steps[1].entry for plan in aimed if plan} == {"world"}, "right after what is aimed at"
    assert disturbed(Plan(steps=steps), [Action(entry="api", name="say")], random.Random(1)) is None


def test_only_plans_that_reach_the_aim_get_schedules() -> None:
    _, pool = explored(40, aim=lambda trace: [SimpleNamespace(step=0, actor="A", lineage="A.0", seq=0, op="write")])
    assert all(choices for _, choices in pool.asked)
    _, pool = explored(ROUND * (1 + VARIANTS))
    assert sum(choices for _, choices in pool.asked) == ROUND


def test_what_reaches_the_aim_is_taken_more_often() -> None:
    wanted = ("webui", "statistics")

    class Seeing(Played):
        def map(self, plans: Sequence[Plan], **how: Any) -> Iterator[Outcome]:
            for outcome in super().map(plans, **how):
                self.last = outcome.plan
                yield outcome

    def share(pool: Seeing, explorer: Explorer, aim: Any) -> float:
        list(explorer.play(pool, 400, aim=aim))  # type: ignore[arg-type]
        plans = [plan for plan, choices in pool.asked if choices]
        return sum(any((s.entry, s.action) == wanted for s in plan.steps) for plan in plans) / len(plans)

    aimless, aiming = Seeing(), Seeing()

    def aim(trace: Trace) -> Any:
        met = [(i, s.who) for i, s in enumerate(aiming.last.steps) if (s.entry, s.action) == wanted and s.who]
        return [SimpleNamespace(step=step, actor=who, lineage=f"{who}.{step}", seq=0, op="read") for step, who in met]

    assert share(aiming, Explorer(ACTIONS, 1), aim) > 0.5 > 2 * share(aimless, Explorer(ACTIONS, 1), None)


def test_what_changes_the_aim_is_taken_more_often_than_what_only_looks_at_it() -> None:
    looking = [Action(entry="api", name=f"look{number}", payload={"text": "text"}) for number in range(9)]
    actions = [*looking, Action(entry="webui", name="change", payload={"text": "text"})]

    class Seeing(Played):
        def map(self, plans: Sequence[Plan], **how: Any) -> Iterator[Outcome]:
            for outcome in super().map(plans, **how):
                self.last = outcome.plan
                yield outcome

    pool: Any = Seeing()

    def aim(trace: Trace) -> Any:
        met = [(i, s.who, s.entry) for i, s in enumerate(pool.last.steps) if s.who]
        return [
            SimpleNamespace(
                step=step, actor=who, lineage=f"{who}.{step}", seq=0, op="read" if entry == "api" else "write"
            )
            for step, who, entry in met
        ]

    list(Explorer(actions, 1).play(pool, 400, aim=aim))
    plans = [plan for plan, choices in pool.asked if choices]
    assert sum(any(step.entry == "webui" for step in plan.steps) for plan in plans) > len(plans) * 0.22


def test_every_choice_of_an_action_that_has_many_comes_from_both_twins() -> None:
    words = [f"/{number}" for number in range(40)]
    wrong = Action(entry="api", name="stranger", payload={"key": ["none"]}, wrong={"key": ["none"]})
    talk = Action(entry="api", name="text", payload={"text": "text"}, weight=9)
    choosing = Action(entry="api", name="command", payload={"text": [*words, *words], "number": "int"})

    def together(aim: Any) -> set[object]:
        explorer, pool = Explorer([wrong, talk, choosing], 1, how="fifo"), Played()
        list(explorer.play(pool, 120, aim=aim))  # type: ignore[arg-type]
        found = set()
        for plan, _ in pool.asked:
            said = [{step.payload.get("text") for step in plan.steps if step.who == who} for who in "AB"]
            found |= said[0] & said[1] & set(words)
        return found

    assert len(together(None)) > 32 > 26 > len(together(lambda trace: ()))


def test_the_same_seed_explores_the_same() -> None:
    assert explored(60)[1].asked == explored(60)[1].asked
    assert explored(60)[1].asked != explored(60, seed=2)[1].asked


def test_each_plan_is_a_swarm_of_its_own() -> None:
    explorer = Explorer(ACTIONS, 3)
    plans = [explorer.base() for _ in range(300)]
    used = Counter((step.entry, step.action) for plan in plans for step in plan.steps)
    weighted = {(action.entry, action.name) for action in ACTIONS if action.weight}
    assert weighted <= set(used)
    assert {("world", "cancel"), ("world", "advance"), ("world", "drop")} <= set(used)
    assert sum(any(step.action == "cancel" for step in plan.steps) for plan in plans) < 200
    assert all({"A", "B"} <= {step.who for step in plan.steps} for plan in plans)
    assert sorted(len(plan.steps) for plan in plans)[150] <= 7


def test_a_target_without_anything_to_send_is_explored_all_the_same() -> None:
    explorer = Explorer([Action(entry="timer", name="tick", principal=False)], 1)
    assert {step.action for _ in range(40) for step in explorer.base().steps} <= {"tick", "advance"}


# -- cancelling what is in flight ---------------------------------------------------------------------------------


def cancelled_after(waits: int) -> list[str]:
    log: list[str] = []

    async def body() -> None:
        try:
            for number in range(4):
                await asyncio.sleep(1)
                log.append(f"slept {number}")
            await asyncio.to_thread(log.append, "job")
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    loop = IsolationLoop(clock=VirtualClock(), count_sites=True)

    async def main() -> None:
        task = loop.spawn(body(), Flow("A.0", step=0, actor="A"), "a")
        await asyncio.sleep(0)
        loop.cancel(task, waits, "A.0")
        await asyncio.wait([task])

    loop.run_until_complete(main())
    loop.close()
    return log


def test_a_flow_is_cancelled_at_the_wait_that_is_named() -> None:
    assert cancelled_after(0) == ["cancelled"]
    assert cancelled_after(1) == ["slept 0", "cancelled"]
    assert cancelled_after(3) == ["slept 0", "slept 1", "slept 2", "cancelled"]
    assert cancelled_after(99)[-2:] == ["slept 3", "job"]


def test_a_job_that_was_handed_over_runs_though_nobody_waits_for_it_any_more() -> None:
    assert cancelled_after(4)[-2:] == ["job", "cancelled"]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC, jobs=1) as made:
        yield made


def outcomes(pool: Pool, *steps: Step, tape: tuple[Deviation, ...] = ()) -> list[tuple[str, str]]:
    trace = pool.run(Plan(steps=steps, tape=tape)).trace
    assert trace is not None and not trace.faults
    return [(step.action, step.outcome) for step in trace.steps]


TALK = Step(entry="api", action="picture", who="A", payload={"slot": "picture"})
CANCEL = Step(entry="world", action="cancel", who="A", payload={"after": 3})


def test_a_step_cancels_the_last_one_of_the_same_principal(pool: Pool) -> None:
    assert outcomes(pool, TALK, CANCEL) == [("picture", "cancelled"), ("cancel", "ok")]


def test_there_may_be_nothing_to_cancel(pool: Pool) -> None:
    done = Step(entry="world", action="cancel", who="A", payload={"after": 0}, join=True)
    assert outcomes(pool, TALK, done) == [("picture", "ok"), ("cancel", "unmet")]
    other = Step(entry="world", action="cancel", who="B", payload={"after": 0})
    assert outcomes(pool, TALK, other) == [("picture", "ok"), ("cancel", "unmet")]


def test_a_step_may_be_cancelled_before_it_began(pool: Pool) -> None:
    never = Deviation(kind="delay", lineage="A.0", amount=5.0)
    now = Step(entry="world", action="cancel", who="A", payload={"after": 0})
    assert outcomes(pool, TALK, now, tape=(never,)) == [("picture", "cancelled"), ("cancel", "ok")]


def test_a_lost_connection_hears_nothing_until_it_is_opened_anew(pool: Pool) -> None:
    def heard(*steps: Step) -> int:
        trace = pool.run(Plan(steps=steps)).trace
        assert trace is not None
        return sum(a.sink == "outbound" and a.surface == "api" and a.op == "write" for a in trace.accesses)

    talk = Step(entry="api", action="mention", who="A", payload={"text": "{message}"})
    drop = Step(entry="world", action="drop", who="A", gap=0.05)
    assert heard(talk) > 0 == heard(talk, drop)
    assert heard(talk, drop, Step(entry="api", action="command", who="A", payload={"text": "/notes"}, gap=0.05)) > 0
