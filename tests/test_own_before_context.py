"""What a flow keeps of its own in memory before it has a context is no crossing; losing one is."""

from __future__ import annotations

from typing import Any

import pytest

from harness.judge import judge
from harness.rules._evidence import Evidence
from harness.rules.context import context_missing
from harness.trace import Access, Origin, Site, StepRecord
from tests.evidence_factory import FACTS, access, trace


def found(*accesses: Access, wrong: bool = False, call: bool = False, **more: Any) -> list[str]:
    step = StepRecord(
        index=0, entry="api", action="text", who="A", first_seq=0, last_seq=9, started=0, ended=1, wrong=wrong,
        call=call,
    )  # fmt: skip
    return [finding.rule for finding in judge(trace(*accesses, steps=(step,), **more), FACTS)]


def memory(**fields: Any) -> Access:
    """An access of A's own flow without context to what is A's in the process."""
    detail = {"owned_by": "first-writer"}
    return access(**{"sink": "key", "surface": "bot.inbox", "ambient": "-", "op": "write", "new_owner": "A",
                     "marks": "A", "detail": detail, **fields})  # fmt: skip


@pytest.mark.parametrize("wrong", [False, True])
def test_what_came_in_waits_in_memory_under_a_right_credential_or_a_wrong_one(wrong: bool) -> None:
    put, taken = memory(), memory(op="read", owner="A", new_owner=None)
    assert found(put, taken, wrong=wrong) == []


def test_under_a_right_credential_what_was_kept_of_it_under_a_context_may_be_met() -> None:
    assert found(memory(op="read", owner="A", new_owner=None)) == []
    assert found(memory(op="read", owner="A", new_owner=None), wrong=True) == ["context-missing"]


def test_a_flow_that_had_a_context_and_lost_it_is_told() -> None:
    assert found(access(surface="settings"), memory()) == ["context-missing"]


def test_what_it_left_there_before_it_may_take_out_afterwards() -> None:
    put, done = memory(), memory(op="delete", owner="A", new_owner=None)
    assert found(put, access(surface="settings"), done) == []
    changed = memory(ambient="A", step=1)
    assert found(put, access(surface="settings"), changed, done) == ["context-missing"], "kept under a context since"


def test_one_call_into_the_bot_says_nothing_of_the_next() -> None:
    accesses = trace(access(surface="settings", stack=0), memory(stack=1)).accesses
    stacks = (("bot.py:connect",), ("bot.py:put", "bot.py:handle"))
    assert [f.rule for f in judge(trace_of(accesses, stacks), FACTS)] == []
    assert [f.rule for f in judge(trace_of(accesses, (("bot.py:read", "bot.py:handle"), stacks[1])), FACTS)] == [
        "context-missing"
    ]


def trace_of(accesses: tuple[Access, ...], stacks: tuple[tuple[str, ...], ...]) -> Any:
    import msgspec

    return msgspec.structs.replace(trace(*accesses), stacks=stacks)


@pytest.mark.parametrize(("ambient", "expected"), [("-", []), ("A", ["context-missing"])])
def test_a_task_counts_by_whether_its_maker_had_a_context(ambient: str, expected: list[str]) -> None:
    made = Origin(kind="task", what="t", site=Site("bot.py", 1, "f"), lineage="A.0", step=0, actor="A", ambient=ambient)
    assert found(memory(direct=False, lineage="A.0.1"), origins=(made,), descents={0: 0}) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"sink": "row", "surface": "messages", "detail": {"owned_by": "columns"}, "owner": "A"},
        {"sink": "file", "surface": "data/A", "detail": {"owned_by": "target"}, "owner": "A"},
        {"op": "rebind"},
        {"actor": None, "lineage": "boot"},
    ],
)
def test_rows_named_files_names_and_nobodys_flows_need_a_context_as_ever(fields: dict[str, Any]) -> None:
    assert found(memory(**fields)) == ["context-missing"]


@pytest.mark.parametrize("fields", [{"marks": "AB"}, {"owner": "B", "marks": "", "detail": {"owned_by": "target"}}])
def test_what_is_or_holds_the_others_too_needs_one(fields: dict[str, Any]) -> None:
    evidence = Evidence(trace(memory(**fields)), FACTS)
    assert [f.rule for f in context_missing(evidence)] == ["context-missing"]


def test_a_call_past_the_ways_in_asks_for_an_answer_without_context() -> None:
    assert found(memory(), wrong=True, call=True) == ["context-missing"]
