"""What one had when a run began and has no more: files by their path, rows by what stands in them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.holdings import Holding, digest, missing


def row(key: int, text: str) -> Holding:
    return Holding("row", "messages", str(key), text)


def file(name: str, text: str) -> Holding:
    return Holding("file", name, name, text)


def test_the_number_of_a_row_that_is_gone_may_be_another_s() -> None:
    assert missing([row(1, "old"), row(2, "kept")], [row(1, "new"), row(2, "kept")]) == (row(1, "old"),)


def test_a_row_that_was_laid_anew_is_not_missing() -> None:
    assert missing([row(1, "x"), row(2, "y")], [row(8, "y"), row(9, "x")]) == ()


def test_of_equal_rows_the_one_that_went_is_missing() -> None:
    assert missing([row(1, "x"), row(2, "x")], [row(2, "x")]) == (row(1, "x"),)
    assert missing([row(1, "x"), row(2, "x")], [row(1, "x")]) == (row(2, "x"),)


def test_a_file_that_was_written_anew_is_not_missing() -> None:
    assert missing([file("a.txt", "x"), file("b.txt", "y")], [file("a.txt", "z")]) == (file("b.txt", "y"),)


HELD = st.lists(st.builds(row, st.integers(1, 4), st.sampled_from("xy")), max_size=4, unique_by=lambda one: one.key)


@given(HELD, HELD)
def test_as_many_are_missing_as_of_each_kind_of_row_there_are_fewer(
    before: list[Holding], after: list[Holding]
) -> None:
    gone = missing(before, after)
    assert set(gone) <= set(before)
    fewer = Counter(one.text for one in before) - Counter(one.text for one in after)
    assert Counter(one.text for one in gone) == fewer


def test_what_was_laid_is_the_same_whatever_numbers_the_rows_got() -> None:
    assert digest([row(1, "x"), row(2, "y")]) == digest([row(8, "y"), row(9, "x")])
    assert digest([row(1, "x")]) != digest([row(1, "x"), row(2, "x")]) != digest([row(1, "x"), row(2, "y")])
    assert digest([]) == ""
