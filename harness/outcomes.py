"""How an executor job's end reaches the task that waits for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any


def settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Give a job's outcome to whoever waits for it, unless nobody does any more."""
    if future.done():
        return  # cancelled meanwhile
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def translated(error: BaseException) -> BaseException:
    """What the awaiting task sees of a job's exception: asyncio's kinds, and no StopIteration (as from 3.12 on)."""
    if type(error) is concurrent.futures.CancelledError:
        return asyncio.CancelledError(*error.args)
    if type(error) is concurrent.futures.InvalidStateError:
        return asyncio.InvalidStateError(*error.args)
    if isinstance(error, StopIteration):
        translated = RuntimeError("StopIteration interacts badly with generators and cannot be raised into a Future")
        translated.__cause__ = error
        return translated
    return error
