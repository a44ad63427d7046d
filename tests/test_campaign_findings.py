"""A campaign finds what crosses, shows it on the shortest plan, and decides the items it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import witness
from harness.assembling import write_witnesses
from harness.campaign import Campaign
from harness.judge import judge
from harness.plan import Plan
from harness.pool import Pool
from harness.profiles import Profile, Progress
from harness.record import ItemRecord, RunRecord
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from tests.campaign_targets import CrashingTarget, LeakyTarget, SoundTarget

SMALL = Profile(plans=6, seconds=60, replays=4, overlays=False)


def item(name: str, surface: str, *cells: Cell) -> RiskItem:
    return RiskItem(
        id=name, group="g", generation="saas", module="tiny_target.py", cells=cells, defect="d", mitigation="m",
        places={"tiny": (Pattern(surface=surface),)},
    )  # fmt: skip


RISKS = RiskMap(
    items=(
        item("reply", "wire", Cell(sink="outbound", entry="api")),
        item("legacy", "*.txt", Cell(sink="file", entry="api", predicate="absent")),
        item("untried", "webui.*", Cell(sink="outbound", entry="webui")),
    )
)


@pytest.fixture(scope="module")
def sound_pool() -> Iterator[Pool]:
    with Pool("tests.campaign_targets:SoundTarget", jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def leaky_pool() -> Iterator[Pool]:
    with Pool("tests.campaign_targets:LeakyTarget", jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def leaky(leaky_pool: Pool) -> RunRecord:
    return Campaign(leaky_pool, LeakyTarget(), RISKS, SMALL, seed=3).run()


def decided(record: RunRecord) -> dict[str, ItemRecord]:
    return {item.id: item for item in record.items}


def test_a_sound_bot_has_no_findings_and_its_reply_item_closes(sound_pool: Pool) -> None:
    quiet = RiskMap(items=(RISKS.items[0], RISKS.items[2]))
    record = Campaign(sound_pool, SoundTarget(), quiet, SMALL).run()
    # Both write the same file, with nothing of theirs in it: who wrote first is no proof of whose it is.
    assert ("file", "api") in {(cell.sink, cell.entry) for cell in record.matrix}
    assert record.findings == () and record.errors == () and record.witnesses == {}
    said = decided(record)
    assert said["reply"].verdict == "closed" and said["reply"].cells[0].twins == ("A", "B")
    assert said["untried"].verdict == "not_exercised"
    (never,) = record.unserved
    assert (never.entry, never.name, set(never.outcomes)) == ("api", "fail", {"raised"}) and never.tries and never.error
    assert record.soundness.clean_plans == record.run.plans > SMALL.plans
    assert record.soundness.bound95 == 3 / record.run.plans
    assert all(record.soundness.probes.values()) and set(record.soundness.probes) == {
        "row", "key", "file", "log", "config", "prompt", "outbound",
    }  # fmt: skip


def test_what_the_risk_map_demands_absent_is_found(sound_pool: Pool) -> None:
    record = Campaign(sound_pool, SoundTarget(), RISKS, SMALL).run()
    assert [(f.rule, f.items) for f in record.findings] == [("demanded-absence", ("legacy",))]
    assert decided(record)["legacy"].verdict == "open" and decided(record)["reply"].verdict == "closed"


def test_leaks_are_found_and_told_where_they_belong(leaky: RunRecord) -> None:
    assert sorted((f.rule, f.sink, f.surface, f.items) for f in leaky.findings) == [
        ("canary-flow", "outbound", "wire", ("reply",)),
        ("default-fallback", "config", "bot", ()),
    ]
    said = decided(leaky)
    assert said["reply"].verdict == "open"
    (leak,) = said["reply"].findings
    assert next(f for f in leaky.findings if f.fingerprint == leak).rule == "canary-flow"
    assert leaky.soundness.clean_plans < leaky.run.plans and leaky.soundness.bound95 is None


def test_a_finding_says_who_where_and_how_often(leaky: RunRecord) -> None:
    leak = next(f for f in leaky.findings if f.rule == "canary-flow")
    assert {leak.source, leak.observer} == {"A", "B"}
    assert leak.site.file == "tiny_target.py" and leak.site.function == "TinyTarget.deliver"
    assert leak.entries == ("api",) and leak.dimensions == ("T", "TA") and leak.occurrences > 1
    assert leak.timeline[-1].kind == "violation" and leak.timeline[-1].text == leak.message
    row = next(cell for cell in leaky.matrix if (cell.sink, cell.entry) == ("outbound", "api"))
    assert row.findings == 1 and row.accesses > 0


def test_witnesses_are_as_short_as_can_be_and_replay_every_time(leaky: RunRecord, leaky_pool: Pool) -> None:
    facts = LeakyTarget().facts()
    for finding in leaky.findings:
        assert finding.replays == (4, 4)
        plan = Plan.from_json(leaky.witnesses[finding.fingerprint])
        wanted = 2 if finding.rule == "canary-flow" else 1
        assert (len(plan.steps), finding.steps, finding.deviations, plan.tape) == (wanted, wanted, 0, ())
        if wanted == 2:
            assert {step.who for step in plan.steps} == {"A", "B"}
        again = leaky_pool.run(plan).trace
        assert again is not None and finding.fingerprint in {f.fingerprint for f in judge(again, facts)}


def test_a_shortest_plan_cannot_lose_a_step(leaky: RunRecord, leaky_pool: Pool) -> None:
    leak = next(f for f in leaky.findings if f.rule == "canary-flow")
    plan = Plan.from_json(leaky.witnesses[leak.fingerprint])
    campaign = Campaign(leaky_pool, LeakyTarget(), RISKS, SMALL)
    parts = [Plan(steps=(step,), twins=plan.twins) for step in plan.steps]
    assert campaign.shows(leak.fingerprint, [plan, *parts], leak.rule) == [True, False, False]


def test_witness_files_are_written_and_read_back(leaky: RunRecord, tmp_path: Path) -> None:
    write_witnesses(leaky, tmp_path)
    for finding in leaky.findings:
        read = witness.load(tmp_path / finding.witness)
        assert (read.fingerprint, read.rule, read.target) == (finding.fingerprint, finding.rule, "tiny")
        assert read.plan.to_json() == leaky.witnesses[finding.fingerprint]


def test_the_same_seed_gives_the_same_record(leaky: RunRecord, leaky_pool: Pool) -> None:
    again = Campaign(leaky_pool, LeakyTarget(), RISKS, SMALL, seed=3).run()
    assert again.findings == leaky.findings and again.items == leaky.items and again.matrix == leaky.matrix
    assert again.witnesses == leaky.witnesses


def test_an_overlay_asked_for_is_on_in_every_plan(sound_pool: Pool) -> None:
    record = Campaign(sound_pool, SoundTarget(), RISKS, SMALL, overlays=("last-text",)).run()
    assert record.run.overlays == ("last-text",)
    leak = next(f for f in record.findings if f.surface == "wire")
    assert leak.rule == "canary-flow" and Plan.from_json(record.witnesses[leak.fingerprint]).overlays == ("last-text",)


def test_findings_nobody_wants_are_left_out_and_counted(leaky_pool: Pool) -> None:
    record_of = Campaign(leaky_pool, LeakyTarget(), RISKS, SMALL, keep=lambda finding: finding.sink != "config")
    record = record_of.run()
    assert [f.rule for f in record.findings] == ["canary-flow"] and len(record_of.left_out) == 1


def test_an_interrupted_campaign_keeps_what_it_found(leaky_pool: Pool) -> None:
    def stop(progress: Progress) -> None:
        if progress.phase == "plans" and progress.findings == 2:
            raise KeyboardInterrupt

    record = Campaign(leaky_pool, LeakyTarget(), RISKS, SMALL, report=stop).run()
    assert record.run.interrupted and record.run.plans < SMALL.plans
    assert {f.rule for f in record.findings} == {"canary-flow", "default-fallback"}
    assert {f.replays for f in record.findings} == {(0, 0)}
    assert set(record.witnesses) == {f.fingerprint for f in record.findings}
    assert decided(record)["reply"].verdict == "open"
    assert leaky_pool.run(Plan()).status == "ok", "the zygote is still of use"


def test_plans_that_die_are_counted_as_errors_and_lose_no_finding() -> None:
    with Pool("tests.campaign_targets:CrashingTarget", jobs=2) as pool:
        record = Campaign(pool, CrashingTarget(), RISKS, SMALL).run()
    crashes = [error for error in record.errors if error.kind == "crash"]
    assert crashes and all("signal 9" in error.message and not error.harness for error in crashes)
    assert [f.surface for f in record.findings] == ["wire"]


def test_no_plan_is_started_after_the_time_is_up(sound_pool: Pool) -> None:
    record = Campaign(sound_pool, SoundTarget(), RISKS, SMALL, minutes=0.0).run()
    assert record.run.plans == 0
    assert decided(record)["reply"].verdict == "not_exercised"
