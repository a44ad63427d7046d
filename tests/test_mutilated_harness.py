"""A harness that lost a probe, a rule or a way in says so: exit status 3, or items left undecided. None closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import pytest

import harness.trials
from fixtures.targets.reference import ReferenceTarget
from harness import judge, pairs, riskmap, touring
from harness.campaign import Campaign
from harness.errors import SoundnessError
from harness.pairing import Pairing
from harness.pool import Pool
from harness.profiles import Profile
from harness.record import RunRecord
from harness.riskmap import RiskMap
from harness.rules import registry
from harness.rules.forged import RULE as FORGED
from harness.rules.interference import RULE as INTERFERENCE
from harness.soundness import OFFERED, PLANTED
from harness.target import states_of
from harness.trials import candidates
from tests import mutilated_targets

SPEC = "tests.mutilated_targets:{}"
TOUR = Profile(plans=0, seconds=3000, replays=1, overlays=False)
ENTRIES = ("api", "timer", "webui", "plugin", "start")

FAULTS = {
    "foreign-read": "emoji-one-list",
    "foreign-write": "autosave-of-all",
    "foreign-delete": "forget-everybody",
    "canary-flow": "reply-to-last-connection",
    "shared-key": "state-without-owner",
    "context-missing": "autosave-without-context",
    "context-mismatch": "key-of-last-caller",
    "default-fallback": "config-default-silent",
    "unscoped-constraint": "person-unique-for-all",
    "unscoped-statement": "flagged-of-all",
    "demanded-absence": "config-rewritten-at-boot",
    FORGED: "identity-from-payload",
    INTERFERENCE: "notes-counted-for-all",
}
"""For each rule a fault that it must find."""


def tenants_only() -> RiskMap:
    """Items of the reference bot that speak of tenants alone: twins need not differ in anything else."""
    whole = riskmap.load(ReferenceTarget().risk_map())
    return RiskMap(
        items=tuple(
            item for item in whole.items
            if item.places.get("reference") and all(cell.dimension == "T" for cell in item.cells)
        )
    )  # fmt: skip


def campaign(pool: Pool, map_: RiskMap) -> Campaign:
    return Campaign(pool, ReferenceTarget(), map_, TOUR)


def toured(pool: Pool) -> RunRecord:
    """What a part of the tour says of these items, played between tenants."""
    target, items = ReferenceTarget(), tenants_only()
    tour = touring.tour([*target.actions(), *pool.ready.calls])
    made = campaign(pool, items)
    made.play([plan for plan in tour if plan.twins.dimension == "T"][:TOURED])
    return made.record()


TOURED = 40
"""Plans of the tour that close items on each entry."""


@pytest.fixture(scope="module")
def whole() -> RunRecord:
    with Pool("fixtures.targets.reference:ReferenceTarget") as pool:
        return toured(pool)


def test_every_sink_of_a_probe_is_planted() -> None:
    assert {*PLANTED, *OFFERED} == {
        sink.removeprefix("DeafTo").lower() for sink in dir(mutilated_targets) if "To" in sink
    }


@pytest.mark.parametrize("sink", [*PLANTED, *OFFERED])
def test_a_blinded_probe_stops_the_run(sink: str) -> None:
    blind = pytest.raises(SoundnessError, match=rf"blind probe\(s\): {sink} did not see")
    with Pool(SPEC.format(f"DeafTo{sink.capitalize()}"), jobs=1) as pool, blind as caught:
        campaign(pool, RiskMap(items=())).run()
    assert caught.value.status == 3


def closed(record: RunRecord, entry: str) -> set[str]:
    """Items with a cell on the entry that this record closes."""
    return {i.id for i in record.items if i.verdict == "closed" and any(cell.entry == entry for cell in i.cells)}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_that_comes_to_nothing_closes_no_item(whole: RunRecord, entry: str) -> None:
    mine = closed(whole, entry)
    assert mine, "with the entry whole, some item closes by it"
    with Pool(SPEC.format(f"Lame{entry.capitalize()}")) as pool:
        verdicts = {item.id: item.verdict for item in toured(pool).items if item.id in mine}
    assert {name: verdict for name, verdict in verdicts.items() if verdict not in ("inert", "not_exercised")} == {}


@pytest.fixture(scope="module")
def trials() -> Iterator[Callable[[str, int], int]]:
    """After how many plans the harness finds a fault by the rule it names, of the first so many of the tour; 0 where it
    does not."""
    target = ReferenceTarget()
    everything = riskmap.load(target.risk_map())
    with Pool("fixtures.targets.reference:ReferenceTarget", jobs=1) as pool:
        actions = [*target.actions(), *pool.ready.calls]
        dimensions = everything.dimensions(target.facts().name, target.facts().generation)
        tour = touring.tour(actions, dimensions, target.facts().hostile, states_of(target))

        both_ways = Pairing.both_ways

        def found(name: str, within: int = 0) -> int:
            made = campaign(pool, everything)
            if name == FAULTS[INTERFERENCE]:
                made.play(tour[:PAIRED])  # a pair starts its steps when the plan alone did
            with pytest.MonkeyPatch.context() as patch:
                if within:
                    patch.setattr(harness.trials, "candidates", lambda *asked: islice(candidates(*asked), within))
                    patch.setattr(Pairing, "both_ways", lambda *asked: both_ways(*asked)[:within])
                    for rest in ("later", "_observed"):
                        patch.setattr(harness.trials, rest, lambda ground: iter(()))
                made.try_overlays(tour[:TRIED], name)
            (record,) = made.overlay_records
            return record.plans if record.killed and record.right_rule else 0

        yield found


TRIED = 60
"""Plans of the tour that a fault is tried on here."""

PAIRED = 12
"""The same where only pairs show it."""


def test_each_rule_has_a_fault() -> None:
    assert set(FAULTS) == {*registry(), INTERFERENCE}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_removed_rule_misses_its_fault(
    trials: Callable[..., int], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = trials(FAULTS[rule])
    assert needed, "the whole harness finds it"
    without(rule, monkeypatch)
    assert not trials(FAULTS[rule], needed)


def without(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the rule out of the harness."""
    left: Mapping[str, Any] = {name: run for name, run in registry().items() if name != rule}
    monkeypatch.setattr(judge, "registry", lambda: left)
    if rule == INTERFERENCE:
        monkeypatch.setattr(pairs.interference, "first_difference", lambda *runs: None)
    if rule == FORGED:
        monkeypatch.setattr(judge.forged, "fold", lambda found, evidence: list(found))
