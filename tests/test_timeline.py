"""A witness is told in two lanes: the steps, what they touched, where the flow switched, the violation last."""

from __future__ import annotations

from typing import Any

from harness.finding import Finding
from harness.judge import judge
from harness.record import TimelineEvent
from harness.timeline import LONGEST, timeline
from harness.trace import Access, StepRecord, Trace
from tests.evidence_factory import FACTS, access, trace

OWN: dict[str, Any] = {"owned_by": "columns"}


def step(index: int, who: str | None, first_seq: int, started: float) -> StepRecord:
    return StepRecord(
        index=index, entry="api", action="say", who=who, first_seq=first_seq, last_seq=first_seq, started=started,
        ended=started + 1,
    )  # fmt: skip


def by(twin: str | None, **fields: Any) -> Access:
    return access(**{"actor": twin, "ambient": twin or "-", "detail": OWN, **fields})


def told(made: Trace) -> tuple[Finding, tuple[TimelineEvent, ...]]:
    (finding,) = judge(made, FACTS)
    return finding, timeline(made, finding)


WRITE = by("A", op="write", new_owner="A", marks="A", time=1.0)
LEAK = by("B", owner="A", marks="A", time=3.0)


def test_steps_accesses_switch_and_violation_in_order() -> None:
    finding, events = told(trace(WRITE, LEAK, steps=(step(0, "A", 0, 0.5), step(1, "B", 1, 2.5))))
    assert [(e.lane, e.kind, e.at) for e in events] == [
        ("A", "step", 0.5),
        ("A", "access", 1.0),
        ("B", "step", 2.5),
        ("B", "switch", 3.0),
        ("B", "violation", 3.0),
    ]
    assert events[0].text == "step 0: api say"
    assert events[1].text == "write row messages (context A, carrying A's message)"
    assert events[-1].text == finding.message and events[-1].site == finding.site


def test_what_has_nothing_to_do_with_it_is_left_out() -> None:
    noise = by("A", surface="settings", owner="A", time=2.0)
    _, events = told(trace(WRITE, noise, LEAK))
    assert not [e for e in events if "settings" in e.text]


def test_data_of_the_source_is_followed_through_other_places() -> None:
    copied = by("A", op="write", surface="summaries", new_owner="A", marks="A", time=2.0)
    _, events = told(trace(WRITE, copied, LEAK))
    assert [e.text.split(" (")[0] for e in events if e.kind == "access"] == [
        "write row messages",
        "write row summaries",
    ]


def test_nothing_after_the_violation_is_told() -> None:
    after = by("B", owner="B", time=4.0)
    _, events = told(trace(WRITE, LEAK, after, steps=(step(0, "A", 0, 0.5), step(1, "B", 2, 3.5))))
    assert events[-1].kind == "violation"
    assert "step 1: api say" not in [e.text for e in events]


def test_a_timer_s_lane_is_its_context_s_and_the_bot_s_own_without_one() -> None:
    own = by(None, op="write", surface="messages", owner=None, time=1.0)
    tick = access(actor=None, ambient="B", owner="A", marks="A", entry="timer", detail=OWN, time=2.0)
    _, events = told(trace(own, tick, steps=(step(0, None, 0, 0.5),)))
    assert [(e.lane, e.kind) for e in events] == [
        ("-", "step"), ("-", "access"), ("B", "switch"), ("B", "violation"),
    ]  # fmt: skip
    assert "no context" in events[1].text and events[2].text == "the loop goes on with B"


def test_a_switch_back_to_the_bot_itself_is_said() -> None:
    own = by(None, owner=None, time=2.0)
    _, events = told(trace(WRITE, own, LEAK))
    assert [e.text for e in events if e.kind == "switch"] == [
        "the loop goes on with the bot itself",
        "the loop goes on with B",
    ]


def test_a_long_history_keeps_the_steps_and_what_is_nearest_to_the_violation() -> None:
    writes = [by("A", op="write", new_owner="A", marks="A", key=str(n), time=float(n)) for n in range(200)]
    leak = by("B", owner="A", marks="A", time=500.0)
    _, events = told(trace(*writes, leak, steps=(step(0, "A", 0, 0.0), step(1, "B", 200, 400.0))))
    assert len(events) == LONGEST
    assert [e.text for e in events if e.kind == "step"] == ["step 0: api say", "step 1: api say"]
    assert events[-1].kind == "violation"
    kept = [e.at for e in events if e.kind == "access"]
    assert kept == [float(n) for n in range(200 - len(kept), 200)]
    assert [e.at for e in events] == sorted(e.at for e in events)


def test_a_cut_history_stays_in_the_order_in_which_it_happened() -> None:
    # An access may carry the time at which its value was made, earlier than all around it.
    writes = [by("A", op="write", new_owner="A", marks="A", key=str(n), time=float(n)) for n in range(100)]
    leak = by("B", owner="A", marks="A", time=3.0)
    _, events = told(trace(*writes, leak, steps=(step(0, "A", 0, 0.0), step(1, "B", 100, 150.0))))
    assert len(events) == LONGEST
    assert [e.kind for e in events[-3:]] == ["step", "switch", "violation"]
    assert events[-1].at < events[-4].at
