"""Finds targets and report writers: entry points of installed packages, or ``module:Class``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.target import Target

TARGETS = "isolation.targets"
REPORTS = "isolation.reports"
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
    """The target itself, not booted: for its declarations only."""
    module, _, name = spec.partition(":")
    try:
        factory: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"target {spec!r} cannot be imported: {error}") from error
    made: Target = factory(root=root, db_root=db_root)
    return made


def writers() -> dict[str, Callable[..., Any]]:
    """Installed report writers by format name."""
    return {point.name: point.load() for point in sorted(entry_points(group=REPORTS), key=lambda p: p.name)}
