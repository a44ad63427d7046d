"""Whether a risk map still speaks of the bot's code: sites that name functions which are not there any more. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.riskmap import Pattern, RiskMap

MODULE = "<module>"
"""How a frame names code that runs while its module is imported."""


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
