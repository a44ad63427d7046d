"""The promises of the top folder: CI runs the README's test command, entry points lead somewhere, data files ship."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from harness import plugin
from harness.cli import main
from harness.rules import registry
from reports import words

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
POINTS = [value for group in PROJECT["entry-points"].values() for value in group.values()]


def test_ci_runs_exactly_the_readme_test_command() -> None:
    commands = re.findall(r"^    (pip install .*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_a_test_that_hangs_is_stopped(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 600
    assert any(need.startswith("pytest-timeout") for need in PROJECT["optional-dependencies"]["test"])


def test_ci_script_is_sound_shell() -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


@pytest.mark.parametrize("point", [*POINTS, *PROJECT["scripts"].values()])
def test_every_entry_point_leads_somewhere(point: str) -> None:
    module, _, name = point.partition(":")
    found = importlib.import_module(module)
    assert not name or callable(getattr(found, name))


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_commands_and_options_in_the_documents_exist() -> None:
    commands = main.commands
    known = {option for c in commands.values() for option in options(c)} | {f"--{name}" for name in plugin.OPTIONS}
    others = {"--lf", "--dist", "--depth"}  # pytest's own, pytest-xdist's, git's
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"(?:`|^ +(?:- )*)isolation ([a-z]+)", text, re.MULTILINE):
            assert name in commands, f"{page.name}: isolation {name}"
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
        assert named <= known | others, f"{page.name}: {named - known - others}"


def options(command: click.Command) -> set[str]:
    """Long options of a command and of those below it."""
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*(options(child) for child in below))


def test_modules_named_by_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:harness|fixtures|scenarios|reports)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_rule_is_explained_and_in_the_report_s_words() -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| ([a-z]+-[a-z]+) \|", text, re.MULTILINE) == list(registry())
    assert set(registry()) <= set(words.RULES)
