"""Twins whose bots bear one name and whose switches differ: what one twin's bot has of the other's settings is felt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.targets.maimbot_saas_tenants import overrides
from fixtures.targets.reference import ReferenceTarget
from fixtures.twins import make_twins
from harness import catalogue, riskmap
from harness.errors import UsageError
from harness.finding import Finding
from harness.hostile import plainer
from harness.judge import judge
from harness.pairing import SWITCHED, Pairing
from harness.pairs import VARIANTS, play, swapped, variant_of
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.principal import Principal, TwinSpec
from harness.shrink import shrink
from harness.strategies import generate
from harness.switched import EVERY, can_be, switching
from harness.touring import tour
from tests.evidence_factory import trace

TARGET = ReferenceTarget()
DEMANDS = riskmap.load(TARGET.risk_map()).demands("reference")
ACTIONS = TARGET.actions()
COMMANDS = [action for action in ACTIONS if action.name == "command"]
FAULT = next(fault for fault in TARGET.overlays() if fault.name == "switch-of-the-first")
DIFFERING = TwinSpec(settings="switched")

specs = st.builds(
    TwinSpec, dimension=st.sampled_from(["T", "TA", "A", "TC"]), seed=st.integers(0, 7), settings=st.just("switched")
)


def has(who: Principal, name: str = "chat.on") -> bool:
    return who.setting(name, True, False)


@given(specs, st.text(max_size=12))
def test_one_twin_has_the_usual_value_and_the_other_another(spec: TwinSpec, name: str) -> None:
    twins = make_twins(spec)
    assert has(twins.a, name) != has(twins.b, name)
    usual = make_twins(msgspec.structs.replace(spec, settings="marked"))
    assert has(usual.a, name) and has(usual.b, name)


def test_who_has_which_hangs_on_the_setting_and_on_the_seed() -> None:
    names = [f"section.{number}" for number in range(40)]
    assert {has(make_twins(DIFFERING).a, name) for name in names} == {True, False}
    seeds = [make_twins(TwinSpec(seed=seed, settings="switched")) for seed in range(8)]
    assert {has(twins.a) for twins in seeds} == {True, False}


@given(specs)
def test_only_settings_and_names_are_other_than_usual(spec: TwinSpec) -> None:
    twins, usual = make_twins(spec), make_twins(msgspec.structs.replace(spec, settings="marked"))
    for mine, theirs in ((twins.a, usual.a), (twins.b, usual.b)):
        assert msgspec.structs.replace(mine, turned="") == theirs
        assert mine.marked("Momo", "config.agent") == "Momo"
        assert theirs.marked("Momo", "config.agent") == "Momo" + theirs.secrets["config.agent"]


@given(specs)
def test_in_every_run_of_a_pair_the_one_who_observes_has_the_same_settings(spec: TwinSpec) -> None:
    plan = Plan(twins=spec)
    for way in (plan, swapped(plan)):
        beside = make_twins(way.twins)
        runs = {variant: make_twins(variant_of(way, variant).twins) for variant in VARIANTS}
        assert all(run.a == beside.a for run in runs.values())
        assert has(runs["alone"].b) == has(beside.b) != has(runs["others"].b), "B's are the other way"


def test_two_chats_of_one_agent_cannot_differ_in_its_settings() -> None:
    for dimension in ("C", "P", "CP"):
        with pytest.raises(UsageError, match="settings that differ need twins with two agents"):
            make_twins(TwinSpec(dimension=dimension, settings="switched"))
        assert not can_be(TwinSpec(dimension=dimension))


def test_a_witness_of_before_still_reads_and_a_new_one_comes_back() -> None:
    old = msgspec.to_builtins(Plan(twins=TwinSpec(seed=3)))
    del old["twins"]["settings"]
    assert Plan.from_json(json.dumps(old)) == Plan(twins=TwinSpec(seed=3))
    assert Plan.from_json(Plan(twins=DIFFERING).to_json()).twins == DIFFERING


def test_a_witness_shrinks_to_usual_settings_where_those_show_it_too() -> None:
    assert next(plainer(DIFFERING)) == TwinSpec()
    plan = Plan(twins=DIFFERING, steps=(Step(entry="api", action="text", who="A"),))
    small, _ = shrink(plan, lambda tried: [True] * len(tried))
    assert small.twins == TwinSpec()
    kept, _ = shrink(
        plan, lambda tried: [has(twins.a) != has(twins.b) for twins in (make_twins(p.twins) for p in tried)]
    )
    assert kept.twins.settings == "switched"


def test_the_tour_takes_every_action_of_a_principal_once_where_the_target_writes_such_settings() -> None:
    plain, more = tour(ACTIONS), tour(ACTIONS, switches=True)
    added = [plan for plan in more if plan.twins.settings == "switched"]
    assert [plan for plan in more if plan not in added] == plain
    assert 0 < len(added) <= 0.03 * len(plain)
    done = {(step.entry, step.action) for plan in added for step in plan.steps if step.who}
    sent = {(a.entry, a.name) for a in ACTIONS if a.principal and a.entry != "world"}
    assert done < sent and not {name for _, name in sent - done} - {"unknown_key", "revoked", "bare", "stranger"}
    assert {plan.twins.dimension for plan in added} == {"T", "TA"}


def test_each_twin_comes_first_with_some_of_it() -> None:
    for plan in switching(ACTIONS):
        first: dict[tuple[str, str], str | None] = {}
        for step in plan.steps:
            if step.who:
                first.setdefault((step.entry, step.action), step.who)
        assert set(first.values()) == {"A", "B"}


def test_some_drawn_plans_have_such_twins_and_the_others_are_drawn_as_before() -> None:
    plain, drawn = (generate(COMMANDS, 84, 5, switches=switches) for switches in (False, True))
    turned = [index for index, plan in enumerate(drawn) if plan.twins.settings == "switched"]
    assert 0.5 <= len(turned) * EVERY / len(drawn) <= 1
    assert not any(plan.twins.settings == "switched" for plan in plain)
    for mine, theirs in zip(plain, drawn, strict=True):
        usual = msgspec.structs.replace(theirs.twins, settings="marked")
        assert msgspec.structs.replace(theirs, twins=usual) == mine


def test_one_pair_in_so_many_is_of_such_a_plan() -> None:
    steps = tuple(Step(entry="api", action="text", who=who) for who in ("A", "B"))
    pairing = Pairing(("tenant",))
    for seed in range(40):
        for clean in (True, False):
            spec = TwinSpec(seed=seed, settings="switched" if seed % 20 == 19 else "marked")
            pairing.add(Plan(seed=seed + 100 * clean, twins=spec, steps=steps), trace(), clean=clean)
    for chosen in (pairing.chosen(2 * SWITCHED), pairing.leaky(2 * SWITCHED)):
        assert len(chosen) == 2 * SWITCHED
        assert [plan.twins.settings for plan in chosen].count("switched") == 2


def test_a_maimbot_is_given_them() -> None:
    twins = make_twins(DIFFERING)
    mine, theirs = overrides(twins.a), overrides(twins.b)
    assert mine["bot_overrides"] == theirs["bot_overrides"]
    assert mine["personality"] != theirs["personality"]
    for table, name in (("chat", "mentioned_bot_reply"), ("emoji", "steal_emoji"), ("mood", "enable_mood")):
        assert mine[table][name] is not theirs[table][name]
    usual = make_twins(TwinSpec())
    assert overrides(usual.a)["bot_overrides"] != overrides(usual.b)["bot_overrides"]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as made:
        yield made


def felt(pool: Pool, plans: Sequence[Plan], *overlays: str) -> list[Finding]:
    """What the plans show by themselves and as pairs, with either twin observing, at the times of the plain bot."""
    judging = lambda run: judge(run, TARGET.facts(), DEMANDS)  # noqa: E731
    found: list[Finding] = []
    pairing = Pairing(TARGET.facts().scoping)
    for outcome in pool.map(plans):
        assert outcome.trace is not None, outcome.detail
        found += judging(outcome.trace)
        pairing.add(outcome.plan, outcome.trace, clean=True)
    ways = [msgspec.structs.replace(way, overlays=overlays) for way in pairing.both_ways(plans)]
    for made in play(pool, ways, TARGET.facts(), judging, variants=VARIANTS):
        assert all(pair.result != "lost" for pair in made)
        found += [pair.finding for pair in made if pair.finding is not None]
    return found


def test_a_switch_kept_from_whoever_came_first_is_felt(pool: Pool) -> None:
    found = felt(pool, switching(COMMANDS), FAULT.name)
    assert found and all(finding.rule == FAULT.rule for finding in found)
    assert felt(pool, switching(COMMANDS)) == []


def test_equal_settings_do_not_show_it(pool: Pool) -> None:
    usual = [
        msgspec.structs.replace(p, twins=msgspec.structs.replace(p.twins, settings="marked"))
        for p in switching(COMMANDS)
    ]
    assert felt(pool, usual, FAULT.name) == []
