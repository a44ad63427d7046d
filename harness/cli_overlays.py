"""`isolation overlays`: the harness tested with planted faults and fixes."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click
import msgspec

from harness import catalogue, contract, hardness, reporting, riskmap, standing, touring
from harness.assembling import write_kills, write_witnesses
from harness.campaign import Campaign
from harness.cli_common import INTERRUPTED, PATH, Interrupt, Ticker, examples, fail, replay_command, target_options
from harness.cli_schedules import Field, compare
from harness.cli_schedules import show as show_hunts
from harness.controls import measured
from harness.errors import UsageError
from harness.exploring import How
from harness.overlap import WITHIN
from harness.pool import Pool
from harness.profiles import PROFILES, Profile, Progress
from harness.record import OverlayRecord
from harness.sampling import KINDS, SAMPLES
from harness.target import Target, states_of

GENERATED = {"quick": 150, "ci": 0, "nightly": 600}
"""Generated plans before the overlays, by profile."""

LONGEST = 7200.0
"""Seconds of wall time that the tour, and the overlays after it, may take."""


@click.command(
    short_help="Test the harness by planted faults.",
    epilog=examples("""
isolation overlays --list
isolation overlays --uncovered
isolation overlays --profile nightly --out catalogue
isolation overlays --profile ci --seed 2
isolation overlays --kind control --plans 10000   false positives: so many clean plans, and all controls
isolation overlays --schedules fifo --schedules uniform --schedules pct --seeds 3
"""),
)
@target_options
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="quick",
    show_default=True,
    help="ci: a fixed sample of all kinds and areas, after the tour alone. Others: all, after more plans or fewer.",
)
@click.option("--seed", default=0, show_default=True, help="Other twins and other draws for every seed.")
@click.option(
    "--plans", type=click.IntRange(0), help="How many generated plans before the overlays, instead of the profile's."
)
@click.option("--only", default="*", help="Only overlays whose name matches this glob; all of these, in any profile.")
@click.option("--kind", type=click.Choice(KINDS), multiple=True, help="Only this kind (repeat; default: all).")
@click.option("--jobs", type=click.IntRange(1), help="Plans at a time (default: the number of cores).")
@click.option(
    "--schedules",
    "hows",
    type=click.Choice(get_args(How)),
    multiple=True,
    help="Only hunt for faults of order, under this kind of schedule (repeat to compare).",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="With --schedules: so many seeds, from --seed on.",
)
@click.option(
    "--within",
    type=click.IntRange(1),
    default=WITHIN,
    show_default=True,
    help="With --schedules: plans a hunt.",
)
@click.option("--list", "listing", is_flag=True, help="Name the overlays and what they stand for; run nothing.")
@click.option(
    "--out",
    type=PATH,
    help="Folder for the report and, in kills, a witness of each fault found; with --schedules for schedules.json.",
)
@click.option("--uncovered", is_flag=True, help="Name the risk items no fault stands for, and why; run nothing.")
def overlays(
    target_name: str,
    root: Path | None,
    db_root: Path | None,
    profile: str,
    seed: int,
    plans: int | None,
    only: str,
    kind: tuple[str, ...],
    jobs: int | None,
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
    contract.asked(target, spec, "version")
    show = Ticker()
    show.say(f"booting {target_name} ...")
    if hows:
        ordered = [o for o in target.overlays() if o.overlap and fnmatch.fnmatchcase(o.name, only)]
        if not ordered:
            raise UsageError(f"no overlay of {target_name} that matches {only!r} is a fault of order")
        with Pool(spec, root=root, db_root=db_root, jobs=jobs) as pool:
            every = range(seed, seed + seeds)
            good = show_hunts(compare(Field(pool, target), ordered, hows, every, within, show.say), out)
        sys.exit(0 if good or "fifo" in hows else 3)
    with Pool(spec, root=root, db_root=db_root, jobs=jobs) as pool, Interrupt(pool) as interrupt:

        def progress(state: Progress) -> None:
            show(state)
            interrupt.check()

        plain = before(profile, plans)
        whole = riskmap.load(target.risk_map())
        campaign = Campaign(pool, target, whole, plain, profile_name=profile, seed=seed, report=progress)
        interrupted = campaign.run().run.interrupted
        campaign.progress.phase, campaign.progress.plans = "overlays", 0
        try:
            if not interrupted:
                facts = target.facts()
                claimed = whole.dimensions(facts.name, facts.generation)
                actions = [*target.actions(), *pool.ready.calls]
                states = states_of(target)
                tour = touring.toured(actions, claimed, facts, states)
                # A sample is there to be quick: what its faults took is told of the plans as they were found.
                shares = SAMPLES.get(profile) if only == "*" else None
                campaign.try_overlays(tour, only, small=shares is None, shares=shares, kinds=kind or KINDS)
        except KeyboardInterrupt:
            interrupted = True
        records = campaign.overlay_records
        if out:
            _write(campaign, out, target_name, root, db_root)
    show.end()
    missed = 0
    for made in records:
        good = made.killed and made.right_rule
        missed += not good
        size = f"{made.plans} plans, {made.steps} steps, {made.deviations} deviations" if made.steps else ""
        word = "MISSED" if not good else "ASTRAY" if hardness.astray(made) else "ok    "
        click.echo(f"{word} {made.kind:7} {made.name:36} {made.rule:20} {size:38} {made.detail}")
    for line in _summed_up(campaign, records, len(target.overlays())):
        click.echo(line)
    click.echo(f"{len(records) - missed} of {len(records)} overlays as they should be")
    if interrupted:
        fail("interrupted; the overlays above were tried, the others were not", 3 if missed else INTERRUPTED)
    sys.exit(3 if missed else 0)


def before(profile: str, plans: int | None) -> Profile:
    """What is played before the overlays are: the tour, and `plans` generated ones (None: as many as `GENERATED`
    says, which leaves the time to the overlays). The tour is played whole, however long it takes: what it touched says
    where a fault is looked for first."""
    base = PROFILES[profile]
    wanted = GENERATED[profile] if plans is None else plans
    pairs = PROFILES["quick"].pairs if wanted else 0
    return msgspec.structs.replace(
        base, plans=wanted, seconds=max(base.seconds, LONGEST), trying=LONGEST, overlays=False, pairs=pairs
    )  # fmt: skip


def _write(campaign: Campaign, out: Path, target_name: str, root: Path | None, db_root: Path | None) -> None:
    """The report of the campaign with its overlays, witnesses of its findings, and one of each kill."""
    record = campaign.record()
    hint = replay_command(out, target_name, record.run.target, root, db_root)
    roots = [Path(found) for found in campaign.pool.ready.roots]
    reporting.write(reporting.make(record, roots=roots, replay=hint), out)
    write_witnesses(record, out)
    write_kills(record, out)


def _summed_up(campaign: Campaign, records: Sequence[OverlayRecord], known: int) -> list[str]:
    """What came of the trials, kind by kind, and how hard the faults were to find."""
    lines = [f"tried {len(records)} of {known} overlays, seed {campaign.seed}"]
    faults = [made for made in records if made.kind == "fault"]
    if faults:
        found, right = sum(made.killed for made in faults), sum(made.right_rule for made in faults)
        lines.append(f"faults: {len(faults)} tried, {found} found, {right} by the right rule")
    controls, loud = measured(records)
    if controls:
        lines.append(f"controls: {controls} tried, {loud} of them with a false positive")
    clean = campaign.clean
    if clean and not campaign.found:
        lines.append(f"plans without any overlay: {clean}, no finding (95 % bound {3 / clean:.2%} a plan)")
    hard = hardness.measured(records)
    if hard.plans is not None:
        lines.append(f"medians: {hard.plans} plans until found, {hard.steps} steps, {hard.deviations} deviations")
        sizes = {made.name: f"{made.plans} plans, {made.steps} steps, {made.deviations} deviations" for made in faults}
        lines.append("hardest: " + "; ".join(f"{name} ({sizes[name]})" for name in hard.hardest))
    if hard.astray:
        lines.append(f"found by what belongs to none of their items: {', '.join(hard.astray)}")
    return lines


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
