"""`isolation run`: a campaign from the options to the exit status."""

from __future__ import annotations

import datetime
import re
import shlex
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, cast

import click
import msgspec
from click.core import ParameterSource

from harness import baseline, catalogue, contract, mapping, reporting, requirement, resuming
from harness.assembling import write_witnesses
from harness.baseline import Applied, FailOn, Waiver
from harness.campaign import Campaign
from harness.cli_common import (
    INTERRUPTED,
    PATH,
    Interrupt,
    Ticker,
    examples,
    replay_command,
    target_options,
    terminal,
)
from harness.cli_select import Selection, select
from harness.errors import UsageError
from harness.memory import Memory
from harness.pool import Pool
from harness.profiles import PROFILES, Profile, Progress
from harness.record import RunRecord
from harness.resuming import Options, Session

FAIL_ON = ("new", "open", "uncovered")
CHANGED_PLANS = 40
"""Generated plans of a ``--changed`` run, beside the tour: it answers a pull request."""
SHOWN = 20
STARTED = "%Y-%m-%dT%H:%M:%SZ"
_WITNESS = re.compile(r"[0-9a-f]{16}\.json")


@click.command(
    short_help="Test a bot and write the report.",
    epilog=examples("""
isolation run
isolation run --profile ci --out report --baseline isolation-baseline.toml
isolation run --target NAME --root CHECKOUT --changed origin/main
isolation run --items 'config-*' --overlay FAULT --plans 20
isolation run --resume report                        after Ctrl-C: the same run, from where it was
"""),
)
@target_options
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="quick", show_default=True, help="How much to do."
)
@click.option("--seed", default=0, show_default=True, help="Plans are drawn from this; equal seeds, equal plans.")
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    help="End the run after so many minutes, booting and shrinking included (default: the profile's times).",
)
@click.option("--plans", type=click.IntRange(0), help="How many generated plans, instead of the profile's.")
@click.option(
    "--items",
    "pattern",
    default="*",
    help="Decide only risk items whose id matches this glob (or one of several: a,b).",
)
@click.option(
    "--changed", "revision", help="Only items whose module, or what it imports, changed since this git revision."
)
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    help="Apply this overlay (or all that match: 'fix-*') in every plan (repeat for several).",
)
@click.option("--jobs", type=click.IntRange(1), help="Plans at a time (default: the number of cores).")
@click.option("--no-fork", is_flag=True, help="One long-lived process instead of a fork for each plan.")
@click.option("--baseline", "baseline_file", type=PATH, help="Leaks accepted by name (see `isolation baseline`).")
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    default="new",
    show_default=True,
    help="Exit 1 on: open beyond the baseline; anything open, waived or not; also what was not shown either way.",
)
@click.option("--format", "formats", multiple=True, help="Only this report format (repeat; default: all).")
@click.option("--redact", is_flag=True, help="Write nothing that must not be published: no payloads, keys, witnesses.")
@click.option("--replay-hint", default="", help="Command the report shows for a witness; {witness} is its path.")
@click.option(
    "--out",
    type=PATH,
    default=Path("isolation-report"),
    show_default=True,
    help="Folder for report.json, the other formats and the witnesses.",
)
@click.option(
    "--resume",
    "resume",
    type=PATH,
    metavar="DIR",
    help="Go on with the run that was cut short there (its --out folder): same options, nothing is played twice.",
)
@click.pass_context
def run(
    ctx: click.Context,
    target_name: str,
    root: Path | None,
    db_root: Path | None,
    profile: str,
    seed: int,
    minutes: float | None,
    plans: int | None,
    pattern: str,
    revision: str | None,
    overlays: tuple[str, ...],
    jobs: int | None,
    no_fork: bool,
    baseline_file: Path | None,
    fail_on: str,
    formats: tuple[str, ...],
    redact: bool,
    replay_hint: str,
    out: Path,
    resume: Path | None,
) -> None:
    """Play plans, judge them, shrink what was found, decide every risk item, write the report.

    Exit status: 0 nothing open beyond the baseline, 1 something open, 2 bad usage or the target cannot boot, 3 the
    harness cannot vouch for the run, 130 interrupted with nothing open so far.

    Ctrl-C ends the run after the plans under way and writes a report of what was found; --resume then goes on where it
    was, with the time that is left. What was played lies beside the report until a run has come to its end (with
    --redact it is not kept).
    """
    session = None
    if resume is not None:
        out, session = resume, resuming.load(resume)
        options = resuming.merged(session, _given(ctx))
    else:
        options = Options(
            target_name=target_name, root=_text(root), db_root=_text(db_root), profile=profile, seed=seed,
            minutes=minutes, plans=plans, pattern=pattern, revision=revision, overlays=overlays, no_fork=no_fork,
            jobs=jobs, baseline_file=_text(baseline_file), fail_on=fail_on, formats=formats, replay_hint=replay_hint,
        )  # fmt: skip
    _run(options, out, session, redact)


REPEATED = ("minutes", "jobs", "baseline_file", "fail_on", "formats", "replay_hint")
"""What may be said anew when a run is gone on with: it decides neither what is played nor what is judged."""


def _given(ctx: click.Context) -> dict[str, Any]:
    """The options said beside --resume. Raises UsageError for those that make another run of it."""
    given = [n for n in ctx.params if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE and n != "resume"]
    others = [option.opts[0] for option in ctx.command.params if option.name in set(given) - set(REPEATED)]
    if others:
        raise UsageError(f"--resume goes on with the run as it was asked for: leave out {', '.join(others)}")
    return {name: ctx.params[name] for name in given}


def _text(path: Path | None) -> str | None:
    return str(path) if path is not None else None


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None


def _run(options: Options, out: Path, session: Session | None, redact: bool) -> None:
    reporting.check_formats(options.formats)
    target_name, root, db_root = options.target_name, _path(options.root), _path(options.db_root)
    profile = options.profile
    waivers = baseline.load(Path(options.baseline_file)) if options.baseline_file else ()
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    version = contract.asked(target, spec, "version")
    overlays = catalogue.overlays_named(target, target_name, options.overlays)
    chosen = select(target, options.pattern, options.revision, root, db_root)
    for line in chosen.lines:
        click.echo(line)
    if not chosen.items.items:
        click.echo("nothing that a risk item lives in changed; nothing was run and no report was written")
        return
    astray = mapping.astray(chosen.items, target.facts())
    if astray:
        click.echo(f"isolation: {astray}", err=True)
    _check_out(out)
    wanted = profile_of(profile, options.plans, quick=options.revision is not None)
    started = session.started if session is not None else datetime.datetime.now(datetime.UTC).strftime(STARTED)
    memory = _memory(out, options, session, version, started, redact)
    show = Ticker()
    show.say(f"booting {target_name} ...")
    with (
        closing(memory) if memory is not None else nullcontext(),
        Pool(spec, root=root, db_root=db_root, jobs=options.jobs, fork=False if options.no_fork else None) as pool,
        Interrupt(pool) as interrupt,
    ):
        pool.memory = memory

        def progress(state: Progress) -> None:
            show(state)
            interrupt.check()

        campaign = Campaign(
            pool,
            target,
            chosen.items,
            wanted,
            profile_name=profile,
            seed=options.seed,
            overlays=overlays,
            minutes=options.minutes,
            report=progress,
            keep=chosen.keep,
            # Demands speak of the whole bot: findings that a selection leaves out would break them unseen.
            requirements=() if chosen.said else requirement.beside(target.risk_map()),
        )
        record = noted(campaign.run(), chosen, len(campaign.left_out))
        record = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, started=started))
        applied = held(record, waivers, chosen)
        hint = options.replay_hint or replay_command(out, target_name, target.facts().name, root, db_root)
        # Inside the pool: the bot's code, as it ran, lies in the pool's folder.
        report = reporting.make(record, applied=applied, roots=[Path(r) for r in pool.ready.roots], replay=hint)
        if redact:
            report = reporting.redact(report, reporting.secrets_of(target, record.witnesses.values()))
        _write(report, record, out, options.formats, witnesses=not redact)
    if not record.run.interrupted:
        resuming.end(out)
    show.end()
    width, colour = terminal()
    click.echo(reporting.summary(report, width=width, colour=colour))
    if campaign.left_out:
        count = len(campaign.left_out)
        said = "1 finding belongs" if count == 1 else f"{count} findings belong"
        click.echo(f"{said} to other items than the chosen ones, left out here")
    click.echo(f"report: {out}")
    status = _status(report, applied, cast(FailOn, options.fail_on), bool(options.baseline_file))
    if record.run.interrupted and memory is not None:
        click.echo(f"isolation: `isolation run --resume {shlex.quote(str(out))}` goes on where it was", err=True)
    sys.exit(status)


def _memory(
    out: Path, options: Options, session: Session | None, version: str, started: str, redact: bool
) -> Memory | None:
    """What the run keeps of what it plays, and of a run that is gone on with what it has played."""
    if session is not None:
        return resuming.recall(out, session, version)
    if resuming.left(out):
        click.echo(f"isolation: the run that was cut short in {out} is dropped, and begun anew", err=True)
    if redact:
        resuming.end(out)
        return None
    return resuming.begin(out, options, version, started)


def profile_of(name: str, plans: int | None, quick: bool = False) -> Profile:
    """The profile, with another number of generated plans where asked for. `quick`: little beside the tour."""
    base = PROFILES[name]
    if quick:
        base = msgspec.structs.replace(base, plans=min(base.plans, CHANGED_PLANS), overlays=False)
    return base if plans is None else msgspec.structs.replace(base, plans=plans)


def noted(record: RunRecord, chosen: Selection, left_out: int) -> RunRecord:
    """The record, saying which part of the risk map it decided."""
    if not chosen.said:
        return record
    said = f"{chosen.said}; {left_out} findings of other items left out"
    environment = {**record.run.environment, reporting.SELECTION: said}
    return msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, environment=environment))


def held(record: RunRecord, waivers: tuple[Waiver, ...], chosen: Selection) -> Applied:
    """The record under a baseline. A run of a part of the map cannot say that a waiver is unknown or unneeded, nor can
    one that was interrupted."""
    applied = baseline.apply(record, waivers, datetime.date.today())
    if not chosen.said and not record.run.interrupted:
        return applied
    kept = (*applied.of_state("active"), *applied.of_state("expired"))
    return msgspec.structs.replace(applied, waivers=kept)


def _check_out(out: Path) -> None:
    """A folder that cannot be written is told before the run, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(f"report folder {out} cannot be written: {error.strerror}; give another --out") from error


def _write(report: dict[str, Any], record: RunRecord, out: Path, formats: tuple[str, ...], *, witnesses: bool) -> None:
    reporting.write(report, out, formats)
    folder = out / "witnesses"
    for former in folder.glob("*.json"):
        # A witness of an earlier run beside this report would be taken for one of its own.
        if _WITNESS.fullmatch(former.name):
            former.unlink()
    if witnesses:
        write_witnesses(record, out)


def _status(report: dict[str, Any], applied: Applied, fail_on: FailOn, told: bool) -> int:
    reasons = baseline.reasons_to_fail(applied, fail_on)
    if told or fail_on != "new":
        list_reasons(reasons, fail_on)
    if report["verdict"]["state"] == "unsound":
        click.echo(f"isolation: {report['verdict']['line']}", err=True)
        return 3
    if applied.record.run.interrupted:
        click.echo("isolation: interrupted; the report holds what was found so far", err=True)
        return 1 if reasons else INTERRUPTED
    return 1 if reasons else 0


def list_reasons(reasons: tuple[str, ...], fail_on: str) -> None:
    """Why a run does not pass, on standard output."""
    if not reasons:
        click.echo(f"passes under --fail-on {fail_on}")
        return
    click.echo(f"fails under --fail-on {fail_on}:")
    for reason in reasons[:SHOWN]:
        click.echo(f"  {reason}")
    if len(reasons) > SHOWN:
        click.echo(f"  and {len(reasons) - SHOWN} more; the report lists them all")
