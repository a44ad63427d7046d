"""Coverage counts what was reached, by whom, and whether the feature worked for its owner there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from harness.coverage import Coverage
from harness.trace import Access, StepRecord
from tests.evidence_factory import access, trace


def covered(*accesses: Access, **fields: Any) -> Coverage:
    made = Coverage()
    made.add(trace(*accesses, **fields))
    return made


def held(**fields: Any) -> bool:
    (reach,) = covered(access(**fields)).counts
    return reach.held


def twin(**fields: Any) -> str:
    (reach,) = covered(access(**fields)).counts
    return reach.twin


def test_equal_accesses_are_one_kind_with_a_count() -> None:
    made = covered(access(key="1"), access(key="2"), access(actor="B", ambient="B"))
    assert sorted(made.counts.values()) == [1, 2]
    assert {reach.stack for reach in made.counts} == {("bot.py:f", "api.py:handle")}


def test_repeats_of_a_read_count() -> None:
    assert list(covered(access(detail={"repeats": 4})).counts.values()) == [5]


def test_planted_accesses_of_the_harness_do_not_count() -> None:
    assert covered(access(step=-2)).counts == {}


@pytest.mark.parametrize("sink", ["row", "key", "file"])
def test_own_data_read_back_holds(sink: str) -> None:
    assert held(sink=sink, owner="A")
    assert not held(sink=sink, owner=None)
    assert not held(sink=sink, owner="B")
    assert not held(sink=sink, owner=None, marks="A"), "a canary in data of nobody is no proof of the feature"


@pytest.mark.parametrize("op", ["write", "rebind"])
def test_a_write_holds_when_what_it_leaves_is_the_writer_s(op: str) -> None:
    assert held(op=op, owner=None, new_owner="A")
    assert not held(op=op, owner="A", new_owner=None)
    assert not held(op=op, owner="A", new_owner="B")


def test_a_delete_holds_when_what_went_was_the_actor_s() -> None:
    assert held(op="delete", owner="A")
    assert not held(op="delete", owner="B", new_owner="A")


@pytest.mark.parametrize("sink", ["config", "prompt", "outbound"])
def test_elsewhere_the_own_canary_must_be_there(sink: str) -> None:
    assert held(sink=sink, marks="A")
    assert not held(sink=sink, marks="B")
    assert not held(sink=sink, owner="A", new_owner="A")


def test_a_failed_access_never_holds() -> None:
    assert not held(op="error", owner="A", marks="A")
    assert not held(sink="prompt", op="error", marks="A")


def test_an_access_speaks_for_its_actor_else_its_context_else_the_owner() -> None:
    assert twin(actor="A", ambient="B", owner="B") == "A"
    assert twin(actor=None, ambient="B", owner="A") == "B"
    assert twin(actor=None, ambient="-", owner="A", new_owner="B") == "A"
    assert twin(actor=None, ambient="?", owner=None, new_owner="B") == "B"
    assert twin(actor=None, ambient="-") == ""


def test_nobody_s_access_never_holds() -> None:
    assert not held(actor=None, ambient="-")


def test_matrix_sums_by_sink_entry_and_dimension() -> None:
    made = covered(access(), access(surface="people"), access(entry="timer"), access(sink="key"))
    matrix = made.matrix([("row", "api", ("A", "T")), ("row", "api", ("T",)), ("file", "api", ("T",))])
    assert [(c.sink, c.entry, c.accesses, c.findings) for c in matrix] == [
        ("file", "api", 0, 1),
        ("key", "api", 1, 0),
        ("row", "api", 2, 2),
        ("row", "timer", 1, 0),
    ]
    assert [(c.accesses_by, c.findings_by) for c in matrix][2] == ({"T": 2}, {"A": 1, "T": 2})
    assert made.surfaces() == {("row", "messages"), ("row", "people"), ("key", "messages")}


def test_steps_are_counted_by_outcome() -> None:
    def step(index: int, outcome: str) -> StepRecord:
        return StepRecord(
            index=index,
            entry="api",
            action="say",
            who="A",
            first_seq=0,
            last_seq=0,
            started=0,
            ended=1,
            outcome=outcome,
        )

    made = covered(steps=(step(0, "ok"), step(1, "ok"), step(2, "raised")))
    assert made.steps == {("api", "say", "ok"): 2, ("api", "say", "raised"): 1}


ACCESSES = st.lists(
    st.builds(
        access,
        actor=st.sampled_from(["A", "B", None]),
        entry=st.sampled_from(["api", "timer"]),
        sink=st.sampled_from(["row", "key", "prompt"]),
        owner=st.sampled_from(["A", "B", None]),
        marks=st.sampled_from(["", "A", "AB"]),
    ),
    max_size=12,
)
