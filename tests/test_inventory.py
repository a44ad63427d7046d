"""The inventory of a booted bot: what there is, whether or not a plan reached it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from harness import touring
from harness.inventory import Inventory
from harness.plan import Plan, Step
from harness.pool import Pool
from tests.cli_support import isolation

SPEC = "tests.survey_target:FurnishedTarget"
BOT = "fixtures.reference_bot"
SHORT = 12
"""Plans of the tour that are enough for what is printed."""
HELLO = Plan(
    steps=(Step(entry="api", action="mention", who="A", payload={"text": "{message}"}),), overlays=("furnished",)
)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(SPEC, jobs=1) as made:
        yield made


@pytest.fixture(scope="module")
def found(pool: Pool) -> Inventory:
    return pool.survey(HELLO, ("webui.py", "plug*.py"))


def test_tables_with_owner_columns_and_keys(found: Inventory) -> None:
    tables = {table.name: table for table in found.tables}
    assert len(tables) == 23
    messages = tables["messages"]
    assert (messages.database, messages.primary, messages.owners) == ("data/bot.db", ("id",), ("tenant_id", "agent_id"))
    assert messages.unique == (("tenant_id", "agent_id", "message_id"),)
    assert messages.indexed("tenant_id") and not messages.indexed("agent_id")
    assert not tables["api_keys"].indexed("tenant_id")


def test_containers_say_how_they_are_watched_and_objects_their_cells(found: Inventory) -> None:
    streams = next(one for one in found.containers if one.surface == f"{BOT}.streams.streams._streams")
    assert (streams.kind, streams.watched) == ("dict", "every access")
    assert streams.elements > 0
    stream = next(one for one in found.holders if one.surface == f"{BOT}.streams.streams._streams[][]")
    assert {"channel", "credential"} <= set(stream.cells)


def test_clients_are_listed_once_wherever_they_are_kept_and_nothing_is_asked(found: Inventory) -> None:
    clients = [(one.surface, one.kind) for one in found.clients if one.surface.startswith(f"{BOT}.sender.")]
    assert clients == [(f"{BOT}.sender.clients[]", "httpx.Client"), (f"{BOT}.sender.http", "httpx.Client")]
    assert any(one.kind == "peewee.SqliteDatabase" for one in found.clients)


def test_caches_of_functions(found: Inventory) -> None:
    assert found.caches == (f"{BOT}.sender.letter()",)


def test_routes_come_with_their_methods_and_code(found: Inventory) -> None:
    routes = {(route.path, route.methods): route.endpoint for route in found.routes}
    assert routes["/history", ("GET",)] == "webui.py:history"
    assert routes["/chat", ("WS",)] == "webui.py:chat"
    assert {code.partition(":")[0] for code in routes.values()} == {"webui.py", "rest.py"}, (
        "somebody else's routes are not the bot's"
    )


def test_tasks_and_handlers(found: Inventory) -> None:
    tasks = {task.code: task.count for task in found.tasks}
    assert tasks == {"heartflow.py:ChatLoop.run": 1, "tasks.py:TaskManager._loop": 13}
    handlers = {(one.surface, one.code) for one in found.handlers}
    assert (f"{BOT}.commands.REGISTRY[]", "plugins.py:Notes.note") in handlers


def test_public_functions_of_the_modules_that_were_named(found: Inventory) -> None:
    assert {one.module for one in found.functions} == {f"{BOT}.plugin_api", f"{BOT}.plugins", f"{BOT}.webui"}
    history = next(one for one in found.functions if one.name == "history")
    assert (history.kind, history.parameters) == (
        "coroutine",
        "(chat: str = ..., page: int = ..., size: int = ..., identity: Identity = ...)",
    )
    assert not [one.name for one in found.functions if one.name.rpartition(".")[2].startswith("_")]


def test_taking_it_changes_no_trace(pool: Pool) -> None:
    plain, looked = pool.run(HELLO), next(pool.map([HELLO], survey=()))
    assert plain.trace is not None and looked.trace is not None
    assert plain.trace.digest() == looked.trace.digest()
    assert plain.inventory is None and looked.inventory is not None


def test_the_command_prints_one_document_for_machines_of_the_whole_tour() -> None:
    said = isolation("inventory", "--format", "json")
    assert said.exit_code == 0, said.output
    made = json.loads(said.stdout)
    assert msgspec.convert(made["inventory"], Inventory).routes
    assert made["unclaimed"] == []


def test_the_command_prints_groups_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = touring.tour
    monkeypatch.setattr(touring, "tour", lambda *actions, **more: whole(*actions, **more)[:SHORT])
    said = isolation("inventory")
    assert said.exit_code == 0, said.output
    assert "tables (23)" in said.stdout.splitlines()
    assert said.stdout.splitlines()[-1] == "tenant places that no risk item claims (0)"
    assert any(line.startswith("key ") and "streams._streams " in line for line in said.stdout.splitlines())
    bare = isolation("inventory", "--unclaimed")
    assert bare.stdout == "tenant places that no risk item claims (0)\n"
