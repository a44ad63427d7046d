"""A finding of a lost or swapped context tells which task, timer, callback, job or queue led there, who made it where
and under which context, and where flow and context parted."""

from __future__ import annotations

import pytest

from harness.finding import Finding
from harness.judge import judge
from harness.parting import provenance, told
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.record import ProvenanceRecord
from harness.trace import Trace
from tests.context_targets import AskingTarget

BOTH = Plan(
    steps=tuple(Step(entry="api", action="say", who=who, payload={"text": "{message}"}, gap=0.2) for who in ("A", "B"))
)


def findings(name: str) -> tuple[Trace, list[Finding]]:
    with Pool(f"tests.context_targets:{name}", jobs=1) as pool:
        trace = pool.run(BOTH).trace
    assert trace is not None and not trace.faults
    return trace, judge(trace, AskingTarget().facts())


def found(name: str, rule: str = "context-missing", who: str = "A") -> tuple[ProvenanceRecord, ...]:
    trace, made = findings(name)
    chosen = [f for f in made if f.rule == rule and f.source in (who, "-")]
    assert chosen, [f.message for f in made]
    return provenance(trace, chosen[0])


@pytest.mark.parametrize(
    ("name", "kind", "text", "function"),
    [
        ("SpawningTarget", "task", "task SpawningTarget.work is created by A's step 0, under no context", "said"),
        ("TimerTarget", "timer", "timer AskingTarget.ask is set by A's step 0, under no context", "said"),
        ("CallbackTarget", "callback", "callback AskingTarget.ask is handed to the loop by A's step 0", "said"),
        (
            "ExecutorTarget",
            "executor",
            "AskingTarget.ask, which takes no context along, is handed to an executor",
            "said",
        ),
    ],
)
def test_what_was_made_without_the_context_is_where_they_part(name: str, kind: str, text: str, function: str) -> None:
    links = found(name)
    assert [link.kind for link in links] == ["step", kind, "violation"]
    parted = [link for link in links if link.parted]
    assert [link.kind for link in parted] == [kind]
    assert parted[0].text.startswith(text) and parted[0].text.endswith("here flow and context part")
    assert (parted[0].who, parted[0].context) == ("A", "-")
    assert parted[0].site.file == "context_targets.py" and parted[0].site.function == f"{name}.{function}"


def test_a_worker_that_kept_another_s_context_is_where_they_part() -> None:
    links = found("KeepingTarget", "context-mismatch")
    assert [(link.kind, link.who, link.context, link.parted) for link in links] == [
        ("step", "B", "-", False), ("executor", "B", "A", True), ("violation", "B", "A", False),
    ]  # fmt: skip


def test_a_queue_s_item_belongs_to_who_put_it_and_not_to_the_bot_s_own_worker() -> None:
    links = found("WorkerTarget")
    assert [(link.kind, link.who, link.context, link.parted) for link in links] == [
        ("start", "-", "-", False),
        ("task", "-", "-", False),
        ("queue", "A", "A", True),
        ("violation", "-", "-", False),
    ]
    assert "task WorkerTarget.serve is created by the bot itself, under no context" in links[1].text
    assert "by A's step 0, in A's context: here flow and context part, for who takes it out works under no" in (
        links[2].text
    )
    assert links[2].site.function == "WorkerTarget.said"


def test_a_worker_pinned_to_its_first_caller_is_told_apart_from_who_it_works_for() -> None:
    trace, made = findings("PinnedTarget")
    links = [provenance(trace, f) for f in made if f.rule == "context-missing"]
    told_of = {(chain[1].who, chain[2].who, chain[2].kind) for chain in links}
    assert told_of <= {("A", "A", "queue"), ("A", "B", "queue")} and told_of
    assert all("task PinnedTarget.serve is created by A's step 0, under no context" in chain[1].text for chain in links)


def test_a_context_that_was_overwritten_while_the_flow_waited_parts_between_two_accesses() -> None:
    links = found("GlobalTarget", "context-mismatch", "B")
    assert [(link.kind, link.context, link.parted) for link in links] == [
        ("step", "-", False),
        ("access", "A", False),
        ("violation", "B", True),
    ]
    assert "the flow is still in A's context at write of prompt model" in links[1].text
    assert "after it and before this the flow left A's context" in links[2].text
    assert links[1].site.line < links[2].site.line or links[1].site == links[2].site


def test_a_flow_that_never_had_a_context_says_where_it_came_in() -> None:
    links = found("ForgetfulTarget")
    assert [(link.kind, link.parted) for link in links] == [("step", False), ("violation", True)]
    assert "came in by context_targets.py:ForgetfulTarget.deliver, was never in A's context" in links[1].text


def test_a_task_of_the_target_s_own_is_no_link() -> None:
    links = found("ConnectedTarget")
    assert [(link.kind, link.parted) for link in links] == [("step", False), ("violation", True)]


def test_a_bot_that_keeps_its_context_has_nothing_to_tell_and_its_trace_carries_none() -> None:
    trace, made = findings("AskingTarget")
    assert made == []
    assert (trace.origins, trace.descents) == ((), {})


def test_lines_for_a_terminal_mark_the_place() -> None:
    lines = told(found("TimerTarget"))
    assert [line[0] for line in lines] == [" ", "!", " "]
    assert "(context_targets.py:" in lines[1]
