"""Arguments for a call: from type hints, and from what a principal owns."""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.harvest import Harvest, wanted
from harness.principal import Label, Principal

SOON = 86_400.0
"""Seconds ahead of now that an argument for the end of a period of time gets."""


SEARCHED = re.compile(r"(^|_)(search|query|q|keywords?|terms?|needle|contains|pattern)$")
"""Names of parameters that take what one looks for."""

FREQUENT = "e"
"""What is looked for where a principal says nothing of its own."""

PAGED = re.compile(r"(^|_)(page|page_no|page_num|offset|skip)$")
"""Names of parameters that say where to go on in what is shown in parts."""

SIZED = re.compile(r"(^|_)(page_size|per_page|limit|size|count)$")
"""Names of parameters that say how much of it to show."""

OFFSET = re.compile(r"(^|_)(offset|skip)$")


def belongs(module: str, packages: Sequence[str]) -> bool:
    """Whether a module is one of these packages or inside one."""
    return any(module == package or module.startswith(package + ".") for package in packages)


class Unmet(Exception):
    """There is nothing to call it with: a required argument that nobody owns, or nothing of the other's to hand it."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of something that may be called. `hint` is its annotation (None: none)."""

    name: str
    hint: Any
    required: bool

    @property
    def takes(self) -> bool:
        """Whether it asks for something that a principal owns and can name."""
        inner = _inner(self.hint)
        kind = _element(inner) if _is_list(inner) else inner
        if _is_model(kind):
            return any(p.takes for p in fields_of(kind))
        return wanted(self.name) and kind in (None, Any, str, int)

    @property
    def searches(self) -> bool:
        """Whether it takes what one looks for."""
        return _inner(self.hint) is str and SEARCHED.search(self.name.lower()) is not None

    @property
    def pages(self) -> bool:
        """Whether it says where to go on in what is shown in parts."""
        return _inner(self.hint) is int and PAGED.search(self.name.lower()) is not None

    def made_by(self, packages: Sequence[str]) -> bool:
        """Whether it is an object, or a list of objects, of the bot's own classes."""
        inner = _inner(self.hint)
        kind = _element(inner) if _is_list(inner) else inner
        own = isinstance(kind, type) and belongs(kind.__module__, packages)
        return own and not _is_model(kind) and not issubclass(kind, enum.Enum)


class Chooser:
    """Chooses arguments for one call. `owner` is whose things are handed over, `who` calls; `pick` numbers the choice
    where there are several; on a `page` after the first one thing is shown at a time. Of what is optional `only` is
    given alone, where it is named. `crossed` is true once something that only the owner has was handed over."""

    def __init__(
        self, harvest: Harvest, who: Principal, owner: Label, pick: int, packages: Sequence[str], now: float,
        call: str = "", page: int = 1, only: str = "",
    ) -> None:  # fmt: skip
        self._harvest = harvest
        self._who = who
        self._owner = owner
        self._pick = pick
        self._packages = tuple(packages)
        self._now = now
        self._call = call
        self._page = page
        self._only = only
        self.crossed = False

    def arguments(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        """A value for every parameter that needs or takes one. Raises Unmet."""
        chosen: dict[str, Any] = {}
        for parameter in parameters:
            if self._only and not parameter.required and parameter.name != self._only:
                continue
            try:
                chosen[parameter.name] = self._value(parameter)
            except _LeftOut:
                continue
        return chosen

    def _value(self, parameter: Parameter) -> Any:
        hint = _inner(parameter.hint)
        many = _is_list(hint)
        kind = _element(hint) if many else hint
        if wanted(parameter.name) and kind in (None, Any, str, int):
            value = self._owned(parameter.name, kind)
            if value is not None:
                return [value] if many else value
        if self._only == parameter.name and parameter.searches:
            # What everybody's texts hold: a condition that stands behind this one alone is met by rows of the other's.
            return self._who.secrets.get("message", FREQUENT)[:1]
        if kind is str and not many and self._pick % 2 and parameter.searches:
            # The other may look for it as well: a search that forgets whose rows it goes through finds the other's.
            return self._who.user if self._pick % 4 == 1 else self._who.chat
        if self._page > 1 and kind is int and not many:
            if parameter.pages:
                return self._page - 1 if OFFSET.search(parameter.name.lower()) else self._page
            if SIZED.search(parameter.name.lower()):
                return 1
        if not parameter.required:
            raise _LeftOut
        value = self._made(parameter.name, kind)
        return [value] if many else value

    def _owned(self, name: str, kind: Any) -> Any:
        values = [_as(value, kind) for value in self._harvest.values(name, self._owner, self._call, to=self._who.label)]
        theirs: list[Any] = []
        if self._owner != self._who.label:
            own = {_as(value, kind) for value in self._harvest.values(name, self._who.label, self._call)}
            theirs = [value for value in values if value is not None and value not in own]
            if theirs:
                self.crossed = True
                values = theirs
        values = [value for value in values if value is not None]
        chosen = values[self._pick % len(values)] if values else None
        if chosen is not None and self._owner != self._who.label and chosen in theirs:
            self._harvest.lend(self._who.label, name, chosen)
        return chosen

    def _made(self, name: str, kind: Any) -> Any:
        lower = name.lower()
        if kind is bool:
            return bool(self._pick % 2)
        if kind is float or (kind in (int, None) and ("time" in lower or "since" in lower)):
            if any(word in lower for word in ("start", "begin", "since", "after", "from")):
                return 0.0
            return self._now + SOON if any(word in lower for word in ("time", "end", "until", "before")) else 0.5
        if kind is int:
            return 10
        if kind is bytes:
            return self._who.pictures.get("sticker", b"plain")
        if typing.get_origin(kind) is type:
            return self._class(typing.get_args(kind)[0])
        if typing.get_origin(kind) is typing.Literal:
            choices = typing.get_args(kind)
            return choices[self._pick % len(choices)]
        if isinstance(kind, type):
            if issubclass(kind, enum.Enum):
                members = list(kind)
                return members[self._pick % len(members)]
            if _is_model(kind):
                return self.arguments(fields_of(kind))
            if issubclass(kind, (dict, Mapping)):
                return {}
            if belongs(kind.__module__, self._packages):
                return self._object(kind)
        if typing.get_origin(kind) in (dict, Mapping):
            return {}
        if kind in (None, Any, str):
            return self._who.secrets.get("plugin", "plain")
        raise Unmet(f"nothing is known that could be its {name}")

    def _object(self, kind: type) -> Any:
        """An object of the bot. Always one's own: nobody can hold an object of the other's without a leak before."""
        mine = self._harvest.objects(kind, self._who.label)
        if not mine:
            raise Unmet(f"no {kind.__name__} of {self._who.label} is in memory")
        return mine[self._pick % len(mine)]

    def _class(self, base: Any) -> type:
        base = base if isinstance(base, type) else object
        known = {base} if belongs(base.__module__, self._packages) else set()
        waiting = [base] if base is not object else []
        while waiting:
            for kind in waiting.pop().__subclasses__():
                if kind not in known:
                    waiting.append(kind)
                    if belongs(kind.__module__, self._packages):
                        known.add(kind)
        leaves = sorted((k for k in known if not k.__subclasses__()), key=lambda k: (k.__module__, k.__qualname__))
        if not leaves:
            raise Unmet(f"the bot has no class of {base.__name__}")
        chosen: type = leaves[self._pick % len(leaves)]
        return chosen


class _LeftOut(Exception):
    """The parameter keeps its default."""


def fields_of(model: Any) -> list[Parameter]:
    """Fields of a pydantic model as parameters."""
    return [
        Parameter(getattr(field, "alias", None) or name, field.annotation, field.is_required())
        for name, field in model.model_fields.items()
    ]


def _inner(hint: Any) -> Any:
    """What stands in an Optional, and the first choice of a union."""
    if isinstance(hint, str):
        return None
    if typing.get_origin(hint) is typing.Annotated:
        return _inner(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        scalar = [choice for choice in choices if choice is str] or choices
        return _inner(scalar[0]) if scalar else None
    return hint


def _is_list(hint: Any) -> bool:
    return hint in (list, tuple, set) or typing.get_origin(hint) in (list, tuple, set)


def _element(hint: Any) -> Any:
    inside = typing.get_args(hint)
    return _inner(inside[0]) if inside else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and isinstance(getattr(kind, "model_fields", None), dict)


def _as(value: Any, kind: Any) -> Any:
    """The value as the parameter's type, or None where it is none."""
    if kind is int:
        try:
            return int(value)
        except (TypeError, ValueError):
            return None
    return str(value) if kind is str else value


def numbers_of(value: Any, name: str = "") -> tuple[str, ...]:
    """The numbers among arguments, also in their lists and fields, as ``argument=number``: of rows, mostly."""
    if isinstance(value, Mapping):
        return tuple(one for key, held in value.items() for one in numbers_of(held, f"{name}.{key}".strip(".")))
    if isinstance(value, (list, tuple)):
        return tuple(one for held in value for one in numbers_of(held, name))
    return (f"{name}={value}",) if isinstance(value, (int, str)) and str(value).isdecimal() else ()
