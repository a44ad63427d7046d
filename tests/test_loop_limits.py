"""Where the loop ends: nothing can happen any more, nothing ever waits, the outside world is asked for."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from harness import loop as loop_module
from harness import threads
from harness.clock import VirtualClock
from harness.errors import IsolationError
from harness.flow import Flow
from harness.loop import IsolationLoop, Runaway, Stalled
from harness.plan import Deviation
from harness.seclusion import Unsupported


@pytest.fixture(params=[False, True], ids=["fifo", "taped"])
def loop(request: pytest.FixtureRequest) -> Iterator[IsolationLoop]:
    tape = [Deviation(kind="hold", lineage="A", amount=2)] if request.param else []
    loop = IsolationLoop(clock=VirtualClock(), tape=tape, max_callbacks=5000)
    yield loop
    loop.close()


def test_a_wait_for_nothing_names_who_waits(loop: IsolationLoop) -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stalled, match=r"(?s)second 0.*lonely at .*waits_for_ever:\d+") as caught:
        loop.run_until_complete(loop.spawn(waits_for_ever(), Flow("A"), "lonely"))
    assert isinstance(caught.value, IsolationError)
    finish(loop)


def test_a_task_that_never_waits_is_stopped(loop: IsolationLoop) -> None:
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Runaway, match=r"5000 callbacks.*spins"):
        loop.run_until_complete(loop.spawn(spins(), Flow("A"), "spinner"))
    finish(loop)


def finish(loop: IsolationLoop) -> None:
    """After an error the loop still serves to cancel what is left, as asyncio.Runner does."""
    left = asyncio.all_tasks(loop)
    assert left
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    assert not asyncio.all_tasks(loop)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("create_connection", (asyncio.Protocol, "localhost", 80)),
        ("create_server", (asyncio.Protocol, "localhost", 80)),
        ("add_reader", (0, print)),
        ("getaddrinfo", ("localhost", 80)),
        ("subprocess_exec", (asyncio.SubprocessProtocol, "true")),
        ("sock_connect", (None, ("localhost", 80))),
    ],
)
def test_the_outside_world_is_refused_by_name(loop: IsolationLoop, name: str, args: Any) -> None:
    async def reaches_out() -> None:
        await getattr(loop, name)(*args)

    with pytest.raises(Unsupported, match=rf"loop\.{name}\(\) called from .*reaches_out.*target must replace"):
        loop.run_until_complete(reaches_out())
    assert [line.split()[0] for line in loop.refused] == [name]


def test_signal_handlers_are_accepted_and_not_installed(loop: IsolationLoop) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert loop.add_signal_handler(signal.SIGTERM, print) is None  # type: ignore[func-returns-value]
    assert signal.getsignal(signal.SIGTERM) is before
    loop.remove_signal_handler(signal.SIGTERM)


def test_async_generators_are_closed(loop: IsolationLoop) -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def body() -> Any:
        kept = numbers()
        await anext(kept)
        return kept

    kept = loop.run_until_complete(body())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == [True]
    del kept


def test_a_call_from_the_same_thread_is_call_soon(loop: IsolationLoop) -> None:
    order: list[int] = []

    async def body() -> None:
        loop.call_soon(order.append, 1)
        loop.call_soon_threadsafe(order.append, 2)
        loop.call_soon(order.append, 3)
        await asyncio.sleep(0)

    loop.run_until_complete(body())
    assert order == [1, 2, 3]


def test_a_call_from_another_thread_is_taken_and_reported(loop: IsolationLoop) -> None:
    reports: list[tuple[str, str]] = []

    async def body() -> str:
        future: asyncio.Future[str] = loop.create_future()
        threading.Thread(target=stranger, args=(future,), name="stranger").start()
        return await future

    def stranger(future: asyncio.Future[str]) -> None:
        loop.call_soon_threadsafe(future.set_result, "hello")

    threads.install(lambda name, where: reports.append((name, where)))
    try:
        assert loop.run_until_complete(body()) == "hello"
    finally:
        threads.uninstall()
    assert [name for name, _ in reports] == ["stranger", "stranger"]
    assert "body" in reports[0][1]
    assert "call_soon_threadsafe" in reports[1][1] and "stranger" in reports[1][1]


def test_without_other_threads_a_stall_is_told_at_once(loop: IsolationLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "FOREIGN_PATIENCE", None)  # would wait for ever
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(Stalled):
        loop.run_until_complete(loop.create_future())


def test_debug_mode_works(loop: IsolationLoop) -> None:
    loop.set_debug(True)
    assert loop.run_until_complete(asyncio.to_thread(lambda: 3)) == 3
    assert loop.run_until_complete(asyncio.wait_for(asyncio.sleep(2, "x"), 5)) == "x"
