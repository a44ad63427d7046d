"""Containment: during a run nothing leaves this machine's loopback and no other program is started.

An audit hook sees the reach before it happens and stops it with ContainmentError; because bots swallow exceptions, the
reach is also a fault of the run. The hook is installed once a process, cannot be removed, and does nothing outside
a run unless `always` is on (the boot of the zygote). Writes to files are the file probe's to contain.
"""

# Code objects name their files as strings.
# ruff: noqa: PTH100, PTH119, PTH120
from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import ContainmentError
from harness.recorder import Recorder, current
from harness.trace import Fault

_LOCAL_NAMES = ("localhost", "ip6-localhost", "localhost.localdomain", "")
_HARNESS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


class _State:
    """Switches of the one hook. `faults` holds what happened while no run was recorded."""

    installed = False
    always = False
    folder = ""
    faults: list[Fault] = []


def install() -> None:
    """Put the audit hook in place. Later calls do nothing."""
    if not _State.installed:
        _State.installed = True
        sys.addaudithook(_hook)


def listen(handlers: Mapping[str, Callable[[str, tuple[Any, ...]], None]]) -> None:
    """Have these events told to `handlers` as well, by event; a later one takes the place of an earlier. They share the
    hook: an interpreter raises tens of thousands of events in a run, and each hook is called for all of them."""
    _HEARD.update(handlers)


def begin(folder: Path) -> None:
    """`folder` is now the run's private folder: Unix sockets may be made and met inside it only."""
    _State.folder = os.path.realpath(folder)


def always(on: bool) -> None:
    """Contain outside runs too: on while the target boots, off while the harness itself needs processes or sockets."""
    _State.always = on


def drain() -> tuple[Fault, ...]:
    """The faults seen while no run was recorded (boot), each once; forgets them."""
    faults, _State.faults = tuple(_State.faults), []
    return faults


def stop(message: str) -> None:
    """Note a reach beyond the run's bounds, with the bot's site, and raise ContainmentError."""
    recorder = current()
    where = site_of(recorder)
    fault = Fault(kind="containment", message=message, where=where)
    known = _State.faults if recorder is None else recorder.faults
    # A bot that tries again every second is one fault: what and where say everything.
    if fault not in known:
        known.append(fault)
    raise ContainmentError(f"{message} (from {where or 'unknown code'})")


def site_of(recorder: Recorder | None) -> str:
    """``path:line function`` of the innermost frame of the bot; without a recorder, of the innermost frame that is
    neither the harness's nor the standard library's."""
    if recorder is not None:
        site = recorder.site()
        if site.file:
            return f"{site.file}:{site.line} {site.function}"
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = name.startswith((_HARNESS, "<")) or (name.startswith(_STDLIB) and "site-packages" not in name)
        if not ours:
            return f"{os.path.basename(name)}:{frame.f_lineno} {frame.f_code.co_qualname}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _HEARD:
        _HEARD[event](event, args)


def _contained(handler: Callable[[str, tuple[Any, ...]], None]) -> Callable[[str, tuple[Any, ...]], None]:
    """`handler` in a run, and outside one while `always` is on."""

    def heard(event: str, args: tuple[Any, ...]) -> None:
        recorder = current()
        if recorder.listening if recorder is not None else _State.always:
            handler(event, args)

    return heard


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "surrogateescape")
    return str(value)


def is_loopback(host: str) -> bool:
    """Whether `host` (name or numeric address) is this machine's loopback. Names are never resolved."""
    name = host.strip("[]").partition("%")[0].lower().rstrip(".")
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _address(event: str, args: tuple[Any, ...]) -> None:
    """socket.connect, bind, sendto, sendmsg: (socket, address)."""
    address = args[1]
    if address is None:  # sendmsg on a connected socket: its connect was judged
        return
    if isinstance(address, (str, bytes, bytearray)):
        path = _text(address)
        # An empty address lets the kernel name the socket; a leading NUL is a name shared by the whole machine.
        if path and (path[0] == "\0" or not _inside(path)):
            stop(f"{event} on Unix socket {path!r}, outside the private folder")
        return
    host = _text(address[0]) if isinstance(address, tuple) and address else repr(address)
    anywhere = event == "socket.bind" and host == ""
    if anywhere or not is_loopback(host):
        port = f":{address[1]}" if isinstance(address, tuple) and len(address) > 1 else ""
        stop(f"{event} to {host or '(every interface)'}{port}, which is not loopback")


def _inside(path: str) -> bool:
    full = os.path.realpath(path)
    return bool(_State.folder) and (full + os.sep).startswith(_State.folder + os.sep)


def _name(event: str, args: tuple[Any, ...]) -> None:
    """socket.getaddrinfo, gethostbyname, gethostbyaddr: (host, ...). Numeric addresses ask nobody."""
    host = args[0]
    if host is None:
        return
    name = _text(host)
    if is_loopback(name):
        return
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        stop(f"{event} asks for the name {name!r}")
    else:
        if event == "socket.gethostbyaddr":
            stop(f"{event} asks for the address {name!r}")


def _program(event: str, args: tuple[Any, ...]) -> None:
    """subprocess.Popen (executable, args, ...), os.system (command), os.exec and os.posix_spawn (path, ...)."""
    what = ""
    if event == "subprocess.Popen" and len(args) > 1 and isinstance(args[1], (list, tuple)):
        what = " ".join(_text(part) for part in args[1])
    elif args and event not in ("os.fork", "os.forkpty"):
        what = _text(args[1] if event == "os.spawn" and len(args) > 1 else args[0])
    stop(f"{event} {what[:200]}".rstrip() + ": a run starts no other process")


_HANDLERS: dict[str, Callable[[str, tuple[Any, ...]], None]] = {
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"), _address),
    **dict.fromkeys(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"), _name),
    **dict.fromkeys(
        (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "os.spawn",
            "os.fork",
            "os.forkpty",
            "pty.spawn",
        ),
        _program,
    ),
}

_HEARD = {event: _contained(handler) for event, handler in _HANDLERS.items()}
"""What the hook tells whom."""
