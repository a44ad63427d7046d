"""What a target reports of the sinks only it can see, turned into accesses (the Watch of `harness.target`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.recorder import Recorder
from harness.target import Patcher


class RecorderWatch:
    """Implements `harness.target.Watch` on a recorder, and on the patcher by which overlays were applied."""

    def __init__(self, recorder: Recorder, patcher: Patcher | None = None) -> None:
        self._recorder = recorder
        self._patcher = patcher

    def config(
        self,
        surface: str,
        key: str,
        value: Any,
        *,
        level: str,
        overridden: bool,
        announced: bool = False,
        slot: str = "",
    ) -> None:
        """One config read; see `Watch.config`."""
        recorder = self._recorder
        if not recorder.listening:
            return
        marks = recorder.marks(value if isinstance(value, (str, bytes)) else repr(value))
        # The process default is nobody's, and may happen to be the number that was planted for one of the twins.
        if isinstance(value, (int, float)) and not isinstance(value, bool) and level != "default":
            marks += recorder.scanner.scan_number(slot or f"{surface}.{key}", value)
        detail = {"level": level, "overridden": overridden, "announced": announced}
        recorder.access("config", "read", surface, key, marks=marks, detail=detail)

    def prompt(self, model: str, text: str, *, identity: Mapping[str, str | None] | None = None) -> None:
        """Text about to leave for a model; see `Watch.prompt`."""
        recorder = self._recorder
        if recorder.listening:
            detail = {"text": text[: recorder.kept], "length": len(text)}
            recorder.access(
                "prompt",
                "write",
                model,
                "",
                new_owner=recorder.label(identity),
                marks=recorder.marks(text),
                detail=detail,
            )

    def outbound(self, channel: str, text: str, *, recipient: Mapping[str, str | None] | None) -> None:
        """A message about to leave; see `Watch.outbound`."""
        recorder = self._recorder
        if not recorder.listening:
            return
        label = recorder.label(recipient)
        detail = {"text": text[: recorder.kept], "named": recipient is not None}
        recorder.access("outbound", "write", channel, "", new_owner=label, marks=recorder.marks(text), detail=detail)
        if label in recorder.observed:
            recorder.observed[label].append(text)

    def event(self, name: str, text: str) -> None:
        """Something handed to a handler; see `Watch.event`."""
        recorder = self._recorder
        if recorder.listening:
            recorder.access(
                "event", "read", name, "", marks=recorder.marks(text), detail={"text": text[: recorder.kept]}
            )

    def refused(self, sink: str, surface: str, reason: str) -> None:
        """A place the bot would not touch; see `Watch.refused`."""
        recorder = self._recorder
        if recorder.listening:
            recorder.access(sink, "refuse", surface, "", detail={"reason": reason[: recorder.kept]})

    def overlaid(self) -> Sequence[tuple[Any, str, Any]]:
        """What overlays have set; see `Watch.overlaid`."""
        return tuple(self._patcher.bound) if self._patcher is not None else ()
