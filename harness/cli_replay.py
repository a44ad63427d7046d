"""`isolation replay`: a witness again, counted, told in words, or stopped at in the debugger."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness import catalogue, pairs, riskmap, witness
from harness.cli_common import PATH, checkout_options, examples, fail
from harness.cli_debug import debug
from harness.errors import IsolationError, UsageError
from harness.judge import judge
from harness.pool import Pool
from harness.timeline import timeline
from harness.trace import Trace
from harness.witness import Witness


@click.command(
    epilog=examples("""
isolation replay isolation-report/witnesses/0123456789abcdef.json
isolation replay W.json --times 10 --explain
isolation replay W.json --root CHECKOUT --db-root CHECKOUT --debug
""")
)
@click.argument("file", type=PATH)
@click.option("--target", "target_name", help="Another target than the witness names.")
@checkout_options
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="How often to replay.")
@click.option("--explain", is_flag=True, help="Tell the witness as a timeline.")
@click.option("--debug", "debugging", is_flag=True, help="Stop at the violating access in the debugger (pdb).")
def replay(
    file: Path,
    target_name: str | None,
    root: Path | None,
    db_root: Path | None,
    times: int,
    explain: bool,
    debugging: bool,
) -> None:
    """Replay a witness and say whether its finding is still there.

    Exit status: 1 it is there, 0 it is gone, 3 it shows in some replays only, or not at all but the plan did not take
    place as it did, so that its absence shows nothing.
    """
    found = witness.load(file)
    spec = _spec(target_name or found.target, found, target_name is not None)
    target = catalogue.make_target(spec, root, db_root)
    version = target.version()
    if version != found.target_version:
        click.echo(f"the witness was found on {found.target_version}, this is {version}")
    demands = riskmap.load(target.risk_map()).demands(target.facts().name)
    hits, violating = 0, -1
    others: dict[str, str] = {}
    moved: dict[str, str] = {}
    with Pool(spec, root=root, db_root=db_root) as pool:
        facts = target.facts()
        played = pairs.judged(
            pool, [found.plan] * times, facts, lambda trace: judge(trace, facts, demands), rule=found.rule
        )
        for number, (outcome, findings) in enumerate(played):
            if outcome.trace is None:
                raise IsolationError(f"replay {number + 1} of {times} did not end: {outcome.status}: {outcome.detail}")
            _compare(outcome.trace, found, moved, others)
            for finding in findings:
                if finding.fingerprint != found.fingerprint:
                    others[f"{finding.fingerprint} {finding.rule}"] = finding.message
                    continue
                hits += 1
                violating = finding.seqs[-1]
                if explain and hits == 1:
                    for event in timeline(outcome.trace, finding):
                        click.echo(f"  {event.at:9.2f} s  {event.lane}  {event.kind:9}  {event.text}")
    click.echo(f"{found.fingerprint} {found.rule}: shown in {hits} of {times} replays. {found.message}")
    if hits < times:
        for text, message in sorted({**others, **moved}.items()):
            click.echo(f"  instead: {text}  {message}".rstrip())
    if 0 < hits < times:
        fail("the replay is not deterministic", 3)
    if not hits and moved:
        fail(
            f"the witness does not reproduce, and not because it is fixed: {'; '.join(sorted(moved))}. The bot has "
            "changed where the plan takes hold; run the campaign again for a new witness",
            3,
        )
    if debugging and hits:
        sys.exit(debug(spec, root, db_root, found, violating))
    if debugging:
        click.echo("there is nothing to stop at")
    sys.exit(1 if hits else 0)


def _spec(name: str, found: Witness, given: bool) -> str:
    try:
        return catalogue.target_spec(name)
    except UsageError as error:
        if given:
            raise
        raise UsageError(f"the witness names a target that is not installed; give --target. {error}") from error


def _compare(trace: Trace, found: Witness, moved: dict[str, str], others: dict[str, str]) -> None:
    """What did not take place as it did when the witness was found. In `moved` what leaves the plan unplayed, in
    `others` what a fix may well bring about: a request refused, a wrong identity turned away."""
    for fault in trace.faults:
        others[f"{fault.kind}: {fault.message}"] = fault.where
    for index, deviation in enumerate(found.plan.tape):
        if index not in trace.deviations:
            where = f" at {deviation.site}" if deviation.site else ""
            moved[f"the schedule's {deviation.kind} of {deviation.lineage}{where} met nothing"] = ""
    for record in trace.steps:
        if record.outcome != "ok":
            expected = record.outcome == "refused" or record.wrong or record.crossed
            said = f"step {record.index} ({record.entry} {record.action}) {record.outcome}"
            (others if expected else moved)[said] = record.detail
