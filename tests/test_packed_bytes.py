"""Canaries in compressed bytes are found: what a cache, an export or a backup packs is no less another's."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.twins import make_twins
from harness.packed import MOST, unpacked
from harness.principal import TwinSpec
from harness.scanner import TokenScanner
from harness.trace import Mark

TWINS = make_twins(TwinSpec(dimension="T"))


def zipped(data: bytes, *before: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for number, member in enumerate((*before, data)):
            archive.writestr(f"{number}.txt", member)
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "zip": zipped,
    "second member": lambda data: zipped(data, b"the first" * 50),
    "cut short": lambda data: zlib.compress(data + bytes(range(256)) * 40)[:-30],
    "end of a zip": lambda data: zipped(data, b"what came before")[40:],
}


@pytest.mark.parametrize("how", PACKED)
def test_a_canary_in_packed_bytes(how: str) -> None:
    for who in (TWINS.a, TWINS.b):
        said = f"what {who.secrets['message']} said, again and again " * 5
        found = TokenScanner(TWINS).scan(PACKED[how](said.encode()))
        assert found == (Mark(who.label, "message", "packed"),)


def test_a_member_that_is_only_stored_reads_as_it_is() -> None:
    said = f"what {TWINS.a.secrets['message']} said".encode()
    assert TokenScanner(TWINS).scan(zipped(said, how=zipfile.ZIP_STORED)) == (Mark("A", "message", "plain"),)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x78\x9c", b"\x1f\x8b\x08", b"PK\x03\x04"]))
def test_what_only_looks_packed_is_no_error(data: bytes, head: bytes) -> None:
    assert all(isinstance(inner, bytes) for inner in unpacked(head + data))


def test_no_more_than_so_much_comes_out_of_a_bomb() -> None:
    assert [len(inner) for inner in unpacked(zlib.compress(bytes(8 * MOST)))] == [MOST]
