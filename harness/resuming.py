"""A run that was cut short: what it was asked for, kept beside what it played, so that it can be gone on with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import harness
from harness import memory
from harness.errors import UsageError
from harness.memory import Memory

FOLDER = "resume"
"""Folder beside the report; there from the start of a run to its orderly end."""

SESSION_SCHEMA = "isolation-session/1"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `isolation run` was asked for, as far as it decides what is played and judged."""

    target_name: str
    root: str | None = None
    db_root: str | None = None
    profile: str
    seed: int
    minutes: float | None = None
    plans: int | None = None
    pattern: str = "*"
    revision: str | None = None
    overlays: tuple[str, ...] = ()
    no_fork: bool = False
    jobs: int | None = None
    baseline_file: str | None = None
    fail_on: str = "new"
    formats: tuple[str, ...] = ()
    replay_hint: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A run: its options, and on what it began. `sittings` counts how often it was gone on with."""

    options: Options
    target_version: str
    harness_version: str
    started: str
    sittings: int = 0
    schema: str = SESSION_SCHEMA


def begin(out: Path, options: Options, target_version: str, started: str) -> Memory:
    """Start keeping a run whose report goes to `out`; what an earlier one left there is dropped."""
    end(out)
    made = memory.create(out / FOLDER)
    paths = {name: getattr(options, name) for name in ("root", "db_root", "baseline_file")}
    whole = {name: str(Path(path).resolve()) for name, path in paths.items() if path is not None}
    session = Session(
        options=msgspec.structs.replace(options, **whole),
        target_version=target_version,
        harness_version=harness.__version__,
        started=started,
    )
    _write(out, session)
    return made


def left(out: Path) -> bool:
    """Whether a run that was cut short there had played anything."""
    return memory.holds(out / FOLDER)


def load(out: Path) -> Session:
    """The run that was cut short in `out`. Raises UsageError that says what to do when there is none, or one that
    cannot be read."""
    path = out / FOLDER / "session.json"
    if not path.is_file():
        said = "it holds a finished report" if (out / "report.json").is_file() else "no run was cut short there"
        raise UsageError(f"there is nothing to resume in {out}: {said}; give the --out folder of an interrupted run")
    try:
        session = msgspec.json.decode(path.read_bytes(), type=Session)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path} is damaged: {error}; start the run anew without --resume") from error
    if (session.schema, session.harness_version) != (SESSION_SCHEMA, harness.__version__):
        raise UsageError(
            f"the run in {out} was begun by harness {session.harness_version}, this is {harness.__version__}; "
            "start it anew without --resume"
        )
    return session


def recall(out: Path, session: Session, target_version: str) -> Memory:
    """What that run has played. Raises UsageError when the bot is another by now, or what was kept is damaged."""
    if session.target_version != target_version:
        raise UsageError(
            f"the run in {out} was begun on {session.target_version}, this is {target_version}; what was played does "
            "not hold for it: start the run anew without --resume"
        )
    recalled = memory.recall(out / FOLDER)
    _write(out, msgspec.structs.replace(session, sittings=session.sittings + 1))
    return recalled


def end(out: Path) -> None:
    """The run came to its orderly end, or is not to be gone on with."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def merged(session: Session, given: Mapping[str, Any]) -> Options:
    """The run's options, with those `given` now in the place of some."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return msgspec.structs.replace(session.options, **plain)


def _write(out: Path, session: Session) -> None:
    path = out / FOLDER / "session.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(session, order="sorted"), indent=1) + b"\n")
