"""Whether a risk map speaks of the bot that was run: sites that name functions which are not there any more, names,
surfaces and entries that nothing has. Pure."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from harness.riskmap import CONTEXT, Pattern, RiskItem, RiskMap
from harness.target import Facts

MODULE = "<module>"
"""How a frame names code that runs while its module is imported."""

USUAL = ("api", "wire", "webui", "rest", "timer", "start", "plugin", "script", "world")
"""Entries that one map for several bots may name though this bot has no such way in."""

SHOWN = 12
"""Surfaces that the message about those without an access names; the rest are counted."""


class Code:
    """The functions of the Python files under `roots`, as frames name them (``path:qualified.name``)."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.files: dict[str, Path] = {}
        for root in roots:
            for path in sorted(root.rglob("*.py")):
                self.files.setdefault(path.relative_to(root).as_posix(), path)
        self._known: dict[str, tuple[str, ...]] = {}

    def has(self, pattern: Pattern) -> bool:
        """Whether the site of `pattern` names some function, or it names none."""
        if pattern.site == "*":
            return True
        return any(pattern.stands_at(frame) for name in self.files for frame in self._frames(name, pattern))

    def _frames(self, name: str, pattern: Pattern) -> tuple[str, ...]:
        if not pattern.lies_in(name):
            return ()
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = tuple(f"{name}:{function}" for function in _functions(self.files[name]))
        return known


def stale(riskmap: RiskMap, target: str, roots: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Of each item, the sites that name nothing in the code under `roots` any more; items without any are left out."""
    code = Code(roots)
    if not code.files:
        return {}  # a bot without sources; nothing can be said
    found = {
        item.id: tuple(pattern.site for pattern in item.places.get(target, ()) if not code.has(pattern))
        for item in riskmap.items
    }
    return {name: sites for name, sites in found.items() if sites}


def gone(riskmap: RiskMap, target: str, lost: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Items of which no place is left: each of their patterns names a site, and all of these are `lost`."""
    return frozenset(
        item.id for item in riskmap.items if len(lost.get(item.id, ())) == len(item.places.get(target, ())) > 0
    )


def astray(riskmap: RiskMap, facts: Facts) -> str:
    """Why no item of the map can be judged for this bot at all: none has a place under its name, or none of those is of
    its generation. Empty when some item can."""
    placed = [item for item in riskmap.items if facts.name in item.places]
    if not riskmap.items:
        return ""  # a run for requirements alone
    if not placed:
        spoken = sorted({name for item in riskmap.items for name in item.places})
        return (
            f"no risk item of this run has a place for {facts.name!r}: the map speaks of: "
            f"{', '.join(spoken) or 'no target at all'}; `places` is keyed by Facts.name"
        )
    if not _here(riskmap, facts):
        given = ", ".join(sorted({item.generation for item in placed}))
        return (
            f"no risk item of this run with a place for {facts.name!r} is of its generation {facts.generation!r} "
            f"(Facts.generation): the map says: {given}"
        )
    return ""


def unmet(
    riskmap: RiskMap, facts: Facts, surfaces: Collection[tuple[str, str]], entries: Collection[str]
) -> tuple[str, ...]:
    """What the map names and a run did not meet: surfaces that no access of `surfaces` (sink, surface) matches, where
    the item has no other on that sink either, and entries beside `entries`. What the map itself says to be lacking, or
    to be absent, is left out."""
    places: list[str] = []
    lines: list[str] = []
    for item in _here(riskmap, facts):
        lacks = item.lacks.get(facts.name, ())
        lacking = {lack.sink for lack in lacks}
        sought = {cell.sink for cell in item.cells if cell.predicate != "absent"} - lacking
        for pattern in item.places[facts.name]:
            if pattern.surface == "*" or pattern.sink in lacking:
                continue
            # What must never be written is rightly not there; beside a place that is met, another may be one where
            # nothing should ever be.
            alike = [other for other in item.places[facts.name] if other.sink == pattern.sink]
            if sought & {pattern.sink, CONTEXT} and not any(_met(other, surfaces) for other in alike):
                places.append(f"{pattern.sink} {pattern.surface} ({item.id})")
        for cell in item.cells:
            absent = any((lack.sink, lack.entry) == (cell.sink, cell.entry) for lack in lacks)
            if cell.entry not in entries and cell.entry not in USUAL and not absent:
                lines.append(
                    f"a cell of {item.id} names the entry {cell.entry!r}, which nothing had in this run; "
                    f"entries here: {', '.join(sorted(entries))}"
                )
    if places:
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        lines.append(
            f"no access of this run was at these places of the risk map, which are misspelt or were not reached: "
            f"{', '.join(places[:SHOWN])}{more}"
        )
    return tuple(dict.fromkeys(lines))


def _here(riskmap: RiskMap, facts: Facts) -> list[RiskItem]:
    return [item for item in riskmap.items if facts.name in item.places and item.generation == facts.generation]


def _met(pattern: Pattern, surfaces: Collection[tuple[str, str]]) -> bool:
    anywhere = Pattern(sink=pattern.sink, surface=pattern.surface)
    return any(anywhere.matches(sink, surface, ()) for sink, surface in surfaces)


def _functions(path: Path) -> Iterator[str]:
    yield MODULE
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    yield from _defined(tree, "")


def _defined(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}"
            yield from _defined(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield f"{prefix}{child.name}"
            yield from _defined(child, f"{prefix}{child.name}.")
        else:
            yield from _defined(child, prefix)
