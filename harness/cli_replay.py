"""`isolation replay`: witnesses again, counted, told in words, or stopped at in the debugger."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import click

from harness import catalogue, contract
from harness.cli_common import PATH, Ticker, checkout_options, examples, fail
from harness.cli_debug import debug
from harness.diagnosis import diagnose
from harness.errors import UsageError
from harness.parting import provenance, told
from harness.pool import Pool
from harness.replaying import Replayed, gather
from harness.replaying import replay as replay_all
from harness.timeline import timeline
from harness.witness import Witness


@click.command(
    short_help="Replay witnesses of findings.",
    epilog=examples("""
isolation replay isolation-report/witnesses/0123456789abcdef.json
isolation replay W.json --times 10 --explain
isolation replay isolation-report --times 100 --hash-seeds 3
isolation replay W.json --root CHECKOUT --db-root CHECKOUT --debug
"""),
)
@click.argument("paths", metavar="WITNESS...", type=PATH, nargs=-1, required=True)
@click.option("--target", "target_name", help="Another target than the witness names.")
@checkout_options
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="How often to replay each.")
@click.option(
    "--hash-seeds",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Spread the replays over so many values of PYTHONHASHSEED, a fresh process for each.",
)
@click.option("--jobs", type=click.IntRange(1), help="Replays at a time (default: the number of cores).")
@click.option("--explain", is_flag=True, help="Tell the witness as a timeline.")
@click.option("--debug", "debugging", is_flag=True, help="Stop at the violating access in the debugger (pdb).")
def replay(
    paths: tuple[Path, ...],
    target_name: str | None,
    root: Path | None,
    db_root: Path | None,
    times: int,
    hash_seeds: int,
    jobs: int | None,
    explain: bool,
    debugging: bool,
) -> None:
    """Replay witnesses and say whether their findings are still there.

    WITNESS is a file, or a folder of them (a report's, say): all are replayed in one booted process, or one for each
    hash seed. Replays that are not all alike are played again under sensors, which name what makes them differ: a
    thread, a clock, unseeded randomness, hash order, or the first access at which they part.

    Exit status: 1 a finding is there, 0 all are gone, 3 replays of one witness differ, or it does not show because the
    plan did not take place as it did, so that its absence shows nothing.
    """
    found = gather(paths)
    if debugging and len(found) > 1:
        raise UsageError("--debug takes one witness; name its file")
    spec = _spec(target_name or found[0].target, found[0], target_name is not None)
    target = catalogue.make_target(spec, root, db_root)
    version = contract.asked(target, spec, "version")
    for known in sorted({one.target_version for one in found} - {version}):
        click.echo(f"the witness was found on {known}, this is {version}")
    show = Ticker()
    boot = functools.partial(Pool, spec, root=root, db_root=db_root, jobs=jobs)
    tick = lambda one: show.say(f"replayed {one.witness.fingerprint}")  # noqa: E731
    done = replay_all(boot, target, found, times, hash_seeds, tick)
    show.end()
    for one in done:
        _tell(one, explain)
    if len(done) > 1:
        _sum_up(done, hash_seeds)
    unsteady = [one for one in done if not one.steady]
    if unsteady:
        show.say("playing it again under sensors, in fresh processes ...")
        first = unsteady[0]
        with boot() as pool:
            told = diagnose(pool, first.witness.plan, first.parted).told()
        show.end()
        fail(f"the replay of {first.witness.fingerprint} is not deterministic: {told}", 3)
    for one in done:
        if not one.hits and one.moved:
            fail(
                f"the witness does not reproduce, and not because it is fixed: {'; '.join(sorted(one.moved))}. The bot "
                "has changed where the plan takes hold; run the campaign again for a new witness",
                3,
            )
    hits = any(one.hits for one in done)
    if debugging and hits and done[0].finding is not None:
        sys.exit(debug(spec, root, db_root, found[0], done[0].finding.seqs[-1]))
    if debugging:
        click.echo("there is nothing to stop at")
    sys.exit(1 if hits else 0)


def _tell(one: Replayed, explain: bool) -> None:
    """One witness: its timeline where asked for, how often it showed, and what was there instead."""
    if explain and one.finding is not None and one.trace is not None:
        for event in timeline(one.trace, one.finding):
            click.echo(f"  {event.at:9.2f} s  {event.lane}  {event.kind:9}  {event.text}")
        if links := provenance(one.trace, one.finding):
            click.echo("  how it came to run there (!: where flow and context part):")
            for line in told(links):
                click.echo(f"    {line}")
    known = one.witness
    click.echo(f"{known.fingerprint} {known.rule}: shown in {one.hits} of {one.times} replays. {known.message}")
    if one.alike < one.times:
        click.echo(f"  {one.times - one.alike} of {one.times} replays took another course than the first")
    if one.hits < one.times:
        for text, message in sorted({**one.others, **one.moved}.items()):
            click.echo(f"  instead: {text}  {message}".rstrip())


def _sum_up(done: list[Replayed], hash_seeds: int) -> None:
    times, alike = sum(one.times for one in done), sum(one.alike for one in done)
    shown = sum(one.hits == one.times for one in done)
    under = f" under {hash_seeds} hash seeds" if hash_seeds > 1 else ""
    click.echo(
        f"{len(done)} witnesses, {times} replays{under}: {alike} took the same course as the witness's first; "
        f"{shown} of {len(done)} findings were shown by every replay"
    )


def _spec(name: str, found: Witness, given: bool) -> str:
    try:
        return catalogue.target_spec(name)
    except UsageError as error:
        if given:
            raise
        raise UsageError(f"the witness names a target that is not installed; give --target. {error}") from error
