"""Every lineage draws from its own random streams."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import choice as early_choice
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness import streams
from harness.flow import FLOW, Flow

ROOT = Path(harness.__file__).parents[1]

SOURCES: dict[str, Callable[[], Any]] = {
    "random": lambda: random.random(),
    "getrandbits": lambda: random.getrandbits(40),
    "choice": lambda: random.choice(range(10**9)),
    "imported early": lambda: early_choice(range(10**9)),
    "sample": lambda: random.sample(range(10**6), 3),
    "randint": lambda: random.randint(0, 10**9),
    "gauss": lambda: random.gauss(0, 1),
    "randbytes": lambda: random.randbytes(6),
    "unseeded Random": lambda: random.Random().random(),
    "SystemRandom": lambda: random.SystemRandom().random(),
    "urandom": lambda: os.urandom(8),
    "uuid4": lambda: uuid.uuid4(),
    "uuid1 node": lambda: uuid.uuid1().node,
    "token_hex": lambda: secrets.token_hex(4),
    "secrets.choice": lambda: secrets.choice(range(10**9)),
    "numpy": lambda: float(numpy.random.random()),
    "numpy.randint": lambda: int(numpy.random.randint(10**9)),
    "numpy generator": lambda: float(numpy.random.default_rng().random()),
}


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    streams.install()
    yield
    streams.uninstall()


def draw(lineage: str, source: str) -> Any:
    token = FLOW.set(Flow(lineage))
    try:
        return SOURCES[source]()
    finally:
        FLOW.reset(token)


def play(seed: int, draws: list[tuple[str, str]]) -> list[Any]:
    streams.reseed(seed)
    return [draw(lineage, source) for lineage, source in draws]


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_a_source_repeats_by_seed_and_differs_by_lineage(source: str) -> None:
    first = play(7, [("A", source), ("A", source), ("B", source)])
    assert play(7, [("A", source), ("A", source), ("B", source)]) == first
    assert play(8, [("A", source)]) != first[:1]
    assert len({str(value) for value in first}) == 3


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_one_draw_more_by_b_does_not_shift_a(source: str) -> None:
    alone = play(3, [("A", source)] * 3)
    mixed = play(3, [("A", source), ("B", source), ("A", source), ("B", source), ("B", source), ("A", source)])
    assert [mixed[0], mixed[2], mixed[5]] == alone


@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(sorted(SOURCES))), max_size=15),
)
def test_a_draws_the_same_whatever_b_draws(seed: int, draws: list[tuple[str, str]]) -> None:
    try:
        streams.install()
        values = play(seed, draws)
        mine = [value for value, (lineage, _) in zip(values, draws, strict=True) if lineage == "A"]
        assert play(seed, [entry for entry in draws if entry[0] == "A"]) == mine
    finally:
        streams.uninstall()


def test_seeding_the_module_seeds_one_lineage() -> None:
    streams.reseed(1)
    undisturbed = draw("A", "random")
    streams.reseed(1)
    token = FLOW.set(Flow("B"))
    random.seed(42)
    repeated = random.random()
    random.seed(42)
    assert random.random() == repeated == random.Random(42).random()
    FLOW.reset(token)
    assert draw("A", "random") == undisturbed


def test_state_is_saved_and_put_back_by_lineage() -> None:
    streams.reseed(1)
    state = random.getstate()
    first = random.random()
    random.setstate(state)
    assert random.random() == first


def test_seeded_generators_are_left_alone() -> None:
    expected = random.Random(5).random()
    streams.uninstall()
    assert random.Random(5).random() == expected


def test_uuid1_is_well_formed_and_unlike() -> None:
    streams.reseed(1)
    made = {uuid.uuid1() for _ in range(100)}
    assert len(made) == 100
    assert {value.version for value in made} == {1}
    assert {value.variant for value in made} == {uuid.RFC_4122}


def test_uninstalling_brings_real_randomness_back() -> None:
    before = play(1, [("A", source) for source in sorted(SOURCES)])
    streams.uninstall()
    streams.reseed(1)
    after = [draw("A", source) for source in sorted(SOURCES)]
    assert all(x != y for x, y in zip(before, after, strict=True))


def test_two_processes_draw_the_same() -> None:
    program = """
from harness import streams
streams.install()
import os, random, uuid, secrets
from harness.flow import FLOW, Flow
before = random.random()
streams.reseed(11)
for lineage in ("A.0", "B.1"):
    FLOW.set(Flow(lineage))
    print(random.random(), random.gauss(0, 1), random.Random().random())
    print(uuid.uuid4(), secrets.token_hex(), os.urandom(4))
print(before)
"""
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashseed},
        ).stdout
        for hashseed in ("0", "1")
    }
    assert len(answers) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_draws_what_its_seed_says() -> None:
    expected = play(5, [("A", "random"), ("A", "uuid4")])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(play(5, [("A", "random"), ("A", "uuid4")])).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read().decode() == repr(expected)
