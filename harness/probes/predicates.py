"""Where a statement meets a tenant-scoped table without its owner predicate, and what it asks for instead.

Pure functions over sqlglot trees. What cannot be read (an owner column in an expression, a tie to rows that are held to
one owner elsewhere) counts as a predicate: a gap is only told where nothing in the statement speaks of an owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlglot import exp

from harness.probes.provenance import Node
from harness.probes.schema import PREFIX, TableInfo

SHOWN = 160
"""Characters of a condition kept for a reader."""

BRANCHES = 32
"""Branches of an OR that are told apart; a condition of more counts as one."""

_Held = set[tuple[str, str]]
_Needs = Mapping[str, set[str]]
_SIDES = (exp.EQ, exp.Is, exp.Like, exp.ILike, exp.Glob, exp.NullSafeEQ)


class Pin(msgspec.Struct, frozen=True):
    """A column that a condition holds to one value or a few. `kind`: ``parameter`` (`text` is its name or number),
    ``literal`` (`text` is the value) or ``other`` (an expression)."""

    column: str
    kind: str
    text: str = ""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A table (lower case) at which a statement names no owner. `missing` are owner columns, `fields` the principal's
    fields they hold, `held` the fields that are named all the same; `where` is the condition that is there. `key` is
    true when the pins single out a row by its primary key. `branch`: the owner is named in other branches of an OR."""

    table: str
    missing: tuple[str, ...]
    fields: tuple[str, ...]
    held: tuple[str, ...]
    pins: tuple[Pin, ...]
    where: str
    key: bool
    branch: bool = False


def gaps(scope: Node, inside: Mapping[str, TableInfo], needs: Mapping[str, _Needs], fixed: _Held) -> Iterator[Gap]:
    """Gaps of one SELECT, UPDATE or DELETE. `inside` maps its aliases to base tables, `needs` to their scoping fields
    and columns; `fixed` are the (alias, column) pairs held to a value."""
    open_: dict[str, dict[str, set[str]]] = {}
    for alias, fields in needs.items():
        loose = {f: columns for f, columns in fields.items() if not any((alias, c) in fixed for c in columns)}
        if loose:
            open_[alias] = loose
    if not open_ or _looked_at(scope):
        return
    branches = _branches(scope)
    for alias, loose in open_.items():
        owners = {column for columns in loose.values() for column in columns}
        silent = [branch for branch in branches if not owners & _spoken(scope, branch)]
        if not silent:
            continue
        where = scope.args.get("where")
        whole = len(silent) == len(branches)
        pins, ties = _read(scope, inside, [[where.this] if where is not None else []] if whole else silent)
        group = _tied(alias, ties)
        if any(other not in open_ for other in group):
            continue  # it follows rows that are held to an owner, or that nobody can tell
        mine = tuple(pin for other in sorted(group) for pin in pins.get(other, ()))
        table = inside[alias]
        own = {pin.column for pin in pins.get(alias, ())}
        yield Gap(
            table=table.name.lower(),
            missing=tuple(name for name in table.columns if name.lower() in owners),
            fields=tuple(sorted(loose)),
            held=tuple(sorted(set(needs[alias]) - set(loose))),
            pins=tuple(dict.fromkeys(mine)),
            where=_shown(where.this) if where is not None else "",
            key=bool(table.pk) and {name.lower() for name in table.pk} <= own,
            branch=not whole,
        )


def asked(gap: Gap, parameters: Any) -> dict[str, Any]:
    """A gap as it goes on record: the columns asked for, each with its values as text; None where one is unknown,
    and nothing where it stands in the statement itself."""
    values: dict[str, list[str] | None] = {}
    for pin in gap.pins:
        known = values.setdefault(pin.column, [])
        if pin.kind == "literal":
            continue
        value = _value(pin, parameters) if pin.kind == "parameter" else _UNKNOWN
        if value is _UNKNOWN or known is None:
            values[pin.column] = None
        elif value is not None and not isinstance(value, bool):
            known.append(str(value))
    told = {
        "missing": list(gap.missing), "fields": list(gap.fields), "held": list(gap.held), "where": gap.where,
        "key": gap.key, "asked": values,
    }  # fmt: skip
    return {**told, "branch": True} if gap.branch else told


_UNKNOWN = object()


def _value(pin: Pin, parameters: Any) -> Any:
    if isinstance(parameters, Mapping):
        return parameters.get(pin.text, _UNKNOWN)
    if pin.text.startswith(PREFIX) and isinstance(parameters, Sequence):
        index = int(pin.text[len(PREFIX) :])
        return parameters[index] if index < len(parameters) else _UNKNOWN
    return _UNKNOWN


def _looked_at(scope: Node) -> bool:
    """Whether the rows of this SELECT only decide which rows of another are taken."""
    node = scope
    while node.parent is not None:
        parent = node.parent
        if isinstance(parent, (exp.Where, exp.Having, exp.Exists)):
            return True
        if isinstance(parent, exp.Join) and parent.args.get("on") is node:
            return True
        node = parent
    return False


def _branches(scope: Node) -> list[list[Node]]:
    """The condition of a scope as the branches of one OR, each the conditions that all hold in it; as one branch where
    they would be too many."""
    where = scope.args.get("where")
    if where is None:
        return [[]]
    found = _spread(where.this)
    return found if len(found) <= BRANCHES else [[where.this]]


def _spread(node: Node) -> list[list[Node]]:
    if isinstance(node, exp.Paren):
        return _spread(node.this)
    if isinstance(node, exp.Or):
        return [*_spread(node.left), *_spread(node.right)]
    if isinstance(node, exp.And):
        left, right = _spread(node.left), _spread(node.right)
        if len(left) * len(right) > BRANCHES:
            return [[node]]
        return [[*one, *other] for one in left for other in right]
    return [[node]]


def _spoken(scope: Node, branch: Sequence[Node]) -> set[str]:
    """The columns named in that branch, in the other conditions of the scope or in those of any query around it: an
    outer one may speak of the owner."""
    conditions = list(branch)
    node = scope
    while node is not None:
        if isinstance(node, (exp.Select, exp.Update, exp.Delete)):
            for name in ("where", "having"):
                if node.args.get(name) is not None and not (node is scope and name == "where"):
                    conditions.append(node.args[name])
            for join in node.args.get("joins") or ():
                if join.args.get("on") is not None:
                    conditions.append(join.args["on"])
        node = node.parent
    return {column.name.lower() for condition in conditions for column in condition.find_all(exp.Column)}


def _read(
    scope: Node, inside: Mapping[str, TableInfo], branches: Sequence[Sequence[Node]]
) -> tuple[dict[str, tuple[Pin, ...]], list[tuple[str, str]]]:
    """Pins by alias, and pairs of aliases tied by an equality; a tie to what is not `inside` names ``""``. One of
    `branches` that asks for nothing in particular opens the whole."""
    pins: dict[str, tuple[Pin, ...]] = {}
    ties: list[tuple[str, str]] = []
    either = [_all(branch, inside, ties) for branch in branches]
    for alias in set(either[0]).intersection(*either):
        pins[alias] = tuple(pin for one in either for pin in one[alias])
    conditions = []
    for join in scope.args.get("joins") or ():
        if join.args.get("on") is not None:
            conditions.append(join.args["on"])
        for name in join.args.get("using") or ():
            holders = [a for a, t in inside.items() if name.name.lower() in {c.lower() for c in t.columns}]
            ties += [(holders[0] if holders else "", other) for other in holders[1:] or [""]]
    for alias, some in _all(conditions, inside, ties).items():
        pins[alias] = (*pins.get(alias, ()), *some)
    return pins, ties


def _all(
    conditions: Sequence[Node], inside: Mapping[str, TableInfo], ties: list[tuple[str, str]]
) -> dict[str, tuple[Pin, ...]]:
    """Pins by alias of conditions that all hold."""
    pins: dict[str, tuple[Pin, ...]] = {}
    for condition in conditions:
        for alias, some in _pinned(condition, inside, ties).items():
            pins[alias] = (*pins.get(alias, ()), *some)
    return pins


def _pinned(node: Node, inside: Mapping[str, TableInfo], ties: list[tuple[str, str]]) -> dict[str, tuple[Pin, ...]]:
    if isinstance(node, exp.Paren):
        return _pinned(node.this, inside, ties)
    if isinstance(node, (exp.And, exp.Or)):
        left, right = _pinned(node.left, inside, ties), _pinned(node.right, inside, ties)
        # One branch of an OR that asks for nothing in particular opens the whole.
        aliases = set(left) | set(right) if isinstance(node, exp.And) else set(left) & set(right)
        return {alias: (*left.get(alias, ()), *right.get(alias, ())) for alias in aliases}
    if isinstance(node, exp.In):
        values = list(node.expressions)
        return _pin(node.this, values if values and not node.args.get("query") else [None], inside, ties)
    if isinstance(node, _SIDES):
        columns = [_columns(side, inside) for side in (node.left, node.right)]
        if columns[0] and columns[1]:
            ties += [(one, other) for one, _ in columns[0] for other, _ in columns[1] if one != other]
            return {}
        side, value = (node.left, node.right) if columns[0] else (node.right, node.left)
        return _pin(side, [value], inside, ties)
    return {}


def _pin(
    side: Node, values: Sequence[Node | None], inside: Mapping[str, TableInfo], ties: list[tuple[str, str]]
) -> dict[str, tuple[Pin, ...]]:
    found: dict[str, tuple[Pin, ...]] = {}
    for alias, column in _columns(side, inside):
        made = [_made(column, value) for value in values]
        for value in values:
            if value is None or any(True for _ in value.find_all(exp.Column)):
                ties.append((alias, ""))
        found[alias] = (*found.get(alias, ()), *made)
    return found


def _made(column: str, value: Node | None) -> Pin:
    if isinstance(value, exp.Paren):
        return _made(column, value.this)
    if isinstance(value, exp.Placeholder) and value.name:
        return Pin(column, "parameter", value.name)
    if isinstance(value, (exp.Literal, exp.Null, exp.Boolean)):
        return Pin(column, "literal", value.name)
    return Pin(column, "other")


def _columns(node: Node, inside: Mapping[str, TableInfo]) -> list[tuple[str, str]]:
    """(alias, column) of this scope's tables in an operand, however wrapped; a sub-select's own are not looked at."""
    found: list[tuple[str, str]] = []
    if node is None or isinstance(node, (exp.Query, exp.Subquery)):
        return found
    for column in node.find_all(exp.Column):
        name, told = column.name.lower(), column.table.lower()
        for alias, table in inside.items():
            if told in ("", alias) and name in {known.lower() for known in table.columns}:
                found.append((alias, name))
                break
    return found


def _tied(alias: str, ties: Sequence[tuple[str, str]]) -> set[str]:
    group = {alias}
    grown = True
    while grown:
        grown = False
        for pair in ties:
            if group & set(pair) and not set(pair) <= group:
                group |= set(pair)
                grown = True
    return group


def _shown(condition: Node) -> str:
    """The condition as SQL, parameters as ``?``."""
    copy = condition.copy()
    for placeholder in list(copy.find_all(exp.Placeholder)):
        if placeholder.name.startswith(PREFIX):
            placeholder.replace(exp.Placeholder())
    text: str = copy.sql(dialect="sqlite")
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
