"""report.json: the report model as it is, indented, so that it diffs well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


def write(report: dict[str, Any], out: Path) -> Path:
    """Write `out`/report.json; returns its path. The same report gives the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return path
