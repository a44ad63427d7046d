"""After a failure in one twin's flow the tour lets the other look at what the bot shows to whoever asks."""

from __future__ import annotations

from harness import touring
from harness.target import Action

SAY = Action(entry="api", name="say", payload={"text": "text"}, weight=1)
FAIL = Action(entry="world", name="fail", payload={"what": ["llm.error", "disk.full"], "nth": [1, 2], "times": [1, 9]})


def call(name: str, *ids: str) -> Action:
    return Action(entry="webui", name=name, payload={"ids": list(ids), "pick": [0]}, call=True)


CALLS = [call("GET /status", "own"), call("GET /rows/{id}", "own", "other"), call("POST /stop", "own")]


def test_the_other_looks_at_what_is_shown_unasked_after_each_kind_of_failure() -> None:
    failed = set()
    for plan in touring.tour([SAY, FAIL, *CALLS]):
        struck = [step for step in plan.steps if step.action == "fail"]
        looks = [step for step in plan.steps if step.entry == "webui"]
        if not struck or not looks:
            continue
        assert {step.action for step in looks} == {"GET /status"}, "nothing is asked for, and nothing changed"
        (who,) = {step.who for step in struck}
        assert who and {step.who for step in looks} == {"B" if who == "A" else "A"}
        assert plan.steps.index(looks[0]) > plan.steps.index(struck[-1])
        failed.add(struck[0].payload["what"])
    assert failed == {"llm.error", "disk.full"}
