"""Which risk items a run decides, and which findings it therefore keeps: ``--items`` and ``--changed``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from harness import changed, riskmap
from harness.errors import UsageError
from harness.finding import Finding
from harness.riskmap import RiskMap
from harness.target import Facts, Target
from harness.verdict import attribute

SHOWN = 30
"""Items of ``--changed`` that are listed with their reasons."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The items to decide. `keep` says of a finding whether it belongs to the run; `said` is one line for the report,
    empty when everything is decided; `lines` are for the console."""

    items: RiskMap
    keep: Callable[[Finding], bool]
    said: str = ""
    lines: tuple[str, ...] = ()


def select(target: Target, pattern: str, revision: str | None, root: Path | None, db_root: Path | None) -> Selection:
    """Items that match the glob and, with a revision, may be concerned by what changed since. Raises UsageError when
    nothing matches the glob or git cannot tell what changed; no item changed is a selection of none."""
    whole = riskmap.load(target.risk_map())
    facts = target.facts()
    if pattern == "*" and revision is None:
        return Selection(items=whole, keep=lambda finding: True)
    items = whole.select(pattern)
    said = [] if pattern == "*" else [f"items matching {pattern}"]
    files: frozenset[str] = frozenset()
    lines: tuple[str, ...] = ()
    if revision is not None:
        items, files, lines = _since(items, facts, revision, _roots(target, root, db_root))
        said.append(f"items that changes since {revision} may concern")
    ids = {item.id for item in items.items}

    def keep(finding: Finding) -> bool:
        owners = attribute(finding, whole, facts.name)
        return bool(ids.intersection(owners)) or (not owners and finding.site.file in files)

    return Selection(items=items, keep=keep, said=", ".join(said), lines=lines)


def _roots(target: Target, root: Path | None, db_root: Path | None) -> tuple[Path, ...]:
    given = tuple(path.resolve() for path in (root, db_root) if path is not None)
    if given:
        return given
    try:
        # A target that carries its bot knows the folder before it has booted; any other wants --root.
        return tuple(path.resolve() for path in target.roots())
    except Exception:
        raise UsageError("--changed needs the bot's checkout; give --root") from None


def _since(
    items: RiskMap, facts: Facts, revision: str, roots: tuple[Path, ...]
) -> tuple[RiskMap, frozenset[str], tuple[str, ...]]:
    sources: dict[str, str] = {}
    names: list[str] = []
    for number, root in enumerate(roots):
        source, names_here = _import_root(root, facts.packages), changed.diff(root, revision if number == 0 else "HEAD")
        prefix = source.relative_to(root).as_posix() + "/"
        names += [name.removeprefix(prefix) if prefix != "./" else name for name in names_here]
        for path, text in changed.read_sources(source).items():
            sources.setdefault(path, text)
    package = changed.package_of(roots[0], facts.packages)
    graph = changed.modules(sources, package)
    change = changed.touched(graph, names)
    reasons = changed.affected_items(items, facts.name, graph, change, package)
    lines = [f"{len(names)} files changed since {revision}, {len(reasons)} of {len(items.items)} items concerned"]
    lines += [f"  {name}: {why}" for name, why in _nearest(reasons)[:SHOWN]]
    if len(reasons) > SHOWN:
        lines.append(f"  and {len(reasons) - SHOWN} more")
    if change.untraced:
        lines.append(f"  no module is tied to {', '.join(change.untraced[:5])}{' ...' * (len(change.untraced) > 5)}")
    return changed.chosen(items, reasons), frozenset(change.files), tuple(lines)


def _nearest(reasons: dict[str, str]) -> list[tuple[str, str]]:
    """What itself changed before what depends on it."""
    return sorted(reasons.items(), key=lambda pair: not pair[1].endswith(" changed"))


def _import_root(root: Path, packages: tuple[str, ...]) -> Path:
    """`root`, or the ``src`` below it where that is what stands on the import path (it holds one of the packages and
    is none itself)."""
    inner = root / "src"
    if "src" not in packages or not (root / "src" / "__init__.py").exists():
        for name in packages:
            if name != "src" and (inner / name.replace(".", "/")).is_dir():
                return inner
    return root
