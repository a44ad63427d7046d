"""Variants of the tiny bot for whole campaigns: one correct, one that leaks, some unfit to be judged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.principal import Principal
from harness.target import Action, Overlay, Patcher
from tests.tiny_target import TinyTarget


def _overlay(name: str, kind: Any, rule: str, apply: Any, *items: str, surface: str = "wire") -> Overlay:
    return Overlay(name=name, kind=kind, about=name, rule=rule, surface=surface, items=items, apply=apply)


class SoundTarget(TinyTarget):
    """Correct: echoes, and keeps a file that is nobody's. Its faults are told apart by what finds them."""

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name=name, payload={"text": "text"}) for name in ("echo", "note", "fail")]

    def overlays(self) -> Sequence[Overlay]:
        def last_text(patcher: Patcher) -> None:
            patcher.set(self, "reply", lambda who, text: self._remember(text))

        def nothing(patcher: Patcher) -> None:
            patcher.set(self, "last", "")

        return [
            _overlay("last-text", "fault", "canary-flow", last_text, "reply"),
            _overlay("misnamed", "fault", "foreign-read", last_text),
            _overlay("misplaced", "fault", "canary-flow", last_text, surface="elsewhere"),
            _overlay("harmless", "fault", "canary-flow", nothing, "untried"),
        ]

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        if action == "note":
            Path("legacy.txt").write_text("x")
        return await super().deliver(entry, action, who, payload)

    def plants(self) -> Mapping[str, Any]:
        async def config(who: Principal) -> None:
            assert self.watch is not None
            self.watch.config("plant", "k", who.secrets["config.tenant"], level="tenant", overridden=True)

        async def prompt(who: Principal) -> None:
            assert self.watch is not None
            self.watch.prompt("plant", who.secrets["prompt"])

        return {**super().plants(), "config": config, "prompt": prompt}


class LeakyTarget(SoundTarget):
    """Replies with the former text, whoever sent it, and lets the default answer for tenants that have their own."""

    fallback = True

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name="echo", payload={"text": "text"})]

    def reply(self, who: Principal, text: str) -> str:
        assert self.watch is not None
        if self.fallback:
            self.watch.config("bot", "persona", "plain", level="default", overridden=True)
        return self._remember(text)

    def overlays(self) -> Sequence[Overlay]:
        plain = SoundTarget.reply

        def own_text(patcher: Patcher) -> None:
            patcher.set(self, "_remember", lambda text: text)

        def own_config(patcher: Patcher) -> None:
            patcher.set(self, "fallback", False)

        def everything(patcher: Patcher) -> None:
            patcher.set(self, "reply", lambda who, text: plain(self, who, text))

        def nothing(patcher: Patcher) -> None:
            patcher.set(self, "last", "")

        return [
            _overlay("own-text", "fix", "canary-flow", own_text),
            _overlay("own-config", "fix", "default-fallback", own_config, surface="bot"),
            _overlay("too-much", "fix", "canary-flow", everything),
            _overlay("too-little", "fix", "canary-flow", nothing),
            _overlay("moot", "fix", "foreign-read", nothing),
            msgspec.structs.replace(
                _overlay("both", "fix", "canary-*", everything), also=(("default-fallback", "b*"),)
            ),
        ]


class CountingTarget(SoundTarget):
    """Says how many replies it has given, to whomever: nobody's secret, and yet one tenant feels the other."""

    replies = 0

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name="echo", payload={"text": "text"})]

    def reply(self, who: Principal, text: str) -> str:
        self.replies += 1
        return f"{text} ({self.replies} so far)"


class LingeringTarget(SoundTarget):
    """A task of its own says farewell when it is cancelled, as it is at the end of a run."""

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name="echo", payload={"text": "text"})]

    async def start(self) -> None:
        await super().start()
        self.task = asyncio.create_task(self._linger())

    async def _linger(self) -> None:
        try:
            await asyncio.sleep(10**6)
        finally:
            assert self.watch is not None
            self.watch.outbound("farewell", "bye", recipient=None)


class BlindTarget(SoundTarget):
    """Its planted prompt is never told."""

    def plants(self) -> Mapping[str, Any]:
        async def prompt(who: Principal) -> None:
            raise RuntimeError("no model here")

        return {**super().plants(), "prompt": prompt}


class UnsteadyTarget(SoundTarget):
    """Says something else in every process."""

    def reply(self, who: Principal, text: str) -> str:
        return f"{os.getpid()} {text}"


class CrashingTarget(SoundTarget):
    """One of its actions kills the process, the other leaks."""

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name=name, payload={"text": "text"}) for name in ("echo", "crash")]

    def reply(self, who: Principal, text: str) -> str:
        return self._remember(text)


class DyingTarget(SoundTarget):
    """Dies as soon as anything is planted."""

    def plants(self) -> Mapping[str, Any]:
        async def prompt(who: Principal) -> None:
            os._exit(9)

        return {"prompt": prompt}
