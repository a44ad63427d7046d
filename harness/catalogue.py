"""Finds targets and report writers: entry points of installed packages, or ``module:Class``."""

from __future__ import annotations

import fnmatch
import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import contract
from harness.errors import IsolationError, UsageError, told
from harness.target import Target

TARGETS = "isolation.targets"
REPORTS = "isolation.reports"
REPORTING = "isolation.reporting"
DEFAULT_TARGET = "reference"


def target_specs() -> dict[str, str]:
    """Installed targets: name -> ``module:Class``."""
    return {point.name: point.value for point in sorted(entry_points(group=TARGETS), key=lambda p: p.name)}


def target_spec(name: str) -> str:
    """``module:Class`` of a target named on the command line. Raises UsageError on an unknown name."""
    if ":" in name:
        return name
    known = target_specs()
    if name not in known:
        raise UsageError(
            f"no target is called {name!r}; installed: {', '.join(known) or 'none (run pip install -e .)'}; "
            "somebody else's bot is given as module:Class"
        )
    return known[name]


def make_target(spec: str, root: Path | None, db_root: Path | None) -> Target:
    """The target itself, not booted: for its declarations only. Raises UsageError when it cannot be imported or made,
    or does not keep to the contract as far as that shows now."""
    made = built(spec, root, db_root)
    contract.check(made, spec)
    return made


def built(spec: str, root: Path | None, db_root: Path | None) -> Target:
    """The target as its class makes it, asked for nothing: whoever boots it has asked before. Raises UsageError where
    there is no such class or it is no target."""
    module, _, name = spec.partition(":")
    try:
        factory: Any = getattr(_imported(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"target {spec!r} cannot be imported: {error}; module:Class is looked up on Python's path "
            "and in the working folder"
        ) from error
    except Exception as error:
        raise UsageError(f"target {spec!r} cannot be imported: {told(error)}; its module has to be mended") from error
    try:
        made: Target = factory(root=root, db_root=db_root)
    except IsolationError:
        raise
    except Exception as error:
        raise UsageError(
            f"target {spec!r} cannot be made: {told(error)}; it is called with root and db_root (a folder or None each)"
        ) from error
    lacking = sorted(name for name in vars(Target) if not name.startswith("_") and not hasattr(made, name))
    if lacking:
        raise UsageError(f"{spec!r} is no target: it lacks {', '.join(lacking)} (required; see docs/drive-your-bot.md)")
    return made


def overlays_named(target: Target, called: str, globs: Sequence[str]) -> tuple[str, ...]:
    """Names of the target's overlays that match one of the globs, each once: in the order of the globs, then in the
    target's (`called`: how it was given). Raises UsageError when one matches none."""
    known = [overlay.name for overlay in target.overlays()]
    found: dict[str, None] = {}
    for glob in globs:
        matching = fnmatch.filter(known, glob)
        if not matching:
            raise UsageError(
                f"target {called} has no overlay {glob!r}; `isolation overlays --list --target {called}` names them"
            )
        found.update(dict.fromkeys(matching))
    return tuple(found)


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        here = str(Path.cwd())
        if here in sys.path or error.name != module.partition(".")[0]:
            raise
        # The installed command does not look where it was called, unlike `python -m`; last, so that it hides nothing.
        sys.path.append(here)
        return importlib.import_module(module)


def writers() -> dict[str, Callable[..., Any]]:
    """Installed report writers by format name."""
    return {point.name: point.load() for point in sorted(entry_points(group=REPORTS), key=lambda p: p.name)}


def reporting(name: str) -> Callable[..., Any]:
    """What reads, compares or redacts reports. Raises UsageError when it is not installed."""
    for point in entry_points(group=REPORTING, name=name):
        made: Callable[..., Any] = point.load()
        return made
    raise UsageError(f"nothing installed can {name} reports; run pip install -e . in the harness's checkout")
