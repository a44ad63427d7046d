"""The pytest plugin: the same engine, one test for each risk item. Thin.

``pytest scenarios --target NAME [--root DIR] [--db-root DIR] [--isolation-profile quick]``
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import catalogue, riskmap
from harness.campaign import PROFILES, Campaign
from harness.errors import IsolationError
from harness.pool import Pool
from harness.record import RunRecord

_OPTIONS = {
    "target": ("isolation target to drive (see `isolation targets`)", catalogue.DEFAULT_TARGET),
    "root": ("checkout of the bot", ""),
    "db-root": ("checkout of the bot's database package", ""),
    "isolation-profile": (f"how much to do: {', '.join(PROFILES)}", "quick"),
    "isolation-seed": ("seed of the campaign", "0"),
    "isolation-items": ("only risk items whose id matches this glob", "*"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option is also an ini key: ``isolation_target`` and so on."""
    group = parser.getgroup("isolation", "tenant isolation")
    for name, (text, default) in _OPTIONS.items():
        group.addoption(f"--{name}", default=None, help=f"{text} (default: {default or 'none'})")
        parser.addini(_ini(name), text, default=default)


def _ini(name: str) -> str:
    plain = name.removeprefix("isolation-").replace("-", "_")
    return f"isolation_{plain}"


def _option(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--{name}")
    return str(given if given is not None else config.getini(_ini(name)))


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, refuse bad values before the session starts."""
    config.addinivalue_line("markers", "isolation: a risk item decided by the isolation harness")
    profile = _option(config, "isolation-profile")
    if profile not in PROFILES:
        raise pytest.UsageError(f"--isolation-profile {profile!r} is none of {', '.join(PROFILES)}")
    if not _option(config, "isolation-seed").isdigit():
        raise pytest.UsageError("--isolation-seed wants a whole number")


def _path(config: pytest.Config, name: str) -> Path | None:
    value = _option(config, name)
    return Path(value) if value else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a risk item; its id is the node id."""
    if "isolation_item" not in metafunc.fixturenames:
        return
    config = metafunc.config
    try:
        spec = catalogue.target_spec(_option(config, "target"))
        target = catalogue.make_target(spec, _path(config, "root"), _path(config, "db-root"))
        chosen = riskmap.load(target.risk_map()).select(_option(config, "isolation-items"))
    except IsolationError as error:
        raise pytest.UsageError(str(error)) from error
    metafunc.parametrize("isolation_item", [item.id for item in chosen.items])


@pytest.fixture(scope="session")
def isolation_record(request: pytest.FixtureRequest) -> Iterator[RunRecord]:
    """The record of one campaign on the chosen target, run once a session."""
    config = request.config
    spec = catalogue.target_spec(_option(config, "target"))
    root, db_root = _path(config, "root"), _path(config, "db-root")
    target = catalogue.make_target(spec, root, db_root)
    name = _option(config, "isolation-profile")
    try:
        with Pool(spec, root=root, db_root=db_root) as pool:
            campaign = Campaign(
                pool, target, riskmap.load(target.risk_map()), PROFILES[name], profile_name=name,
                seed=int(_option(config, "isolation-seed")),
            )  # fmt: skip
            record = campaign.run()
    except IsolationError as error:
        pytest.exit(f"isolation: {error}", returncode=error.status)
    config.stash[_RECORD] = record
    yield record


_RECORD = pytest.StashKey[RunRecord]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Verdicts and findings after the tests."""
    record = config.stash.get(_RECORD, None)
    if record is None:
        return
    counts: dict[str, int] = {}
    for item in record.items:
        counts[item.verdict] = counts.get(item.verdict, 0) + 1
    terminalreporter.section("tenant isolation")
    terminalreporter.line(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    for finding in record.findings:
        terminalreporter.line(f"{finding.fingerprint} {finding.rule}: {finding.message}")
