"""Calls found in the booted bot are made with one's own things and with the other's, and a leak behind an id shows."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from fixtures.twins import make_twins
from harness import catalogue, touring
from harness.arguments import Chooser, Parameter, Unmet
from harness.coverage import Coverage
from harness.judge import judge
from harness.offers import FILTERS, Call
from harness.plan import Plan, Step
from harness.pool import Outcome, Pool
from harness.principal import TwinSpec

TWINS = make_twins(TwinSpec())
SPEC = catalogue.target_spec("reference")


class Mood(enum.Enum):
    CALM = "calm"
    GLAD = "glad"


class Store:
    """A harvest of what each twin owns, written down."""

    OWNED = {"A": {"stream_id": ["a1", "a2", "both"], "count": [3]}, "B": {"stream_id": ["both", "b1"], "count": [4]}}

    def values(self, name: str, label: str, call: str = "", to: str | None = None) -> list[Any]:
        return self.OWNED[label].get(name.removesuffix("s"), [])

    def objects(self, kind: type, label: str) -> list[Any]:
        return []

    def lend(self, label: str, name: str, value: Any) -> None:
        """Nobody asks twice here."""


def choose(owner: str, pick: int, *parameters: Parameter, page: int = 1, only: str = "") -> tuple[dict[str, Any], bool]:
    chooser = Chooser(Store(), TWINS.a, owner, pick, ("tests",), 1000.0, page=page, only=only)  # type: ignore[arg-type]
    return chooser.arguments(parameters), chooser.crossed


def test_ids_come_from_whom_they_are_asked_of() -> None:
    stream = Parameter("stream_id", str, True)
    assert choose("A", 1, stream) == ({"stream_id": "a2"}, False)
    assert choose("B", 0, stream) == ({"stream_id": "b1"}, True), "what both have is no crossing"
    assert choose("B", 0, Parameter("stream_ids", list[str], True)) == ({"stream_ids": ["b1"]}, True)


def test_the_rest_comes_from_type_hints() -> None:
    made, crossed = choose(
        "B", 1, Parameter("limit", int, True), Parameter("end_time", float, True), Parameter("mood", Mood, True),
        Parameter("deep", bool, True), Parameter("data", dict, True), Parameter("note", str | None, False),
    )  # fmt: skip
    assert made == {"limit": 10, "end_time": 1000.0 + 86_400, "mood": Mood.GLAD, "deep": True, "data": {}}
    assert not crossed


def test_a_search_is_for_what_the_other_may_look_for_as_well() -> None:
    search, needed = Parameter("search", str | None, False), Parameter("query", str, True)
    assert TWINS.a.user == TWINS.b.user
    assert choose("A", 0, search) == ({}, False), "without one there is the whole list"
    assert choose("A", 1, search, needed) == ({"search": TWINS.a.user, "query": TWINS.a.user}, False)
    assert choose("A", 3, search) == ({"search": TWINS.a.chat}, False)
    assert choose("A", 1, Parameter("research_note", str | None, False)) == ({}, False)


def test_what_is_shown_in_parts_is_gone_on_with_one_by_one() -> None:
    paged = Parameter("page", int, False), Parameter("page_size", int, False)
    skipping = Parameter("limit", int, True), Parameter("skip", int | None, False)
    assert choose("A", 0, *paged) == ({}, False), "the first part is as large as the bot has it"
    assert choose("A", 0, *paged, page=2) == ({"page": 2, "page_size": 1}, False)
    assert choose("A", 0, *skipping, page=2) == ({"limit": 1, "skip": 1}, False)
    assert choose("A", 0, Parameter("page", str | None, False), page=2) == ({}, False), "a name of a page is no number"


def test_of_what_is_optional_one_is_given_alone() -> None:
    needed, stream = Parameter("stream_id", str, True), Parameter("stream_ids", list[str] | None, False)
    search, query = Parameter("search", str | None, False), Parameter("query", str | None, False)
    assert choose("A", 0, needed, search, stream, only="stream_ids") == (
        {"stream_id": "a1", "stream_ids": ["a1"]},
        False,
    )
    # A search that stands alone is for what all texts hold, those of the other as well.
    (made, crossed), letter = (
        choose("A", 0, needed, search, query, stream, only="search"),
        TWINS.a.secrets["message"][0],
    )
    assert (made, crossed) == ({"stream_id": "a1", "search": letter}, False)
    assert all(letter in who.secrets[slot] for who in (TWINS.a, TWINS.b) for slot in ("message", "reply", "memory"))


def test_what_can_be_given_alone_is_on_offer() -> None:
    def offered(*parameters: Parameter) -> Any:
        return Call("webui", "GET /x", parameters).action(("tests",)).payload.get("only")

    search, stream = Parameter("search", str | None, False), Parameter("stream_id", str | None, False)
    assert offered(stream, Parameter("limit", int, False), search) == ["", "", "", "search", "stream_id"]
    assert offered(search) == ["", "", "", "search"], "it is left out, or for an id, otherwise"
    assert offered(stream) is None, "it is given whenever it can be"
    assert offered(Parameter("stream_id", str, True), Parameter("user_id", str, False)) is None
    names = [Parameter(f"{name}_id", str, False) for name in ("a", "b", "c", "d")]
    assert len(offered(*names)) == 3 + FILTERS


def test_nothing_is_called_without_an_object_it_needs() -> None:
    with pytest.raises(Unmet, match="no Store of A is in memory"):
        choose("A", 0, Parameter("store", Store, True))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as booted:
        yield booted


def test_functions_and_routes_are_found(pool: Pool) -> None:
    calls = {(call.entry, call.name): call for call in pool.ready.calls}
    assert calls["plugin", "MessageStore.recent"].payload["ids"] == ["own", "other", "other"]
    assert calls["webui", "GET /history"].call
    assert "context" not in calls["webui", "GET /history"].payload
    assert 2 in calls["webui", "GET /history"].payload["page"] and "page" not in calls["webui", "GET /emoji"].payload
    assert not any(name.endswith(".forget") for _, name in calls), "the target asked to avoid it"
    assert ("plugin", "StreamManager._fetch") not in calls


def play(pool: Pool, *overlays: str, pick: int = 0) -> Outcome:
    steps = [Step(entry="api", action="mention", who=who, payload={"text": "{message}"}) for who in ("A", "B")]
    steps.append(Step(entry="world", action="advance", payload={"seconds": 5}, join=True))
    payload = {"pick": pick, "context": "own"}
    for ids in ("own", "other"):
        steps.append(
            Step(entry="plugin", action="MessageStore.recent", who="A", payload={**payload, "ids": ids}, join=True)
        )
    return pool.run(Plan(steps=tuple(steps), overlays=overlays))


def found(outcome: Outcome) -> set[tuple[str, str, str]]:
    assert outcome.trace is not None, outcome.detail
    facts = catalogue.make_target(catalogue.target_spec("reference"), None, None).facts()
    return {(f.rule, f.surface, f.entry) for f in judge(outcome.trace, facts)}


def test_another_tenants_id_is_refused_by_correct_code(pool: Pool) -> None:
    outcome = play(pool)
    assert outcome.trace is not None
    own, other = outcome.trace.steps[-2:]
    assert (own.outcome, own.crossed, other.outcome, other.crossed) == ("ok", False, "ok", True)
    assert any("message" in text for text in outcome.trace.observed["A"])
    assert found(outcome) == set()


def test_coverage_tells_own_calls_from_crossed_ones(pool: Pool) -> None:
    outcome, coverage = play(pool), Coverage()
    assert outcome.trace is not None
    coverage.add(outcome.trace)
    assert coverage.calls == {("plugin", "MessageStore.recent"): {"own": 1, "crossed": 1}}


def test_an_id_that_opens_another_tenants_rows_is_a_foreign_read(pool: Pool) -> None:
    assert ("foreign-read", "messages", "plugin") in found(play(pool, "messages-by-stream-alone"))


def test_the_tour_makes_every_call_own_and_crossed_by_both(pool: Pool) -> None:
    plans = touring.calls_tour([], pool.ready.calls)
    made = {(s.entry, s.action, s.who, s.payload["ids"]) for plan in plans for s in plan.steps if s.who}
    for call in pool.ready.calls:
        for who in ("A", "B"):
            for ids in set(call.payload["ids"]):
                assert (call.entry, call.name, who, ids) in made
    paged = {(s.action, s.who) for plan in plans for s in plan.steps if s.payload.get("page") == 2}
    assert paged == {(name, who) for name in ("GET /history", "MessageStore.latest") for who in ("A", "B")}


def test_what_takes_away_is_first_tried_on_the_others() -> None:
    taking = Call("plugin", "notes.delete", (Parameter("note_id", int, True),), holder=object(), attribute="delete")
    asking = msgspec.structs.replace(taking, name="notes.show", attribute="show")
    tries = {}
    for call in (taking, asking):
        (plan, _) = touring.calls_tour([], [call.action(("tests",))])
        tries[call.name] = [step.payload["ids"] for step in plan.steps if step.who == "A"]
    assert tries == {
        "notes.delete": ["other", "other", "own", "own", "own"], "notes.show": ["own", "own", "other", "other", "own"]
    }  # fmt: skip


def test_the_next_page_is_asked_for_after_the_other_had_looked(pool: Pool) -> None:
    steps = [
        Step(entry="api", action="mention", who="AAAB"[turn % 4], payload={"text": "{message}"}) for turn in range(12)
    ]
    steps.append(Step(entry="world", action="advance", payload={"seconds": 5}, join=True))
    for who, page in (("A", 1), ("B", 2)):
        payload = {"ids": "own", "pick": 0, "page": page, "context": "own"}
        steps.append(Step(entry="plugin", action="MessageStore.latest", who=who, payload=payload, join=True))
    plan = Plan(steps=tuple(steps))
    assert found(pool.run(plan)) == set()
    leaking = found(pool.run(Plan(steps=plan.steps, overlays=("next-page-of-whoever-looked",))))
    assert {(rule, entry) for rule, _, entry in leaking} == {("canary-flow", "plugin")}


def test_a_condition_that_one_filter_alone_leaves_open_shows_in_the_tour(pool: Pool) -> None:
    (plan,) = [
        plan for plan in touring.calls_tour(catalogue.make_target(SPEC, None, None).actions(), pool.ready.calls)
        if plan.twins.dimension == "T" and any(step.action == "Jargon.listed" for step in plan.steps)
    ]  # fmt: skip
    asked = {step.payload.get("only", "") for step in plan.steps if step.action == "Jargon.listed"}
    assert asked == {"", "search", "stream_id"}
    broken = msgspec.structs.replace(plan, overlays=("found-in-meanings-of-all",))
    assert ("foreign-read", "jargon", "plugin") in found(pool.run(broken))
    both = [step for step in broken.steps if not step.payload.get("only")]
    assert found(pool.run(msgspec.structs.replace(broken, steps=tuple(both)))) == set()
    assert found(pool.run(plan)) == set()
