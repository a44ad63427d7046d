"""Writes that no hook saw, told by comparing: whose canary was left there wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.judge import judge
from tests.evidence_factory import FACTS, access, trace
from tests.keys_support import Bot

GLOBALS = """
    LAST, TOLD, TABLE = "", 0, {}

    def keep(text):
        global LAST, TOLD
        LAST = TABLE["x"] = text
        TOLD += 1
"""


def left(label: str, marks: str, **fields: Any) -> Any:
    base = {"sink": "key", "op": "rebind", "surface": "bot.m.LAST", "key": "", "ambient": "-", "direct": False}
    detail = {"observed": "between", "owned_by": "first-writer"}
    return access(**{**base, "actor": label, "marks": marks, "detail": detail, "new_owner": "A", **fields})


@pytest.mark.parametrize(
    ("marks", "rules"),
    [("AB", ["shared-key"]), ("AA", []), (("A", ""), []), (("", "B"), []), (("A", "AB"), ["shared-key"])],
)
def test_a_name_that_held_one_twins_data_and_then_the_others(marks: Any, rules: list[str]) -> None:
    first, second = marks
    writers = ("A", "A" if marks == "AA" else "B")
    found = judge(trace(left(writers[0], first), left(writers[1], second)), FACTS)
    assert [finding.rule for finding in found] == rules


def test_lineage_alone_is_no_proof_in_a_task_that_was_seen() -> None:
    seen = {"detail": {"owned_by": "first-writer"}}
    found = judge(trace(left("A", "A", **seen), left("B", "B", **seen)), FACTS)
    assert [finding.rule for finding in found] == ["context-missing"]


def test_a_global_belongs_to_the_flow_whose_canary_was_left_in_it(tmp_path: Path) -> None:
    bot = Bot(tmp_path, m=GLOBALS)
    with bot.run() as session:
        for label in "AB":
            session.as_(label)
            bot["m"].keep(f"canary{label}")
        session.as_(None)
        bot.probe.between()
        (last,) = session.on(f"{bot.name}.m.LAST")
        (told,) = session.on(f"{bot.name}.m.TOLD")
    assert (last.actor, last.marks[0].label) == ("B", "B")
    assert told.actor is None  # both were at work, and a number tells nobody apart


def test_the_others_token_in_a_log_line_of_a_flow_that_is_certain() -> None:
    said = {"sink": "log", "op": "write", "surface": "bot", "key": "INFO", "marks": "B"}
    assert [finding.rule for finding in judge(trace(access(**said)), FACTS)] == ["canary-flow"]
    assert judge(trace(access(**said, ambient="B")), FACTS) == []
    assert judge(trace(access(**said, ambient="-", direct=False)), FACTS) == []
    assert judge(trace(access(**{**said, "marks": "A"})), FACTS) == []


def test_a_crossing_is_told_with_the_name_that_held_the_token_meanwhile() -> None:
    sent = access(sink="prompt", op="write", surface="reply", new_owner="B", actor="B", ambient="B", marks="A")
    (found,) = judge(trace(left("A", "A"), sent), FACTS)
    assert [(place.sink, place.surface) for place in found.places] == [("prompt", "reply"), ("key", "bot.m.LAST")]
    named = {"observed": "between", "identity": {"own": ["tenant:A"]}}
    for silent in (left("A", "A", detail=named), left("B", "B"), left("A", "A", detail={})):
        (found,) = [one for one in judge(trace(silent, sent), FACTS) if one.rule == "canary-flow"]
        assert [place.sink for place in found.places] == ["prompt"]
