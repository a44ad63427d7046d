"""A realistic record of a campaign, for the tests of reports: every verdict, several sinks, overlays, errors."""

from __future__ import annotations

from typing import Any

from harness.plan import Deviation, Plan, Step
from harness.principal import TwinSpec
from harness.record import (
    CallRecord,
    CellRecord,
    ClaimRecord,
    ErrorRecord,
    FindingRecord,
    ItemRecord,
    MatrixCell,
    OverlayRecord,
    Performance,
    ProvenanceRecord,
    RequirementRecord,
    RunInfo,
    RunRecord,
    Soundness,
    TimelineEvent,
    UnclaimedRecord,
    UnservedRecord,
    VerdictName,
)
from harness.riskmap import Documents
from harness.trace import Site

CANARY = "qZ7xk3v9w2m8p1r5t0"
KEY = "999888777:qZ7xk3v9w2m8p1r5t0"

VERDICTS: tuple[VerdictName, ...] = ("open", "waived", "inert", "not_exercised", "closed", "not_applicable")
SINKS = ("row", "key", "file", "config", "prompt", "outbound")
ENTRIES = ("api", "timer", "webui", "start", "plugin")

PLACES = (
    ("shared-key", "key", "bot.pictures:PictureShelf.items", "bot/pictures/shelf.py", "PictureShelf.pick"),
    ("foreign-read", "row", "person", "bot/people/store.py", "PersonStore.find"),
    ("canary-flow", "prompt", "planner", "bot/planner.py", "Planner.plan"),
    ("context-missing", "config", "chat", "bot/config/proxy.py", "ConfigProxy.__getattr__"),
    ("unscoped-constraint", "row", "person.person_id", "bot/people/store.py", "PersonStore.store"),
    ("foreign-write", "file", "pictures/*.png", "bot/pictures/disk.py", "Disk.put"),
    ("default-fallback", "config", "personality", "bot/config/layers.py", "Layers.resolve"),
    ("canary-flow", "outbound", "webui-socket", "bot/webui/rooms.py", "Rooms.broadcast"),
)


def fingerprint(number: int) -> str:
    return f"{0xA1B2C3D4E5F60718 + number * 7919:016x}"


def make_plan(number: int) -> Plan:
    return Plan(
        seed=number,
        twins=TwinSpec(seed=number),
        steps=(
            Step(entry="api", action="send_picture", who="A", payload={"text": f"keep {CANARY} to yourself"}),
            Step(entry="api", action="mention", who="B", payload={"text": "hello", "group": KEY}, gap=0.5),
        ),
        tape=(Deviation(kind="hold", lineage="A.0", site="bot.planner:Planner.plan", amount=2.0),),
    )


def make_finding(number: int = 0, items: tuple[str, ...] = ("item-000",)) -> FindingRecord:
    rule, sink, surface, file, function = PLACES[number % len(PLACES)]
    if number >= len(PLACES):
        surface = f"{surface}-{number // len(PLACES)}"
    site = Site(file, 40 + number, function)
    mark = fingerprint(number)
    return FindingRecord(
        fingerprint=mark,
        rule=rule,
        sink=sink,
        entry=ENTRIES[number % 4],
        dimension="T",
        source="A",
        observer="B",
        surface=surface,
        key=KEY,
        site=site,
        items=items,
        message=f"B met {surface}[{KEY}], which holds A's message {CANARY}",
        witness=f"witnesses/{mark}.json",
        steps=2,
        deviations=1,
        delays_only=False,
        entries=(ENTRIES[number % 4], "webui"),
        dimensions=("T", "C"),
        occurrences=17 + number,
        replays=(10, 10),
        timeline=(
            TimelineEvent(lane="A", kind="step", at=0.0, text=f"A sends a picture saying {CANARY}"),
            TimelineEvent(
                lane="A", kind="access", at=0.012, text=f"writes {surface}[{KEY}]", site=Site(file, 31, "put")
            ),
            TimelineEvent(lane="-", kind="switch", at=0.02, text="A waits for the model; B goes on"),
            TimelineEvent(lane="B", kind="step", at=0.5, text="B mentions the bot in the group of the same id"),
            TimelineEvent(lane="B", kind="access", at=0.51, text="reads its own configuration"),
            TimelineEvent(
                lane="B", kind="violation", at=0.52, text=f"reads {surface}[{KEY}], which A wrote", site=site
            ),
        ),
        provenance=(
            ProvenanceRecord(kind="step", who="B", context="-", text=f"step 1 of B begins, saying {CANARY}"),
            ProvenanceRecord(
                kind="task",
                who="B",
                context="-",
                text="task Worker.run is created by B's step 1, under no context",
                site=Site("bot/worker.py", 12, "Worker.begin"),
                parted=True,
            ),
        ),
        stack=(f"{file}:{function}", "bot/handler.py:handle", "bot/main.py:serve"),
    )


def make_item(number: int, verdict: VerdictName, findings: tuple[str, ...] = ()) -> ItemRecord:
    why = {
        "open": f"{len(findings)} findings are attributed to it",
        "waived": "accepted in the baseline",
        "inert": "row on api: reached 41 times, but the owner never read its own marker back",
        "not_exercised": "file on timer was reached 3 times by A only; 20 times by both are needed",
        "closed": "5 cells reached by both twins, controls held, no rule fired",
        "not_applicable": "belongs to the four-dimensional generation; this target claims to be saas",
    }[verdict]
    states: dict[str, tuple[int, bool | None]] = {
        "inert": (41, False),
        "not_exercised": (3, None),
        "not_applicable": (0, None),
    }
    count, control = states.get(verdict, (120, True))
    cells = tuple(
        CellRecord(
            sink=SINKS[(number + i) % len(SINKS)],
            entry=ENTRIES[i % len(ENTRIES)],
            dimension="TACP"[i % 4],
            predicate="apart",
            count=count + i,
            control=control,
            state=verdict,
            twins=("A", "B") if control else ("A",),
            why="" if control else why,
        )
        for i in range(2 + number % 4)
    )
    return ItemRecord(
        id=f"item-{number:03d}",
        group=f"{'ABCDEFGH'[number % 8]}. Group of risks number {number % 8} (caches, tasks, tools)",
        module=f"src/area_{number % 20}/module_{number}.py (`SomeManager`)",
        verdict=verdict,
        why=why,
        findings=findings,
        cells=cells,
        defect="A value cached under the chat id alone is answered to another tenant whose chat has the same id.",
        mitigation="Key the cache by (tenant, agent, chat) and refuse a call without context.",
        documents=Documents(
            say="PROG 12-06 'done'; VERIF 12-06 'still shared'",
            status=("solved", "open", "partly", "claimed")[number % 4],
            disagree=number % 5 == 0,
            source="PROG §code; VERIF §1",
        ),
        waiver={"owner": "alice", "reason": "moved in #412", "until": "2026-12-31"} if verdict == "waived" else None,
    )


def make_record(size: int = 24, leaks: int = 8, **changes: Any) -> RunRecord:
    """A record with `size` items and `leaks` findings, spread over all verdicts. The last finding has no item.
    `changes` replace whole fields."""
    made = []
    verdicts = {number: VERDICTS[number % len(VERDICTS)] for number in range(size)}
    opened = [number for number, verdict in verdicts.items() if verdict == "open"]
    owners: dict[int, list[str]] = {number: [] for number in opened}
    for number in range(leaks):
        if opened and number < leaks - 1:
            owner = opened[number % len(opened)]
            owners[owner].append(fingerprint(number))
            made.append(make_finding(number, (f"item-{owner:03d}",)))
        else:
            made.append(make_finding(number, ()))
    rows = tuple(
        make_item(
            number, "closed" if verdict == "open" and not owners[number] else verdict, tuple(owners.get(number, ()))
        )
        for number, verdict in verdicts.items()
    )
    overlays = tuple(
        OverlayRecord(
            name=f"fault-{name}",
            kind="fault",
            rule=rule,
            items=(f"item-{number:03d}",),
            killed=True,
            right_rule=True,
            steps=2,
            deviations=number % 2,
            detail=f"found as {rule}, with {CANARY}",
        )
        for number, (name, rule) in enumerate((("stream-id", "shared-key"), ("unscoped-select", "foreign-read")))
    )
    fields: dict[str, Any] = {
        "run": RunInfo(
            target="sample",
            target_version="31e15223",
            harness_version="0.1.0",
            profile="ci",
            seed=7,
            python="3.11.9",
            plans=1200,
            steps=5400,
            seconds=212.4,
            overlap=0.71,
            hidden=(
                {"what": "the model", "hides": "what a real model would repeat of its prompt", "module": "bot/llm/*"},
                {"what": "outgoing connections", "hides": "errors of the wire", "module": ""},
            ),
            shared=({"sink": "file", "surface": "packs/*", "reason": "public picture packs, the same for everybody"},),
            regions=(
                {
                    "entry": "api",
                    "site": "bot/api.py:authenticate",
                    "surfaces": "api_key",
                    "reason": "before the credential is known",
                },
            ),
            started="2026-03-02T09:30:00Z",
            environment={"platform": "linux", "peewee": "3.18.3", "schema": "fc10bf4"},
        ),
        "items": rows,
        "matrix": tuple(
            MatrixCell(
                sink=sink,
                entry=entry,
                accesses=(i * 977 + j * 131) % 5000,
                findings=sum(f.sink == sink and f.entry == entry for f in made),
                accesses_by={"T": (i * 977 + j * 131) % 5000},
                findings_by={"T": n} if (n := sum(f.sink == sink and f.entry == entry for f in made)) else {},
            )
            for i, sink in enumerate(SINKS)
            for j, entry in enumerate(ENTRIES)
        ),
        "findings": tuple(made),
        "errors": (
            ErrorRecord(
                kind="hang", message=f"plan 4711 did not end within 20 s; last line: {CANARY}", where="fork", count=2
            ),
            ErrorRecord(
                kind="thread", message="the bot started thread tenant-config-loop", where="bot/config/loop.py:12"
            ),
        ),
        "soundness": Soundness(
            faults=2,
            killed=2,
            right_rule=2,
            controls=20,
            false_positives=0,
            clean_plans=3000,
            bound95=0.001,
            probes=dict.fromkeys(SINKS, True),
            overlays=overlays,
            pairs={"plans": 30, "equal": 57, "moved": 2, "differs": 1},
        ),
        "performance": Performance(plans_per_second=27.5, overhead_ratio=1.42, fork_ms=11.2),
        "requirements": (
            RequirementRecord(
                id="runtime-keys",
                number=4,
                text="Tenants at work at the same time keep their values.",
                source="STRAT",
                outcome="broken",
                why="values of timers stay apart: 1 finding (shared-key)",
                findings=tuple(finding.fingerprint for finding in made[:1]),
                claims=(
                    ClaimRecord(
                        about="values of timers stay apart",
                        outcome="broken",
                        why="1 finding (shared-key)",
                        cells=tuple(cell for item in rows[:1] for cell in item.cells[:1]),
                    ),
                ),
            ),
            RequirementRecord(
                id="self-check",
                number=6,
                text="Starting reports old files.",
                source="DISK",
                outcome="not_exercised",
                why="this bot has no <self-check>",
            ),
        ),
        "unclaimed": (
            UnclaimedRecord(
                sink="key",
                surface="bot.extras:seen",
                entries=("api",),
                accesses=12,
                holding="written by tenants",
                twins=("A", "B"),
                site=Site("bot/extras.py", 7, "note_seen"),
            ),
        ),
        "calls": (
            CallRecord(entry="plugin", name="chat_api.get_<stream>", own=8, crossed_failed=4, bare_failed=4),
            CallRecord(entry="webui", name="GET /history", own=6, crossed=2),
        ),
        "unserved": (
            UnservedRecord(
                entry="timer",
                name="remember",
                tries=12,
                outcomes={"cancelled": 2, "raised": 10},
                error=f"OperationalError: no such table: kept for {CANARY}",
            ),
            UnservedRecord(entry="webui", name="GET /gone", tries=4, outcomes={"refused": 4}, error="404", call=True),
        ),
        "witnesses": {finding.fingerprint: make_plan(number).to_json() for number, finding in enumerate(made)},
    }
    fields.update(changes)
    return RunRecord(**fields)
