"""What one tenant feels of another is told although a leak, for which there is a fix, would explain it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness import behind
from harness.campaign import Campaign
from harness.pool import Pool
from harness.principal import Principal
from harness.profiles import Profile
from harness.record import RunRecord
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.rules.interference import RULE
from harness.target import Overlay, Patcher
from reports import words
from tests.campaign_targets import CountingTarget

RISKS = RiskMap(
    items=(
        RiskItem(
            id="reply", group="g", generation="saas", module="tests", cells=(Cell(sink="outbound", entry="api"),),
            defect="d", mitigation="m", places={"tiny": (Pattern(surface="wire"),)}, rules=("*", RULE),
        ),
    )
)  # fmt: skip


class CountingLeakyTarget(CountingTarget):
    """Replies with the former text, whoever sent it, and says how many replies it has given to whomever."""

    def reply(self, who: object, text: str) -> str:
        self.replies += 1
        return f"{self._remember(text)} ({self.replies} so far)"

    def overlays(self) -> Sequence[Overlay]:
        def own_text(patcher: Patcher) -> None:
            patcher.set(self, "_remember", lambda text: text)

        return [
            Overlay(
                name="own-text", kind="fix", about="own text", rule="canary-flow", surface="wire", items=("reply",),
                apply=own_text,
            )
        ]  # fmt: skip


class UnmendedTarget(CountingLeakyTarget):
    """The same, and nobody has written a fix."""

    def overlays(self) -> Sequence[Overlay]:
        return []


class OnlyLeakyTarget(CountingLeakyTarget):
    """Replies with the former text and counts nothing."""

    def reply(self, who: object, text: str) -> str:
        return self._remember(text)


class CoveringTarget(CountingLeakyTarget):
    """Replies with the former text; where it does not, it asks a model about the name of whoever came before."""

    mended = False
    name_before = ""

    def reply(self, who: Principal, text: str) -> str:
        former, self.name_before = self.name_before, who.secrets["name"]
        if self.mended and self.watch is not None:
            self.watch.prompt("second", former)
        return text if self.mended else self._remember(text)

    def overlays(self) -> Sequence[Overlay]:
        def mend(patcher: Patcher) -> None:
            patcher.set(self, "mended", True)

        return [msgspec.structs.replace(overlay, apply=mend) for overlay in super().overlays()]


def campaign(kind: type[CountingLeakyTarget], trying: bool = False) -> RunRecord:
    few = Profile(plans=6, seconds=120, replays=2, overlays=trying, pairs=6, confirming=30, trying=60)
    with Pool(f"tests.test_behind_known_leaks:{kind.__name__}", jobs=2) as pool:
        return Campaign(pool, kind(), RISKS, few).run()


def test_a_count_of_all_tenants_is_found_behind_a_leak_that_has_a_fix() -> None:
    record = campaign(CountingLeakyTarget, trying=True)
    found = {finding.rule: finding for finding in record.findings}
    assert set(found) == {"canary-flow", RULE}
    assert "seen where all leaks are closed that the target has a fix for" in found[RULE].message
    assert "seen where" not in found["canary-flow"].message
    assert b'"overlays":["own-text"]' in record.witnesses[found[RULE].fingerprint]
    assert found[RULE].replays == (2, 2)
    # The fix that it is seen behind is no worse for it.
    [fix] = record.soundness.overlays
    assert fix.killed and fix.right_rule, fix.detail
    assert record.soundness.pairs["behind"] == 2
    assert "(2 with known leaks closed)" in words.pairs(record.soundness.pairs)


def test_without_a_fix_the_leak_explains_it() -> None:
    record = campaign(UnmendedTarget)
    assert {finding.rule for finding in record.findings} == {"canary-flow"}
    assert "behind" not in record.soundness.pairs and record.soundness.pairs["explained"]


def test_behind_a_leak_that_is_all_there_is_nothing_is_found() -> None:
    record = campaign(OnlyLeakyTarget)
    assert {finding.rule for finding in record.findings} == {"canary-flow"}
    assert record.soundness.pairs["behind"] == 2


def test_a_leak_that_another_covers_is_found_where_that_is_closed() -> None:
    found = {finding.surface: finding for finding in campaign(CoveringTarget).findings}
    assert set(found) == {"wire", "second"}
    assert "seen where all leaks are closed" in found["second"].message


def test_a_second_leak_of_the_same_name_is_told_where_a_fix_closes_the_first() -> None:
    few = Profile(plans=6, seconds=120, replays=2, overlays=True, pairs=6, confirming=30, trying=60)
    with Pool("tests.test_behind_known_leaks:OnlyLeakyTarget", jobs=2) as pool:
        campaign = Campaign(pool, OnlyLeakyTarget(), RISKS, few)
        record = campaign.run()
    [finding] = record.findings
    assert finding.confirmed_by == ("own-text",)
    assert not [error for error in record.errors if error.kind == "fixes"]
    # As if a plan with the fix on had shown it.
    [message] = behind.others([finding.fingerprint], campaign.found, campaign.overlay_records)
    assert f"({finding.fingerprint}) shows on other plans with all fixes on, though own-text closes" in message
    assert not list(behind.others([finding.fingerprint], campaign.found, []))


def test_where_the_leaks_are_closed_anyway_no_pair_is_played_behind_them() -> None:
    few = Profile(plans=6, seconds=120, replays=2, overlays=False, pairs=6)
    with Pool("tests.test_behind_known_leaks:CountingLeakyTarget", jobs=2) as pool:
        record = Campaign(pool, CountingLeakyTarget(), RISKS, few, overlays=("own-text",)).run()
    assert {finding.rule for finding in record.findings} == {RULE}
    assert set(record.soundness.pairs) <= {"plans", "equal", "differs", "moved", "explained"}
    assert msgspec.json.decode(msgspec.json.encode(record.soundness.pairs))["plans"]
