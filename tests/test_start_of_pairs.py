"""What a bot does before the steps of a plan begin moves nothing: it serves whom it knows, one after another."""

from __future__ import annotations

import msgspec

from harness.rules._evidence import Evidence
from harness.rules.interference import moves
from harness.trace import Access, StepRecord
from tests.evidence_factory import FACTS, access, trace

LOADED = access(time=0.0, surface="streams", actor=None, owner="A", lineage="boot", step=-1)
FORGOTTEN = access(time=0.0, surface="memories", actor="A", lineage="A.9", step=-1)
SAID = access(time=1.0, surface="notes")


def run(*accesses: Access, began: int) -> Evidence:
    step = StepRecord(
        index=0, entry="api", action="text", who="A", first_seq=began, last_seq=len(accesses), started=1.0, ended=1.5,
        outcome="ok",
    )  # fmt: skip
    return Evidence(msgspec.structs.replace(trace(*accesses), steps=(step,)), FACTS)


def test_who_is_served_sooner_at_the_start_has_not_moved() -> None:
    assert moves(run(LOADED, FORGOTTEN, SAID, began=2), run(FORGOTTEN, LOADED, SAID, began=2)) == []


def test_what_comes_in_another_order_once_the_steps_have_begun_has_moved() -> None:
    assert moves(run(LOADED, FORGOTTEN, SAID, began=0), run(FORGOTTEN, LOADED, SAID, began=0))


def test_what_the_start_does_later_has_not_moved_and_what_a_step_does_has() -> None:
    late, later = (msgspec.structs.replace(one, time=one.time + 0.5) for one in (LOADED, SAID))
    assert moves(run(LOADED, SAID, began=1), run(late, SAID, began=1)) == []
    assert [move.at for move in moves(run(LOADED, SAID, began=1), run(LOADED, later, began=1))] == [1.0]
