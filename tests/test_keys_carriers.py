"""State that hangs on code (closures, defaults, attributes of functions, generators, partials) is seen as any other."""

from __future__ import annotations

import functools
import heapq
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.probes.keys import KeyProbe
from harness.target import Facts
from harness.trace import Access
from tests.keys_support import Bot, recording

KEPT = """
    import enum, functools, logging, threading, types

    def making():
        table, last = {}, None
        def remember(key, value):
            nonlocal last
            last = table[key] = value
        return remember

    remember = making()

    def listing(value, seen=[]):
        seen.append(value)

    def named(value, *, seen={}):
        seen["group77"] = value

    class Draft:
        last = ""
        def __init__(self, lines=[]):
            self.lines = lines

    def marked(value):
        marked.last = value

    class Kind(enum.Enum):
        TEXT = 1

    def rolling():
        kept = ""
        while True:
            kept = yield kept

    ROLLING = rolling()
    next(ROLLING)
    LOCAL, SPACE = threading.local(), types.SimpleNamespace()
    LOG = logging.LoggerAdapter(logging.getLogger("bot"), {"said": ""})

    class Writer:
        def __init__(self):
            self.written = ""
        def write(self, value):
            self.written = value

    write = Writer().write
    partly = functools.partial(listing, [])
"""

KEEPING = {
    "remember.table": lambda bot, value: bot.remember("group77", value),
    "remember.last": lambda bot, value: bot.remember("group77", value),
    "listing.seen": lambda bot, value: bot.listing(value),
    "named.seen": lambda bot, value: bot.named(value),
    "Draft.__init__.lines": lambda bot, value: bot.Draft().lines.append(value),
    "Draft.last": lambda bot, value: setattr(bot.Draft, "last", value),
    "marked.last": lambda bot, value: bot.marked(value),
    "Kind.TEXT.last": lambda bot, value: setattr(bot.Kind.TEXT, "last", value),
    "ROLLING.kept": lambda bot, value: bot.ROLLING.send(value),
    "LOCAL.x": lambda bot, value: setattr(bot.LOCAL, "x", value),
    "SPACE.x": lambda bot, value: setattr(bot.SPACE, "x", value),
    "LOG.extra": lambda bot, value: bot.LOG.extra.update(said=value),
    "write.__self__.written": lambda bot, value: bot.write(value),
    "partly.0": lambda bot, value: bot.partly.args[0].append(value),
}


@pytest.mark.parametrize("place", KEEPING)
def test_what_code_carries_along_is_a_place(place: str, tmp_path: Path) -> None:
    bot = Bot(tmp_path, m=KEPT)
    with bot.run() as session:
        for label in "AB":
            session.as_(label)
            KEEPING[place](bot["m"], f"canary{label}")
            session.as_(None)
            bot.probe.between()
        written = session.on(f"{bot.name}.m.{place}", "write", "rebind")
    assert [access.marks[0].label for access in written] == ["A", "B"]
    assert [_whose(access) for access in written] == ["A", "B"]


def _whose(access: Access) -> str | None:
    return access.ambient if access.ambient in ("A", "B") else access.actor


def test_other_peoples_code_is_left_alone(tmp_path: Path) -> None:
    bot = Bot(tmp_path, m=f"from {__name__} import remembering\n@remembering\ndef held(value): return value\n")
    held = bot["m"].held
    assert held.__module__ == f"{bot.name}.m"  # the wrapper took that over
    with bot.run():
        assert dict in [type(cell.cell_contents) for cell in held.__closure__]


def remembering(function: Callable[[str], str]) -> Callable[[str], str]:
    kept: dict[str, str] = {}

    @functools.wraps(function)
    def remembered(value: str) -> str:
        return kept.setdefault(value, function(value))

    return remembered


HEAPS = """
    from heapq import heappop, heappush, heappushpop, heapreplace
    WAITING = []
"""


def test_a_heap_tells_what_goes_in_and_what_comes_out(tmp_path: Path) -> None:
    bot = Bot(tmp_path, m=HEAPS)
    module, surface = bot["m"], f"{bot.name}.m.WAITING"
    with bot.run() as session:
        session.as_("A")
        module.heappush(module.WAITING, (1, "canaryA"))
        session.as_("B")
        module.heappush(module.WAITING, (2, "canaryB"))
        assert module.heappop(module.WAITING) == (1, "canaryA")
        assert module.heapreplace(module.WAITING, (3, "x")) == (2, "canaryB")
        assert module.heappushpop(module.WAITING, (0, "y")) == (0, "y")
        told = [(access.op, access.owner or access.new_owner) for access in session.on(surface)]
    assert told == [("write", "A"), ("write", "B"), ("delete", "A"), ("delete", "B"), ("write", "B")]
    plain = [3, 1, 2]
    heapq.heapify(plain)
    assert [heapq.heappop(plain) for _ in range(3)] == [1, 2, 3]


def test_caches_of_a_package_inside_another_are_traced(tmp_path: Path) -> None:
    inner = tmp_path / "outer_of_caches" / "bot"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / "__init__.py").write_text("")
    (inner / "m.py").write_text("import functools\n@functools.cache\ndef known(x):\n    return 'canaryA'\n")
    probe = KeyProbe()
    probe.install(Facts(name="fake", generation="g", packages=("outer_of_caches.bot",)))
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("outer_of_caches.bot.m")
        probe.booted([inner])
        with recording(root=inner) as session:
            probe.begin(inner)
            session.as_("A")
            module.known("group77")
            session.as_("B")
            module.known("group77")
            assert [access.op for access in session.on("outer_of_caches.bot.m.known()")] == ["write", "read"]
    finally:
        probe.remove()
        sys.path.remove(str(tmp_path))
        for name in [name for name in sys.modules if name.startswith("outer_of_caches")]:
            del sys.modules[name]
