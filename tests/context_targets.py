"""Bots that lose or swap their context on the way, each in one way; what they ask the model shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from pathlib import Path
from typing import Any

import msgspec

from harness.flow import as_own
from harness.principal import Principal
from harness.target import Action, Facts
from tests.campaign_targets import SoundTarget
from tests.tiny_target import CONTEXT


class AskingTarget(SoundTarget):
    """Asks the model in the context of whoever speaks: correct."""

    def facts(self) -> Facts:
        return msgspec.structs.replace(super().facts(), refuses=True)

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name="say", payload={"text": "text"})]

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        assert who is not None
        CONTEXT.set(who.tenant)
        await self.said(str(payload["text"]))
        await asyncio.sleep(3)

    async def said(self, text: str) -> None:
        self.ask(text)

    def ask(self, text: str) -> None:
        assert self.watch is not None
        self.watch.prompt("model", text)


class PinnedTarget(AskingTarget):
    """The first caller starts the worker, with a context of its own; what the next ones say, it asks in none."""

    worker: asyncio.Task[None] | None = None

    async def said(self, text: str) -> None:
        if self.worker is None:
            self.queue: asyncio.Queue[str] = asyncio.Queue()
            self.worker = asyncio.create_task(self.serve(), context=Context())
        await self.queue.put(text)

    async def serve(self) -> None:
        while True:
            self.ask(await self.queue.get())


class SpawningTarget(AskingTarget):
    """Each message is worked on in a task without context."""

    async def said(self, text: str) -> None:
        await asyncio.create_task(self.work(text), context=Context())

    async def work(self, text: str) -> None:
        self.ask(text)


class TimerTarget(AskingTarget):
    """Asks a little later, from a timer that is set under the tenant but runs without."""

    async def said(self, text: str) -> None:
        asyncio.get_running_loop().call_later(1, self.ask, text, context=Context())


class CallbackTarget(AskingTarget):
    """Asks at once, from a callback without context."""

    async def said(self, text: str) -> None:
        asyncio.get_running_loop().call_soon(self.ask, text, context=Context())


class WorkerTarget(AskingTarget):
    """A worker of the bot's own takes what is said from a queue, and asks in no context."""

    async def start(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.worker = asyncio.create_task(self.serve())

    async def said(self, text: str) -> None:
        await self.queue.put(text)

    async def serve(self) -> None:
        while True:
            self.ask(await self.queue.get())


class ExecutorTarget(AskingTarget):
    """Asks in an executor, where no context goes by itself."""

    async def said(self, text: str) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.ask, text)


class KeepingTarget(AskingTarget):
    """Asks in an executor, whose worker takes on the context of its first job and never another."""

    async def said(self, text: str) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.work, CONTEXT.get(), text)

    def work(self, tenant: str, text: str) -> None:
        CONTEXT.set(CONTEXT.get() or tenant)
        self.ask(text)


class GlobalTarget(AskingTarget):
    """Keeps the tenant in a field that the next caller overwrites while the first one waits."""

    tenant = ""

    def ambient(self) -> Mapping[str, str | None] | None:
        return {"tenant": self.tenant}

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        assert who is not None
        self.tenant = who.tenant
        self.ask(str(payload["text"]))
        await asyncio.sleep(0.5)
        self.ask(str(payload["text"]))


class ForgetfulTarget(AskingTarget):
    """Never enters a context at all."""

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        self.ask(str(payload["text"]))


class ConnectedTarget(AskingTarget):
    """Forgets its context as well, on a connection that the target holds open in a task of its own."""

    def roots(self) -> tuple[Path, ...]:
        return (Path(__file__).parent / "nothing here",)

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        await asyncio.create_task(as_own(self.said(str(payload["text"]))))
