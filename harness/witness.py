"""Witness files: a shrunk plan with the fingerprint it shows, and the target it was found on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.finding import Finding, absorb, strength
from harness.plan import Plan
from harness.trace import Trace

WITNESS_SCHEMA = "isolation-witness/1"


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """One witness. `plan` reproduces `fingerprint` on `target`."""

    fingerprint: str
    target: str
    target_version: str
    rule: str
    message: str
    plan: Plan
    schema: str = WITNESS_SCHEMA


class Witnessed(msgspec.Struct):
    """A fingerprint under way: the first finding, the plan that showed it, all entries and dimensions that did; of
    each rule and dimension that show it the shortest plan (`besides`), so that a fix is held against all of them."""

    finding: Finding
    plan: Plan
    entries: set[str]
    dimensions: set[str]
    occurrences: int = 1
    replays: tuple[int, int] = (0, 0)
    trace: Trace | None = None
    besides: dict[tuple[str, str], Plan] = {}

    def met(self, finding: Finding, plan: Plan, trace: Trace) -> None:
        """The same finding on another plan. Its most telling rule speaks, on the shortest plan that shows it."""
        self.entries.add(finding.entry)
        self.dimensions.add(finding.dimension)
        self.occurrences += 1
        for rule in finding.rules:
            self.keep(rule, plan)
        if (strength(finding.rule), len(plan.steps)) < (strength(self.finding.rule), len(self.plan.steps)):
            self.finding, self.plan, self.trace = absorb(finding, self.finding), plan, trace
        else:
            self.finding = absorb(self.finding, finding)

    def keep(self, rule: str, plan: Plan) -> None:
        """Remember the plan for that rule and its twins' dimension, where it is the shortest so far."""
        shown = rule, plan.twins.dimension
        known = self.besides.get(shown)
        if known is None or len(plan.steps) < len(known.steps):
            self.besides[shown] = plan


def load(path: Path) -> Witness:
    """Read a witness file. Raises UsageError that says what is wrong with it."""
    try:
        witness = msgspec.json.decode(path.read_bytes(), type=Witness)
    except OSError as error:
        raise UsageError(f"witness {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise UsageError(f"witness {path} is corrupt: {error}; run the campaign again to write a new one") from error
    if witness.schema != WITNESS_SCHEMA:
        raise UsageError(f"witness {path} has schema {witness.schema!r}; this harness reads {WITNESS_SCHEMA}")
    return witness


def save(witness: Witness, folder: Path, name: str = "") -> Path:
    """Write ``folder/<name>.json``, named after the fingerprint where no name is given, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or witness.fingerprint}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(witness, order="sorted"), indent=1) + b"\n")
    return path
