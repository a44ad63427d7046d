"""What is in compressed bytes: zlib, gzip and zip, as caches, exports and backups leave them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

MOST = 1 << 20
"""At most this many bytes come out of one compressed piece."""

PIECES = 64
"""At most this many members of an archive are looked into."""

STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")
"""What compressed pieces begin with: zlib at each of its levels, and gzip."""

_ZLIB, _GZIP, _RAW = 15, 31, -15
_MEMBER = b"PK\x03\x04"
_FIXED = 30  # bytes of a zip member's header before its name
_DEFLATED = 8


def unpacked(data: bytes) -> Iterator[bytes]:
    """What the compressed pieces in `data` hold: the whole of it, or the members of a zip that are deflated (what is
    stored can be read as it is). Pieces that are broken or cut short give what could be had."""
    if data[:1] == b"\x78" and len(data) > 1 and not int.from_bytes(data[:2], "big") % 31:
        yield _inflated(data, _ZLIB)
    elif data[:3] == b"\x1f\x8b\x08":
        yield _inflated(data, _GZIP)
    at = data.find(_MEMBER)
    for _ in range(PIECES):
        if at < 0:
            return
        header = data[at : at + _FIXED]
        if len(header) == _FIXED and int.from_bytes(header[8:10], "little") == _DEFLATED:
            start = at + _FIXED + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            yield _inflated(data[start:], _RAW)
        at = data.find(_MEMBER, at + len(_MEMBER))


def _inflated(data: bytes, kind: int) -> bytes:
    try:
        return zlib.decompressobj(kind).decompress(data, MOST)
    except zlib.error:
        return b""
