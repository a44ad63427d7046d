"""A well-behaved bot of one action for tests of the command line and the pytest plugin: it boots at once, every probe
sees its planted access, one item of its own risk map is closed and its overlay opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.principal import Principal
from harness.target import Action, Overlay, Patcher
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
