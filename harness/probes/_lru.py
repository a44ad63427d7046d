"""A traced `functools.lru_cache` for functions of the bot; everybody else keeps the original."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any

from harness.flow import identity
from harness.probes._cells import Ledger
from harness.probes._places import Place
from harness.probes._text import key_text

_original_lru_cache = functools.lru_cache
_original_cache = functools.cache
_CacheInfo: Any = functools._CacheInfo
_make_key: Any = functools._make_key
_VALUES = frozenset({str, int, float, bool, bytes, complex})


def traced_lru(function: Callable[..., Any], maxsize: int | None, typed: bool, ledger: Ledger) -> Callable[..., Any]:
    """`function` behind a cache with the behaviour of `functools.lru_cache` that reports hits and misses."""
    if maxsize is not None and maxsize < 0:
        maxsize = 0
    place = Place(ledger, f"{function.__module__}.{function.__qualname__}()")
    store: OrderedDict[Any, Any] = OrderedDict()
    lock = threading.RLock()
    counts = [0, 0]
    missing: Any = object()
    objects: dict[int, int] = {}  # by identity, in the order in which they were asked with
    alone: set[Any] = set()  # keys whose values were worked out of the arguments alone, as far as is seen
    derived: set[Any] = set()  # those of them that anybody could who has the arguments, and that say no more

    def cached(*args: Any, **named: Any) -> Any:
        if maxsize == 0:  # the original does not even hash the arguments then
            counts[1] += 1
            return function(*args, **named)
        key = _Call(_make_key(args, named, typed), args, named, objects)
        with lock:
            result = store.get(key, missing)
            if result is not missing:
                counts[0] += 1
                if maxsize is not None:
                    store.move_to_end(key)
        if result is not missing:
            again = key in alone and ledger.is_strangers(place, key)
            worked = again and _same(ledger, function, args, named, result)
            ledger.read(place, key, result, worked=worked, derived=key in derived)
            return result
        counts[1] += 1
        before = ledger.recorded()
        result = function(*args, **named)
        with lock:
            if plain(result) and ledger.recorded() == before:
                alone.add(key)
                given = (*args, *named.values())
                if all(map(plain, given)) and ledger.says_no_more(result, *given):
                    derived.add(key)
            if key not in store:
                store[key] = result
                if maxsize is not None and len(store) > maxsize:
                    gone, _ = store.popitem(last=False)
                    place.cells.pop(gone, None)
                    alone.discard(gone)
                    derived.discard(gone)
        ledger.write(place, key, result, derived=key in derived)
        return result

    def cache_info() -> Any:
        with lock:
            return _CacheInfo(counts[0], counts[1], maxsize, len(store))

    def cache_clear() -> None:
        with lock:
            items = list(store.items())
            store.clear()
            alone.clear()
            derived.clear()
            counts[:] = [0, 0]
        if items:
            ledger.iterate(place, items, op="delete")

    functools.update_wrapper(cached, function)
    wrapper: Any = cached
    wrapper.cache_info = cache_info
    wrapper.cache_clear = cache_clear
    wrapper.cache_parameters = lambda: {"maxsize": maxsize, "typed": typed}
    return cached


def plain(value: Any) -> bool:
    """Whether it is a value that two can hold without holding the same thing."""
    return value is None or type(value) in _VALUES or (type(value) is tuple and all(map(plain, value)))


def _same(ledger: Ledger, function: Callable[..., Any], args: Any, named: Any, result: Any) -> bool:
    """Whether `function` gives the value that the cache holds to the running code as well. Asked only of what touched
    nothing when it was called first."""
    try:
        with ledger.quiet():
            again = function(*args, **named)
    except Exception:
        return False
    return type(again) is type(result) and bool(again == result)


class _Call:
    """A cache key that remembers the arguments it stands for, for the trace."""

    __slots__ = ("_hash", "args", "key", "named", "objects")

    def __init__(self, key: Any, args: tuple[Any, ...], named: dict[str, Any], objects: dict[int, int]) -> None:
        self.key = key
        self.objects = objects
        self.args = args
        self.named = named
        self._hash = hash(key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call) and bool(self.key == other.key)

    @property
    def isolation_text(self) -> str:
        """The arguments as they were given."""
        parts = [self._text(arg) for arg in self.args]
        parts += [f"{name}={self._text(value)}" for name, value in self.named.items()]
        return ", ".join(parts)

    def _text(self, value: Any) -> str:
        """An object that is only like itself is told by which it is: what it holds changes while the key does not."""
        kind: Any = type(value)
        if kind.__hash__ is not object.__hash__ or isinstance(value, (FunctionType, type, type(None))):
            return key_text(value)
        return f"{kind.__name__}#{self.objects.setdefault(identity(value), len(self.objects) + 1)}"


class LruPatch:
    """Replaces `functools.lru_cache` and `functools.cache` by ones that choose by the function's module."""

    def __init__(self, ledger: Ledger, wanted: Callable[[str], bool]) -> None:
        self._ledger = ledger
        self._wanted = wanted

    def install(self) -> None:
        """Put the replacements in place. Modules imported before keep the original."""

        def lru_cache(maxsize: Any = 128, typed: bool = False) -> Any:
            if callable(maxsize) and isinstance(typed, bool):
                return self._wrap(maxsize, 128, typed, lambda: _original_lru_cache(maxsize, typed))
            if maxsize is not None and not isinstance(maxsize, int):
                return _original_lru_cache(maxsize, typed)
            decorate = _original_lru_cache(maxsize, typed)
            return lambda function: self._wrap(function, maxsize, typed, lambda: decorate(function))

        def cache(user_function: Any, /) -> Any:
            return self._wrap(user_function, None, False, lambda: _original_cache(user_function))

        functools.update_wrapper(lru_cache, _original_lru_cache)
        functools.update_wrapper(cache, _original_cache)
        functools.lru_cache = lru_cache
        functools.cache = cache

    def remove(self) -> None:
        """Give the originals back."""
        functools.lru_cache = _original_lru_cache
        functools.cache = _original_cache

    def _wrap(self, function: Any, maxsize: int | None, typed: bool, plain: Callable[[], Any]) -> Any:
        if isinstance(function, FunctionType) and self._wanted(function.__module__ or ""):
            return traced_lru(function, maxsize, typed, self._ledger)
        return plain()
