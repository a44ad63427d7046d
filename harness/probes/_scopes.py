"""Namespaces and unreplaced containers, compared between steps: what no hook can see shows as a difference."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from operator import is_, itemgetter, methodcaller
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from harness.flow import Flow, identity
from harness.principal import TWINS, Label
from harness.probes._attrs import Watched
from harness.probes._carriers import namespace, put
from harness.probes._cells import Ledger
from harness.probes._places import ATTRIBUTE, Place
from harness.probes._text import elements, fields, instance_dict
from harness.probes._traced import items_of, new_place
from harness.probes._versions import AVAILABLE, Versions
from harness.trace import Mark

_MISSING: Any = object()
_FIRST, _SECOND = itemgetter(0), itemgetter(1)
_ASSIGNED = re.compile(r"^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
LARGEST = 2000
"""Containers above this many elements are compared by length only."""
REPORTED = 20
"""At most this many differences of one container are recorded at once."""


class Writers:
    """Who was active since the last comparison, and in which flow each was seen last: the best that can be said of a
    write nobody saw."""

    def __init__(self, labels: frozenset[Label], flows: Mapping[Label, Flow]) -> None:
        self.labels = labels
        self._flows = flows
        self._only: Label | None = next(iter(labels)) if len(labels) == 1 else None

    def told(self, marks: Iterable[Mark]) -> Flow | None:
        """The flow of whose canary alone stands in what was written, else of who alone was active. None: nobody's."""
        own = {mark.label for mark in marks if mark.label in TWINS}
        label = next(iter(own)) if len(own) == 1 else None if own else self._only
        return None if label is None else self._flows.get(label, Flow("unseen", actor=label, entry="timer", depth=1))

    def detail(self) -> dict[str, Any]:
        """For `Access.detail`."""
        return {"writers": sorted(self.labels), "observed": "between"}


class Namespace:
    """Stands for a module that nobody imported by name: code that was loaded from a path and kept by its classes alone.
    Its names are the globals of that code, not a copy."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__ = names


class Scope:
    """A namespace whose names are cells: a module, a class or an instance.

    `former` is the namespace as it was last time. `replaceable` says whether stand-ins may be put into it;
    `hooked` whether descriptors already report its names.
    """

    def __init__(self, holder: Any, surface: str, prefix: str, depth: int, ledger: Ledger) -> None:
        self.surface = surface
        self.prefix = prefix
        self.depth = depth
        self.former: dict[str, Any] = {}
        self.fresh = True
        self.replaceable = True
        self.hooked = False
        self.label: Label | None = None
        self.watched = Watched(ledger, surface, prefix)
        self.is_class = isinstance(holder, type)
        self.is_module = isinstance(holder, (ModuleType, Namespace))
        self._slots: tuple[type, bool] | None = None
        self._strong: Any = None
        self._weak: Any = None
        if isinstance(holder, Namespace):
            self._strong = holder  # nobody else holds it
            return
        try:
            self._weak = weakref.ref(holder)
        except TypeError:
            self._strong = holder

    @property
    def holder(self) -> Any:
        """The module, class or instance; None when it is gone."""
        return self._strong if self._weak is None else self._weak()

    def namespace(self) -> Any:
        """Its names and values at this moment, read past the bot's own code."""
        holder = self.holder
        if holder is None:
            return {}
        if self.is_module or self.is_class:
            return vars(holder)
        carried = namespace(holder)
        if carried is not None:
            return carried
        own = instance_dict(holder)
        if own is None or self._slotted(holder):
            return dict(fields(holder))
        return own

    def _slotted(self, holder: Any) -> bool:
        known = self._slots
        if known is None or known[0] is not type(holder):
            kind = type(holder)
            known = self._slots = kind, any("__slots__" in vars(cls) for cls in kind.__mro__[:-1])
        return known[1]

    def changes(self) -> list[tuple[str, Any]]:
        """Names that are new or hold another object."""
        former, now = self.former, self.namespace()
        if same(now, former):
            return []
        return [
            (name, value)
            for name, value in list(now.items())
            if former.get(name, _MISSING) is not value and not (name.startswith("__") and name.endswith("__"))
        ]

    def gone(self) -> list[str]:
        """Names that were there and are not."""
        now = self.namespace()
        return [name for name in self.former if name not in now]

    def put(self, name: str, value: Any) -> bool:
        """Rebind a name past every hook. False when the holder is gone."""
        holder = self.holder
        if holder is None:
            return False
        if self.is_class:
            type.__setattr__(holder, name, value)
        elif self.is_module:
            dict.__setitem__(vars(holder), name, value)
        elif isinstance(holder, FunctionType):
            put(holder, name, value)
        else:
            own = instance_dict(holder)
            if own is not None and name in own:
                dict.__setitem__(own, name, value)
            else:
                put_slot(holder, name, value)
        return True

    def note(self, ledger: Ledger, name: str, value: Any, writers: Writers) -> None:
        """Record that a name holds another object now."""
        place = self.watched.place(name)
        ledger.write(place, ATTRIBUTE, value, op="rebind", told=writers.told, more=writers.detail())


def same(now: Any, former: dict[Any, Any]) -> bool:
    """Whether two mappings hold the same objects under the same keys in the same order. Runs nothing but C: there is
    much to look at between two steps, and next to nothing of it has changed."""
    return len(now) == len(former) and all(map(is_, now.values(), former.values())) and all(map(is_, now, former))


def put_slot(holder: Any, name: str, value: Any) -> None:
    """Set a slot by its member descriptor, past `__setattr__` and our own descriptors."""
    for cls in type(holder).__mro__:
        member: Any = vars(cls).get(name)
        member = getattr(member, "_member", None) or member
        if hasattr(member, "__set__"):
            member.__set__(holder, value)
            return


class Batch:
    """Some scopes, looked at in one go: between two steps there are hundreds to look at, and next to none has changed.

    Names and values are reached through the namespaces themselves, so that nothing is held that the scopes do not hold.
    """

    SIZE = 16

    def __init__(self) -> None:
        self.scopes: list[tuple[int, Scope]] = []
        self._alive: list[Any] = []
        self._instances: list[Any] = []
        self._dicts: list[dict[str, Any]] = []
        self._spaces: list[Any] = []
        self._former: list[dict[str, Any]] = []
        self._slotted: list[Scope] = []
        self._versions: Versions | None = None

    def add(self, number: int, scope: Scope) -> None:
        """One more scope, known by the identity of its holder."""
        self._versions = None
        self.scopes.append((number, scope))
        holder, space = scope.holder, scope.namespace()
        instance = not (scope.is_module or scope.is_class)
        if scope._weak is not None:
            self._alive.append(scope._weak)
        if instance and (instance_dict(holder) is not space or scope._weak is None):
            self._slotted.append(scope)
            return
        if instance:
            self._instances.append(scope._weak)
            self._dicts.append(space)
        self._spaces.append(space)
        self._former.append(scope.former)

    def unchanged(self) -> bool:
        """Whether all holders are alive and hold the very objects they held, under the same names."""
        if any(map(is_, map(_CALL, self._alive), repeat(None))):
            return False
        if not all(map(is_, map(_OWN, map(_CALL, self._instances), repeat("__dict__")), self._dicts)):
            return False
        if not all(same(scope.namespace(), scope.former) for scope in self._slotted):
            return False
        if self._versions is not None and self._versions.same():
            return True
        if self._versions is None and AVAILABLE:
            self._versions = Versions(self._spaces)
        unchanged = (
            list(map(len, self._spaces)) == list(map(len, self._former))
            and all(map(is_, _values(self._spaces), _values(self._former)))
            and all(map(is_, chain.from_iterable(self._spaces), chain.from_iterable(self._former)))
        )
        if unchanged and self._versions is not None:
            self._versions.keep()
        return unchanged


_CALL: Any = weakref.ref.__call__
_OWN: Any = object.__getattribute__


def _values(spaces: list[Any]) -> chain[Any]:
    return chain.from_iterable(map(methodcaller("values"), spaces))


class Snapshot:
    """A container that could not be replaced, with its elements as they were last time."""

    def __init__(self, container: Any, ledger: Ledger, surface: str, prefix: str) -> None:
        self.container = container
        self.place: Place = new_place(container, ledger, surface, prefix)
        self._length = len(container)
        self._items = self._now()

    def _now(self) -> list[tuple[Any, Any]] | None:
        """Its elements; None when there are too many to hold."""
        return items_of(self.container) if len(self.container) <= LARGEST else None

    def _unchanged(self, before: list[tuple[Any, Any]]) -> bool:
        """Whether the very same elements are there, as many as before, in the same order."""
        container = self.container
        if isinstance(container, dict):
            keys, values = dict.keys(container), dict.values(container)
            return all(map(is_, map(_FIRST, before), keys)) and all(map(is_, map(_SECOND, before), values))
        return all(map(is_, map(_SECOND, before), elements(container)))

    def compare(self, ledger: Ledger, writers: Writers) -> bool:
        """Record what changed. True when anything did.

        Where the elements are not known, before or now, another length is one write of no key and no owner: which
        elements came or went cannot be said.
        """
        length, former_length = len(self.container), self._length
        before = self._items
        if before is not None and length == len(before) and self._unchanged(before):
            return False
        now = self._now()
        self._length, self._items = length, now
        if now is None or before is None:
            if length == former_length:
                return False
            ledger.write(self.place, ATTRIBUTE, None, more={**writers.detail(), "length": [former_length, length]})
            return True
        place = self.place
        if place.indexed or isinstance(self.container, (set, frozenset)):
            known, kept = {identity(value) for _, value in before}, {identity(value) for _, value in now}
            written = [item for item in now if identity(item[1]) not in known]
            deleted = [item for item in before if identity(item[1]) not in kept]
        else:
            old, new = dict(before), dict(now)
            written = [(key, value) for key, value in now if old.get(key, _MISSING) is not value]
            deleted = [(key, value) for key, value in before if key not in new]
        for key, value in deleted[:REPORTED]:
            ledger.delete(place, key, value, more=writers.detail())
        for key, value in written[:REPORTED]:
            ledger.write(place, key, value, told=writers.told, more=writers.detail())
        return True


def assigned_names(module: ModuleType) -> frozenset[str] | None:
    """Names that the module's source assigns at top level (rather than imports); None when it has no source."""
    path = getattr(module, "__file__", None)
    if not path or not str(path).endswith(".py"):
        return None
    try:
        source = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return frozenset(_ASSIGNED.findall(source))


def in_order(names: list[tuple[str, Any]], first: frozenset[str] | None) -> list[tuple[str, Any]]:
    """Names the module assigns before those it only imports: a surface is named after where it is made."""
    if first is None:
        return names
    return sorted(names, key=lambda item: item[0] not in first)
