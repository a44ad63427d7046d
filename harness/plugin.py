"""The pytest plugin: the same engine, one test for each risk item and each demand of the documents. Thin.

    pytest scenarios --target NAME [--root DIR] [--db-root DIR] [--isolation-profile quick]

The campaign runs once a session, for the items that were collected (so ``-k`` and ``--lf`` make it shorter). Under
pytest-xdist the first worker that gets the lock runs it and the others read its record.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from harness import baseline, catalogue, contract, reporting, requirement, riskmap
from harness.assembling import write_witnesses
from harness.campaign import Campaign
from harness.cli_common import replay_command
from harness.errors import IsolationError, SoundnessError
from harness.finding import Finding
from harness.pool import Pool
from harness.profiles import PROFILES
from harness.record import RunRecord
from harness.target import Target
from harness.verdict import attribute

try:
    import fcntl
except ImportError:  # no such module on this platform: each worker runs a campaign of its own
    fcntl = None  # type: ignore[assignment]

OPTIONS = {
    "target": ("isolation target to drive (see `isolation targets`)", catalogue.DEFAULT_TARGET),
    "root": ("checkout of the bot", ""),
    "db-root": ("checkout of the bot's database package", ""),
    "isolation-profile": (f"how much to do: {', '.join(PROFILES)}", "quick"),
    "isolation-plans": ("how many generated plans, instead of the profile's", ""),
    "isolation-minutes": ("end the campaign after so many minutes, booting and shrinking included", ""),
    "isolation-seed": ("seed of the campaign", "0"),
    "isolation-items": ("only risk items whose id matches this glob", "*"),
    "isolation-overlays": ("overlays to apply in every plan, names or globs, separated by commas", ""),
    "isolation-baseline": ("file of accepted leaks (see `isolation baseline`)", ""),
    "isolation-out": ("folder for the report and the witnesses", ""),
}
"""Name (of the option, and of the ini key in its own spelling), help, default."""
ITEM, REQUIREMENT = "isolation_item", "isolation_requirement"
"""Arguments of tests that are given the ids of risk items and of the documents' demands."""
SHARED = "isolation-record.msgpack"
"""Where a worker leaves its record for the others, in the folder that all of them share."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker leaves for the others: a record, or why there is none. `unsound`: why a finished record is not to
    be relied on."""

    record: RunRecord | None
    error: str = ""
    status: int = 0
    unsound: str = ""


_RECORD = pytest.StashKey[RunRecord]()
_FAILED = pytest.StashKey[_Kept]()
_UNSOUND = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option is also an ini key: ``isolation_target`` and so on."""
    group = parser.getgroup("isolation", "tenant isolation")
    for name, (text, default) in OPTIONS.items():
        group.addoption(f"--{name}", default=None, help=f"{text} (default: {default or 'none'}; ini: {_ini(name)})")
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
        raise pytest.UsageError(f"{_said('isolation-profile', profile)} is none of {', '.join(PROFILES)}")
    for name, empty in (("isolation-seed", False), ("isolation-plans", True)):
        value = _option(config, name)
        if not (value.isdigit() or (empty and not value)):
            raise pytest.UsageError(f"{_said(name, value)} is no whole number from 0")
    _minutes(config)
    target = _option(config, "target")
    try:
        # The default is left unasked: every pytest session has this plugin, few have use for it.
        if target != catalogue.DEFAULT_TARGET:
            catalogue.target_spec(target)
        if _option(config, "isolation-baseline"):
            baseline.load(_file(config, "isolation-baseline"))
    except IsolationError as error:
        raise pytest.UsageError(str(error)) from error
    for name in ("root", "db-root"):
        folder = _path(config, name)
        if folder is not None and not folder.is_dir():
            raise pytest.UsageError(f"{_said(name, str(folder))} is no folder")


def _minutes(config: pytest.Config) -> float | None:
    said = _option(config, "isolation-minutes")
    if not said:
        return None
    try:
        minutes = float(said)
    except ValueError:
        minutes = math.nan
    if not 0 <= minutes < math.inf:
        raise pytest.UsageError(f"{_said('isolation-minutes', said)} is no number of minutes")
    return minutes


def _said(name: str, value: str) -> str:
    return f"--{name} (ini: {_ini(name)}) {value!r}"


def _path(config: pytest.Config, name: str) -> Path | None:
    return _file(config, name) if _option(config, name) else None


def _file(config: pytest.Config, name: str) -> Path:
    """A path given on the command line is relative to where pytest was called, one from the ini file to that file."""
    if config.getoption(f"--{name}") is not None:
        return config.invocation_params.dir / _option(config, name)
    return (config.inipath.parent if config.inipath else config.rootpath) / _option(config, name)


def _target(config: pytest.Config) -> tuple[str, Target]:
    spec = catalogue.target_spec(_option(config, "target"))
    return spec, catalogue.make_target(spec, _path(config, "root"), _path(config, "db-root"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a risk item, and one a demand of the documents; its id is the node id."""
    mine = {ITEM, REQUIREMENT}.intersection(metafunc.fixturenames)
    if not mine:
        return
    try:
        _, target = _target(metafunc.config)
        _overlays(metafunc.config, target)
        chosen = riskmap.load(target.risk_map()).select(_option(metafunc.config, "isolation-items"))
        asked = requirement.beside(target.risk_map())
    except IsolationError as error:
        raise pytest.UsageError(str(error)) from error
    for name in mine:
        metafunc.parametrize(name, [one.id for one in (chosen.items if name == ITEM else asked)])


def _overlays(config: pytest.Config, target: Target) -> tuple[str, ...]:
    globs = [glob.strip() for glob in _option(config, "isolation-overlays").split(",") if glob.strip()]
    return catalogue.overlays_named(target, _option(config, "target"), globs)


@pytest.fixture(scope="session")
def isolation_record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """The record of one campaign on the chosen target, run once a session, the baseline applied."""
    config = request.config
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {
        (name, spec.params[name]) for spec in specs for name in (ITEM, REQUIREMENT) if spec and name in spec.params
    }
    if hasattr(config, "workerinput") and fcntl is not None:
        kept = _once(tmp_path_factory.getbasetemp().parent, config, wanted)
    else:
        kept = _run(config, wanted)
    if kept.record is None:
        request.session.shouldstop = f"isolation: {kept.error}"
        config.stash[_FAILED] = kept
        pytest.fail(f"isolation: {kept.error}", pytrace=False)
    config.stash[_RECORD] = kept.record
    config.stash[_UNSOUND] = kept.unsound
    return kept.record


def _once(folder: Path, config: pytest.Config, wanted: set[tuple[str, str]]) -> _Kept:
    """Run the campaign in the first worker that takes the lock; the others wait for it and read what it left. A worker
    that dies gives the lock back, and the next one runs the campaign."""
    with (folder / "isolation.lock").open("w") as lock, _locked(lock):
        file = folder / SHARED
        if file.exists():
            return msgspec.msgpack.decode(file.read_bytes(), type=_Kept)
        kept = _run(config, wanted)
        file.write_bytes(msgspec.msgpack.encode(kept))
        return kept


@contextmanager
def _locked(lock: IO[str]) -> Iterator[None]:
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _run(config: pytest.Config, wanted: set[tuple[str, str]]) -> _Kept:
    try:
        return _campaign(config, wanted)
    except IsolationError as error:
        return _Kept(record=None, error=str(error), status=error.status)


def _campaign(config: pytest.Config, wanted: set[tuple[str, str]]) -> _Kept:
    spec, target = _target(config)
    contract.asked(target, spec, "version")
    whole = riskmap.load(target.risk_map())
    chosen = msgspec.structs.replace(whole, items=tuple(item for item in whole.items if (ITEM, item.id) in wanted))
    asked = [one for one in requirement.beside(target.risk_map()) if (REQUIREMENT, one.id) in wanted]
    ids = {item.id for item in chosen.items}
    name = target.facts().name
    everything = len(chosen.items) == len(whole.items)

    def keep(finding: Finding) -> bool:
        return (
            everything
            or bool(ids.intersection(attribute(finding, whole, name)))
            or requirement.concerns(finding, asked, name, whole)
        )

    profile_name = _option(config, "isolation-profile")
    profile = PROFILES[profile_name]
    if plans := _option(config, "isolation-plans"):
        profile = msgspec.structs.replace(profile, plans=int(plans))
    root, db_root = _path(config, "root"), _path(config, "db-root")
    with Pool(spec, root=root, db_root=db_root) as pool:
        campaign = Campaign(
            pool,
            target,
            chosen,
            profile,
            profile_name=profile_name,
            seed=int(_option(config, "isolation-seed")),
            minutes=_minutes(config),
            overlays=_overlays(config, target),
            keep=keep,
            requirements=asked,
        )
        record = campaign.run()
        if record.run.interrupted:
            raise KeyboardInterrupt
        waivers = baseline.load(_file(config, "isolation-baseline")) if _option(config, "isolation-baseline") else ()
        applied = baseline.apply(record, waivers, datetime.date.today())
        out = _path(config, "isolation-out")
        hint = "" if out is None else replay_command(out, _option(config, "target"), name, root, db_root)
        made = reporting.make(record, applied=applied, roots=[Path(r) for r in pool.ready.roots], replay=hint)
        if out is not None:
            reporting.write(made, out)
            write_witnesses(record, out)
    return _Kept(record=applied.record, unsound=_doubts(made))


def _doubts(report: dict[str, Any]) -> str:
    said = report["verdict"]
    return " ".join((said["line"], *said["reasons"][:1])) if said["state"] == "unsound" else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its record to the controller, which alone writes the summary; a target that could not boot gives
    its own exit status, and a record that is not to be relied on gives 3, as on the command line."""
    config = session.config
    failed = config.stash.get(_FAILED, None)
    if failed is not None:
        session.exitstatus = failed.status
    elif config.stash.get(_UNSOUND, ""):
        session.exitstatus = SoundnessError.status
    if hasattr(config, "workeroutput"):
        record = config.stash.get(_RECORD, None)
        if record is not None:
            config.workeroutput["isolation"] = msgspec.json.encode(record).decode()
            config.workeroutput["isolation-unsound"] = config.stash[_UNSOUND]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """The controller takes a worker's record."""
    sent = getattr(node, "workeroutput", {}).get("isolation")
    if sent and _RECORD not in node.config.stash:
        node.config.stash[_RECORD] = msgspec.json.decode(sent, type=RunRecord)
        node.config.stash[_UNSOUND] = node.workeroutput["isolation-unsound"]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Verdicts and findings after the tests."""
    record = config.stash.get(_RECORD, None)
    if record is None:
        return
    counts: dict[str, int] = {}
    for item in record.items:
        counts[item.verdict] = counts.get(item.verdict, 0) + 1
    terminalreporter.section("tenant isolation")
    if unsound := config.stash.get(_UNSOUND, ""):
        terminalreporter.line(unsound)
    run = record.run
    terminalreporter.line(f"{run.target} {run.target_version}: {run.plans} plans, {run.steps} steps, seed {run.seed}")
    terminalreporter.line(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items())))
    for finding in record.findings:
        items = ", ".join(finding.items) or "no item"
        terminalreporter.line(f"{finding.fingerprint} {finding.rule}: {finding.message} ({items})")
    for error in record.errors:
        terminalreporter.line(f"error, {error.count} times: {error.kind}: {error.message}")
