"""The reference bot before a harness that lost a sense, or with a way in that does nothing and says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fixtures.targets.reference import ReferenceTarget
from harness.principal import Principal, Twins
from harness.recorder import Recorder
from harness.target import Exposed, Watch


class Deaf(ReferenceTarget):
    """Whatever is told of one sink is not heard."""

    sink = ""

    def boot(self, folder: Path) -> None:
        super().boot(folder)
        plain, sink = Recorder.access, self.sink

        def access(this: Recorder, told: str, *args: Any, **more: Any) -> Any:
            return None if told == sink else plain(this, told, *args, **more)

        Recorder.access = access  # type: ignore[method-assign,assignment]


class Lame(ReferenceTarget):
    """Steps on one entry are taken and come to nothing, and so do the bot's own doings there."""

    entry = ""

    def exposes(self) -> Exposed:
        whole = super().exposes()
        return msgspec.structs.replace(
            whole,
            functions={entry: found for entry, found in whole.functions.items() if entry != self.entry},
            apps={entry: app for entry, app in whole.apps.items() if entry != self.entry},
        )

    def enter(self, folder: Path, twins: Twins, watch: Watch) -> None:
        super().enter(folder, twins, watch)
        from fixtures.reference_bot.tasks import TaskManager

        async def nothing(*args: Any, **more: Any) -> None:
            """Neither work nor error."""

        if self.entry == "timer":
            self._patcher.set(TaskManager, "run_for", nothing)
            self._patcher.set(TaskManager, "tick", nothing)

    async def start(self) -> None:
        if self.entry != "start":
            await super().start()

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        if entry == self.entry:
            return None
        return await super().deliver(entry, action, who, payload)


class DeafToRow(Deaf):
    sink = "row"


class DeafToKey(Deaf):
    sink = "key"


class DeafToFile(Deaf):
    sink = "file"


class DeafToLog(Deaf):
    sink = "log"


class DeafToConfig(Deaf):
    sink = "config"


class DeafToPrompt(Deaf):
    sink = "prompt"


class DeafToOutbound(Deaf):
    sink = "outbound"


class DeafToEvent(Deaf):
    sink = "event"


class LameApi(Lame):
    entry = "api"


class LameTimer(Lame):
    entry = "timer"


class LameWebui(Lame):
    entry = "webui"


class LamePlugin(Lame):
    entry = "plugin"


class LameStart(Lame):
    entry = "start"
