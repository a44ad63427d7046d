"""Finds in-process state by walking from the bot's modules, and puts tracing stand-ins where they are safe.

A stand-in replaces a container only when every reference to it is known and can be rebound: the reference count
must be accounted for to the last one. Anything else (a frame, a closure, a tuple, a C object holds it) is left alone
and compared between steps instead.
"""

from __future__ import annotations

import abc
import asyncio
import collections
import gc
import itertools
import logging
import queue
import re
import sys
import types
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from harness.principal import Label
from harness.probes._attrs import AttributeCell, ClassHook, hookable
from harness.probes._cells import ATTRIBUTE, Ledger, Place
from harness.probes._scopes import Scope, Snapshot, Writers, assigned_names, in_order, put_slot
from harness.probes._text import fields, instance_dict
from harness.probes._traced import STANDINS, Traced, items_of, new_place, stand_in

DEPTH = 6
WIDTH = 500
"""How deep the walk goes, and how many elements of one container it looks inside."""
MOST = 5000
"""At most this many instances become scopes."""

_LEAVES: frozenset[type] = frozenset(
    {str, int, float, bool, bytes, bytearray, complex, type(None), type(Ellipsis), range, slice, property}
    | {types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.MethodType, types.GenericAlias}
    | {staticmethod, classmethod, re.Pattern, logging.Logger, logging.LoggerAdapter, asyncio.Lock, asyncio.Event}
    | {asyncio.Semaphore, asyncio.Task, asyncio.Future, types.MemberDescriptorType, types.GetSetDescriptorType}
    | {AttributeCell}
)

HOLDERS: dict[type, str] = {
    asyncio.Queue: "_queue",
    asyncio.LifoQueue: "_queue",
    queue.Queue: "queue",
    queue.LifoQueue: "queue",
    weakref.WeakValueDictionary: "data",
    weakref.WeakKeyDictionary: "data",
    weakref.WeakSet: "data",
    collections.UserDict: "data",
    collections.UserList: "data",
    collections.ChainMap: "maps",
}
"""Standard-library holders and the attribute in which they keep their elements."""


class Candidate:
    """A plain container met on the walk, with every way it was met (`holders`)."""

    __slots__ = ("holders", "label", "obj", "prefix", "replaceable", "surface")

    def __init__(self, obj: Any, surface: str, prefix: str, label: Label | None) -> None:
        self.obj = obj
        self.surface = surface
        self.prefix = prefix
        self.label = label
        self.replaceable = True
        self.holders: list[tuple[Any, Any]] = []


class Walker:
    """Keeps what was found in this process. `ours` says whether a module name belongs to the bot."""

    def __init__(self, ledger: Ledger, ours: Callable[[str], bool]) -> None:
        self.ledger = ledger
        self.ours = ours
        self.scopes: dict[int, Scope] = {}
        self.hooks: dict[type, ClassHook] = {}
        self.snapshots: dict[int, Snapshot] = {}
        self.traced: list[tuple[Place, Any, int]] = []
        self.replaced = 0
        self._retry: dict[int, Candidate] = {}
        self._modules: dict[str, ModuleType] = {}
        self._assigned: dict[int, frozenset[str] | None] = {}
        self._hookable: dict[type, bool] = {}
        self._candidates: dict[int, Candidate] = {}
        self._extra: Counter[int] = Counter()
        self._queue: deque[tuple[Any, str, str, Any, Any, int, Label | None, bool]] = deque()
        self._fresh: list[Scope] = []
        self._overhead = self._calibrate()

    # -- one walk -----------------------------------------------------------------------------------------------

    def walk(self, modules: Iterable[tuple[str, ModuleType]], writers: Writers | None) -> None:
        """Find what is new or changed since the last walk. With `writers` the differences are recorded."""
        self._new_modules(modules)
        self._compare(writers)
        self._drain()
        self._replace()
        self._settle()

    def _new_modules(self, modules: Iterable[tuple[str, ModuleType]]) -> None:
        for name, module in modules:
            if self._modules.get(name) is module:
                continue
            self._modules[name] = module
            scope = Scope(module, name, "", 0, self.ledger)
            self.scopes[id(module)] = scope
            self._assigned[id(module)] = assigned_names(module)

    def _compare(self, writers: Writers | None) -> None:
        for number, scope in list(self.scopes.items()):
            if scope.holder is None:
                del self.scopes[number]
                continue
            changes = scope.changes()
            if changes:
                self._changed(scope, changes, writers)
            if writers is not None and not scope.fresh and not scope.hooked:
                for name in scope.gone() if len(scope.former) > len(scope.namespace()) else ():
                    former = scope.former.pop(name)
                    if type(former) not in _LEAVES or isinstance(former, (str, int, float, bytes)):
                        self.ledger.delete(scope.watched.place(name), ATTRIBUTE, former, more=writers.detail())
        for place, reference, depth in self.traced:
            if place.dirty:
                place.dirty = False
                container = reference()
                if container is not None:
                    self._children(container, place, depth, replaceable=True)
        self.traced = [entry for entry in self.traced if entry[1]() is not None]
        for snapshot in list(self.snapshots.values()):
            if writers is not None and snapshot.compare(self.ledger, writers):
                self._children(snapshot.container, snapshot.place, DEPTH - 2, replaceable=False)

    def _changed(self, scope: Scope, changes: list[tuple[str, Any]], writers: Writers | None) -> None:
        self._fresh.append(scope)
        ordered = in_order(changes, self._assigned.get(id(scope.holder))) if scope.is_module else changes
        for name, value in ordered:
            label = scope.label
            kind = type(value)
            if not scope.fresh and writers is not None:
                if not scope.hooked and (kind not in _LEAVES or isinstance(value, (str, int, float, bytes, type(None)))):
                    if not isinstance(value, (type, Traced)):
                        scope.note(self.ledger, name, value, writers)
                cell = scope.watched.place(name).cells.get(ATTRIBUTE)
                label = cell.by if cell is not None else label
            if kind not in _LEAVES:
                where = f"{scope.surface}.{name}"
                self._queue.append((value, where, scope.prefix, scope, name, scope.depth, label, scope.replaceable))

    def _drain(self) -> None:
        # Breadth first: the shortest path names the surface.
        while self._queue:
            value, surface, prefix, holder, key, depth, label, replaceable = self._queue.popleft()
            self._meet(value, surface, prefix, holder, key, depth, label, replaceable)

    def _meet(
        self,
        value: Any,
        surface: str,
        prefix: str,
        holder: Any,
        key: Any,
        depth: int,
        label: Label | None,
        replaceable: bool,
    ) -> None:
        kind = type(value)
        subclass = not isinstance(value, Traced) and isinstance(value, (dict, list, set, deque))
        if kind in STANDINS or subclass:
            replaceable = replaceable and kind in STANDINS
            candidate = self._candidates.get(id(value))
            if candidate is None:
                if id(value) in self.snapshots and id(value) not in self._retry:
                    return
                candidate = self._candidates[id(value)] = Candidate(value, surface, prefix, label)
                if depth < DEPTH:
                    place = new_place(value, self.ledger, surface, prefix)
                    self._children(value, place, depth, replaceable, label)
            candidate.replaceable = candidate.replaceable and replaceable
            candidate.holders.append((holder, key))
            self._extra[id(holder)] += 1
        elif kind in HOLDERS:
            inner = (instance_dict(value) or {}).get(HOLDERS[kind])
            if inner is not None and depth < DEPTH and not isinstance(inner, Traced):
                slot = _Inside(value)
                name = HOLDERS[kind]
                self._queue.append((inner, f"{surface}.{name}", prefix, slot, name, depth + 1, label, replaceable))
        elif isinstance(value, type):
            if id(value) not in self.scopes and type(value) in (type, abc.ABCMeta) and self.ours(value.__module__):
                if not issubclass(value, BaseException):
                    scope = Scope(value, f"{value.__module__}.{value.__qualname__}", "", depth, self.ledger)
                    self._enter(scope, value)
        elif isinstance(value, Traced) or kind is tuple:
            if kind is tuple and depth < DEPTH:
                for index, element in enumerate(value[:WIDTH]):
                    if type(element) not in _LEAVES:
                        self._queue.append((element, f"{surface}[]", prefix, None, index, depth + 1, label, False))
        elif type(kind) in (type, abc.ABCMeta) and self.ours(kind.__module__):
            self._instance(value, surface, prefix, depth, label)
        elif depth <= 1 and hasattr(kind, "__getitem__") and hasattr(kind, "__setitem__"):
            # Somebody else's mapping (a cache, a registry): looked into, never changed.
            for name, inner in list((instance_dict(value) or {}).items()):
                if type(inner) in STANDINS:
                    self._queue.append((inner, f"{surface}.{name}", prefix, None, name, DEPTH - 1, label, False))

    def _instance(self, value: Any, surface: str, prefix: str, depth: int, label: Label | None) -> None:
        known = self.scopes.get(id(value))
        if (known is not None and known.holder is value) or depth >= DEPTH or len(self.scopes) > MOST:
            return
        kind = type(value)
        if isinstance(value, BaseException):
            return
        safe = self._hookable.get(kind)
        if safe is None:
            safe = self._hookable[kind] = hookable(kind, self.ours)
        scope = Scope(value, surface, prefix, depth + 1, self.ledger)
        scope.label = label
        scope.replaceable = safe or all(base is object or self.ours(base.__module__) for base in kind.__mro__)
        scope.hooked = safe
        if safe:
            hook = self.hooks.get(kind)
            if hook is None:
                hook = self.hooks[kind] = ClassHook(kind)
            hook.watch(value, scope.watched)
        self._enter(scope, value)

    def _enter(self, scope: Scope, holder: Any) -> None:
        self.scopes[id(holder)] = scope
        self._changed(scope, scope.changes(), None)

    def _children(
        self, container: Any, place: Place, depth: int, replaceable: bool, label: Label | None = None
    ) -> None:
        if len(container) > 10 * WIDTH:
            return
        counter = 0
        for key, element in itertools.islice(items_of(container), WIDTH):
            if isinstance(element, weakref.ref):
                element = element()
            if type(element) in _LEAVES or isinstance(element, type):
                continue
            counter += 1
            by = self.ledger.owner_of(place, key, element) or label
            where = (element, f"{place.surface}[]", place.text(key), container, key, depth + 1, by, replaceable)
            self._queue.append(where)

    # -- replacing ----------------------------------------------------------------------------------------------

    def _replace(self) -> None:
        found, self._candidates = self._candidates, {}
        extra, self._extra = self._extra, Counter()
        for number, candidate in self._retry.items():
            if number not in found and sys.getrefcount(candidate.obj) > 0:
                found[number] = candidate
        self._retry = {}
        if not found:
            return
        counts = {
            number: sys.getrefcount(candidate.obj) - self._overhead - extra[number] - self._own(candidate)
            for number, candidate in found.items()
        }
        # Frozen objects are invisible to get_referrers: there only the paths of this walk count.
        known = _referrers(found) if gc.get_freeze_count() == 0 and len(self._modules) and self.replaced == 0 else None
        done: dict[int, Any] = {}
        # Inner ones first, so that the copy of the outer one already holds them.
        for number in reversed(list(found)):
            candidate = found[number]
            holders = known[number] if known is not None else _distinct(candidate.holders)
            if candidate.replaceable and len(holders) == counts[number] and all(_bindable(h, k) for h, k in holders):
                self._put(candidate, holders, done)
            else:
                self._observe(number, candidate)

    def _own(self, candidate: Candidate) -> int:
        """References that this walker itself holds from earlier walks."""
        own = 1 if id(candidate.obj) in self.snapshots else 0
        for holder, key in candidate.holders:
            if isinstance(holder, Scope) and holder.former.get(key) is candidate.obj:
                own += 1
        return own

    def _put(self, candidate: Candidate, holders: list[tuple[Any, Any]], done: dict[int, Any]) -> None:
        original = candidate.obj
        place = new_place(original, self.ledger, candidate.surface, candidate.prefix)
        copy = stand_in(original, place)
        for holder, key in holders:
            _bind(holder, key, copy)
            if id(holder) in done:
                _bind(done[id(holder)], key, copy)
        done[id(original)] = copy
        self.snapshots.pop(id(original), None)
        self.ledger.seed(place, items_of(copy), candidate.label)
        depth = candidate.surface.count("[]") + 1
        self.traced.append((place, weakref.ref(copy), depth))
        self.replaced += 1

    def _observe(self, number: int, candidate: Candidate) -> None:
        if number not in self.snapshots:
            snapshot = Snapshot(candidate.obj, self.ledger, candidate.surface, candidate.prefix)
            self.snapshots[number] = snapshot
            self.ledger.seed(snapshot.place, items_of(candidate.obj), candidate.label)
        scoped = [(holder, key) for holder, key in candidate.holders if isinstance(holder, Scope)]
        if candidate.replaceable and len(scoped) == len(candidate.holders):
            self._retry[number] = candidate

    def _settle(self) -> None:
        """What is there now is what the next walk compares with."""
        for scope in self._fresh:
            scope.former = dict(scope.namespace())
            scope.fresh = False
        self._fresh.clear()

    def _calibrate(self) -> int:
        """How many references a candidate has besides its holders, on this interpreter."""
        found = {0: Candidate([], "", "", None)}
        return [sys.getrefcount(candidate.obj) for candidate in found.values()][0]

    def remove(self) -> None:
        """Give hooked classes back as they were."""
        for hook in self.hooks.values():
            hook.remove()
        self.hooks.clear()


class _Inside:
    """Stands for the namespace of a standard-library holder."""

    __slots__ = ("holder",)

    def __init__(self, holder: Any) -> None:
        self.holder = holder


def _distinct(holders: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    seen: dict[tuple[int, Any], tuple[Any, Any]] = {}
    for holder, key in holders:
        base = holder.holder if isinstance(holder, (Scope, _Inside)) else holder
        seen[(id(base), key if isinstance(key, (str, int)) else id(key))] = (holder, key)
    return list(seen.values())


def _bindable(holder: Any, key: Any) -> bool:
    if isinstance(holder, Scope):
        return holder.holder is not None
    return isinstance(holder, (_Inside, _Attribute, dict, list, deque))


def _bind(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, Scope):
        holder.put(key, value)
    elif isinstance(holder, _Inside):
        dict.__setitem__(instance_dict(holder.holder) or {}, key, value)
    elif isinstance(holder, _Attribute):
        holder.put(key, value)
    elif isinstance(holder, OrderedDict):
        OrderedDict.__setitem__(holder, key, value) if not isinstance(holder, Traced) else dict.__setitem__(
            holder, key, value
        )
    elif isinstance(holder, dict):
        dict.__setitem__(holder, key, value)
    elif isinstance(holder, list):
        list.__setitem__(holder, key, value)
    else:
        deque.__setitem__(holder, key, value)


class _Attribute:
    """A class or an instance without a `__dict__` of its own, found as a referrer."""

    __slots__ = ("holder",)

    def __init__(self, holder: Any) -> None:
        self.holder = holder

    def put(self, name: str, value: Any) -> None:
        if isinstance(self.holder, type):
            type.__setattr__(self.holder, name, value)
        else:
            put_slot(self.holder, name, value)


def _referrers(found: dict[int, Candidate]) -> dict[int, list[tuple[Any, Any]]]:
    """Every rebindable reference to each candidate, by one pass over the heap."""
    known: dict[int, list[tuple[Any, Any]]] = {number: [] for number in found}
    classes = {id(gc.get_referents(vars(cls))[0]): cls for cls in _classes()}
    mine = {id(known), id(found)}
    objects = [candidate.obj for candidate in found.values()]
    mine.add(id(objects))
    for referrer in gc.get_referrers(*objects):
        if id(referrer) in mine or isinstance(referrer, (Candidate, Snapshot, types.FrameType)):
            continue
        if isinstance(referrer, dict):
            cls = classes.get(id(referrer))
            for key, value in dict.items(referrer):
                if id(value) in known and found[id(value)].obj is value:
                    known[id(value)].append((_Attribute(cls) if cls is not None else referrer, key))
        elif isinstance(referrer, (list, deque)):
            base: Any = list if isinstance(referrer, list) else deque
            for index, value in enumerate(base.__iter__(referrer)):
                if id(value) in known:
                    known[id(value)].append((referrer, index))
        elif not isinstance(referrer, (type, tuple, set, frozenset, types.CellType, ModuleType)):
            _from_instance(referrer, known)
    return {number: _distinct_raw(holders) for number, holders in known.items()}


def _from_instance(referrer: Any, known: dict[int, list[tuple[Any, Any]]]) -> None:
    own = instance_dict(referrer)
    for name, value in list(fields(referrer)):
        if id(value) in known:
            holder: Any = own if own is not None and own.get(name) is value else _Attribute(referrer)
            known[id(value)].append((holder, name))


def _distinct_raw(holders: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    seen: dict[tuple[int, int], tuple[Any, Any]] = {}
    for holder, key in holders:
        base = holder.holder if isinstance(holder, _Attribute) else holder
        seen[(id(base), hash(key) if isinstance(key, (str, int)) else id(key))] = (holder, key)
    return list(seen.values())


def _classes() -> list[type]:
    """Every class in the process."""
    seen: set[type] = {object}
    todo: list[type] = [object]
    while todo:
        for cls in type.__subclasses__(todo.pop()):
            if cls not in seen:
                seen.add(cls)
                todo.append(cls)
    return list(seen)
