"""What an SQL statement says by its text alone: kind, tables, whether it keeps to one owner. Pure functions.

The text is parsed once (about 0.3 ms) for each schema; callers hold the result by text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlglot
from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError

from harness.probes.predicates import Gap, gaps
from harness.probes.provenance import Node, Rewritten, Unsupported, nested, part, rewrite, sources_of
from harness.probes.schema import PREFIX, Schema, TableInfo

LONGEST = 50_000
"""Longer texts (bulk inserts with their values inside) are judged by their head only."""

_COMMENT = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_VERB = re.compile(_COMMENT + r"\(*\s*([A-Za-z]+)", re.S)
_OR = re.compile(r"\b(insert|update)\s+or\s+(\w+)", re.I)
_HEAD = re.compile(
    _COMMENT + r"(insert|replace|update|delete)\s+(?:or\s+(\w+)\s+)?(?:into\s+|from\s+)?"
    r"(?:[\"`\[]?\w+[\"`\]]?\s*\.\s*)?[\"`\[]?(\w+)[\"`\]]?\s*(\([^()]*\))?",
    re.I | re.S,
)
_FULL = ("select", "with", "values", "insert", "update", "delete", "replace")

_quiet = logging.getLogger("sqlglot")

Dialect.get_or_raise("sqlite")  # imported on first use otherwise, in every fork anew


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement against a schema.

    `kind`: ``select``, ``insert``, ``update``, ``delete``, ``ddl`` or ``other``; `resolution` the OR clause (lower
    case). `target` is the table written, `named` every base table in the text. `scoped` maps the lower-case names of
    tenant-scoped tables to whether every owner column in force is fixed wherever the table stands. `reads` names
    the rows read; `skip` is its source that stands for the target itself; `opaque` are tables whose rows cannot be
    named. `gaps` tell where such a table is met with no owner named. `numbered` says whether its text has parameters
    by position, which a part of it needs by name (see `bind`).
    """

    kind: str
    resolution: str = ""
    target: TableInfo | None = None
    named: tuple[str, ...] = ()
    scoped: dict[str, bool] = {}
    returning: bool = False
    reads: Rewritten | None = None
    skip: int = -1
    opaque: tuple[TableInfo, ...] = ()
    gaps: tuple[Gap, ...] = ()
    numbered: bool = False

    @property
    def verb(self) -> str:
        """The statement's name for reports."""
        return "replace" if self.kind == "insert" and self.resolution == "replace" else self.kind


def verb(sql: str) -> str:
    """The first word in lower case, comments and parentheses skipped; empty when there is none."""
    match = _VERB.match(sql)
    return match.group(1).lower() if match else ""


def written(sql: str) -> str:
    """The table that a statement writes, by its head alone and in lower case; empty where it only reads, and where it
    begins with something else (``WITH``)."""
    match = _HEAD.match(sql)
    return match.group(3).lower() if match else ""


def number(sql: str) -> tuple[str, bool]:
    """`sql` with ``?`` and ``?3`` named by position, so that a part of the statement can use its part of the
    parameters, and whether there were any."""
    if "?" not in sql:
        return sql, False
    tokens = sqlglot.tokenize(sql, dialect="sqlite")
    pieces: list[str] = []
    end = 0
    highest = 0
    for index, token in enumerate(tokens):
        if token.token_type.name != "PLACEHOLDER":
            continue
        stop = token.end + 1
        follower = tokens[index + 1] if index + 1 < len(tokens) else None
        if follower is not None and follower.token_type.name == "NUMBER" and follower.start == stop:
            position, stop = int(follower.text), follower.end + 1
        else:
            position = highest + 1
        highest = max(highest, position)
        pieces += [sql[end : token.start], f":{PREFIX}{position - 1}"]
        end = stop
    return "".join([*pieces, sql[end:]]), bool(pieces)


_SEQUENCES = (tuple, list)


def bind(parameters: Any, numbered: bool) -> Any:
    """Parameters for a numbered text; mappings and unnumbered ones stay as they are."""
    # What it mostly is comes first: to ask whether a type is a mapping goes through all that are, once in each fork.
    if not numbered or (type(parameters) not in _SEQUENCES and isinstance(parameters, Mapping)):
        return parameters
    return {f"{PREFIX}{index}": value for index, value in enumerate(parameters)}


def analyse(sql: str, schema: Schema, owner_columns: Mapping[str, str], scoping: Sequence[str]) -> Statement:
    """Everything the text says. Never raises on SQL it cannot read: what it cannot tell is left open (`opaque`)."""
    first = verb(sql)
    if first not in _FULL:
        ddl = first in ("create", "drop", "alter")
        return Statement(kind="ddl" if ddl else "other", named=tuple(_words(sql, schema)) if ddl else ())
    if len(sql) > LONGEST:
        return _by_head(sql, schema, owner_columns, scoping)
    text, numbered = number(sql)
    resolution = ""
    if first == "replace":
        text, resolution = re.sub(r"\breplace\b", "INSERT", text, count=1, flags=re.I), "replace"
    match = _OR.search(text) if first in ("insert", "update", "with") else None
    if match:
        resolution = match.group(2).lower()
        text = text[: match.start()] + match.group(1) + text[match.end() :]
    level = _quiet.level
    _quiet.setLevel(logging.CRITICAL)  # sqlglot warns of what it cannot read; that is told by `opaque`
    try:
        tree = sqlglot.parse_one(text, dialect="sqlite")
    except (SqlglotError, RecursionError):
        return _by_head(sql, schema, owner_columns, scoping)
    finally:
        _quiet.setLevel(level)
    rules = _Rules(schema, owner_columns, scoping)
    if isinstance(tree, exp.Query):
        return msgspec.structs.replace(_query(tree, rules), numbered=numbered)
    if isinstance(tree, (exp.Insert, exp.Update, exp.Delete)):
        return msgspec.structs.replace(_change(tree, rules, resolution), numbered=numbered)
    return _by_head(sql, schema, owner_columns, scoping)


def required(table: TableInfo, owner_columns: Mapping[str, str], scoping: Iterable[str]) -> dict[str, set[str]]:
    """Scoping fields that `table` has columns for -> those columns (lower case). Empty: not tenant-scoped."""
    fields: dict[str, set[str]] = {}
    fields_in_force = set(scoping)
    for name in table.columns:
        field = owner_columns.get(name) or owner_columns.get(name.lower())
        if field is not None and field in fields_in_force:
            fields.setdefault(field, set()).add(name.lower())
    return fields


class _Rules:
    def __init__(self, schema: Schema, owner_columns: Mapping[str, str], scoping: Sequence[str]) -> None:
        self.schema = schema
        self.owners = owner_columns
        self.scoping = scoping

    def needs(self, table: TableInfo) -> dict[str, set[str]]:
        return required(table, self.owners, self.scoping)

    def base_tables(self, tree: Node) -> list[tuple[exp.Table, TableInfo]]:
        """Base tables anywhere in `tree`; names of common table expressions are none."""
        local = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        found = []
        for node in tree.find_all(exp.Table):
            table = self.schema.find(node.name, node.db)
            if table is not None and (node.db or node.name.lower() not in local):
                found.append((node, table))
        return found

    def scoped(self, tree: Node) -> tuple[dict[str, bool], tuple[Gap, ...]]:
        """See `Statement.scoped` and `Statement.gaps`."""
        result: dict[str, bool] = {}
        open_: list[Gap] = []
        base = {id(node): table for node, table in self.base_tables(tree)}
        for scope in tree.find_all(exp.Select, exp.Update, exp.Delete):
            here = [scope.this] if not isinstance(scope, exp.Select) else []
            here += sources_of(scope)
            inside = {node.alias_or_name.lower(): base[id(node)] for node in here if id(node) in base}
            if not inside:
                continue
            fixed = _fixed(scope, inside)
            wanted = {alias: needs for alias, table in inside.items() if (needs := self.needs(table))}
            open_ += gaps(scope, inside, wanted, fixed)
            for alias, table in inside.items():
                needs = self.needs(table)
                if needs:
                    good = all(any((alias, column) in fixed for column in columns) for columns in needs.values())
                    name = table.name.lower()
                    result[name] = result.get(name, True) and good
        return result, tuple(open_)


def _query(tree: Node, rules: _Rules) -> Statement:
    tables = rules.base_tables(tree)
    scoped, open_ = rules.scoped(tree)
    names = tuple(dict.fromkeys(node.name for node in tree.find_all(exp.Table)))
    reads, opaque = _rewrite(tree, rules, [table for _, table in tables])
    return Statement(kind="select", named=names, scoped=scoped, reads=reads, opaque=opaque, gaps=open_)


def _change(tree: Node, rules: _Rules, resolution: str) -> Statement:
    holder: Any = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    target = rules.schema.find(holder.name, holder.db) if isinstance(holder, exp.Table) else None
    scoped, open_ = rules.scoped(tree)
    if isinstance(tree, exp.Insert) and target is not None and rules.needs(target):
        if isinstance(tree.this, exp.Schema):
            given = {column.name.lower() for column in tree.this.expressions}
        else:
            given = set() if tree.args.get("default") else {name.lower() for name in target.columns}
        own = all(columns & given for columns in rules.needs(target).values())
        scoped[target.name.lower()] = own and scoped.get(target.name.lower(), True)
    names = tuple(dict.fromkeys(node.name for node in tree.find_all(exp.Table)))
    looking = _looking(tree)
    reads: Rewritten | None = None
    opaque: tuple[TableInfo, ...] = ()
    skip = -1
    if looking is not None:
        tables = [table for _, table in rules.base_tables(looking)]
        if isinstance(tree, exp.Insert) or any(table is not target for table in tables) or len(tables) > 1:
            reads, opaque = _rewrite(looking, rules, tables)
    if reads is not None and not isinstance(tree, exp.Insert):
        skip = next((i for i, s in enumerate(reads.sources) if s.table is target and not s.filtering), -1)
        if len(reads.sources) <= 1:
            reads = None
    return Statement(
        kind=tree.key,
        resolution=resolution,
        target=target,
        named=names,
        scoped=scoped,
        returning=tree.args.get("returning") is not None,
        reads=reads,
        skip=skip,
        opaque=tuple(table for table in opaque if table is not target),
        gaps=open_,
    )


def _rewrite(tree: Node, rules: _Rules, tables: Sequence[TableInfo]) -> tuple[Rewritten | None, tuple[TableInfo, ...]]:
    views = any(node.name.lower() in rules.schema.views for node in tree.find_all(exp.Table))
    if not tables and not views:
        return None, ()
    try:
        return rewrite(tree.copy(), rules.schema, list(rules.owners)), ()
    except (Unsupported, SqlglotError, RecursionError):
        return None, tuple({table.name: table for table in tables}.values())


def _looking(tree: Node) -> Node | None:
    """A query over what a change reads: the SELECT of an INSERT; target, FROM and sub-selects of the others."""
    clause = part(tree, "with")
    key = "with" if "with" in tree.args else "with_"
    if isinstance(tree, exp.Insert):
        body = tree.expression
        if isinstance(body, exp.Query):
            result = body.copy()
            if clause is not None:
                result.set(key, clause.copy())
            return result
        inner = list(nested(tree))
        return exp.Select(expressions=[exp.Subquery(this=query.copy()) for query in inner]) if inner else None
    look = exp.select("1").from_(tree.this.copy())
    if clause is not None:
        look.set(key, clause.copy())
    source = part(tree, "from")
    if source is not None:
        look = look.join(source.this.copy(), join_type="CROSS")
    for join in tree.args.get("joins") or ():
        look.append("joins", join.copy())
    for item in tree.expressions:
        for query in nested(item):
            look.append("expressions", exp.Subquery(this=query.copy()))
    where = tree.args.get("where")
    if where is not None:
        look.set("where", where.copy())
    return look


def _fixed(scope: Node, inside: Mapping[str, TableInfo]) -> set[tuple[str, str]]:
    """(alias, column) pairs, lower case, that the conditions of `scope` hold to a value from outside it."""
    conditions = [scope.args["where"].this] if scope.args.get("where") is not None else []
    for join in scope.args.get("joins") or ():
        if join.args.get("on") is not None:
            conditions.append(join.args["on"])
    fixed: set[tuple[str, str]] = set()
    same: set[tuple[tuple[str, str], tuple[str, str]]] = set()
    for condition in conditions:
        some, pairs = _held(condition, inside)
        fixed |= some
        same |= pairs
    for join in scope.args.get("joins") or ():
        for name in join.args.get("using") or ():
            holders = [(alias, name.name.lower()) for alias, t in inside.items() if name.name in t.columns]
            same |= {(holders[0], other) for other in holders[1:]}
    grown = True
    while grown:
        grown = False
        for left, right in same:
            if (left in fixed) != (right in fixed):
                fixed |= {left, right}
                grown = True
    return fixed


_Pairs = set[tuple[tuple[str, str], tuple[str, str]]]


def _held(node: Node, inside: Mapping[str, TableInfo]) -> tuple[set[tuple[str, str]], _Pairs]:
    if isinstance(node, exp.Paren):
        return _held(node.this, inside)
    if isinstance(node, exp.And):
        left, right = _held(node.left, inside), _held(node.right, inside)
        return left[0] | right[0], left[1] | right[1]
    if isinstance(node, exp.Or):
        left, right = _held(node.left, inside), _held(node.right, inside)
        return left[0] & right[0], left[1] & right[1]
    if isinstance(node, exp.In):
        column = _column(node.this, inside)
        return ({column} if column else set()), set()
    if isinstance(node, (exp.EQ, exp.Is)):
        if isinstance(node, exp.Is) and isinstance(node.expression, (exp.Null, exp.Not)):
            return set(), set()
        sides = _column(node.left, inside), _column(node.right, inside)
        if sides[0] and sides[1]:
            return set(), {(sides[0], sides[1])}
        return {side for side in sides if side}, set()
    return set(), set()


def _column(node: Node, inside: Mapping[str, TableInfo]) -> tuple[str, str] | None:
    if isinstance(node, (exp.Paren, exp.Collate)):
        return _column(node.this, inside)
    if not isinstance(node, exp.Column):
        return None
    name, alias = node.name.lower(), node.table.lower()
    for known, table in inside.items():
        if alias in ("", known) and name in {column.lower() for column in table.columns}:
            return known, name
    return None


def _by_head(sql: str, schema: Schema, owner_columns: Mapping[str, str], scoping: Sequence[str]) -> Statement:
    """What the first words tell of a statement that is too long or too odd to parse."""
    named = tuple(_words(sql[:LONGEST], schema))
    tables = tuple(schema.tables[name] for name in named)
    match = _HEAD.match(sql)
    if match is None:
        return Statement(
            kind="select" if verb(sql) in ("select", "with", "values") else "other", named=named, opaque=tables
        )
    kind, resolution, name, columns = (text or "" for text in match.groups())
    target = schema.find(name)
    kind = kind.lower()
    scoped: dict[str, bool] = {}
    if kind in ("insert", "replace") and target is not None and required(target, owner_columns, scoping):
        given = {word.lower() for word in re.findall(r"\w+", columns)} or {c.lower() for c in target.columns}
        scoped[target.name.lower()] = all(some & given for some in required(target, owner_columns, scoping).values())
    return Statement(
        kind="insert" if kind == "replace" else kind,
        resolution="replace" if kind == "replace" else resolution.lower(),
        target=target,
        named=named,
        scoped=scoped,
        returning=bool(re.search(r"\breturning\b", sql[-2000:], re.I)),
        opaque=tuple(table for table in tables if table is not target),
    )


def _words(sql: str, schema: Schema) -> list[str]:
    return list(dict.fromkeys(word for word in re.findall(r"\w+", sql.lower()) if word in schema.tables))
