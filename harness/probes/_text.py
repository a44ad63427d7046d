"""Values and keys as bounded, stable text, without running any of the bot's code and without memory addresses.

The canary scanner needs text; so do keys in a trace. A bot's `__repr__`, properties and iterators may have side
effects, so only the built-in parts of an object are read: base-class methods of containers, `__dict__`, slots.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import decimal
import enum
import hashlib
import logging
import pathlib
import re
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice, product
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import msgspec

from harness.flow import identity
from harness.naming import Names, whole
from harness.principal import Twins
from harness.probes._digests import digested

MAX_DEPTH = 4
MAX_NODES = 200
MAX_SIZE = 64 * 1024
MAX_KEY = 120

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN = frozenset((str, int, float, bool, type(None)))
_PLAIN_STR = (
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


FOLDER = "<folder>"
"""How the private folder of the run under way reads in keys and digests."""

_folder = ""


def lies_in(folder: str) -> None:
    """The run under way has this private folder. One plan played twice lies in two, and must read the same."""
    global _folder
    _folder = folder


def placed(text: str) -> str:
    """`text` with the private folder as `FOLDER`."""
    return text.replace(_folder, FOLDER) if _folder else text


class Rendered(msgspec.Struct, frozen=True):
    """A value as `text`, with the byte strings met in it apart (they may hold pictures)."""

    text: str
    blobs: tuple[bytes, ...] = ()

    def digest(self) -> str:
        """12 hex digits, equal for equal content in any process."""
        state = hashlib.blake2b(placed(self.text).encode("utf-8", "surrogatepass"), digest_size=6)
        for blob in self.blobs:
            state.update(b"\0")
            state.update(blob)
        return state.hexdigest()


class _Renderer:
    __slots__ = ("blobs", "nodes", "open", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.blobs: list[bytes] = []
        self.nodes = 0
        self.size = 0
        self.open: set[int] = set()

    def text(self, piece: str) -> None:
        size = self.size + len(piece)
        if size > MAX_SIZE:
            piece = piece[: MAX_SIZE - self.size]
            size = MAX_SIZE
        self.parts.append(piece)
        self.size = size

    def blob(self, data: bytes) -> None:
        room = MAX_SIZE - self.size
        if room > 0:
            self.blobs.append(data[:room])
            self.size += min(len(data), room)

    def value(self, value: Any, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES or self.size >= MAX_SIZE:
            return
        kind = type(value)
        if kind is str:
            self.text(value)
            return
        if kind in _PLAIN:
            self.text(repr(value))
            return
        known = _KINDS.get(kind)
        if known is None:
            known = _kind(kind)
        if known is _INSIDE:
            number = identity(value)
            if depth <= 0 or number in self.open:
                self.text(f"<{_name(value)}>")
                return
            self.open.add(number)
            self.inside(value, depth)
            self.open.discard(number)
        elif known is _BYTES:
            self.blob(bytes(memoryview(value)[:MAX_SIZE]))
        elif known is _REFERENCE:
            self.value(weakref.ref.__call__(value), depth)
        else:
            self.text(known(value))

    def inside(self, value: Any, depth: int) -> None:
        if isinstance(value, dict):
            self.text("{")
            self.pairs(dict.items(value), depth)
            self.text("}")
        elif isinstance(value, (list, tuple, deque)):
            self.text("[")
            for element in elements(value):
                self.value(element, depth - 1)
                self.text(", ")
                if self.nodes > MAX_NODES:
                    break
            self.text("]")
        elif isinstance(value, (set, frozenset)):
            # Iteration order depends on the hash seed; the text must not.
            self.text("{" + ", ".join(sorted(key_text(e) for e in islice(elements(value), MAX_NODES))) + "}")
        else:
            kind = type(value)
            self.text(f"{_name(value)}(")
            self.pairs(held(value) if kind is FunctionType or kind is MethodType else fields(value), depth)
            self.text(")")

    def pairs(self, items: Iterable[tuple[Any, Any]], depth: int) -> None:
        for key, value in items:
            kind = type(value)
            if type(key) is str and kind in _PLAIN and self.nodes + 2 <= MAX_NODES:
                # What most of an object's fields are, in one piece.
                piece = f"{key}: {value}, " if kind is str else f"{key}: {value!r}, "
                if self.size + len(piece) < MAX_SIZE:
                    self.nodes += 2
                    self.parts.append(piece)
                    self.size += len(piece)
                    continue
            self.value(key, 1)
            self.text(": ")
            self.value(value, depth - 1)
            self.text(", ")
            if self.nodes > MAX_NODES:
                break


_MACHINERY = (
    type,
    ModuleType,
    CodeType,
    BuiltinFunctionType,
    logging.Logger,
    logging.Handler,
    asyncio.AbstractEventLoop,
)
"""What is not looked into: code, and what belongs to the process. Everything hangs on it, and in no tenant's hands."""

_DATA = (dict, list, tuple, set, frozenset, deque, msgspec.Struct)
"""What of the harness's own types is looked into: stand-ins, and the principals that a target's clients act for."""

_BYTES, _REFERENCE, _INSIDE = (object() for _ in range(3))
_KINDS: dict[type, Any] = {}
"""How a value of each type is told: a function to text, or one of the three marks above."""


def _kind(kind: type) -> Any:
    known: Any = _INSIDE
    if issubclass(kind, str):
        known = str.__str__
    elif issubclass(kind, enum.Enum):
        known = _enumerated
    elif issubclass(kind, int):
        known = int.__repr__
    elif issubclass(kind, float):
        known = float.__repr__
    elif issubclass(kind, (bytes, bytearray)):
        known = _BYTES
    elif kind in _PLAIN_STR:
        known = str
    elif issubclass(kind, weakref.ref):
        known = _REFERENCE
    elif issubclass(kind, _MACHINERY) or (kind.__module__.startswith("harness.") and not issubclass(kind, _DATA)):
        known = _named
    if len(_KINDS) >= REMEMBERED:
        _KINDS.clear()
    _KINDS[kind] = known
    return known


def _enumerated(value: Any) -> str:
    return f"{type(value).__qualname__}.{object.__getattribute__(value, '_name_')}"


def _named(value: Any) -> str:
    return f"<{_name(value)}>"


def held(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function or bound method carries along: what it closes over, its defaults and attributes. The module it
    stands in is not its own, nor is the object it is bound to: a registry of handlers does not hold what they keep,
    whose cells are watched by themselves."""
    if type(function) is MethodType:
        function = function.__func__
        if type(function) is not FunctionType:
            return
    if function.__closure__:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:
                continue  # not filled yet
    if function.__defaults__:
        yield "defaults", function.__defaults__
    if function.__kwdefaults__:
        yield "keywords", function.__kwdefaults__
    if function.__dict__:
        yield from list(function.__dict__.items())


def _name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return str(type.__getattribute__(kind, "__name__"))


def elements(container: Any) -> Iterator[Any]:
    """The elements of a list, tuple, deque, set, frozenset or dict (its keys), past any overridden method."""
    bases: tuple[Any, ...] = (dict, list, tuple, deque, set, frozenset)
    for base in bases:
        if isinstance(container, base):
            return iter(base.__iter__(container))
    raise TypeError(f"no elements in {type(container).__name__}")


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of everything in the instance `__dict__` and slots."""
    namespace = instance_dict(value)
    if namespace is not None:
        yield from list(dict.items(namespace))
    for name, member, cls in members(type(value)):
        try:
            yield name, member.__get__(value, cls)
        except (AttributeError, TypeError):
            continue


_members: dict[int, tuple[type, tuple[tuple[str, Any, type], ...]]] = {}


def members(kind: type) -> tuple[tuple[str, Any, type], ...]:
    """Name, descriptor and class of each slot that instances of `kind` have. Known once looked for: to go through the
    names of a class and its bases costs far more than to read the slots."""
    known = _members.get(identity(kind))
    if known is None:
        if len(_members) >= REMEMBERED:
            _members.clear()
        known = _members[identity(kind)] = (
            kind,
            tuple(
                (name, member, cls)
                for cls in kind.__mro__
                for name, member in vars(cls).items()
                if type(member) is MemberDescriptorType
            ),
        )
    return known[1]


def forget_members() -> None:
    """Some class has other descriptors now."""
    _members.clear()


def instance_dict(value: Any) -> dict[str, Any] | None:
    """The instance's own `__dict__`, or None where it has none or the class computes it."""
    try:
        namespace = object.__getattribute__(value, "__dict__")
    except Exception:  # a class may put anything at that name
        return None
    return namespace if isinstance(namespace, dict) and not isinstance(value, type) else None


def render(*values: Any) -> Rendered:
    """`values` as text: at most 4 levels, 200 nodes and 64 KiB in all."""
    renderer = _Renderer()
    for value in values:
        renderer.value(value, MAX_DEPTH)
        renderer.text("\n")
    return Rendered("".join(renderer.parts), tuple(renderer.blobs))


def key_text(key: Any) -> str:
    """A container key as one stable line (not cut)."""
    if type(key) in (str, int, float, bool, bytes, type(None)):
        return repr(key)
    if isinstance(key, str):
        return repr(str.__str__(key))
    if isinstance(key, tuple):
        return "(" + ", ".join(key_text(part) for part in tuple.__iter__(key)) + ")"
    given = getattr(key, "isolation_text", None) if type(key).__module__.startswith("harness.") else None
    if isinstance(given, str):
        return _ADDRESS.sub("", given)
    text = render(key)
    blobs = "".join(repr(blob) for blob in text.blobs)
    return _ADDRESS.sub("", (text.text + blobs).replace("\n", " ").strip())


def cut(text: str) -> str:
    """At most 120 characters; longer texts keep a digest so that different keys stay different."""
    if len(text) <= MAX_KEY:
        return text
    return text[: MAX_KEY - 13] + "#" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


REMEMBERED = 4096
"""Texts whose identities are remembered; a bot uses the same keys again and again."""

NESTED = 3
"""How many digests of digests are looked into."""

GLUED = 5
"""Characters of an id that stands in a text by no chance, whatever touches it."""

DIGESTS = ("md5", "sha1", "sha256")
"""How bots name a picture by its content."""


class Identities:
    """Which identity values of the twins stand in a text, or in one whose digest it holds."""

    FIELDS = ("tenant", "agent", "platform", "chat", "user", "credential")

    def __init__(self, twins: Twins) -> None:
        self._shared: list[tuple[str, str, re.Pattern[str]]] = []
        apart: set[str] = set()
        for field in self.FIELDS:
            mine, theirs = getattr(twins.a, field), getattr(twins.b, field)
            if mine == theirs:
                self._add(self._shared, field, mine)
            else:
                apart |= {mine, theirs}
        self._apart = tuple(value for value in apart if len(value) >= GLUED)
        self._own = Names(twins, self.FIELDS)
        for slot, content in twins.a.pictures.items():
            # What is found by the digest of a picture that both sent is found by both; pictures come as base64.
            if twins.b.pictures.get(slot) == content:
                for kind, form in product(DIGESTS, (content, base64.b64encode(content))):
                    self._add(self._shared, "picture", hashlib.new(kind, form).hexdigest())
        self._known: dict[str, dict[str, list[str]]] = {}

    @staticmethod
    def _add(table: list[tuple[str, str, re.Pattern[str]]], name: str, value: str) -> None:
        if value:
            table.append((name, value, whole(value)))

    def of(self, text: str) -> dict[str, list[str]]:
        """``{"shared": [field, ...], "own": ["field:label", ...]}`` for the values found in `text`."""
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[text] = {
                "shared": list(dict.fromkeys(self._alike(text))),
                "own": [f"{f}:{label}" for f, labels in self._own.labels(text).items() for label in sorted(labels)],
            }
        return known

    def _alike(self, text: str, depth: int = 0) -> Iterator[str]:
        """Names of the shared ids in `text`, and of those in texts whose digests stand there, unless one of one's own
        stands in such a text as well: a digest of that is nobody else's. Parts of such a text often touch each other,
        since nobody is to read it."""
        for name, value, pattern in self._shared:
            if value in text and ((depth and len(value) >= GLUED) or pattern.search(text)):
                yield name
        for given in digested(text) if depth < NESTED else ():
            if not self._own.labels(given) and not any(value in given for value in self._apart):
                yield from self._alike(given, depth + 1)


_identities: dict[int, tuple[Twins, Identities]] = {}


def identities_of(twins: Twins) -> Identities:
    """The identities of these twins, made once for as long as the same object is asked about: it takes milliseconds."""
    number = identity(twins)
    if number not in _identities:
        if len(_identities) >= 64:
            _identities.clear()
        _identities[number] = twins, Identities(twins)
    return _identities[number][1]
