"""`isolation overlays`: the harness tested with planted faults and fixes."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path
from typing import get_args

import click
import msgspec

from harness import catalogue, riskmap, standing, strategies
from harness.campaign import Campaign
from harness.cli_common import INTERRUPTED, PATH, Interrupt, Ticker, examples, fail, target_options
from harness.cli_schedules import Field, compare
from harness.cli_schedules import show as show_hunts
from harness.errors import UsageError
from harness.exploring import How
from harness.overlap import WITHIN
from harness.pool import Pool
from harness.profiles import PROFILES, Progress
from harness.target import Target, states_of


@click.command(
    epilog=examples("""
isolation overlays --list
isolation overlays --uncovered
isolation overlays --only 'key-*' --out kills
isolation overlays --schedules fifo --schedules uniform --schedules pct --seeds 3
""")
)
@target_options
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="quick",
    show_default=True,
    help="Plans before the overlays.",
)
@click.option("--plans", type=click.IntRange(0), help="How many generated plans, instead of the profile's.")
@click.option("--only", default="*", help="Only overlays whose name matches this glob.")
@click.option(
    "--schedules",
    "hows",
    type=click.Choice(get_args(How)),
    multiple=True,
    help="Only hunt for faults of order, under this kind of schedule (repeat to compare).",
)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="With --schedules: so many seeds.")
@click.option(
    "--within",
    type=click.IntRange(1),
    default=WITHIN,
    show_default=True,
    help="With --schedules: plans a hunt.",
)
@click.option("--list", "listing", is_flag=True, help="Name the overlays and what they stand for; run nothing.")
@click.option(
    "--out", type=PATH, help="Folder for the witnesses of the kills; with --schedules for the table, schedules.json."
)
@click.option("--uncovered", is_flag=True, help="Name the risk items no fault stands for, and why; run nothing.")
def overlays(
    target_name: str,
    root: Path | None,
    db_root: Path | None,
    profile: str,
    plans: int | None,
    only: str,
    hows: tuple[How, ...],
    seeds: int,
    within: int,
    listing: bool,
    uncovered: bool,
    out: Path | None,
) -> None:
    """Test the harness: every planted fault must be found by the right rule, every fix must close its leak, and nothing
    may be found under a control.

    Exit status: 0 all as they should be, 3 one was missed.
    """
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    if listing:
        for overlay in target.overlays():
            click.echo(f"{overlay.kind:5} {overlay.name:36} {overlay.rule:20} {overlay.surface:28} {overlay.about}")
        return
    if uncovered:
        _show_unshown(target)
        return
    if not any(fnmatch.fnmatchcase(overlay.name, only) for overlay in target.overlays()):
        raise UsageError(f"no overlay of {target_name} matches {only!r}; `isolation overlays --list` names them")
    target.version()
    show = Ticker()
    show.say(f"booting {target_name} ...")
    if hows:
        ordered = [o for o in target.overlays() if o.overlap and fnmatch.fnmatchcase(o.name, only)]
        if not ordered:
            raise UsageError(f"no overlay of {target_name} that matches {only!r} is a fault of order")
        with Pool(spec, root=root, db_root=db_root) as pool:
            good = show_hunts(compare(Field(pool, target), ordered, hows, range(seeds), within, show.say), out)
        sys.exit(0 if good or "fifo" in hows else 3)
    with Pool(spec, root=root, db_root=db_root) as pool, Interrupt(pool) as interrupt:

        def progress(state: Progress) -> None:
            show(state)
            interrupt.check()

        base = PROFILES[profile]
        plain = msgspec.structs.replace(base, plans=base.plans if plans is None else plans, overlays=False)
        whole = riskmap.load(target.risk_map())
        campaign = Campaign(pool, target, whole, plain, profile_name=profile, report=progress)
        interrupted = campaign.run().run.interrupted
        campaign.progress.phase, campaign.progress.plans = "overlays", 0
        campaign.progress.total = len(target.overlays())
        try:
            if not interrupted:
                facts = target.facts()
                claimed = whole.dimensions(facts.name, facts.generation)
                actions = [*target.actions(), *pool.ready.calls]
                tour = strategies.tour(
                    actions, claimed, target.facts().hostile, states_of(target), target.facts().third
                )
                campaign.try_overlays(tour, only, small=True)
        except KeyboardInterrupt:
            interrupted = True
        records = campaign.overlay_records
    show.end()
    missed = 0
    for made in records:
        good = made.killed and made.right_rule
        missed += not good
        size = f"{made.steps} steps, {made.deviations} deviations" if made.steps else ""
        word = "ok    " if good else "MISSED"
        click.echo(f"{word} {made.kind:5} {made.name:36} {made.rule:20} {size:26} {made.detail}")
        if out and made.witness:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{made.name}.json").write_text(made.witness, encoding="utf-8")
    click.echo(f"{len(records) - missed} of {len(records)} overlays as they should be")
    if interrupted:
        fail("interrupted; the overlays above were tried, the others were not", 3 if missed else INTERRUPTED)
    sys.exit(3 if missed else 0)


def _show_unshown(target: Target) -> None:
    items = riskmap.load(target.risk_map())
    found = standing.unshown(items, target.facts(), target.overlays())
    for name, why in found.items():
        click.echo(f"{name:32} {why or 'no reason is given'}")
    whole = sum(item.generation == target.facts().generation for item in items.items)
    unsaid = sum(not why for why in found.values())
    click.echo(
        f"{whole - len(found)} of {whole} items have a fault, {len(found)} have none, {unsaid} of these no reason"
    )
