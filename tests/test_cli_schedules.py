"""`isolation overlays --schedules` hunts for faults of order and says which kind of schedule needs how much."""

from __future__ import annotations

import json
from pathlib import Path

from harness import witness
from harness.campaign import Campaign
from harness.pool import Pool
from harness.profiles import Profile
from harness.riskmap import load
from tests.cli_support import isolation
from tests.cli_target import RacyTarget

TARGET = ("--target", "tests.cli_target:RacyTarget")
HUNT = ("overlays", *TARGET, "--seeds", "2", "--within", "30")


def test_a_fault_of_order_is_found_under_each_kind_of_schedule() -> None:
    done = isolation(*HUNT, "--only", "order-latest", "--schedules", "uniform", "--schedules", "pct")
    assert done.exit_code == 0, done.output
    rows = [line.split()[:4] for line in done.stdout.splitlines()[:4]]
    assert rows == [["order-latest", how, "seed", seed] for seed in ("0", "1") for how in ("uniform", "pct")]
    assert all("canary-flow on wire" in line for line in done.stdout.splitlines()[:4])
    assert "uniform: 2 of 2 hunts; 1 of 1 faults with every seed; median" in done.stdout


def test_the_table_is_written_as_json(tmp_path: Path) -> None:
    how = ("--schedules", "uniform", "--schedules", "directed")
    done = isolation(*HUNT, "--only", "order-latest", *how, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    table = json.loads((tmp_path / "schedules.json").read_text())
    rows = [(row["fault"], row["schedule"], row["seed"], row["found"]) for row in table["hunts"]]
    assert rows == [("order-latest", name, seed, True) for seed in (0, 1) for name in ("uniform", "directed")]
    small, as_played = table["hunts"][0], table["hunts"][2]
    assert small["steps"] == 2 and small["deviations"] == len(small["witness"]["tape"])
    assert "witness" not in as_played and as_played["plans"] <= 30
    assert [line.split(";")[0] for line in table["summary"]] == ["uniform: 2 of 2 hunts", "directed: 2 of 2 hunts"]


def test_seeds_are_counted_from_the_one_that_is_given(tmp_path: Path) -> None:
    done = isolation(*HUNT, "--only", "order-latest", "--schedules", "uniform", "--seed", "3", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert [row["seed"] for row in json.loads((tmp_path / "schedules.json").read_text())["hunts"]] == [3, 4]


def test_a_fault_that_is_not_found_is_said_and_exits_3() -> None:
    done = isolation(*HUNT, "--only", "order-none", "--schedules", "uniform")
    assert done.exit_code == 3
    assert "order-none" in done.stdout and "not found in 30 plans" in done.stdout
    assert "0 of 2 hunts; 0 of 1 faults with every seed" in done.stdout


def test_asking_for_schedules_where_there_is_no_fault_of_order_is_an_error() -> None:
    done = isolation("overlays", "--target", "tests.cli_target:QuietTarget", "--schedules", "pct")
    assert done.exit_code == 2
    assert "no overlay of tests.cli_target:QuietTarget that matches '*' is a fault of order" in done.stderr


def test_overlays_try_faults_of_order_with_all_the_others(tmp_path: Path) -> None:
    done = isolation("overlays", *TARGET, "--only", "order-latest", "--plans", "0", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    plan = witness.load(tmp_path / "kills" / "order-latest.json").plan
    assert {step.who for step in plan.steps} == {"A", "B"} and len(plan.steps) == 2
    assert plan.overlays == ("order-latest",)


def test_the_report_tells_what_was_explored() -> None:
    target = RacyTarget()
    with Pool("tests.cli_target:RacyTarget", jobs=1) as pool:
        profile = Profile(plans=30, seconds=60, replays=1, overlays=False)
        record = Campaign(pool, target, load(target.risk_map()), profile).run()
    said = record.run.environment["exploration"]
    assert "uniform" in said and "lineages" in said and "chance in one plan" in said
    assert record.findings == ()
