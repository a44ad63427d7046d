"""What a user would write without the harness: a plain state machine against the reference bot, and what it finds.

Two tenants with the same group, user and agent id, everything either says marked, the model answers with what it was
given. Rules speak, upload, take notes, use the WebUI, tick timers, restart and cancel, alone or both tenants at once,
on a stock loop with the bot's waits cut short and scattered by Hypothesis. After each rule nobody may have heard,
stored or asked the model anything that the other marked, and what each was told must be its own.

`python tests/test_plain_state_machine.py --seconds 20` plays it against every fault of the catalogue beside the
harness, with the same processor time for both (waiting is free): the machine so much for each fault, the harness as
much for all of them, since it boots and tours the bot once. It prints lines for each fault and a line of JSON at the
end.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import fnmatch
import json
import logging
import multiprocessing
import os
import queue
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fixtures.overlays.reference import FAULTS
from fixtures.pictures import png
from fixtures.reference_bot import api, app, llm, storage, store, tasks
from fixtures.reference_bot import config as bot_config
from fixtures.reference_bot.identity import Identity, acting
from fixtures.reference_bot.pipeline import Message
from fixtures.reference_bot.sender import sender
from fixtures.reference_bot.webui import web
from fixtures.targets import reference_web
from fixtures.targets.reference import ReferenceTarget
from harness import riskmap, touring
from harness.campaign import Campaign
from harness.pool import Pool
from harness.profiles import PROFILES
from harness.target import Overlay, Patcher, states_of

PLATFORM, GROUP, USER, AGENT = "qq", "4711", "42", "agent"
TIMERS = ("statistics", "autosave", "topics", "emoji", "forget")
WAITS = 0.004
"""Seconds that the bot's waits are cut down to at most."""


class Tenant:
    """One customer: what it marked, what it heard, and what the model was asked in its name."""

    def __init__(self, name: str) -> None:
        self.name, self.mark = name, f"SECRET{name.upper()}"
        self.key = f"key-of-{name}"
        self.identity = Identity(name, AGENT)
        self.heard: list[str] = []
        self.notes: list[str] = []
        self.said: list[str] = []
        self.token = ""

    async def send(self, packet: Any) -> None:
        """The API connection."""
        self.heard.append(packet.text)

    def text(self, kind: str = "text") -> str:
        """A new marked text."""
        self.said.append(f"{kind} {len(self.said)} {self.mark}")
        return self.said[-1]


class Model:
    """Answers with what it was asked, after a moment."""

    def __init__(self, tenants: list[Tenant]) -> None:
        self.tenants = {tenant.key: tenant for tenant in tenants}
        self.asked: list[tuple[Tenant | None, Tenant | None, str]] = []

    async def complete(self, request: llm.Request) -> str:
        """The last line, as an echo."""
        payer = self.tenants.get(request.key)
        named = next((t for t in self.tenants.values() if t.identity == request.owner), None)
        self.asked.append((payer, named, request.prompt + request.picture.decode("latin-1")))
        await asyncio.sleep(random.uniform(0, WAITS))
        if request.purpose == "plan":
            return json.dumps({"answer": True})
        if request.picture:
            return f"a picture of {payer.mark if payer else 'nothing'}"
        return "\n".join(request.prompt.split("\n")[:3]) + request.prompt[-80:]


def shorten(patcher: Patcher) -> None:
    """Waits of the bot's own pass quickly, in an order that the example decides."""
    plain = asyncio.sleep

    async def sleep(seconds: float, result: Any = None) -> Any:
        if seconds > 100:
            return await plain(seconds, result)
        return await plain(min(seconds, random.uniform(0, WAITS)), result)

    patcher.set(asyncio, "sleep", sleep)


class TwoTenants(RuleBasedStateMachine):
    """See the module's text. `overlay` is planted into the bot of every example."""

    overlay: Overlay | None = None

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = Tenant("anna"), Tenant("bert")
        self.both = [self.a, self.b]
        self.folder = Path(tempfile.mkdtemp(prefix="plain-"))
        self.patcher = Patcher()
        self.runner = asyncio.Runner()
        shorten(self.patcher)
        self.model = Model(self.both)
        self.patcher.set(llm.client, "transport", self.model)
        app.configure(self.folder)
        for tenant in self.both:
            with acting(tenant.identity):
                store.ApiKey.add(key=tenant.key)
                store.ActiveState.put({}, seen=time.time())
                levels = {"persona": {"style": f"style of {tenant.mark}"}, "llm": {"key": tenant.key}}
                storage.own("config.json").write_text(json.dumps(levels), "utf-8")
        if self.overlay is not None:
            self.overlay.apply(self.patcher)
        self.runner.run(app.start())

    @initialize(seed=st.integers(0, 2**32))
    def scatter(self, seed: int) -> None:
        """What the bot draws, and how long its waits are."""
        random.seed(seed)

    # -- what tenants do ------------------------------------------------------------------------------------------

    def act(self, who: str, step: Callable[[Tenant], Awaitable[Any]]) -> None:
        """`step` by one tenant, or by both at once, until the bot is quiet again."""

        async def play() -> None:
            acting_now = {"a": [self.a], "b": [self.b]}.get(who, self.both if who == "ab" else self.both[::-1])
            await asyncio.gather(*(step(tenant) for tenant in acting_now))
            await self.quiet()

        self.runner.run(play())

    async def quiet(self) -> None:
        """Wait until nothing is heard or asked for a while."""
        before = (-1, -1)
        while before != (now := (len(self.model.asked), sum(len(t.heard) for t in self.both))):
            before = now
            await asyncio.get_running_loop().run_in_executor(None, time.sleep, 3 * WAITS)

    async def say(self, tenant: Tenant, text: str, **more: Any) -> None:
        await api.connect(tenant.key, tenant)
        await api.handle(tenant.key, Message(PLATFORM, GROUP, USER, f"name {tenant.mark}", text=text, **more))

    async def web(self, tenant: Tenant, method: str, path: str, body: Any = None, **query: str) -> Any:
        if not tenant.token:
            session = await reference_web.call(web, "POST", "/login", body={"key": tenant.key})
            tenant.token = session["token"]
        page = await reference_web.call(web, method, path, token=tenant.token, body=body, **query)
        tenant.heard.append(json.dumps(page))
        return page

    WHO = st.sampled_from(["a", "b", "ab", "ba"])

    @rule(who=WHO, mentioned=st.booleans())
    def talk(self, who: str, mentioned: bool) -> None:
        self.act(who, lambda tenant: self.say(tenant, tenant.text(), mentioned=mentioned))

    @rule(who=WHO, same=st.booleans())
    def show_picture(self, who: str, same: bool) -> None:
        async def step(tenant: Tenant) -> None:
            picture = png(b"cat") if same else png(tenant.name.encode(), tenant.mark)
            await self.say(tenant, tenant.text("picture"), picture=base64.b64encode(picture).decode())

        self.act(who, step)

    @rule(who=WHO)
    def take_note(self, who: str) -> None:
        async def step(tenant: Tenant) -> None:
            tenant.notes.append(tenant.text("note"))
            await self.say(tenant, f"/note {tenant.notes[-1]}")
            told = [text for text in tenant.heard if " kept: " in text][-1]
            assert told.startswith(f"{len(tenant.notes)} kept: {tenant.notes[-1]}"), told

        self.act(who, step)

    @rule(who=WHO, command=st.sampled_from(["/notes", "/last", "/name called"]))
    def command(self, who: str, command: str) -> None:
        self.act(who, lambda tenant: self.say(tenant, f"{command} {tenant.mark}"))

    @rule(who=WHO, page=st.sampled_from(["/emoji", "/statistics", "/history"]))
    def look(self, who: str, page: str) -> None:
        self.act(who, lambda tenant: self.web(tenant, "GET", page))

    @rule(who=WHO, same=st.booleans())
    def upload(self, who: str, same: bool) -> None:
        async def step(tenant: Tenant) -> None:
            picture = png(b"dog") if same else png(tenant.mark.encode(), tenant.mark)
            await self.web(tenant, "POST", "/emoji", {"picture": base64.b64encode(picture).decode()})

        self.act(who, step)

    @rule(who=WHO)
    def chat_window(self, who: str) -> None:
        async def step(tenant: Tenant) -> None:
            await self.web(tenant, "GET", "/statistics")
            window = reference_web.Window(
                web, "/chat", lambda body: tenant.heard.append(str(body["text"])), token=tenant.token
            )
            window.say({"chat": GROUP, "user": USER, "name": tenant.mark, "text": tenant.text()})
            await window.run(wait=1.0)

        self.act(who, step)

    @rule(timer=st.sampled_from(TIMERS))
    def tick(self, timer: str) -> None:
        self.runner.run(tasks.manager.tick(timer))

    @rule(who=WHO)
    def give_up(self, who: str) -> None:
        async def step(tenant: Tenant) -> None:
            task = asyncio.create_task(self.say(tenant, tenant.text(), mentioned=True))
            await asyncio.sleep(0.001)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self.act(who, step)

    @rule(who=WHO)
    def drop(self, who: str) -> None:
        async def step(tenant: Tenant) -> None:
            with acting(tenant.identity):
                sender.disconnect(tenant.key, tenant)

        self.act(who, step)

    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await app.stop()
            app.end()
            await app.start()

        self.runner.run(again())

    @rule(who=WHO)
    def unknown_key(self, who: str) -> None:
        async def step(tenant: Tenant) -> None:
            with pytest.raises(PermissionError):
                await api.handle(f"{tenant.key}-x", Message(PLATFORM, GROUP, USER, "name", text=tenant.text()))

        self.act(who, step)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def nobody_heard_the_other(self) -> None:
        for me, other in ((self.a, self.b), (self.b, self.a)):
            assert other.mark not in "\n".join(me.heard)

    @invariant()
    def nobody_asked_with_what_is_the_others(self) -> None:
        for payer, named, prompt in self.model.asked:
            assert payer is named, "the call is paid by another than it is for"
            for other in self.both:
                assert other is payer or other.mark not in prompt

    @invariant()
    def rows_are_their_owners(self) -> None:
        for table in (table for table in store.TABLES if issubclass(table, store.Owned)):
            for row in table.select().dicts():
                for other in self.both:
                    assert row["tenant_id"] == other.name or other.mark not in repr(row)

    @invariant()
    def files_are_their_owners(self) -> None:
        for other, me in ((self.a, self.b), (self.b, self.a)):
            for path in storage.tenant_folder(me.name).rglob("*"):
                assert not path.is_file() or other.mark.encode() not in path.read_bytes()

    @invariant()
    def configuration_is_ones_own(self) -> None:
        for me in self.both:
            with acting(me.identity):
                assert bot_config.settings.get("persona", "style") == f"style of {me.mark}"

    def teardown(self) -> None:
        with contextlib.suppress(Exception):
            self.runner.run(app.stop())
        app.end()
        sender._by_key.clear()
        self.runner.close()
        app.close()
        self.patcher.undo()
        shutil.rmtree(self.folder, ignore_errors=True)


def play(overlay: Overlay | None, examples: int, steps: int = 12) -> None:
    """Run the machine. Raises what it finds."""
    machine: Any = type("Machine", (TwoTenants,), {"overlay": overlay})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), derandomize=False, print_blob=False, report_multiple_bugs=False,
        ),
    )  # fmt: skip


def named(name: str) -> Overlay:
    """A fault of the catalogue."""
    return next(fault for fault in FAULTS if fault.name == name)


@pytest.fixture
def own_process() -> Iterator[Callable[..., str]]:
    """Runs the machine in a process of its own, since the bot lives in module globals; returns what it found."""

    def run(name: str, examples: int) -> str:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_found, (name, examples))

    yield run


def _found(name: str, examples: int) -> str:
    logging.disable(logging.CRITICAL)
    try:
        play(named(name) if name else None, examples)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_the_machine_is_content_with_the_bot_as_it_is(own_process: Callable[..., str]) -> None:
    assert own_process("", 4) == ""


def test_the_machine_finds_a_plain_leak(own_process: Callable[..., str]) -> None:
    assert own_process("history-by-group", 20)


# -- the comparison ---------------------------------------------------------------------------------------------------


def _machine_against(name: str, seconds: float, answer: Any) -> None:
    """Play examples until one fails or the time is up; the processor seconds it took, or None."""
    logging.disable(logging.CRITICAL)
    began = time.process_time()
    while time.process_time() - began < seconds:
        try:
            play(named(name), 5)
        except BaseException as error:
            answer.put((time.process_time() - began, f"{type(error).__name__} {str(error)[:60]}"))
            return
    answer.put((None, ""))


def by_machine(name: str, seconds: float) -> tuple[float | None, str]:
    """The plain machine's try at a fault, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_machine_against, args=(name, seconds, answer))
    process.start()
    try:
        return answer.get(timeout=100 * seconds)  # type: ignore[no-any-return]
    except queue.Empty:
        return None, "hung"
    finally:
        process.kill()
        process.join()


class Harness:
    """The harness's tries, as `isolation overlays` has them: it boots and plays its tour once, and each fault is tried
    on the plans that come nearest to it. `spent` is the processor time of all so far."""

    def __init__(self, pool: Pool) -> None:
        target = ReferenceTarget()
        whole = riskmap.load(target.risk_map())
        plain = msgspec.structs.replace(PROFILES["quick"], plans=0, overlays=False, seconds=36_000.0)
        self.pool = pool
        self.campaign = Campaign(pool, target, whole, plain, profile_name="quick")
        claimed = whole.dimensions(target.facts().name, target.facts().generation)
        actions = [*target.actions(), *pool.ready.calls]
        self.tour = touring.tour(actions, claimed, target.facts().hostile, states_of(target))
        self.campaign.play(self.tour)

    def spent(self) -> float:
        """Processor seconds of this process, of the pool's, and of the plans that have ended."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        stat = Path(f"/proc/{self.pool.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        theirs = sum(int(field) for field in stat[11:15]) / os.sysconf("SC_CLK_TCK")
        return used.ru_utime + used.ru_stime + theirs

    def find(self, name: str) -> tuple[float | None, str]:
        """The seconds that finding a fault by the right rule took, or None; and what was said of it."""
        began = self.spent()
        self.campaign.try_overlays(self.tour, name)
        made = self.campaign.overlay_records[-1]
        took = self.spent() - began
        return (took if made.killed and made.right_rule else None), f"{took:.0f} s: {made.detail[:60]}"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="processor time for each fault and side")
    parser.add_argument("--only", default="*", help="faults whose name matches this glob")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of them, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of that draw")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if fnmatch.fnmatchcase(fault.name, options.only)]
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    rows = []
    with Pool("fixtures.targets.reference:ReferenceTarget", jobs=1) as pool:
        harness = Harness(pool)
        before = harness.spent()
        print(f"the harness's boot and tour: {before:.0f} s", flush=True)
        for fault in chosen:
            ours, what = harness.find(fault.name)
            over = harness.spent() > options.seconds * len(chosen)
            rows.append({"fault": fault.name, "rule": fault.rule, "harness": None if over else ours})
            shown = f"{ours:6.1f} s" if ours is not None else "     -  "
            print(f"{fault.name:36} {fault.rule:20} harness {shown} {what}{', too late' if over else ''}", flush=True)
        total = harness.spent()
    for row in rows:
        row["machine"], why = by_machine(str(row["fault"]), options.seconds)
        shown = f"{row['machine']:6.1f} s" if row["machine"] is not None else "     -  "
        print(f"{row['fault']:36} {row['rule']:20} machine {shown} {why}", flush=True)
    found = {side: sum(row[side] is not None for row in rows) for side in ("machine", "harness")}
    print(json.dumps({"seconds": options.seconds, "faults": len(rows), "spent": total, **found, "rows": rows}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
