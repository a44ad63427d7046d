"""The probe for in-process state: containers, caches and attributes that the bot's modules hold.

Surfaces are paths from a module (``pkg.mod.NAME``, ``pkg.mod.NAME.attr``, ``pkg.mod.Class.attr``); ``[]`` stands for a
value inside a container. The keys on the way, and the key itself, stand in `Access.key`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import recorder as _recorder
from harness.flow import Flow
from harness.principal import TWINS, Label
from harness.probes import _digests, _heaps
from harness.probes._cells import Ledger, OwnerOfKey
from harness.probes._lru import LruPatch
from harness.probes._scopes import Writers
from harness.probes._text import lies_in
from harness.probes._walk import Walker
from harness.target import Facts

PLANT = "_isolation_plant"


class KeyProbe:
    """Watches dicts, lists, sets, deques, caches and attributes reachable from the bot's modules.

    `owner_of_key` (surface, key) may name whose a cell is; otherwise the first writer of the run owns it.
    """

    sink = "key"

    def __init__(self, owner_of_key: OwnerOfKey | None = None) -> None:
        self._ledger = Ledger(owner_of_key)
        self._packages: frozenset[str] = frozenset()
        self._roots: tuple[str, ...] = ()
        self._ours: dict[str, bool] = {}
        self._walker = Walker(self._ledger, self._is_ours)
        self._lru = LruPatch(self._ledger, self._is_ours)
        self._modules: list[tuple[str, ModuleType]] = []
        self._count = 0
        self._last = ""
        self._seen = 0
        self._flows: dict[Label, Flow] = {}
        self._first = ""

    def install(self, facts: Facts) -> None:
        """Trace `functools.lru_cache` of the bot's functions, `heapq` on its lists and what digests are taken of."""
        self._packages = frozenset(facts.packages)
        self._first = facts.packages[0] if facts.packages else "isolation"
        self._ours.clear()
        self._lru.install()
        _heaps.install()
        _digests.install()

    def booted(self, roots: Sequence[Path]) -> None:
        """Walk from every module of the bot and put the stand-ins in place."""
        self._roots = tuple(str(root.resolve()).rstrip("/") + "/" for root in roots)
        self._ours.clear()
        self._modules, self._count, self._last = [], 0, ""
        self._walk(None, whole_heap=True)

    def begin(self, folder: Path) -> None:
        """Forget owners and repeats of an earlier run; what was replaced meanwhile is not a finding."""
        lies_in(str(folder.resolve()))
        self._walk(None)
        self._ledger.reset()
        self._seen = 0
        self._flows.clear()

    def between(self) -> None:
        """Look for containers that appeared and names that were rebound."""
        recorder = _recorder.current()
        if recorder is None:
            self._walk(None)
            return
        labels: set[Label] = set()
        for access in recorder.accesses[self._seen :]:
            label = access.ambient if access.ambient in TWINS else access.actor
            if label is not None:
                labels.add(label)
                self._flows[label] = Flow(access.lineage, access.step, label, access.entry, depth=1)
        self._walk(Writers(frozenset(labels), self._flows))
        self._seen = len(recorder.accesses)

    def finish(self) -> None:
        """Report what changed since the last step."""
        self.between()

    def plant(self, folder: Path) -> None:
        """One dict, list, set and attribute of a module of its own, written, read and deleted."""
        name = f"{self._first}.{PLANT}"
        module = ModuleType(name)
        former = sys.modules.get(name)
        sys.modules[name] = module
        holder = type("Holder", (), {"__module__": name})()
        vars(module).update(table={}, listing=[], group=set(), single=holder)
        holder.last = ""
        del holder
        self._ours[name] = True
        try:
            self.between()
            space: Any = vars(module)
            space["table"]["planted"] = "planted"
            space["listing"].append("planted")
            space["group"].add("planted")
            space["single"].last = "planted"
            _ = space["table"]["planted"], space["listing"][0], "planted" in space["group"], space["single"].last
            del space["table"]["planted"]
            space["listing"].clear()
            space["group"].discard("planted")
            space["single"].last = None
        finally:
            if former is None:
                del sys.modules[name]
            else:
                sys.modules[name] = former

    def statistics(self) -> dict[str, int]:
        """How many containers are traced and how many only compared, and how many namespaces are watched."""
        return {
            "traced": len(self._walker.traced),
            "compared": len(self._walker.snapshots),
            "namespaces": len(self._walker.scopes),
            "hooked_classes": len(self._walker.hooks),
        }

    def namespaces(self) -> list[tuple[str, Any, dict[str, Any]]]:
        """Every module, class and object that the walk reached, as (surface, holder, names and values)."""
        scopes = [(scope.surface, scope.holder, scope) for scope in self._walker.scopes.values()]
        return [(surface, holder, dict(scope.namespace())) for surface, holder, scope in scopes if holder is not None]

    def containers(self) -> list[tuple[str, Any, bool]]:
        """Every container that the walk reached, as (surface, container, whether each access to it is seen)."""
        traced = [(place.surface, reference(), True) for place, reference, _ in self._walker.traced]
        compared = [(one.place.surface, one.container, False) for one in self._walker.snapshots.values()]
        return [found for found in (*traced, *compared) if found[1] is not None]

    def is_ours(self, module: str) -> bool:
        """Whether a module of that name belongs to the bot."""
        return self._is_ours(module)

    def remove(self) -> None:
        """Take the hooks back (tests, long-lived processes). Stand-ins stay; without a recorder they do nothing."""
        self._lru.remove()
        _heaps.remove()
        _digests.remove()
        self._walker.remove()

    def _walk(self, writers: Writers | None, *, whole_heap: bool = False) -> None:
        recorder = _recorder.current()
        modules = self._bot_modules()
        if recorder is None or writers is not None:
            self._walker.walk(modules, writers, whole_heap=whole_heap)
            return
        with recorder.muted():
            self._walker.walk(modules, None)

    def _bot_modules(self) -> list[tuple[str, ModuleType]]:
        """The bot's modules. There are thousands of others, and to look at each of them between two steps would have
        their pages copied: what was imported since the last look stands at the end."""
        now = sys.modules
        if self._unchanged(now):
            return self._modules
        fresh = list(itertools.islice(reversed(now.items()), max(0, len(now) - self._count)))
        after = next(itertools.islice(reversed(now), len(fresh), None), "")
        if len(now) < self._count or after != self._last or not self._same_as_before(now):
            fresh, self._modules = list(reversed(now.items())), []
        self._modules += [(name, module) for name, module in reversed(fresh) if self._is_ours(name)]
        self._count, self._last = len(now), next(reversed(now), "")
        return self._modules

    def _unchanged(self, now: dict[str, ModuleType]) -> bool:
        return len(now) == self._count and next(reversed(now), "") == self._last and self._same_as_before(now)

    def _same_as_before(self, now: dict[str, ModuleType]) -> bool:
        return all(now.get(name) is module for name, module in self._modules)

    def _is_ours(self, name: str) -> bool:
        known = self._ours.get(name)
        if known is None:
            # A package may be part of another that is none of the bot's.
            parents = itertools.accumulate(name.split("."), "{}.{}".format)
            known = any(parent in self._packages for parent in parents) or self._under_roots(name)
            self._ours[name] = known
        return known

    def _under_roots(self, name: str) -> bool:
        if not self._roots:
            return False
        module = sys.modules.get(name)
        path = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if not isinstance(path, str) or "site-packages" in path:
            return False
        return path.startswith(self._roots)
