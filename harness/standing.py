"""Which rows of the risk map the planted faults stand for, and which they cannot. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.riskmap import RiskMap
from harness.target import Facts, Overlay


def unshown(riskmap: RiskMap, facts: Facts, overlays: Sequence[Overlay]) -> dict[str, str]:
    """Ids of the rows of the bot's generation for which no fault stands, with the reason that the map gives for this
    bot (`RiskItem.notes`; empty: nobody has said why)."""
    shown = {item for overlay in overlays if overlay.kind == "fault" for item in overlay.items}
    return {
        item.id: item.notes.get(facts.name, "")
        for item in riskmap.items
        if item.generation == facts.generation and item.id not in shown
    }
