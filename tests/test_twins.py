"""Twins look the same from outside, differ only where they may, and are the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.twins import LARGE_NUMBERS, LONGER, SLOTS, SMALL_NUMBERS, Shapes, make_twins
from harness.errors import UsageError
from harness.principal import DIMENSION_FIELDS, TwinSpec
from harness.scanner import TokenScanner

ROOT = Path(__file__).resolve().parent.parent

specs = st.builds(
    TwinSpec,
    dimension=st.lists(st.sampled_from("TACP"), min_size=1, unique=True).map("".join),
    pictures=st.sampled_from(["equal", "marked"]),
    locale=st.sampled_from(["zh_CN", "ja_JP", "en_US", "de_DE"]),
    seed=st.integers(min_value=0, max_value=2**40),
)


@settings(max_examples=40, deadline=None)
@given(specs)
def test_twins_differ_in_the_tested_dimensions_and_nowhere_else(spec: TwinSpec) -> None:
    twins = make_twins(spec)
    under_test = {DIMENSION_FIELDS[letter] for letter in spec.dimension}
    for field in ("tenant", "agent", "chat", "platform", "user"):
        assert (getattr(twins.a, field) != getattr(twins.b, field)) == (field in under_test), field
    assert twins.a.display == twins.b.display
    assert twins.a.credential != twins.b.credential
    assert (twins.a.pictures == twins.b.pictures) == (spec.pictures == "equal")
    assert twins.label_of({**twins.a.identity(), "credential": twins.a.credential}) == "A"
    assert twins.label_of(dict(twins.b.identity())) == "B"


@settings(max_examples=40, deadline=None)
@given(specs)
def test_every_secret_of_one_twin_is_foreign_to_the_other(spec: TwinSpec) -> None:
    twins = make_twins(spec)
    tokens = [*twins.a.secrets.values(), *twins.b.secrets.values()]
    assert set(twins.a.secrets) == set(twins.b.secrets) == set(SLOTS)
    assert len({token[:10].lower() for token in tokens}) == len(tokens)
    scanner = TokenScanner(twins)
    for mine, theirs in (("A", "B"), ("B", "A")):
        encoded = msgspec.json.encode(twins.of(mine))
        labels = {mark.label for mark in scanner.scan(encoded)}
        labels |= {mark.label for picture in twins.of(mine).pictures.values() for mark in scanner.scan(picture)}
        assert theirs not in labels
        assert mine in labels
    numbers = [*twins.a.numbers.values(), *twins.b.numbers.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(3 <= twins.a.numbers[slot] <= 40 for slot in SMALL_NUMBERS)
    assert all(len(str(twins.b.numbers[slot])) == 7 and twins.b.numbers[slot] % 2 for slot in LARGE_NUMBERS)


def test_canaries_survive_tokenisers_like_patterns_and_urls() -> None:
    twins = make_twins(TwinSpec())
    for slot, token in twins.a.secrets.items():
        if slot == "wide":
            assert '"' in token
            assert any(ord(letter) > 0x4E00 for letter in token)
        else:
            assert token.isascii()
            assert token.isalnum()
            assert token != token.lower()
        assert len(token) >= 19


def test_equal_specs_give_equal_twins_in_any_process() -> None:
    program = (
        "import msgspec; from fixtures.twins import make_twins; from harness.principal import TwinSpec;"
        "print(msgspec.json.encode(make_twins(TwinSpec(dimension='TA', pictures='marked', seed=7))).decode())"
    )
    outputs = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        outputs.append(done.stdout.strip())
    here = msgspec.json.encode(make_twins(TwinSpec(dimension="TA", pictures="marked", seed=7))).decode()
    assert outputs == [here, here]


def test_another_seed_gives_other_secrets() -> None:
    first, second = make_twins(TwinSpec(seed=1)), make_twins(TwinSpec(seed=2))
    assert not set(first.a.secrets.values()) & set(second.a.secrets.values())
    assert first.a.tenant != second.a.tenant


def test_canaries_differ_early_even_when_chance_would_have_them_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixtures.twins._HEAD", 5)  # leaves 36 beginnings for 34 canaries
    twins = make_twins(TwinSpec())
    tokens = [*twins.a.secrets.values(), *twins.b.secrets.values()]
    assert len({token[:5].lower() for token in tokens}) == len(tokens)


def test_a_target_says_how_ids_look() -> None:
    shapes = Shapes(tenant="t-{hex:32}", chat="{digits:6}", credential="{tenant}|{token}", platform=("irc", "xmpp"))
    twins = make_twins(TwinSpec(dimension="P"), shapes=shapes)
    assert len(twins.a.tenant) == 34
    assert twins.a.chat.isdigit()
    assert len(twins.a.chat) == 6
    assert twins.a.credential == f"{twins.a.tenant}|{twins.a.secrets['credential']}"
    assert (twins.a.platform, twins.b.platform) == ("irc", "xmpp")


def test_chinese_names_come_first() -> None:
    name = make_twins(TwinSpec()).a.display["user_name"]
    assert all("\u4e00" <= letter <= "\u9fff" for letter in name)


@pytest.mark.parametrize(
    ("spec", "shapes", "says"),
    [
        (TwinSpec(dimension=""), Shapes(), "letters of"),
        (TwinSpec(dimension="X"), Shapes(), "letters of"),
        (TwinSpec(locale="xx_XX"), Shapes(), "locale"),
        (TwinSpec(), Shapes(tenant="fixed"), "room"),
        (TwinSpec(), Shapes(credential="fixed"), "credential"),
        (TwinSpec(), Shapes(tenant="{token}"), "credential only"),
        (TwinSpec(dimension="P"), Shapes(platform=("qq", "qq")), "two different platforms"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(spec: TwinSpec, shapes: Shapes, says: str) -> None:
    if shapes.tenant == "fixed":
        shapes = msgspec.structs.replace(shapes, agent="fixed")
    with pytest.raises(UsageError, match=says):
        make_twins(spec, shapes=shapes)


@pytest.mark.parametrize("slot", ["picture", "sticker"])
def test_marked_pictures_are_valid_png_with_the_canary_in_chunk_and_pixels(slot: str) -> None:
    principal = make_twins(TwinSpec(pictures="marked")).a
    data, token = principal.pictures[slot], principal.secrets[slot].encode()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, kinds, pixels = 8, [], b""
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert int.from_bytes(data[at + 8 + length : at + 12 + length], "big") == zlib.crc32(kind + body)
        kinds.append(kind)
        if kind == b"IDAT":
            pixels = zlib.decompress(body)
        if kind == b"tEXt":
            assert body == b"Comment\0" + token
        at += 12 + length
    assert kinds == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    assert len(pixels) == 24 * (1 + 3 * 24)
    assert pixels[1 : 1 + len(token)] == token


def test_the_animation_is_a_gif_that_carries_its_canary_in_the_marked_family_only() -> None:
    marked, equal = make_twins(TwinSpec(pictures="marked")).a, make_twins(TwinSpec()).a
    assert marked.pictures["animation"].startswith(b"GIF89a")
    assert marked.pictures["animation"].endswith(b"\x3b")
    assert marked.secrets["animation"].encode() in marked.pictures["animation"]
    assert equal.secrets["animation"].encode() not in equal.pictures["animation"]


@pytest.mark.parametrize("pictures", ["equal", "marked"])
def test_with_other_secrets_b_stays_who_it_is_and_a_stays_the_same(pictures: Literal["equal", "marked"]) -> None:
    plain = make_twins(TwinSpec(pictures=pictures))
    others = make_twins(TwinSpec(pictures=pictures, others=1))
    assert others.a == plain.a
    assert others.b.identity() == plain.b.identity() and others.b.user == plain.b.user
    assert not set(others.b.secrets.values()) & {*plain.b.secrets.values(), *plain.a.secrets.values()}
    assert {len(others.b.secrets[slot]) - len(plain.b.secrets[slot]) for slot in plain.b.secrets} == {LONGER}
    assert others.b.credential != plain.b.credential and others.b.display != plain.b.display
    assert others.b.pictures["picture"] != plain.b.pictures["picture"] and others.b.numbers != plain.b.numbers


@pytest.mark.parametrize("third", [False, True])
def test_who_comes_first_makes_nobody_another(third: bool) -> None:
    one, other = (make_twins(TwinSpec(third=third, first=first)) for first in ("A", "B"))
    assert [who.label for who in one.everyone()] == [who.label for who in reversed(other.everyone())]
    assert one.everyone() == tuple(reversed(other.everyone()))
