"""A bot of a few lines with a target, for tests of the machinery around it. It misbehaves on request."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fixtures.twins import make_twins
from harness.errors import TargetError
from harness.principal import Principal, Twins, TwinSpec
from harness.target import Action, Facts, Overlay, Patcher, Watch

CONTEXT: ContextVar[str] = ContextVar("tiny", default="")
OUTSIDE = Path(__file__).parent / "scribble.txt"


class TinyTarget:
    """See the module docstring. `root` may name a folder that must exist."""

    name = "tiny"

    def __init__(self, root: Path | None = None, db_root: Path | None = None) -> None:
        self.root = root
        self.watch: Watch | None = None
        self.last = ""

    def facts(self) -> Facts:
        return Facts(
            name="tiny", generation="saas", packages=("tests.tiny_target",), owner_columns={"tenant_id": "tenant"},
            refuses=True,
        )  # fmt: skip

    def actions(self) -> Sequence[Action]:
        names = ("echo", "crash", "spin", "phone", "scribble", "thread", "fail", "slow")
        return [Action(entry="api", name=name, payload={"text": "text"}) for name in names]

    def version(self) -> str:
        return "tiny"

    def risk_map(self) -> Path:
        return Path(__file__).parent.parent / "scenarios" / "risk_map.json"

    def overlays(self) -> Sequence[Overlay]:
        def leak(patcher: Patcher) -> None:
            patcher.set(self, "reply", lambda who, text: self._remember(text))

        return [Overlay(name="last-text", kind="fault", about="replies with the former text", rule="canary-flow",
                        surface="wire", apply=leak)]  # fmt: skip

    def reply(self, who: Principal, text: str) -> str:
        return text

    def _remember(self, text: str) -> str:
        former, self.last = self.last, text
        return former

    def twins(self, spec: TwinSpec) -> Twins:
        return make_twins(spec)

    def prepare(self, folder: Path) -> None:
        if self.root is not None and not self.root.is_dir():
            raise TargetError(f"no checkout at {self.root}; give --root")
        (folder / "note.txt").write_text("hello")

    def boot(self, folder: Path) -> None:
        pass

    def roots(self) -> tuple[Path, ...]:
        return (Path(__file__).parent,)

    def enter(self, folder: Path, twins: Twins, watch: Watch) -> None:
        self.watch = watch

    async def start(self) -> None:
        await asyncio.sleep(0.1)

    async def restart(self) -> None:
        pass

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        assert who is not None and self.watch is not None
        CONTEXT.set(who.tenant)
        if action == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "spin":
            while True:
                pass
        if action == "phone":
            with socket.socket() as outside:
                outside.connect(("192.0.2.1", 80))
        if action == "scribble":
            OUTSIDE.write_text("x")
        if action == "thread":
            started = threading.Thread(target=lambda: None, name="stray")
            started.start()
            started.join()
        if action == "fail":
            raise ValueError("no such thing")
        await asyncio.sleep(0.5)
        self.watch.outbound("wire", self.reply(who, payload["text"]), recipient={"tenant": who.tenant})
        return None

    async def configure(self, who: Principal, change: Mapping[str, Any]) -> None:
        pass

    def ambient(self) -> Mapping[str, str | None] | None:
        return {"tenant": CONTEXT.get()}

    def owner_of_path(self, path: str) -> Mapping[str, str | None] | None:
        return None

    def owner_of_key(self, surface: str, key: str) -> Mapping[str, str | None] | None:
        return None

    def plants(self) -> Mapping[str, Any]:
        async def outbound(who: Principal) -> None:
            assert self.watch is not None
            self.watch.outbound("plant", who.secrets["message"], recipient={"tenant": who.tenant})

        return {"outbound": outbound}

    async def leave(self) -> None:
        pass
