"""Whether a target keeps to `harness.target`, as far as that shows before its bot boots: declarations that raise, and
facts that cannot be what they are meant to be. Each is one UsageError."""

from __future__ import annotations

import fnmatch
import linecache
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from harness import riskmap, rules
from harness import target as contract
from harness.errors import IsolationError, UsageError, told
from harness.hostile import FAMILIES
from harness.principal import DIMENSION_FIELDS, PUBLIC
from harness.riskmap import CONTEXT, RiskMap
from harness.rules.forged import RULE as FORGED
from harness.rules.interference import RULE as INTERFERENCE
from harness.target import Action, Facts, Overlay, Target, states_of
from harness.trace import SINKS
from harness.verdict import CONTEXT_RULES

DECLARATIONS = ("actions", "risk_map", "overlays")
"""What a target says beside `facts` before anything of its bot is imported."""

PAGE = "docs/drive-your-bot.md"

_MADE_BY: dict[str, type[msgspec.Struct]] = {"facts": Facts, "actions": Action, "overlays": Overlay}
_STRUCT = re.compile(r"\b([A-Z]\w+)\(")
_FIELD = re.compile(r"`\$\.(\w+)([^`]*)`")


def check(target: Target, spec: str) -> None:
    """Hold a target that was just made against the contract. Raises UsageError that says what is wrong, in which
    method, and what to do."""
    facts = asked(target, spec, "facts")
    if not isinstance(facts, Facts):
        raise UsageError(f"{spec}.facts() returned {_short(facts)}: return harness.target.Facts(...)")
    for wrong in _wrong(facts):
        raise UsageError(f'{spec}.facts(): {wrong} (see {PAGE}, "Facts")')
    for name in DECLARATIONS:
        asked(target, spec, name)
    for state in facts.fronted:
        if state not in (offered := states_of(target)):
            raise UsageError(
                f"{spec}.facts(): fronted names the state {state!r}, which states() does not offer; it offers: "
                f'{", ".join(offered)} (see {PAGE}, "Facts")'
            )
    for wrong in _misruled(riskmap.load(target.risk_map())):
        raise UsageError(f"risk map {target.risk_map()}: {wrong}")


def asked(target: Target, spec: str, method: str) -> Any:
    """What a method without arguments answers before the bot runs. Raises UsageError when it raises anything that is
    no error of the harness's own."""
    return tried(f"{spec}.{method}()", getattr(target, method), _MADE_BY.get(method))


def tried(where: str, call: Callable[[], Any], made: type[msgspec.Struct] | None = None) -> Any:
    """What `call` returns. Raises UsageError naming `where` when it raises; a field that some struct has not is told
    with those it has (`made`: which one is likely)."""
    try:
        return call()
    except IsolationError:
        raise
    except Exception as error:
        said = f"{where} raised {told(error)}"
        last = traceback.extract_tb(error.__traceback__)[-1]
        struct = _struct(linecache.getline(last.filename, last.lineno or 0), made)
        if isinstance(error, TypeError) and struct is not None and "argument" in str(error):
            said += f"; the fields of {struct.__name__} are: {', '.join(struct.__struct_fields__)}"
        raise UsageError(said) from error


def _struct(line: str, likely: type[msgspec.Struct] | None) -> type[msgspec.Struct] | None:
    """The struct of the contract that a line of code makes."""
    for name in reversed(_STRUCT.findall(line)):
        found = getattr(contract, name, None)
        if isinstance(found, type) and issubclass(found, msgspec.Struct):
            return found
    return likely


def _wrong(facts: Facts) -> Iterator[str]:
    """What is wrong with declared facts, one sentence each."""
    try:
        msgspec.convert(msgspec.to_builtins(facts), Facts)
    except (msgspec.MsgspecError, TypeError) as error:
        place = _FIELD.search(str(error))
        if place is None:
            yield str(error)
            return
        name = place[1]
        yield f"{name} is {_short(getattr(facts, name))}, and must be {Facts.__annotations__[name]}{_example(name)}"
        return
    for column, part in facts.owner_columns.items():
        if part not in PUBLIC:
            yield (
                f"owner_columns says that the column {column!r} names {part!r}, which is no part of a principal "
                f"({', '.join(PUBLIC)}){_example('owner_columns')}"
            )
    for column, part in facts.place_columns.items():
        if part not in ("chat", "platform"):
            yield f"place_columns says that the column {column!r} names {part!r}: use chat or platform"
    fields = tuple(DIMENSION_FIELDS.values())
    for name, given, known in (
        ("scoping", facts.scoping, fields),
        ("speaks", facts.speaks, fields),
        ("hostile", facts.hostile, tuple(FAMILIES)),
        ("shared", [one.sink for one in facts.shared], SINKS),
        ("caches", [one.sink for one in facts.caches], SINKS),
        ("shared", [letter for one in facts.shared for letter in one.within], tuple(DIMENSION_FIELDS)),
    ):
        for value in given:
            if value not in known:
                yield f"{name} holds {value!r}; known are: {', '.join(known)}"


def _misruled(items: RiskMap) -> Iterator[str]:
    """Globs of the map that are no rule's, and claims about contexts that none of the item's rules can break: nothing
    would ever open them."""
    known = (*rules.registry(), INTERFERENCE)
    for item in items.items:
        for glob in item.rules:
            if not fnmatch.filter(known, glob):
                yield f"item {item.id} shows by the rule {glob!r}, which there is not; rules are {', '.join(known)}"
        speaking = {rule for glob in item.rules for rule in fnmatch.filter(known, glob)}
        if any(cell.sink == CONTEXT for cell in item.cells) and speaking.isdisjoint((*CONTEXT_RULES, FORGED)):
            yield (
                f"item {item.id} has a cell on the context, but none of its rules speaks of contexts "
                f"({', '.join(sorted((*CONTEXT_RULES, FORGED)))})"
            )


def _example(field: str) -> str:
    return '; it maps a column to what it names: {"user_id": "tenant"}' if field.endswith("_columns") else ""


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
