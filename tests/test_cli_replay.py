"""`isolation replay`: there or gone, told in words, stopped at in the debugger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from harness.plan import Deviation, Plan
from tests.cli_support import FOUND, isolation, leaking_plan, write_witness
from tests.cli_target import SPEC

TARGET = ("--target", SPEC)


def plan(**changes: object) -> Plan:
    return msgspec.structs.replace(leaking_plan(), **changes)  # type: ignore[arg-type]


def test_a_finding_that_is_there_exits_1_every_time(tmp_path: Path) -> None:
    done = isolation("replay", write_witness(tmp_path), *TARGET, "--times", "3")
    assert done.exit_code == 1, done.output
    assert f"{FOUND.fingerprint} canary-flow: shown in 3 of 3 replays" in done.stdout


def test_a_finding_that_is_gone_exits_0(tmp_path: Path) -> None:
    done = isolation("replay", write_witness(tmp_path, plan=plan(overlays=())), *TARGET)
    assert done.exit_code == 0, done.output
    assert "shown in 0 of 1 replays" in done.stdout


def test_what_moved_since_the_witness_was_found_is_said(tmp_path: Path) -> None:
    step = leaking_plan().steps[0]
    fails = msgspec.structs.replace(step, action="fail")
    tape = (Deviation(kind="delay", lineage="A.9", site="gone:away"),)
    changed = plan(overlays=(), steps=(fails,), tape=tape)
    done = isolation("replay", write_witness(tmp_path, plan=changed, target_version="older"), *TARGET)
    assert done.exit_code == 3, done.output
    assert "the witness does not reproduce, and not because it is fixed: step 0 (api fail) raised; " in done.stderr
    assert "the schedule's delay of A.9 at gone:away met nothing" in done.stderr
    assert "the witness was found on older, this is tiny" in done.stdout
    assert "instead: the schedule's delay of A.9 at gone:away met nothing" in done.stdout
    assert "instead: step 0 (api fail) raised  ValueError: no such thing" in done.stdout


def test_explain_tells_the_witness_in_words(tmp_path: Path) -> None:
    done = isolation("replay", write_witness(tmp_path), *TARGET, "--explain")
    lines = [line.split() for line in done.stdout.splitlines()[:-1]]
    assert [line[3] for line in lines if line[3] != "access"] == ["step", "step", "switch", "violation"]
    assert [line[2] for line in lines if line[3] == "step"] == ["A", "B"]


def debugged(folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "replay", str(write_witness(folder)), *TARGET, "--debug"]
    return subprocess.run(command, input=commands, capture_output=True, text=True, env={**os.environ}, check=False)


def test_debug_stops_in_the_bot_s_frame_at_the_violating_access(tmp_path: Path) -> None:
    done = debugged(tmp_path, "p who.label, action\nup\ndown\nn\np 'stepped'\nc\n")
    assert done.returncode == 1, done.stderr
    assert "write outbound wire" in done.stdout
    assert "tiny_target.py" in done.stdout
    assert "-> self.watch.outbound(" in done.stdout
    assert "'echo')" in done.stdout
    assert "'stepped'" in done.stdout
    assert done.stdout.rstrip().endswith("the plan has ended")


def test_quitting_the_debugger_ends_it_all(tmp_path: Path) -> None:
    done = debugged(tmp_path, "q\n")
    assert done.returncode == 1
    assert "the plan has ended" not in done.stdout
    assert done.stderr == ""


def test_there_is_nothing_to_debug_when_the_finding_is_gone(tmp_path: Path) -> None:
    done = isolation("replay", write_witness(tmp_path, plan=plan(overlays=())), *TARGET, "--debug")
    assert done.exit_code == 0
    assert "there is nothing to stop at" in done.stdout


def test_a_folder_of_witnesses_is_replayed_in_one_process_for_each_hash_seed(tmp_path: Path) -> None:
    write_witness(tmp_path / "witnesses")
    write_witness(tmp_path / "witnesses", fingerprint="f" * 16)
    done = isolation("replay", tmp_path, *TARGET, "--times", "4", "--hash-seeds", "3")
    assert done.exit_code == 1, done.output
    assert f"{FOUND.fingerprint} canary-flow: shown in 4 of 4 replays" in done.stdout
    assert "2 witnesses, 8 replays under 3 hash seeds: 8 took the same course" in done.stdout
    assert "1 of 2 findings were shown by every replay" in done.stdout


def test_an_empty_folder_is_refused_by_name(tmp_path: Path) -> None:
    done = isolation("replay", tmp_path, *TARGET)
    assert (done.exit_code, "there is no witness in" in done.stderr) == (2, True)


def test_witnesses_of_two_targets_are_not_replayed_together(tmp_path: Path) -> None:
    write_witness(tmp_path)
    write_witness(tmp_path, fingerprint="f" * 16, target="another")
    done = isolation("replay", tmp_path, *TARGET)
    assert (done.exit_code, "of several targets (another, tiny)" in done.stderr) == (2, True)


def test_replays_that_differ_exit_3_and_name_the_source(tmp_path: Path) -> None:
    spec = ("--target", "tests.unsteady_targets:NumberTarget")
    done = isolation("replay", write_witness(tmp_path, plan=plan(overlays=())), *spec, "--times", "2")
    assert done.exit_code == 3, done.output
    assert "is not deterministic: the source is process number: " in done.stderr
    assert "getpid() at unsteady_targets.py:" in done.stderr


def test_what_only_a_hash_seed_changes_is_found_with_several_of_them(tmp_path: Path) -> None:
    made, spec = write_witness(tmp_path, plan=plan(overlays=())), ("--target", "tests.unsteady_targets:HashTarget")
    assert isolation("replay", made, *spec, "--times", "2").exit_code == 0
    done = isolation("replay", made, *spec, "--times", "2", "--hash-seeds", "2")
    assert done.exit_code == 3, done.output
    assert "1 of 2 replays took another course than the first" in done.stdout
    assert "the source is hash order: the order of the set `self.words`" in done.stderr
