"""The harness's own flow context: which step and principal the running code descends from.

It never looks at the bot's tenant context, so a lost or swapped context shows as a difference between the two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

import msgspec

from harness.principal import Label

T = TypeVar("T")

identity: Callable[[object], int] = object.__hash__
"""As `id`, one number for each living object. But `id` raises an audit event at every call, and the harness asks for
identities at every access."""


class Flow(msgspec.Struct, frozen=True):
    """What a task inherits. `lineage` is the unit the loop reorders (``A.0``: step 0, acted by A; ``boot``).

    `depth` counts `create_task` calls since the step's own task: 0 is the step itself.
    """

    lineage: str
    step: int = -1
    actor: Label | None = None
    entry: str = "start"
    depth: int = 0


IDLE = Flow("idle", entry="timer")

FLOW: ContextVar[Flow] = ContextVar("isolation_flow", default=IDLE)


async def as_own(work: Awaitable[T]) -> T:
    """Await `work` as the principal's own flow, for a task that a target starts to hold a connection open.

    A server handles a connection in a task of its own, but one that serves this principal and nobody else: lineage is
    proof there, as in the step itself.
    """
    FLOW.set(msgspec.structs.replace(FLOW.get(), depth=0))
    return await work
