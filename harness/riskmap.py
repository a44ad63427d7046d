"""The risk map: what the documents fear, made testable as explicit cells, and where each item lives in a bot."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

import msgspec

from harness.errors import UsageError
from harness.principal import DIMENSION_FIELDS
from harness.trace import SINKS

RISK_MAP_SCHEMA = "isolation-riskmap/1"

CONTEXT = "context"
"""Sink of a cell that is no place, but a claim about the bot's context."""

Predicate = Literal["apart", "absent", "refuses", "registers_only"]


class Cell(msgspec.Struct, frozen=True, kw_only=True, order=True, forbid_unknown_fields=True):
    """One testable claim. *apart*: twins never meet there; *absent*: this is never written; *refuses*: the call
    without or with the wrong identity fails and the right one works; *registers_only*: a start-up handler touches
    no tenant state. `sink` may be ``context``: no place, but a claim about the ambient context at the item's
    accesses of any sink."""

    sink: str
    entry: str
    dimension: str = "T"
    predicate: Predicate = "apart"


class Pattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an item lives in one bot. An access matches when its sink is `sink` (``*``: any), its surface matches
    the glob `surface` and some frame of its stack (``path:function``) matches the glob `site`. Where much passes
    that is no matter of the item's (a prompt, a way out), `holds` are globs of the secrets it speaks of, by slot: a
    finding there is the item's only when it showed one of them, or does not tell which it showed."""

    sink: str = "*"
    surface: str = "*"
    site: str = "*"
    holds: tuple[str, ...] = ("*",)

    def matches(self, sink: str, surface: str, stack: Iterable[str]) -> bool:
        """Whether an access with these belongs to the pattern."""
        if self.sink not in ("*", sink):
            return False
        if self.surface != "*" and not _glob(self.surface).match(surface):
            return False
        return self.site == "*" or any(self.stands_at(frame) for frame in stack)

    def speaks_of(self, slots: Collection[str]) -> bool:
        """Whether a place that showed the secrets of these slots (none: which is not known) may be meant."""
        return not slots or any(fnmatch.filter(slots, glob) for glob in self.holds)

    def stands_at(self, frame: str) -> bool:
        """Whether the site is that frame's (``path:function``)."""
        return _glob(self.site).match(frame) is not None

    def lies_in(self, path: str) -> bool:
        """Whether the site's file is that one."""
        return _glob(self.site.partition(":")[0]).match(path) is not None


class Lack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What cells of an item speak of and one bot does not have: nothing on `entry` leads to the item's places on
    `sink`, because of `why`; with `dimension` cells of that alone. A claim about the bot's code, and one that a run can
    refute: a cell that is reached counts, one on configuration as soon as it shows a value of anybody's own."""

    sink: str
    entry: str
    why: str
    dimension: str = ""


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot's own documents say of the item: raw, dated, and never a verdict."""

    say: str = ""
    status: str = ""
    disagree: bool = False
    source: str = ""


class RiskItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the risk map. `places` maps a target's name to the patterns under which the item is found there;
    a target that is not named has no such module. `lacks` maps a target's name to what its cells speak of and that bot
    has not, `notes` to why a cell is out of reach there, where that needs saying. `rules` are globs of the rules by
    which its defect shows; findings of others at its places are another item's."""

    id: str
    group: str
    generation: str
    module: str
    cells: tuple[Cell, ...]
    defect: str
    mitigation: str
    basis: str = ""
    documents: Documents = Documents()
    places: dict[str, tuple[Pattern, ...]] = {}
    lacks: dict[str, tuple[Lack, ...]] = {}
    notes: dict[str, str] = {}
    rules: tuple[str, ...] = ("*",)


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A cell ready for judging: whose demand, on which sink and entry, in which places of the bot. *absent*: nothing
    is ever written there; *apart*: twins that differ in `dimension` alone never meet there."""

    item: str
    sink: str
    entry: str
    patterns: tuple[Pattern, ...]
    predicate: Predicate = "absent"
    dimension: str = "T"


class RiskMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All items, in the order of the documents. `documents_of` names the targets whose documents they quote (empty:
    every target's)."""

    items: tuple[RiskItem, ...]
    documents_of: tuple[str, ...] = ()
    schema: str = RISK_MAP_SCHEMA

    def select(self, pattern: str) -> RiskMap:
        """Items whose id matches the glob, or one of several with commas between. Raises UsageError when none does."""
        globs = [glob.strip() for glob in pattern.split(",")]
        chosen = tuple(item for item in self.items if any(fnmatch.fnmatchcase(item.id, glob) for glob in globs))
        if not chosen:
            raise UsageError(f"no risk item matches {pattern!r}; `isolation items` lists the ids")
        return RiskMap(items=chosen, documents_of=self.documents_of)

    def demands(self, target: str) -> tuple[Demand, ...]:
        """What must never be written in the bot of that name, and what it keeps apart within one tenant."""
        return tuple(
            Demand(
                item=item.id, sink=cell.sink, entry=cell.entry, patterns=item.places[target],
                predicate=cell.predicate, dimension=cell.dimension,
            )
            for item in self.items
            if target in item.places
            for cell in item.cells
            if cell.predicate == "absent" or (cell.predicate == "apart" and cell.dimension != "T")
        )  # fmt: skip

    def dimensions(self, target: str, generation: str) -> dict[str, frozenset[str]]:
        """Every dimension that cells of items in this bot claim, with the entries they claim it on."""
        found: dict[str, set[str]] = {}
        for item in self.items:
            if target in item.places and item.generation == generation:
                for cell in item.cells:
                    found.setdefault(cell.dimension, set()).add(cell.entry)
        return {dimension: frozenset(entries) for dimension, entries in found.items()}


def load(path: Path) -> RiskMap:
    """Read a risk map. Raises UsageError naming file and place when it is missing, malformed, empty, of another schema
    than this version reads, or speaks of sinks, dimensions or predicates that there are not."""
    try:
        made = msgspec.json.decode(path.read_bytes(), type=RiskMap)
    except FileNotFoundError:
        raise UsageError(f"risk map {path} does not exist") from None
    except msgspec.MsgspecError as error:
        known = f"; predicates are {', '.join(get_args(Predicate))}" if ".predicate`" in str(error) else ""
        raise UsageError(f"risk map {path} is malformed: {error}{known}") from error
    if made.schema != RISK_MAP_SCHEMA:
        raise UsageError(f"risk map {path} is of schema {made.schema!r}; this version reads {RISK_MAP_SCHEMA!r}")
    if not made.items:
        raise UsageError(f"risk map {path} holds no item, so there is nothing to decide")
    for wrong in _wrong(made):
        raise UsageError(f"risk map {path}: {wrong}")
    return made


def _wrong(riskmap: RiskMap) -> Iterator[str]:
    """What no bot can have, one sentence each."""
    seen: set[str] = set()
    for item in riskmap.items:
        if item.id in seen:
            yield f"two items have the id {item.id!r}"
        seen.add(item.id)
        places = [pattern.sink for patterns in item.places.values() for pattern in patterns]
        lacks = [lack.sink for some in item.lacks.values() for lack in some]
        for what, sinks, known in (
            ("cell", [cell.sink for cell in item.cells], (*SINKS, CONTEXT)),
            ("place", places, (*SINKS, "*")),
            ("lack", lacks, (*SINKS, CONTEXT)),
        ):
            for sink in sinks:
                if sink not in known:
                    yield f"a {what} of item {item.id} names the sink {sink!r}; sinks are {', '.join(known)}"
        for cell in item.cells:
            letters = cell.dimension
            if not letters or len(set(letters)) < len(letters) or set(letters) - set(DIMENSION_FIELDS):
                told = ", ".join(f"{letter} ({field})" for letter, field in DIMENSION_FIELDS.items())
                yield f"a cell of item {item.id} names the dimension {letters!r}; dimensions are {told}, or several"


@functools.lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
