"""The harness's own flow context: which step and principal the running code descends from.

It never looks at the bot's tenant context, so a lost or swapped context shows as a difference between the two.
"""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

from harness.principal import Label


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
