"""What runs elsewhere than on the loop: for whom it was handed over, and in what context a worker thread finds itself.

A job inherits no context. But a worker has one of its own, and what a job sets there and does not take back the next
job finds, whoever handed it over. A pool whose jobs come one at a time has one worker, whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

import msgspec

from harness import descent
from harness.flow import FLOW

T = TypeVar("T")


class Workers:
    """The workers of one loop: one for each executor."""

    def __init__(self) -> None:
        self._contexts: dict[Any, Context] = {}

    def job(self, executor: Any, func: Callable[..., T]) -> Callable[..., T]:
        """`func` as the worker of `executor` (None: of the loop's own) will run it."""
        context = self._contexts.setdefault(executor, Context())
        handed = carried("executor", func)

        def run(*args: Any) -> T:
            return context.run(handed, *args)

        return run


def carried(kind: descent.Kind, func: Callable[..., T], what: Any = None) -> Callable[..., T]:
    """`func` so that whatever runs it works for whom the running code works now. `what` names it (default: itself)."""
    flow, made = FLOW.get(), descent.handed(kind, what or func)
    if kind == "thread":  # goes on when what started it is done, like a task
        flow = msgspec.structs.replace(flow, depth=flow.depth + 1)

    def run(*args: Any, **kwargs: Any) -> T:
        FLOW.set(flow)
        descent.enter(made)
        return func(*args, **kwargs)

    return run
