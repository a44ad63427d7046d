"""`isolation items`, `targets`, `inventory`, `overlays` and `bench`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli_support import isolation
from tests.cli_target import SPEC

TARGET = ("--target", SPEC)


def test_items_show_their_cells_and_whether_the_bot_has_them() -> None:
    done = isolation("items", *TARGET)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["wire-apart", "saas"]
    assert lines[1].split() == ["outbound", "api", "T", "apart"]
    assert [line.split()[0] for line in lines if line.endswith("(not in this bot)")] == ["elsewhere"]


def test_targets_lists_the_embedded_bot() -> None:
    done = isolation("targets")
    assert "fixtures.targets.reference:ReferenceTarget" in done.stdout


def test_inventory_lists_what_was_reached_and_who_claims_it() -> None:
    done = isolation("inventory", *TARGET)
    assert done.exit_code == 0, done.output
    wire = next(line.split() for line in done.stdout.splitlines() if line.startswith("outbound  wire"))
    assert wire[2] == "api"
    assert wire[-1] == "wire-apart"
    bare = isolation("inventory", *TARGET, "--unclaimed")
    assert "wire-apart" not in bare.stdout


def test_overlays_are_listed_without_a_run() -> None:
    done = isolation("overlays", *TARGET, "--list")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["fault", "last-text"], ["fault", "nothing"]]


def test_a_killed_overlay_exits_0_and_leaves_its_witness(tmp_path: Path) -> None:
    done = isolation("overlays", *TARGET, "--only", "last-*", "--plans", "2", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "1 of 1 overlays as they should be" in done.stdout
    assert json.loads((tmp_path / "kills" / "last-text.json").read_text())["plan"]["overlays"] == ["last-text"]
    again = isolation("replay", tmp_path, *TARGET)
    assert again.exit_code == 1, again.output


def test_the_report_of_overlays_says_how_hard_the_faults_were_to_find(tmp_path: Path) -> None:
    done = isolation("overlays", *TARGET, "--only", "last-*", "--plans", "0", "--seed", "3", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    sound = json.loads((tmp_path / "report.json").read_text())["soundness"]
    (made,) = sound["overlays"]
    size = f"{made['plans']} plans, {made['steps']} steps, {made['deviations']} deviations"
    assert made["plans"] >= 1 and sound["hardest"] == ["last-text"]
    assert f"hardest: last-text ({size})" in done.stdout
    assert f"medians: {made['plans']} plans until found, {made['steps']} steps" in done.stdout
    assert "the hardest: last-text" in (tmp_path / "report.html").read_text()
    assert "tried 1 of 2 overlays, seed 3" in done.stdout


def test_only_one_kind_of_overlays_is_tried() -> None:
    done = isolation("overlays", *TARGET, "--kind", "control", "--plans", "0")
    assert done.exit_code == 0, done.output
    assert "0 of 0 overlays as they should be" in done.stdout
    assert "tried 0 of 2 overlays, seed 0" in done.stdout and "no finding (95 % bound" in done.stdout


def test_a_fault_that_only_a_found_call_shows_is_killed(tmp_path: Path) -> None:
    target = ("--target", "tests.cli_target:ExposingTarget")
    done = isolation("overlays", *target, "--only", "recall-all", "--plans", "2", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    steps = json.loads((tmp_path / "kills" / "recall-all.json").read_text())["plan"]["steps"]
    assert ("plugin", "exposed_functions.recall") in {(step["entry"], step["action"]) for step in steps}


def test_a_missed_overlay_exits_3() -> None:
    done = isolation("overlays", *TARGET, "--only", "nothing", "--plans", "2")
    assert done.exit_code == 3
    assert done.stdout.split()[:3] == ["MISSED", "fault", "nothing"]


def test_bench_says_its_figures_to_people_and_machines(tmp_path: Path) -> None:
    done = isolation("bench", *TARGET, "--plans", "2", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "bench.json").read_text())
    assert f"without, ratio {figures['drawn_overhead_ratio']:.2f}" in done.stdout
    assert figures["fork_ms"] > 0
