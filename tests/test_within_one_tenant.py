"""Twins of one tenant are judged where the bot's design, the place or a cell of the risk map keeps them apart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from harness import strategies, touring
from harness.finding import absorb
from harness.judge import judge
from harness.plan import Plan
from harness.principal import DIMENSION_FIELDS, MISSING, SHARED, STRANGER, Twins
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.target import Action
from harness.trace import Access, Mark
from harness.verdict import attribute
from tests.evidence_factory import FACTS, TWINS, access, trace

BOT = msgspec.structs.replace(FACTS, scoping=("tenant", "agent"), speaks={"chat": ("api",), "platform": ("api",)})
WRITTEN: dict[str, Any] = {"sink": "key", "op": "write", "surface": "bot.last", "key": "'x'"}
MET: dict[str, Any] = {**WRITTEN, "op": "read", "actor": "B", "lineage": "B.1"}


def within(dimension: str) -> Twins:
    """Twins that differ in that field alone."""
    field = DIMENSION_FIELDS[dimension]
    spec = msgspec.structs.replace(TWINS.spec, dimension=dimension)
    b = msgspec.structs.replace(TWINS.b, tenant=TWINS.a.tenant, **{field: f"other_{field}"})
    return Twins(spec=spec, a=TWINS.a, b=b)


def claiming(dimension: str, sink: str = "key", **fields: Any) -> RiskMap:
    cell = Cell(sink=sink, entry="api", dimension=dimension)
    item = RiskItem(
        id="store", group="g", generation="saas", module="m", cells=(cell,), defect="d", mitigation="m",
        places={"bot": (Pattern(sink=sink, **fields),)},
    )  # fmt: skip
    return RiskMap(items=(item,))


def rules(dimension: str, *accesses: Access, riskmap: RiskMap | None = None) -> list[str]:
    """Rules that fire on a trace of such twins; no access has a context of its own to tell them apart."""
    shared = [msgspec.structs.replace(a, ambient=SHARED) if a.ambient in "AB" else a for a in accesses]
    made = msgspec.structs.replace(trace(*shared), twins=within(dimension))
    return [rule for f in judge(made, BOT, riskmap.demands("bot") if riskmap else ()) for rule in f.rules]


def named(*shared: str, own: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"owned_by": "first-writer", "identity": {"shared": list(shared), "own": list(own)}}


def crossing(**fields: Any) -> list[Access]:
    """A keeps what was said to it in a cell, and B meets it."""
    return [access(**{**WRITTEN, "marks": "A", **fields}), access(**{**MET, "marks": "A", **fields})]


def test_a_context_of_the_common_tenant_is_neither_missing_nor_a_strangers() -> None:
    twins = within("A")
    assert twins.label_of({"tenant": twins.a.tenant}) == SHARED
    assert twins.label_of({"tenant": twins.a.tenant, "agent": "other_agent"}) == "B"
    assert twins.label_of({"tenant": twins.a.tenant, "agent": "third"}) == STRANGER
    assert twins.label_of({"tenant": None, "agent": None}) == MISSING
    assert TWINS.label_of({"agent": "agent"}) == MISSING
    owned = {"owned_by": "columns"}
    assert rules("A", access(owner="A", new_owner="A", op="write", detail=owned)) == []
    assert rules("A", access(owner="A", new_owner="A", op="write", ambient=MISSING, detail=owned)) == [
        "context-missing"
    ]


def test_two_agents_are_kept_apart_everywhere() -> None:
    assert "shared-key" in rules("A", *crossing(detail=named("user")))
    assert "shared-key" in rules("A", *crossing(surface="bot.anything", detail=named()))


def test_two_chats_share_what_no_cell_claims_and_no_key_shows() -> None:
    crossed = crossing(detail=named("user"))
    assert rules("C", *crossed) == []
    assert "shared-key" in rules("C", *crossed, riskmap=claiming("C", surface="bot.last"))
    assert rules("C", *crossed, riskmap=claiming("C", surface="bot.other")) == []
    assert rules("C", *crossed, riskmap=claiming("P", surface="bot.last")) == []
    elsewhere = [msgspec.structs.replace(a, entry="webui") for a in crossed]
    assert rules("C", *elsewhere, riskmap=claiming("C", surface="bot.last")) == []


@pytest.mark.parametrize(("slot", "fires"), [("message", True), ("name", False), ("prompt", False), ("sticker", False)])
def test_of_two_chats_only_what_was_said_is_a_chats_own(slot: str, fires: bool) -> None:
    crossed = [msgspec.structs.replace(a, marks=(Mark("A", slot),)) for a in crossing(detail=named())]
    assert bool(rules("C", *crossed, riskmap=claiming("C"))) is fires


def test_one_chat_id_on_two_platforms_is_two_chats() -> None:
    key = named("tenant", "agent", "chat")
    plain = [msgspec.structs.replace(a, marks=()) for a in crossing(detail=key)]
    assert rules("P", *plain) == ["shared-key"]
    by_platform = named("tenant", "agent", "chat", own=("platform:A",))
    assert rules("P", *[msgspec.structs.replace(a, detail=by_platform) for a in plain]) == []
    assert rules("C", *[msgspec.structs.replace(a, detail=named("tenant", "agent", "user")) for a in plain]) == []


def test_a_row_whose_columns_name_the_chat_shows_it() -> None:
    row: dict[str, Any] = {"surface": "streams", "op": "write", "owner": "A", "actor": "B", "lineage": "B.1"}
    assert rules("C", access(**row, detail={"owned_by": "columns"})) == ["foreign-write"]
    assert rules("C", access(**row, marks="A", detail={"owned_by": "first-writer"})) == []


def test_where_nobody_acts_as_one_chat_there_is_nothing_to_keep_apart() -> None:
    row: dict[str, Any] = {"surface": "streams", "op": "write", "owner": "A", "actor": "B", "lineage": "B.1"}
    assert rules("C", access(**row, entry="timer", detail={"owned_by": "columns"})) == []


def test_what_is_sent_to_another_chat_has_crossed() -> None:
    sent: dict[str, Any] = {"sink": "outbound", "op": "write", "surface": "api", "new_owner": "B"}
    assert rules("C", access(**sent, marks="A")) == ["canary-flow"]
    assert rules("C", access(**{**sent, "new_owner": None}, marks="B", detail={"named": True})) == []


def nested(inner: str) -> list[Access]:
    """{tenant: {agent: ...}}: both agents pass through the tenant's cell; `inner` is the key B meets inside."""
    outer = {**named("tenant"), "nests": "container"}
    shelf: dict[str, Any] = {"surface": "bot.last", "key": "'tenant_A'"}
    cell: dict[str, Any] = {"surface": "bot.last[]", "key": f"'tenant_A'/'{inner}'"}
    return [
        access(**{**WRITTEN, **shelf}, marks="A", detail=outer),
        access(**{**WRITTEN, **cell, "key": "'tenant_A'/'agent'"}, marks="A", detail=named("tenant")),
        access(**{**MET, **shelf}, owner="A", marks="A", detail=outer),
        access(**{**MET, **cell}, detail=named("tenant")),
    ]


def test_a_level_of_nested_containers_is_no_datum() -> None:
    assert rules("A", *nested("other_agent")) == []


def test_what_is_kept_directly_under_the_tenant_is() -> None:
    *_, passed, _ = nested("x")
    kept = msgspec.structs.replace(passed, detail=named("tenant"))
    assert "foreign-read" in rules("A", *nested("x")[:1], kept)


def test_a_shelf_that_is_not_watched_inside_is_judged_itself() -> None:
    made, _, passed, _ = nested("x")
    assert "foreign-read" in rules("A", made, passed)


def test_a_shelf_whose_keys_are_identities_again_needs_no_watching_inside() -> None:
    made, _, passed, _ = nested("x")
    level = msgspec.structs.replace(passed, detail={**named("tenant"), "nests": "levels"})
    assert rules("A", made, level) == []


def test_an_agent_may_look_through_its_chats_but_not_at_what_was_said() -> None:
    row: dict[str, Any] = {"surface": "streams", "owner": "A", "actor": "B", "detail": {"owned_by": "columns"}}
    assert rules("C", access(**row)) == []
    assert rules("C", access(**row, marks="A")) == ["foreign-read"]


def test_a_finding_among_twins_of_one_tenant_belongs_to_items_that_claim_the_dimension() -> None:
    made = msgspec.structs.replace(trace(*crossing(detail=named("user"), ambient=SHARED)), twins=within("A"))
    finding = judge(made, BOT)[0]
    assert attribute(finding, claiming("A"), "bot") == ("store",)
    assert attribute(finding, claiming("T"), "bot") == ()
    met = absorb(finding, msgspec.structs.replace(finding, dimension="TA"))
    assert attribute(met, claiming("T"), "bot") == ("store",)


ACTIONS = (
    Action(entry="api", name="text", payload={"text": "text"}),
    Action(entry="timer", name="tick", principal=False),
)


def test_plans_differ_within_a_tenant_as_cells_claim() -> None:
    assert strategies.ways(()) == strategies.DIMENSIONS
    ways = Counter(strategies.ways(("T", "A", "C", "P")))
    assert set(ways) == {"T", "TA", "A", "C", "P"}
    assert ways["T"] == max(ways.values()) and ways["T"] + ways["TA"] >= 2 * (ways["A"] + ways["C"] + ways["P"])
    drawn = Counter(p.twins.dimension for p in strategies.generate(ACTIONS, 120, 3, strategies.ways(("C",))))
    assert set(drawn) == {"T", "TA", "C"}


def test_the_tour_takes_claimed_dimensions_on_the_entries_that_claim_them() -> None:
    def toured(plans: list[Plan]) -> set[tuple[str, str]]:
        return {(plan.twins.dimension, step.entry) for plan in plans for step in plan.steps if step.entry == "timer"}

    assert {d for d, _ in toured(touring.tour(ACTIONS))} == {"T", "TA"}
    claimed = {"A": ("timer",), "C": ("api",)}
    plans = touring.tour(ACTIONS, claimed)
    assert toured(plans) == {("T", "timer"), ("TA", "timer"), ("A", "timer")}
    assert Counter(p.twins.dimension for p in plans)["C"] == 1
