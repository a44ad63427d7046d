"""The entry ``plugin`` of the reference bot: a plugin under a tenant, for nobody, and with a host that is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.targets.reference import ReferenceTarget
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.trace import Trace

FACTS = ReferenceTarget().facts()


def steps(action: str, text: str, *more: Step, **payload: str) -> tuple[Step, ...]:
    """Both twins do the same, A first."""
    return (
        tuple(
            Step(entry="plugin", action=action, who=who, payload={"text": text, **payload}, join=True)
            for who in ("A", "B")
        )
        + more
    )


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool("fixtures.targets.reference:ReferenceTarget", jobs=1) as pool:
        yield pool


def played(pool: Pool, *steps: Step, overlay: str = "") -> Trace:
    plan = Plan(steps=steps, overlays=(overlay,) if overlay else ())
    trace = pool.run(plan).trace
    assert trace is not None
    return trace


def test_each_tenant_is_answered_by_its_own_state_and_settings(pool: Pool) -> None:
    trace = played(pool, *steps("event", "{message}"), *steps("command", "/last"))
    for who in (trace.twins.a, trace.twins.b):
        answers = " ".join(trace.observed[who.label])
        assert who.secrets["message"] in answers and who.secrets["plugin"] in answers
    assert judge(trace, FACTS) == []


@pytest.mark.parametrize("text", ["/last", "/note {plugin}", "/notes", "/name {name}"])
def test_a_command_for_nobody_is_refused_and_counts_as_a_wrong_call(pool: Pool, text: str) -> None:
    trace = played(pool, *steps("bare", text, context="none"))
    assert [(step.outcome, step.wrong) for step in trace.steps] == [("raised", True), ("raised", True)]
    assert all("IdentityMissing" in step.detail for step in trace.steps)


@pytest.mark.parametrize(
    ("overlay", "first", "rules", "surface"),
    [
        (
            "plugin-state-for-all",
            "event",
            {"canary-flow", "shared-key"},
            "fixtures.reference_bot.plugins.PLUGINS[]._said",
        ),
        ("plugin-settings-of-the-first", "command", {"canary-flow"}, "plugin.command"),
        ("event-with-the-last-message", "event", {"canary-flow"}, "on_message"),
    ],
)
def test_a_fault_of_the_host_is_found_over_the_plugin_entry_alone(
    pool: Pool, overlay: str, first: str, rules: set[str], surface: str
) -> None:
    text = "{message}" if first == "event" else "/last"
    trace = played(pool, *steps(first, text), *steps("command", "/last"), overlay=overlay)
    assert [(set(finding.rules), finding.surface) for finding in judge(trace, FACTS)] == [(rules, surface)]
