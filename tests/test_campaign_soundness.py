"""A campaign that cannot be believed does not begin: a blind probe and an unsteady bot are refused, by name."""

from __future__ import annotations

import pytest

from harness.campaign import Campaign
from harness.errors import SoundnessError
from harness.pool import Pool
from harness.profiles import Profile
from harness.riskmap import RiskMap
from harness.soundness import PLANTED
from tests.campaign_targets import BlindTarget, SoundTarget, UnsteadyTarget
from tests.unsteady_targets import LateTarget

FEW = Profile(plans=1, seconds=30, replays=2, overlays=False)


def refused(target: SoundTarget) -> tuple[str, Campaign]:
    with Pool(f"tests.campaign_targets:{type(target).__name__}", jobs=1) as pool:
        campaign = Campaign(pool, target, RiskMap(items=()), FEW)
        with pytest.raises(SoundnessError) as caught:
            campaign.run()
    assert caught.value.status == 3
    assert campaign.played == 0, "no plan was played"
    return str(caught.value), campaign


def test_a_probe_that_misses_its_planted_access_is_named_with_the_cause() -> None:
    message, campaign = refused(BlindTarget())
    assert message.startswith("blind probe(s): prompt did not see")
    assert "no model here" in message
    assert campaign.probes == {sink: sink != "prompt" for sink in PLANTED}


def test_a_bot_that_does_not_repeat_itself_is_refused_with_the_place() -> None:
    message, _ = refused(UnsteadyTarget())
    assert "gave two different traces: the source is process number: " in message
    assert "getpid() at campaign_targets.py:" in message


def test_the_planted_run_must_end() -> None:
    with Pool("tests.campaign_targets:DyingTarget", jobs=1) as pool, pytest.raises(SoundnessError, match="did not end"):
        Campaign(pool, SoundTarget(), RiskMap(items=()), FEW).run()


def test_a_witness_whose_replays_differ_makes_the_run_unsound_and_says_why() -> None:
    with Pool("tests.unsteady_targets:LateTarget", jobs=1) as pool:
        record = Campaign(pool, LateTarget(), RiskMap(items=()), FEW).run()
    said = [error for error in record.errors if error.kind == "replay"]
    assert said and all(error.harness for error in said)
    assert "the source is clock: time.process_time_ns() at unsteady_targets.py:" in said[0].message
