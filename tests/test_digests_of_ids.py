"""A key that is a digest of what both twins share is told as one that shows it; what else a digest is of is not."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.twins import make_twins
from harness.principal import TwinSpec
from harness.probes import _digests
from harness.probes._text import Identities

TWINS = make_twins(TwinSpec())


@pytest.fixture(autouse=True)
def remembering() -> Iterator[None]:
    _digests.install()
    yield
    _digests.remove()


def named(key: str) -> set[str]:
    return set(Identities(TWINS).of(key)["shared"])


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_ids_that_touch_each_other_and_an_own_one_among_them() -> None:
    assert named(digest(f"2:{TWINS.a.platform}{TWINS.a.user}x")) == {"user"}
    assert named(digest(f"2:{TWINS.a.tenant}{TWINS.a.user}x")) == set()
    assert named(f"2:{TWINS.a.platform}{TWINS.a.user}x") == set()


@pytest.mark.parametrize("cut", [16, 24, 64])
def test_whatever_the_ids_are_joined_by_and_however_much_is_left_of_the_digest(cut: int) -> None:
    key = digest(f"group/{TWINS.a.platform}::{TWINS.a.chat}/v2")[:cut]
    assert named(f"('{key}', 3)") == {"platform", "chat"}


def test_a_digest_of_a_digest_and_one_fed_piece_by_piece() -> None:
    whole = hashlib.new("md5", TWINS.a.platform.encode())
    whole.update(b"_")
    other = whole.copy()
    whole.update(TWINS.a.user.encode())
    assert named(digest("person:" + whole.hexdigest())) == {"platform", "user"}
    assert named(other.hexdigest()) == {"platform"}


def test_one_that_is_made_of_what_tells_the_twins_apart_too_is_nobody_else_s() -> None:
    assert named(digest(f"{TWINS.a.tenant}:{TWINS.a.chat}")) == set()
    assert named(digest(digest(f"{TWINS.b.tenant}:{TWINS.b.chat}"))) == set()


def test_long_texts_and_unknown_digests_name_nobody() -> None:
    assert named(digest(f"{TWINS.a.chat} {'said ' * 100}")) == set()
    made = hashlib.sha1(b"said " * 100)
    made.update(TWINS.a.chat.encode())
    assert named(made.hexdigest()) == set()
    assert named("0123456789abcdef" * 2) == set()


def test_only_the_last_ones_are_remembered() -> None:
    first = digest(TWINS.a.chat)
    for turn in range(_digests.REMEMBERED):
        digest(str(turn))
    assert named(first) == set()


@given(st.binary(max_size=400), st.integers(0, 400), st.sampled_from(["md5", "sha1", "sha256", "sha512", "blake2b"]))
def test_digests_are_what_they_were(data: bytes, at: int, kind: str) -> None:
    make, plain = getattr(hashlib, kind), _digests._PLAIN[kind]
    made = make(data[:at], usedforsecurity=False)
    made.update(data[at:])
    assert made.hexdigest() == plain(data).hexdigest() and made.digest() == plain(data).digest()
    assert (made.name, made.digest_size, made.block_size) == (kind, plain().digest_size, plain().block_size)
    assert hashlib.new(kind, data).digest() == plain(data).digest()
    assert hmac.new(b"key", data, make).digest() == hmac.new(b"key", data, plain).digest()


def test_what_is_read_from_a_file_is_digested_as_ever() -> None:
    with Path(__file__).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    with Path(__file__).open("rb") as file:
        assert found == hashlib.file_digest(file, hashlib.sha256).hexdigest()
    with Path(__file__).open("rb") as file:
        assert found == _digests._PLAIN["sha256"](file.read()).hexdigest()
