"""Each rule fires on the leak it names and stays silent on the correct behaviour next to it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.judge import judge
from harness.principal import TwinSpec
from harness.riskmap import Demand, Pattern
from harness.target import Region, Shared
from harness.trace import Access, StepRecord
from tests.evidence_factory import FACTS, access, trace

OWNED: dict[str, Any] = {"owned_by": "columns"}


def rules(*accesses: Access, facts: Any = FACTS) -> list[str]:
    return [finding.rule for finding in judge(trace(*accesses), facts)]


@pytest.mark.parametrize(
    ("op", "rule"), [("read", "foreign-read"), ("write", "foreign-write"), ("delete", "foreign-delete")]
)
def test_touching_what_the_other_owns(op: str, rule: str) -> None:
    assert rules(access(op=op, owner="B", detail=OWNED)) == [rule]


@pytest.mark.parametrize("op", ["read", "write", "delete"])
def test_touching_ones_own_is_silent(op: str) -> None:
    assert rules(access(op=op, owner="A", new_owner="A", detail=OWNED, marks="A")) == []


def test_a_row_that_a_sub_select_only_looked_at_is_silent() -> None:
    assert rules(access(owner="B", detail={**OWNED, "via": "filter"})) == []


def test_first_writer_alone_is_no_proof_but_its_canary_is() -> None:
    first = {"owned_by": "first-writer"}
    assert rules(access(sink="key", owner="B", detail=first)) == []
    assert rules(access(sink="key", owner="B", detail=first, marks="B")) == ["foreign-read"]


def test_inserting_a_row_for_the_other() -> None:
    assert rules(access(op="write", new_owner="B", detail=OWNED)) == ["foreign-write"]


def test_shared_worker_that_serves_each_job_in_its_own_context_is_silent() -> None:
    worker = {"actor": "A", "ambient": "B", "direct": False, "detail": OWNED}
    assert (
        rules(
            access(op="write", new_owner="B", marks="B", **worker),
            access(sink="prompt", op="write", surface="reply", marks="B", **worker),
            access(sink="config", op="read", surface="bot", marks="B", **worker),
        )
        == []
    )


def test_worker_that_keeps_its_first_tenant_writes_the_others_data() -> None:
    stuck = access(op="write", new_owner="A", marks="B", actor="A", ambient="A", direct=False, detail=OWNED)
    assert rules(stuck) == ["canary-flow"]


def test_timer_in_one_context_reading_the_others_row() -> None:
    assert rules(access(actor=None, ambient="A", owner="B", entry="timer", detail=OWNED)) == ["foreign-read"]


def test_reply_to_the_wrong_twin_is_judged_by_the_recipient() -> None:
    assert rules(access(sink="outbound", op="write", new_owner="B", marks="A", detail={"named": True})) == [
        "canary-flow"
    ]
    assert rules(access(sink="outbound", op="write", new_owner="A", marks="A", detail={"named": True})) == []


def test_ones_own_object_in_memory_into_which_the_other_put_something() -> None:
    mine: dict[str, Any] = {"owner": "A", "marks": "B"}
    for sink, owned_by, expected in (
        ("key", "first-writer", ["canary-flow"]), ("key", "target", []), ("row", "columns", []),
    ):  # fmt: skip
        assert rules(access(sink=sink, detail={"owned_by": owned_by}, **mine)) == expected, (sink, owned_by)


def test_event_that_holds_the_others_secret_is_judged_by_whose_flow_it_is() -> None:
    assert rules(access(sink="event", op="read", surface="on_message", marks="B")) == ["canary-flow"]
    assert rules(access(sink="event", op="read", surface="on_message", marks="A")) == []
    assert rules(access(sink="event", op="read", surface="on_start", marks="B", actor=None, ambient="-")) == []


def test_prompt_that_holds_the_others_secret() -> None:
    assert rules(access(sink="prompt", op="write", surface="reply", marks="AB")) == ["canary-flow"]


@pytest.mark.parametrize(
    ("identity", "marks", "expected"),
    [
        ({"shared": ["chat"]}, "", ["shared-key"]),
        ({"shared": ["chat"], "own": ["tenant:A"]}, "", []),
        ({}, "", []),
        ({}, "A", ["shared-key"]),
    ],
)
def test_cell_written_by_one_and_read_by_the_other(identity: Any, marks: str, expected: list[str]) -> None:
    detail = {"owned_by": "first-writer", "identity": identity}
    write = access(sink="key", op="write", surface="bot.CACHE", key="k", detail=detail, marks=marks)
    read = access(sink="key", op="read", surface="bot.CACHE", key="k", actor="B", ambient="B", detail=detail)
    assert rules(write, read) == expected


def test_a_cell_that_a_shared_worker_fills_for_one_and_meets_for_the_other() -> None:
    detail = {"owned_by": "first-writer", "identity": {"shared": ["chat"]}}
    cell: dict[str, Any] = {"sink": "key", "surface": "bot.CACHE", "key": "k", "direct": False, "detail": detail}
    first = access(op="write", **cell)
    assert rules(first, access(op="read", actor="A", ambient="B", **cell)) == ["shared-key"]
    assert rules(first, access(op="read", actor="A", ambient="A", **cell)) == []


def test_a_file_that_is_opened_by_the_other_and_then_shows_what_was_put_there() -> None:
    def written(label: str, **more: Any) -> list[Access]:
        file: dict[str, Any] = {"sink": "file", "op": "write", "surface": "data/*.txt", "key": "data/chat.txt"}
        who = {"actor": label, "ambient": label}
        opened = access(**file, **who, detail={"owned_by": "first-writer"})
        return [opened, access(**file, **who, detail={"owned_by": "first-writer", "content": True}, **more)]

    assert rules(*written("A", marks="A"), *written("B", marks="B")) == ["shared-key"]
    assert rules(*written("A", marks="A"), *written("B")) == []


def test_what_anybody_may_put_out_of_a_cache_is_no_deletion_but_its_content_is_the_owners() -> None:
    facts = msgspec.structs.replace(FACTS, caches=(Shared(sink="key", surface="bot.NAMES*", reason="read again"),))
    entry: dict[str, Any] = {"sink": "key", "surface": "bot.NAMES", "owner": "B", "detail": {"owned_by": "target"}}
    assert rules(access(op="delete", **entry), facts=facts) == []
    assert rules(access(op="delete", **entry)) == ["foreign-delete"]
    assert rules(access(op="read", **entry), facts=facts) == ["foreign-read"]


@pytest.mark.parametrize(
    "taken", [{"actor": None, "ambient": "-"}, {}], ids=["by a worker of nobody's", "by its writer"]
)
def test_a_place_in_a_queue_is_nobodys_once_it_is_taken(taken: Any) -> None:
    detail = {"owned_by": "first-writer", "identity": {}}
    slot = {"sink": "key", "surface": "bot.QUEUE", "key": "0", "detail": detail}
    put = access(op="write", marks="A", **slot)
    take = access(op="delete", owner="A", **slot, **taken)
    other = access(op="write", actor="B", ambient="B", marks="B", **slot)
    assert rules(put, take, other) == []
    assert rules(put, other) == ["shared-key"]


def test_the_number_of_a_deleted_row_is_given_away_again() -> None:
    swept = msgspec.structs.replace(
        FACTS, shared=(Shared(sink="row", surface="notes", site="*:sweep", reason="swept"),)
    )
    row: dict[str, Any] = {"sink": "row", "surface": "notes", "key": "1", "detail": {"owned_by": "first-writer"}}
    first, second = (access(op="write", actor=who, ambient=who, marks=who, **row) for who in "AB")
    sweep = access(op="delete", actor=None, ambient="-", owner="A", stack=1, **row)

    def told(*accesses: Access) -> list[str]:
        stacks = (("bot.py:f",), ("bot.py:sweep",))
        return [f.rule for f in judge(msgspec.structs.replace(trace(*accesses), stacks=stacks), swept)]

    assert told(first, sweep, second) == []
    assert told(first, second) == ["shared-key"]


def test_a_name_bound_anew_after_a_restart_overwrites_nothing() -> None:
    cell: dict[str, Any] = {"sink": "key", "op": "rebind", "surface": "bot.made", "key": ""}
    cell["detail"] = {"owned_by": "first-writer", "observed": "between"}
    bound = [access(actor=who, ambient=who, marks=who, lineage=f"{who}.0", **cell) for who in "AB"]

    def told(entry: str, who: str | None) -> list[str]:
        step = StepRecord(index=1, entry=entry, action="on", who=who, first_seq=1, last_seq=1, started=0, ended=1)
        return [finding.rule for finding in judge(trace(*bound, steps=(step,)), FACTS)]

    assert told("start", None) == []
    assert told("timer", None) == ["shared-key"]


def test_declared_sharing_is_silent() -> None:
    facts = msgspec.structs.replace(FACTS, shared=(Shared(sink="key", surface="bot.PUBLIC*", reason="a public pack"),))
    detail = {"owned_by": "first-writer", "identity": {"shared": ["chat"]}}
    cells = [
        access(sink="key", op="write", surface="bot.PUBLIC", key="k", detail=detail, marks="A"),
        access(sink="key", op="read", surface="bot.PUBLIC", key="k", actor="B", ambient="B", detail=detail, marks="A"),
    ]
    assert rules(*cells, facts=facts) == []
    assert rules(*cells) != []


def test_sharing_may_be_declared_of_one_piece_of_code_between_chats_alone() -> None:
    shared = Shared(sink="key", surface="bot.LAST", site="bot.py:operator*", within="CP", reason="one operator")
    facts = msgspec.structs.replace(FACTS, shared=(shared,), scoping=("tenant", "agent"), speaks={"platform": ("api",)})
    cell: dict[str, Any] = {"sink": "key", "surface": "bot.LAST", "key": "k", "owner": "B", "marks": "B"}
    cell["detail"] = {"owned_by": "first-writer", "identity": {"own": ["platform:B"]}}
    for dimension, function, expected in (
        ("P", "operator_chat", []), ("P", "reply", ["foreign-read"]), ("T", "operator_chat", ["foreign-read"]),
    ):  # fmt: skip
        made = trace(access(**cell))
        twins = msgspec.structs.replace(made.twins, spec=TwinSpec(dimension=dimension))
        met = msgspec.structs.replace(made, twins=twins, stacks=((f"bot.py:{function}", "api.py:handle"),))
        assert [f.rule for f in judge(met, facts)] == expected, (dimension, function)


def test_of_one_agents_rows_who_wrote_first_is_no_proof_of_whose_they_are() -> None:
    facts = msgspec.structs.replace(FACTS, scoping=("tenant", "agent"), speaks={"platform": ("api",)})
    demand = Demand(item="i", sink="row", entry="api", patterns=(Pattern(surface="streams"),), predicate="apart",
                    dimension="P")  # fmt: skip
    for dimension, owned_by, marks, expected in (
        ("P", "first-writer", "", []), ("P", "first-writer", "B", ["unscoped-constraint"]),
        ("P", "columns", "", ["unscoped-constraint"]), ("T", "first-writer", "", ["unscoped-constraint"]),
    ):  # fmt: skip
        detail = {"statement": "replace", "owned_by": owned_by}
        made = trace(access(op="delete", surface="streams", owner="B", detail=detail, marks=marks))
        met = msgspec.structs.replace(
            made, twins=msgspec.structs.replace(made.twins, spec=TwinSpec(dimension=dimension))
        )
        assert [f.rule for f in judge(met, facts, [demand])] == expected, (dimension, owned_by, marks)


def test_owned_row_without_context() -> None:
    assert rules(access(ambient="-", owner="A", detail=OWNED)) == ["context-missing"]
    assert rules(access(ambient="-", owner=None, surface="settings")) == []


def test_prompt_without_context_that_carries_somebodys_data() -> None:
    assert rules(access(sink="prompt", op="write", surface="vision", ambient="-", marks="A")) == ["context-missing"]
    assert rules(access(sink="prompt", op="write", surface="vision", ambient="-")) == []


def test_fallback_generation_may_go_without_context() -> None:
    facts = msgspec.structs.replace(FACTS, refuses=False)
    assert rules(access(ambient="-", owner="A", detail=OWNED), facts=facts) == []


def test_declared_region_before_the_credential_is_known() -> None:
    region = Region(entry="api", site="bot.py:*", surfaces=("api_keys",), reason="looks the key up")
    facts = msgspec.structs.replace(FACTS, regions=(region,))
    assert rules(access(ambient="-", owner="A", surface="api_keys", detail=OWNED), facts=facts) == []
    assert rules(access(ambient="-", owner="A", surface="messages", detail=OWNED), facts=facts) == ["context-missing"]


def test_a_region_excuses_nobody_from_meeting_the_others_rows() -> None:
    region = Region(entry="api", site="bot.py:*", surfaces=("api_keys",), reason="looks the key up")
    facts = msgspec.structs.replace(FACTS, regions=(region,))
    assert rules(access(ambient="-", owner="B", surface="api_keys", detail=OWNED), facts=facts) == ["foreign-read"]


def test_step_of_one_in_the_context_of_the_other() -> None:
    mixed = access(actor="A", ambient="B", owner="B", detail=OWNED)
    assert "context-mismatch" in rules(mixed)
    assert rules(access(actor="A", ambient="B", direct=False, owner="B", detail=OWNED)) == []


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"level": "default", "overridden": True, "announced": False}, ["default-fallback"]),
        ({"level": "default", "overridden": True, "announced": True}, []),
        ({"level": "default", "overridden": False, "announced": False}, []),
        ({"level": "agent", "overridden": True, "announced": False}, []),
    ],
)
def test_default_that_answers_for_a_tenant(detail: Any, expected: list[str]) -> None:
    assert rules(access(sink="config", surface="bot", detail=detail)) == expected


def test_unique_key_of_the_other_in_the_way() -> None:
    detail = {"constraint": ["people.person_id"], "error": "IntegrityError"}
    assert rules(access(op="error", owner="B", surface="people", detail=detail)) == ["unscoped-constraint"]
    assert rules(access(op="error", owner="A", surface="people", detail=detail)) == []


def test_replace_that_displaces_the_others_row() -> None:
    detail = {"statement": "replace", **OWNED}
    assert rules(access(op="delete", owner="B", detail=detail)) == ["unscoped-constraint"]


@pytest.mark.parametrize(
    ("new_owner", "owned_by", "sql", "expected"),
    [
        ("A", "columns", "REPLACE", ["unscoped-constraint"]),
        ("B", "columns", "REPLACE", []),
        ("A", "first-writer", "REPLACE", []),
        ("A", "columns", "INSERT", []),
    ],
)
def test_replace_by_nobody_is_told_by_the_row_it_wrote(
    new_owner: Any, owned_by: str, sql: str, expected: list[str]
) -> None:
    nobody: dict[str, Any] = {"actor": None, "ambient": "-"}
    gone = access(op="delete", owner="B", detail={"statement": "replace", "sql": "REPLACE", **OWNED}, **nobody)
    put = access(op="write", new_owner=new_owner, detail={"owned_by": owned_by, "sql": sql}, **nobody)
    assert [rule for rule in rules(gone, put) if rule != "context-missing"] == expected


def test_fingerprint_ignores_line_key_and_plan() -> None:
    one = judge(trace(access(owner="B", detail=OWNED)), FACTS)[0]
    moved = access(owner="B", detail=OWNED, key="77", site=msgspec.structs.replace(access().site, line=99))
    assert judge(trace(access(), moved), FACTS)[0].fingerprint == one.fingerprint
    elsewhere = access(owner="B", detail=OWNED, site=msgspec.structs.replace(access().site, function="g"))
    assert judge(trace(elsewhere), FACTS)[0].fingerprint != one.fingerprint
