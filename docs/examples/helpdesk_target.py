"""The help desk as a target: written by docs/drive-your-bot.md alone, for a bot of another family."""

from __future__ import annotations

import asyncio
from importlib import metadata
from pathlib import Path

from fixtures.twins import make_twins
from harness.target import Action, Facts, Hidden, Overlay

HERE = Path(__file__).resolve().parent


class HelpdeskTarget:
    name = "helpdesk"

    def __init__(self, root=None, db_root=None):
        self.watch = None

    # Declarations

    def facts(self):
        return Facts(
            name="helpdesk",
            generation="agno",
            packages=("helpdesk", "agno"),
            owner_columns={"user_id": "tenant"},
            plumbing=("db/*", "site-packages/*"),
            hidden=(Hidden(what="the model", hides="what a provider would be asked over the network"),),
        )

    def actions(self):
        return [
            Action(entry="api", name="ask", payload={"text": "text"}, weight=3, about="a customer says something"),
            Action(entry="api", name="again", payload={"text": "text"}, about="the same, on a second ticket"),
        ]

    def version(self):
        return f"agno {metadata.version('agno')}"

    def risk_map(self):
        return HERE / "helpdesk_risks.json"

    def overlays(self):
        def by_customer(patcher):
            import helpdesk

            plain = helpdesk.ask

            async def ask(customer, ticket, text):
                return await plain(customer, f"{customer}/{ticket}", text)

            patcher.set(helpdesk, "ask", ask)

        def for_anybody(patcher):
            import helpdesk

            plain = helpdesk.ask

            async def ask(customer, ticket, text):
                return await plain("customer", ticket, text)

            patcher.set(helpdesk, "ask", ask)

        return [
            Overlay(
                name="ticket-by-customer",
                kind="fix",
                about="a ticket is named by its customer as well",
                rule="*",
                surface="agno_*",
                items=("ticket-history",),
                apply=by_customer,
            ),
            Overlay(
                name="asked-by-anybody",
                kind="fault",
                about="the desk forgets to say who asks",
                rule="canary-flow",
                surface="*",
                items=("ticket-history",),
                apply=for_anybody,
            ),
        ]

    def twins(self, spec):
        return make_twins(spec)

    # Once

    def prepare(self, folder):
        """The bot makes its database itself."""

    def boot(self, folder):
        import helpdesk
        from agno.models.base import Model
        from agno.models.response import ModelResponse

        target = self

        class Standin(Model):
            async def ainvoke(self, messages, **rest):
                text = "\n".join(str(message.content) for message in messages)
                target.watch.prompt("desk", text)
                await asyncio.sleep(0.5)
                return ModelResponse(role="assistant", content=f"you said {text[-200:]}")

            def invoke(self, *args, **rest):
                raise RuntimeError("the desk asks asynchronously")

            invoke_stream = ainvoke_stream = _parse_provider_response = _parse_provider_response_delta = invoke

        self.model = Standin
        self.bot = helpdesk

    def roots(self):
        import agno

        return (HERE, Path(agno.__file__).parent)

    # In the fork of each plan

    def enter(self, folder, twins, watch):
        self.watch = watch
        self.bot.open_desk(folder / "desk.db", self.model(id="standin"))

    async def start(self):
        """Nothing of its own runs."""

    async def restart(self):
        """Nothing is held in memory."""

    async def deliver(self, entry, action, who, payload):
        ticket = who.chat if action == "ask" else f"{who.chat}-second"
        return await self.bot.ask(who.tenant, ticket, payload["text"])

    async def configure(self, who, change):
        """Customers configure nothing."""

    def ambient(self):
        return None

    def owner_of_path(self, path):
        return None

    def owner_of_key(self, surface, key):
        return None

    def plants(self):
        async def config(who):
            self.watch.config("plant", "x", who.secrets["config.tenant"], level="tenant", overridden=True)

        async def prompt(who):
            await self.bot.ask(who.tenant, f"planted {who.tenant}", who.secrets["prompt"])

        async def outbound(who):
            self.watch.outbound("plant", who.secrets["message"], recipient={"tenant": who.tenant})

        return {"config": config, "prompt": prompt, "outbound": outbound}

    async def leave(self):
        self.bot.AGENTS.clear()
