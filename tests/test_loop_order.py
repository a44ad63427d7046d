"""With an empty tape the loop runs everything in exactly a stock asyncio loop's order."""

from __future__ import annotations

import asyncio
import heapq
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import VirtualClock
from harness.flow import Flow
from harness.loop import RESOLUTION, IsolationLoop
from harness.plan import Deviation
from harness.tape import Timer

Op = tuple[Any, ...]


class StockLoop(asyncio.SelectorEventLoop):
    """A stock loop in every line of scheduling; only its selector's waits pass at once, and timers of one moment come
    as they were set, where a real clock would hardly ever have two."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.set = 0
        self._clock_resolution = RESOLUTION
        self._selector.close()
        self._selector = self

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        self.set += 1
        timer = Timer(when, callback, args, self, context)
        timer.turn, timer._scheduled = self.set, True  # type: ignore[attr-defined]
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        return timer

    def select(self, timeout: float | None) -> list[Any]:
        if timeout:
            self.now = self._scheduled[0]._when
        return []

    def close(self) -> None:
        asyncio.BaseEventLoop.close(self)
        self._ssock.close()
        self._csock.close()


UNTIMED = st.one_of(
    st.just(("yield",)),
    st.tuples(st.just("put"), st.integers(0, 1)),
    st.tuples(st.just("take"), st.integers(0, 1)),
    st.tuples(st.just("set"), st.integers(0, 1)),
    st.tuples(st.just("cancel"), st.integers(0, 4)),
    st.just(("soon",)),
)
TIMED = st.one_of(
    UNTIMED,
    st.tuples(st.just("sleep"), st.sampled_from([0.25, 0.5, 1.0, 1.0])),
    st.tuples(st.just("get"), st.integers(0, 1), st.sampled_from([0.5, 1.0])),
    st.tuples(st.just("wait"), st.integers(0, 1), st.sampled_from([0.5, 1.0])),
    st.tuples(st.just("at"), st.sampled_from([0.0, 0.5, 1.0])),
)


def programs(ops: st.SearchStrategy[Op]) -> st.SearchStrategy[list[list[Any]]]:
    """Up to four tasks, each a list of operations, some of which gather children."""
    body = st.lists(ops, max_size=6)
    gather = st.tuples(st.just("gather"), st.lists(body, min_size=1, max_size=3))
    return st.lists(st.lists(st.one_of(ops, gather), max_size=6), min_size=1, max_size=4)


def run(loop: Any, program: list[list[Any]]) -> list[tuple[str, int, Any]]:
    """Run `program` and return what happened in order: task, operation, what came of it."""
    log: list[tuple[str, int, Any]] = []
    tasks: list[asyncio.Task[None]] = []

    async def work(name: str, ops: list[Any]) -> None:
        try:
            for index, op in enumerate(ops):
                log.append((name, index, await step(name, index, op)))
        except asyncio.CancelledError:
            log.append((name, -1, "cancelled"))
            raise

    async def step(name: str, index: int, op: Op) -> Any:
        kind = op[0]
        if kind == "yield":
            await asyncio.sleep(0)
        elif kind == "sleep":
            await asyncio.sleep(op[1])
        elif kind == "put":
            queues[op[1]].put_nowait((name, index))
        elif kind == "take":
            for _ in range(3):
                if not queues[op[1]].empty():
                    return queues[op[1]].get_nowait()
                await asyncio.sleep(0)
        elif kind == "get":
            try:
                return await asyncio.wait_for(queues[op[1]].get(), op[2])
            except TimeoutError:
                return "timeout"
        elif kind == "wait":
            try:
                return await asyncio.wait_for(gates[op[1]].wait(), op[2])
            except TimeoutError:
                return "timeout"
        elif kind == "set":
            gates[op[1]].set()
        elif kind == "cancel":
            if op[1] < len(tasks):
                return tasks[op[1]].cancel()
        elif kind == "soon":
            loop.call_soon(log.append, (name, index, "soon"))
        elif kind == "at":
            loop.call_at(loop.time() + op[1], log.append, (name, index, "at"))
        elif kind == "gather":
            children = [work(f"{name}.{n}", body) for n, body in enumerate(op[1])]
            await asyncio.gather(*children, return_exceptions=True)
        return None

    async def main() -> None:
        for number, ops in enumerate(program):
            name = f"T{number}"
            if isinstance(loop, IsolationLoop):
                tasks.append(loop.spawn(work(name, ops), Flow(f"lineage{number % 2}"), name))
            else:
                tasks.append(loop.create_task(work(name, ops)))
        await asyncio.wait(tasks)
        await asyncio.sleep(0)

    queues = [asyncio.Queue(), asyncio.Queue()]  # type: ignore[var-annotated]
    gates = [asyncio.Event(), asyncio.Event()]
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return log


@given(programs(TIMED), st.booleans())
def test_empty_tape_is_a_stock_loop_in_virtual_time(program: list[list[Any]], count_sites: bool) -> None:
    stock = StockLoop()
    ours = IsolationLoop(clock=VirtualClock(), count_sites=count_sites)
    assert run(ours, program) == run(stock, program)
    assert ours.time() == stock.now


@given(programs(UNTIMED))
def test_empty_tape_is_the_untouched_stock_loop(program: list[list[Any]]) -> None:
    assert run(IsolationLoop(clock=VirtualClock()), program) == run(asyncio.SelectorEventLoop(), program)


@given(programs(TIMED), st.integers(0, 1), st.integers(0, 20))
def test_a_tape_that_meets_nothing_changes_nothing(program: list[list[Any]], lineage: int, occurrence: int) -> None:
    tape = [Deviation(kind="hold", lineage=f"lineage{lineage}.other", occurrence=occurrence, amount=3)]
    taped = IsolationLoop(clock=VirtualClock(), tape=tape)
    assert run(taped, program) == run(IsolationLoop(clock=VirtualClock()), program)
    assert taped.deviations == []


def test_equal_times_run_in_the_order_they_were_asked_for() -> None:
    loop = IsolationLoop(clock=VirtualClock())
    order: list[int] = []
    for number in range(20):
        loop.call_at(5.0, order.append, number)
    loop.run_until_complete(asyncio.sleep(6))
    assert order == list(range(20))
    loop.close()


@pytest.mark.parametrize("days", [1, 400])
def test_long_waits_pass_exactly(days: int) -> None:
    loop = IsolationLoop(clock=VirtualClock())
    loop.run_until_complete(asyncio.sleep(days * 86400))
    assert loop.time() == days * 86400
    loop.close()


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_timers_of_one_moment_come_as_they_were_set_whatever_else_waits(mine: list[int], others: list[int]) -> None:
    async def play() -> list[int]:
        loop, came = asyncio.get_running_loop(), list[int]()
        now = loop.time()
        for index in range(max(len(mine), len(others))):
            if index < len(others):
                loop.call_at(now + others[index], int)
            if index < len(mine):
                loop.call_at(now + mine[index], came.append, index)
        await asyncio.sleep(5)
        return came

    with asyncio.Runner(loop_factory=lambda: IsolationLoop(clock=VirtualClock())) as runner:
        assert runner.run(play()) == sorted(range(len(mine)), key=mine.__getitem__)
