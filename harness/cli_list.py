"""`isolation items`, `targets` and `bench`: what there is, and what it costs."""

from __future__ import annotations

import functools
from pathlib import Path

import click
import msgspec

from harness import catalogue, contract, riskmap
from harness.asked import held_against
from harness.bench import measure
from harness.cli_common import PATH, examples, target_options
from harness.errors import UsageError
from harness.target import Budgeted


@click.command(short_help="List the risk items and their cells.", epilog=examples("isolation items --items 'config-*'"))
@target_options
@click.option("--items", "pattern", default="*", help="Only items whose id matches this glob (or one of several: a,b).")
def items(target_name: str, root: Path | None, db_root: Path | None, pattern: str) -> None:
    """List the risk items and their cells (sink, entry, dimension, predicate)."""
    target = catalogue.make_target(catalogue.target_spec(target_name), root, db_root)
    for item in riskmap.load(target.risk_map()).select(pattern).items:
        where = "" if target.facts().name in item.places else " (not in this bot)"
        click.echo(f"{item.id:44} {item.generation:16} {item.module}{where}")
        for cell in item.cells:
            click.echo(f"    {cell.sink:9} {cell.entry:7} {cell.dimension:4} {cell.predicate}")


@click.command(short_help="List the installed targets.", epilog=examples("isolation targets"))
def targets() -> None:
    """List the installed targets. Somebody else's bot is given as module:Class."""
    for name, spec in catalogue.target_specs().items():
        click.echo(f"{name:16} {spec}")


@click.command(
    short_help="Measure what watching a bot costs.",
    epilog=examples("isolation bench --plans 20 --out isolation-bench\nisolation bench --campaign 2000"),
)
@target_options
@click.option(
    "--plans",
    "count",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Plans of each kind to measure with.",
)
@click.option(
    "--campaign", type=click.IntRange(0), default=0, show_default=True, help="Plans of a campaign to tell memory by."
)
@click.option(
    "--out",
    type=PATH,
    help="Folder for bench.json: the same figures for machines, what is asked of them, and whether it is met.",
)
def bench(
    target_name: str, root: Path | None, db_root: Path | None, count: int, campaign: int, out: Path | None
) -> None:
    """Measure what the loop and the probes cost, plans a second, and how cost and memory grow.

    Costs are processor time, so that other work on the machine disturbs them little. They are told apart as reset
    (fork, private folder, planting the twins, the bot's own start and end), the bot's work, the probes and the
    judging; plans a second are for one core. Only the gain of a second worker is wall time: measure it on an idle
    machine (the load average stands beside it).
    """
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    contract.asked(target, spec, "version")
    figures: dict[str, float] = {}
    tell = functools.partial(click.echo, err=True)
    for line in measure(spec, target, root, db_root, count, figures, campaign, lambda text: tell(f"... {text}")):
        click.echo(line)
    asked = held_against(figures, target.budget() if isinstance(target, Budgeted) else {})
    for one in asked:
        click.echo(one.line())
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "bench.json").write_bytes(
            msgspec.json.format(msgspec.json.encode({**figures, "asked": asked}), indent=1) + b"\n"
        )
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}; give another --out") from error
