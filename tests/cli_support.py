"""Runs the command line in this process, and keeps one report with a leak for the tests that only read one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from harness import reporting
from harness.cli import main
from harness.finding import Finding
from harness.plan import Plan
from harness.record import RunRecord
from harness.trace import Site
from harness.witness import Witness, save
from tests.cli_target import SPEC
from tests.sample_record import make_record

FAST = ("--target", SPEC, "--plans", "15", "--jobs", "1")
LEAK = ("--overlay", "last-text")

FOUND = Finding(
    rule="canary-flow",
    sink="outbound",
    entry="api",
    dimension="T",
    source="A",
    observer="B",
    surface="wire",
    key="",
    site=Site("tiny_target.py", 1, "TinyTarget.deliver"),
    message="",
)
"""What that overlay makes the harness find."""


def isolation(*arguments: str | Path, input: str = "") -> Result:
    """One call of the command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)


def report_of(folder: Path) -> dict[str, Any]:
    """The report.json of a folder."""
    made: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return made


def write_sample(folder: Path, record: RunRecord | None = None) -> Path:
    """A report folder without a run."""
    reporting.write(reporting.make(record or make_record()), folder)
    return folder


@cache
def leaking_plan() -> Plan:
    """A plan that shows the leak of the overlay ``last-text``."""
    from harness.plan import Step
    from harness.principal import TwinSpec

    steps = tuple(Step(entry="api", action="echo", who=who, payload={"text": "{message}"}) for who in ("A", "B"))
    return Plan(twins=TwinSpec(), steps=steps, overlays=("last-text",))


def write_witness(folder: Path, **changes: Any) -> Path:
    """A witness of that leak."""
    fields: dict[str, Any] = {
        "fingerprint": FOUND.fingerprint,
        "target": "tiny",
        "target_version": "tiny",
        "rule": "canary-flow",
        "message": "A's message stands in outbound wire of B",
        "plan": leaking_plan(),
    }
    return save(Witness(**{**fields, **changes}), folder)
