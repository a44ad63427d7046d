"""The command line. Thin: it reads options, calls the engine, prints, and turns what came of it into an exit status."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

import harness
from harness import catalogue, riskmap, witness
from harness.campaign import PROFILES, Campaign, Profile, Progress, write_witnesses
from harness.errors import IsolationError, UsageError
from harness.judge import judge
from harness.pool import Pool
from harness.record import RunRecord

EPILOG = "Exit status: 0 nothing open, 1 something open, 2 bad usage or the target cannot boot, 3 the harness cannot vouch for itself."


class _Group(click.Group):
    """Turns the harness's errors into one message and the documented exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IsolationError as error:
            _fail(str(error), error.status)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"isolation: {message}", err=True)
    sys.exit(status)


def _target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    path = click.Path(path_type=Path)
    for option in (
        click.option("--db-root", type=path, help="Checkout of the bot's database package, where it has one."),
        click.option("--root", type=path, help="Checkout of the bot. It is copied, never written to."),
        click.option(
            "--target", "target_name", default=catalogue.DEFAULT_TARGET, show_default=True,
            help="An installed target (see `isolation targets`) or module:Class.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(cls=_Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(harness.__version__, prog_name="isolation")
def main() -> None:
    """Judge whether one tenant's data can reach another in a multi-tenant bot.

    Start with `isolation run`: it drives the embedded reference bot. For a MaiMBot checkout:
    `isolation run --target maimbot-saas --root DIR --db-root DIR`.
    """


@main.command()
@_target_options
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="quick", show_default=True, help="How much to do."
)
@click.option("--seed", default=0, show_default=True, help="Plans are drawn from this; equal seeds, equal plans.")
@click.option("--minutes", type=float, help="Stop starting plans after so many minutes (default: the profile's).")
@click.option("--plans", type=int, help="How many generated plans, instead of the profile's.")
@click.option("--items", "pattern", default="*", help="Decide only risk items whose id matches this glob.")
@click.option("--overlay", "overlays", multiple=True, help="Apply this overlay in every plan (repeat for several).")
@click.option("--jobs", type=int, help="Plans at a time (default: the number of cores).")
@click.option("--no-fork", is_flag=True, help="One long-lived process instead of a fork for each plan.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("isolation-report"), show_default=True,
              help="Folder for report.json, the other formats and the witnesses.")  # fmt: skip
def run(
    target_name: str, root: Path | None, db_root: Path | None, profile: str, seed: int, minutes: float | None,
    plans: int | None, pattern: str, overlays: tuple[str, ...], jobs: int | None, no_fork: bool, out: Path,
) -> None:  # fmt: skip
    """Play plans, judge them, shrink what was found, decide every risk item, write the report."""
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    target.version()
    chosen = riskmap.load(target.risk_map()).select(pattern)
    known = {overlay.name for overlay in target.overlays()}
    for name in overlays:
        if name not in known:
            raise UsageError(f"target {target_name} has no overlay {name!r}; `isolation overlays --list` names them")
    base = PROFILES[profile]
    wanted = Profile(base.plans if plans is None else plans, base.seconds, base.replays, base.overlays)
    show = _Ticker()
    show.say(f"booting {target_name} ...")
    with Pool(spec, root=root, db_root=db_root, jobs=jobs, fork=False if no_fork else None) as pool:
        campaign = Campaign(
            pool, target, chosen, wanted, profile_name=profile, seed=seed, overlays=overlays, minutes=minutes, report=show,
        )  # fmt: skip
        record = campaign.run()
    show.end()
    report = _write(record, out)
    click.echo(_summary(report))
    click.echo(f"report: {out / 'report.json'}")
    opened = any(item.verdict == "open" for item in record.items) or bool(record.findings)
    if record.run.interrupted:
        _fail("interrupted; the report holds what was found so far", 1 if opened else 130)
    sys.exit(1 if opened else 0)


def _write(record: RunRecord, out: Path) -> dict[str, Any]:
    """Write witnesses and every installed format; returns the report as the JSON writer made it."""
    from harness.reporting import write_all

    out.mkdir(parents=True, exist_ok=True)
    write_witnesses(record, out)
    return write_all(record, out)


def _summary(report: dict[str, Any]) -> str:
    from harness.reporting import summary

    return summary(report)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", "target_name", help="Another target than the witness names.")
@click.option("--root", type=click.Path(path_type=Path), help="Checkout of the bot.")
@click.option("--db-root", type=click.Path(path_type=Path), help="Checkout of the bot's database package.")
@click.option("--times", default=1, show_default=True, help="How often to replay.")
@click.option("--explain", is_flag=True, help="Tell the witness as a timeline.")
def replay(
    file: Path, target_name: str | None, root: Path | None, db_root: Path | None, times: int, explain: bool
) -> None:
    """Replay a witness and say whether its finding is still there (exit 1: it is, 0: it is gone)."""
    from harness.timeline import timeline

    found = witness.load(file)
    spec = catalogue.target_spec(target_name or found.target)
    target = catalogue.make_target(spec, root, db_root)
    target.version()
    demands = riskmap.load(target.risk_map()).demands(target.facts().name)
    hits = 0
    others: dict[str, str] = {}
    with Pool(spec, root=root, db_root=db_root) as pool:
        for number, outcome in enumerate(pool.map([found.plan] * times)):
            if outcome.trace is None:
                raise IsolationError(f"replay {number + 1} of {times} did not end: {outcome.status}: {outcome.detail}")
            for fault in outcome.trace.faults:
                others[f"{fault.kind}: {fault.message}"] = fault.where
            for finding in judge(outcome.trace, target.facts(), demands):
                if finding.fingerprint != found.fingerprint:
                    others[f"{finding.fingerprint} {finding.rule}"] = finding.message
                    continue
                hits += 1
                if explain and hits == 1:
                    for event in timeline(outcome.trace, finding):
                        click.echo(f"  {event.at:9.2f} s  {event.lane}  {event.kind:9}  {event.text}")
    click.echo(f"{found.fingerprint} {found.rule}: shown in {hits} of {times} replays. {found.message}")
    if hits < times:
        for text, message in sorted(others.items()):
            click.echo(f"  instead: {text}  {message}")
    if 0 < hits < times:
        _fail("the replay is not deterministic", 3)
    sys.exit(1 if hits else 0)


@main.command()
@_target_options
@click.option("--profile", type=click.Choice(list(PROFILES)), default="quick", show_default=True)
@click.option("--only", default="*", help="Only overlays whose name matches this glob.")
@click.option("--list", "listing", is_flag=True, help="Name the overlays and what they stand for; run nothing.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the witnesses of the kills.")
def overlays(
    target_name: str, root: Path | None, db_root: Path | None, profile: str, only: str, listing: bool, out: Path | None
) -> None:
    """Test the harness: every planted fault must be found by the right rule, every fix must close its leak.

    Exit status 3 when one was missed.
    """
    from harness import strategies

    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    if listing:
        for overlay in target.overlays():
            click.echo(f"{overlay.kind:5} {overlay.name:36} {overlay.rule:20} {overlay.surface:28} {overlay.about}")
        return
    target.version()
    show = _Ticker()
    show.say(f"booting {target_name} ...")
    with Pool(spec, root=root, db_root=db_root) as pool:
        base = PROFILES[profile]
        plain = Profile(base.plans, base.seconds, base.replays, overlays=False)
        campaign = Campaign(pool, target, riskmap.load(target.risk_map()), plain, profile_name=profile, report=show)
        campaign.run()
        campaign.progress.phase, campaign.progress.plans = "overlays", 0
        campaign.progress.total = len(target.overlays())
        campaign.try_overlays(strategies.tour(list(target.actions())), only, small=True)
        records = campaign.overlay_records
    show.end()
    missed = 0
    for made in records:
        good = made.killed and made.right_rule
        missed += not good
        size = f"{made.steps} steps, {made.deviations} deviations" if made.steps else ""
        click.echo(
            f"{'ok    ' if good else 'MISSED'} {made.kind:5} {made.name:36} {made.rule:20} {size:26} {made.detail}"
        )
        if out and made.witness:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{made.name}.json").write_text(made.witness)
    click.echo(f"{len(records) - missed} of {len(records)} overlays as they should be")
    sys.exit(3 if missed else 0)


@main.command()
@_target_options
@click.option("--items", "pattern", default="*", help="Only items whose id matches this glob.")
def items(target_name: str, root: Path | None, db_root: Path | None, pattern: str) -> None:
    """List the risk items and their cells."""
    target = catalogue.make_target(catalogue.target_spec(target_name), root, db_root)
    for item in riskmap.load(target.risk_map()).select(pattern).items:
        where = "" if target.facts().name in item.places else " (not in this bot)"
        click.echo(f"{item.id:44} {item.generation:16} {item.module}{where}")
        for cell in item.cells:
            click.echo(f"    {cell.sink:9} {cell.entry:7} {cell.dimension:4} {cell.predicate}")


@main.command()
def targets() -> None:
    """List the installed targets."""
    for name, spec in catalogue.target_specs().items():
        click.echo(f"{name:16} {spec}")


@main.command()
@_target_options
@click.option("--plans", "count", default=40, show_default=True, help="Plans to measure with.")
def bench(target_name: str, root: Path | None, db_root: Path | None, count: int) -> None:
    """Measure plans a second and what the probes cost (all on against off, same plans, one at a time)."""
    from harness.bench import measure

    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    target.version()
    for line in measure(spec, target, root, db_root, count):
        click.echo(line)


class _Ticker:
    """Progress on standard error while it is a terminal; nothing when piped."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.last = 0.0

    def say(self, text: str) -> None:
        if self.live:
            click.echo(f"\r\033[K{text}", nl=False, err=True)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.last < 0.2:
            return
        self.last = now
        left = f", {progress.seconds_left:.0f} s left" if progress.phase == "plans" else ""
        self.say(
            f"{progress.phase}: {progress.plans}/{progress.total}, {progress.steps} steps, "
            f"{progress.findings} findings so far{left}"
        )

    def end(self) -> None:
        if self.live:
            click.echo("\r\033[K", nl=False, err=True)
