"""Controls, correct but odd behaviours, are tried as faults are; only silence where both twins were counts for one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from fixtures.overlays import reference
from fixtures.targets.reference import ReferenceTarget
from harness import catalogue, riskmap
from harness.campaign import Campaign
from harness.controls import measured, try_control
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.profiles import PROFILES
from harness.record import OverlayRecord
from harness.target import Overlay, Patcher

TARGET = ReferenceTarget()


class Ground(ReferenceTarget):
    """The reference bot, with controls that are none."""

    def overlays(self) -> tuple[Overlay, ...]:
        made = (
            Overlay(name="leaks", kind="control", about="", rule="shared-key", surface="messages", apply=_leaks),
            Overlay(name="nowhere", kind="control", about="", rule="shared-key", surface="nowhere", apply=_nothing),
        )
        return (*super().overlays(), *made)


def _leaks(patcher: Patcher) -> None:
    next(fault for fault in reference.FAULTS if fault.name == "rows-without-filter").apply(patcher)


def _nothing(patcher: Patcher) -> None:
    logging.getLogger("nowhere").debug("nothing is changed")


def both(*steps: tuple[str, str, dict[str, Any]]) -> Plan:
    made = [
        Step(entry=entry, action=action, who=who, payload=payload, gap=0.05)
        for entry, action, payload in steps
        for who in ("A", "B")
    ]
    return Plan(
        twins=TwinSpec(dimension="T"), steps=(*made, Step(entry="world", action="advance", payload={"seconds": 15}))
    )


PLANS = [
    both(
        ("world", "configure", {"chat.emoji_chance": 1.0}), ("api", "text", {"text": "{message}"}),
        ("api", "mention", {"text": "{message}"}), ("api", "picture", {"slot": "picture"}),
        ("api", "area", {"text": "/mood"}), ("api", "area", {"text": "/lookup the time"}),
        ("api", "area", {"text": "/remember"}), ("api", "mention", {"text": "again"}),
        ("api", "area", {"text": "/lookup the time"}), ("api", "mention", {"text": "and again"}),
        ("plugin", "command", {"text": "/note {plugin}"}), ("timer", "run", {"task": "statistics"}),
        ("timer", "run", {"task": "autosave"}), ("webui", "history", {"all": True}),
        ("api", "area", {"text": "/export"}), ("plugin", "command", {"text": "/last"}),
    )
]  # fmt: skip
"""One plan that goes through all that a control changes."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Campaign]:
    with Pool(f"{__name__}:Ground", jobs=1) as pool:
        target = Ground()
        profile = msgspec.structs.replace(PROFILES["quick"], plans=0)
        yield Campaign(pool, target, riskmap.load(target.risk_map()), profile)


def named(name: str) -> Overlay:
    return next(overlay for overlay in Ground().overlays() if overlay.name == name)


def test_there_are_at_least_twenty() -> None:
    assert len({control.name for control in reference.CONTROLS}) == len(reference.CONTROLS) >= 20
    assert {control.kind for control in reference.CONTROLS} == {"control"}


@pytest.mark.parametrize("control", reference.CONTROLS, ids=lambda control: control.name)
def test_nothing_is_said_of_a_control(ground: Campaign, control: Overlay) -> None:
    made = try_control(ground, control, PLANS)
    assert made.right_rule, made.detail
    assert made.killed, made.detail


def test_a_control_that_leaks_is_a_false_positive_with_its_plan(ground: Campaign) -> None:
    made = try_control(ground, named("leaks"), PLANS)
    assert made.killed and not made.right_rule
    assert made.detail.startswith("false positive: ") and made.witness
    assert measured([made]) == (1, 1)


def test_silence_where_nobody_came_counts_for_nothing(ground: Campaign) -> None:
    made = try_control(ground, named("nowhere"), PLANS)
    assert not made.killed and "neither came" in made.detail
    assert measured([made]) == (None, None)


def test_only_controls_are_counted() -> None:
    fault = OverlayRecord(name="f", kind="fault", rule="r", items=(), killed=True, right_rule=True)
    control = msgspec.structs.replace(fault, name="c", kind="control")
    assert measured([fault]) == (None, None)
    assert measured([fault, control]) == (1, 0)


def test_the_reference_bot_offers_them() -> None:
    assert catalogue.target_spec("reference")
    assert {control.name for control in reference.CONTROLS} <= {overlay.name for overlay in TARGET.overlays()}
