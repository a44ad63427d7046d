"""The log probe: what the bot tells its log, seen at the standard library's logging, where most loggers end.

It sees what a logger is set to pass on, and changes no level. Text that a bot prints, or a logger that never
reaches `logging`, is not seen.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.recorder import current
from harness.target import Facts

TEXT_CHARS = 300
"""So much of a record's text is kept in `detail`."""

PLANT = "isolation.plant"

_SEEN = "_isolation_seen"


class _Handler(logging.Handler):
    """Reports records of a run: those that carry a canary, and warnings and worse."""

    def emit(self, record: logging.LogRecord) -> None:
        recorder = current()
        if recorder is None or not recorder.listening or hasattr(record, _SEEN):
            return
        setattr(record, _SEEN, True)
        with recorder.muted():  # formatting calls the bot's __str__ and __repr__
            text = _text(record)
            marks = recorder.marks(text)
        if marks or record.levelno >= logging.WARNING:
            detail = {"level": record.levelname, "text": text[:TEXT_CHARS]}
            recorder.access("log", "write", record.name, record.levelname, marks=marks, detail=detail)


def _text(record: logging.LogRecord) -> str:
    """The message with its arguments filled in, and the traceback it carries."""
    try:
        text = record.getMessage()
    except Exception as error:  # a bot's bad format string: logging itself would only print it
        text = f"{record.msg!r} {record.args!r} ({type(error).__name__}: {error})"
    if record.exc_info and record.exc_info[0] is not None:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info))
    return text


class LogProbe:
    """Watches sink ``log``. Surfaces are logger names, keys are level names."""

    sink = "log"

    def __init__(self) -> None:
        self._handler = _Handler(level=logging.NOTSET)

    def install(self, facts: Facts) -> None:
        """Nothing yet: a handler at the root would turn the bot's own `basicConfig` into a no-op."""

    def booted(self, roots: Sequence[Path]) -> None:
        """Nothing yet: outside a run there is nobody to report to."""

    def begin(self, folder: Path) -> None:
        """Listen where records stop: at the root logger and at loggers that do not propagate."""
        self._attach()

    def between(self) -> None:
        """Listen again: loggers may have come or been set up anew."""
        self._attach()

    def finish(self) -> None:
        """Stop listening."""
        for logger in _ends():
            logger.removeHandler(self._handler)

    def plant(self, folder: Path) -> None:
        """Log one line."""
        logging.getLogger(PLANT).warning("planted")

    def _attach(self) -> None:
        for logger in _ends():
            if self._handler not in logger.handlers:
                logger.addHandler(self._handler)


def _ends() -> list[logging.Logger]:
    """The loggers where records stop: the root, and those that do not propagate."""
    known = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    return [logging.root, *(logger for logger in known if not logger.propagate)]
