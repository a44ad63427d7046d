"""`isolation run` as a user meets it: reports, exit statuses, what a baseline accepts, what goes to which stream."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import Result

from harness import reporting
from harness.profiles import PROFILES
from tests.cli_support import FAST, LEAK, isolation, report_of
from tests.cli_target import SPEC, QuietTarget


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("cli") / "leaking"
    return isolation("run", *FAST, *LEAK, "--out", out), out


def test_nothing_open_exits_0_and_writes_every_format(tmp_path: Path) -> None:
    done = isolation("run", *FAST, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert {path.suffix for path in (tmp_path / "out").iterdir() if path.is_file()} == {
        ".json",
        ".html",
        ".md",
        ".sarif",
        ".xml",
    }
    assert report_of(tmp_path / "out")["items"][0]["verdict"] == "closed"


def test_a_leak_exits_1_and_says_where(leaking: tuple[Result, Path]) -> None:
    done, out = leaking
    assert done.exit_code == 1, done.output
    assert done.stdout.startswith("OPEN  Isolation is broken")
    assert "tiny_target.py" in done.stdout
    assert len(list((out / "witnesses").iterdir())) == len(report_of(out)["findings"]) == 1


def test_the_command_in_the_report_replays_the_witness(leaking: tuple[Result, Path]) -> None:
    _, out = leaking
    finding = report_of(out)["findings"][0]
    words = finding["replay"].split()
    assert words[0] == "isolation"
    done = isolation(*words[1:])
    assert done.exit_code == 1
    assert f"{finding['fingerprint']} {finding['rule']}: shown in 1 of 1 replays" in done.stdout


def test_the_report_shows_the_code_of_the_finding(leaking: tuple[Result, Path]) -> None:
    code = report_of(leaking[1])["findings"][0]["site"]["code"]
    assert "self.watch.outbound" in next(line["text"] for line in code if line["hit"])


def test_a_replay_hint_stands_in_the_report(tmp_path: Path) -> None:
    isolation("run", *FAST, *LEAK, "--out", tmp_path, "--replay-hint", "make replay W={witness}", "--format", "json")
    finding = report_of(tmp_path)["findings"][0]
    assert finding["replay"] == f"make replay W=witnesses/{finding['fingerprint']}.json"


def test_a_piped_run_shows_no_progress_and_no_colour(leaking: tuple[Result, Path]) -> None:
    assert "\x1b" not in leaking[0].output
    assert leaking[0].stderr == ""


def test_a_terminal_gets_progress_and_colour(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "harness", "run", *FAST, "--out", str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=env)
    os.close(slave)
    shown = bytearray()
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:  # the other side has closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(master)
    assert process.wait() == 0
    text = shown.decode()
    assert "booting tests.cli_target:QuietTarget" in text
    assert re.search(r"\x1b\[1;3\dm\w+  ", text)


def test_only_the_formats_asked_for_are_written(tmp_path: Path) -> None:
    isolation("run", *FAST, "--out", tmp_path, "--format", "sarif", "--format", "json")
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.sarif"}


def test_witnesses_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    stale = tmp_path / "witnesses" / "0123456789abcdef.json"
    mine = tmp_path / "witnesses" / "notes.json"
    stale.parent.mkdir()
    stale.write_text("{}")
    mine.write_text("{}")
    isolation("run", *FAST, "--out", tmp_path)
    assert not stale.exists()
    assert mine.exists()


def test_a_redacted_run_writes_nothing_secret(tmp_path: Path) -> None:
    plain, clean = tmp_path / "plain", tmp_path / "clean"
    isolation("run", *FAST, *LEAK, "--out", plain)
    done = isolation("run", *FAST, *LEAK, "--out", clean, "--redact")
    assert done.exit_code == 1
    assert not (clean / "witnesses").exists()
    witness = next((plain / "witnesses").iterdir())
    plan = json.dumps(json.loads(witness.read_text())["plan"])
    secrets = {s for s in reporting.secrets_of(QuietTarget(), [plan.encode()]) if len(s) > 3}
    assert secrets
    written = "".join(path.read_text() for path in clean.iterdir())
    assert not [secret for secret in secrets if secret in written or secret in done.output]
    assert report_of(clean)["redacted"] is True


def test_a_selection_decides_its_items_only(tmp_path: Path) -> None:
    done = isolation("run", *FAST, *LEAK, "--items", "never-*", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert [item["id"] for item in report_of(tmp_path)["items"]] == ["never-reached"]
    assert re.search(r"\d findings? belongs? to other items", done.stdout)
    assert "items matching never-*" in report_of(tmp_path)["run"]["environment"]["selection"]


def test_changed_decides_the_items_that_a_change_may_concern(tmp_path: Path) -> None:
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    for name in ("tests/tiny_target.py", "tests/nowhere.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "one")):
        subprocess.run(["git", "-C", str(checkout), *words], check=True, capture_output=True)
    since = ("--root", checkout, "--changed", "HEAD", "--out", out)
    nothing = isolation("run", *FAST, *since)
    assert nothing.exit_code == 0
    assert "nothing was run and no report was written" in nothing.stdout
    assert not out.exists()
    (checkout / "tests" / "tiny_target.py").write_text("x = 1\n")
    one = isolation("run", *FAST, *LEAK, *since)
    assert one.exit_code == 1, one.output
    assert "wire-apart: tests/tiny_target.py changed" in one.stdout
    assert [item["id"] for item in report_of(out)["items"]] == ["wire-apart"]
    assert "since HEAD" in report_of(out)["run"]["environment"]["selection"]


def test_baseline_accepts_by_name_until_a_date(leaking: tuple[Result, Path], tmp_path: Path) -> None:
    fingerprint = report_of(leaking[1])["findings"][0]["fingerprint"]
    file = tmp_path / "baseline.toml"

    def waive(until: str) -> Result:
        file.write_text(
            f'[[waiver]]\nfingerprint = "{fingerprint}"\nowner = "alice"\nreason = "known"\nuntil = {until}\n'
        )
        return isolation("run", *FAST, *LEAK, "--baseline", file, "--out", tmp_path / "out")

    accepted = waive("2999-01-01")
    assert accepted.exit_code == 0, accepted.output
    assert "passes under --fail-on new" in accepted.stdout
    item = report_of(tmp_path / "out")["items"][0]
    assert (item["verdict"], item["waiver"]["owner"]) == ("waived", "alice")
    expired = waive("2001-01-01")
    assert expired.exit_code == 1
    assert f"waiver of {fingerprint} by alice ended on 2001-01-01" in expired.stdout
    file.write_text('[[waiver]]\nitem = "wire-apart"\nowner = "alice"\nreason = "known"\nuntil = 2999-01-01\n')
    strict = isolation("run", *FAST, *LEAK, "--baseline", file, "--fail-on", "open", "--out", tmp_path / "out")
    assert strict.exit_code == 1
    assert f"({fingerprint})" in strict.stdout


def test_fail_on_uncovered_names_what_was_not_shown(tmp_path: Path) -> None:
    done = isolation("run", *FAST, "--fail-on", "uncovered", "--out", tmp_path)
    assert done.exit_code == 1
    assert "not exercised: item never-reached: row on timer: never reached" in done.stdout


def test_a_blind_probe_exits_3(tmp_path: Path) -> None:
    done = isolation("run", "--target", "tests.cli_target:BlindTarget", "--plans", "1", "--out", tmp_path)
    assert done.exit_code == 3
    assert "blind probe(s): prompt" in done.stderr


def test_an_unsound_report_exits_3_whatever_it_says_besides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A missed overlay: `nothing` is declared a fault and changes nothing.
    monkeypatch.setitem(PROFILES, "quick", msgspec.structs.replace(PROFILES["quick"], overlays=True))
    done = isolation("run", *FAST, "--out", tmp_path)
    assert report_of(tmp_path)["verdict"]["state"] == "unsound"
    assert done.exit_code == 3
    assert "cannot vouch" in done.stderr


def test_ctrl_c_writes_what_was_found_and_exits_130(tmp_path: Path) -> None:
    status, errors = interrupt(tmp_path, ())
    assert status == 130
    assert "the report holds what was found so far" in errors
    assert report_of(tmp_path)["run"]["interrupted"] is True


def test_ctrl_c_with_something_open_exits_1(tmp_path: Path) -> None:
    status, _ = interrupt(tmp_path, LEAK)
    assert status == 1
    assert report_of(tmp_path)["findings"]
    assert list((tmp_path / "witnesses").iterdir())


def test_ctrl_c_during_boot_exits_130_and_writes_nothing(tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.cli_run.Pool", refuse)
        done = isolation("run", *FAST, "--out", tmp_path)
    assert done.exit_code == 130
    assert "interrupted; nothing more is written" in done.stderr


def test_a_second_ctrl_c_quits_at_once(tmp_path: Path) -> None:
    def twice(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        _until(process, "Ctrl-C again quits at once")
        process.send_signal(signal.SIGINT)

    command = interruptible(tmp_path, "spinning", ())
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    _until(process, "PLAYED")
    twice(process)
    assert process.wait(30) == 130
    assert not (tmp_path / "report.json").exists()


def interrupt(out: Path, extra: tuple[str, ...]) -> tuple[int, str]:
    """A long run that gets one Ctrl-C once plans are being played: its exit status and what it said."""
    process = subprocess.Popen(
        interruptible(out, "steady", extra), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    _until(process, "PLAYED")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def interruptible(out: Path, how: str, extra: tuple[str, ...]) -> list[str]:
    """A run that says PLAYED after a few plans; ``spinning`` then hangs in the middle of talking to the zygote."""
    driver = f"""
import sys, harness.cli_common as common
from harness.cli import main
count = 0
former = common.Ticker.__call__
def tick(self, progress):
    global count
    count += progress.phase == "plans"
    if count == 6:
        print("PLAYED", file=sys.stderr, flush=True)
        if {how!r} == "spinning":
            import threading
            threading.Event().wait()
    former(self, progress)
common.Ticker.__call__ = tick
main(sys.argv[1:])
"""
    arguments = ["run", "--target", SPEC, "--plans", "400", "--jobs", "1", "--out", str(out), *extra]
    return [sys.executable, "-c", driver, *arguments]


def _until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"the process ended without saying {text!r}")


def test_overlays_are_named_by_a_glob_too(tmp_path: Path) -> None:
    done = isolation("run", *FAST, "--overlay", "noth*", "--overlay", "nothing", "--out", tmp_path / "out")
    assert report_of(tmp_path / "out")["run"]["overlays"] == ["nothing"]
    assert done.exit_code == 0
