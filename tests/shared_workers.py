"""The reference bot with workers that both tenants share: three that are right, and each of them gone wrong."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from fixtures.overlays._lines import Lines
from fixtures.reference_bot import llm
from fixtures.reference_bot.identity import Identity, acting, current
from fixtures.reference_bot.messages import MessageStore
from fixtures.reference_bot.statistics import Statistics
from fixtures.targets.reference import ReferenceTarget
from harness.target import Overlay, Patcher


class _Never(BaseException):
    """An ending that does not happen."""


class _Told(NamedTuple):
    """A message to the pinned loop: for whom, what, and where the answer goes."""

    identity: Identity
    call: Callable[[], Awaitable[Any]]
    done: asyncio.Future[Any]


def lazy_writer(patcher: Patcher, *, careful: bool) -> None:
    """Messages are stored later, a lot at a time, by a task that whoever came first has started."""
    record = MessageStore.record
    rows: deque[tuple[Identity, tuple[Any, ...]]] = deque()
    tasks: list[asyncio.Task[None]] = []

    async def write(store: MessageStore) -> None:
        while True:
            await asyncio.sleep(0.1)
            while rows:
                owner, row = rows.popleft()
                with acting(owner if careful else current()):
                    await record(store, *row)

    async def later(self: MessageStore, *row: Any) -> str:
        rows.append((current(), row))
        if not tasks:
            tasks.append(asyncio.create_task(write(self)))
        return ""

    patcher.set(MessageStore, "record", later)


def pinned_loop(patcher: Patcher, *, careful: bool) -> None:
    """The page of figures is written by a loop that lives on under its first caller; each job names its owner."""
    plain = Statistics.write
    told: asyncio.Queue[_Told] = asyncio.Queue()
    tasks: list[asyncio.Task[None]] = []

    async def serve() -> None:
        while True:
            job = await told.get()
            with acting(job.identity if careful else current()):
                try:
                    answer = await job.call()
                except Exception as error:
                    if not job.done.done():
                        job.done.set_exception(error)
                else:
                    if not job.done.done():
                        job.done.set_result(answer)

    async def write(self: Statistics) -> Any:
        if not tasks:
            tasks.append(asyncio.create_task(serve()))
        job = _Told(current(), lambda: plain(self), asyncio.get_running_loop().create_future())
        told.put_nowait(job)
        return await job.done

    patcher.set(Statistics, "write", write)


def pooled_client(patcher: Patcher, *, careful: bool) -> None:
    """Connections to the model are kept for all; one whose answer nobody waited for is thrown away."""
    plain = llm.client.transport
    lines = Lines(300.0, _Never if careful else asyncio.CancelledError)

    class Kept:
        async def complete(self, request: Any) -> str:
            return str(await lines.ask(lambda: plain.complete(request)))

    patcher.set(llm.client, "transport", Kept())


WORKERS = (lazy_writer, pinned_loop, pooled_client)


class SharingTarget(ReferenceTarget):
    """The reference bot with overlays that put in a shared worker, by its name; ``careless-`` where it is wrong."""

    def overlays(self) -> Sequence[Overlay]:
        found = []
        for worker in WORKERS:
            for careful, prefix in ((True, ""), (False, "careless_")):

                def apply(patcher: Patcher, worker: Any = worker, careful: bool = careful) -> None:
                    worker(patcher, careful=careful)

                name = prefix + worker.__name__
                found.append(Overlay(name=name, kind="fault", about=name, rule="*", apply=apply))
        return found
