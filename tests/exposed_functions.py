"""What a bot of a few lines offers to be called: one function, which forgets what was said unless a test spoils it."""

from __future__ import annotations

SAID: list[str] = []


def recall() -> str:
    """The last thing that was said here."""
    return ""
