"""What continuous integration runs fails when any part of it fails, and says what it leaves out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

PYTHON = """#!/bin/sh
# Stands for an interpreter that makes environments in which pip and pytest end as the test wants.
[ "$1 $2" = "-m venv" ] || exit 0
mkdir -p "$3/bin"
printf 'deactivate() { :; }\\nPATH="%s/bin:$PATH"\\n' "$3" > "$3/bin/activate"
printf '#!/bin/sh\\nexit %s\\n' "$PIP" > "$3/bin/pip"
printf '#!/bin/sh\\nexit %s\\n' "$PYTEST" > "$3/bin/pytest"
chmod +x "$3/bin/pip" "$3/bin/pytest"
"""


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("pip", "tests", "lane", "status", "lane_runs"),
    [(0, 0, 0, 0, True), (0, 0, 1, 1, True), (0, 1, 0, 1, False), (3, 0, 0, 3, False)],
)
def test_a_run_fails_with_its_first_part_that_fails(
    tmp_path: Path, pip: int, tests: int, lane: int, status: int, lane_runs: bool
) -> None:
    executable(tmp_path / "python", PYTHON)
    executable(tmp_path / ".ci" / "run", (PROJECT / ".ci" / "run").read_text("utf-8"))
    executable(tmp_path / ".ci" / "maibot", f"#!/bin/sh\necho the lane\nexit {lane}\n")
    told = {"PIP": str(pip), "PYTEST": str(tests), "PYTHON": str(tmp_path / "python"), "CI_VENV": str(tmp_path / "v")}
    done = subprocess.run(
        [tmp_path / ".ci" / "run"], env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert ("the lane" in done.stdout) is lane_runs


def test_the_lane_says_in_one_line_that_it_is_skipped_where_no_python_is_new_enough(tmp_path: Path) -> None:
    for tool in ("bash", "dirname"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    done = subprocess.run(
        [str(tmp_path / "bash"), str(PROJECT / ".ci" / "maibot")],
        env={"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("maibot lane skipped: no Python >= 3.12")
    assert done.stdout.count("\n") == 1
