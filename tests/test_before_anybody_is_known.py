"""Code that looks a credential up needs no context; whose rows it meets is judged as anywhere."""

from __future__ import annotations

from harness.catalogue import make_target
from harness.judge import judge
from harness.plan import Plan, Step
from harness.pool import Pool

SPEC = "fixtures.targets.reference:ReferenceTarget"
TALK = Plan(
    steps=tuple(
        Step(entry="api", action="mention", who=who, payload={"text": "{message}"}, join=True) for who in ("A", "B")
    )
)


def test_a_look_up_that_reads_all_keys_meets_the_others() -> None:
    facts = make_target(SPEC, None, None).facts()
    with Pool(SPEC) as pool:
        for overlays, expected in (((), set()), (("keys-read-whole",), {("foreign-read", "api_keys")})):
            outcome = pool.run(Plan(steps=TALK.steps, overlays=overlays))
            assert outcome.trace is not None, outcome.detail
            assert {(found.rule, found.surface) for found in judge(outcome.trace, facts)} == expected
