"""What is asked of the figures of `isolation bench`, and whether they are so."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

ALWAYS = {
    "loop_hop_ratio": 1.25,
    "two_workers_ratio": 1.7,
    "steps_exponent": 1.0,
    "tenants_exponent": 1.0,
    "controller_growth_ratio": 1.1,
    "zygote_growth_ratio": 1.1,
}
"""Asked of the harness with any bot. What depends on the bot the target says (`harness.target.Budgeted`)."""

ROUNDING = 0.05
"""Fitted exponents above 1 by so much are linear still."""


class Asked(msgspec.Struct, frozen=True):
    """One figure held against what is asked: `measured` must not be above `limit`, or with `least` not below it.
    `measured` and `met` are None where the figure was not taken."""

    figure: str
    limit: float
    least: bool
    measured: float | None
    met: bool | None

    def line(self) -> str:
        """For people."""
        sense = "at least" if self.least else "at most"
        told = {True: "met", False: "missed", None: "not measured"}[self.met]
        value = "" if self.measured is None else f" {self.measured:g},"
        return f"{self.figure}:{value} asked {sense} {self.limit:g}: {told}"


def held_against(figures: Mapping[str, float], budget: Mapping[str, float]) -> list[Asked]:
    """Every limit with what was measured. Plans a second and the gain of a worker must reach theirs, all else stay
    below."""
    made = []
    for name, limit in {**ALWAYS, **budget}.items():
        least = name == "two_workers_ratio" or "plans_per" in name
        value = figures.get(name)
        slack = ROUNDING if name.endswith("_exponent") else 0.0
        met = None if value is None else value >= limit if least else value <= limit + slack
        made.append(Asked(name, limit, least, value, met))
    return made
