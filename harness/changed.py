"""What a change to a bot's code may touch: its modules, whoever imports them, and the risk items that live there.

For pull requests: only what changed, or imports what changed, is decided again. The import graph is read from the
source text, so nothing of the bot is imported; an import inside a function counts like one at the top. Everything
but `diff` and `read_sources` is pure.
"""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from harness.errors import UsageError
from harness.riskmap import Pattern, RiskItem, RiskMap

_PATH = re.compile(r"[\w./-]*\w+\.py\b")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SKIPPED = frozenset((".git", ".venv", "venv", "node_modules", "__pycache__", ".tox"))


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bot. `imports` are files (paths as in `Sources`) it imports; `words` its string constants and the
    snake-cased names of its classes, by which a table or a data file is tied to it."""

    path: str
    imports: frozenset[str]
    words: frozenset[str]


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What a change reaches: `files` map each affected file to the changed one it depends on (itself, when it is the
    changed one); `untraced` are changed files that no module can be tied to."""

    files: dict[str, str]
    untraced: tuple[str, ...] = ()


def diff(root: Path, revision: str) -> tuple[str, ...]:
    """Files below `root`, relative to it, that differ between `revision` and the working tree, new ones included.
    Raises UsageError when there is no git checkout or no such revision."""
    if not root.is_dir():
        raise UsageError(f"--changed needs the bot's checkout, and {root} is no folder; give --root")
    names = _git(root, revision, "diff", "--name-only", "--relative", "-z", f"{revision}^{{commit}}", "--", ".")
    new = _git(root, revision, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    return tuple(sorted({name for name in (*names.split("\0"), *new.split("\0")) if name}))


def _git(root: Path, revision: str, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UsageError("--changed asks git what changed, and git is not installed") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UsageError(
            f"--changed {revision}: git cannot compare {root} with it: {said[0] if said else 'no reason given'}; "
            "name a commit, branch or tag of that checkout (a shallow clone may lack it: git fetch --depth)"
        )
    return done.stdout


def read_sources(root: Path) -> dict[str, str]:
    """Every Python file below `root` by its path relative to it; unreadable ones are left out."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _SKIPPED.isdisjoint(relative.parts):
            try:
                found[relative.as_posix()] = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
    return found


def modules(sources: Mapping[str, str], package: str = "") -> dict[str, Module]:
    """The files with what they import. `package` is the dotted name under which the root itself is imported (empty:
    the root is on the import path). A file that does not parse imports nothing."""
    names: dict[str, str] = {}
    for path in sources:
        dotted = _dotted(path)
        names.setdefault(dotted, path)
        if package:
            names.setdefault(f"{package}.{dotted}".rstrip("."), path)
    return {path: _module(path, text, names, package) for path, text in sources.items()}


def _dotted(path: str) -> str:
    parts = list(PurePosixPath(path).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _module(path: str, text: str, names: Mapping[str, str], package: str) -> Module:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return Module(path=path, imports=frozenset(), words=frozenset())
    imports: set[str] = set()
    words: set[str] = set()
    inside = path.endswith("__init__.py")
    dotted = ".".join(part for part in (package, _dotted(path)) if part)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports |= _resolve(alias.name, names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(dotted, inside, node.level, node.module)
            for alias in node.names:
                imports |= _resolve(f"{base}.{alias.name}".strip("."), names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
        elif isinstance(node, ast.ClassDef):
            words.update((node.name.lower(), _CAMEL.sub("_", node.name).lower()))
    return Module(path=path, imports=frozenset(imports - {path}), words=frozenset(words))


def _base(dotted: str, inside: bool, level: int, module: str | None) -> str:
    """The absolute name a ``from`` import starts at."""
    if not level:
        return module or ""
    parts = dotted.split(".") if dotted else []
    up = level - 1 if inside else level
    parts = parts[: len(parts) - up] if up else parts
    return ".".join([*parts, *([module] if module else [])])


def _resolve(name: str, names: Mapping[str, str]) -> set[str]:
    """The file that a dotted name stands for: the longest prefix that is a module (``a.b.C`` is in ``a.b``). The
    packages on the way are left out: what they run at import is imported from there."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        known = names.get(".".join(parts[:size]))
        if known is not None:
            return {known}
    return set()


def touched(graph: Mapping[str, Module], changed: Iterable[str]) -> Touched:
    """Every file that is a changed one or imports one, over any number of steps."""
    importers: dict[str, set[str]] = {}
    for module in graph.values():
        for used in module.imports:
            importers.setdefault(used, set()).add(module.path)
    files: dict[str, str] = {}
    untraced: list[str] = []
    for name in sorted(set(changed)):
        if name in graph or name.endswith(".py"):
            starts = {name}
        else:
            base = PurePosixPath(name).name
            starts = {m.path for m in graph.values() if any(word.endswith(base) for word in m.words)}
        if not starts:
            untraced.append(name)
        todo = sorted(starts)
        while todo:
            path = todo.pop()
            if path in files:
                continue
            files[path] = name
            todo.extend(sorted(importers.get(path, ())))
    for name in changed:
        if name in files:
            files[name] = name
    return Touched(files=files, untraced=tuple(untraced))


def home(item: RiskItem, target: str, graph: Mapping[str, Module], package: str = "") -> frozenset[str]:
    """The files an item lives in: those its site patterns name, those whose modules hold its containers, those its
    description names, and, where none of these says anything, those that mention its tables or files by name."""
    files: set[str] = set()
    patterns = item.places.get(target, ())
    for pattern in patterns:
        files |= _of_pattern(pattern, graph, package)
    for named in _PATH.findall(item.module):
        files |= {path for path in graph if path == named or path.endswith("/" + named)}
    if not files:
        surfaces = {p.surface for p in patterns if p.surface != "*" and "*" not in p.surface}
        files = {module.path for module in graph.values() if surfaces & module.words}
    return frozenset(files)


def _of_pattern(pattern: Pattern, graph: Mapping[str, Module], package: str) -> set[str]:
    if pattern.site != "*":
        glob = pattern.site.partition(":")[0]
        return set(fnmatch.filter(graph, glob))
    if pattern.sink != "key":
        return set()
    plain = re.split(r"[*?\[]", pattern.surface)[0].strip(".")
    if package and plain.startswith(f"{package}."):
        plain = plain.removeprefix(f"{package}.")
    names = {_dotted(path): path for path in graph}
    return _resolve(plain, names)


def affected_items(
    riskmap: RiskMap, target: str, graph: Mapping[str, Module], change: Touched, package: str = ""
) -> dict[str, str]:
    """Ids of the items a change may concern, each with the reason in words. An item that cannot be tied to any file is
    among them whenever some code changed: nothing rules it out."""
    found: dict[str, str] = {}
    for item in riskmap.items:
        if target not in item.places:
            continue
        files = home(item, target, graph, package)
        if not files:
            if change.files:
                found[item.id] = "cannot be tied to a file"
            continue
        hit = min(
            (path for path in files if path in change.files), default=None, key=lambda p: (p != change.files[p], p)
        )
        if hit is not None:
            cause = change.files[hit]
            found[item.id] = f"{hit} changed" if cause == hit else f"{hit} depends on {cause}"
    return found


def chosen(riskmap: RiskMap, ids: Collection[str]) -> RiskMap:
    """The map of these items only."""
    return msgspec.structs.replace(riskmap, items=tuple(item for item in riskmap.items if item.id in ids))


def package_of(root: Path, packages: Sequence[str]) -> str:
    """The dotted name under which `root` itself is imported, when it is one of the bot's packages."""
    for name in packages:
        if root.as_posix().endswith("/" + name.replace(".", "/")):
            return name
    return ""
