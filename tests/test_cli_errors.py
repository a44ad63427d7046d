"""What a user gets wrong: one clear message on standard error, exit status 2, nothing run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from tests.cli_support import isolation, write_sample, write_witness
from tests.cli_target import SPEC

WRONG = {
    "run --target nope": "no target is called 'nope'; installed: ",
    "run --target no.such:Bot": "target 'no.such:Bot' cannot be imported",
    f"run --target {SPEC} --overlay nope": "has no overlay 'nope'; `isolation overlays --list",
    f"run --target {SPEC} --items nope": "no risk item matches 'nope'; `isolation items` lists the ids",
    f"run --target {SPEC} --format nope": "no report format is called 'nope'; installed: html, json",
    f"run --target {SPEC} --baseline nope.toml": "baseline nope.toml does not exist; `isolation baseline update`",
    f"run --target {SPEC} --out /proc/nope": "report folder /proc/nope cannot be written",
    f"run --target {SPEC} --root /nope --changed HEAD": "/nope is no folder; give --root",
    f"run --target {SPEC} --root /nope": "no checkout at /nope; give --root",
    "run --root /nope": "the reference bot is embedded: leave out --root",
    "replay nope.json": "witness nope.json cannot be read: No such file or directory",
    "report nope": "nope cannot be read; give the folder that `isolation run --out` wrote",
    "diff nope nope": "nope cannot be read; give the folder",
    "baseline check nope": "nope cannot be read; give the folder",
    "items --items nope": "no risk item matches 'nope'",
    f"overlays --target {SPEC} --only nope": "no overlay of tests.cli_target:QuietTarget matches 'nope'",
    "bench --target nope": "no target is called 'nope'",
    "inventory --target nope": "no target is called 'nope'",
}
MISUSED = {
    "run --profile nope": "'nope' is not one of 'quick', 'ci', 'nightly'",
    "run --plans -1": "is not in the range",
    "run --fail-on nope": "'nope' is not one of 'new', 'open', 'uncovered'",
    "replay": "Missing argument 'WITNESS...'",
    "baseline update x": "Missing option '--owner'",
    "nope": "No such command 'nope'",
}


@pytest.mark.parametrize("line", WRONG)
def test_each_mistake_is_said_once_and_exits_2(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = isolation(*line.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("isolation: ")
    assert WRONG[line] in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


@pytest.mark.parametrize("line", MISUSED)
def test_misused_options_exit_2_with_usage(line: str) -> None:
    done = isolation(*line.split())
    assert done.exit_code == 2
    assert MISUSED[line] in done.stderr
    assert "--help" in done.stderr


def test_a_corrupt_witness_or_report_names_the_place(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"fingerprint": 3}')
    for arguments, said in (
        (("replay", bad), f"witness {bad} is corrupt: "),
        (("report", bad), f"{bad} is no isolation-report/1 report: "),
    ):
        done = isolation(*arguments)
        assert done.exit_code == 2
        assert said in done.stderr


def test_a_reader_that_leaves_early_is_no_finding() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "harness", "items"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_witness_of_another_schema_or_target_is_refused(tmp_path: Path) -> None:
    newer = isolation("replay", write_witness(tmp_path, schema="isolation-witness/9"))
    assert newer.exit_code == 2
    assert "has schema 'isolation-witness/9'; this harness reads isolation-witness/1" in newer.stderr
    foreign = isolation("replay", write_witness(tmp_path))
    assert foreign.exit_code == 2
    assert "names a target that is not installed; give --target" in foreign.stderr


def test_an_unknown_format_of_an_existing_report_is_refused(tmp_path: Path) -> None:
    done = isolation("report", write_sample(tmp_path), "--format", "pdf")
    assert done.exit_code == 2
    assert "no report format is called 'pdf'" in done.stderr


def commands(group: object = main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_help_teaches_with_an_example(path: tuple[str, ...]) -> None:
    done = isolation(*path, "--help")
    assert done.exit_code == 0
    _, _, shown = done.stdout.partition("Examples:")
    assert any(line.strip().startswith(" ".join(("isolation", *path))) for line in shown.splitlines())
