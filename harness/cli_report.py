"""`isolation report`, `diff` and `baseline`: what is done with a finished run. None of them touches a bot."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any, cast

import click

from harness import baseline as waiving
from harness import reporting
from harness.baseline import FailOn
from harness.cli_common import PATH, examples
from harness.cli_run import FAIL_ON, list_reasons
from harness.errors import UsageError

BASELINE = Path("isolation-baseline.toml")
NINETY_DAYS = datetime.timedelta(days=90)


@click.command(
    short_help="Write a report in other formats.",
    epilog=examples("""
isolation report isolation-report --format html
isolation report isolation-report --redact --out public
"""),
)
@click.argument("folder", type=PATH)
@click.option("--format", "formats", multiple=True, help="Only this format (repeat; default: all installed).")
@click.option("--redact", is_flag=True, help="Leave payloads, keys, credentials, code and witnesses out.")
@click.option("--out", type=PATH, help="Where to write (default: FOLDER, or FOLDER/redacted with --redact).")
def report(folder: Path, formats: tuple[str, ...], redact: bool, out: Path | None) -> None:
    """Write a run's report again from the report.json in FOLDER, in other formats or fit for publication."""
    made = reporting.load(folder)
    reporting.check_formats(formats)
    if redact:
        made = reporting.redact(made)
    place = folder if folder.is_dir() else folder.parent
    # Redacting in place would throw the only full report away.
    where = out or (place / "redacted" if redact else place)
    reporting.write(made, where, formats)
    click.echo(f"report: {where}")


@click.command(
    short_help="Compare two reports.",
    epilog=examples("""
isolation diff yesterday today
"""),
)
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def diff(old: Path, new: Path) -> None:
    """Compare the runs in two report folders: new, fixed and open findings, lost coverage.

    Exit status: 1 the new run is worse (a new finding, or an item that was closed and is not shown now), 0 it is not.
    """
    change = reporting.diff(reporting.load(old), reporting.load(new))
    click.echo(change.text(), nl=False)
    sys.exit(1 if change.regressed else 0)


@click.group(
    short_help="Accept leaks by name, for a time.",
    epilog=examples("""
isolation baseline update isolation-report --owner alice --reason 'known, being fixed'
isolation run --baseline isolation-baseline.toml
"""),
)
def baseline() -> None:
    """Leaks accepted by name: who owns them, why, until when. A reviewed TOML file."""


def _file_option(command: Any) -> Any:
    return click.option(
        "--baseline", "file", type=PATH, default=BASELINE, show_default=True, help="The baseline file."
    )(command)


@baseline.command(
    epilog=examples("""
isolation baseline update isolation-report --owner alice --reason 'before the store moves' --until 2027-03-31
""")
)
@click.argument("folder", type=PATH)
@_file_option
@click.option("--owner", required=True, help="Who answers for what is newly accepted.")
@click.option("--reason", required=True, help="Why it is accepted for now.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last day on which it is accepted (default: 90 days from today).",
)
def update(folder: Path, file: Path, owner: str, reason: str, until: datetime.datetime | None) -> None:
    """Accept the run in FOLDER as it is: add what is open, renew what expired, drop what is no longer needed.

    Entries that still hold stay as they were reviewed.
    """
    made = reporting.load(folder)
    if made["run"]["overlays"]:
        names = ", ".join(made["run"]["overlays"])
        raise UsageError(
            f"the run in {folder} had overlays ({names}): what they plant is not the bot's state to accept"
        )
    today = datetime.date.today()
    record = reporting.record_of(made)
    former = waiving.load(file) if file.exists() else ()
    day = until.date() if until else today + NINETY_DAYS
    waivers = list(waiving.update(record, former, owner, reason, day, today))
    if _partial(made):
        # What was not looked at may still be open.
        kept = {waiver.subject for waiver in waivers}
        waivers += [waiver for waiver in former if waiver.subject not in kept]
    try:
        waiving.save(file, waivers)
    except OSError as error:
        raise UsageError(f"baseline {file} cannot be written: {error.strerror}") from error
    before, now = {w.subject for w in former}, {w.subject for w in waivers}
    click.echo(
        f"{file}: {len(waivers)} accepted ({len(now - before)} added, {len(before - now)} dropped); "
        "review it and commit it"
    )
    if _partial(made):
        click.echo("the run decided a part of the risk map only; entries it could not judge were kept")


@baseline.command(
    epilog=examples("""
isolation baseline check isolation-report --fail-on open
""")
)
@click.argument("folder", type=PATH)
@_file_option
@click.option(
    "--fail-on", type=click.Choice(FAIL_ON), default="new", show_default=True, help="As with `isolation run`."
)
def check(folder: Path, file: Path, fail_on: str) -> None:
    """Hold the run in FOLDER against a baseline: what is accepted, expired, unknown or no longer needed, what is open.

    Exit status: 1 something is open beyond the baseline, 0 nothing is.
    """
    made = reporting.load(folder)
    applied = waiving.apply(reporting.record_of(made), waiving.load(file), datetime.date.today())
    for judged in applied.waivers:
        if _partial(made) and judged.state in ("unknown", "unneeded"):
            continue
        waiver = judged.waiver
        click.echo(f"{judged.state:9} {waiver.subject:44} {waiver.owner}: {waiver.reason} ({judged.why})")
    reasons = waiving.reasons_to_fail(applied, cast(FailOn, fail_on))
    list_reasons(reasons, fail_on)
    sys.exit(1 if reasons else 0)


def _partial(made: dict[str, Any]) -> bool:
    return bool(made["run"]["interrupted"] or made["run"]["environment"].get(reporting.SELECTION))
