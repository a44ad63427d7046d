"""The command line. Thin: the commands live in ``cli_*`` modules; this names them and says what the whole is for."""

from __future__ import annotations

import click

import harness
from harness.cli_common import Group
from harness.cli_inventory import inventory
from harness.cli_list import bench, items, targets
from harness.cli_overlays import overlays
from harness.cli_replay import replay
from harness.cli_report import baseline, diff, report
from harness.cli_run import run

EPILOG = """\b
Exit status:
  0  nothing is open beyond the baseline
  1  something is open
  2  bad usage, or the target cannot boot (one message: what, where, what to do)
  3  the harness cannot vouch for the run: do not rely on its verdicts
  130  interrupted with nothing open so far; 141  nobody reads the output any more

\b
Examples:
  isolation run                                        the embedded bot, one minute
  isolation run --target NAME --root CHECKOUT --profile ci --out report
  isolation replay report/witnesses/0123456789abcdef.json --explain
  isolation baseline update report --owner alice --reason 'known, being fixed'
  isolation diff report-before report
"""


@click.group(
    cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(harness.__version__, prog_name="isolation")
def main() -> None:
    """Judge whether one tenant's data can reach another in a multi-tenant bot.

    Start with `isolation run`: it drives the embedded bot. `isolation targets` lists what else is installed.
    """


for command in (run, replay, report, diff, baseline, overlays, bench, items, targets, inventory):
    main.add_command(command)
