"""What lies under a key and is no more than a digest of it: whoever has the key works out the very same."""

from __future__ import annotations

import hashlib
from typing import Any

JOINTS = ("", "_", ":", "-", "/", "|", ".", ",", " ")
"""What bots put between the parts of a text that they take the digest of."""

_MADE = {32: hashlib.md5, 40: hashlib.sha1, 64: hashlib.sha256}


def is_digest_of(value: Any, key: Any) -> bool:
    """Whether `value` is the MD5, SHA-1 or SHA-256 (hex) of a key that is a text, or of a tuple's parts in their order,
    joined by one of `JOINTS`. Other values and keys are not looked into."""
    if type(value) is not str or len(value) not in _MADE:
        return False
    parts = key if type(key) is tuple else (key,)
    if not all(type(part) in (str, int) for part in parts):
        return False
    texts = [str(part) for part in parts]
    make = _MADE[len(value)]
    return any(
        make(joint.join(texts).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest() == value.lower()
        for joint in JOINTS[: None if len(texts) > 1 else 1]
    )
