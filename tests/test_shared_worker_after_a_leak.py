"""In a worker for both the first caller's token speaks against the context, unless it had come there before."""

from __future__ import annotations

from harness.judge import judge
from tests.evidence_factory import FACTS, access, trace

ASKED = access(sink="prompt", op="write", surface="describe", new_owner="B", actor="B", ambient="B", marks="A")
STORED = access(
    op="write", surface="pictures", new_owner="B", actor="A", ambient="B", direct=False, marks="A",
    detail={"owned_by": "columns"},
)  # fmt: skip


def test_a_row_of_the_worker_that_tells_what_had_crossed_before() -> None:
    (found,) = judge(trace(ASKED, STORED), FACTS)
    assert (found.rule, found.reaches) == ("canary-flow", ("row pictures",))


def test_a_row_of_the_worker_that_is_the_first_to_tell() -> None:
    assert "context-mismatch" in {finding.rule for finding in judge(trace(STORED, ASKED), FACTS)}


def test_the_steps_own_task_is_proof_whatever_had_crossed() -> None:
    direct = access(
        op="write", surface="pictures", new_owner="B", actor="A", ambient="B", marks="A", detail={"owned_by": "columns"}
    )
    assert "context-mismatch" in {finding.rule for finding in judge(trace(ASKED, direct), FACTS)}
