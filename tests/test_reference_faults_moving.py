"""Every fault of the reference bot where data moves opens the leak it is named after, and without it there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import peewee
import pytest

from fixtures.reference_bot import config, storage, store
from fixtures.reference_bot.identity import Identity, IdentityMissing, acting, peek
from fixtures.reference_bot.jargon import jargon
from fixtures.reference_bot.llm import client
from fixtures.reference_bot.messages import messages
from fixtures.reference_bot.runtime import runtime
from fixtures.reference_bot.streams import streams
from fixtures.reference_bot.topics import topics
from fixtures.reference_bot.worker import worker
from fixtures.targets.reference import ReferenceTarget
from harness.principal import Principal, Twins
from tests.leaks_support import Leaks, act, api, crosses, into, rows_of
from tests.test_reference_bot_alone import Ear, until
from tests.test_reference_faults import leak_of_forgetting

LEAKS: Leaks = {}
leak = into(LEAKS)


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


@leak("found-in-meanings-of-all")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    with act(twins.a):
        await jargon.learn("stream of A", "word")
    with act(twins.b):
        return bool([row for letter in "aeo" for row in await jargon.listed(search=letter)])


@leak("next-page-of-whoever-looked")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    for who in (twins.a, twins.a, twins.b):
        await api(target, who, "{message}")
    with act(twins.a):
        await messages.latest(1)
    with act(twins.b):
        return any(twins.a.secrets["message"] in row.text for row in await messages.latest(1, 1))


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


@leak("usage-written-later")
async def _(target: ReferenceTarget, twins: Twins, ear: Ear) -> bool:
    store.database.execute_sql("ALTER TABLE llm_usage RENAME TO gone")
    with act(twins.a), pytest.raises(peewee.OperationalError):
        await client.ask("topic", "hi")
    store.database.execute_sql("ALTER TABLE gone RENAME TO llm_usage")
    before = await rows_of(twins.b, store.UsageRow)
    with act(twins.b):
        await client.ask("topic", "hi")
    return await rows_of(twins.b, store.UsageRow) == before + 2


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


@pytest.mark.parametrize("name", LEAKS)
def test_the_fault_opens_its_leak(tmp_path: Path, name: str) -> None:
    assert crosses(LEAKS, tmp_path, name, broken=True)


@pytest.mark.parametrize("name", LEAKS)
def test_without_the_fault_there_is_no_such_leak(tmp_path: Path, name: str) -> None:
    assert not crosses(LEAKS, tmp_path, name, broken=False)
