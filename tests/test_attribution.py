"""A finding belongs to the items whose place it shows at and whose claim it breaks, and to no others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from harness.judge import judge
from harness.principal import TwinSpec
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.trace import Access, Mark, Site, StepRecord
from harness.verdict import attribute
from tests.evidence_factory import FACTS, access, trace
from tests.verdict_support import CONTEXT, LEAK, OWN, PLACE, ROW, findings, item, own


def test_a_context_cell_claims_context_findings_on_any_sink_and_no_others() -> None:
    riskmap = RiskMap(items=(item(CONTEXT),))
    (missing,) = findings(own("A", ambient="-"))
    (mismatch,) = findings(access(sink="config", surface="bot", ambient="B", detail={"level": "tenant"}))
    (foreign,) = findings(LEAK)
    assert (missing.rule, mismatch.rule, foreign.rule) == ("context-missing", "context-mismatch", "foreign-read")
    assert attribute(missing, riskmap, "bot") == ("store",)
    assert attribute(mismatch, riskmap, "bot") == ("store",)
    assert attribute(foreign, riskmap, "bot") == ()


def test_attribution_wants_place_code_and_sink() -> None:
    (leak,) = findings(LEAK)
    rest = {
        "code": item(id="code", places={"bot": (Pattern(sink="row", surface="messages", site="plugin.py:*"),)}),
        "surface": item(id="surface", places={"bot": (Pattern(sink="row", surface="people"),)}),
        "sink": item(Cell(sink="file", entry="api"), id="sink", places={"bot": (Pattern(surface="messages"),)}),
        "bot": item(id="bot", places={"other": (PLACE,)}),
    }
    riskmap = RiskMap(items=(item(id="one"), *rest.values(), item(id="two")))
    assert attribute(leak, riskmap, "bot") == ("one", "two")


def test_interference_speaks_of_an_item_only_where_the_item_names_it() -> None:
    (leak,) = findings(LEAK)
    told = msgspec.structs.replace(leak, rule="interference")
    items = (item(id="any"), item(id="named", rules=("*", "interference")), item(id="globbed", rules=("inter*",)))
    assert attribute(told, RiskMap(items=items), "bot") == ("named",)
    assert attribute(leak, RiskMap(items=items), "bot") == ("any", "named")


def test_attribution_counts_every_place_that_one_defect_shows_at() -> None:
    (leak,) = findings(LEAK, msgspec.structs.replace(LEAK, surface="people"))
    people = item(id="people", places={"bot": (Pattern(sink="row", surface="people"),)})
    assert attribute(leak, RiskMap(items=(item(id="one"), people)), "bot") == ("one", "people")


def test_what_an_item_says_of_the_secrets_is_held_against_those_that_were_seen() -> None:
    def sent(slot: str) -> Access:
        made = access(sink="outbound", surface="api", op="write", new_owner="A")
        return msgspec.structs.replace(made, marks=(Mark("B", slot),))

    def speaks(name: str, *holds: str) -> RiskItem:
        pattern = Pattern(sink="outbound", holds=holds) if holds else Pattern(sink="outbound")
        return item(Cell(sink="outbound", entry="api"), id=name, places={"bot": (pattern,)})

    riskmap = RiskMap(items=(speaks("any"), speaks("pictures", "picture*", "sticker"), speaks("words", "message")))
    (words,) = findings(sent("message"))
    (picture,) = findings(sent("picture"))
    (both,) = findings(sent("message"), sent("sticker"))
    (met,) = findings(LEAK)
    assert attribute(words, riskmap, "bot") == ("any", "words")
    assert attribute(picture, riskmap, "bot") == ("any", "pictures")
    assert attribute(both, riskmap, "bot") == ("any", "pictures", "words")
    # Whose row it is says nothing of what stood in it.
    assert attribute(met, RiskMap(items=(item(places={"bot": (Pattern(holds=("picture",)),)}),)), "bot") == ("store",)


def test_attribution_looks_at_callers_too() -> None:
    (leak,) = findings(LEAK)
    caller = item(places={"bot": (Pattern(sink="row", site="api.py:handle"),)})
    assert attribute(leak, RiskMap(items=(caller,)), "bot") == ("store",)


@pytest.mark.parametrize(("entry", "expected"), [("start", ("store",)), ("api", ())])
def test_a_registers_only_cell_claims_its_own_entry_alone(entry: str, expected: tuple[str, ...]) -> None:
    riskmap = RiskMap(items=(item(Cell(sink="row", entry="start", predicate="registers_only")),))
    [missing, *_] = findings(access(ambient="-", entry=entry, owner="A", detail={"owned_by": "columns"}))
    assert attribute(missing, riskmap, "bot") == expected


def attributed(risk: RiskItem, *accesses: Access, steps: Sequence[StepRecord] = ()) -> set[str]:
    """Rules of the findings of these accesses that belong to the item."""
    made = msgspec.structs.replace(trace(*accesses), steps=tuple(steps))
    found = judge(made, FACTS)
    assert found, "there is something to attribute"
    return {f.rule for f in found if attribute(f, RiskMap(items=(risk,)), "bot")}


def test_configuration_read_without_context_belongs_to_items_that_speak_of_contexts_or_refusals() -> None:
    bare = access(sink="config", surface="bot", ambient="-", detail={"level": "default"})
    assert attributed(item(Cell(sink="config", entry="api")), bare) == set(), "nobody met what is another's"
    for claim in (Cell(sink="context", entry="api"), Cell(sink="config", entry="api", predicate="refuses")):
        assert attributed(item(claim), bare) == {"context-missing"}


def test_who_has_no_context_has_none_whatever_the_twins_differ_in() -> None:
    risk = RiskMap(items=(item(CONTEXT),))
    made = trace(own("A", ambient="-"), access(ambient="B", owner="B", detail={"owned_by": "columns"}))
    twins = msgspec.structs.replace(made.twins, spec=TwinSpec(dimension="A"))
    facts = msgspec.structs.replace(FACTS, scoping=("tenant", "agent"))
    found = judge(msgspec.structs.replace(made, twins=twins), facts)
    claimed = {f.rule: attribute(f, risk, "bot") for f in found}
    assert claimed["context-missing"] == ("store",) and claimed["context-mismatch"] == ()


def test_ones_own_row_without_context_is_no_leak_between_the_twins() -> None:
    mine = own("A", ambient="-")
    assert attributed(item(), mine) == set()
    assert attributed(item(Cell(sink="row", entry="api", predicate="refuses")), mine) == {"context-missing"}


def test_a_flow_of_nobodys_brings_the_twins_together_where_an_item_denies_it_of_that_entry() -> None:
    nobodys = access(actor=None, ambient="-", owner="A", detail=OWN, entry="timer", lineage="boot.1")
    assert attributed(item(Cell(sink="row", entry="timer")), nobodys) == {"context-missing"}
    assert attributed(item(Cell(sink="row", entry="api")), nobodys) == set()


def test_code_alone_is_meant_where_it_meets_the_others_data_itself() -> None:
    far = own("B", owner="A", site=Site("store.py", 3, "load"))
    for frame, mine in (("store.py:load", {"foreign-read"}), ("api.py:handle", set())):
        meant = item(places={"bot": (Pattern(site=frame),)})
        assert attributed(meant, far) == mine
    named = item(places={"bot": (Pattern(sink="row", surface="messages", site="api.py:handle"),)})
    assert attributed(named, far) == {"foreign-read"}, "with a place, whoever calls may be named"
    lost = item(Cell(sink="context", entry="api"), places={"bot": (Pattern(site="api.py:handle"),)})
    assert attributed(lost, own("A", ambient="-")) == {"context-missing"}, "where the flow came from is the matter"


def test_what_shows_on_another_entry_breaks_no_claim_of_this_one() -> None:
    on_web = own("B", owner="A", entry="webui")
    assert attributed(item(ROW), on_web) == set()
    assert attributed(item(Cell(sink="row", entry="webui")), on_web) == {"foreign-read"}
    assert attributed(item(Cell(sink="context", entry="api")), own("A", ambient="-", entry="webui")) == set()


def test_an_item_may_name_the_rules_by_which_its_defect_shows() -> None:
    leak = own("B", owner="A")
    assert attributed(item(rules=("unscoped-*", "foreign-*")), leak) == {"foreign-read"}
    assert attributed(item(rules=("unscoped-*",)), leak) == set()


def test_who_acts_as_the_other_is_a_matter_of_contexts_wherever_that_shows_first() -> None:
    acts = access(sink="row", ambient="B", owner="B", detail=OWN)
    step = StepRecord(
        index=0, entry="api", action="say", who="A", first_seq=0, last_seq=9, started=0, ended=1,
        forged=("tenant=tenant",),
    )  # fmt: skip
    assert attributed(item(), acts, steps=(step,)) == set()
    assert attributed(item(Cell(sink="context", entry="api")), acts, steps=(step,)) == {"forged-identity"}
