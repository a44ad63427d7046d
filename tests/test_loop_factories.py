"""The loop serves through loop factories: asyncio.Runner's and pytest-asyncio's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.clock import VirtualClock
from harness.flow import FLOW, Flow
from harness.loop import IsolationLoop

pytest_plugins = ["pytester"]


def test_asyncio_runner() -> None:
    async def body() -> tuple[float, str]:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time(), await asyncio.to_thread(lambda: "job")

    with asyncio.Runner(loop_factory=lambda: IsolationLoop(clock=VirtualClock())) as runner:
        assert runner.run(body()) == (3600.0, "job")
        assert runner.run(body()) == (7200.0, "job")


def test_task_groups_timeouts_and_factories() -> None:
    async def body() -> list[str]:
        done: list[str] = []

        async def child(name: str) -> None:
            await asyncio.sleep(1)
            done.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(child("a"), name="a")
            group.create_task(child("b"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.sleep(10)
        asyncio.get_running_loop().set_task_factory(
            lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs)
        )
        await asyncio.create_task(child("c"), name="c")
        return done

    with asyncio.Runner(loop_factory=lambda: IsolationLoop(clock=VirtualClock())) as runner:
        assert runner.run(body()) == ["a", "b", "c"]
        assert runner.get_loop().time() == 4.0


def test_a_task_factory_that_knows_no_context_keeps_the_lineage() -> None:
    seen: list[Flow] = []

    async def child() -> None:
        seen.append(FLOW.get())

    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro: asyncio.Task(coro, loop=loop))
        await loop.create_task(child())

    loop = IsolationLoop(clock=VirtualClock())
    loop.run_until_complete(loop.spawn(body(), Flow("A.0", step=0, actor="A"), "a"))
    loop.close()
    assert seen == [Flow("A.0", step=0, actor="A", depth=1)]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks came with Python 3.12")
def test_eager_tasks_start_at_once_and_inherit_the_lineage() -> None:
    seen: list[Any] = []

    async def child() -> None:
        seen.append(FLOW.get())

    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        task = loop.create_task(child(), name="eager")
        seen.append((task.done(), task.get_name()))

    loop = IsolationLoop(clock=VirtualClock())
    loop.run_until_complete(loop.spawn(body(), Flow("A.0", step=0, actor="A"), "a"))
    loop.close()
    assert seen == [Flow("A.0", step=0, actor="A", depth=1), (True, "eager")]


def test_pytest_asyncio(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(harness.__file__).parents[1]))
    pytester.makeconftest(
        """
        from harness.clock import VirtualClock
        from harness.loop import IsolationLoop

        def pytest_asyncio_loop_factories(config, item):
            return {"isolation": lambda: IsolationLoop(clock=VirtualClock())}
        """
    )
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        import pytest_asyncio
        from harness.loop import IsolationLoop

        @pytest_asyncio.fixture
        async def started():
            await asyncio.sleep(100)
            yield asyncio.get_running_loop().time()
            await asyncio.sleep(100)

        @pytest.mark.asyncio
        async def test_virtual(started):
            loop = asyncio.get_running_loop()
            assert isinstance(loop, IsolationLoop)
            await asyncio.sleep(86400)
            assert (started, loop.time()) == (100.0, 86500.0)

        @pytest.mark.asyncio
        async def test_fresh_loop_for_each_test():
            assert asyncio.get_running_loop().time() == 0.0
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")
    result.assert_outcomes(passed=2)
