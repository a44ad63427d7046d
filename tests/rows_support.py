"""A recorder, twins and a watched `sqlite3` for the tests of the row probe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.principal import Principal, Twins, TwinSpec
from harness.probes.images import RowEvent
from harness.probes.rows import RowProbe
from harness.recorder import Recorder
from harness.target import Facts
from harness.trace import Access, Mark

FACTS = Facts(name="test", generation="test", packages=(), owner_columns={"tenant_id": "tenant"})
CANARIES = {"canary-a": "A", "canary-b": "B"}


class Words:
    """Finds the two canaries in plain text or bytes."""

    def scan(self, data: str | bytes) -> tuple[Mark, ...]:
        text = data if isinstance(data, str) else data.decode("latin-1")
        return tuple(Mark(label, "message") for word, label in CANARIES.items() if word in text)

    def scan_number(self, slot: str, value: float) -> tuple[Mark, ...]:
        return ()


def principal(label: str) -> Principal:
    return Principal(
        label=label,
        tenant=f"tenant-{label}",
        agent="agent",
        platform="qq",
        chat="1",
        user="2",
        credential=f"key-{label}",
        display={},
        secrets={},
        numbers={},
        pictures={},
    )


class Watched:
    """A run under way: the recorder, the probe, the bot's ambient identity (change `ambient`), the row images."""

    def __init__(self, folder: Path, facts: Facts = FACTS) -> None:
        self.ambient: dict[str, str | None] | None = {"tenant": "tenant-A"}
        self.images: list[RowEvent] = []
        self.probe = RowProbe(self.images.append)
        self.recorder = Recorder(
            Twins(spec=TwinSpec(), a=principal("A"), b=principal("B")),
            Words(),
            [Path(__file__).parent],
            lambda: self.ambient,
            lambda: 0.0,
        )
        self.folder = folder
        self.facts = facts

    def since(self, count: int) -> list[Access]:
        return self.recorder.accesses[count:]

    def run(self, connection: Any, sql: str, parameters: Any = ()) -> list[Access]:
        """Execute, fetch everything, and give back what was recorded."""
        before = len(self.recorder.accesses)
        connection.execute(sql, parameters).fetchall()
        return self.since(before)


@contextmanager
def watching(folder: Path, facts: Facts = FACTS) -> Iterator[Watched]:
    watched = Watched(folder, facts)
    watched.probe.install(facts)
    try:
        with watched.recorder.active():
            watched.probe.begin(folder)
            yield watched
            watched.probe.finish()
    finally:
        watched.probe.uninstall()
    assert not watched.recorder.faults, watched.recorder.faults
