"""The same seed draws the same plans, whatever else the process has loaded."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from harness import strategies
from harness.target import Action

ACTIONS = [Action(entry="api", name=f"action-{number}", payload={"text": "text"}) for number in range(300)]


def test_what_is_drawn_does_not_hang_on_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = strategies.generate(ACTIONS, 60, 1)
    (tmp_path / "numbers_of_a_bot.py").write_text(f"NUMBERS = {list(range(100, 1000))}\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("numbers_of_a_bot")
    try:
        assert strategies.generate(ACTIONS, 60, 1) == before
    finally:
        del sys.modules["numbers_of_a_bot"]
