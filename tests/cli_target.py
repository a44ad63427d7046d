"""A well-behaved bot of one action for tests of the command line and the pytest plugin: it boots at once, every probe
sees its planted access, one item of its own risk map is closed and its overlay opens it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from harness.principal import Principal
from harness.target import Action, Exposed, Overlay, Patcher
from tests.tiny_target import TinyTarget

SPEC = "tests.cli_target:QuietTarget"


class QuietTarget(TinyTarget):
    """`TinyTarget` without its bad manners."""

    def actions(self) -> Sequence[Action]:
        return [Action(entry="api", name="echo", payload={"text": "text"})]

    def risk_map(self) -> Path:
        return Path(__file__).parent / "cli_risk_map.json"

    def overlays(self) -> Sequence[Overlay]:
        def silent(patcher: Patcher) -> None:
            patcher.set(self, "reply", lambda who, text: text)

        nothing = Overlay(name="nothing", kind="fault", about="changes nothing", rule="canary-flow", apply=silent)
        return [*super().overlays(), nothing]

    def plants(self) -> Mapping[str, Any]:
        async def config(who: Principal) -> None:
            assert self.watch is not None
            self.watch.config("plant", "key", who.secrets["message"], level="tenant", overridden=True)

        async def prompt(who: Principal) -> None:
            assert self.watch is not None
            self.watch.prompt("plant", who.secrets["message"])

        return {**super().plants(), "config": config, "prompt": prompt}


class BlindTarget(QuietTarget):
    """Plants no prompt, so the harness cannot tell whether it would see one."""

    def plants(self) -> Mapping[str, Any]:
        return {name: make for name, make in super().plants().items() if name != "prompt"}


class ExposingTarget(QuietTarget):
    """Has a function that the harness can find and call; only a call shows the leak of its overlay."""

    def boot(self, folder: Path) -> None:
        importlib.import_module("tests.exposed_functions")

    def overlays(self) -> Sequence[Overlay]:
        def leak(patcher: Patcher) -> None:
            functions = importlib.import_module("tests.exposed_functions")
            patcher.set(self, "reply", lambda who, text: functions.SAID.append(text) or text)
            patcher.set(functions, "recall", lambda: " ".join(functions.SAID))

        return [
            Overlay(
                name="recall-all", kind="fault", about="recalls what anybody said", rule="foreign-read", apply=leak,
                surface="tests.exposed_functions.SAID",
            )
        ]  # fmt: skip

    def exposes(self) -> Exposed:
        return Exposed(functions={"plugin": ("tests.exposed_functions",)}, apps={}, avoid=())

    def acting(self, who: Principal | None) -> AbstractContextManager[Any]:
        return nullcontext()

    async def request(
        self, entry: str, who: Principal, method: str, path: str, query: Mapping[str, Any], body: Any
    ) -> tuple[int, str]:
        raise AssertionError("it has no routes")


class RacyTarget(QuietTarget):
    """Two faults of order: one answers with whatever was asked last, the other changes nothing."""

    asked = ""

    def ask(self, text: str) -> None:
        """Hook of the faults."""

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        self.ask(str(payload["text"]))
        return await super().deliver(entry, action, who, payload)

    def overlays(self) -> Sequence[Overlay]:
        def latest(patcher: Patcher) -> None:
            patcher.set(self, "ask", lambda text: setattr(self, "asked", text))
            patcher.set(self, "reply", lambda who, text: self.asked)

        def silent(patcher: Patcher) -> None:
            patcher.set(self, "asked", "")

        return [
            Overlay(name=name, kind="fault", about=name, rule="canary-flow", surface="wire", overlap="wire", apply=make)
            for name, make in (("order-latest", latest), ("order-none", silent))
        ]
