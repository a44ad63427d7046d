"""A thread the bot starts is reported unless it is declared, and runs in either case."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TypeVar

import msgspec
import pytest

from harness import threads
from harness.flow import FLOW, IDLE, Flow

T = TypeVar("T")
Reports = list[tuple[str, str]]


@pytest.fixture
def reports() -> Iterator[Reports]:
    found: Reports = []
    threads.install(lambda name, where: found.append((name, where)), ["known-*"])
    yield found
    threads.uninstall()


def start_one(name: str) -> bool:
    ran = threading.Event()
    thread = threading.Thread(target=ran.set, name=name)
    thread.start()
    thread.join()
    return ran.is_set()


def test_an_undeclared_thread_is_reported_where_it_started(reports: Reports) -> None:
    assert start_one("stray")
    [(name, where)] = reports
    assert name == "stray"
    assert where.startswith(__file__) and where.endswith(" start_one")


def test_a_declared_thread_is_silent(reports: Reports) -> None:
    assert start_one("known-loop")
    assert reports == []


def test_the_same_start_is_reported_once(reports: Reports) -> None:
    for _ in range(3):
        start_one("stray")
    assert len(reports) == 1


def test_a_pool_is_reported_at_who_submitted(reports: Reports) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:
        assert pool.submit(lambda: 3).result() == 3
    [(name, where)] = reports
    assert name == "pool_0"
    assert where.endswith(" test_a_pool_is_reported_at_who_submitted")


def test_a_timer_is_a_thread(reports: Reports) -> None:
    timer = threading.Timer(0, lambda: None)
    timer.start()
    timer.join()
    assert len(reports) == 1


def test_after_uninstalling_nothing_is_reported(reports: Reports) -> None:
    threads.uninstall()
    assert start_one("stray")
    assert reports == []


A, B = (Flow(f"{who}.0", step=0, actor=who, entry="api") for who in "AB")


def acting(flow: Flow, call: Callable[[], T]) -> T:
    context = copy_context()
    context.run(FLOW.set, flow)
    return context.run(call)


def test_what_a_thread_does_is_done_for_whoever_started_it(reports: Reports) -> None:
    found: list[Flow] = []

    def start() -> None:
        thread = threading.Thread(target=lambda: found.append(FLOW.get()))
        thread.start()
        thread.join()

    acting(A, start)
    start()
    assert found == [msgspec.structs.replace(A, depth=1), IDLE]


def test_a_pools_job_is_done_for_whoever_handed_it_over_in_the_context_of_its_worker(reports: Reports) -> None:
    left: ContextVar[str] = ContextVar("left", default="nothing")

    def job() -> tuple[str | None, str]:
        before = left.get()
        left.set(f"left by {FLOW.get().actor}")
        return FLOW.get().actor, before

    with ThreadPoolExecutor(1) as pool:
        told = [acting(flow, lambda: pool.submit(job).result()) for flow in (A, B)]
        assert pool.submit(job).result() == (None, "left by B")
    assert told == [("A", "nothing"), ("B", "left by A")]
