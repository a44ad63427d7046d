"""How much a campaign does, and where one stands."""

from __future__ import annotations

import math

import msgspec

PAIRING = 0.15
"""Share of a campaign's time that is kept for pairs, where it plays any."""


class Profile(msgspec.Struct, frozen=True):
    """How much a campaign does. `plans` are generated ones, beside the tour; `seconds` is wall time after which no
    further plan is started; `replays` per witness; `overlays` whether faults and fixes are tried as well; `confirming`
    is wall time for making witnesses small, `trying` for overlays (those that come too late are named as not tried).
    `pairs` is how many plans are played as pairs, for which plans leave `PAIRING` of the time."""

    plans: int
    seconds: float
    replays: int
    overlays: bool
    confirming: float = 60
    trying: float = 3600
    pairs: int = 0


PROFILES = {
    "quick": Profile(plans=150, seconds=60, replays=3, overlays=False, pairs=10),
    "ci": Profile(plans=1200, seconds=170, replays=10, overlays=True, confirming=100, trying=200, pairs=30),
    "nightly": Profile(plans=12000, seconds=1100, replays=10, overlays=True, confirming=450, trying=1800, pairs=600),
}


class Times(msgspec.Struct, frozen=True):
    """Seconds of a campaign: until when plans (and pairs) are started, for making witnesses small, for overlays, and
    until when it all ends."""

    plans: float
    confirming: float
    trying: float
    end: float


def shared_out(profile: Profile, seconds: float | None) -> Times:
    """The profile's times; those of a campaign that is to end after `seconds` where that is given."""
    if seconds is None:
        return Times(profile.seconds, profile.confirming, profile.trying, math.inf)
    plans, confirming = (0.5, 0.2) if profile.overlays else (0.65, 0.35)
    return Times(seconds * plans, seconds * confirming, seconds * (1 - plans - confirming), seconds)


class Progress(msgspec.Struct):
    """Where a campaign stands; handed to the `report` callback after every plan."""

    phase: str = "boot"
    plans: int = 0
    total: int = 0
    steps: int = 0
    findings: int = 0
    seconds_left: float = 0.0
