"""`isolation items`, `targets`, `inventory` and `bench`: what there is, and what it costs."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from harness import catalogue, riskmap, strategies
from harness.bench import measure
from harness.cli_common import PATH, Ticker, examples, target_options
from harness.coverage import Coverage, Reach
from harness.errors import UsageError
from harness.pool import Pool


@click.command(epilog=examples("isolation items --items 'config-*'"))
@target_options
@click.option("--items", "pattern", default="*", help="Only items whose id matches this glob.")
def items(target_name: str, root: Path | None, db_root: Path | None, pattern: str) -> None:
    """List the risk items and their cells (sink, entry, dimension, predicate)."""
    target = catalogue.make_target(catalogue.target_spec(target_name), root, db_root)
    for item in riskmap.load(target.risk_map()).select(pattern).items:
        where = "" if target.facts().name in item.places else " (not in this bot)"
        click.echo(f"{item.id:44} {item.generation:16} {item.module}{where}")
        for cell in item.cells:
            click.echo(f"    {cell.sink:9} {cell.entry:7} {cell.dimension:4} {cell.predicate}")


@click.command(epilog=examples("isolation targets"))
def targets() -> None:
    """List the installed targets. Somebody else's bot is given as module:Class."""
    for name, spec in catalogue.target_specs().items():
        click.echo(f"{name:16} {spec}")


@click.command(epilog=examples("isolation inventory --unclaimed"))
@target_options
@click.option("--unclaimed", is_flag=True, help="Only places that no risk item claims.")
def inventory(target_name: str, root: Path | None, db_root: Path | None, unclaimed: bool) -> None:
    """Play the tour and list every place it reached: sink, surface, entries, accesses, items that claim it."""
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    target.version()
    name = target.facts().name
    chosen = riskmap.load(target.risk_map())
    show = Ticker()
    show.say(f"booting {target_name} ...")
    coverage = Coverage()
    with Pool(spec, root=root, db_root=db_root) as pool:
        plans = strategies.tour([*target.actions(), *pool.ready.calls])
        for number, outcome in enumerate(pool.map(plans), 1):
            show.say(f"tour: {number}/{len(plans)}")
            if outcome.trace is not None:
                coverage.add(outcome.trace)
    show.end()
    places: dict[tuple[str, str], list[tuple[Reach, int]]] = {}
    for reach, count in coverage.counts.items():
        places.setdefault((reach.sink, reach.surface), []).append((reach, count))
    bare = 0
    for (sink, surface), reaches in sorted(places.items()):
        claims = [
            item.id
            for item in chosen.items
            if any(p.matches(sink, surface, reach.stack) for p in item.places.get(name, ()) for reach, _ in reaches)
        ]
        bare += not claims
        if unclaimed and claims:
            continue
        entries = ",".join(sorted({reach.entry for reach, _ in reaches}))
        more = f" and {len(claims) - 3} more" if len(claims) > 3 else ""
        said = ", ".join(claims[:3]) + more if claims else "NO ITEM"
        click.echo(f"{sink:9} {surface:56} {entries:24} {sum(count for _, count in reaches):6}  {said}")
    click.echo(f"{len(places)} places reached, {bare} of them claimed by no risk item")


@click.command(epilog=examples("isolation bench --plans 20 --out isolation-bench"))
@target_options
@click.option("--plans", "count", type=click.IntRange(1), default=40, show_default=True, help="Plans to measure with.")
@click.option("--out", type=PATH, help="Folder for bench.json, the same figures for machines.")
def bench(target_name: str, root: Path | None, db_root: Path | None, count: int, out: Path | None) -> None:
    """Measure plans a second and what the probes cost (all on against off, same plans, one at a time)."""
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    target.version()
    figures: dict[str, float] = {}
    for line in measure(spec, target, root, db_root, count, figures):
        click.echo(line)
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}; give another --out") from error
