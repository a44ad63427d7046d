"""Every fault of the reference bot where data rests opens the leak it is named after, and without it there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.reference_bot import config, store
from fixtures.reference_bot.emoji import emojis
from fixtures.reference_bot.expressions import expressions
from fixtures.reference_bot.messages import messages
from fixtures.reference_bot.runtime import runtime
from fixtures.reference_bot.streams import streams
from fixtures.targets.reference import ReferenceTarget
from fixtures.targets.reference_state import FULL
from harness.principal import Twins
from tests.leaks_support import Leaks, act, api, crosses, into, rows_of
from tests.test_reference_bot_alone import Ear

LEAKS: Leaks = {}
leak = into(LEAKS)


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


@pytest.mark.parametrize("name", LEAKS)
def test_the_fault_opens_its_leak(tmp_path: Path, name: str) -> None:
    assert crosses(LEAKS, tmp_path, name, broken=True)


@pytest.mark.parametrize("name", LEAKS)
def test_without_the_fault_there_is_no_such_leak(tmp_path: Path, name: str) -> None:
    assert not crosses(LEAKS, tmp_path, name, broken=False)
