"""The scanner finds every canary in every encoding, names it right, and finds nothing where there is nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.twins import MARKER, SLOTS, make_twins
from harness.principal import Principal, Twins, TwinSpec
from harness.scanner import TokenScanner
from harness.trace import Mark

TWINS = make_twins(TwinSpec(dimension="TA", pictures="marked", seed=3))
SCANNER = TokenScanner(TWINS)
TOKENS = [(label, slot) for label in "AB" for slot in SLOTS]

ENCODINGS: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "plain": (lambda t: f"前{t}后", "plain"),
    "bytes": (lambda t: b"\xff\x00" + t.encode() + b"\xfe", "plain"),
    "json": (lambda t: json.dumps({"k": [t]}), "json"),
    "json not ascii": (lambda t: json.dumps({"k": [t]}, ensure_ascii=False), "json"),
    "json in json": (lambda t: json.dumps(json.dumps(t)), "json"),
    "json bytes": (lambda t: json.dumps(t, ensure_ascii=False).encode(), "json"),
    "url": (lambda t: "q=" + quote(t) + "&x", "url"),
    "url lower": (lambda t: "q=" + re.sub("%..", lambda m: m[0].lower(), quote(t)), "url"),
    "lower": (lambda t: f"x {t.lower()} y", "folded"),
    "upper": (lambda t: f"x {t.upper()} y", "folded"),
    "title": (lambda t: f"x {t.title()} y", "folded"),
    "cut": (lambda t: f"… {t[:10]}", "cut"),
    "cut in words": (lambda t: f"{t[:14]} 你好", "cut"),
    "hex": (lambda t: "00" + t.encode().hex() + "ff", "hex"),
    "hex upper": (lambda t: t.encode().hex().upper(), "hex"),
    "base64 wrapped": (lambda t: base64.encodebytes(b"x" * 52 + t.encode() + b"y" * 90), "base64"),
    "base64 in url": (lambda t: quote(base64.b64encode(b"???" + t.encode() + b">>>").decode(), safe=""), "base64"),
    "packed": (lambda t: zlib.compress(f"before {t} after".encode()), "packed"),
    **{
        f"packed in base64 {level}": (
            lambda t, n=level: json.dumps(
                {"state": "a." + base64.urlsafe_b64encode(zlib.compress(f"so {t}.".encode(), n)).decode()}
            ),
            "packed",
        )
        for level in (1, 3, 6, 9)
    },
    "gzip in base64": (lambda t: base64.b64encode(gzip.compress(t.encode())), "packed"),
    "md5": (lambda t: f"data/{hashlib.md5(t.encode()).hexdigest()}.json", "digest"),
    "sha1 upper": (lambda t: hashlib.sha1(t.encode()).hexdigest().upper(), "digest"),
    "sha256": (lambda t: b"id=" + hashlib.sha256(t.encode()).hexdigest().encode(), "digest"),
    **{
        f"base64 {name} {before}": (
            lambda t, m=make, n=before: m(b"\xfb" * n + t.encode() + b"\xfb\xff").decode(),
            "base64",
        )
        for before in range(3)
        for name, make in (("std", base64.b64encode), ("urlsafe", base64.urlsafe_b64encode))
    },
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_slot_is_found_in_every_encoding(name: str) -> None:
    encode, expected = ENCODINGS[name]
    for label, slot in TOKENS:
        token = TWINS.of(label).secrets[slot]
        # Escapes leave plain ASCII canaries as they are; only the wide one tells them apart.
        spelled = expected if slot == "wide" or expected not in ("json", "url") else "plain"
        if expected == "folded" and token in str(encode(token)):
            spelled = "plain"  # a canary may happen to be spelled as a title already
        assert SCANNER.scan(encode(token)) == (Mark(label, slot, spelled),), (label, slot)


def test_several_canaries_in_one_text_are_all_found_once() -> None:
    text = f"{TWINS.a.secrets['name']}{TWINS.b.secrets['message']} {TWINS.a.secrets['name']}"
    assert SCANNER.scan(text) == (Mark("A", "name"), Mark("B", "message"))


def test_long_texts_are_searched_to_their_end() -> None:
    filler = "clean text 一二三 " * 10_000
    assert SCANNER.scan(filler) == ()
    assert SCANNER.scan(filler + TWINS.b.secrets["reply"]) == (Mark("B", "reply"),)
    digest = hashlib.md5(TWINS.b.secrets["reply"].encode()).hexdigest()
    for shift in range(8):
        assert SCANNER.scan(filler + "x" * shift + digest + " ") == (Mark("B", "reply", "digest"),)


def test_marked_pictures_are_found_raw_in_base64_and_as_digest() -> None:
    for label in "AB":
        for slot, picture in TWINS.of(label).pictures.items():
            assert SCANNER.scan(picture) == (Mark(label, slot),)
            coded = base64.b64encode(picture)
            assert SCANNER.scan(coded) == (Mark(label, slot, "base64"),)
            assert SCANNER.scan("data:image/png;base64," + coded.decode()) == (Mark(label, slot, "base64"),)
            for content in (picture, coded):
                name = hashlib.md5(content).hexdigest()
                assert SCANNER.scan(f"images/{name}.png") == (Mark(label, slot, "digest"),)


def test_equal_pictures_say_nothing() -> None:
    twins = make_twins(TwinSpec(pictures="equal"))
    scanner = TokenScanner(twins)
    for picture in twins.a.pictures.values():
        assert scanner.scan(picture) == ()
        assert scanner.scan(base64.b64encode(picture)) == ()
        for make in (hashlib.md5, hashlib.sha1, hashlib.sha256):
            assert scanner.scan(make(picture).hexdigest()) == ()


def test_the_digest_of_a_credential_names_its_owner() -> None:
    digest = hashlib.sha256(TWINS.b.credential.encode()).hexdigest()
    assert SCANNER.scan(digest) == (Mark("B", "credential", "digest"),)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=400), st.binary(max_size=400)))
def test_random_text_has_no_canary(data: str | bytes) -> None:
    assert SCANNER.scan(data) == ()


hex_texts = st.text("0123456789abcdefABCDEF", min_size=30, max_size=200)
near = st.sampled_from([MARKER, MARKER.lower(), MARKER.encode().hex(), base64.b64encode(MARKER.encode()).decode()])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(near, hex_texts, st.text(max_size=20)), min_size=1, max_size=8).map("".join))
def test_what_only_looks_like_a_canary_is_none(text: str) -> None:
    assert SCANNER.scan(text) == ()
    assert SCANNER.redact(text) == text


@pytest.mark.parametrize("slot", SLOTS)
def test_near_misses_are_none(slot: str) -> None:
    token = TWINS.a.secrets[slot]
    assert SCANNER.scan(token[:9]) == ()
    assert SCANNER.scan(token[1:]) == ()
    assert SCANNER.scan(token[:5] + "_" + token[5:]) == ()
    assert SCANNER.scan(hashlib.md5(token.encode()).hexdigest()[:-1]) == ()


def test_a_canary_split_over_replies_is_found_when_they_are_joined() -> None:
    token = TWINS.a.secrets["reply"]
    assert SCANNER.scan_joined(["x " + token[:8], token[8:] + " y"]) == (Mark("A", "reply", "split"),)
    assert SCANNER.scan_joined([token[:6] + "\n", " " + token[6:]]) == (Mark("A", "reply", "split"),)
    assert SCANNER.scan_joined([token, token]) == ()
    assert SCANNER.scan_joined(["clean", "text"]) == ()


def test_numbers_count_only_where_they_were_planted() -> None:
    small = TWINS.a.numbers["config.tenant"]
    assert SCANNER.scan_number("config.tenant", small) == (Mark("A", "config.tenant", "number"),)
    assert SCANNER.scan_number("config.tenant", float(TWINS.b.numbers["config.tenant"]))[0].label == "B"
    assert SCANNER.scan_number("config.agent", small) == ()
    assert SCANNER.scan_number("elsewhere", small) == ()


def test_redaction_says_whose_and_which_and_leaves_the_rest() -> None:
    message, wide = TWINS.a.secrets["message"], TWINS.b.secrets["wide"]
    assert SCANNER.redact(f"[{message}] {wide}!") == "[‹A:message›] ‹B:wide›!"
    coded = base64.b64encode(message.encode()).decode()
    assert SCANNER.redact(f"<{coded}>") == "<‹A:message base64›>"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TOKENS), st.sampled_from(sorted(ENCODINGS)), st.text(max_size=30))
def test_nothing_of_a_canary_is_left_after_redaction(which: tuple[str, str], name: str, around: str) -> None:
    coded = ENCODINGS[name][0](TWINS.of(which[0]).secrets[which[1]])
    if isinstance(coded, str):
        redacted = SCANNER.redact(f"{around} {coded} {around}")
        assert SCANNER.scan(redacted) == ()
        assert f"‹{which[0]}:{which[1]}" in redacted


def _principal(label: str, secrets: dict[str, str]) -> Principal:
    return Principal(
        label=label, tenant=label, agent="x", platform="p", chat="1", user="2", credential="c" + label,
        display={}, secrets=secrets, numbers={}, pictures={},
    )  # fmt: skip


def test_a_flag_is_no_number() -> None:
    a, b = (msgspec.structs.replace(who, numbers={"config.tenant": n}) for who, n in ((TWINS.a, 1), (TWINS.b, 0)))
    scanner = TokenScanner(msgspec.structs.replace(TWINS, a=a, b=b))
    assert scanner.scan_number("config.tenant", 1) == (Mark("A", "config.tenant", "number"),)
    assert scanner.scan_number("config.tenant", True) == ()


def test_planted_numbers_that_are_equal_name_nobody() -> None:
    a, b = (msgspec.structs.replace(who, numbers={"config.tenant": 9}) for who in (TWINS.a, TWINS.b))
    assert TokenScanner(msgspec.structs.replace(TWINS, a=a, b=b)).scan_number("config.tenant", 9) == ()


def test_canaries_without_a_common_beginning_are_found_too() -> None:
    twins = Twins(
        spec=TwinSpec(),
        a=_principal("A", {"message": "alphaONE12345678", "same": "sharedSECRET1234"}),
        b=_principal("B", {"message": "bravoTWO87654321", "same": "sharedSECRET1234"}),
    )
    scanner = TokenScanner(twins)
    assert scanner.scan("an alphaone12345678 b") == (Mark("A", "message", "folded"),)
    for before in range(3):
        coded = base64.b64encode(b"-" * before + b"bravoTWO87654321 etc")
        assert scanner.scan(coded) == (Mark("B", "message", "base64"),)
    assert scanner.scan(b"bravoTWO87654321".hex()) == (Mark("B", "message", "hex"),)
    assert scanner.scan("sharedSECRET1234") == (), "what both hold names nobody"
