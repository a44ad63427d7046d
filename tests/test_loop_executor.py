"""Executor jobs run on the loop's own thread, later, in the context a stock loop would give them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from harness.clock import VirtualClock
from harness.flow import FLOW, Flow
from harness.loop import IsolationLoop

TENANT: ContextVar[str] = ContextVar("tenant", default="none")


@pytest.fixture
def loop() -> Iterator[IsolationLoop]:
    loop = IsolationLoop(clock=VirtualClock())
    yield loop
    loop.close()


def run_as_a(loop: IsolationLoop, coro: Any) -> Any:
    return loop.run_until_complete(loop.spawn(coro, Flow("A.0", step=0, actor="A", entry="api"), "a"))


def test_plain_jobs_lose_the_bots_context_and_keep_the_actor(loop: IsolationLoop) -> None:
    async def body() -> tuple[Any, ...]:
        TENANT.set("A")
        plain = await loop.run_in_executor(None, lambda: (TENANT.get(), FLOW.get().actor))
        carried = await asyncio.to_thread(lambda: (TENANT.get(), FLOW.get().actor))
        return plain, carried

    assert run_as_a(loop, body()) == (("none", "A"), ("A", "A"))


def test_what_a_job_sets_does_not_reach_its_caller(loop: IsolationLoop) -> None:
    async def body() -> str:
        await loop.run_in_executor(None, TENANT.set, "B")
        await asyncio.to_thread(TENANT.set, "B")
        return TENANT.get()

    assert run_as_a(loop, body()) == "none"


def test_a_worker_keeps_what_a_job_left_set_in_it_whoever_comes_next(loop: IsolationLoop) -> None:
    def take() -> tuple[str, Any]:
        found = TENANT.get()
        TENANT.set(f"left by {FLOW.get().actor}")
        return found, FLOW.get().actor

    async def body(other: Any) -> tuple[Any, ...]:
        return await loop.run_in_executor(None, take), await loop.run_in_executor(other, take)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert run_as_a(loop, body(pool)) == (("none", "A"), ("none", "A"))
        b = Flow("B.1", step=1, actor="B", entry="api")
        assert loop.run_until_complete(loop.spawn(body(pool), b, "b")) == (("left by A", "B"), ("left by A", "B"))


def test_a_job_runs_later_and_on_this_thread(loop: IsolationLoop) -> None:
    order: list[Any] = []

    async def body() -> None:
        future = loop.run_in_executor(None, lambda: order.append(threading.get_ident()))
        order.append("asked")
        await future
        order.append("known")

    run_as_a(loop, body())
    assert order == ["asked", threading.get_ident(), "known"]
    assert loop.time() == 0.0


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (KeyError("x"), KeyError),
        (TimeoutError(), TimeoutError),
        (concurrent.futures.CancelledError(), asyncio.CancelledError),
        (StopIteration(3), RuntimeError),
    ],
)
def test_a_jobs_exception_reaches_the_waiting_task(loop: IsolationLoop, raised: BaseException, seen: Any) -> None:
    def job() -> None:
        raise raised

    async def body() -> None:
        with pytest.raises(seen):
            await loop.run_in_executor(None, job)

    run_as_a(loop, body())


def test_a_job_cancelled_before_it_ran_never_runs(loop: IsolationLoop) -> None:
    ran: list[int] = []

    async def body() -> None:
        loop.run_in_executor(None, ran.append, 1).cancel()
        await asyncio.sleep(1)

    run_as_a(loop, body())
    assert ran == []


def test_a_job_has_no_running_loop_and_may_run_its_own(loop: IsolationLoop) -> None:
    def job() -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return asyncio.run(asyncio.sleep(0, "inner"))

    async def body() -> tuple[str, bool]:
        inner = await asyncio.to_thread(job)
        return inner, asyncio.get_running_loop() is loop

    assert run_as_a(loop, body()) == ("inner", True)


def test_the_bots_own_pools_are_not_used_and_shut_down_cleanly(loop: IsolationLoop) -> None:
    before = threading.active_count()

    async def body() -> int:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            loop.set_default_executor(concurrent.futures.ThreadPoolExecutor())
            first = await loop.run_in_executor(pool, threading.get_ident)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError):
            loop.run_in_executor(None, threading.get_ident)
        return first

    assert run_as_a(loop, body()) == threading.get_ident()
    assert threading.active_count() == before
