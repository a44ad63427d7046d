"""A help desk on agno: one agent for all customers, with a database in which it keeps what was said."""

from __future__ import annotations

from pathlib import Path

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.base import Model

AGENTS: dict[str, Agent] = {}


def open_desk(database: Path, model: Model) -> None:
    """Make the agent."""
    AGENTS["desk"] = Agent(
        id="desk",
        model=model,
        db=SqliteDb(db_file=str(database)),
        instructions="You answer the customers of a shop.",
        add_history_to_context=True,
        num_history_runs=5,
        telemetry=False,
    )


async def ask(customer: str, ticket: str, text: str) -> str:
    """Answer what a customer says on a ticket."""
    answer = await AGENTS["desk"].arun(text, user_id=customer, session_id=ticket)
    return str(answer.content)
