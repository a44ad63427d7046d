"""Each verdict is given when its condition holds, the stronger statement first, and *closed* only when all hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.judge import judge
from harness.record import CellRecord
from harness.riskmap import Cell, Lack, Pattern
from harness.trace import Access, Site
from harness.verdict import ENOUGH
from tests.evidence_factory import FACTS, access, trace
from tests.verdict_support import CONTEXT, LEAK, OWN, PLACE, ROW, both, cell, item, own, verdict


def test_another_generation_is_not_applicable_whatever_was_found() -> None:
    said = verdict(item(generation="four-dimensions"), [*both(), LEAK])
    assert said.verdict == "not_applicable"
    assert "four-dimensions" in said.why and "saas" in said.why


def test_an_item_without_a_place_in_this_bot_is_not_applicable_and_says_why() -> None:
    assert verdict(item(places={"other": (PLACE,)}), both()).verdict == "not_applicable"
    assert verdict(item(places={}, notes={"bot": "the table was dropped"}), both()).why == "the table was dropped"


def test_closed_wants_every_condition_and_then_says_so() -> None:
    said = verdict(item(), both())
    assert said.verdict == "closed"
    assert said.cells[0] == CellRecord(
        sink="row", entry="api", dimension="T", predicate="apart", count=ENOUGH, control=True, state="closed",
        twins=("A", "B"), why=f"reached {ENOUGH} times by both, the control held",
    )  # fmt: skip


def test_a_finding_opens_the_item_even_where_too_little_was_reached() -> None:
    said = verdict(item(), [LEAK])
    assert said.verdict == "open" and said.why == "1 finding(s): foreign-read"
    assert len(said.findings) == 1
    assert said.cells[0].state == "open"


NEVER = Cell(sink="row", entry="timer")
WITHOUT = {"bot": (Lack(sink="row", entry="timer", why="no timer touches the table"),)}


def test_what_the_bot_has_not_keeps_no_item_from_closing() -> None:
    said = verdict(item(ROW, NEVER, lacks=WITHOUT), both())
    assert said.verdict == "closed"
    assert [(cell.state, cell.why) for cell in said.cells][1] == ("not_applicable", "no timer touches the table")
    assert verdict(item(ROW, NEVER, lacks={"other": WITHOUT["bot"]}), both()).verdict == "not_exercised"


def test_an_item_of_which_the_bot_has_nothing_is_not_applicable() -> None:
    said = verdict(item(NEVER, lacks=WITHOUT), both())
    assert (said.verdict, said.why) == ("not_applicable", "no timer touches the table")


def test_a_run_that_reaches_what_the_bot_was_said_to_lack_refutes_it() -> None:
    few = both(4, entry="timer")
    assert verdict(item(ROW, NEVER, lacks=WITHOUT), [*both(), *few]).verdict == "not_exercised"


def test_what_nobody_does_as_one_chat_is_lacking_for_chats_alone_whatever_the_agent_reached() -> None:
    lacks = {"bot": (Lack(sink="row", entry="api", dimension="C", why="the agent goes over its chats"),)}
    said = verdict(item(ROW, Cell(sink="row", entry="api", dimension="C"), lacks=lacks), both())
    assert (said.verdict, [cell.state for cell in said.cells]) == ("closed", ["closed", "not_applicable"])
    assert verdict(item(ROW, lacks=lacks), both(4)).verdict == "not_exercised"
    chats = msgspec.structs.replace(FACTS, speaks={"chat": ("api",)})
    reached = item(Cell(sink="row", entry="api", dimension="C"), lacks=lacks)
    assert verdict(reached, both(4), dimension="C", facts=chats).verdict == "not_exercised"


CONFIG = Cell(sink="config", entry="api")


def test_configuration_that_nobody_can_have_of_its_own_is_lacking_until_a_run_shows_some() -> None:
    lacks = {"bot": (Lack(sink="config", entry="api", why="one configuration for all"),)}
    plain = [access(sink="config", surface="bot", actor=twin, ambient=twin) for twin in "AB" * ENOUGH]
    assert verdict(item(ROW, CONFIG, lacks=lacks), [*both(), *plain]).verdict == "closed"
    assert verdict(item(ROW, CONFIG), [*both(), *plain]).verdict == "not_exercised"
    shown = verdict(item(ROW, CONFIG, lacks=lacks), [*both(), *plain, reading("A", "A")])
    assert "control held for A only" in shown.why


def reading(twin: str, mark: str) -> Access:
    """`twin` reads a section in which `mark`'s canary stands."""
    return access(sink="config", surface="bot", op="read", actor=twin, ambient=twin, lineage=f"{twin}.0", marks=mark)


def test_a_twin_that_meets_only_the_others_data_where_its_own_belongs_opens_the_item() -> None:
    crossing = access(sink="row", surface="settings", op="read", actor="B", ambient="B", lineage="B.0", marks="A")
    said = verdict(item(CONFIG), [crossing, *[reading(twin, "A") for twin in "AB" * ENOUGH]])
    assert said.verdict == "open"
    assert said.cells[0].why == f"B never met its own there but A's, {ENOUGH} times"
    (cause,) = said.findings
    assert next(f for f in judge(trace(crossing), FACTS)).fingerprint == cause


def test_a_twin_that_meets_its_own_as_well_is_a_matter_for_the_rules_alone() -> None:
    seen = [reading(twin, twin) for twin in "AB" * ENOUGH]
    assert verdict(item(CONFIG), seen).cells[0].state == "closed"
    only = [reading("A", "A")] * ENOUGH + [access(sink="config", surface="bot", actor="B", ambient="B")] * ENOUGH
    said = verdict(item(CONFIG), only)
    assert said.verdict == "not_exercised" and "held for A only" in said.why


def test_open_comes_before_inert() -> None:
    never = Cell(sink="config", entry="api")
    failing = [access(sink="config", surface="bot", op="error", actor=t, ambient=t) for t in "AB" * ENOUGH]
    assert verdict(item(never, ROW), [*both(), *failing]).verdict == "inert"
    assert verdict(item(never, ROW), [*both(), *failing, LEAK]).verdict == "open"


def test_a_place_the_bot_refuses_to_everybody_is_inert_and_says_so() -> None:
    refused = [access(op="refuse", actor=t, ambient="-") for t in "AB" * ENOUGH]
    said = verdict(item(ROW), refused)
    assert (said.verdict, said.cells[0].state) == ("inert", "inert")
    assert "refused for want of a context" in said.why
    served = both()
    assert verdict(item(ROW), [*refused, *served]).verdict == "closed"


def test_what_was_not_shown_says_why_in_the_words_of_the_map() -> None:
    noted = msgspec.structs.replace(item(ROW), notes={"bot": "Nobody ever calls it."})
    assert verdict(noted, []).why == "row on api: never reached: no step was played on api. Nobody ever calls it."
    assert verdict(noted, both(op="error")).why.endswith("does not work. Nobody ever calls it.")
    assert verdict(noted, both()).why == "every cell reached, every control held, no rule fired"


def test_inert_comes_before_not_exercised() -> None:
    never = Cell(sink="file", entry="timer")
    failing = both(op="error")
    said = verdict(item(never, ROW), failing)
    assert said.verdict == "inert"
    assert said.why.startswith("row on api:") and "does not work" in said.why
    assert [c.state for c in said.cells] == ["not_exercised", "inert"]


def test_one_cell_that_was_never_reached_keeps_the_item_from_closing() -> None:
    said = verdict(item(ROW, Cell(sink="row", entry="timer")), both())
    assert said.verdict == "not_exercised"
    assert said.why == "row on timer: never reached: no step was played on timer"


def test_a_planted_fault_that_was_missed_keeps_the_item_from_closing() -> None:
    said = verdict(item(), both(), killed={"select-without-tenant": False, "other": True})
    assert said.verdict == "not_exercised"
    assert "select-without-tenant" in said.why
    assert said.overlays == ("other", "select-without-tenant")
    assert verdict(item(), both(), killed={"other": True}).verdict == "closed"


def test_a_missed_fault_does_not_hide_a_finding() -> None:
    assert verdict(item(), [*both(), LEAK], killed={"select-without-tenant": False}).verdict == "open"


@pytest.mark.parametrize(("count", "state"), [(ENOUGH - 1, "not_exercised"), (ENOUGH, "closed")])
def test_reached_often_enough(count: int, state: str) -> None:
    measured = cell(item(), both(count))
    assert (measured.state, measured.count) == (state, count)


def test_reached_by_one_twin_only() -> None:
    measured = cell(item(), [own("A") for _ in range(2 * ENOUGH)])
    assert (measured.state, measured.twins, measured.why) == ("not_exercised", ("A",), "reached by A only")


FAILING = {**OWN, "failing": True}


@pytest.mark.parametrize("broken", [{"op": "error"}, {"op": "write", "owner": None, "new_owner": None}])
def test_what_goes_wrong_after_a_failure_step_struck_is_not_inert(broken: dict[str, Any]) -> None:
    measured = cell(item(), both(**broken, detail=FAILING))
    assert measured.state == "not_exercised" and "failure step" in measured.why
    beside = cell(item(), [*both(2, op="write", owner=None), *both(**broken, detail=FAILING)])
    assert beside.state == "not_exercised" and beside.why.startswith(f"reached 2 times besides {ENOUGH}")


def test_what_goes_right_after_a_failure_step_struck_is_no_control() -> None:
    assert cell(item(), [*both(op="write", owner=None, new_owner=None), *both(detail=FAILING)]).state == "inert"


def test_a_leak_after_a_failure_step_struck_is_a_leak() -> None:
    assert verdict(item(), [own("B", owner="A", detail=FAILING)]).verdict == "open"


def test_nobody_meets_its_own_data() -> None:
    lost = cell(item(), both(op="write", owner=None, new_owner=None))
    assert (lost.state, lost.control) == ("inert", False)
    assert "positive control" in lost.why


def test_a_place_where_nobody_ever_put_anything_shows_nothing() -> None:
    empty = cell(item(), both(owner=None))
    assert (empty.state, empty.control) == ("not_exercised", False)
    assert "only looked at" in empty.why


def test_a_sink_that_never_showed_an_own_marker_is_no_proof_that_the_feature_is_broken() -> None:
    prompt = Cell(sink="prompt", entry="api")
    risk = item(prompt, places={"bot": (Pattern(sink="prompt"),)})
    bare, marked = (
        [
            access(sink="prompt", surface="reply", op="write", actor=t, ambient=t, marks=t if own else "")
            for t in "AB" * 20
        ]
        for own in (False, True)
    )
    assert (cell(risk, bare).state, cell(risk, bare).control) == ("not_exercised", False)
    assert "no marker of its own" in cell(risk, bare).why
    assert cell(risk, marked).state == "closed"


def test_only_one_of_both_meets_its_own_data() -> None:
    lopsided = [own("A") if n % 2 else own("B", owner=None) for n in range(2 * ENOUGH)]
    measured = cell(item(), lopsided)
    assert (measured.state, measured.control) == ("not_exercised", False)
    assert "A only" in measured.why


def test_some_failures_beside_successes_are_not_inert() -> None:
    assert cell(item(), [*both(op="error"), *both()]).state == "closed"


def test_accesses_of_another_entry_sink_place_or_code_do_not_count() -> None:
    for fields in ({"entry": "timer"}, {"sink": "key"}, {"surface": "people"}):
        assert cell(item(), both(**fields)).state == "not_exercised", fields
    elsewhere = item(places={"bot": (Pattern(sink="row", surface="messages", site="plugin.py:*"),)})
    assert cell(elsewhere, both()).count == 0


def test_a_cell_is_not_met_by_twins_that_differ_in_something_else() -> None:
    assert cell(item(), both(), dimension="C").state == "not_exercised"
    assert cell(item(Cell(sink="row", entry="api", dimension="C")), both()).state == "not_exercised"
    chats = msgspec.structs.replace(FACTS, speaks={"chat": ("api",)})
    claimed = item(Cell(sink="row", entry="api", dimension="C"))
    assert verdict(claimed, both(), dimension="C", facts=chats).cells[0].state == "closed"


def test_a_chat_is_not_kept_apart_where_nobody_acts_as_one_chat() -> None:
    claimed = item(Cell(sink="row", entry="api", dimension="C"))
    (made,) = verdict(claimed, both(), dimension="C").cells
    assert (made.state, made.why) == (
        "not_exercised", "nobody acts as one chat alone on api, so nothing could be told apart there"
    )  # fmt: skip


ABSENT = Cell(sink="row", entry="api", predicate="absent")


def test_what_must_be_absent_is_open_when_written_and_not_by_reads() -> None:
    written = own("A", op="write", new_owner="A", marks="A")
    assert verdict(item(ABSENT), [written]).why == "1 finding(s): demanded-absence"
    reads = verdict(item(ABSENT), both(2 * ENOUGH))
    assert reads.verdict == "closed"
    assert reads.cells[0].why == "never written" and reads.cells[0].count == 0


@pytest.mark.parametrize(
    "busy",
    [
        [],
        both(2 * ENOUGH - 2),
        both(2 * ENOUGH, entry="timer"),
        [own("A") for _ in range(4 * ENOUGH)],
        both(2 * ENOUGH, step=-2),
    ],
    ids=["nothing", "too little", "another entry", "one twin", "planted"],
)
def test_nothing_is_shown_absent_where_the_entry_was_hardly_tried(busy: list[Access]) -> None:
    said = verdict(item(ABSENT), busy)
    assert said.verdict == "not_exercised" and "api was hardly tried" in said.why


def test_any_access_of_the_entry_shows_that_it_was_tried() -> None:
    assert verdict(item(ABSENT), both(2 * ENOUGH, sink="prompt", surface="elsewhere")).verdict == "closed"


def test_absence_is_demanded_on_the_cell_s_entry_only() -> None:
    written = own("A", op="write", new_owner="A", marks="A", entry="timer")
    said = verdict(item(ABSENT), [written])
    assert said.findings == () and said.verdict != "open"


def test_a_context_cell_counts_accesses_of_every_sink_of_the_item() -> None:
    config = [
        access(sink="config", surface="bot", actor=t, ambient=t, marks=t, detail={"level": "tenant"}) for t in "AB"
    ]
    measured = cell(item(CONTEXT), [*both(ENOUGH - 2), *config])
    assert (measured.state, measured.count) == ("closed", ENOUGH)


def test_one_place_matched_by_two_patterns_counts_once() -> None:
    twice = item(places={"bot": (PLACE, Pattern(sink="*", surface="mess*"))})
    assert cell(twice, both()).count == ENOUGH


def test_a_cell_is_open_by_what_shows_on_its_own_entry_and_dimension() -> None:
    on_web = own("B", owner="A", entry="webui", lineage="B.1", site=Site("bot.py", 9, "g"))
    risk = item(ROW, Cell(sink="row", entry="webui"))
    said = verdict(risk, [*both(), *both(entry="webui"), on_web])
    assert [cell.state for cell in said.cells] == ["closed", "open"]


# -- what another finding brought along ----------------------------------------------------------------------------

PROMPT = Cell(sink="prompt", entry="api")
SPOKEN: dict[str, Any] = {"sink": "prompt", "op": "write", "surface": "reply", "owner": None, "detail": {}}
BROUGHT = [
    own("B", owner="A", marks="A", lineage="B.1", step=1),
    own("B", **SPOKEN, marks="AB", lineage="B.1", step=1),
]


def asking() -> list[Access]:
    return [own("AB"[n % 2], **SPOKEN, marks="AB"[n % 2]) for n in range(ENOUGH)]


def test_what_only_speaks_of_what_comes_out_is_open_by_what_came_out() -> None:
    only = item(PROMPT, places={"bot": (Pattern(sink="prompt"),)})
    said = verdict(only, [*asking(), *BROUGHT])
    assert said.verdict == "open" and "the other's data came there 1 times" in said.why
    assert len(said.findings) == 1, "the finding that brought it"
    assert verdict(only, asking()).verdict == "closed"


def test_what_speaks_of_a_store_as_well_is_not_closed_by_what_another_place_hides() -> None:
    store = Pattern(sink="row", surface="notes", site="*")
    mixed = item(ROW, PROMPT, places={"bot": (store, Pattern(sink="prompt"))})
    notes = both(surface="notes")
    said = verdict(mixed, [*notes, *asking(), *BROUGHT])
    assert said.verdict == "not_exercised" and "a finding of another place" in said.why
    assert verdict(mixed, [*notes, *asking()]).verdict == "closed"
