"""Witnesses played again and again, in one process or several, and held against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness import pairs, riskmap, witness
from harness.diagnosis import Difference, first_difference
from harness.errors import IsolationError, UsageError
from harness.finding import Finding
from harness.judge import judge
from harness.pool import HASH_SEED, Pool
from harness.target import Target
from harness.trace import Trace
from harness.witness import Witness


class Replayed(msgspec.Struct):
    """A witness and what its replays showed: `hits` of `times` its finding, `alike` of them the same trace as the
    first. `moved` is what left the plan unplayed, `others` what was there instead; `trace` and `finding` are of the
    first replay that showed it, `parted` is where the first that differed did."""

    witness: Witness
    times: int = 0
    hits: int = 0
    alike: int = 0
    first: Trace | None = None
    finding: Finding | None = None
    trace: Trace | None = None
    parted: Difference | None = None
    moved: dict[str, str] = {}
    others: dict[str, str] = {}

    @property
    def steady(self) -> bool:
        """Whether all replays were the same."""
        return self.alike == self.times and self.hits in (0, self.times)

    def take(self, trace: Trace, findings: Iterable[Finding]) -> None:
        """Count one replay."""
        self.times += 1
        if self.first is None:
            self.first = trace
        parted = first_difference(self.first, trace)
        self.alike += parted is None
        self.parted = self.parted or parted
        _compare(trace, self.witness, self.moved, self.others)
        for finding in findings:
            if finding.fingerprint != self.witness.fingerprint:
                self.others[f"{finding.fingerprint} {finding.rule}"] = finding.message
                continue
            self.hits += 1
            if self.finding is None:
                self.finding, self.trace = finding, trace


def gather(paths: Sequence[Path]) -> list[Witness]:
    """The witnesses of files and folders (of a report's folder, those of its findings and of faults that were planted),
    each once. Raises UsageError where there is none, or where they are not all of one target."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            folders = [inner for inner in (path / "witnesses", path / "kills") if inner.is_dir()] or [path]
            found = [file for folder in folders for file in sorted(folder.glob("*.json"))]
            if not found:
                raise UsageError(f"there is no witness in {folders[0]}; give a witness file or a report's folder")
            files += found
        else:
            files.append(path)
    read = list({file: witness.load(file) for file in files}.values())
    names = sorted({one.target for one in read})
    if len(names) > 1:
        raise UsageError(f"the witnesses are of several targets ({', '.join(names)}); replay those of one at a time")
    return read


def shares(times: int, seeds: int) -> list[tuple[str, int]]:
    """Hash seeds, the harness's own first, and how many of `times` replays each gets."""
    count = min(seeds, times)
    first = int(HASH_SEED)
    return [(str(first + n), times // count + (n < times % count)) for n in range(count)]


def replay(
    boot: Callable[..., Pool],
    target: Target,
    witnesses: Sequence[Witness],
    times: int,
    seeds: int = 1,
    done: Callable[[Replayed], None] = lambda replayed: None,
) -> list[Replayed]:
    """Replay each witness `times` times, spread over `seeds` hash seeds, a fresh process (of `boot`) for each of these.
    `done` is called after each witness in each of them. Raises IsolationError when a replay does not end."""
    facts = target.facts()
    demands = riskmap.load(target.risk_map()).demands(facts.name)
    made = [Replayed(one, moved={}, others={}) for one in witnesses]
    for seed, count in shares(times, seeds):
        with boot(hash_seed=seed) as pool:
            for one in made:
                plans = [one.witness.plan] * count
                played: Any = pairs.judged(
                    pool, plans, facts, lambda trace: judge(trace, facts, demands), rule=one.witness.rule
                )
                for number, (outcome, findings) in enumerate(played):
                    if outcome.trace is None:
                        raise IsolationError(
                            f"replay {number + 1} of {count} of {one.witness.fingerprint} did not end: "
                            f"{outcome.status}: {outcome.detail}"
                        )
                    one.take(outcome.trace, findings)
                done(one)
    return made


def _compare(trace: Trace, found: Witness, moved: dict[str, str], others: dict[str, str]) -> None:
    """What did not take place as it did when the witness was found. In `moved` what leaves the plan unplayed, in
    `others` what a fix may well bring about: a request refused, a wrong identity turned away."""
    for fault in trace.faults:
        others[f"{fault.kind}: {fault.message}"] = fault.where
    for index, deviation in enumerate(found.plan.tape):
        if index not in trace.deviations:
            where = f" at {deviation.site}" if deviation.site else ""
            moved[f"the schedule's {deviation.kind} of {deviation.lineage}{where} met nothing"] = ""
    for record in trace.steps:
        if record.outcome != "ok":
            expected = record.outcome == "refused" or record.wrong or record.crossed
            said = f"step {record.index} ({record.entry} {record.action}) {record.outcome}"
            (others if expected else moved)[said] = record.detail
