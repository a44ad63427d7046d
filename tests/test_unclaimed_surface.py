"""A place that tenants reach and no risk item claims is listed, is no leak, and noise is not listed."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.targets.reference import ReferenceTarget
from harness import touring
from harness.campaign import Campaign
from harness.pool import Pool
from harness.profiles import Profile
from harness.riskmap import Cell, Pattern, RiskItem, load
from harness.surfaces import Surfaces, unclaimed
from harness.target import Facts, Shared
from harness.trace import Access
from tests.evidence_factory import FACTS, access, trace
from tests.unclaimed_target import RememberingTarget

SPEC = "tests.unclaimed_target:RememberingTarget"
SMALL = Profile(plans=0, seconds=120, replays=1, overlays=False)
PLANS = 24
"""Plans of the tour that reach a new cache."""


def item(sink: str = "key", **place: Any) -> RiskItem:
    return RiskItem(
        id="mine", group="g", generation="saas", module="m", cells=(Cell(sink=sink, entry="api"),), defect="d",
        mitigation="m", places={"bot": (Pattern(**place),)},
    )  # fmt: skip


def listed(*accesses: Access, items: tuple[RiskItem, ...] = (), facts: Facts = FACTS) -> list[str]:
    surfaces = Surfaces(facts)
    surfaces.add(trace(*accesses))
    return [place.surface for place in unclaimed(surfaces, items)]


def key(surface: str = "bot.cache", **fields: Any) -> Access:
    fields = {"op": "write", "detail": {"owned_by": "first-writer"}, **fields}
    return access(sink="key", surface=surface, **fields)


def test_a_cache_that_a_tenant_writes_is_listed_with_where_and_how_often() -> None:
    surfaces = Surfaces(FACTS)
    surfaces.add(trace(key(), key(actor="B", ambient="B", detail={"repeats": 3}, op="read", entry="timer")))
    (place,) = unclaimed(surfaces, ())
    assert (place.sink, place.surface, place.entries, place.accesses) == ("key", "bot.cache", ("api", "timer"), 5)
    assert (place.site.file, place.site.function, place.twins) == ("bot.py", "f", ("A", "B"))


def test_a_registry_that_tenants_only_read_is_no_tenant_surface() -> None:
    assert listed(key(op="read")) == []
    assert listed(key(op="read", marks="A")) == ["bot.cache"], "but a canary in it is"


def test_what_nobody_acts_in_what_is_shared_on_purpose_and_what_the_harness_planted_is_not_listed() -> None:
    assert listed(key(actor=None, ambient="-"), key(step=-2)) == []
    assert listed(key(actor=None, ambient="A")) == ["bot.cache"], "a timer that took a tenant's context acts for it"
    said = FACTS.__class__(
        name="bot", generation="saas", packages=(), shared=(Shared(sink="key", surface="bot.c*", reason="r"),)
    )
    assert listed(key(), facts=said) == []


def test_prompts_and_messages_are_no_places() -> None:
    assert listed(access(sink="prompt", op="write"), access(sink="outbound", op="write"), access(sink="log")) == []


def test_the_place_that_holds_both_twins_data_comes_first() -> None:
    met = [key(f"busy{n % 2}") for n in range(8)] + [
        key("one", marks="A"),
        key("two", marks="A"),
        key("two", marks="B"),
    ]
    assert listed(*met) == ["two", "one", "busy0", "busy1"]


@pytest.mark.parametrize(
    ("place", "claimed"),
    [
        ({"surface": "bot.c*"}, True),
        ({"surface": "bot.c*", "site": "api.py:handle"}, True),
        ({"surface": "bot.c*", "site": "api.py:other"}, False),
        ({"sink": "row", "surface": "bot.c*"}, False),
        ({"site": "bot.py:*"}, True),
        # The entry's handler stands in every stack: it would claim whatever is reached.
        ({"site": "api.py:handle"}, False),
    ],
)
def test_an_item_claims_what_it_names_or_the_code_that_touches_it(place: dict[str, str], claimed: bool) -> None:
    assert listed(key(), items=(item(**place),)) == ([] if claimed else ["bot.cache"])


def test_an_item_about_another_sink_claims_nothing_here() -> None:
    assert listed(key(), items=(item(sink="context", surface="bot.c*"),)) == ["bot.cache"]


def test_a_new_cache_is_told_and_the_run_stays_green() -> None:
    target = RememberingTarget()
    riskmap = load(target.risk_map())
    with Pool(SPEC, jobs=2) as pool:
        campaign = Campaign(pool, target, riskmap.select("chat-*"), SMALL, overlays=("outbox",))
        campaign.play(touring.tour([*target.actions(), *pool.ready.calls])[:PLANS])
        record = campaign.record()
    assert [(place.sink, place.surface) for place in record.unclaimed] == [
        ("key", "fixtures.reference_bot.housekeeping.housekeeping.outbox")
    ]
    assert record.findings == ()
    assert not [found for found in record.items if found.verdict == "open"]


def test_the_risk_map_claims_all_that_tenants_reach_in_the_reference_bot() -> None:
    target = ReferenceTarget()
    with Pool("fixtures.targets.reference:ReferenceTarget", jobs=2) as pool:
        record = Campaign(pool, target, load(target.risk_map()).select("chat-*"), SMALL).run()
    assert record.unclaimed == ()
