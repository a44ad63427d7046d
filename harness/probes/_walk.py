"""Finds in-process state by walking from the bot's modules, and puts tracing stand-ins where they are safe.

A stand-in replaces a container only when every reference to it is known and can be rebound: the reference count
must be accounted for to the last one. Anything else (a frame, a closure, a tuple, a C object holds it) is left alone
and compared between steps instead.
"""

from __future__ import annotations

import abc
import asyncio
import collections
import enum
import itertools
import logging
import queue
import re
import sys
import types
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from harness.flow import identity
from harness.principal import Label
from harness.probes._attrs import HARMLESS, AttributeCell, ClassHook, hookable
from harness.probes._carriers import BAGS, CARRIERS, Default, addressed, parts, rebinds
from harness.probes._cells import Ledger
from harness.probes._places import ATTRIBUTE, Place
from harness.probes._references import Candidate, Inside, bind, bindable, distinct, referrers
from harness.probes._scopes import Batch, Namespace, Scope, Snapshot, Writers, assigned_names, in_order, same
from harness.probes._text import instance_dict
from harness.probes._traced import STANDINS, Traced, items_of, new_place, stand_in

DEPTH = 6
WIDTH = 500
"""How deep the walk goes, and how many elements of one container it looks inside."""
MOST = 5000
"""At most this many instances become scopes."""

_LEAVES: frozenset[type] = frozenset(
    {str, int, float, bool, bytes, bytearray, complex, type(None), type(Ellipsis), range, slice}
    | {types.BuiltinFunctionType, types.ModuleType, types.GenericAlias}
    | {re.Pattern, logging.Logger, asyncio.Lock, asyncio.Event}
    | {asyncio.Semaphore, asyncio.Task, asyncio.Future, types.MemberDescriptorType, types.GetSetDescriptorType}
    | {AttributeCell}
)

_CODE = _LEAVES | CARRIERS
"""Of these a name that is bound anew tells nothing about data."""

_METAS = (type, abc.ABCMeta, enum.EnumMeta)

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
    logging.LoggerAdapter: "extra",
}
"""Standard-library holders and the attribute in which they keep their elements."""


class Walker:
    """Keeps what was found in this process. `ours` says whether a module name belongs to the bot."""

    def __init__(self, ledger: Ledger, ours: Callable[[str], bool]) -> None:
        self.ledger = ledger
        self.ours = ours
        self.scopes: dict[int, Scope] = {}
        self._batches: list[Batch] = []
        self.hooks: dict[type, ClassHook] = {}
        self.snapshots: dict[int, Snapshot] = {}
        self.traced: list[tuple[Place, Any, int]] = []
        self._whole_heap = False
        self._retry: dict[int, Candidate] = {}
        self._modules: dict[str, ModuleType] = {}
        self._homeless: dict[str, Namespace] = {}
        self._assigned: dict[int, frozenset[str] | None] = {}
        self._hookable: dict[type, bool] = {}
        self._carriers: dict[int, weakref.ref[Any]] = {}
        self._dotted: dict[str, frozenset[str]] = {}
        self._candidates: dict[int, Candidate] = {}
        self._extra: Counter[int] = Counter()
        self._queue: deque[tuple[Any, str, str, Any, Any, int, Label | None, bool]] = deque()
        self._fresh: list[Scope] = []
        self._overhead = self._calibrate()

    # -- one walk -----------------------------------------------------------------------------------------------

    def walk(
        self, modules: Iterable[tuple[str, ModuleType]], writers: Writers | None, *, whole_heap: bool = False
    ) -> None:
        """Find what is new or changed since the last walk. With `writers` the differences are recorded. With
        `whole_heap` references are looked for everywhere, not only on the paths of this walk; that sees nothing
        after `gc.freeze()` and takes some 100 ms."""
        self._whole_heap = whole_heap
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
            self._watch(module, Scope(module, name, "", 0, self.ledger))
            self._assigned[identity(module)] = assigned_names(module)

    def _compare(self, writers: Writers | None) -> None:
        for batch in [batch for batch in self._batches if not batch.unchanged()]:
            for number, scope in batch.scopes:
                if scope.holder is None:
                    if self.scopes.get(number) is scope:
                        del self.scopes[number]
                    continue
                if not same(scope.namespace(), scope.former):
                    self._look(scope, writers)
            self._renew(batch)
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

    def _look(self, scope: Scope, writers: Writers | None) -> None:
        changes = scope.changes()
        if changes:
            self._changed(scope, changes, writers)
        if writers is not None and not scope.fresh and not scope.hooked:
            for name in scope.gone() if len(scope.former) > len(scope.namespace()) else ():
                former = scope.former.pop(name)
                if type(former) not in _CODE or isinstance(former, (str, int, float, bytes)):
                    self.ledger.delete(scope.watched.place(name), ATTRIBUTE, former, more=writers.detail())
        if not changes:
            self._fresh.append(scope)  # names that are nobody's data came or went

    def _renew(self, batch: Batch) -> None:
        """Without the scopes that are gone, and with namespaces that were exchanged."""
        new = Batch()
        for number, scope in batch.scopes:
            if scope.holder is not None:
                new.add(number, scope)
        self._batches[self._batches.index(batch)] = new

    def _watch(self, holder: Any, scope: Scope) -> None:
        number = identity(holder)
        self.scopes[number] = scope
        if not self._batches or len(self._batches[-1].scopes) >= Batch.SIZE:
            self._batches.append(Batch())
        self._batches[-1].add(number, scope)

    def _changed(self, scope: Scope, changes: list[tuple[str, Any]], writers: Writers | None) -> None:
        self._fresh.append(scope)
        ordered = in_order(changes, self._assigned.get(identity(scope.holder))) if scope.is_module else changes
        for name, value in ordered:
            label = scope.label
            kind = type(value)
            if not scope.fresh and writers is not None:
                data = kind not in _CODE or isinstance(value, (str, int, float, bytes, type(None)))
                if data and not scope.hooked and not isinstance(value, (type, Traced)):
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
        if kind in STANDINS or self._subclass(kind):
            replaceable = replaceable and kind in STANDINS
            candidate = self._candidates.get(identity(value))
            if candidate is None:
                if identity(value) in self.snapshots and identity(value) not in self._retry:
                    return
                candidate = self._candidates[identity(value)] = Candidate(value, surface, prefix, label)
                if depth < DEPTH:
                    place = new_place(value, self.ledger, surface, prefix)
                    self._children(value, place, depth, replaceable, label)
            candidate.replaceable = candidate.replaceable and replaceable
            candidate.holders.append((holder, key))
            self._extra[identity(holder)] += 1
        elif kind in HOLDERS:
            inner = (instance_dict(value) or {}).get(HOLDERS[kind])
            if inner is not None and depth < DEPTH and not isinstance(inner, Traced):
                slot = Inside(value)
                name = HOLDERS[kind]
                self._queue.append((inner, f"{surface}.{name}", prefix, slot, name, depth + 1, label, replaceable))
        elif kind in CARRIERS:
            self._carrier(value, surface, prefix, depth, label)
        elif isinstance(value, type):
            plain = type(value) in _METAS and not issubclass(value, BaseException)
            if plain and identity(value) not in self.scopes and self.ours(value.__module__):
                scope = Scope(value, f"{value.__module__}.{value.__qualname__}", "", depth, self.ledger)
                scope.replaceable = type(value) is not enum.EnumMeta
                self._enter(scope, value)
                self._home(value)
                for name, member in vars(value).items():
                    if name.startswith("__") and type(member) is types.FunctionType:
                        self._carrier(member, f"{scope.surface}.{name}", "", depth, label)
        elif isinstance(value, Traced) or kind is tuple:
            if kind is tuple and depth < DEPTH:
                for index, element in enumerate(value[:WIDTH]):
                    if type(element) not in _LEAVES:
                        self._queue.append((element, f"{surface}[]", prefix, None, index, depth + 1, label, False))
        elif kind in BAGS or (type(kind) in _METAS and self.ours(kind.__module__)):
            self._instance(value, surface, prefix, depth, label)
        elif depth <= 1 and hasattr(kind, "__getitem__") and hasattr(kind, "__setitem__"):
            # Somebody else's mapping (a cache, a registry): looked into, never changed.
            for name, inner in list((instance_dict(value) or {}).items()):
                if type(inner) in STANDINS:
                    self._queue.append((inner, f"{surface}.{name}", prefix, None, name, DEPTH - 1, label, False))

    def _carrier(self, value: Any, surface: str, prefix: str, depth: int, label: Label | None) -> None:
        """What hangs on a piece of the bot's code; other people's code is left alone."""
        number, kind = identity(value), type(value)
        if depth >= DEPTH or (number in self._carriers and self._carriers[number]() is value):
            return
        if kind is types.FunctionType or kind is types.GeneratorType:
            self._carriers[number] = weakref.ref(value)
            scope = Scope(value, surface, prefix, depth, self.ledger)
            if kind is types.GeneratorType:
                scope.replaceable = False
                self._enter(scope, value)
                return
            home = str(value.__globals__.get("__name__", ""))  # a wrapper from elsewhere takes its `__module__` over
            if not self.ours(home):
                inner = (instance_dict(value) or {}).get("__wrapped__")
                if type(inner) in CARRIERS:
                    self._carrier(inner, surface, prefix, depth + 1, label)
                return
            if rebinds(value) or value.__name__ in self._addressed(home):
                self._enter(scope, value)
        for more, inner, holder, key in parts(value):
            if type(inner) not in _LEAVES:
                where = f"{surface}{more}"
                self._queue.append((inner, where, prefix, holder, key, depth + 1, label, holder is not None))

    def _addressed(self, name: str) -> frozenset[str]:
        if name not in self._dotted:
            module = self._modules.get(name) or sys.modules.get(name)
            self._dotted[name] = addressed(module) if module is not None else frozenset()
        return self._dotted[name]

    def _home(self, cls: type) -> None:
        """The globals that the code of a class of the bot's sees, where its module cannot be found by name: a loader of
        plugins need not enter what it loads among the imported modules."""
        name = cls.__module__
        if name in self._homeless:
            return
        for member in vars(cls).values():
            code = getattr(member, "__func__", member)
            if isinstance(code, types.FunctionType) and code.__globals__.get("__name__") == name:
                module = sys.modules.get(name)
                if module is None or vars(module) is not code.__globals__:
                    namespace = self._homeless[name] = Namespace(code.__globals__)
                    self._enter(Scope(namespace, name, "", 0, self.ledger), namespace)
                return

    def _subclass(self, kind: type) -> bool:
        """A container type of the bot's own, or a Counter: compared between steps, never replaced."""
        return issubclass(kind, (dict, list, set, deque)) and (kind is Counter or self.ours(kind.__module__))

    def _instance(self, value: Any, surface: str, prefix: str, depth: int, label: Label | None) -> None:
        known = self.scopes.get(identity(value))
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
        scope.replaceable = safe or all(base in HARMLESS or self.ours(base.__module__) for base in kind.__mro__)
        scope.hooked = safe
        if safe:
            hook = self.hooks.get(kind)
            if hook is None:
                hook = self.hooks[kind] = ClassHook(kind)
            hook.watch(value, scope.watched)
        self._enter(scope, value)

    def _enter(self, scope: Scope, holder: Any) -> None:
        self._watch(holder, scope)
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
            if type(element) in _LEAVES:
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
        known = referrers(found) if self._whole_heap else None
        done: dict[int, Any] = {}
        # Inner ones first, so that the copy of the outer one already holds them.
        for number in reversed(list(found)):
            candidate = found[number]
            holders = distinct(candidate.holders)
            if known is not None:  # a default hangs on its function by a tuple
                holders = [*known[number], *(one for one in holders if isinstance(one[0], Default))]
            if candidate.replaceable and len(holders) == counts[number] and all(bindable(h, k) for h, k in holders):
                self._put(candidate, holders, done)
            else:
                self._observe(number, candidate)

    def _own(self, candidate: Candidate) -> int:
        """References that this walker itself holds from earlier walks."""
        own = 1 if identity(candidate.obj) in self.snapshots else 0
        for holder, key in candidate.holders:
            if isinstance(holder, Scope) and holder.former.get(key) is candidate.obj:
                own += 1
        return own

    def _put(self, candidate: Candidate, holders: list[tuple[Any, Any]], done: dict[int, Any]) -> None:
        original = candidate.obj
        place = new_place(original, self.ledger, candidate.surface, candidate.prefix)
        copy = stand_in(original, place)
        for holder, key in holders:
            bind(holder, key, copy)
            if identity(holder) in done:
                bind(done[identity(holder)], key, copy)
        done[identity(original)] = copy
        self.snapshots.pop(identity(original), None)
        self.ledger.seed(place, items_of(copy), candidate.label)
        depth = candidate.surface.count("[]") + 1
        self.traced.append((place, weakref.ref(copy), depth))

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
            now = dict(scope.namespace())
            scope.former.clear()  # the very dict, which its batch knows
            scope.former.update(now)
            scope.fresh = False
        self._fresh.clear()

    def _calibrate(self) -> int:
        """How many references a candidate has besides its holders, on this interpreter."""
        found = {0: Candidate([], "", "", None)}
        return next(sys.getrefcount(candidate.obj) for candidate in found.values())

    def remove(self) -> None:
        """Give hooked classes back as they were."""
        for hook in self.hooks.values():
            hook.remove()
        self.hooks.clear()
