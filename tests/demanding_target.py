"""The well-behaved bot of the command line's tests, with demands of its documents beside its risk map."""

from __future__ import annotations

from pathlib import Path

from tests.cli_target import QuietTarget


class DemandingTarget(QuietTarget):
    """See the module docstring."""

    def risk_map(self) -> Path:
        return Path(__file__).parent / "demanding" / "risk_map.json"
