"""Overlays test the harness: a fault counts as found only by the right rule, a fix must close its own leak only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from harness import sampling, touring
from harness.campaign import Campaign
from harness.plan import Plan
from harness.pool import Pool
from harness.profiles import Profile
from harness.record import OverlayRecord, RunRecord
from harness.target import Overlay
from tests.campaign_targets import LeakyTarget, SoundTarget
from tests.test_campaign_findings import RISKS

TRIED = Profile(plans=10, seconds=60, replays=1, overlays=True)


@pytest.fixture(scope="module")
def sound() -> Iterator[RunRecord]:
    with Pool("tests.campaign_targets:SoundTarget", jobs=2) as pool:
        yield Campaign(pool, SoundTarget(), RISKS, TRIED).run()


@pytest.fixture(scope="module")
def leaky() -> Iterator[RunRecord]:
    with Pool("tests.campaign_targets:LeakyTarget", jobs=2) as pool:
        yield Campaign(pool, LeakyTarget(), RISKS, TRIED).run()


def overlay(record: RunRecord, name: str) -> OverlayRecord:
    return next(made for made in record.soundness.overlays if made.name == name)


def test_a_fault_found_by_its_rule_is_killed(sound: RunRecord) -> None:
    made = overlay(sound, "last-text")
    assert (made.killed, made.right_rule) == (True, True)
    assert "stands in outbound wire" in made.detail
    assert Plan.from_json(made.witness).overlays == ("last-text",)


@pytest.mark.parametrize("name", ["misnamed", "misplaced"])
def test_a_fault_found_by_another_rule_or_elsewhere_counts_as_missed(sound: RunRecord, name: str) -> None:
    made = overlay(sound, name)
    assert (made.killed, made.right_rule) == (True, False)
    assert made.detail == "instead: canary-flow on wire"


def test_a_fault_that_shows_nothing_is_missed(sound: RunRecord) -> None:
    made = overlay(sound, "harmless")
    assert (made.killed, made.right_rule, made.detail) == (False, False, "nothing was found")


def test_kills_are_summed_up(sound: RunRecord) -> None:
    summed = sound.soundness
    assert (summed.faults, summed.killed, summed.right_rule) == (4, 3, 1)


def test_what_a_fault_leaks_is_no_finding_of_the_bot(sound: RunRecord) -> None:
    assert [f.rule for f in sound.findings] == ["demanded-absence"]


def test_items_name_the_faults_that_stand_for_them(sound: RunRecord) -> None:
    named = {item.id: item.overlays for item in sound.items}
    assert named == {"reply": ("last-text",), "legacy": (), "untried": ("harmless",)}
    assert {item.id: item.verdict for item in sound.items}["reply"] == "closed"


def test_a_missed_fault_keeps_its_item_open_to_doubt() -> None:
    class Doubtful(SoundTarget):
        def overlays(self) -> Sequence[Overlay]:
            return [made for made in super().overlays() if made.name == "harmless"]

    only = RISKS.select("reply")
    with Pool("tests.campaign_targets:SoundTarget", jobs=2) as pool:
        campaign = Campaign(pool, Doubtful(), only, TRIED)
        record = campaign.run()
        assert record.items[0].verdict == "closed"
        campaign.overlay_records[0] = _standing_for(campaign.overlay_records[0], "reply")
        doubted = campaign.record().items[0]
    assert doubted.verdict == "not_exercised" and "harmless" in doubted.why


def _standing_for(record: OverlayRecord, item: str) -> OverlayRecord:
    return msgspec.structs.replace(record, items=(item,))


@pytest.mark.parametrize("name", ["own-text", "own-config"])
def test_a_fix_closes_its_leak_and_nothing_else(leaky: RunRecord, name: str) -> None:
    made = overlay(leaky, name)
    assert (made.killed, made.right_rule, made.detail) == (True, True, "closes 1 of 1")


def test_a_fix_that_closes_too_much_is_told(leaky: RunRecord) -> None:
    made = overlay(leaky, "too-much")
    other = next(f.fingerprint for f in leaky.findings if f.rule == "default-fallback")
    assert (made.killed, made.right_rule) == (True, False)
    assert made.detail.startswith(f"closes 1 of 1; closes besides: {other} (")
    assert "write the narrow fix for it, and name that in `includes`" in made.detail


def test_a_fix_of_one_cause_may_close_what_it_names_besides(leaky: RunRecord) -> None:
    made = overlay(leaky, "both")
    assert (made.killed, made.right_rule, made.detail) == (True, True, "closes 2 of 2")


def test_a_fix_that_does_not_close_its_leak_is_told(leaky: RunRecord) -> None:
    made = overlay(leaky, "too-little")
    leak = next(f.fingerprint for f in leaky.findings if f.rule == "canary-flow")
    assert (made.killed, made.detail) == (False, f"closes 0 of 1; still there: {leak}")


def test_a_finding_is_confirmed_by_the_fixes_made_for_it_alone(leaky: RunRecord) -> None:
    confirmed = {finding.rule: finding.confirmed_by for finding in leaky.findings}
    assert confirmed == {"canary-flow": ("both", "own-text", "too-much"), "default-fallback": ("both", "own-config")}


def test_a_fix_without_a_finding_proves_nothing(leaky: RunRecord) -> None:
    made = overlay(leaky, "moot")
    assert (made.killed, made.right_rule, made.detail) == (False, False, "there is no finding for it to close")


def test_fixes_do_not_count_as_faults(leaky: RunRecord) -> None:
    assert (leaky.soundness.faults, leaky.soundness.killed) == (0, 0)
    assert len(leaky.soundness.overlays) == 6


def test_the_witness_of_a_kill_is_shrunk_when_asked_for() -> None:
    target = SoundTarget()
    with Pool("tests.campaign_targets:SoundTarget", jobs=2) as pool:
        campaign = Campaign(pool, target, RISKS, TRIED)
        campaign.try_overlays(touring.tour(list(target.actions())), "last-*", small=True)
    (made,) = campaign.overlay_records
    assert (made.name, made.steps, made.deviations) == ("last-text", 2, 0)


def test_trials_cut_short_are_a_sample_of_faults_and_controls() -> None:
    def some(kind: Any, count: int) -> list[Overlay]:
        return [Overlay(name=f"{kind} {n}", kind=kind, about="", rule="*", apply=lambda _: None) for n in range(count)]

    everything = [*some("fix", 3), *some("control", 4), *some("fault", 20)]
    order = sampling.ordered(everything)
    assert sampling.ordered(everything[::-1]) == order and {o.name for o in order} == {o.name for o in everything}
    early = [overlay.kind for overlay in order[:12]]
    assert early.count("fault") == 10 and early.count("control") == 2
    assert [overlay.kind for overlay in order[-3:]] == ["fix"] * 3
    assert [o.name for o in order if o.kind == "fault"] != [f"fault {n}" for n in range(20)], (
        "not all of one area first"
    )


def test_a_sample_has_so_many_of_every_kind_and_is_the_same_in_any_order() -> None:
    def some(kind: Any, count: int) -> list[Overlay]:
        return [Overlay(name=f"{kind} {n}", kind=kind, about="", rule="*", apply=lambda _: None) for n in range(count)]

    everything = [*some("fix", 9), *some("control", 4), *some("fault", 60)]
    few = sampling.sample(everything, {"fault": 40, "control": 6})
    assert [overlay.kind for overlay in few] == ["control"] * 4 + ["fault"] * 40
    assert {o.name for o in sampling.sample(everything[::-1], {"fault": 40, "control": 6})} == {o.name for o in few}
    assert sampling.sample(everything, None) == everything
    assert sum(sampling.SAMPLES["ci"].values()) - sampling.SAMPLES["ci"]["fix"] >= 40
