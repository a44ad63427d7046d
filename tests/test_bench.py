"""The bench's exponents are those of the costs it is given, and its figures are held against what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.asked import held_against
from harness.growth import exponent

SIZES = (10, 30, 100, 300, 1000)


@given(st.floats(0.2, 3.0), st.floats(0.01, 1000.0))
def test_a_power_is_found_whatever_its_factor(power: float, factor: float) -> None:
    assert exponent([(size, factor * size**power) for size in SIZES]) == pytest.approx(power, abs=1e-6)


def test_a_cost_of_nothing_is_left_out() -> None:
    assert exponent([(1, -0.5), *((size, 2.0 * size) for size in SIZES)]) == pytest.approx(1.0)


def test_each_figure_is_held_against_what_is_asked_of_it() -> None:
    budget = {"drawn_overhead_ratio": 1.6, "drawn_plans_per_cpu_second": 25.0}
    figures = {"loop_hop_ratio": 1.3, "drawn_overhead_ratio": 1.5, "drawn_plans_per_cpu_second": 24.9}
    told = {one.figure: one for one in held_against(figures, budget)}
    assert told["loop_hop_ratio"].met is False
    assert told["drawn_overhead_ratio"].met is True
    assert told["drawn_plans_per_cpu_second"].met is False
    assert told["two_workers_ratio"].met is None
    assert "asked at least 25: missed" in told["drawn_plans_per_cpu_second"].line()
    assert held_against({"two_workers_ratio": 1.8}, {})[1].met is True
