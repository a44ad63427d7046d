"""The bench's exponents are those of the costs it is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench import exponent

SIZES = (10, 30, 100, 300, 1000)


@given(st.floats(0.2, 3.0), st.floats(0.01, 1000.0))
def test_a_power_is_found_whatever_its_factor(power: float, factor: float) -> None:
    assert exponent([(size, factor * size**power) for size in SIZES]) == pytest.approx(power, abs=1e-6)


def test_a_cost_of_nothing_is_left_out() -> None:
    assert exponent([(1, -0.5), *((size, 2.0 * size) for size in SIZES)]) == pytest.approx(1.0)
