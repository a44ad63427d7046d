"""`isolation report`, `diff` and `baseline` on finished runs: what they write, say and exit with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from tests.cli_support import isolation, report_of, write_sample
from tests.sample_record import CANARY, make_finding, make_item, make_record


def with_findings(folder: Path, *numbers: int, **run: object) -> Path:
    findings = [make_finding(number) for number in numbers]
    items = (make_item(0, "open", tuple(f.fingerprint for f in findings)),) if findings else (make_item(0, "closed"),)
    record = make_record(leaks=0, items=items, findings=tuple(findings))
    info = msgspec.structs.replace(record.run, **{"overlays": (), "interrupted": False, **run})  # type: ignore[arg-type]
    return write_sample(folder, msgspec.structs.replace(record, run=info))


def test_a_report_is_written_again_with_the_same_bytes(tmp_path: Path) -> None:
    first = write_sample(tmp_path / "first")
    done = isolation("report", first, "--out", tmp_path / "again")
    assert done.exit_code == 0
    names = {path.name for path in first.iterdir()}
    assert len(names) == 5
    assert {path.name for path in (tmp_path / "again").iterdir()} == names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (first / name).read_bytes()


def test_redacting_leaves_the_full_report_where_it_was(tmp_path: Path) -> None:
    full = write_sample(tmp_path)
    done = isolation("report", full, "--redact", "--format", "json", "--format", "html")
    assert done.exit_code == 0
    assert CANARY in (full / "report.json").read_text()
    written = {path.name: path.read_text() for path in (full / "redacted").iterdir()}
    assert sorted(written) == ["report.html", "report.json"]
    assert not [name for name, text in written.items() if CANARY in text]


def test_diff_exits_1_on_a_new_finding_and_0_on_a_fix(tmp_path: Path) -> None:
    old, new = with_findings(tmp_path / "old", 0), with_findings(tmp_path / "new", 0, 1)
    worse = isolation("diff", old, new)
    assert worse.exit_code == 1
    assert worse.stdout.startswith("WORSE  1 new, 0 fixed, 1 still open")
    better = isolation("diff", new, old)
    assert better.exit_code == 0
    assert better.stdout.startswith("OK  0 new, 1 fixed, 1 still open")


def test_update_accepts_a_run_and_check_then_passes(tmp_path: Path) -> None:
    run, file = with_findings(tmp_path / "run", 0, 1), tmp_path / "accepted.toml"
    update = ("baseline", "update", run, "--baseline", file, "--owner", "alice", "--reason", "known")
    done = isolation(*update, "--until", "2999-12-31")
    assert done.exit_code == 0, done.output
    assert "2 accepted (2 added, 0 dropped)" in done.stdout
    waivers = tomllib.loads(file.read_text())["waiver"]
    assert {waiver["fingerprint"] for waiver in waivers} == {f["fingerprint"] for f in report_of(run)["findings"]}
    check = isolation("baseline", "check", run, "--baseline", file)
    assert check.exit_code == 0
    assert check.stdout.count("active ") == 2
    assert "passes under --fail-on new" in check.stdout
    assert isolation("baseline", "check", run, "--baseline", file, "--fail-on", "open").exit_code == 1


def test_check_names_what_is_open_expired_unknown_and_unneeded(tmp_path: Path) -> None:
    run, file = with_findings(tmp_path / "run", 0, 1), tmp_path / "accepted.toml"
    first, second = (f["fingerprint"] for f in report_of(run)["findings"])
    file.write_text(
        "".join(
            f'[[waiver]]\n{subject}\nowner = "alice"\nreason = "known"\nuntil = {until}\n'
            for subject, until in (
                (f'fingerprint = "{first}"', "2001-01-01"),
                ('fingerprint = "ffffffffffffffff"', "2999-01-01"),
                ('item = "no-such-item"', "2999-01-01"),
            )
        )
    )
    done = isolation("baseline", "check", run, "--baseline", file)
    assert done.exit_code == 1
    states = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[:3]}
    assert states == {first: "expired", "ffffffffffffffff": "unneeded", "no-such-item": "unknown"}
    assert f"waiver of {first} by alice ended on 2001-01-01" in done.stdout
    assert f"({second})" in done.stdout


def test_update_renews_drops_and_keeps(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    arguments = ("--baseline", file, "--owner", "bob", "--reason", "later", "--until", "2999-12-31")
    isolation("baseline", "update", with_findings(tmp_path / "one", 0, 1), *arguments)
    done = isolation("baseline", "update", with_findings(tmp_path / "two", 1, 2), *arguments)
    assert "2 accepted (1 added, 1 dropped)" in done.stdout


def test_update_from_a_part_of_the_map_drops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    arguments = ("--baseline", file, "--owner", "bob", "--reason", "later", "--until", "2999-12-31")
    isolation("baseline", "update", with_findings(tmp_path / "one", 0), *arguments)
    part = with_findings(tmp_path / "part", 1, environment={"selection": "items matching x"})
    done = isolation("baseline", "update", part, *arguments)
    assert "2 accepted (1 added, 0 dropped)" in done.stdout
    assert "entries it could not judge were kept" in done.stdout
    check = isolation("baseline", "check", part, "--baseline", file)
    assert "unneeded" not in check.stdout


def test_what_an_overlay_planted_is_not_accepted(tmp_path: Path) -> None:
    run = with_findings(tmp_path / "run", 0, overlays=("fault-x",))
    done = isolation("baseline", "update", run, "--baseline", tmp_path / "b.toml", "--owner", "a", "--reason", "b")
    assert done.exit_code == 2
    assert "had overlays (fault-x)" in done.stderr
    assert not (tmp_path / "b.toml").exists()


def test_a_date_that_has_passed_is_refused(tmp_path: Path) -> None:
    run = with_findings(tmp_path / "run", 0)
    arguments = ("--baseline", tmp_path / "b.toml", "--owner", "a", "--reason", "b", "--until", "2001-01-01")
    done = isolation("baseline", "update", run, *arguments)
    assert done.exit_code == 2
    assert "--until 2001-01-01 has passed" in done.stderr


def test_what_a_run_waived_is_open_again_for_another_baseline(tmp_path: Path) -> None:
    record = make_record(
        leaks=0, items=(make_item(0, "waived", (make_finding(0).fingerprint,)),), findings=(make_finding(0),)
    )
    clean = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, overlays=()))
    run, empty = write_sample(tmp_path / "run", clean), tmp_path / "empty.toml"
    empty.write_text("")
    assert isolation("baseline", "check", run, "--baseline", empty).exit_code == 1
