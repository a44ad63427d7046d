"""What a call or route handed out is known by name afterwards, so that the other may ask with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.harvest import Harvest
from harness.scanner import TokenScanner
from tests.evidence_factory import FACTS, TWINS


@pytest.mark.parametrize(
    "answer",
    ['{"phrases": [{"phrase_id": 7}]}', '200 {"phrases": [{"phrase_id": 7}]}', {"phrases": [{"phrase_id": 7}]}],
)
def test_ids_in_an_answer_are_taken_up(tmp_path: Path, answer: object) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    harvest.returned("A", answer)
    assert harvest.values("phrase_id", "A") == [7]
    assert harvest.values("phrase_id", "B") == []


def test_a_text_that_is_no_answer_gives_nothing(tmp_path: Path) -> None:
    harvest = Harvest(tmp_path, FACTS, TWINS, TokenScanner(TWINS), lambda path: None)
    harvest.returned("A", "200 phrases, phrase_id 7")
    assert harvest.values("phrase_id", "A") == []
