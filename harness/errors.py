"""One class for each cause a user can meet; the docstring says what to do about it."""

import traceback


class IsolationError(Exception):
    """Base of every error the harness raises on purpose. `status` is the exit status of the command line."""

    status = 2


class UsageError(IsolationError):
    """The request cannot be carried out as put (unknown id, corrupt file, bad value). Correct it and call again."""


class TargetError(IsolationError):
    """The target cannot boot: a checkout, a dependency or a file is missing. The message names it."""


class SoundnessError(IsolationError):
    """The harness cannot vouch for itself: a probe is blind or a replay differs. Do not trust the verdicts."""

    status = 3


class ContainmentError(IsolationError):
    """The bot reached beyond its private folder or beyond loopback; the plan is stopped and the reach reported."""


def told(error: BaseException) -> str:
    """An error nobody foresaw, in one line: its kind, what it says and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    kind = "it exited" if isinstance(error, SystemExit) else type(error).__name__
    return f"{kind}: {error}{where}"
