"""Which rows a SELECT's result came from: the statement rewritten to carry every base row's key and owner along.

Each base table adds a JSON leaf ``[source, present, key..., owner..., [value...]]``; derived tables, common table
expressions, groups and sub-selects pass their leaves outward in a hidden column. So filters, HAVING, ORDER BY and
LIMIT choose the rows just as in the original. `value` are the text columns the statement selects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
import sqlglot
from sqlglot import exp

from harness.probes.schema import PREFIX, Schema, TableInfo, quoted

Node: TypeAlias = Any
"""A sqlglot node: the name of their base class differs between its releases."""

HIDDEN = PREFIX + "rows"
BLOB = "\x01"
"""Starts a text that stands for a blob, as hex digits: JSON holds no blobs."""

_AGGREGATES = {"json_group_array", "json_group_object", "total", "group_concat", "string_agg"}
_SILENT = ("INT", "REAL", "FLOA", "DOUB", "BOOL", "NUMERIC", "DECIMAL", "DATE", "TIME")


class Unsupported(Exception):
    """A shape that cannot be carried through."""


class Source(msgspec.Struct, frozen=True):
    """A base table in a statement: its key and owner columns and the value columns of its leaves, in order.
    `filtering` is true when its rows were only looked at (a sub-select), not returned."""

    table: TableInfo
    key: tuple[str, ...]
    owners: tuple[str, ...]
    values: tuple[str, ...]
    filtering: bool


class Leaf(msgspec.Struct, frozen=True):
    """One base row: index of its source, key values, owner values, text or blob values."""

    source: int
    key: tuple[Any, ...]
    owners: tuple[Any, ...]
    values: tuple[str | bytes, ...]


class Rewritten(msgspec.Struct, frozen=True):
    """SQL with one column of nested leaves. `exact` is false when it may name more rows than contributed."""

    sql: str
    sources: tuple[Source, ...]
    exact: bool


def rewrite(tree: Node, schema: Schema, owner_columns: Sequence[str]) -> Rewritten:
    """Rewrite a parsed SELECT or compound (changed in place). Raises Unsupported."""
    work = _Rewriter(schema, frozenset(name.lower() for name in owner_columns))
    work.query(tree, work.ctes(tree, {}), filtering=False, top=True)
    return Rewritten(tree.sql(dialect="sqlite", comments=False), tuple(work.sources), work.exact)


def leaves(rewritten: Rewritten, value: Any) -> Iterator[Leaf]:
    """The leaves in one value of the hidden column. A row met twice in it comes twice."""
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            value = json.loads(value)
        if not value:
            continue
        if type(value[0]) is not int:
            todo.extend(reversed(value))
        elif value[1] is not None:  # None: the empty side of an outer join
            yield _leaf(rewritten.sources[value[0]], value)


def _leaf(source: Source, value: list[Any]) -> Leaf:
    first = 2 + len(source.key)
    second = first + len(source.owners)
    return Leaf(
        value[0],
        tuple(_plain(item) for item in value[2:first]),
        tuple(_plain(item) for item in value[first:second]),
        tuple(_plain(item) for some in value[second:] for item in some if isinstance(item, str) and item),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(BLOB):
        return bytes.fromhex(value[1:])
    return value


class _Rewriter:
    def __init__(self, schema: Schema, owners: frozenset[str]) -> None:
        self.schema = schema
        self.owners = owners
        self.sources: list[Source] = []
        self.exact = True
        self._names = 0
        self._views = 0

    def ctes(self, tree: Node, outer: dict[str, bool]) -> dict[str, bool]:
        """Rewrite the common table expressions of `tree`; name -> whether it carries the hidden column."""
        known = dict(outer)
        clause = part(tree, "with")
        if clause is None:
            return known
        for cte in clause.expressions:
            name = cte.alias.lower()
            if clause.args.get("recursive") and any(t.name.lower() == name for t in cte.this.find_all(exp.Table)):
                raise Unsupported("recursive common table expression")
            self.query(cte.this, self.ctes(cte.this, known), filtering=False)
            alias = cte.args.get("alias")
            if alias is not None and alias.args.get("columns"):
                alias.append("columns", exp.to_identifier(HIDDEN))
            known[name] = True
        return known

    def query(self, tree: Node, ctes: dict[str, bool], *, filtering: bool, top: bool = False) -> None:
        """Add the hidden column to a SELECT or to every branch of a compound."""
        if isinstance(tree, exp.Select):
            self._select(tree, ctes, filtering, top)
        elif isinstance(tree, exp.Union):
            if tree.args.get("distinct") and part(tree, "limit") is not None:
                self.exact = False
            tree.set("distinct", False)
            for side in (tree.this, tree.expression):
                self.query(side, ctes, filtering=filtering)
        elif isinstance(tree, exp.Subquery) and isinstance(tree.this, exp.Query):
            self.query(tree.this, ctes, filtering=filtering)
        else:
            raise Unsupported(type(tree).__name__)

    def _select(self, select: exp.Select, ctes: dict[str, bool], filtering: bool, top: bool) -> None:
        inner = list(nested(select))
        packs: list[str] = []
        for holder in sources_of(select):
            pack = self._source(select, holder, ctes, filtering)
            if pack:
                packs.append(pack)
        for node in inner:
            copy = node.copy()
            in_list = any(node is item or item in _ancestors(node) for item in select.expressions)
            self.query(copy, self.ctes(copy, ctes), filtering=not in_list or filtering)
            packs.append(f"(SELECT json_group_array({HIDDEN}) FROM ({copy.sql(dialect='sqlite', comments=False)}))")
        hidden = f"json_array({', '.join(packs)})" if packs else "NULL"
        if _aggregates(select):
            hidden = f"json_group_array({hidden})"
        elif select.args.get("distinct"):
            hidden = self._without_distinct(select, hidden)
        column = exp.alias_(exp.Var(this=hidden), HIDDEN)
        ordered = any(part(select, name) for name in ("group", "having", "order", "distinct", "windows"))
        simple = not ordered and not any(item.find(exp.Window) for item in select.expressions)
        if top and simple:
            select.set("expressions", [column])
        else:
            select.append("expressions", column)

    def _without_distinct(self, select: exp.Select, hidden: str) -> str:
        """DISTINCT becomes GROUP BY where LIMIT counts its rows; else it is only dropped."""
        if select.args["distinct"].args.get("on") is not None:
            raise Unsupported("DISTINCT ON")
        select.set("distinct", None)
        if part(select, "limit") is None:
            return hidden
        if any(item.find(exp.Star) for item in select.expressions):
            select.set("limit", None)
            select.set("offset", None)
            self.exact = False
            return hidden
        ordinals = [exp.Literal.number(index + 1) for index in range(len(select.expressions))]
        select.set("group", exp.Group(expressions=ordinals))
        return f"json_group_array({hidden})"

    def _source(self, select: exp.Select, node: Node, ctes: dict[str, bool], filtering: bool) -> str:
        """SQL of the leaf (or hidden column) of one thing in FROM; empty for what has no rows of its own."""
        if isinstance(node, exp.Subquery):
            if not isinstance(node.this, exp.Query):
                raise Unsupported("joined tables in parentheses")
            self.query(node.this, self.ctes(node.this, ctes), filtering=filtering)
            if not node.alias:
                self._names += 1
                node.set("alias", exp.TableAlias(this=exp.to_identifier(f"{PREFIX}{self._names}")))
            return f"{quoted(node.alias)}.{HIDDEN}"
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            return ""  # a table function or VALUES
        name = node.name.lower()
        if not node.db and name in ctes:
            return f"{quoted(node.alias_or_name)}.{HIDDEN}"
        table = self.schema.find(name, node.db)
        if table is not None:
            return self._leaf(select, node, table, filtering)
        if name in self.schema.views:
            self._views += 1
            if self._views > 20:
                raise Unsupported("deeply nested views")
            tree = sqlglot.parse_one(self.schema.views[name], dialect="sqlite")
            body = tree.args.get("expression")
            if not isinstance(body, exp.Query) or not isinstance(tree.this, exp.Table):
                raise Unsupported("view")
            alias = node.alias_or_name
            self.query(body, self.ctes(body, {}), filtering=filtering)
            node.replace(exp.Subquery(this=body, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True))))
            return f"{quoted(alias)}.{HIDDEN}"
        return ""

    def _leaf(self, select: exp.Select, node: exp.Table, table: TableInfo, filtering: bool) -> str:
        alias = node.alias_or_name
        key = table.key_columns()
        owners = tuple(name for name in table.columns if name.lower() in self.owners)
        values = () if filtering else tuple(_selected(select, alias, table))
        source = Source(table, key, owners, values, filtering)
        present = table.rowid or key[0]
        kinds = dict(zip(table.columns, table.types, strict=True))

        def column(name: str) -> str:
            text = f"{quoted(alias)}.{name if name == table.rowid else quoted(name)}"
            if "INT" in kinds.get(name, "INT"):
                return text
            return f"CASE typeof({text}) WHEN 'blob' THEN char(1) || hex({text}) ELSE {text} END"

        self.sources.append(source)
        parts = [column(name) for name in (present, *key, *owners)]
        texts = [column(name) for name in values]
        parts += [f"json_array({', '.join(texts[start : start + 100])})" for start in range(0, len(texts), 100)]
        return f"json_array({len(self.sources) - 1}, {', '.join(parts)})"  # in hundreds: a call takes 127 arguments


def part(tree: Node, name: str) -> Any:
    """A clause of `tree`: sqlglot 28 put an underscore behind ``from`` and ``with``."""
    value = tree.args.get(name)
    return value if value is not None else tree.args.get(name + "_")


def sources_of(select: Node) -> list[Node]:
    """What stands in FROM and JOIN, in order."""
    clause = part(select, "from")
    first = [clause.this] if clause is not None else []
    found = first + [join.this for join in select.args.get("joins") or ()]
    for node in list(found):
        found.extend(join.this for join in node.args.get("joins") or ())
    return found


def nested(select: Node) -> Iterator[Node]:
    """The outermost queries inside `select` that do not stand in FROM or WITH."""
    roots = {id(node) for node in sources_of(select)}
    clause = part(select, "with")

    def walk(node: Node) -> Iterator[Node]:
        for child in node.iter_expressions():
            if id(child) in roots or child is clause:
                continue
            if isinstance(child, exp.Subquery) and isinstance(child.this, exp.Query):
                yield child.this
            elif isinstance(child, exp.Query) and not isinstance(child, exp.Table):
                yield child
            else:
                yield from walk(child)

    return walk(select)


def _ancestors(node: Node) -> list[Node]:
    found: list[Node] = []
    parent: Any = node.parent
    while parent is not None:
        found.append(parent)
        parent = parent.parent
    return found


def _own(select: Node, wanted: Callable[[Node], bool]) -> bool:
    """Whether a node of `select` itself, not of a query inside it, is wanted."""
    skip = {id(node) for node in nested(select)} | {id(node) for node in sources_of(select)}
    clause = part(select, "with")

    def prune(node: Node) -> bool:
        return id(node) in skip or node is clause or isinstance(node, exp.Window)

    return any(not prune(node) and wanted(node) for node in select.walk(prune=prune) if node is not select)


def _aggregates(select: exp.Select) -> bool:
    if select.args.get("group") is not None:
        return True

    def aggregate(node: Node) -> bool:
        if isinstance(node, (exp.Max, exp.Min)):
            return not node.expressions
        if isinstance(node, exp.AggFunc):
            return True
        return isinstance(node, exp.Anonymous) and node.name.lower() in _AGGREGATES

    return _own(select, aggregate)


def _selected(select: exp.Select, alias: str, table: TableInfo) -> list[str]:
    """The columns of `table` whose text the select list shows; a count shows none."""
    found: set[str] = set()
    by_name = {name.lower(): name for name in table.columns}
    speaking = [
        name for name, kind in zip(table.columns, table.types, strict=True) if not any(word in kind for word in _SILENT)
    ]
    for item in select.expressions:
        for node in item.walk(prune=lambda n: isinstance(n, exp.Count)):
            if isinstance(node, exp.Count):
                continue
            whole = isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
            if whole and (not isinstance(node, exp.Column) or node.table.lower() in ("", alias.lower())):
                if isinstance(node, exp.Star) and isinstance(node.parent, exp.Column):
                    continue
                return speaking
            if isinstance(node, exp.Column) and node.table.lower() in ("", alias.lower()):
                found.add(by_name.get(node.name.lower(), ""))
    return [name for name in speaking if name in found]
