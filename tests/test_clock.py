"""Frozen time follows the loop, for the bot only; the harness keeps real clocks."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness import clock as clock_module
from harness.clock import VirtualClock, real_perf_counter, real_time, thaw
from harness.loop import IsolationLoop

ROOT = Path(harness.__file__).parents[1]
START = datetime.datetime(2030, 5, 6, 7, 8, 9)


@pytest.fixture
def frozen() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    clock.freeze()
    yield clock
    thaw()


def test_without_freezing_the_clock_is_only_a_counter() -> None:
    before = time.time()
    clock = VirtualClock()
    clock.advance_to(86400)
    clock.advance_to(5)
    assert clock.seconds == 86400
    assert clock.now() == clock_module.EPOCH.replace(tzinfo=None) + datetime.timedelta(days=1)
    assert before <= time.time() < before + 3600


@pytest.mark.parametrize(
    "epoch",
    [
        START,
        START.replace(tzinfo=datetime.UTC),
        START.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=8))) + datetime.timedelta(hours=8),
        START.replace(tzinfo=datetime.UTC).timestamp(),
    ],
)
def test_an_epoch_in_any_form(epoch: datetime.datetime | float) -> None:
    assert VirtualClock(epoch).now() == START


def test_every_clock_moves_with_the_loop(frozen: VirtualClock) -> None:
    async def read() -> tuple[float, ...]:
        # Read in the coroutine that the loop steps itself: nowhere are the harness's frames nearer.
        return (
            time.time(),
            time.monotonic(),
            time.perf_counter(),
            time.time_ns() / 1e9,
            datetime.datetime.now().timestamp(),
            datetime.datetime.now(datetime.UTC).timestamp(),
        )

    async def body() -> tuple[tuple[float, ...], tuple[float, ...]]:
        first = await read()
        await asyncio.sleep(90.5)
        return first, await read()

    loop = IsolationLoop(clock=frozen)
    first, second = loop.run_until_complete(body())
    direct = loop.run_until_complete(read())
    loop.close()
    begin = START.replace(tzinfo=datetime.UTC).timestamp()
    assert set(first) == {begin}
    assert set(second) == set(direct) == {begin + 90.5}


def test_local_time_is_utc(frozen: VirtualClock) -> None:
    assert time.localtime()[:6] == time.gmtime()[:6] == START.timetuple()[:6]
    assert datetime.datetime.fromtimestamp(time.time()) == datetime.datetime.now() == START
    assert time.strftime("%H:%M") == "07:08"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be changed here")
def test_the_zone_of_the_machine_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    VirtualClock(START).freeze()
    try:
        assert time.localtime()[:6] == START.timetuple()[:6]
        assert START.replace(tzinfo=datetime.UTC).timestamp() == time.mktime(START.timetuple()) == time.time()
    finally:
        thaw()
    assert time.localtime(0).tm_hour == 8
    monkeypatch.undo()
    time.tzset()


def test_a_blocking_sleep_passes_virtual_time(frozen: VirtualClock) -> None:
    begin = real_perf_counter()
    time.sleep(7200)
    assert real_perf_counter() - begin < 3600
    assert frozen.seconds == 7200
    assert datetime.datetime.now() == START + datetime.timedelta(hours=2)
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_the_harness_keeps_real_clocks(frozen: VirtualClock) -> None:
    assert abs(real_time() - time.time()) > 86400
    first = real_perf_counter()
    while real_perf_counter() == first:
        pass
    assert time.perf_counter() == time.perf_counter()


def test_the_clock_of_the_latest_loop_is_followed(frozen: VirtualClock) -> None:
    other = VirtualClock(START + datetime.timedelta(days=30))
    IsolationLoop(clock=other).close()
    assert datetime.datetime.now() == START + datetime.timedelta(days=30)
    frozen.freeze()
    assert datetime.datetime.now() == START


def test_defaults_bound_at_import_are_frozen_in_a_fresh_process() -> None:
    program = """
from harness.clock import VirtualClock, frozen
from harness.loop import IsolationLoop
clock = VirtualClock(1_000_000_000)
clock.freeze()
import asyncio, datetime
from time import time
def record(now=datetime.datetime.now, clock=time):
    return now().isoformat(), clock()
async def main():
    await asyncio.sleep(60)
    return record()
print(record(), IsolationLoop(clock=clock).run_until_complete(main()), frozen())
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert answer.strip() == ("('2001-09-09T01:46:40', 1000000000.0) ('2001-09-09T01:47:40', 1000000060.0) True")
