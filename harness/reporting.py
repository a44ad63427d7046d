"""Hands a record to the installed report writers. The writers live elsewhere and are found by entry point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness import catalogue
from harness.baseline import Applied
from harness.errors import UsageError
from harness.plan import Plan
from harness.record import FindingRecord, ItemRecord, Performance, RunInfo, RunRecord, Soundness
from harness.target import Target
from harness.trace import Site

NO_FORMAT = ("model", "summary")
"""Entry points of the group that are no file formats."""

SELECTION = "selection"
"""Key of the run's environment that says which part of the risk map was decided; absent when all of it was."""


def formats() -> tuple[str, ...]:
    """The installed file formats."""
    return tuple(name for name in catalogue.writers() if name not in NO_FORMAT)


def check_formats(wanted: Iterable[str]) -> None:
    """Raise UsageError when one of these is not installed."""
    known = formats()
    for name in wanted:
        if name not in known:
            raise UsageError(f"no report format is called {name!r}; installed: {', '.join(known) or 'none'}")


def make(
    record: RunRecord, *, applied: Applied | None = None, roots: Sequence[Path] = (), replay: str = ""
) -> dict[str, Any]:
    """The report of a record as plain data. `roots` hold the bot's code as it ran; `replay` is the command shown for a
    witness, with ``{witness}`` for its path."""
    known = catalogue.writers()
    if "model" not in known:
        raise UsageError("no report writers are installed; run pip install -e . in the harness's checkout")
    options: dict[str, Any] = {"replay": replay} if replay else {}
    report: dict[str, Any] = known["model"](record, applied=applied, source_root=tuple(roots), **options)
    return report


def write(report: dict[str, Any], out: Path, wanted: Sequence[str] = ()) -> None:
    """Write the report in these formats (default: all installed). Raises UsageError when `out` cannot be written."""
    check_formats(wanted)
    known = catalogue.writers()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in wanted or formats():
            known[name](report, out)
    except OSError as error:
        raise UsageError(
            f"report folder {out} cannot be written: {error.strerror or error}; give another --out"
        ) from error


def summary(report: dict[str, Any], *, width: int = 100, colour: bool = False) -> str:
    """The console summary, verdict first."""
    known = catalogue.writers()
    return str(known["summary"](report, width=width, colour=colour)) if "summary" in known else ""


def load(folder: Path) -> dict[str, Any]:
    """The report in a run's folder. Raises UsageError when it is missing or malformed."""
    report: dict[str, Any] = catalogue.reporting("load")(folder)
    return report


def redact(report: dict[str, Any], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """A copy of the report that may be published; `secrets` are removed wherever they stand."""
    clean: dict[str, Any] = catalogue.reporting("redact")(report, secrets)
    return clean


def diff(old: dict[str, Any], new: dict[str, Any]) -> Any:
    """What changed between two reports: an object with `text()` and `regressed`."""
    return catalogue.reporting("diff")(old, new)


def secrets_of(target: Target, plans: Iterable[bytes]) -> set[str]:
    """Every planted secret and credential of the twins of these plans."""
    found: set[str] = set()
    for spec in {Plan.from_json(plan).twins for plan in plans}:
        twins = target.twins(spec)
        for who in (twins.a, twins.b):
            found.update(who.secrets.values(), (who.credential,))
    return found


def record_of(report: dict[str, Any]) -> RunRecord:
    """The part of a record that a baseline is held against, read back from a report. Verdicts are the run's own: what
    its baseline waived is open again."""
    items = [
        {**item, "verdict": "open" if item["verdict"] == "waived" else item["verdict"], "waiver": None}
        for item in report["items"]
    ]
    findings = []
    for finding in report["findings"]:
        site = finding["site"]
        plain = {**finding, "site": Site(site["file"], site["line"], site["function"]), "timeline": ()}
        findings.append(FindingRecord(**{name: _tuple(plain[name]) for name in FindingRecord.__struct_fields__}))
    return RunRecord(
        run=msgspec.convert(report["run"], RunInfo),
        items=msgspec.convert(items, tuple[ItemRecord, ...]),
        matrix=(),
        findings=tuple(findings),
        errors=(),
        soundness=Soundness(),
        performance=Performance(),
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
