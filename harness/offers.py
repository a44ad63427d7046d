"""Calls that the harness finds by itself in a booted bot: functions that plugins call, routes of its applications.

Each is offered as an action. Its arguments come from type hints and from what the twins own at that moment: one's own
things, to see it work, and the other's, to see it refused; functions also with no context at all.
"""

from __future__ import annotations

import fnmatch
import inspect
import sys
import time
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

import msgspec

from harness.arguments import Chooser, Parameter, Unmet, belongs
from harness.errors import TargetError
from harness.harvest import Harvest
from harness.principal import Principal
from harness.target import Action, Exposing, Target

OWN, OTHER = "own", "other"

FILTERS = 3
"""Optional arguments of one call that are given alone."""

LATE = ("delete", "remove", "clear", "reset", "drop", "stop", "unload", "uninstall", "disable", "ban", "erase", "purge",
        "cancel")  # fmt: skip
"""What takes things away is called after everything else: nothing would be left to ask for."""


class Call(msgspec.Struct, frozen=True):
    """Something that may be called. `holder` and `attribute` name a function (overlays may replace it after it was
    found, so it is looked up at each call); `holder` is None for a route. `code` is what answers. `where` says of a
    route's parameters whether they stand in the path, the query or the body (``whole``: the parameter is the body)."""

    entry: str
    name: str
    parameters: tuple[Parameter, ...]
    holder: Any = None
    attribute: str = ""
    code: CodeType | None = None
    method: str = ""
    path: str = ""
    where: dict[str, str] = {}

    def action(self, packages: Sequence[str]) -> Action:
        """The call as an action of plans. `ids` is whose things are handed over, `pick` which, `page` which part is
        asked for of what is shown in parts, `only` which of what is optional is given alone, `context` whose
        the bot's context is: none only where no object of the bot is handed over, for to look at that is no offence."""
        classes = any(typing.get_origin(parameter.hint) is type for parameter in self.parameters)
        payload: dict[str, Any] = {"ids": [OWN], "pick": list(range(24 if classes else 4))}
        wrong: dict[str, Any] = {}
        if any(parameter.takes for parameter in self.parameters):
            payload["ids"] = [OWN, OTHER, OTHER]
        if any(parameter.pages for parameter in self.parameters):
            payload["page"] = [1, 1, 1, 2]
        if self.holder is not None and not self.needs_objects(packages):
            payload["context"] = [OWN, OWN, OWN, "none"]
            wrong = {"context": ["none"]}
        if self.filters:
            payload["only"] = ["", "", "", *self.filters]
        about = "a call with one's own things, or with the other's"
        return Action(
            entry=self.entry, name=self.name, payload=payload, wrong=wrong, call=True, takes=self.late, about=about
        )  # fmt: skip

    @property
    def filters(self) -> tuple[str, ...]:
        """What is optional and can be given alone, which shows what each does by itself: what one looks for, and where
        there are several, what belongs to somebody. At most `FILTERS`, what one looks for first."""
        optional = [parameter for parameter in self.parameters if not parameter.required]
        found = [one.name for one in optional if one.searches]
        found += [one.name for one in optional if one.takes and not one.searches]
        alone = len(found) == 1 and not any(one.searches for one in optional)
        return () if alone else tuple(found[:FILTERS])

    @property
    def late(self) -> bool:
        """Whether it takes things away."""
        words = (self.path if self.holder is None else self.name).lower()
        return self.method == "DELETE" or any(word in words for word in LATE)

    def needs_objects(self, packages: Sequence[str]) -> bool:
        """Whether it wants objects of the bot's own classes, which other calls hand out."""
        return any(parameter.required and parameter.made_by(packages) for parameter in self.parameters)

    def arguments(
        self, harvest: Harvest, who: Principal, payload: Mapping[str, Any], packages: Sequence[str]
    ) -> tuple[dict[str, Any], bool]:
        """Arguments for this step and whether something of the other's is among them. Raises Unmet."""
        cross = payload.get("ids", OWN) == OTHER
        owner = who.label if not cross else ("B" if who.label == "A" else "A")
        pick, page = int(payload.get("pick", 0)), int(payload.get("page", 1))
        only = str(payload.get("only", ""))
        chooser = Chooser(harvest, who, owner, pick, packages, time.time(), self.name, page, only)
        chosen = chooser.arguments(self.parameters)
        if cross and not chooser.crossed:
            raise Unmet("there is nothing of the other's that one does not have oneself")
        return chosen, chooser.crossed

    async def run(self, target: Exposing, who: Principal, chosen: Mapping[str, Any], bare: bool) -> tuple[bool, Any]:
        """Carry it out. Whether it was served, and what came back."""
        if self.holder is not None:
            with target.acting(None if bare else who):
                value = getattr(self.holder, self.attribute)(**chosen)
                return True, (await value if inspect.isawaitable(value) else value)
        path, query, body = self.path, {}, None
        parts: dict[str, Any] = {}
        for name, value in chosen.items():
            where = self.where.get(name, "query")
            if where == "path":
                path = path.replace("{" + name + "}", str(value)).replace("{" + name + ":path}", str(value))
            elif where == "whole":
                body = value
            elif where == "body":
                parts[name] = value
            else:
                query[name] = value
        status, text = await target.request(self.entry, who, self.method, path, query, parts or body)
        return status < 400, f"{status} {text}"


def discover(target: Target) -> dict[tuple[str, str], Call]:
    """Every call that the booted target exposes, by entry and name; late ones last. Raises TargetError when a pattern
    of `Exposing.exposes` names nothing."""
    if not isinstance(target, Exposing):
        return {}
    exposed = target.exposes()
    found: list[Call] = []
    for entry, patterns in sorted(exposed.functions.items()):
        for pattern in patterns:
            calls = list(_functions(entry, pattern))
            if not calls:
                raise TargetError(f"target {target.name} exposes {pattern!r}, but nothing to call was found there")
            found += calls
    for entry, app in sorted(exposed.apps.items()):
        found += _routes(entry, app, target.facts().packages)
    packages = target.facts().packages
    return {
        (call.entry, call.name): call
        for call in sorted(found, key=lambda call: (call.late, call.needs_objects(packages), call.entry, call.name))
        if not any(fnmatch.fnmatchcase(call.name, glob) for glob in exposed.avoid)
    }


def _functions(entry: str, pattern: str) -> Iterator[Call]:
    place, _, attribute = pattern.partition(":")
    if attribute:
        holder = getattr(sys.modules.get(place), attribute, None)
        holder = holder() if inspect.isfunction(holder) else holder
        for name, function in inspect.getmembers(holder, inspect.ismethod):
            if not name.startswith("_"):
                yield from _call(entry, f"{type(holder).__name__}.{name}", holder, name, function)
        return
    for name, module in sorted(sys.modules.items()):
        if isinstance(module, ModuleType) and fnmatch.fnmatchcase(name, place):
            for function_name, function in sorted(vars(module).items()):
                mine = inspect.isfunction(function) and function.__module__ == name
                if mine and not function_name.startswith("_"):
                    shown = f"{name.rpartition('.')[2]}.{function_name}"
                    yield from _call(entry, shown, module, function_name, function)


def _call(entry: str, name: str, holder: Any, attribute: str, function: Any) -> Iterator[Call]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # names that are imported for type checkers only
        hints = {name: p.annotation for name, p in signature.parameters.items() if p.annotation is not p.empty}
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            return
        required = parameter.default is parameter.empty
        parameters.append(Parameter(parameter.name, hints.get(parameter.name), required))
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return
    yield Call(entry, name, tuple(parameters), holder, attribute, _code(function))


def _code(function: Any) -> CodeType | None:
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code if isinstance(code, CodeType) else None


def _listed(routes: Iterable[Any]) -> Iterator[Any]:
    """Routes of an application one by one; FastAPI keeps those of an included router behind one entry."""
    for route in routes:
        inside = getattr(route, "effective_route_contexts", None)
        if inside is not None:
            yield from inside()
        else:
            yield route


def _routes(entry: str, app: Any, packages: Sequence[str]) -> Iterator[Call]:
    """Routes of an ASGI application that lists them, with FastAPI's parameters where it has them. The framework's own
    (its documentation pages) are nobody's."""
    for route in _listed(getattr(app, "routes", ())):
        path = str(getattr(route, "path", ""))
        methods = sorted(set(getattr(route, "methods", None) or ()) - {"HEAD", "OPTIONS"})
        dependant = getattr(route, "dependant", None)
        home = str(getattr(getattr(route, "endpoint", None), "__module__", ""))
        code = _code(getattr(route, "endpoint", None))
        if not methods or not path or not belongs(home, packages):
            continue
        parameters: list[Parameter] = []
        where: dict[str, str] = {}
        if dependant is None:
            for name in getattr(route, "param_convertors", {}):
                parameters.append(Parameter(name, str, True))
                where[name] = "path"
        else:
            bodies = list(dependant.body_params)
            groups = (("path", dependant.path_params), ("query", dependant.query_params), ("body", bodies))
            for place, fields in groups:
                for field in fields:
                    info = field.field_info
                    parameters.append(Parameter(field.alias, info.annotation, info.is_required()))
                    where[field.alias] = "whole" if place == "body" and len(bodies) == 1 else place
            if any("UploadFile" in str(field.field_info.annotation) for field in bodies):
                continue  # a file is no id: uploads are the target's own actions
        for method in methods:
            yield Call(entry, f"{method} {path}", tuple(parameters), None, "", code, method, path, where)
