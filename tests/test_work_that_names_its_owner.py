"""Elements of lists and queues that say whose they are may pass through anybody's hands; others may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.judge import judge
from tests.evidence_factory import FACTS, access, trace
from tests.keys_support import Bot

SHARED = """
    from collections import deque
    WORK = deque()
    HEARD = []
"""

WAYS = {
    "taken": ("WORK", lambda place: place.popleft(), "foreign-delete"),
    "looked at": ("WORK", lambda place: place[0], "foreign-read"),
    "gone through": ("HEARD", lambda place: list(place), "foreign-read"),
    "emptied": ("HEARD", lambda place: place.clear(), "foreign-delete"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("named", [True, False])
def test_what_says_whose_it_is(way: str, named: bool, tmp_path: Path) -> None:
    name, meet, rule = WAYS[way]
    bot = Bot(tmp_path, m=SHARED)
    with bot.run() as session:
        place = getattr(bot["m"], name)
        session.as_("A")
        place.append((("tenantA" if named else "somebody", "agent1"), "canaryA"))
        session.as_("B")
        meet(place)
        seen = session.on(f"{bot.name}.m.{name}")[-1]
    assert seen.detail.get("names") == (["A"] if named else None)
    assert _told(seen) == ([] if named else [rule])


def test_a_list_in_which_one_element_says_nothing(tmp_path: Path) -> None:
    bot = Bot(tmp_path, m=SHARED)
    with bot.run() as session:
        session.as_("A")
        bot["m"].HEARD.extend([("tenantA", "canaryA"), ("nobody", "canaryA")])
        session.as_("B")
        list(bot["m"].HEARD)
        seen = session.on(f"{bot.name}.m.HEARD", "iterate")[-1]
    assert _told(seen) == ["foreign-read"]


def _told(seen: Any) -> list[str]:
    met = access(
        sink="key", op=seen.op, surface="bot.m.X", key=seen.key, owner=seen.owner, actor="B", ambient="B",
        marks="".join(mark.label for mark in seen.marks), detail=seen.detail,
    )  # fmt: skip
    return [finding.rule for finding in judge(trace(met), FACTS)]
