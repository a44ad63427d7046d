"""Every fault of order leaks in the one order it is named after, and neither in the usual one nor without the fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fixtures.overlays import _reference_arrivals, _reference_order
from fixtures.targets.reference import ReferenceTarget
from harness.cli_schedules import Field
from harness.finding import Finding
from harness.overlap import speaks_of
from harness.plan import Deviation, Plan, Step
from harness.pool import Pool

SPEC = "fixtures.targets.reference:ReferenceTarget"
BOT = "fixtures.reference_bot."
FAULT = "fixtures.overlays._reference_order:"
OFF = f"{BOT}store:off"
MODEL = "fixtures.targets.reference_model:Model.complete"
FAULTS = (*_reference_order.FAULTS, *_reference_arrivals.FAULTS)


def step(who: str, entry: str, action: str, gap: float = 0.0, join: bool = False, **payload: Any) -> Step:
    label: Any = who
    return Step(entry=entry, action=action, who=label, payload=payload, gap=gap, join=join)


def say(who: str, **more: Any) -> Step:
    return step(who, "api", "mention", text="{message}", **more)


def picture(who: str, **more: Any) -> Step:
    return step(who, "api", "picture", slot="picture", **more)


def upload(who: str, **more: Any) -> Step:
    return step(who, "webui", "emoji_upload", slot="picture", **more)


def late(lineage: str, site: str, occurrence: int = 0, amount: float = 0.1) -> Deviation:
    return Deviation(kind="delay", lineage=lineage, site=site, occurrence=occurrence, amount=amount)


def note(who: str) -> Step:
    return step(who, "api", "command", text="/note {command}")


def rename(who: str) -> Step:
    return step(who, "world", "configure", **{"persona.name": "{name}"})


def cancel(after: int) -> Step:
    return step("A", "world", "cancel", after=after)


def soon(lineage: str, occurrence: int) -> Deviation:
    return Deviation(kind="early", lineage=lineage, site=MODEL, occurrence=occurrence, amount=1000.0)


DROP = step("A", "world", "drop", gap=0.05)
CLOG = step("A", "world", "clog", gap=0.05, seconds=2)

WITNESSES: dict[str, tuple[Sequence[Step], Sequence[Deviation]]] = {
    "order-login-torn": ([say("A"), say("B"), say("B", gap=1.0)], [late("A.0", OFF, 1)]),
    "order-notes-torn": (
        [note("A"), note("B"), step("B", "api", "command", gap=1.0, text="/notes")],
        [late("A.0", f"{BOT}plugins:Notes.notes")],
    ),
    "order-config-swapped": (
        [rename("A"), rename("B"), say("B", gap=1.0)],
        [],
    ),
    "order-session-of-last-token": (
        [step("A", "webui", "statistics"), step("B", "webui", "statistics"), step("B", "webui", "history", gap=2.0)],
        [late("A.0", OFF, 1)],
    ),
    "order-described-by-the-loser": (
        [picture("A"), picture("B"), picture("B", gap=5.0)],
        [late("A.0", f"{BOT}pictures:Pictures.describe")],
    ),
    "order-history-pipelined": ([say("A"), say("B")], [late("A.0", OFF, 8)]),
    "order-token-pipelined": (
        [step("A", "webui", "statistics"), step("B", "webui", "statistics")],
        [late("A.0", "fixtures.overlays._lines:Pipeline.ask")],
    ),
    "order-result-polled-late": (
        [picture("A"), picture("B")],
        [late("A.0", f"{FAULT}Worker.do", amount=0.7)],
    ),
    "order-result-of-the-cancelled": ([picture("A"), cancel(9), picture("B", gap=3.0)], []),
    "order-late-answer": (
        [say("A"), say("B", gap=3.0)],
        [late("A.0", MODEL, amount=3.0)],
    ),
    "order-dirty-connection": ([upload("A"), cancel(4), upload("B", gap=3.0)], []),
    "order-lease-expires": ([say("A"), say("B")], [late("A.0", "fixtures.overlays._lines:Lease.lay", amount=3.0)]),
    "order-page-returned-early": (
        [say("B"), step("A", "webui", "statistics", join=True), step("B", "webui", "statistics", gap=0.05)],
        [late("A.1", f"{FAULT}Statistics.write")],
    ),
    "order-worker-last-caller": (
        [picture("A"), step("B", "api", "picture", slot="sticker"), picture("A")],
        [],
    ),
    "order-in-flight-by-content": ([picture("A"), picture("B")], []),
    "order-upload-resumed": ([upload("A"), cancel(5), upload("B", gap=3.0)], []),
    "order-slot-reused": ([say("A"), DROP, say("B")], []),
    "order-undelivered-by-chat": ([say("A"), DROP, say("B", gap=3.0)], []),
    "order-answer-at-once": ([say("A"), say("B", gap=3.0)], [soon("A.0", 0)]),
    "order-backlog-shared": ([say("A"), CLOG, say("B", gap=0.4)], []),
    "order-timer-takes-the-desk": (
        [say("A"), say("B", join=True), step("A", "timer", "run", gap=3.0, task="statistics"), say("B")],
        [],
    ),
}


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with Pool(SPEC, jobs=1) as pool:
        yield Field(pool, ReferenceTarget())


def findings(field: Field, steps: Sequence[Step], tape: Sequence[Deviation], *overlays: str) -> list[Finding]:
    trace = field.pool.run(Plan(steps=tuple(steps), tape=tuple(tape), overlays=overlays)).trace
    assert trace is not None and not trace.faults
    if tape:
        assert trace.deviations, "the tape names no wait that there is"
    return field.judge(trace)


def apart(steps: Sequence[Step]) -> list[Step]:
    """The same one after the other, with nothing cancelled or lost."""
    return [
        step(str(one.who), one.entry, one.action, join=True, gap=4.0, **one.payload)
        for one in steps
        if one.action not in ("cancel", "drop", "clog")
    ]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_leaks_in_that_order(field: Field, fault: Any) -> None:
    steps, tape = WITNESSES[fault.name]
    assert any(speaks_of(fault, finding) for finding in findings(field, steps, tape, fault.name))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_one_after_the_other_it_does_not(field: Field, fault: Any) -> None:
    assert findings(field, apart(WITNESSES[fault.name][0]), (), fault.name) == []


@pytest.mark.parametrize("name", [name for name, (_, tape) in WITNESSES.items() if tape])
def test_in_the_usual_order_it_does_not(field: Field, name: str) -> None:
    assert findings(field, WITNESSES[name][0], (), name) == []


@pytest.mark.parametrize("name", WITNESSES)
def test_without_the_fault_that_order_is_harmless(field: Field, name: str) -> None:
    steps, tape = WITNESSES[name]
    own = [deviation for deviation in tape if "overlays" not in deviation.site]
    assert findings(field, steps, own) == []
