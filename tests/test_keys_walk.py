"""Which containers are replaced by stand-ins, and that nobody but the recorder notices."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import ModuleType

from harness.probes._scopes import LARGEST
from tests.keys_support import Bot

SHAPES = """
    import dataclasses
    import enum
    from BOT.other import ALIASED, Registry
    from BOT.other import registry as same

    PAIR = ([], 1)
    NESTED = {"x": {"y": [1]}}

    def _closure():
        hidden = []
        def add(value):
            hidden.append(value)
        return hidden, add

    CLOSED, add = _closure()

    def iterate(items):
        yield from items

    HALFWAY = [1, 2, 3]
    running = iterate(HALFWAY)
    next(running)

    class Colour(enum.Enum):
        RED = ["r"]

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        values: list
        name: str = "n"

    frozen = Frozen([1])

    @dataclasses.dataclass
    class Config:
        names: list
        limit: int = 3

    config = Config(["a"])

    class Computed:
        def __init__(self):
            self._size = 1
            self.parts = []

        @property
        def size(self):
            return self._size

        @size.setter
        def size(self, value):
            self._size = value

    computed = Computed()

    class Magic:
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return "magic"

    magic = Magic()

    class Mine(dict):
        pass

    mine = Mine(a=1)
"""
OTHER = """
    ALIASED = {"a": 1}

    class Registry:
        table = ALIASED

        def __init__(self):
            self.alias = ALIASED

    registry = Registry()
"""


def boot(tmp_path: Path) -> Bot:
    return Bot(tmp_path, shapes=SHAPES, other=OTHER)


def test_all_aliases_are_one_stand_in_named_after_where_it_is_made(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    shapes, other = bot["shapes"], bot["other"]
    with bot.run() as session:
        assert shapes.ALIASED is other.ALIASED is other.Registry.table is other.registry.alias
        session.as_("A")
        shapes.ALIASED["b"] = 2
        other.registry.late = 1
        assert {a.surface for a in session.accesses} == {
            f"{bot.name}.other.ALIASED",
            f"{bot.name}.other.registry.late",
        }
        assert other.ALIASED == {"a": 1, "b": 2}


def test_what_somebody_else_holds_is_not_replaced_but_compared(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    shapes = bot["shapes"]
    held = shapes.CLOSED, shapes.HALFWAY, shapes.PAIR[0]
    with bot.run() as session:
        assert shapes.CLOSED is held[0] and shapes.HALFWAY is held[1]
        assert all(type(c) is list for c in (shapes.CLOSED, shapes.HALFWAY, shapes.PAIR[0]))
        session.as_("A")
        shapes.add("canaryA")
        assert shapes.CLOSED == ["canaryA"], "closure and global must stay one list"
        shapes.ALIASED["x"] = 1
        bot.probe.between()
        assert list(shapes.running) == [2, 3]
        (seen,) = session.on(f"{bot.name}.shapes.CLOSED")
    assert (seen.op, seen.new_owner, seen.marks[0].label) == ("write", "A", "A")
    assert seen.detail["writers"] == ["A"]


def test_of_a_very_large_container_only_the_length_is_compared(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    shapes = bot["shapes"]
    surface = f"{bot.name}.shapes.mine"
    shapes.mine.update({str(n): n for n in range(LARGEST - 1)})
    with bot.run() as session:
        session.as_("A")

        def seen() -> list[tuple[str, object]]:
            shapes.ALIASED["x"] = 1  # so that A counts as active since the last comparison
            former = len(session.on(surface))
            bot.probe.between()
            return [(a.op, a.detail.get("length")) for a in session.on(surface)[former:]]

        size = len(shapes.mine)
        assert size <= LARGEST
        shapes.mine.update({f"more{n}": n for n in range(10)})
        assert seen() == [("write", [size, size + 10])], "crossing the limit deletes nothing"
        shapes.mine["more0"] = "another"
        assert seen() == []
        del shapes.mine["more0"]
        assert seen() == [("write", [size + 10, size + 9])]
        for number in range(1, 10):
            del shapes.mine[f"more{number}"]
        assert seen() == [("write", [size + 9, size])]
        shapes.mine["0"] = "canaryA"
        assert seen() == [("write", None)], "below the limit elements are compared again"
        large = [a for a in session.on(surface) if "length" in a.detail]
    assert {(a.key, a.owner, a.new_owner, a.marks) for a in large} == {("", None, None, ())}
    assert all(a.detail["writers"] == ["A"] for a in large)


def test_classes_behave_as_before(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    shapes = bot["shapes"]
    with bot.run() as session:
        session.as_("A")
        assert shapes.Colour.RED.value == ["r"]
        assert type(shapes.Colour.RED.value) is list
        assert shapes.Frozen.name == "n"
        assert shapes.frozen == shapes.Frozen([1])
        assert shapes.Config.limit == 3
        assert not hasattr(shapes.Config, "names")
        assert shapes.Config(["a"]) == shapes.config
        assert repr(shapes.config).endswith("Config(names=['a'], limit=3)")
        assert shapes.dataclasses.asdict(shapes.config) == {"names": ["a"], "limit": 3}
        assert type(shapes.dataclasses.asdict(shapes.config)["names"]) is list
        shapes.computed.size = 5
        assert (shapes.computed.size, vars(shapes.computed)["_size"]) == (5, 5)
        assert shapes.magic.anything == "magic"
        del shapes.config.limit
        assert shapes.config.limit == 3
        try:
            _ = shapes.computed.absent
        except AttributeError as error:
            assert str(error) == "'Computed' object has no attribute 'absent'"
        assert [a.key for a in session.on(f"{bot.name}.shapes.computed._size", "write")] == [""]


def test_classes_are_given_back_as_they_were(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    config = bot["shapes"].Config
    before = dict(vars(config))
    with bot.run():
        assert dict(vars(config)) != before
    assert dict(vars(config)) == before


def test_containers_that_appear_after_a_freeze_are_watched(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    shapes = bot["shapes"]
    with bot.run() as session:
        gc.freeze()
        try:
            session.as_("A")
            shapes.FRESH = []
            shapes.HELD = []
            borrowed = shapes.HELD
            bot.probe.between()
            shapes.FRESH.append("canaryA")
            assert shapes.HELD is borrowed, "a list somebody still holds must stay"
            del borrowed
            bot.probe.between()
            shapes.HELD.append("canaryA")
        finally:
            gc.unfreeze()
        fresh = session.on(f"{bot.name}.shapes.FRESH", "write")
        held = session.on(f"{bot.name}.shapes.HELD", "write")
    assert [a.marks[0].label for a in fresh] == ["A"]
    assert [a.marks[0].label for a in held] == ["A"]
    assert "observed" not in held[0].detail


def test_a_module_imported_during_the_run_is_walked(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    with bot.run() as session:
        (bot.folder / bot.name / "lazy.py").write_text("CACHE = {}\n")
        import importlib
        import sys

        sys.path.insert(0, str(bot.folder))
        try:
            importlib.invalidate_caches()
            lazy = importlib.import_module(f"{bot.name}.lazy")
        finally:
            sys.path.remove(str(bot.folder))
        bot.probe.between()
        session.as_("B")
        lazy.CACHE["k"] = 1
        assert [a.new_owner for a in session.on(f"{bot.name}.lazy.CACHE")] == ["B"]


def test_a_module_in_the_place_of_another_is_walked(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    names = (f"{bot.name}.other", f"{bot.name}.fresh", "nobodys.business")
    with bot.run() as session:
        former = sys.modules[names[0]]
        try:
            for name in names:
                sys.modules[name] = ModuleType(name)
                vars(sys.modules[name])["CACHE"] = {}
            bot.probe.between()
            session.as_("B")
            for name in names:
                sys.modules[name].CACHE["k"] = 1
            del sys.modules[names[1]]
            bot.probe.between()
            sys.modules[names[1]] = ModuleType(names[1])
            vars(sys.modules[names[1]])["AGAIN"] = {}
            bot.probe.between()
            sys.modules[names[1]].AGAIN["k"] = 1
        finally:
            sys.modules[names[0]] = former
            for name in names[1:]:
                sys.modules.pop(name, None)
        assert [a.new_owner for a in session.on(f"{names[0]}.CACHE", "write")] == ["B"]
        assert [a.new_owner for a in session.on(f"{names[1]}.CACHE", "write")] == ["B"]
        assert [a.new_owner for a in session.on(f"{names[1]}.AGAIN", "write")] == ["B"]
        assert not session.on(f"{names[2]}.CACHE")


def test_containers_of_own_types_are_compared(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    shapes = bot["shapes"]
    with bot.run() as session:
        session.as_("A")
        shapes.ALIASED["x"] = 1
        shapes.mine["b"] = "canaryA"
        bot.probe.finish()
        (seen,) = session.on(f"{bot.name}.shapes.mine")
        assert type(shapes.mine) is shapes.Mine
    assert (seen.key, seen.op, seen.new_owner) == ("'b'", "write", "A")


def test_the_plant_is_seen_and_leaves_nothing(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    with bot.run() as session:
        session.as_("A")
        bot.probe.plant(tmp_path)
        planted = [a for a in session.accesses if a.surface.startswith(f"{bot.name}._isolation_plant")]
        count = len(session.accesses)
        bot.probe.between()
        assert len(session.accesses) == count
    assert {a.op for a in planted} == {"read", "write", "delete"}
    assert {a.surface.rpartition(".")[2] for a in planted} == {"table", "listing", "group", "last"}


def test_a_new_run_forgets_owners(tmp_path: Path) -> None:
    bot = boot(tmp_path)
    with bot.run() as session:
        session.as_("A")
        bot["shapes"].ALIASED["k"] = 1
        bot.probe.begin(tmp_path)
        session.as_("B")
        bot["shapes"].ALIASED["k"] = 2
        assert session.accesses[-1].owner is None


LOADER = """
    import importlib.util

    REGISTRY = {}

    def load(path):
        spec = importlib.util.spec_from_file_location("BOT.plugins.notes", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        REGISTRY["notes"] = module.Notes
"""

PLUGIN = """
said = {}
last = None

class Notes:
    shared = []

    def note(self, who, text):
        global last
        said[who] = text
        last = text
        self.shared.append(text)
"""


def test_the_state_of_a_plugin_that_no_import_names_is_watched(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN, "utf-8")
    bot = Bot(tmp_path, loader=LOADER)
    with bot.run() as session:
        bot["loader"].load(plugin)
        bot.probe.between()
        session.as_("A")
        bot["loader"].REGISTRY["notes"]().note("a", "canaryA")
        bot.probe.finish()
        place = f"{bot.name}.plugins.notes"
        assert [a.new_owner for a in session.on(f"{place}.said", "write")] == ["A"]
        assert [a.new_owner for a in session.on(f"{place}.last", "rebind")] == ["A"]
        assert [a.new_owner for a in session.on(f"{place}.Notes.shared", "write")] == ["A"]
