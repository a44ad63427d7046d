"""What the bot took digests of: a key that is one is made of the ids that stood in the text, which it shows no more."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any

LONGEST = 256
"""Bytes of a text that is remembered; a longer one is somebody's words, or a file."""

REMEMBERED = 4096
"""Digests that are remembered, the last ones."""

SHORTEST = 16
"""Hexadecimal digits of a digest that bots leave of it at least, where they cut it off."""

_PLAIN: dict[str, Callable[..., Any]] = {
    name: getattr(hashlib, name) for name in ("md5", "sha1", "sha224", "sha256", "sha512", "blake2b", "new")
}
_RUN = re.compile(rf"(?<![0-9A-Za-z])[0-9a-f]{{{SHORTEST},128}}(?![0-9A-Za-z])")
_texts: dict[str, tuple[str, bytes]] = {}


def install() -> None:
    """Put remembering constructors in place. Modules that took the plain ones before keep them."""
    for name, plain in _PLAIN.items():
        setattr(hashlib, name, _remembering(plain))


def remove() -> None:
    """Give the plain constructors back, and forget."""
    for name, plain in _PLAIN.items():
        setattr(hashlib, name, plain)
    _texts.clear()


def digested(text: str) -> list[str]:
    """The texts of which a digest stands in `text`, whole or cut off at its end, where the text was short."""
    found = []
    for run in _RUN.findall(text):
        whole, given = _texts.get(run[:SHORTEST], ("", b""))
        if whole.startswith(run):
            found.append(given.decode("utf-8", "replace"))
    return found


def _remembering(plain: Callable[..., Any]) -> Callable[..., Any]:
    named = plain is _PLAIN["new"]

    @functools.wraps(plain)
    def make(*given: Any, **how: Any) -> Any:
        made = _Remembering(plain(*given, **how))
        first = given[1:2] if named else given[:1]
        made.add(first[0] if first else how.get("data", how.get("string", b"")))
        return made

    return make


class _Remembering:
    """A hash object that keeps what it was given as long as that is short, and remembers it once it is asked."""

    __slots__ = ("_given", "_made")

    def __init__(self, made: Any, given: bytes | None = b"") -> None:
        self._made, self._given = made, given

    def add(self, data: Any) -> None:
        """Remember what it was given besides; None once that is too much."""
        if self._given is not None:
            fits = memoryview(data).nbytes <= LONGEST - len(self._given)
            self._given = self._given + bytes(data) if fits else None

    def update(self, data: Any) -> None:
        self._made.update(data)
        self.add(data)

    def copy(self) -> _Remembering:
        return _Remembering(self._made.copy(), self._given)

    def digest(self, *length: int) -> bytes:
        self.hexdigest(*length)
        return bytes(self._made.digest(*length))

    def hexdigest(self, *length: int) -> str:
        value = str(self._made.hexdigest(*length))
        if self._given:
            if len(_texts) >= REMEMBERED:
                del _texts[next(iter(_texts))]
            _texts[value[:SHORTEST]] = value, self._given
        return value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)
