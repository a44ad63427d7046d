"""Why a replay differs: the plan is played again under sensors, and what was touched before the runs part is named.

Two forks of one zygote are held against each other first, then another process, then another hash seed. Where the
difference begins to show narrows down what can be its source: forks share memory and hash seed but neither clock,
entropy nor number; processes do not share addresses either; and what only a hash seed changes is hash order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from harness.plan import Plan
from harness.pool import HASH_SEED, Outcome, Pool
from harness.sensing import BOOT, Touch
from harness.trace import Access, Site, Trace

LIMIT = 900.0
"""Wall seconds a run under sensors may take."""

OTHER_SEED = "1" if HASH_SEED != "1" else "2"

Level = Literal["fork", "process", "seed", ""]
Source = Literal["thread", "clock", "unseeded random", "hash order", "process number", "file system", "other"]

_NAMES: dict[str, Source] = {
    "thread": "thread", "clock": "clock", "random": "unseeded random", "order": "hash order", "address": "hash order",
    "process": "process number", "files": "file system",
}  # fmt: skip
_STRONG = ("thread", "clock", "random", "process")
_AGAINST = {
    "fork": "two forks of one process",
    "process": "two processes under one hash seed",
    "seed": "two hash seeds",
}
_REMEDY: dict[Source, str] = {
    "thread": "have the target run that work on the loop (an executor's jobs do), or replace it",
    "clock": "have the target replace it by a clock that the harness freezes (time.time, time.monotonic, datetime.now)",
    "unseeded random": "have the target replace it by the random module, os.urandom or uuid4, which the harness seeds",
    "hash order": "have the bot sort before it goes through it, or the target replace it",
    "process number": "have the target replace it by something constant",
    "file system": "have the target replace it, or the bot sort what it lists",
    "other": "look at the code there for what need not answer the same twice",
}
_HIDDEN = (
    "What hangs on how busy the machine is (a thread, a real wait) may hide under sensors; replay with more --times"
)

_SQL = (
    ("clock", re.compile(r"\b(current_timestamp|current_date|current_time)\b|'now'|\bnow\s*\(", re.IGNORECASE)),
    ("random", re.compile(r"\brandom(blob)?\s*\(", re.IGNORECASE)),
)
"""What a database makes up for itself."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where two runs of one plan part: at access number `seq`, of which flow, and what each met there."""

    seq: int
    lineage: str
    site: Site
    one: str
    two: str

    def told(self) -> str:
        """In words."""
        where = f" at {_place(self.site)}" if self.site.file else ""
        return f"access {self.seq}{where}: {self.one} against {self.two}"


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The source of what differs between replays, as far as it can be told. `what` was touched at `site` in the flow
    `lineage`; `level` says between which runs the difference shows. `besides` are other candidates."""

    source: Source
    level: Level
    what: str
    site: Site
    lineage: str
    difference: Difference | None
    besides: tuple[str, ...] = ()

    def told(self) -> str:
        """In one sentence, with what to do."""
        if not self.level:
            without = f"; without sensors they parted at {self.difference.told()}" if self.difference else ""
            return f"the source did not show: no two replays under sensors part{without}. {_HIDDEN}"
        parts = [f"the source is {self.source}"]
        if self.what:
            parts.append(f"{self.what} at {_place(self.site)} in {self.lineage}")
        elif self.site.file:
            parts.append(f"shown at {_place(self.site)} in {self.lineage}; nothing known was touched before it")
        told = ": ".join(parts)
        told += f"; {_AGAINST[self.level]} part"
        if self.difference is not None:
            told += f" at {self.difference.told()}"
        if self.besides:
            told += f"; touched before it as well: {', '.join(self.besides)}"
        return f"{told}. To end it {_REMEDY[self.source]}"


def first_difference(one: Trace, two: Trace) -> Difference | None:
    """Where two traces of one plan part, lines left aside; None where they are equal."""
    mine, theirs = one.lines(), two.lines()
    if mine == theirs:
        return None
    count = min(len(one.accesses), len(two.accesses))
    for index in range(count):
        if mine[index] != theirs[index]:
            return _parted(one.accesses[index], two.accesses[index])
    if len(one.accesses) != len(two.accesses):
        longer = one if len(one.accesses) > count else two
        access = longer.accesses[count]
        texts = (_said(access), "nothing further") if longer is one else ("nothing further", _said(access))
        return _difference(access, *texts)
    return _seen_differently(one, two)


def diagnose(pool: Pool, plan: Plan, seen: Difference | None = None) -> Diagnosis:
    """Play `plan` in fresh zygotes like `pool`'s, under sensors, until two runs part, and name what was touched before.
    `seen` is where replays parted without sensors. Takes a boot or three, each some times as long as without
    sensors."""
    with pool.fresh(sensing=True) as first:
        runs = _runs(first, plan, 2 if pool.fork else 1)
        if len(runs) < 2 and pool.fork:
            return _unknown("", seen)
        if pool.fork and (parted := first_difference(*_traces(runs))):
            return named(parted, runs[0].touches, runs[1].touches, "fork", runs[0].trace)
    settings: tuple[tuple[Level, str], ...] = (("process", HASH_SEED), ("seed", OTHER_SEED))
    for level, seed in settings:
        with pool.fresh(sensing=True, hash_seed=seed) as other:
            again = _runs(other, plan, 1)
        if not (runs and again):
            continue
        if parted := first_difference(*_traces([runs[0], again[0]])):
            return named(parted, runs[0].touches, again[0].touches, level, runs[0].trace)
    return _unknown("", seen)


def named(
    parted: Difference, one: Sequence[Touch], two: Sequence[Touch], level: Level, trace: Trace | None = None
) -> Diagnosis:
    """The source of a difference, from what two runs touched before they parted. Pure."""
    before = [touch for touch in one if touch.seq <= parted.seq]
    if trace is not None:
        before = sorted([*before, *_in_statements(trace, parted.seq)], key=lambda touch: touch.seq)
    orders = _other_orders(before, two)
    if level == "seed":
        ranks = [orders, [touch for touch in before if touch.source == "order" and not touch.value]]
    elif level == "process":
        numbers = [t for t in before if t.source in _STRONG and (t.seq == BOOT or t.source == "process")]
        ranks = [[*numbers, *orders], [t for t in before if t.source in ("order", "address") and not t.value]]
        ranks.append([touch for touch in before if touch.source == "files"])
    else:
        strong = [touch for touch in before if touch.source in _STRONG and touch.seq != BOOT]
        ranks = [[*strong, *orders], [touch for touch in before if touch.source == "files" and touch.seq != BOOT]]
        ranks.append([touch for touch in before if touch.source == "address" and touch.seq != BOOT])
    for candidates in ranks:
        if candidates:
            return _nearest(parted, candidates, level)
    return _unknown(level, parted)


def _nearest(parted: Difference, candidates: Sequence[Touch], level: Level) -> Diagnosis:
    """The last touch before the runs part, in the flow that parts where it touched anything."""
    own = [touch for touch in candidates if touch.lineage == parted.lineage]
    chosen = sorted(own or candidates, key=lambda touch: touch.seq)[-1]
    besides = {f"{t.what} at {_place(t.site)}": None for t in candidates if t.source != chosen.source}
    return Diagnosis(
        source=_NAMES[chosen.source], level=level, what=chosen.what, site=chosen.site, lineage=chosen.lineage,
        difference=parted, besides=tuple(besides)[:3],
    )  # fmt: skip


def _unknown(level: Level, parted: Difference | None) -> Diagnosis:
    return Diagnosis(
        source="hash order" if level == "seed" else "other", level=level, what="",
        site=parted.site if parted else Site("", 0, ""), lineage=parted.lineage if parted else "", difference=parted,
    )  # fmt: skip


def _other_orders(before: Sequence[Touch], two: Sequence[Touch]) -> list[Touch]:
    """Sets that one run went through in another order than the other."""
    theirs = {key: touch.value for key, touch in _numbered(two)}
    mine = [(key, touch) for key, touch in _numbered(before) if touch.source == "order" and touch.value]
    return [touch for key, touch in mine if theirs.get(key, touch.value) != touch.value]


def _numbered(touches: Sequence[Touch]) -> Iterator[tuple[tuple[str, str, int, str, int], Touch]]:
    """Touches with what tells them apart in every run."""
    counts: dict[tuple[str, str, int, str], int] = {}
    for touch in touches:
        place = (touch.what, touch.site.file, touch.site.line, touch.lineage)
        number = counts[place] = counts.get(place, -1) + 1
        yield (*place, number), touch


def _in_statements(trace: Trace, last: int) -> Iterator[Touch]:
    for access in trace.accesses[: last + 1]:
        statement = access.detail.get("sql")
        if access.sink != "row" or not isinstance(statement, str):
            continue
        for source, pattern in _SQL:
            if found := pattern.search(statement):
                yield Touch(source, f"{found[0]} in a statement", access.site, access.lineage, access.seq)


def _seen_differently(one: Trace, two: Trace) -> Difference:
    """Equal accesses, and yet another text reached somebody, or something else went wrong."""
    for label in sorted(one.observed):
        sent = [access for access in one.accesses if access.sink == "outbound" and access.new_owner == label]
        for number, (mine, theirs) in enumerate(zip(one.observed[label], two.observed.get(label, ()), strict=False)):
            if mine != theirs:
                access = sent[number] if number < len(sent) else None
                texts = [f"{label} was sent {text[:80]!r}" for text in _around(mine, theirs)]
                if access is not None:
                    return _difference(access, *texts)
                return Difference(
                    seq=len(one.accesses), lineage=label, site=Site("", 0, ""), one=texts[0], two=texts[1]
                )
    faults = ["; ".join(f"{f.kind}: {f.message}" for f in trace.faults) or "no fault" for trace in (one, two)]
    return Difference(seq=len(one.accesses), lineage="", site=Site("", 0, ""), one=faults[0], two=faults[1])


def _around(one: str, two: str) -> tuple[str, str]:
    """Both texts from a little before the place where they part."""
    place = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    start = max(0, place - 20)
    return one[start:], two[start:]


def _parted(one: Access, two: Access) -> Difference:
    mine, theirs = _said(one), _said(two)
    if mine == theirs:
        fields = ("step", "actor", "ambient", "lineage", "owner", "new_owner", "marks", "site", "time")
        differing = [n for n in fields if getattr(one, n) != getattr(two, n)]
        mine, theirs = (f"{_said(a)} ({', '.join(f'{n} {getattr(a, n)}' for n in differing)})" for a in (one, two))
    return _difference(one, mine, theirs)


def _difference(access: Access, one: str, two: str) -> Difference:
    return Difference(seq=access.seq, lineage=access.lineage, site=access.site, one=one, two=two)


def _said(access: Access) -> str:
    return f"{access.op} {access.sink} {access.surface}" + (f" [{access.key}]" if access.key else "")


def _place(site: Site) -> str:
    return f"{site.file}:{site.line} in {site.function}"


def _runs(pool: Pool, plan: Plan, count: int) -> list[Outcome]:
    return [outcome for outcome in pool.map([plan] * count, limit=LIMIT) if outcome.trace is not None]


def _traces(outcomes: Sequence[Outcome]) -> tuple[Trace, Trace]:
    one, two = (outcome.trace for outcome in outcomes)
    assert one is not None and two is not None
    return one, two
