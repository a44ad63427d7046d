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


def test_one_function_that_reads_and_writes_is_one_cause_told_by_the_more_telling_rule() -> None:
    write = access(owner="B", detail=OWN, marks="B", op="write", surface="people")
    (finding,) = found(LEAK, write)
    (turned,) = found(write, LEAK)
    assert finding.rule == turned.rule == "foreign-read"
    assert finding.rules == turned.rules == ("foreign-read", "foreign-write")
    assert {(place.rule, place.surface) for place in turned.places} == {
        ("foreign-read", "messages"), ("foreign-write", "people"),
    }  # fmt: skip
    (alone,) = found(write)
    assert alone.fingerprint == finding.fingerprint, "named alike, whichever of the two a run meets"


def test_one_function_with_several_folders_stays_several_findings() -> None:
    first, second = (access(sink="file", owner="B", detail={"owned_by": "target"}, surface=s) for s in ("a/*", "b/*"))
    assert [f.surface for f in found(first, second)] == ["a/*", "b/*"]


def test_a_token_that_crossed_before_proves_no_first_writer_an_owner_unless_the_owner_put_it_there() -> None:
    shared: dict[str, Any] = {"sink": "key", "surface": "bot.handlers[]", "detail": {"owned_by": "first-writer"}}
    met = access(**shared, owner="B", marks="B", op="iterate")
    by_b: dict[str, Any] = {"actor": "B", "ambient": "B", "lineage": "B.1", "op": "write"}
    made = access(**shared, new_owner="B", **by_b)
    assert rules(made, met) == ["foreign-read"]
    assert rules(made, LEAK, met) == ["foreign-read"], "what A put into it is no second leak"
    assert [f.sink for f in found(made, LEAK, met)] == ["row"]
    filled = access(**shared, new_owner="B", marks="B", **by_b)
    held = access(**{**shared, "surface": "bot"}, marks="B", **{**by_b, "op": "rebind"})
    other = access(**{**shared, "surface": "bot.hand"}, marks="B", **by_b)
    assert rules(filled, LEAK, met) == rules(made, held, LEAK, met) == ["foreign-read"] * 2
    assert rules(made, other, LEAK, met) == ["foreign-read"]


def test_what_held_a_token_meanwhile_is_told_of_what_comes_out_and_not_of_what_lay_at_rest() -> None:
    detail = {"observed": "between", "owned_by": "first-writer"}
    held = access(sink="key", op="write", surface="bot.last", marks="B", actor="B", ambient="B", detail=detail)
    (told,) = found(held, prompt())
    assert [place.surface for place in told.places] == ["reply", "bot.last"]
    (lay,) = found(held, access(surface="letters", marks="B"))
    assert [(f.rule, place.surface) for f in [lay] for place in f.places] == [("canary-flow", "letters")]


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
    assert (row.rule, [place.surface for place in row.places]) == ("context-missing", ["messages", "people"])
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
    called = msgspec.structs.replace(step, call=True, wrong=True)
    made = judge(msgspec.structs.replace(trace(*accesses), steps=(called,)), FACTS)
    assert [finding.sink for finding in made] == ["row", "file"]
    for by_itself in (step, msgspec.structs.replace(step, call=True)):
        (let_in,) = judge(msgspec.structs.replace(trace(*accesses), steps=(by_itself,)), FACTS)
        assert let_in.cause == "api.py:handle", "who comes with an identity was let in without it"


def called(*accesses: Access) -> list[Finding]:
    """Findings where a caller with no context to give asks each of these."""
    step = StepRecord(
        index=0, entry="plugin", action="api.get", who="A", first_seq=0, last_seq=9, started=0, ended=1, call=True,
        wrong=True,
    )  # fmt: skip
    return judge(msgspec.structs.replace(trace(*accesses), steps=(step,)), FACTS)


CELL: dict[str, Any] = {"sink": "key", "surface": "bot.moods", "key": "tenant_A", "detail": {"owned_by": "target"}}


def test_a_container_that_answers_without_context_is_one_cause_at_every_depth() -> None:
    (finding,) = called(bare(**CELL), bare(**{**CELL, "surface": "bot.moods[].value"}, site=Site("bot.py", 9, "other")))
    assert finding.rule == "context-missing" and {p.surface for p in finding.places} == {
        "bot.moods", "bot.moods[].value",
    }  # fmt: skip


def test_configuration_that_answers_without_context_is_one_cause_whoever_reads_it() -> None:
    def read(surface: str, function: str) -> Access:
        return bare(sink="config", surface=surface, detail={"level": "default"}, site=Site("bot.py", 1, function))

    first, second = read("global.bot", "f"), read("global.chat", "g")
    (finding,) = called(first, second)
    assert {place.site for place in finding.places} == {"bot.py:f", "bot.py:g"}
    assert finding.fingerprint == called(second)[0].fingerprint


def test_what_a_call_without_context_asks_a_model_follows_from_what_answered_it() -> None:
    (finding,) = called(bare(**CELL), bare(**LATE))
    assert finding.sink == "key" and "prompt reply" in finding.reaches
    assert [f.sink for f in called(bare(**LATE))] == ["prompt"]


SHARED_FILE: dict[str, Any] = {"sink": "file", "surface": "data/*.json", "key": "data/all.json",
                               "detail": {"owned_by": "first-writer"}, "marks": "B"}  # fmt: skip


def test_a_place_that_tells_nobody_apart_is_one_cause_whatever_is_done_there() -> None:
    wrote = access(op="write", **{**SHARED_FILE, "actor": "B", "ambient": "B", "lineage": "B.1"}, new_owner="B")
    reads = access(**SHARED_FILE, owner="B", site=Site("bot.py", 7, "load"))
    writes = access(op="write", **SHARED_FILE, owner="B", new_owner="A", site=Site("bot.py", 9, "save"))
    without = access(**SHARED_FILE, owner="B", ambient="-", lineage="A.2", site=Site("bot.py", 11, "look"))
    (finding,) = found(wrote, reads, writes, without)
    assert finding.rules[0] == "foreign-read" and set(finding.rules) == {
        "foreign-read", "foreign-write", "shared-key", "context-missing",
    }  # fmt: skip
    assert {place.site for place in finding.places} == {"bot.py:load", "bot.py:save", "bot.py:look"}
    for some in ((wrote, writes), (wrote, reads), (without,)):
        (alone,) = found(*some)
        assert alone.fingerprint == finding.fingerprint


def test_a_table_without_an_owner_column_is_one_cause_and_tables_that_have_one_are_the_codes() -> None:
    untold = {"owned_by": "first-writer"}
    first, second = (access(owner="B", detail=untold, marks="B", site=Site("bot.py", 1, name)) for name in "fg")
    assert len(found(first, second)) == 1
    told = [msgspec.structs.replace(one, detail=OWN) for one in (first, second)]
    assert len(found(*told)) == 2, "each function leaves the owner out by itself"
    assert len({f.fingerprint for f in found(first) + found(*told)}) == 3


def test_a_container_is_one_cause_whatever_is_done_to_it() -> None:
    cell: dict[str, Any] = {"sink": "key", "key": "100", "detail": {"owned_by": "first-writer"}, "marks": "B"}
    wrote = access(surface="bot.cache", op="write", actor="B", ambient="B", lineage="B.1", new_owner="B", **cell)
    reads = access(surface="bot.cache", owner="B", **cell)
    inside = access(surface="bot.cache[].name", op="write", owner="B", new_owner="A", **cell)
    (finding,) = found(wrote, reads, inside)
    assert finding.rules == ("foreign-read", "foreign-write", "canary-flow", "shared-key")
    other = access(surface="bot.other", owner="B", **cell)
    assert len(found(reads, msgspec.structs.replace(wrote, surface="bot.other"), other)) == 2


def test_of_equal_findings_the_one_that_names_the_bots_code_speaks() -> None:
    cell: dict[str, Any] = {"sink": "key", "surface": "bot.cache", "detail": OWN, "owner": "B"}
    nowhere, look = access(site=Site("", 0, ""), stack=-1, **cell), access(site=Site("bot.py", 7, "look"), **cell)
    for order in ((nowhere, look), (look, nowhere)):
        (finding,) = found(*order)
        assert (finding.site.function, finding.seqs[-1]) == ("look", order.index(look))


def test_one_timer_without_context_is_one_cause_over_the_levels_of_a_container() -> None:
    timer: dict[str, Any] = {"actor": None, "ambient": "-", "owner": "A", "entry": "timer", "sink": "key",
                             "detail": {"owned_by": "target"}}  # fmt: skip
    outer, inner = (access(surface=surface, lineage=f"boot.{n}", **timer) for n, surface in enumerate(("x", "x[]")))
    assert len(found(outer, inner)) == 1
    by_another = msgspec.structs.replace(inner, site=Site("bot.py", 5, "other"))
    assert len(found(outer, by_another)) == 2


def test_a_credential_the_harness_lent_is_no_crossing_that_would_have_to_be_explained() -> None:
    step = StepRecord(index=0, entry="api", action="say", who="A", first_seq=0, last_seq=9, started=0, ended=1,
                      forged=("extra.key=credential",))  # fmt: skip
    leak, event = slot(LEAK, "config.agent"), access(sink="event", surface="on_plan")
    with_lent = slot(event, "config.agent", "credential")
    plan = msgspec.structs.replace
    honest = judge(plan(trace(leak, with_lent), steps=(plan(step, forged=()),)), FACTS)
    assert [f.rule for f in honest] == ["foreign-read", "canary-flow"], "a credential of its own would be news"
    (finding,) = judge(plan(trace(leak, with_lent), steps=(plan(step, index=5),)), FACTS)
    assert finding.reaches == ("event on_plan",)


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
