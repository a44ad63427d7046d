"""What the tape may do: let arrivals come later. What it may not: make a history no stock loop could make."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.clock import VirtualClock
from harness.flow import FLOW, Flow
from harness.loop import IsolationLoop
from harness.plan import Deviation

HERE = __name__


def two_lineages(loop: IsolationLoop, body_a: Any, body_b: Any) -> None:
    """Run one task under lineage A and one under B until both are done."""

    async def main() -> None:
        await asyncio.gather(
            loop.spawn(body_a, Flow("A", step=0, actor="A"), "a"), loop.spawn(body_b, Flow("B", step=1, actor="B"), "b")
        )

    loop.run_until_complete(main())
    loop.close()


async def waits(log: list[str], name: str, seconds: Sequence[float]) -> None:
    for number, length in enumerate(seconds):
        await asyncio.sleep(length)
        log.append(f"{name}{number}")


def play(tape: Sequence[Deviation], a: Sequence[float], b: Sequence[float]) -> tuple[list[str], IsolationLoop]:
    log: list[str] = []
    loop = IsolationLoop(clock=VirtualClock(), tape=tape)
    two_lineages(loop, waits(log, "a", a), waits(log, "b", b))
    return log, loop


def test_a_held_timer_lets_the_other_lineage_go_first() -> None:
    assert play((), [1], [1])[0] == ["a0", "b0"]
    hold = Deviation(kind="hold", lineage="A", site=f"{HERE}:waits", occurrence=1, amount=2)  # 0 is its start
    log, loop = play([hold], [1], [1])
    assert log == ["b0", "a0"]
    assert loop.deviations == [0]
    assert loop.time() == 1.0


def test_a_hold_ends_after_its_amount() -> None:
    hold = Deviation(kind="hold", lineage="A", site=f"{HERE}:waits", occurrence=1, amount=3)
    log, _ = play([hold], [1], [1, 0, 0, 0, 0, 0])
    free, _ = play([], [1], [1, 0, 0, 0, 0, 0])
    assert free[0] == "a0"
    assert 1 < log.index("a0") < 5


def test_a_hold_never_lets_time_pass() -> None:
    log, loop = play([Deviation(kind="hold", lineage="A", occurrence=1, amount=50)], [1], [2])
    assert log == ["a0", "b0"]
    assert loop.deviations == []


def test_a_held_step_starts_later() -> None:
    log, loop = play([Deviation(kind="hold", lineage="A", amount=1)], [0], [0])
    assert log == ["b0", "a0"]
    assert loop.deviations == [0]


def test_what_the_program_itself_made_ready_is_never_reordered() -> None:
    """Between two bare yields nothing arrives, so a stock loop alternates; no tape may change that."""
    for occurrence in range(1, 12):
        log, _ = play([Deviation(kind="hold", lineage="A", occurrence=occurrence, amount=3)], [0] * 4, [0] * 4)
        assert log == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]


def test_a_delay_lets_a_wait_end_later() -> None:
    delay = Deviation(kind="delay", lineage="A", site=f"{HERE}:waits", occurrence=1, amount=5)
    log, loop = play([delay], [1, 1], [1, 2])
    assert log == ["b0", "b1", "a0", "a1"]
    assert loop.time() == 7.0
    assert loop.deviations == [0]


def test_occurrences_count_within_lineage_and_site() -> None:
    log, loop = play([Deviation(kind="delay", lineage="A", site=f"{HERE}:waits", occurrence=2, amount=5)], [1, 1], [2])
    assert log == ["a0", "b0", "a1"]
    assert loop.time() == 7.0
    assert loop.choices[f"A {HERE}:waits"] == 3  # the stimulus itself and two sleeps


def test_a_site_that_is_not_met_takes_no_effect() -> None:
    for entry in (
        Deviation(kind="delay", lineage="A", site="elsewhere:waits"),
        Deviation(kind="hold", lineage="A.", site=f"{HERE}:waits"),
        Deviation(kind="delay", lineage="A", site=f"{HERE}:waits", occurrence=9),
    ):
        log, loop = play([entry], [1], [1])
        assert (log, loop.deviations) == (["a0", "b0"], [])


def test_a_delayed_executor_job_ends_later() -> None:
    async def job(log: list[str], name: str) -> None:
        await asyncio.to_thread(log.append, f"{name} runs")
        log.append(f"{name} knows")

    log: list[str] = []
    loop = IsolationLoop(clock=VirtualClock(), tape=[Deviation(kind="delay", lineage="A", occurrence=1, amount=4)])
    two_lineages(loop, job(log, "a"), job(log, "b"))
    assert log == ["a runs", "b runs", "b knows", "a knows"]
    assert loop.time() == 4.0


def test_a_held_executor_job_is_known_later() -> None:
    async def job(log: list[str], name: str) -> None:
        await asyncio.to_thread(log.append, f"{name} runs")
        log.append(f"{name} knows")

    log: list[str] = []
    loop = IsolationLoop(clock=VirtualClock(), tape=[Deviation(kind="hold", lineage="A", occurrence=1, amount=3)])
    two_lineages(loop, job(log, "a"), job(log, "b"))
    assert log == ["a runs", "b runs", "b knows", "a knows"]
    assert loop.deviations == [0]


def test_a_cancelled_wait_may_be_held() -> None:
    async def impatient(log: list[str]) -> None:
        try:
            await asyncio.wait_for(asyncio.sleep(1), 1)
        except TimeoutError:
            log.append("timeout")
        else:
            log.append("done")

    log: list[str] = []
    tape = [Deviation(kind="hold", lineage="A", occurrence=n, amount=4) for n in range(4)]
    loop = IsolationLoop(clock=VirtualClock(), tape=tape)
    two_lineages(loop, impatient(log), waits([], "b", [1, 0, 0]))
    assert log in (["timeout"], ["done"])


def at_one(tape: Sequence[Deviation], a: Any, b: Any) -> list[str]:
    """`a` and `b` get the loop and a log under their lineage, set timers for second 1, and the log comes back."""
    log: list[str] = []
    loop = IsolationLoop(clock=VirtualClock(), tape=tape)

    async def body(prepare: Any) -> None:
        prepare(loop, log)
        await asyncio.sleep(2)

    two_lineages(loop, body(a), body(b))
    return log


def test_later_arrivals_of_a_held_lineage_keep_their_order() -> None:
    def a(loop: IsolationLoop, log: list[str]) -> None:
        for number in range(3):
            loop.call_at(1 + number / 1e9, log.append, f"a{number}")  # one round: within the clock's resolution

    def b(loop: IsolationLoop, log: list[str]) -> None:
        for number in range(3):
            loop.call_at(1 + number / 1e9 + 1e-8, log.append, f"b{number}")

    hold = Deviation(kind="hold", lineage="A", occurrence=1, amount=2)
    assert at_one([], a, b) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert at_one([hold], a, b) == ["b0", "b1", "b2", "a0", "a1", "a2"]


def chain(loop: IsolationLoop, log: list[str], name: str, number: int = 0) -> None:
    log.append(f"{name}{number}")
    if number < 7:
        loop.call_soon(chain, loop, log, name, number + 1)


def test_a_hold_counts_what_other_lineages_run() -> None:
    def a(loop: IsolationLoop, log: list[str]) -> None:
        loop.call_at(1, chain, loop, log, "a")
        loop.call_at(1, log.append, "held")

    def b(loop: IsolationLoop, log: list[str]) -> None:
        loop.call_at(1, chain, loop, log, "b")

    log = at_one([Deviation(kind="hold", lineage="A", occurrence=2, amount=4)], a, b)
    assert log[: log.index("held")] == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"]
    assert [entry for entry in log if entry != "held"] == [f"{name}{n}" for n in range(8) for name in "ab"]


def test_a_hold_goes_on_while_a_timer_is_due() -> None:
    def a(loop: IsolationLoop, log: list[str]) -> None:
        loop.call_at(1, log.append, "held")

    def b(loop: IsolationLoop, log: list[str]) -> None:
        loop.call_at(1, lambda: loop.call_later(0, log.append, "due"))

    assert at_one([Deviation(kind="hold", lineage="A", occurrence=1, amount=9)], a, b) == ["due", "held"]


DEVIATIONS = st.builds(
    Deviation,
    kind=st.sampled_from(["hold", "delay"]),
    lineage=st.sampled_from(["A", "B"]),
    site=st.sampled_from(["", f"{HERE}:waits"]),
    occurrence=st.integers(0, 8),
    amount=st.integers(0, 5).map(float),
)
LENGTHS = st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0]), max_size=8)


@given(st.lists(DEVIATIONS, max_size=5), LENGTHS, LENGTHS)
def test_each_lineage_alone_sees_no_difference(tape: list[Deviation], a: list[float], b: list[float]) -> None:
    """Lineages that share nothing do the same under any tape; only their order between each other moves."""
    log, loop = play(tape, a, b)
    assert [entry for entry in log if entry[0] == "a"] == [f"a{n}" for n in range(len(a))]
    assert [entry for entry in log if entry[0] == "b"] == [f"b{n}" for n in range(len(b))]
    assert all(0 <= index < len(tape) for index in loop.deviations)


@given(st.lists(DEVIATIONS, max_size=5), LENGTHS, LENGTHS)
def test_the_same_tape_gives_the_same_run(tape: list[Deviation], a: list[float], b: list[float]) -> None:
    first, one = play(tape, a, b)
    second, two = play(tape, a, b)
    assert (first, one.deviations, one.choices) == (second, two.deviations, two.choices)


@given(LENGTHS, LENGTHS, st.integers(0, 8), st.integers(1, 5))
def test_holds_cost_no_virtual_time(a: list[float], b: list[float], occurrence: int, amount: int) -> None:
    hold = Deviation(kind="hold", lineage="A", occurrence=occurrence, amount=amount)
    assert play([hold], a, b)[1].time() == play([], a, b)[1].time()


def test_b_having_one_step_more_does_not_shift_the_tape_of_a() -> None:
    delay = Deviation(kind="delay", lineage="A", site=f"{HERE}:waits", occurrence=2, amount=10)
    for b in ([], [1], [0, 1, 0, 1, 1]):
        _, loop = play([delay], [1, 1, 1], b)
        assert loop.deviations == [0]
        assert loop.time() == 13.0


def test_children_inherit_the_lineage_one_level_deeper() -> None:
    seen: dict[str, Flow] = {}

    async def leaf(name: str) -> None:
        seen[name] = FLOW.get()

    async def parent() -> None:
        seen["parent"] = FLOW.get()
        await asyncio.create_task(leaf("child"))
        await asyncio.gather(leaf("gathered"))

    loop = IsolationLoop(clock=VirtualClock())
    flow = Flow("A.3", step=3, actor="A", entry="api")
    loop.run_until_complete(loop.spawn(parent(), flow, "parent"))
    loop.close()
    assert seen["parent"] == flow
    assert seen["child"] == seen["gathered"] == Flow("A.3", step=3, actor="A", entry="api", depth=1)


def test_boot_tasks_get_a_lineage_each() -> None:
    seen: list[Flow] = []

    async def worker() -> None:
        seen.append(FLOW.get())
        await asyncio.create_task(deeper())

    async def deeper() -> None:
        seen.append(FLOW.get())

    async def boot() -> None:
        await asyncio.gather(*[asyncio.create_task(worker()) for _ in range(2)])

    loop = IsolationLoop(clock=VirtualClock())
    loop.run_until_complete(loop.spawn(boot(), Flow("boot"), "boot"))
    loop.close()
    lineages = [flow.lineage for flow in seen]
    name = worker.__qualname__
    assert lineages == [f"boot/{name}#0", f"boot/{name}#1", f"boot/{name}#0", f"boot/{name}#1"]
    assert [flow.depth for flow in seen] == [0, 0, 1, 1]
    assert {(flow.entry, flow.step, flow.actor) for flow in seen} == {("timer", -1, None)}


def test_a_given_context_is_used_and_keeps_its_lineage() -> None:
    import contextvars

    seen: list[Flow] = []
    tenant = contextvars.ContextVar("tenant", default="none")
    tenants: list[str] = []

    async def leaf() -> None:
        seen.append(FLOW.get())
        tenants.append(tenant.get())

    async def parent() -> None:
        tenant.set("A")
        loop = asyncio.get_running_loop()
        other = contextvars.copy_context()
        other.run(FLOW.set, Flow("B.9", actor="B"))
        await loop.create_task(leaf(), context=other)
        await loop.create_task(leaf(), context=contextvars.Context())

    loop = IsolationLoop(clock=VirtualClock())
    loop.run_until_complete(loop.spawn(parent(), Flow("A.0", step=0, actor="A", entry="api"), "p"))
    loop.close()
    assert seen == [Flow("B.9", actor="B"), Flow("A.0", step=0, actor="A", entry="api", depth=1)]
    assert tenants == ["A", "none"]


def early(tape: Sequence[Deviation], answers: Sequence[str]) -> tuple[float, list[int]]:
    log: list[str] = []
    loop = IsolationLoop(clock=VirtualClock(), tape=tape, answers=answers)
    two_lineages(loop, waits(log, "a", [5]), waits(log, "b", []))
    return loop.time(), loop.deviations


def test_an_answer_from_outside_may_come_at_once_but_never_before_it_was_asked_for() -> None:
    soon = Deviation(kind="early", lineage="A", site=f"{HERE}:waits", occurrence=1, amount=1000)
    assert early([soon], [f"{HERE}:*"]) == (0.0, [0])
    sooner = Deviation(kind="early", lineage="A", site=f"{HERE}:waits", occurrence=1, amount=2)
    assert early([sooner], [f"{HERE}:*"]) == (3.0, [0])


def test_a_sleep_of_the_bot_never_ends_early() -> None:
    soon = Deviation(kind="early", lineage="A", site=f"{HERE}:waits", occurrence=1, amount=1000)
    assert early([soon], []) == (5.0, [])
    assert early([soon], ["other:*"]) == (5.0, [])
