"""`--changed`: which modules a change reaches, and which risk items live there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import changed
from harness.errors import UsageError
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap

SOURCES = {
    "bot/__init__.py": "",
    "bot/app.py": "from . import store\nfrom .chat import talk as said\n",
    "bot/store.py": "TABLE = 'letters'\nclass OpenLetter: pass\n",
    "bot/chat/__init__.py": "",
    "bot/chat/talk.py": "def talk():\n    import bot.names\n    from ..cache import Cache\n",
    "bot/cache.py": "class Cache:\n    file = 'data/cache.json'\n",
    "bot/names.py": "x = (",
    "bot/alone.py": "",
}
GRAPH = changed.modules(SOURCES)


def item(name: str, *patterns: Pattern, module: str = "") -> RiskItem:
    return RiskItem(
        id=name, group="g", generation="x", module=module, cells=(Cell(sink="row", entry="api"),), defect="",
        mitigation="", places={"bot": patterns},
    )  # fmt: skip


def reached(*names: str) -> set[str]:
    return set(changed.touched(GRAPH, names).files)


def test_imports_are_followed_over_any_number_of_steps() -> None:
    assert reached("bot/cache.py") == {"bot/cache.py", "bot/chat/talk.py", "bot/app.py"}
    assert reached("bot/alone.py") == {"bot/alone.py"}


def test_imports_inside_functions_and_of_unparsable_files_count() -> None:
    assert reached("bot/names.py") == {"bot/names.py", "bot/chat/talk.py", "bot/app.py"}


def test_relative_imports_resolve_under_the_name_of_the_root_too() -> None:
    inner = {name.removeprefix("bot/"): text.replace("bot.", "far.bot.") for name, text in SOURCES.items()}
    graph = changed.modules(inner, "far.bot")
    assert set(changed.touched(graph, ["cache.py"]).files) == {"cache.py", "chat/talk.py", "app.py"}
    assert set(changed.touched(graph, ["names.py"]).files) == {"names.py", "chat/talk.py", "app.py"}


def test_a_deleted_module_is_a_changed_one() -> None:
    assert reached("bot/gone.py") == {"bot/gone.py"}


def test_a_data_file_is_tied_to_the_code_that_names_it() -> None:
    change = changed.touched(GRAPH, ["data/cache.json", "README.md"])
    assert change.files["bot/chat/talk.py"] == "data/cache.json"
    assert change.untraced == ("README.md",)


def ids(*names: str, items: tuple[RiskItem, ...]) -> dict[str, str]:
    return changed.affected_items(RiskMap(items=items), "bot", GRAPH, changed.touched(GRAPH, names))


def test_items_are_found_by_site_container_description_and_table() -> None:
    items = (
        item("by-site", Pattern(site="bot/chat/*.py:talk")),
        item("by-container", Pattern(sink="key", surface="bot.store.CACHE*")),
        item("by-description", Pattern(sink="prompt", surface="reply"), module="cache.py Cache.get"),
        item("by-table", Pattern(sink="row", surface="letters")),
        item("by-model", Pattern(sink="row", surface="open_letter")),
        item("elsewhere", Pattern(site="bot/alone.py:*")),
    )
    assert ids("bot/store.py", items=items) == {
        "by-container": "bot/store.py changed",
        "by-table": "bot/store.py changed",
        "by-model": "bot/store.py changed",
    }
    assert ids("bot/cache.py", items=items) == {
        "by-site": "bot/chat/talk.py depends on bot/cache.py",
        "by-description": "bot/cache.py changed",
    }


def test_an_item_that_nothing_ties_to_a_file_is_never_ruled_out() -> None:
    loose = (item("loose", Pattern(sink="config", surface="global.chat")),)
    assert ids("bot/alone.py", items=loose) == {"loose": "cannot be tied to a file"}
    assert ids("README.md", items=loose) == {}
    assert ids(items=loose) == {}


def test_items_of_other_bots_are_left_out() -> None:
    other = RiskItem(
        id="other", group="g", generation="x", module="bot/alone.py", cells=(), defect="", mitigation="",
        places={"elsewhere": ()},
    )  # fmt: skip
    assert ids("bot/alone.py", items=(other,)) == {}


@given(st.dictionaries(st.integers(0, 8), st.sets(st.integers(0, 8)), max_size=9), st.integers(0, 8))
def test_what_is_touched_is_closed_under_importing(edges: dict[int, set[int]], start: int) -> None:
    sources = {f"m{n}.py": "".join(f"import m{u}\n" for u in edges.get(n, ())) for n in range(9)}
    files = changed.touched(changed.modules(sources), [f"m{start}.py"]).files
    assert f"m{start}.py" in files
    for name, used in edges.items():
        if any(f"m{u}.py" in files for u in used):
            assert f"m{name}.py" in files
    for name in files:
        number = int(name[1:-3])
        assert number == start or any(f"m{u}.py" in files for u in edges.get(number, ()))


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("kept.py", "edited.py", "gone.py", "sub/inner.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "edited.py").write_text("x = 1")
    (tmp_path / "sub" / "inner.py").write_text("x = 1")
    (tmp_path / "sub" / "新 file.py").write_text("")
    (tmp_path / "gone.py").unlink()
    return tmp_path


def test_edited_deleted_and_new_files_differ_from_the_revision(checkout: Path) -> None:
    assert changed.diff(checkout, "HEAD") == ("edited.py", "gone.py", "sub/inner.py", "sub/新 file.py")


def test_a_bot_in_a_subfolder_is_compared_there_only(checkout: Path) -> None:
    assert changed.diff(checkout / "sub", "HEAD") == ("inner.py", "新 file.py")


def test_committed_changes_count_against_an_older_revision(checkout: Path) -> None:
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "two")
    assert changed.diff(checkout, "HEAD") == ()
    assert "edited.py" in changed.diff(checkout, "HEAD~1")


def test_an_unknown_revision_or_no_checkout_is_said(checkout: Path) -> None:
    with pytest.raises(UsageError, match=r"--changed nope: git cannot compare .* name a commit"):
        changed.diff(checkout, "nope")
    with pytest.raises(UsageError, match="is no folder; give --root"):
        changed.diff(checkout / "missing", "HEAD")


def test_sources_leave_caches_and_environments_out(tmp_path: Path) -> None:
    for name in ("a.py", "venv/b.py", "__pycache__/c.py", "sub/d.py", "e.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1")
    assert sorted(changed.read_sources(tmp_path)) == ["a.py", "sub/d.py"]
