"""Twins whose ids are easily taken for one: made from data, told apart where they can be, shrunk as far as it goes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.targets.reference import ReferenceTarget
from fixtures.twins import Shapes, make_twins
from harness.errors import UsageError
from harness.hostile import FAMILIES, fields, plainer, spec_of
from harness.impostors import colliding, specs
from harness.judge import judge
from harness.naming import Names
from harness.plan import Plan, Step
from harness.principal import DIMENSION_FIELDS, Principal, TwinSpec
from harness.probes._text import Identities, key_text
from harness.probes.paths import pattern_of
from harness.shrink import shrink
from harness.strategies import generate
from harness.touring import tour
from tests.evidence_factory import FACTS, access, trace

CARELESS: dict[str, Callable[[Principal, str], str]] = {
    "join": lambda who, part: part.join((who.tenant, who.agent)),
    "prefix": lambda who, part: who.tenant.rstrip(part),
    "path": lambda who, part: re.sub(r"[^a-zA-Z0-9]", "_", who.tenant),
    "case": lambda who, part: who.tenant.lower(),
    "unicode": lambda who, part: unicodedata.normalize("NFKD", who.tenant),
    "traversal": lambda who, part: who.tenant.removeprefix(part),
    "dots": lambda who, part: re.sub(r"/\./|^\./|/\.$", "", f"{who.tenant}/{who.agent}"),
    "blank": lambda who, part: who.tenant.strip("\u200b \t\u3000\u00a0"),
    "empty": lambda who, part: who.chat + who.user,
    "length": lambda who, part: who.tenant[: min(int(part or 0), 254)],
    "credential": lambda who, part: who.credential[: len("key_") + int(part)],
}
"""What a bot does that takes the two for one, by family. The second argument is the part that is no stem."""


@given(specs(tuple(FAMILIES), 4))
def test_ids_differ_and_a_careless_bot_takes_them_for_one(spec: TwinSpec) -> None:
    twins = make_twins(spec)
    kinds = FAMILIES[spec.hostile].parts
    part = next((text for text, kind in zip(spec.parts, kinds, strict=True) if kind), "")
    careless = CARELESS[spec.hostile]
    assert careless(twins.a, part) == careless(twins.b, part)
    under_test = {DIMENSION_FIELDS[letter] for letter in spec.dimension}
    assert {f for f in ("tenant", "agent", "chat", "user") if getattr(twins.a, f) != getattr(twins.b, f)} == under_test
    assert twins.label_of(dict(twins.a.identity())) == "A" and twins.label_of(dict(twins.b.identity())) == "B"


@given(specs(tuple(FAMILIES), 4))
def test_hostile_twins_go_to_json_and_back_and_keep_the_secrets_of_ordinary_ones(spec: TwinSpec) -> None:
    assert msgspec.json.decode(msgspec.json.encode(spec), type=TwinSpec) == spec
    plain = msgspec.structs.replace(spec, hostile="", parts=())
    assert make_twins(spec).a.secrets == make_twins(plain).a.secrets


@given(specs(tuple(FAMILIES), 4))
def test_a_key_that_holds_one_id_never_names_the_other(spec: TwinSpec) -> None:
    twins = make_twins(spec)
    names = Names(twins)
    for who in (twins.a, twins.b):
        pair = (who.tenant, who.agent)
        escaped = (repr(pair), json.dumps(pair), json.dumps(pair, ensure_ascii=False), (repr(pair), "part"))
        for key in (who.tenant, pair, f"{who.tenant}::{who.agent}", *escaped):
            owner = names.owner(key_text(key))
            wrong = [f for f, value in (owner or {}).items() if value != getattr(who, f)]
            joined = spec.hostile in ("join", "dots") and isinstance(key, str) and key != who.tenant
            assert joined or not wrong, (key, owner)


def test_a_witness_of_before_still_reads() -> None:
    old = b'{"dimension":"TA","pictures":"marked","locale":"zh_CN","seed":3}'
    assert msgspec.json.decode(old, type=TwinSpec) == TwinSpec(dimension="TA", pictures="marked", seed=3)


def test_no_id_is_longer_than_the_bot_takes() -> None:
    twins = make_twins(spec_of("length", 0, ("k1", "191")), shapes=Shapes(longest=50))
    assert len(twins.a.tenant) == len(twins.b.tenant) == 50
    assert twins.a.tenant[:-1] == twins.b.tenant[:-1] and twins.a.tenant != twins.b.tenant


@pytest.mark.parametrize(
    "spec",
    [
        TwinSpec(hostile="nonsense"),
        TwinSpec(hostile="case", parts=()),
        TwinSpec(hostile="case", parts=("",)),
        TwinSpec(dimension="T", hostile="join", parts=("_", "a", "b", "c")),
    ],
)
def test_what_cannot_be_made_says_so(spec: TwinSpec) -> None:
    with pytest.raises(UsageError):
        fields(spec)


def names(family: str, *parts: str) -> Names:
    return Names(make_twins(spec_of(family, 0, parts)))


def test_an_id_without_letters_counts_where_it_is_a_part_by_itself() -> None:
    dots = names("dots", "q")
    assert dots.labels(r"Pattern(^/diary\s+(?P<text>.+)$)") == {}
    assert dots.labels("see you.") == {}
    for key in ("('.', 'q')", ".:q", "./q", "a/./q", ". q"):
        assert dots.labels(key) == {"tenant": {"A", "B"}, "agent": {"A", "B"}}, key


def test_the_beginning_of_an_id_is_not_the_id() -> None:
    prefix = names("prefix", "t1", "0")
    assert prefix.owner("cache:t1") == {"tenant": "t1"}
    assert prefix.owner("cache:t10") == {"tenant": "t10"}
    assert prefix.owner("cache:t100") is None


def test_the_longer_id_is_meant_where_one_holds_the_other() -> None:
    joined = names("join", "_", "a", "b", "c")
    assert joined.owner("('a_b', 'c')") == {"tenant": "a_b", "agent": "c"}
    assert joined.owner("('a', 'b_c')") == {"tenant": "a", "agent": "b_c"}
    assert joined.owner("a_b_c") is None, "it reads the same for both"


def test_a_key_in_which_ids_are_joined_is_a_shared_key_and_one_that_keeps_them_apart_is_not() -> None:
    twins = make_twins(spec_of("join", 0, ("_", "a", "b", "c")))

    def found(mine: str, theirs: str) -> list[str]:
        cells = [
            access(
                sink="key", op="write", surface="cache", key=key, actor=label, ambient=label,
                detail={"owned_by": "first-writer", "identity": Identities(twins).of(key)},
            )
            for label, key in (("A", mine), ("B", theirs))
        ]  # fmt: skip
        return [finding.rule for finding in judge(msgspec.structs.replace(trace(*cells), twins=twins), FACTS)]

    assert found("a_b_c", "a_b_c") == ["shared-key"]
    assert found("a_b:c", "a:b_c") == []


@given(specs(("path", "blank", "join", "traversal", "unicode"), 2))
def test_a_path_has_one_pattern_however_an_id_is_spelled_in_it(spec: TwinSpec) -> None:
    twins = make_twins(spec)
    spelled = {re.sub(r"[^a-zA-Z0-9_.-]", "_", who.tenant) for who in (twins.a, twins.b)}
    assert {pattern_of(f"data/{folder}/x.png", twins) for folder in spelled} == {"data/{id}/*.png"}


def test_generated_plans_hold_hostile_twins_now_and_then_and_only_those_admitted() -> None:
    action = ReferenceTarget().actions()[0]
    drawn = [plan.twins.hostile for plan in generate([action], 120, 1, hostile=("case", "join"))]
    assert {"", "case", "join"} == set(drawn)
    assert drawn.count("") > 80
    assert not any(plan.twins.hostile for plan in generate([action], 30, 1))


def test_the_tour_takes_each_family_with_every_action() -> None:
    actions = ReferenceTarget().actions()
    plans = [plan for plan in tour(actions, hostile=("case", "path")) if plan.twins.hostile]
    for family in ("case", "path"):
        done = {(s.entry, s.action) for plan in plans if plan.twins.hostile == family for s in plan.steps if s.who}
        assert done == {(action.entry, action.name) for action in actions if action.principal}
    assert colliding(actions, ()) == []


@given(specs(("join", "path", "length"), 3).filter(lambda spec: spec.hostile == "join"))
def test_a_witness_shrinks_to_the_shortest_ids_that_still_collide(spec: TwinSpec) -> None:
    plan = Plan(twins=spec, steps=(Step(entry="api", action="text", who="A"),))

    def shows(tried: Sequence[Plan]) -> list[bool]:
        def one(tried: Plan) -> bool:
            twins = make_twins(tried.twins)
            return f"{twins.a.tenant}_{twins.a.agent}" == f"{twins.b.tenant}_{twins.b.agent}"

        return [one(p) for p in tried]

    small, _ = shrink(plan, shows, budget=400)
    if spec.parts[0] == "_":
        assert small.twins.hostile == "join"
        assert [len(part) for part in small.twins.parts] == [1, 1, 1, 1]


@given(specs(tuple(FAMILIES), 4))
def test_every_plainer_pair_can_be_made(spec: TwinSpec) -> None:
    for simpler in plainer(spec):
        make_twins(simpler)
    assert next(plainer(spec)).hostile == ""


def test_ordinary_twins_have_nothing_plainer() -> None:
    assert list(plainer(TwinSpec())) == []


@given(st.text(max_size=40))
def test_names_never_finds_both_owners_of_one_place(text: str) -> None:
    found = names("join", "_", "a", "b", "c").owner(text)
    assert (
        found is None
        or set(found.items()) <= {("tenant", "a_b"), ("agent", "c")}
        or set(found.items())
        <= {
            ("tenant", "a"),
            ("agent", "b_c"),
        }
    )


def test_every_mark_of_a_family_is_tried_where_somebody_can_act() -> None:
    actions = ReferenceTarget().actions()
    marks = {plan.twins.parts[0] for plan in colliding(actions, ["join"])}
    assert marks == set(FAMILIES["join"].parts[0])
    assert colliding([action for action in actions if not action.principal], ["join"]) == []
