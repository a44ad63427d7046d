"""What A observes in a run, as plain data that two runs can be held against each other by.

Observed is what leaves for A (messages, answers of its steps), what models are asked for it, how its steps end, and
what it holds when the run is over, rows and files, or has lost. Nobody sees how the bot keeps them: not its caches, its
logs, the numbers that its database gives to rows, nor when by the clock something happened.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence

import msgspec

from harness.holdings import Holding
from harness.principal import Label
from harness.probes.paths import pattern_of
from harness.rules._evidence import Evidence
from harness.trace import Access, Trace

TIME = "<time>"

FOLDER = "<folder>"

WINDOW = 400 * 86400.0
"""Seconds after the start of virtual time within which a number or date counts as a time of the run."""

_NUMBER = re.compile(r"(?<![\w.])\d{10}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?(?![\w.])")
_DATE = re.compile(
    r"(?<!\d)(\d{4})([-/.年]?)(\d{2})([-/.月]?)(\d{2})日?"
    r"(?:[T _-]{0,2}\d{2}[:时h]?\d{2}(?:[:分]?\d{2}(?:[.,]\d{1,9})?)?秒?)?(?:Z|[+-]\d{2}:?\d{2})?(?!\d)"
)
_PRIVATE = re.compile(r"(?:/[^\s/\"']+)*/isolation-\w+/run-\d+(?![\w-])")
"""The private folder of a run, as `harness.pool` and `harness.zygote` name it."""
_CLOCK = re.compile(r"(?<![\d:.])[0-2]?\d:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?![\d:])")


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that A observes. `sink` is ``prompt``, ``outbound``, ``row``, ``file`` or ``outcome`` (how a step
    ended); `text` is what it says, normalised. `seq` is the access that shows it, or the last one before it (-1: none),
    `at` the virtual time and `lineage` the flow of that access. `held` is what A has in the end, and so shows how it
    was last written only."""

    sink: str
    surface: str
    text: str
    at: float
    seq: int
    lineage: str
    held: bool = False

    @property
    def place(self) -> tuple[str, str]:
        """Where it is observed."""
        return (self.sink, self.surface)


def normal(text: str, epoch: float) -> str:
    """`text` with the times of the run in it (dates, clocks, seconds and milliseconds since 1970) as `TIME`, and the
    run's own folder as `FOLDER`."""

    def number(match: re.Match[str]) -> str:
        digits = match[0].partition(".")[0]
        seconds = float(match[0]) if len(digits) == 10 else int(digits) / 10 ** (len(digits) - 10)
        return TIME if epoch <= seconds <= epoch + WINDOW else match[0]

    def date(match: re.Match[str]) -> str:
        try:
            day = datetime.datetime(int(match[1]), int(match[3]), int(match[5]), tzinfo=datetime.UTC)
        except ValueError:
            return match[0]
        return TIME if -86400 <= day.timestamp() - epoch <= WINDOW else match[0]

    text = _PRIVATE.sub(FOLDER, text)
    return _CLOCK.sub(TIME, _DATE.sub(date, _NUMBER.sub(number, text)))


def observations(
    evidence: Evidence, holdings: Sequence[Holding], epoch: float, missing: Sequence[Holding] = ()
) -> list[Observation]:
    """Everything that A observes in a run, in order of time. What it holds comes at the time of its last write;
    what was laid there from outside is left out, unless it is `missing` in the end and the bot took it away."""
    found = [
        *_said(evidence, epoch), *_ended(evidence.trace, epoch), *_held(evidence, holdings, epoch),
        *_taken_away(evidence, missing, epoch),
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.at, one.seq))


def acts_for(evidence: Evidence, access: Access) -> Label | None:
    """For whom the code acted, however sure that is."""
    return evidence.claim(access).label


def _said(evidence: Evidence, epoch: float) -> Iterator[Observation]:
    for access in evidence.trace.accesses:
        if access.sink not in ("outbound", "prompt") or access.step == -2 or access.detail.get("split"):
            continue
        if access.detail.get("rendered"):
            continue  # an object handed to the code that called; nobody sees it
        if access.detail.get("raised"):
            continue  # told by how the step ended
        if (access.new_owner or acts_for(evidence, access)) == "A":
            text = normal(str(access.detail.get("text", "")), epoch)
            yield Observation(
                sink=access.sink, surface=access.surface, text=text, at=access.time, seq=access.seq,
                lineage=access.lineage,
            )  # fmt: skip


def _ended(trace: Trace, epoch: float) -> Iterator[Observation]:
    for record in trace.steps:
        if record.who == "A":
            lineage = f"A.{record.index}"
            mine = [a.seq for a in trace.accesses[record.first_seq : record.last_seq] if a.lineage == lineage]
            yield Observation(
                sink="outcome", surface=f"{record.entry}.{record.action}", at=record.ended,
                text=normal(f"step {record.index} {record.outcome} {record.detail}".strip(), epoch),
                seq=mine[-1] if mine else -1, lineage=lineage,
            )  # fmt: skip


def _held(evidence: Evidence, holdings: Sequence[Holding], epoch: float) -> Iterator[Observation]:
    written: dict[tuple[str, str, str], Access] = {}
    for access in evidence.trace.accesses:
        if access.sink in ("row", "file") and access.op == "write" and not access.detail.get("content"):
            written[access.sink, access.surface if access.sink == "row" else "", access.key] = access
    for holding in holdings:
        row = holding.sink == "row"
        last = written.get((holding.sink, holding.surface if row else "", holding.key))
        if last is None:
            continue  # laid there from outside; the bot had no hand in it
        yield Observation(
            sink=holding.sink, surface=holding.surface if row else pattern_of(holding.surface, evidence.trace.twins),
            text=normal(holding.text if row else f"{holding.key}\n{holding.text}", epoch),
            at=last.time, seq=last.seq, lineage=last.lineage, held=True,
        )  # fmt: skip


def _taken_away(evidence: Evidence, missing: Sequence[Holding], epoch: float) -> Iterator[Observation]:
    """What A had from outside and has no more."""
    had = {(one.sink, one.surface if one.sink == "row" else "", one.key): one for one in missing}
    for access in evidence.trace.accesses:
        if access.sink not in ("row", "file") or access.op != "delete" or access.owner != "A":
            continue
        gone = had.pop((access.sink, access.surface if access.sink == "row" else "", access.key), None)
        if gone is not None:
            what = gone.text if gone.sink == "row" else gone.key
            yield Observation(
                sink=access.sink, surface=access.surface, text=normal(f"deleted: {what}", epoch), at=access.time,
                seq=access.seq, lineage=access.lineage,
            )  # fmt: skip
