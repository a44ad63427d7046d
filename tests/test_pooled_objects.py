"""Objects of a pool are told apart: what one keeps is not met by who is given another."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judge import judge
from tests.evidence_factory import FACTS, access, trace
from tests.keys_support import Bot

POOL = """
    class Turn:
        lines = ""

    POOL = [Turn()]
    OTHER = Turn()
"""


@pytest.mark.parametrize("same", [True, False])
def test_two_objects_that_lay_at_one_place(same: bool, tmp_path: Path) -> None:
    bot = Bot(tmp_path, m=POOL)
    module, surface = bot["m"], f"{bot.name}.m.POOL[].lines"
    with bot.run() as session:
        first = module.POOL.pop()
        module.POOL.append(first if same else module.Turn())
        session.as_(None)
        bot.probe.between()
        session.as_("A")
        first.lines = "canaryA"
        session.as_("B")
        module.POOL[0].lines = "canaryB"
        seen = session.on(surface, "write")
    assert [one.ambient for one in seen] == ["A", "B"]
    told = trace(
        *(
            access(
                sink="key", op="write", surface="bot.m.POOL[].lines", key=one.key, actor=one.ambient,
                ambient=one.ambient, new_owner=one.new_owner, detail=one.detail,
                marks="".join(mark.label for mark in one.marks),
            )
            for one in seen
        )
    )  # fmt: skip
    assert [finding.rule for finding in judge(told, FACTS)] == (["shared-key"] if same else [])
