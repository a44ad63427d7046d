"""What the isolation loop has not: sockets, pipes, processes, name look-ups, signals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from harness.errors import IsolationError
from harness.tape import caller_site

_REFUSED = (
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "start_tls",
    "sendfile",
    "getaddrinfo",
    "getnameinfo",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
    "add_reader",
    "add_writer",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_exec",
    "subprocess_shell",
)


class Unsupported(IsolationError):
    """The bot asked the loop for the outside world (socket, pipe, process, name lookup). The target must replace it."""


class Secluded(asyncio.BaseEventLoop):
    """An event loop that meets no outside world. `refused` lists what was asked for, and from where."""

    refused: list[str]

    # Signals: a run is not interrupted from outside, and a bot's handlers would replace the harness's

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Accepted and ignored."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Accepted and ignored."""
        return False

    def remove_reader(self, fd: Any) -> bool:
        """No reader is ever added."""
        return False

    def remove_writer(self, fd: Any) -> bool:
        """No writer is ever added."""
        return False


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(self: Secluded, *args: Any, **kwargs: Any) -> NoReturn:
        where = caller_site()
        self.refused.append(f"{name} from {where}")
        raise Unsupported(
            f"loop.{name}() called from {where or 'outside'}: the isolation loop reaches no socket, pipe or process; "
            "the target must replace what calls it (and declare that under `hidden`)"
        )

    refuse.__name__ = name
    return refuse


for _name in _REFUSED:
    setattr(Secluded, _name, _refusal(_name))
