"""Faults in the areas of the reference bot are found by the rule they name, on a plan that goes through the area; the
same plan shows nothing without them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from fixtures.overlays import (
    _reference_alike,
    _reference_areas,
    _reference_carried,
    _reference_company,
    _reference_context,
    _reference_hosts,
    _reference_learnt,
    _reference_mechanisms,
    _reference_memos,
    _reference_moved,
    _reference_reach,
    _reference_within,
    reference,
)
from fixtures.targets.reference import ReferenceTarget
from fixtures.targets.reference_plugins import AREAS, HOSTED
from harness import catalogue, riskmap, standing
from harness.finding import Finding
from harness.judge import judge
from harness.pairing import Pairing
from harness.pairs import VARIANTS, judged
from harness.plan import Plan, Step
from harness.pool import Pool
from harness.principal import TwinSpec
from harness.rules import registry
from harness.rules.interference import RULE
from harness.target import Overlay
from tests import test_reference_faults, test_reference_faults_moving

TARGET = ReferenceTarget()
MAP = riskmap.load(TARGET.risk_map())
DEMANDS = MAP.demands("reference")
MODULES = (
    _reference_context, _reference_areas, _reference_learnt, _reference_moved, _reference_hosts, _reference_mechanisms,
    _reference_reach, _reference_memos, _reference_carried,
)  # fmt: skip
FAULTS = [fault for module in MODULES for fault in module.FAULTS]

Do = tuple[str, str, dict[str, object]]
"""A step that both twins take: entry, action, payload."""


def area(*words: str) -> list[Do]:
    return [("api", "area", {"text": next(text for text in AREAS if text.split()[0] == word)}) for word in words]


def ticks(*tasks: str) -> list[Do]:
    return [("timer", "tick", {"task": task}) for task in tasks]


def hosted(*words: str) -> list[Do]:
    texts = [next(text for text in HOSTED if text.split()[0] == word) for word in words]
    return [("plugin", "command", {"text": text}) for text in texts]


def calls(entry: str, *names: str) -> list[Do]:
    return [(entry, name, {"ids": "other", "pick": pick}) for name in names for pick in (0, 1)]


TALK: list[Do] = [("api", "text", {"text": "{message}"}), ("api", "mention", {"text": "{message} again"})]
PICTURE: list[Do] = [("api", "picture", {"slot": "picture"})]
PLUGINS: list[Do] = [("plugin", "command", {"text": text}) for text in ("/hello", "/draft {plugin}", "/note {plugin}")]
SCRIPTS: list[Do] = [("script", "import", {"what": what}) for what in ("memories", "store", "media", "backfill")]
PAGES: list[Do] = [("webui", name, {}) for name in ("statistics", "emoji_list")]
QUIET: Do = ("world", "advance", {"seconds": 10})

WAYS: dict[str, list[Do]] = {
    "talk": [*TALK, QUIET, *TALK],
    "words": [*TALK, QUIET, *area("/jargon", "/mood", "/style", "/reflect", "/fine", "/say", "/lookup"), *TALK],
    "memory": [*TALK, QUIET, *area("/export", "/remember", "/remember", "/memo", "/topic"),
               *area("/topic", "/teach", "/ask"), QUIET],
    "people": [*TALK, QUIET, *area("/who", "/callme", "/often", "/draft", "/off"), QUIET],
    "timers": [*TALK, QUIET, *area("/memo"),
               *ticks("calm", "frequency", "jargon", "dream", "dream", "online", "online")],
    "turns": [*TALK, QUIET, *area("/export"), *TALK, QUIET,
              *ticks("archive", "clean", "forget", "topics", "statistics", "emoji")],
    "pictures": [*PICTURE, *TALK, QUIET, *ticks("clean", "emoji"), *PAGES],
    "plugins": [*TALK, *PLUGINS, *PLUGINS, ("plugin", "command", {"text": "/digest"})],
    "scripts": [("script", "bare", {"what": "backfill", "context": "none"}), *SCRIPTS],
    "strangers": [("api", "unknown_key", {"text": "{message}", "key": "unknown"}), *TALK,
                  ("webui", "stranger", {"path": "/history", "token": "unknown"}), *PAGES,
                  ("timer", "bare", {"task": "archive", "context": "none"})],
    "windows": [("webui", "chat", {"text": "{message}"}), ("webui", "history", {"all": True}), *PAGES],
    "broken": [*TALK, ("world", "fail", {"what": "llm.error", "nth": 1, "times": 9}), *PICTURE, QUIET, *TALK],
    "murmur": [TALK[0], QUIET, TALK[0], QUIET],
    "later": [*TALK, ("world", "advance", {"seconds": 330}), *ticks("forget"), *reversed(TALK), QUIET],
    "hour": [*TALK, ("world", "advance", {"seconds": 3700}), *reversed(TALK), QUIET],
    "renaming": [*TALK, ("world", "configure", {"persona.name": "{name}"}), *TALK],
    "calls": [*TALK, QUIET, *area("/jargon", "/memo"), ("webui", "emoji_upload", {"slot": "sticker"}), QUIET,
              *[("plugin", "PluginApi.query", {"ids": "own", "pick": pick}) for pick in (0, 1, 2)],
              *calls("plugin", "Dream.look", "Dream.drop", "PluginApi.send", "PluginApi.trigger"),
              *calls("plugin", "EmojiManager.remove"),
              ("webui", "GET /api/v1/learnt/phrases", {"ids": "own", "pick": 0}),
              *calls("webui", "PUT /api/v1/learnt/jargon/{jargon_id}", "DELETE /api/v1/learnt/phrases/{phrase_id}")],
    "nobody": [*TALK, *[("plugin", name, {"ids": "own", "pick": 0, "context": "none"})
                        for name in ("MessageStore.count", "StreamManager.note_last", "StreamManager.last")]],
    "legacy": [("start", "restart", {})],
    "hosted": [*TALK, QUIET, *area("/title", "/emoji", "/speak"), QUIET, *hosted("/title", "/off", "/plugins"),
               *hosted("/digest", "/on", "/ask", "/who", "/speak", "/sign"), QUIET, *ticks("speak", "clean"), QUIET],
    "programs": [*TALK, QUIET, *[("rest", name, {}) for name in ("statistics", "keys", "chats")],
                 ("rest", "stranger", {"token": "unknown"})],
    "watching": [("world", "watch", {}), *TALK, QUIET],
    "starting": [*TALK, *PAGES, *hosted("/sign"), QUIET, ("start", "restart", {}),
                 *[("start", "bare", {"what": what, "context": "none"}) for what in ("wake", "streams", "tenant")]],
}  # fmt: skip
"""Plans by the area they go through."""

FURNISHED = {"legacy": "legacy", "starting": "filled"}
ALONE = ("tick", "restart", "advance")
"""Steps that nobody takes."""


def plan(way: str, dimension: str = "T") -> Plan:
    steps = [
        Step(
            entry=entry,
            action=action,
            who=who,
            payload=payload,
            gap=0.0 if entry == "api" else 0.05,
            join=entry != "api" or action == "area",
        )
        for entry, action, payload in WAYS[way]
        for who in ((None,) if action in ALONE else ("A", "B"))
    ]  # fmt: skip
    return Plan(twins=TwinSpec(dimension=dimension), before=FURNISHED.get(way, "empty"), steps=tuple(steps))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(catalogue.target_spec("reference"), jobs=1) as made:
        yield made


def shown(pool: Pool, played: Plan, rule: str = "") -> list[Finding]:
    judging = lambda trace: judge(trace, TARGET.facts(), DEMANDS)  # noqa: E731
    found: list[Finding] = []
    plans = _as_pairs(pool, played) if rule == RULE else [played]
    for variant in VARIANTS if rule == RULE else VARIANTS[:1]:
        for outcome, findings in judged(pool, plans, TARGET.facts(), judging, rule=rule, variants=(variant,)):
            assert outcome.trace is not None, outcome.detail
            found += findings
    return found


def _as_pairs(pool: Pool, played: Plan) -> list[Plan]:
    """The plan with either twin observing, at the times that it took without the fault."""
    plain, pairing = msgspec.structs.replace(played, overlays=()), Pairing(TARGET.facts().scoping)
    outcome = pool.run(plain)
    assert outcome.trace is not None, outcome.detail
    pairing.add(plain, outcome.trace, clean=True)
    return [msgspec.structs.replace(way, overlays=played.overlays) for way in pairing.both_ways([plain])]


def way_of(fault: Overlay) -> tuple[str, str]:
    """The plan that goes through the fault's area, and how its twins differ."""
    return WHERE.get(fault.name, "talk"), "A" if fault.name == "agent-of-the-thread" else "T"


SHOWS: dict[str, tuple[str, ...]] = {
    "hosted": (
        "override-rows-by-agent",
        "spoken-up-for-nobody",
        "loops-of-all-counted",
        "blocked-of-the-process",
    ),
    "programs": ("keys-of-all-listed",),
    "watching": ("windows-watch-everybody",),
    "starting": (
        "greeted-as-another-signs",
        "on-start-reads-files",
        "facts-of-everybody-at-start",
        "sessions-ended-for-nobody",
    ),
    "scripts": (
        "taken-over-for-everybody",
        "script-for-whoever-is-first",
        "import-model-kept",
        "import-of-all-chats",
        "state-imported-for-the-first",
        "media-of-all-imported",
        "backfill-of-all",
    ),
    "nobody": (
        "rows-for-nobody",
        "streams-for-nobody",
    ),
    "strangers": (
        "action-to-the-last-chat",
        "unknown-key-as-default",
        "defaults-for-nobody",
        "open-to-strangers",
        "refusals-in-one-exception",
    ),
    "murmur": ("talk-of-the-process",),
    "later": ("texts-by-row-number",),
    "broken": ("bundle-not-put-back",),
    "windows": (
        "mood-around-the-function",
        "phrase-in-a-generator",
        "query-built-once",
        "page-before-in-a-header",
        "trace-with-a-page",
        "page-of-the-last",
        "chat-window-of-the-first",
    ),
    "renaming": ("override-among-the-defaults",),
    "pictures": (
        "emoji-limit-of-the-process",
        "emoji-model-kept",
        "pictures-in-one-folder",
        "stolen-into-one-folder",
        "orphans-of-all",
        "emoji-page-of-all",
    ),
    "turns": (
        "phrases-fade-for-all",
        "retention-of-the-process",
        "flush-of-all-topics",
        "archive-of-all",
        "statistics-in-a-bare-thread",
        "figures-on-the-task",
        "one-run-for-all",
        "last-words-in-a-module",
        "topics-as-json",
        "heartbeat-file",
        "drafts-swept-for-all",
    ),
    "plugins": (
        "plugin-switch-of-the-process",
        "plugin-model-kept",
        "command-as-the-first-caller",
        "notes-of-all",
        "greeting-for-all",
        "drafts-pooled",
        "command-registered-anew",
        "prompt-put-together-once",
        "lines-as-a-default",
        "notes-of-the-turn",
        "renamed-by-a-trigger",
    ),
    "words": (
        "moods-by-address",
        "question-by-address",
        "question-to-the-last-chat",
        "replyers-by-address",
        "results-by-question",
        "results-without-context",
        "words-by-address",
        "typing-where-it-was-last",
        "mood-model-kept",
        "selector-model-kept",
        "tool-model-kept",
        "words-of-all",
        "answers-in-a-closure",
        "questions-on-a-heap",
    ),
    "timers": (
        "calm-for-everybody",
        "frequency-by-address",
        "streams-of-all",
        "dream-of-any-chat",
        "record-on-the-task",
    ),
    "people": (
        "review-without-context",
        "switches-by-address",
        "names-by-person",
        "relation-model-kept",
        "naming-model-kept",
        "renamed-for-all",
    ),
    "switching": ("switched-off-for-everybody",),
    "memory": (
        "vain-for-as-long-as-the-process",
        "knowledge-model-kept",
        "batch-of-whoever",
        "vain-questions-of-all",
        "old-thoughts-of-all",
        "answer-by-question",
        "drafts-in-one-folder",
        "objects-by-name",
        "exports-in-one-archive",
        "recalled-on-scratch-paper",
    ),
    "calls": (
        "word-amended-by-id",
        "phrase-dropped-by-id",
        "memory-by-id",
        "memory-dropped-by-id",
        "sent-to-any-chat",
        "query-past-the-filter",
        "event-of-any-chat",
        "emoji-removed-by-id",
    ),
    "thinning": ("memory-thinned-for-all",),
    "hour": ("asked-minutes-ago",),
    "events": ("last-said-on-the-class",),
    "legacy": (
        "expression-snapshot",
        "old-store-at-start",
    ),
}
"""Which faults a plan shows; all others show while people talk."""

WHERE = {name: way for way, names in SHOWS.items() for name in names}

WAYS["switching"] = [*area("/off"), ("api", "command", {"text": "/last"}), *area("/on")]
WAYS["events"] = [("plugin", "event", {"text": "{message}"})] * 2
WAYS["thinning"] = [*TALK, *area("/memo", "/memo"), *ticks("forget", "forget")]


@pytest.mark.parametrize("way", WAYS)
def test_the_areas_are_silent_without_a_fault(pool: Pool, way: str) -> None:
    for dimension in ("T", "TA", "A"):
        assert shown(pool, plan(way, dimension)) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_its_rule(pool: Pool, fault: Overlay) -> None:
    way, dimension = way_of(fault)
    found = shown(pool, msgspec.structs.replace(plan(way, dimension), overlays=(fault.name,)), fault.rule)
    assert any(fault.speaks_of(rule, f.surface) for f in found for rule in f.rules), {
        (f.rule, f.surface) for f in found
    }


def test_every_fault_has_a_scene_or_a_plan_and_every_rule_a_fault() -> None:
    names = [fault.name for fault in reference.FAULTS]
    assert len(set(names)) == len(names) >= 150
    assert {fault.rule for fault in reference.FAULTS} == {*registry(), RULE}
    told = {*test_reference_faults.LEAKS, *test_reference_faults_moving.LEAKS, *(fault.name for fault in FAULTS)}
    # Each of these has a file of its own.
    told |= {fault.name for some in (_reference_company, _reference_within, _reference_alike) for fault in some.FAULTS}
    told |= {"keys-read-whole"}
    alone = [fault.name for fault in reference.FAULTS if not fault.overlap and fault.rule != RULE]
    assert [name for name in alone if name not in told] == []
    assert set(WHERE) <= {fault.name for fault in FAULTS}


def test_every_row_of_the_map_has_a_fault_or_a_reason_and_few_have_a_reason() -> None:
    known = {item.id for item in MAP.items}
    assert [(fault.name, item) for fault in reference.FAULTS for item in fault.items if item not in known] == []
    without = standing.unshown(MAP, TARGET.facts(), TARGET.overlays())
    assert [item for item, why in without.items() if len(why) < 40] == []
    assert len(without) <= len(MAP.items) * 0.07
