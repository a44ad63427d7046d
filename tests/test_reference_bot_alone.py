"""The reference bot by itself, on a stock asyncio loop: two tenants with the same group, each sees only its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.reference_bot import accounts as accounts_module
from fixtures.reference_bot import config, store
from fixtures.reference_bot.accounts import Refused, accounts
from fixtures.reference_bot.activity import AWAKE_SECONDS
from fixtures.reference_bot.identity import Identity, IdentityMissing, acting, current
from fixtures.reference_bot.streams import streams
from fixtures.reference_bot.tasks import NobodyAwake, TaskManager, Timed, manager
from fixtures.targets import reference_model
from fixtures.targets.reference import ReferenceTarget
from harness.principal import Principal, Twins, TwinSpec
from harness.target import Patcher


class Ear:
    """A watch that keeps what left, and for whom."""

    def __init__(self) -> None:
        self.out: list[tuple[str, str, Mapping[str, str | None] | None]] = []
        self.prompts: list[tuple[str, str]] = []
        self.reads: list[tuple[str, str, Any, str, bool, bool]] = []
        self.events: list[tuple[str, str]] = []

    def config(
        self, surface: str, key: str, value: Any, *, level: str, overridden: bool, announced: bool = False
    ) -> None:
        self.reads.append((surface, key, value, level, overridden, announced))

    def prompt(self, model: str, text: str, *, identity: Mapping[str, str | None] | None = None) -> None:
        self.prompts.append((model, text))

    def outbound(self, channel: str, text: str, *, recipient: Mapping[str, str | None] | None) -> None:
        self.out.append((channel, text, recipient))

    def event(self, name: str, text: str) -> None:
        self.events.append((name, text))

    def heard_by(self, who: Principal) -> str:
        """Everything that left for `who`."""
        return "\n".join(text for _, text, to in self.out if to and to.get("tenant") == who.tenant)


@asynccontextmanager
async def running(
    folder: Path, pictures: Any = "equal", patch: Callable[[Patcher], None] | None = None, dimension: str = "T"
) -> AsyncIterator[tuple[ReferenceTarget, Twins, Ear]]:
    """The bot, patched, started, with both twins' accounts."""
    patcher = Patcher()
    patcher.set(reference_model, "LATENCY", (0.0, 0.01))
    target, ear = ReferenceTarget(), Ear()
    target.prepare(folder)
    target.boot(folder)
    twins = target.twins(TwinSpec(pictures=pictures, dimension=dimension))
    target.enter(folder, twins, ear)
    if patch is not None:
        patch(patcher)
    try:
        await target.start()
        yield target, twins, ear
    finally:
        patcher.undo()
        await target.leave()


def play(folder: Path, body: Callable[[ReferenceTarget, Twins, Ear], Awaitable[None]], **more: Any) -> None:
    """Run `body` on a running bot."""

    async def main() -> None:
        async with running(folder, **more) as parts:
            await body(*parts)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something the bot does by itself; fails the test when it never does."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def owned(who: Principal) -> Identity:
    return Identity(who.tenant, who.agent)


def test_a_reply_goes_to_the_tenant_that_asked(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        for who in (twins.a, twins.b):
            await target.deliver("api", "mention", who, {"text": who.render("hi {message}")})
        await until(lambda: all(who.secrets["message"] in ear.heard_by(who) for who in (twins.a, twins.b)))
        for who, other in ((twins.a, twins.b), (twins.b, twins.a)):
            heard = ear.heard_by(who)
            assert who.secrets["config.tenant"] in heard, "the reply speaks in the tenant's own persona"
            assert not [slot for slot, token in other.secrets.items() if token in heard]

    play(tmp_path, body)


def test_the_same_group_is_two_streams(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        ids = set()
        for who in (twins.a, twins.b):
            with acting(owned(who)):
                ids.add(streams.stream_id(who.platform, who.chat))
        assert twins.a.chat == twins.b.chat and len(ids) == 2

    play(tmp_path, body)


def test_an_unknown_key_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        asked = len(ear.prompts)
        with pytest.raises(Refused):
            await target.deliver("api", "unknown_key", twins.a, {"text": "let me in"})
        assert store.MessageRow.select().count() == 0 and len(ear.prompts) == asked

    play(tmp_path, body)


def test_a_key_that_changes_hands_while_it_is_looked_up_is_the_new_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = accounts_module.off

    async def main(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        was, new = (Identity(who.tenant, who.agent) for who in (twins.a, twins.b))
        accounts.reassign("passed on", was)

        async def overtaken(call: Callable[[], Any]) -> Any:
            row = await plain(call)
            accounts.reassign("passed on", new)
            return row

        monkeypatch.setattr(accounts_module, "off", overtaken)
        assert await accounts.resolve_key("passed on") == was, "it was asked before the key changed hands"
        monkeypatch.setattr(accounts_module, "off", plain)
        assert await accounts.resolve_key("passed on") == new

    play(tmp_path, main)


def test_without_a_tenant_everything_refuses(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        with pytest.raises(IdentityMissing):
            config.settings.get("persona", "name")
        with pytest.raises(IdentityMissing):
            streams.stream_id("qq", "1")
        with pytest.raises(IdentityMissing):
            store.MessageRow.read()
        with pytest.raises(IdentityMissing):
            store.NoteRow.add(author="x", text="y", time=0.0)

    play(tmp_path, body)


def test_a_forged_tenant_in_a_message_decides_nothing(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        forged = {"tenant_id": twins.b.tenant, "agent_id": twins.b.agent}
        await target.deliver("api", "text", twins.a, {"text": "/note mine", "extra": forged})
        assert [row.tenant_id for row in store.NoteRow.select()] == [twins.a.tenant]

    play(tmp_path, body)


def test_notes_are_read_back_by_their_owner_only(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        await target.deliver("api", "command", twins.a, {"text": twins.a.render("/note {command}")})
        for who in (twins.a, twins.b):
            await target.deliver("api", "command", who, {"text": "/notes"})
        assert ear.heard_by(twins.a).count(twins.a.secrets["command"]) == 2, "when noted and when asked"
        assert "0 kept" in ear.heard_by(twins.b) and twins.a.secrets["command"] not in ear.heard_by(twins.b)

    play(tmp_path, body)


def test_config_answers_by_level_and_says_when_it_falls_back(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        for who in (twins.a, twins.b):
            with acting(owned(who)):
                ear.reads.clear()
                assert config.settings.get("persona", "style") == who.secrets["prompt"]
                assert config.settings.get("persona", "motto") == who.secrets["config.tenant"]
                assert config.settings.get("llm", "model") == "small-2"
                assert [(level, planted, said) for *_, level, planted, said in ear.reads] == [
                    ("agent", True, False),
                    ("tenant", True, False),
                    ("default", False, True),
                ]

    play(tmp_path, body)


def test_a_change_of_configuration_is_seen_by_its_owner_only(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        await target.configure(twins.a, {"persona.name": "Ada"})
        names = []
        for who in (twins.a, twins.b):
            with acting(owned(who)):
                names.append(config.settings.get("persona", "name"))
        assert names == ["Ada", "Momo"]

    play(tmp_path, body)


def test_a_broken_config_file_is_an_error_not_the_default(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        with acting(owned(twins.a)) as me:
            (config.storage.agent_folder(me) / "config.json").write_text("{", "utf-8")
            config.settings.reload()
            with pytest.raises(config.ConfigError):
                config.settings.get("persona", "name")

    play(tmp_path, body)


def test_a_picture_both_send_is_described_and_kept_for_each(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        for who in (twins.a, twins.b, twins.a):
            await target.deliver("api", "picture", who, {"slot": "picture"})
        assert twins.a.pictures["picture"] == twins.b.pictures["picture"]
        assert [model for model, _ in ear.prompts].count("describe") == 2
        assert len(list((tmp_path / "data" / "tenants").glob("*/agents/*/images/*.png"))) == 2

    play(tmp_path, body)


def test_timers_write_a_statistics_page_for_each_tenant(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        await target.deliver("api", "command", twins.a, {"text": twins.a.render("/note {command}")})
        assert await target.deliver("timer", "tick", None, {"task": "statistics"}) == 2
        pages = [(await target.deliver("webui", "statistics", who, {}))["page"] for who in (twins.a, twins.b)]
        assert twins.a.secrets["command"] in pages[0] and twins.a.secrets["command"] not in pages[1]
        assert "<td>messages</td><td>2</td>" in pages[0] and "<td>messages</td><td>0</td>" in pages[1]

    play(tmp_path, body)


def test_a_task_is_refused_when_nobody_is_awake(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        store.ActiveState.update(seen=store.ActiveState.seen - 2 * AWAKE_SECONDS).execute()
        with pytest.raises(NobodyAwake):
            await manager.tick("statistics")

    play(tmp_path, body)


def test_one_tenants_failing_task_does_not_keep_the_other_from_its_turn(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        with acting(owned(twins.a)) as me:
            (config.storage.agent_folder(me) / "config.json").write_text("{", "utf-8")
            config.settings.reload()
        assert await manager.tick("statistics") == 1

    play(tmp_path, body)


def test_who_takes_long_at_a_task_keeps_the_other_from_no_turn(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        turns: list[Identity] = []
        again = asyncio.Event()

        async def call() -> None:
            turns.append(current())
            if current() == owned(twins.a):
                await asyncio.Event().wait()
            elif turns.count(owned(twins.b)) == 3:
                again.set()

        timers = TaskManager()
        timers.add(Timed("long", 0.0, call))
        timers.start()
        await asyncio.wait_for(again.wait(), 30)
        await timers.stop()
        assert turns.count(owned(twins.a)) == 1

    play(tmp_path, body)


def test_a_restart_keeps_what_rests_and_nothing_else(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        await target.deliver("api", "command", twins.a, {"text": twins.a.render("/note {command}")})
        with acting(owned(twins.a)):
            streams.note_last("any", "in memory only")
        await target.restart()
        with acting(owned(twins.a)):
            assert streams.last("any") == ""
        with acting(owned(twins.a)):
            assert [stream.chat for stream in streams.own()] == [twins.a.chat]
        with acting(owned(twins.b)):
            assert streams.own() == []
        await target.deliver("api", "command", twins.a, {"text": "/notes"})
        assert ear.heard_by(twins.a).count(twins.a.secrets["command"]) == 2

    play(tmp_path, body)


def test_start_up_handlers_only_register(tmp_path: Path) -> None:
    async def body(target: ReferenceTarget, twins: Twins, ear: Ear) -> None:
        from fixtures.reference_bot import commands

        assert {name for name, _ in ear.events} == {"on_start"}
        assert set(commands.REGISTRY) >= {"note", "notes", "name", "last", "mood", "hello", "draft", "digest"}

    play(tmp_path, body)
