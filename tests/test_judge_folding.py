"""One cause, one finding: what follows from a crossing is what the finding reaches, not a finding of its own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.finding import Finding
from harness.judge import CARRIED, judge
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.trace import Access, Mark, Site, StepRecord
from tests.evidence_factory import FACTS, access, trace

OWN: dict[str, Any] = {"owned_by": "columns"}
FALLBACK: dict[str, Any] = {"level": "default", "overridden": True}


def found(*accesses: Access) -> list[Finding]:
    return judge(trace(*accesses), FACTS)


def rules(*accesses: Access) -> list[str]:
    return [finding.rule for finding in found(*accesses)]


def prompt(surface: str = "reply", marks: str = "B", **fields: Any) -> Access:
    return access(sink="prompt", op="write", surface=surface, marks=marks, **fields)


def reply(marks: str = "B", to: str = "A") -> Access:
    return access(sink="outbound", op="write", surface="send", marks=marks, new_owner=to, detail={"named": True})


def slot(made: Access, *slots: str) -> Access:
    """The same access, carrying B's canaries of these slots."""
    return msgspec.structs.replace(made, marks=tuple(Mark("B", name) for name in slots))


LEAK = access(owner="B", detail=OWN, marks="B")


def test_what_is_made_of_crossed_data_is_reached_not_found_again() -> None:
    (finding,) = found(LEAK, prompt(), reply(), access(op="write", surface="replies", marks="B"))
    assert finding.rule == "foreign-read" and finding.seqs == (0,)
    assert finding.reaches == ("prompt reply", "outbound send", "row replies")


def test_a_crossing_alone_reaches_nothing() -> None:
    (finding,) = found(LEAK)
    assert finding.reaches == ()


def test_a_place_reached_twice_is_named_once() -> None:
    (finding,) = found(LEAK, prompt(), prompt(), reply())
    assert finding.reaches == ("prompt reply", "outbound send")


def test_the_first_crossing_is_the_cause_whatever_came_before_it() -> None:
    assert rules(prompt(marks="A"), prompt(), LEAK) == ["canary-flow", "foreign-read"]


def test_a_foreign_access_by_other_code_is_a_cause_of_its_own() -> None:
    other = access(owner="B", detail=OWN, marks="B", surface="people", site=Site("bot.py", 1, "g"))
    assert rules(LEAK, other) == ["foreign-read"] * 2


def test_one_function_that_reads_several_tables_is_one_cause_that_shows_at_each() -> None:
    people = access(owner="B", detail=OWN, marks="B", surface="people")
    (finding,) = found(LEAK, people)
    assert [place.surface for place in finding.places] == ["messages", "people"]
    (turned,) = found(people, LEAK)
    assert turned.fingerprint == finding.fingerprint, "named alike, whichever table came first"


def test_one_function_that_reads_and_writes_is_two_findings() -> None:
    write = access(owner="B", detail=OWN, marks="B", op="write", surface="people")
    assert rules(LEAK, write) == ["foreign-read", "foreign-write"]


def test_one_function_with_several_folders_stays_several_findings() -> None:
    first, second = (access(sink="file", owner="B", detail={"owned_by": "target"}, surface=s) for s in ("a/*", "b/*"))
    assert [f.surface for f in found(first, second)] == ["a/*", "b/*"]


def test_another_secret_is_another_cause() -> None:
    one, other = slot(LEAK, "message"), slot(prompt(), "config.tenant")
    assert rules(one, other) == ["foreign-read", "canary-flow"]
    assert rules(one, slot(prompt(), "message", "config.tenant")) == ["foreign-read", "canary-flow"]
    assert rules(one, slot(prompt(), "message")) == ["foreign-read"]


def test_the_other_direction_is_another_cause() -> None:
    back = {"actor": "B", "ambient": "B", "lineage": "B.1"}
    assert rules(LEAK, prompt(marks="A", **back)) == ["foreign-read", "canary-flow"]


def test_a_finding_without_a_canary_explains_no_later_one() -> None:
    assert rules(access(owner="B", detail=OWN), prompt()) == ["foreign-read", "canary-flow"]


def test_a_place_that_shows_the_same_fingerprint_again_does_not_reach_itself() -> None:
    (finding,) = found(prompt(), prompt())
    assert finding.rule == "canary-flow" and finding.reaches == ()


def test_equal_fingerprints_are_one_finding_that_reaches_what_any_of_them_does() -> None:
    other_slot = slot(access(owner="B", detail=OWN, key="2"), "name")
    accesses = slot(LEAK, "message"), slot(prompt("plan"), "message"), other_slot, slot(prompt("reply"), "name")
    (finding,) = found(*accesses)
    assert finding.seqs == (0,), "the first one stands"
    assert finding.reaches == ("prompt plan", "prompt reply")


def test_places_reached_are_cut_to_what_a_reader_can_use() -> None:
    (finding,) = found(LEAK, *(prompt(f"model-{n}") for n in range(2 * CARRIED)))
    assert finding.reaches == tuple(f"prompt model-{n}" for n in range(CARRIED))


def bare(**fields: Any) -> Access:
    """A's row touched with no context at all."""
    return access(**{"ambient": "-", "owner": "A", "detail": OWN, **fields})


LATE: dict[str, Any] = {"sink": "prompt", "op": "write", "surface": "reply", "marks": "A"}


def test_a_principals_flow_without_context_is_one_finding_over_all_sinks() -> None:
    (finding,) = found(bare(), bare(surface="people"), bare(surface="notes"), bare(**LATE))
    assert (finding.rule, finding.surface) == ("context-missing", "messages")
    assert [(place.sink, place.surface) for place in finding.places] == [("row", "messages"), ("prompt", "reply")]
    (turned,) = found(bare(**LATE), bare())
    assert turned.fingerprint == finding.fingerprint, "named by where the flow came in, whatever it touched first"


def test_a_flow_of_nobodys_without_context_is_found_once_for_each_sink() -> None:
    timer = {"actor": None, "lineage": "boot.3"}
    row, asked = found(bare(**timer), bare(surface="people", **timer), bare(**LATE, **timer))
    assert (row.rule, row.surface, row.reaches) == ("context-missing", "messages", ("row people",))
    assert (asked.rule, asked.sink, asked.reaches) == ("context-missing", "prompt", ())


def gates(*accesses: Access) -> list[str]:
    """Findings of accesses whose stacks come in at two places."""
    made = msgspec.structs.replace(
        trace(*accesses), stacks=(("bot.py:f", "api.py:handle"), ("bot.py:f", "web.py:page"))
    )
    return [finding.cause for finding in judge(made, FACTS)]


def test_calls_past_the_ways_in_are_told_apart_by_the_place_that_answers() -> None:
    step = StepRecord(index=0, entry="plugin", action="api.get", who="A", first_seq=0, last_seq=9, started=0, ended=1)
    accesses = bare(), bare(sink="file", detail={"owned_by": "target"}, surface="a/*")
    for wrong in (True, False):
        called = msgspec.structs.replace(step, call=True, wrong=wrong)
        made = judge(msgspec.structs.replace(trace(*accesses), steps=(called,)), FACTS)
        assert [finding.sink for finding in made] == ["row", "file"]
    (let_in,) = judge(msgspec.structs.replace(trace(*accesses), steps=(step,)), FACTS)
    assert let_in.cause == "api.py:handle"


def test_where_a_flow_came_in_tells_two_causes_apart() -> None:
    assert gates(bare(), bare(stack=1, lineage="A.1")) == ["api.py:handle", "web.py:page"]


def test_a_task_that_lost_its_context_says_nothing_of_other_tasks() -> None:
    assert gates(bare(direct=False), bare(**LATE, direct=False, stack=1)) == ["api.py:handle", "web.py:page"]
    assert gates(bare(), bare(**LATE, direct=False, stack=1)) == ["api.py:handle"], "it was never there to be lost"


def test_tasks_of_a_flow_without_context_fall_back_because_it_has_none() -> None:
    task: dict[str, Any] = {
        "sink": "config", "surface": "bot", "detail": FALLBACK, "direct": False, "ambient": "-",
    }  # fmt: skip
    (finding,) = found(bare(), access(**task))
    assert finding.rule == "context-missing" and "config bot" in finding.reaches
    assert rules(access(**task)) == ["default-fallback"], "the task lost it"
    assert rules(bare(), access(**task, lineage="A.1")) == ["context-missing", "default-fallback"], "another flow"
    assert rules(bare(), access(**{**task, "ambient": "A"})) == ["context-missing", "default-fallback"], "it has one"


def test_another_flow_without_context_is_another_finding() -> None:
    surfaces = [f.surface for f in found(bare(), bare(surface="people", lineage="boot.3", actor=None))]
    assert surfaces == ["messages", "people"]


def test_findings_come_in_the_order_of_the_trace_not_of_the_rules() -> None:
    fallback = access(sink="config", surface="bot", detail=FALLBACK)
    assert rules(fallback, LEAK) == ["default-fallback", "foreign-read"]
    assert rules(LEAK, fallback) == ["foreign-read", "default-fallback"]


def test_an_empty_trace_has_no_findings() -> None:
    assert found() == []


def legacy(predicate: Any = "absent", entry: str = "start", target: str = "bot") -> RiskMap:
    item = RiskItem(
        id="legacy-file", group="Storage", generation="saas", module="m", defect="d", mitigation="m",
        cells=(Cell(sink="file", entry=entry, predicate=predicate),),
        places={target: (Pattern(sink="file", surface="legacy/*"),)},
    )  # fmt: skip
    return RiskMap(items=(item,))


def written(**fields: Any) -> Access:
    return access(**{"sink": "file", "op": "write", "surface": "legacy/a.json", "entry": "start", **fields})


def test_what_the_risk_map_demands_absent_is_found_when_written() -> None:
    (finding,) = judge(trace(written()), FACTS, legacy().demands("bot"))
    assert finding.rule == "demanded-absence" and "legacy-file demands" in finding.message


@pytest.mark.parametrize(
    "other",
    [
        {"op": "read"},
        {"op": "delete"},
        {"entry": "api"},
        {"surface": "modern/a.json"},
        {"sink": "key"},
        {"step": -2},
    ],
    ids=str,
)
def test_nothing_else_offends_a_demand(other: dict[str, Any]) -> None:
    assert judge(trace(written(**other)), FACTS, legacy().demands("bot")) == []


def test_only_absent_cells_of_this_bot_demand() -> None:
    for riskmap in (legacy("apart"), legacy(target="other")):
        assert judge(trace(written()), FACTS, riskmap.demands("bot")) == []
