"""The log probe tells of canaries in logs and of warnings, and changes nothing of the bot's logging."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.twins import make_twins
from harness.principal import TwinSpec
from harness.probes.logs import LogProbe
from harness.recorder import Recorder
from harness.scanner import TokenScanner
from harness.target import Facts
from harness.trace import Mark

TWINS = make_twins(TwinSpec())
TOKEN = TWINS.a.secrets["message"]


@pytest.fixture
def probe() -> LogProbe:
    made = LogProbe()
    made.install(Facts(name="x", generation="x", packages=()))
    return made


@pytest.fixture
def recorder(probe: LogProbe, tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(TWINS, TokenScanner(TWINS), [Path(__file__).parent], lambda: None, lambda: 0.0)
    with made.active():
        probe.begin(tmp_path)
        yield made
        probe.finish()


def test_the_planted_line_is_told(probe: LogProbe, recorder: Recorder, tmp_path: Path) -> None:
    probe.plant(tmp_path)
    (access,) = recorder.accesses
    assert (access.sink, access.op, access.surface, access.key) == ("log", "write", "isolation.plant", "WARNING")
    assert access.detail == {"level": "WARNING", "text": "planted"}


def test_canaries_are_told_at_any_level_that_is_on_and_the_rest_from_warning_up(recorder: Recorder) -> None:
    logger = logging.getLogger("bot.chat")
    logger.setLevel(logging.INFO)
    logger.info("nothing to see")
    logger.info("got %s", TOKEN)
    logger.debug("off: %s", TOKEN)
    logger.error("went wrong")
    assert [(a.key, a.marks) for a in recorder.accesses] == [("INFO", (Mark("A", "message"),)), ("ERROR", ())]
    assert "test_log_probe.py" in recorder.accesses[0].site.file


def test_the_traceback_counts_and_long_text_is_cut(recorder: Recorder) -> None:
    try:
        raise ValueError("x" * 400 + TOKEN)
    except ValueError:
        logging.getLogger("bot").exception("failed")
    (access,) = recorder.accesses
    assert access.marks == (Mark("A", "message"),)
    assert len(access.detail["text"]) == 300
    assert access.detail["text"].startswith("failed\nTraceback")


def test_loggers_that_keep_their_records_from_the_root_are_told_once(probe: LogProbe, recorder: Recorder) -> None:
    parent, child = logging.getLogger("own"), logging.getLogger("own.child")
    parent.propagate = False
    try:
        probe.between()
        probe.between()
        child.warning("x")
    finally:
        parent.propagate = True
    child.warning("y")
    assert [a.detail["text"] for a in recorder.accesses] == ["x", "y"]


def test_a_bot_that_clears_the_handlers_does_not_blind_it(probe: LogProbe, recorder: Recorder) -> None:
    handlers = logging.root.handlers[:]
    try:
        logging.root.handlers.clear()
        probe.between()
        logging.getLogger("bot").warning("still here")
    finally:
        for handler in handlers:
            logging.root.addHandler(handler)
    assert [a.detail["text"] for a in recorder.accesses] == ["still here"]


def test_a_bad_format_string_is_told_and_does_not_break_the_bot(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with contextlib.suppress(TypeError):  # pytest's own log handler insists on good format strings
        logging.getLogger("bot").warning("%d", TOKEN)
    assert [a.marks for a in recorder.accesses] == [(Mark("A", "message"),)]


def test_the_bots_own_setup_is_left_alone(probe: LogProbe, tmp_path: Path) -> None:
    before = (logging.root.level, logging.root.handlers[:])
    made = Recorder(TWINS, TokenScanner(TWINS), [tmp_path], lambda: None, lambda: 0.0)
    probe.booted([tmp_path])
    assert logging.root.handlers == before[1], "a handler at the root before a run would disarm basicConfig"
    with made.active():
        probe.begin(tmp_path)
        assert logging.root.level == before[0]
        with made.muted():
            logging.getLogger("bot").warning("the harness's own")
        probe.finish()
    logging.getLogger("bot").warning("after")
    assert (logging.root.level, logging.root.handlers) == before
    assert made.accesses == []
