"""Every fault of the reference bot opens the leak it is named after, and without it there is no such leak."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.overlays import reference
from fixtures.reference_bot import config, storage, store
from fixtures.reference_bot.emoji import emojis
from fixtures.reference_bot.expressions import expressions
from fixtures.reference_bot.identity import Identity, IdentityMissing, acting, peek
from fixtures.reference_bot.llm import client
from fixtures.reference_bot.messages import messages
from fixtures.reference_bot.runtime import runtime
from fixtures.reference_bot.streams import streams
from fixtures.reference_bot.topics import topics
from fixtures.reference_bot.worker import worker
from fixtures.targets.reference import ReferenceTarget
from fixtures.targets.reference_state import FULL
from harness.principal import Principal, Twins
from harness.rules import registry
from harness.rules.interference import RULE
from tests.test_reference_bot_alone import Ear, play, until

Leak = Callable[[ReferenceTarget, Twins, Ear], Awaitable[bool]]
"""Whether B meets what is A's."""

LEAKS: dict[str, tuple[Leak, str]] = {}

FAULTS = [fault for fault in reference.FAULTS if not fault.overlap]  # those are tried in test_order_faults.py


def leak(name: str, dimension: str = "T") -> Callable[[Leak], Leak]:
    """The leak that a fault opens between twins that differ in `dimension`."""

    def keep(function: Leak) -> Leak:
        LEAKS[name] = function, dimension
        return function

    return keep


def act(who: Principal) -> Any:
    return acting(Identity(who.tenant, who.agent))


async def api(target: ReferenceTarget, who: Principal, text: str, **more: Any) -> None:
    await target.deliver("api", "command" if text.startswith("/") else "text", who, {"text": who.render(text), **more})


async def rows_of(who: Principal, table: type[store.Owned]) -> int:
    with act(who):
        return int(table.read().count())


@leak("stream-id-without-tenant")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    with act(twins.b):
        return any(stream.owner.tenant == twins.a.tenant for stream in streams.own())


@leak("description-by-content")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await target.deliver("api", "picture", who, {"slot": "picture"})
    with act(twins.b):
        return twins.a.secrets["description"] in str([row.text for row in store.MessageRow.read()])


@leak("state-without-owner")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        await runtime.set("mark", "A's")
    with act(twins.b):
        return bool(await runtime.get("mark") == "A's")


@leak("emoji-one-list")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        mine = await emojis.upload(b"a picture only A has")
    with act(twins.b):
        return mine in emojis.own()


@leak("history-by-group")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await api(target, who, "{message}")
    with act(twins.b):
        rows = await messages.recent(streams.own()[0].stream_id, 20)
    return any(row.text == twins.a.secrets["message"] for row in rows)


@leak("forget-everybody")
async def leak_of_forgetting(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    store.MessageRow.update(time=0.0).execute()
    with act(twins.b):
        await messages.forget_old()
    return await rows_of(twins.a, store.MessageRow) == 0


@leak("autosave-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    store.StreamRow.update(updated=0.0).execute()
    with act(twins.b):
        await streams.save_own()
    return bool(store.StreamRow.get().updated > 0)


@leak("usage-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        store.UsageRow.add(model="m", purpose="p", tokens=777777, time=0.0)
    page = await target.deliver("webui", "statistics", twins.b, {})
    tokens = re.search(r"<td>tokens</td><td>(\d+)</td>", page["page"])
    assert tokens is not None
    return int(tokens[1]) >= 777777


@leak("person-by-id")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "/name {name}")
    await api(target, twins.b, "/notes")
    with act(twins.b):
        return twins.a.secrets["name"] in str([row.sender for row in store.MessageRow.read()])


@leak("person-unique-for-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    try:
        await api(target, twins.b, "hi")
    except store.peewee.IntegrityError:
        return True
    return False


@leak("phrases-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        await expressions.learn("stream of A", ["a phrase of A"])
    with act(twins.b):
        return bool(await expressions.known("stream of B"))


@leak("webui-history-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    return twins.a.secrets["message"] in str(await target.deliver("webui", "history", twins.b, {"all": True}))


@leak("boot-loads-all-streams")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    with act(twins.b):
        return bool(await streams.load_own())


@leak("emoji-folder-without-tenant")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        mine = await emojis.upload(b"a picture only A has")
    with act(twins.b):
        return (config.storage.own(mine.path)).exists()


@leak("statistics-one-page")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "/note {command}")
    await target.deliver("timer", "run", twins.a, {"task": "statistics"})
    return twins.a.secrets["command"] in str(await target.deliver("webui", "statistics", twins.b, {}))


@leak("plugin-file-without-tenant")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "/note {command}")
    await api(target, twins.b, "/notes")
    return "1 kept" in ear.heard_by(twins.b)


@leak("scan-of-all-folders")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        config.storage.own("emoji", "secret.png").write_bytes(b"a picture only A has")
    with act(twins.b):
        await emojis.scan()
        return any(emoji.path == "emoji/secret.png" for emoji in emojis.own())


@leak("config-cache-by-agent")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    config.settings.forget()
    with act(twins.a):
        config.settings.get("persona", "style")
    with act(twins.b):
        return bool(config.settings.get("persona", "style") == twins.a.secrets["prompt"])


@leak("config-default-silent")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    config.settings.forget()
    with act(twins.b):
        config.settings.get("persona", "style")
    return ear.reads[-1][3:] == ("default", True, False)


@leak("config-of-first-tenant")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    config.settings.forget()
    read = []
    for who in (twins.a, twins.b):
        with act(who):
            read.append(config.settings.get("persona", "style"))
    return read[0] == read[1]


@leak("config-rewritten-at-boot")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    text = (config.storage.data() / "config" / "default.json").read_text("utf-8")
    return any(who.secrets["prompt"] in text for who in (twins.a, twins.b))


@leak("prompt-with-last-topic")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        await topics.update("stream of A", ["what A talks about"])
    with act(twins.b):
        return bool(await topics.of("stream of B"))


@leak("heartflow-by-group")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await target.deliver("api", "mention", who, {"text": who.secrets["message"]})

    def asked(*secrets: str) -> bool:
        return any(model == "reply" and all(secret in text for secret in secrets) for model, text in ear.prompts)

    both = [who.secrets["message"] for who in (twins.a, twins.b)]
    await until(lambda: all(asked(secret) for secret in both))
    return asked(*both)


@leak("worker-keeps-first-tenant")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    served = []
    for who in (twins.a, twins.b):
        with act(who):
            served.append(await worker.do(_whoami))
    return served[0] == served[1]


async def _whoami() -> Identity | None:
    return peek()


@leak("reply-to-last-connection")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await target.deliver("api", "mention", twins.a, {"text": twins.a.secrets["message"]})
    await api(target, twins.b, "/notes")
    await until(lambda: any(twins.a.secrets["message"] in text for _, text, _ in ear.out))
    return twins.a.secrets["message"] in ear.heard_by(twins.b)


@leak("webui-broadcast")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.b, twins.a):
        await target.deliver("webui", "chat", who, {"text": who.secrets["message"]})
    # A's step may end with a reply that was B's: the answer to A is what counts.
    await until(lambda: twins.a.secrets["message"] in ear.heard_by(twins.a))
    for _ in range(20):
        await asyncio.sleep(0)
    return twins.a.secrets["message"] in ear.heard_by(twins.b)


@leak("notes-in-the-plugin")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await api(target, who, "/note {command}")
    return twins.a.secrets["command"] in ear.heard_by(twins.b)


async def command(target: ReferenceTarget, who: Principal, text: str) -> str:
    return str(await target.deliver("plugin", "command", who, {"text": who.render(text)}))


@leak("plugin-state-for-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    return twins.a.secrets["message"] in await command(target, twins.b, "/last")


@leak("plugin-settings-of-the-first")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await command(target, twins.a, "/last")
    return twins.a.secrets["plugin"] in await command(target, twins.b, "/last")


@leak("event-with-the-last-message")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    ear.events.clear()
    await api(target, twins.b, "hi")
    return any(twins.a.secrets["message"] in text for _, text in ear.events)


@leak("autosave-without-context")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    store.ActiveState.delete().execute()
    try:
        return bool(await target.deliver("timer", "tick", None, {"task": "autosave"}))
    except RuntimeError:
        return False


@leak("on-start-reads-rows")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    seen: list[str] = []
    plain = store.database.execute_sql

    def spy(sql: str, *args: Any, **kwargs: Any) -> Any:
        if peek() is None:
            seen.append(sql)
        return plain(sql, *args, **kwargs)

    store.database.execute_sql = spy
    try:
        await target.restart()
    finally:
        del store.database.execute_sql
    return any('"streams"' in sql for sql in seen)


@leak("key-of-last-caller")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await api(target, who, "/note {command}")
    return await rows_of(twins.a, store.NoteRow) == 2


@leak("identity-from-payload")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    forged = {"tenant_id": twins.a.tenant, "agent_id": twins.a.agent}
    await target.deliver("api", "text", twins.b, {"text": "/note forged", "extra": forged})
    return await rows_of(twins.a, store.NoteRow) == 1


@leak("reply-to-key-in-payload")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "/note mine")
    heard = ear.heard_by(twins.a)
    await target.deliver("api", "text", twins.b, {"text": "/notes", "extra": {"key": twins.a.credential}})
    return ear.heard_by(twins.a) != heard


@leak("webui-tenant-from-query")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    query = {"tenant": twins.a.tenant, "agent": twins.a.agent}
    page = await target.deliver("webui", "history", twins.b, {"all": True, "query": query})
    return twins.a.secrets["message"] in str(page)


@leak("state-cell-joined")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with acting(Identity("a_b", "c")):
        await runtime.set("mark", "theirs")
    with acting(Identity("a", "b_c")):
        return bool(await runtime.get("mark") == "theirs")


@leak("folder-made-safe")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    folders = set()
    for tenant in ("a/b", "a_b"):
        with acting(Identity(tenant, "c")):
            folders.add(storage.own_folder("emoji"))
    return len(folders) == 1


@leak("rows-by-beginning")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with acting(Identity("t10", "c")):
        store.NoteRow.add(author="x", text="theirs", time=0.0)
    with acting(Identity("t1", "c")):
        return bool(store.NoteRow.read().count())


@leak("config-cache-folded")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with acting(Identity("Tenant", "c")):
        config.settings.write_agent("persona", "style", "theirs")
        config.settings.get("persona", "style")
    with acting(Identity("tenant", "c")):
        return bool(config.settings.get("persona", "style") == "theirs")


@leak("key-cache-outlives-owner")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await target.deliver("api", "passed", who, {"text": "/note mine"})
    return await rows_of(twins.a, store.NoteRow) == 2


@leak("messages-by-stream-alone")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    with act(twins.a):
        theirs = streams.own()[0].stream_id
    with act(twins.b):
        return len(await messages.recent(theirs, 20)) > 0


@leak("last-by-stream-alone")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    with act(twins.a):
        theirs = streams.own()[0].stream_id
    with act(twins.b):
        return streams.last(theirs) != ""


@leak("count-without-context")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    try:
        return await messages.count() > 0
    except IdentityMissing:
        return False


@leak("config-last-good-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    settings = config.settings
    settings.forget()
    with act(twins.a):
        settings.get("persona", "style")
    default = storage.data() / "config" / "default.json"
    default.unlink()
    default.mkdir()
    settings.forget()
    with act(twins.b):
        try:
            return bool(settings.get("persona", "style") == twins.a.secrets["prompt"])
        except (OSError, config.ConfigError):
            return False


@leak("answer-before-the-error")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        await client.ask("topic", twins.a.secrets["message"])

    class Silent:
        async def complete(self, request: Any) -> str:
            raise httpx.ReadTimeout("no answer")

    client.transport, former = Silent(), client.transport
    try:
        with act(twins.b):
            return twins.a.secrets["message"] in await client.ask("topic", "hi")
    except httpx.HTTPError:
        return False
    finally:
        client.transport = former


@leak("monthly-cleanup-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    return await leak_of_forgetting(target, twins, ear)


@leak("flagged-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    store.MessageRow.update(kind="flagged").execute()
    page = await target.deliver("webui", "statistics", twins.b, {})
    return "<td>flagged</td><td>1" in page["page"] or "<td>flagged</td><td>2" in page["page"]


@leak("stale-streams-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "hi")
    store.StreamRow.update(updated=0.0).execute()
    with act(twins.b):
        await streams.save_own()
    return bool(store.StreamRow.get().channel == "stale")


# -- within one tenant: the twins differ in their agent, chat or platform alone ------------------------------------


@leak("config-by-tenant", dimension="A")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        config.settings.get("persona", "style")
    with act(twins.b):
        return bool(config.settings.get("persona", "style") == twins.a.secrets["prompt"])


@leak("description-by-tenant", dimension="A")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await target.deliver("api", "picture", who, {"slot": "picture"})
    with act(twins.b):
        return twins.a.secrets["description"] in str([row.text for row in store.MessageRow.read()])


@leak("stream-id-without-chat", dimension="C")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    return await one_stream(target, twins)


@leak("history-of-all-chats", dimension="C")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.b):
        await api(target, who, "{message}")
    with act(twins.b):
        rows = await messages.recent(streams.stream_id(twins.b.platform, twins.b.chat), 20)
    return any(row.text == twins.a.secrets["message"] for row in rows)


@leak("last-message-of-the-agent", dimension="C")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    await api(target, twins.a, "{message}")
    with act(twins.b):
        return twins.a.secrets["message"] in streams.last(streams.stream_id(twins.b.platform, twins.b.chat))


@leak("stream-id-without-platform", dimension="P")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    return await one_stream(target, twins)


async def one_stream(target: ReferenceTarget, twins: Twins) -> bool:
    for who in (twins.a, twins.b):
        await api(target, who, "hi")
    with act(twins.a):
        return len(streams.own()) == 1


@leak("trim-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    target.furnish("full")
    with act(twins.a):
        await emojis.load()
        await emojis.scan()
    return await rows_of(twins.b, store.EmojiRow) < FULL


@leak("scan-of-old-folder")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    target.furnish("legacy")
    (config.storage.data() / "emoji" / "old.png").write_bytes(b"a picture only A had")
    with act(twins.b):
        await emojis.scan()
        return any(config.storage.own(emoji.path).read_bytes() == b"a picture only A had" for emoji in emojis.own())


LEAKY = [fault.name for fault in FAULTS if fault.rule != RULE]
"""Faults by which something crosses; the others are felt, and tried in pairs (`test_interference`)."""


def crosses(folder: Path, name: str, *, broken: bool) -> bool:
    fault = next(fault for fault in FAULTS if fault.name == name)
    shows, dimension = LEAKS[name]
    answers: list[bool] = []

    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        answers.append(await shows(target, twins, ear))

    play(folder, body, patch=fault.apply if broken else None, dimension=dimension)
    return answers[0]


@pytest.mark.parametrize("name", LEAKY)
def test_the_fault_opens_its_leak(tmp_path: Path, name: str) -> None:
    assert crosses(tmp_path, name, broken=True)


@pytest.mark.parametrize("name", LEAKY)
def test_without_the_fault_there_is_no_such_leak(tmp_path: Path, name: str) -> None:
    assert not crosses(tmp_path, name, broken=False)


def test_the_faults_cover_every_rule_and_stand_for_known_items() -> None:
    names = [fault.name for fault in reference.FAULTS]
    assert len(set(names)) == len(names) >= 14
    assert {fault.rule for fault in FAULTS} == {*registry(), RULE}
    path = ReferenceTarget().risk_map()
    known = {item["id"] for item in json.loads(path.read_text("utf-8"))["items"]}
    assert not [(fault.name, item) for fault in FAULTS for item in fault.items if item not in known]
