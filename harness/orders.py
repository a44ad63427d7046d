"""Where code goes through a set: the places by line, and the order that a set there is about to be gone through in."""

from __future__ import annotations

import ast
import enum
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

TAKERS = frozenset(
    ("list", "tuple", "next", "iter", "enumerate", "zip", "map", "filter", "deque", "str", "repr", "chain")
)
"""What goes through its argument when called by this name; ``sorted`` and the like do not mind the order."""

METHODS = frozenset(("join", "extend", "gather", "writelines", "fromkeys", "executemany"))
"""Methods that go through their argument."""

HEEDLESS = frozenset(("sorted", "set", "frozenset", "sum", "any", "all", "len", "max", "min"))
"""Who goes through its argument and answers the same in any order."""

MAKERS = frozenset(("set", "frozenset"))
COMBINING = frozenset(("union", "intersection", "difference", "symmetric_difference", "copy"))

SHOWN = 40
"""Elements of a set that are held against those of another run."""


class Spot(msgspec.Struct, frozen=True):
    """An expression that is gone through on some line. `made`: it makes a set on the spot, which cannot be looked at
    before."""

    text: str
    node: ast.expr
    made: bool


def spots(filename: str) -> dict[int, list[Spot]]:
    """Line -> what is gone through there, of a source file; nothing when it cannot be read."""
    try:
        tree = ast.parse(Path(filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[int, list[Spot]] = {}
    heedless = _heedless(tree)
    for node in ast.walk(tree):
        for taken in _taken(node):
            if id(taken) in heedless:
                continue
            made = _makes(taken)
            if made or _plain(taken):
                found.setdefault(taken.lineno, []).append(Spot(ast.unparse(taken)[:80], taken, made))
    return found


def _taken(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, (ast.For, ast.comprehension)):
        yield node.iter
    elif isinstance(node, (ast.Starred, ast.FormattedValue, ast.YieldFrom)):
        yield node.value
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in TAKERS:
            yield from node.args
        elif isinstance(node.func, ast.Attribute):
            if node.func.attr in METHODS | TAKERS:
                yield from node.args
            elif node.func.attr == "pop" and not node.args:
                yield node.func.value
    elif isinstance(node, ast.Assign) and any(isinstance(t, (ast.Tuple, ast.List)) for t in node.targets):
        yield node.value


def _heedless(tree: ast.AST) -> set[int]:
    """What is gone through where the order makes no difference: into a set, a sum, a sorted list."""
    found: set[int] = set()
    for node in ast.walk(tree):
        inner: list[ast.expr] = []
        if isinstance(node, ast.SetComp):
            inner = [node]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HEEDLESS:
            inner = node.args
        for one in inner:
            if isinstance(one, (ast.GeneratorExp, ast.ListComp, ast.SetComp)):
                found.update(id(generator.iter) for generator in one.generators)
            elif isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id in TAKERS:
                found.update(map(id, one.args))
    return found


def _makes(node: ast.expr) -> bool:
    if isinstance(node, (ast.Set, ast.SetComp)):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)):
        return _makes(node.left) or _makes(node.right)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in MAKERS and bool(node.args)
        return isinstance(node.func, ast.Attribute) and node.func.attr in COMBINING and _makes(node.func.value)
    return False


def _plain(node: ast.expr) -> bool:
    """A name, or attributes of one: what can be looked up without running anything."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def rendered(spot: Spot, frame: FrameType) -> str | None:
    """The order of the set that the spot names: empty where it is only made there, None where there is no set, or one
    whose order hangs on nothing that changes."""
    if spot.made:
        return ""
    value = _value(spot.node, frame)
    if not isinstance(value, (set, frozenset)) or len(value) < 2 or all(isinstance(one, (int, float)) for one in value):
        return None
    return ", ".join(_told(one) for _, one in zip(range(SHOWN), value, strict=False))


def _value(node: ast.expr, frame: FrameType) -> Any:
    if isinstance(node, ast.Name):
        local = frame.f_locals
        return local[node.id] if node.id in local else frame.f_globals.get(node.id)
    if isinstance(node, ast.Attribute):
        held = _value(node.value, frame)
        fields = getattr(held, "__dict__", None)
        if isinstance(fields, dict) and node.attr in fields:
            return fields[node.attr]
        found = inspect.getattr_static(held, node.attr, None)
        return found if isinstance(found, (set, frozenset)) else None
    return None


def _told(one: Any) -> str:
    """An element so that it can be held against another run's: never by its address."""
    if isinstance(one, enum.Enum):
        return str(one)
    if one is None or isinstance(one, (str, bytes, int, float, bool)):
        return repr(one)
    if isinstance(one, tuple):
        return f"({', '.join(map(_told, one))})"
    fields = getattr(one, "__dict__", None)
    plain = fields if isinstance(fields, dict) else {}
    said = [f"{k}={v!r}" for k, v in sorted(plain.items()) if isinstance(v, (str, int, float, bool))]
    return f"{type(one).__qualname__}({', '.join(said)})"
