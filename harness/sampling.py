"""Which overlays are tried, and in which order: all, or a fixed sample of every kind spread over all areas. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from harness.target import Overlay

Shares = Mapping[str, int]

KINDS = ("fault", "control", "fix")

SAMPLES: Mapping[str, Shares] = {"ci": {"fault": 40, "control": 4, "fix": 6}}
"""How many overlays of each kind a profile tries at most; profiles that are not named try all."""


def ordered(overlays: Sequence[Overlay]) -> list[Overlay]:
    """Overlays in the order in which they are tried: faults first, since what a closed item rests on is that its fault
    was found, with the controls spread among them, then fixes. Where time ends the trials early, what was tried is the
    same sample over all areas every time."""
    kinds = _kinds(overlays)
    spread = [
        ((index + 1) / len(some), kind, overlay)
        for kind, some in kinds.items() if kind != "fix"
        for index, overlay in enumerate(some)
    ]  # fmt: skip
    return [overlay for *_, overlay in sorted(spread, key=lambda one: one[:2])] + kinds["fix"]


def sample(overlays: Sequence[Overlay], shares: Shares | None) -> list[Overlay]:
    """So many of each kind as `shares` says (None: all), by their names alone: the same for every seed."""
    if shares is None:
        return list(overlays)
    kept = {overlay.name for kind, some in _kinds(overlays).items() for overlay in some[: shares.get(kind, 0)]}
    return [overlay for overlay in overlays if overlay.name in kept]


def _kinds(overlays: Sequence[Overlay]) -> dict[str, list[Overlay]]:
    kinds: dict[str, list[Overlay]] = {"fault": [], "control": [], "fix": []}
    for overlay in overlays:
        kinds[overlay.kind].append(overlay)
    for some in kinds.values():
        some.sort(key=lambda overlay: hashlib.sha256(overlay.name.encode()).digest())
    return kinds
