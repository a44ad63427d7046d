"""What the commands share: errors as exit statuses, common options, progress, Ctrl-C."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from harness import catalogue
from harness.errors import IsolationError, told
from harness.pool import Pool
from harness.profiles import Progress

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

CLOSED = 141
"""Exit status where nobody reads the output any more (``| head``), as shells have it."""

PATH = click.Path(path_type=Path)


class Group(click.Group):
    """Turns the harness's errors into one message and the documented exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IsolationError as error:
            fail(str(error), error.status)
        except KeyboardInterrupt:
            fail("interrupted; nothing more is written", INTERRUPTED)
        except BrokenPipeError:
            # Nothing is left to flush when Python ends; by itself it would complain, and exit with 1 or 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(CLOSED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            # Python's own status would be 1, which says that something is open.
            traceback.print_exc()
            fail(f"stopped by a mistake of the harness or of the target: {told(error)}; nothing was shown", 3)


def fail(message: str, status: int) -> NoReturn:
    """One message on standard error, and the end."""
    click.echo(f"isolation: {message}", err=True)
    sys.exit(status)


def examples(text: str) -> str:
    """An epilog that keeps its lines: one example each."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())


def checkout_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--root`` and ``--db-root``."""
    command = click.option("--db-root", type=PATH, help="Checkout of the bot's database package, where it has one.")(
        command
    )
    return click.option("--root", type=PATH, help="Checkout of the bot. It is copied, never written to.")(command)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--target``, ``--root`` and ``--db-root``."""
    return click.option(
        "--target",
        "target_name",
        default=catalogue.DEFAULT_TARGET,
        show_default=True,
        help="An installed target (see `isolation targets`) or module:Class.",
    )(checkout_options(command))


def replay_command(out: Path, target_name: str, known_as: str, root: Path | None, db_root: Path | None) -> str:
    """The command that replays a witness below `out`; ``{witness}`` stands for its path there. `known_as` is the name
    that witnesses carry: where it is what the user gave, it need not be said again."""
    words = ["isolation", "replay", f"{out.as_posix()}/WITNESS"]
    for option, value in (
        ("--target", target_name if target_name != known_as else None),
        ("--root", root),
        ("--db-root", db_root),
    ):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words).replace("WITNESS", "{witness}")


def terminal() -> tuple[int, bool]:
    """Width and whether colours are wanted on standard output."""
    live = sys.stdout.isatty()
    return (shutil.get_terminal_size().columns if live else 100), live and not os.environ.get("NO_COLOR")


SPACING = 30.0
"""Seconds between two lines of progress in a log."""


class Ticker:
    """Progress on standard error: one line that is replaced on a terminal; where it is kept, a line each `SPACING`."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.last = 0.0
        self.written = time.monotonic()

    def say(self, text: str) -> None:
        """Replace the line of progress."""
        if self.live:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
        elif text and time.monotonic() - self.written >= SPACING:
            self.written = time.monotonic()
            click.echo(text, err=True)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.last < 0.2:
            return
        self.last = now
        left = f", {progress.seconds_left:.0f} s left" if progress.phase == "plans" else ""
        self.say(
            f"{progress.phase}: {progress.plans}/{progress.total}, {progress.steps} steps, "
            f"{progress.findings} findings so far{left}"
        )

    def end(self) -> None:
        """Clear the line of progress."""
        self.say("")


class Interrupt:
    """Ctrl-C during a campaign. The first one asks for an end: no plan is started any more, what was found is written.
    The second one quits at once. A context manager; outside of it Ctrl-C does what it always does.

    A signal that cut into the talk with the zygote would garble it; therefore the first one only sets a flag, which
    the campaign meets between two plans.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.asked = False
        self._former: Any = None

    def __enter__(self) -> Interrupt:
        self._former = signal.signal(signal.SIGINT, self._caught)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.signal(signal.SIGINT, self._former)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            _say("isolation: quit; nothing more is written")
            self.pool.close(patience=1)
            os._exit(INTERRUPTED)
        self.asked = True
        _say("isolation: stopping after the plans under way; Ctrl-C again quits at once")

    def check(self) -> None:
        """Raise KeyboardInterrupt when Ctrl-C was pressed."""
        if self.asked:
            raise KeyboardInterrupt


def _say(text: str) -> None:
    # Not through a buffered stream: a signal may come while that stream is being written.
    os.write(2, f"\n{text}\n".encode())
