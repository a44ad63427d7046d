"""Hands a record to the installed report writers. The writers live elsewhere and are found by entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import catalogue
from harness.errors import UsageError
from harness.record import RunRecord


def write_all(record: RunRecord, out: Path, formats: tuple[str, ...] = ()) -> dict[str, Any]:
    """Write the record in `formats` (default: all installed) and return the report as plain data."""
    known = catalogue.writers()
    if "model" not in known:
        raise UsageError("no report writers are installed; run pip install -e . in the harness's checkout")
    report: dict[str, Any] = known["model"](record)
    for name in formats or tuple(n for n in known if n not in ("model", "summary")):
        if name not in known:
            raise UsageError(f"no report format is called {name!r}; installed: {', '.join(sorted(known))}")
        known[name](report, out)
    return report


def summary(report: dict[str, Any]) -> str:
    """The console summary, verdict first."""
    known = catalogue.writers()
    return str(known["summary"](report)) if "summary" in known else ""
