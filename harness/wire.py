"""Messages between the controller and a zygote: length-prefixed msgpack over a socket pair."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Literal

import msgspec

from harness.target import Action
from harness.trace import Fault

_HEAD = struct.Struct("!I")


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a zygote needs to boot. `target` is ``module:Class``; `folder` is the zygote's own working folder. With
    `bare` no probe is installed, so that the price of the probes can be told; with `sensing` what need not repeat
    itself is noted (`harness.sensing`), at a great cost of time."""

    target: str
    root: str | None
    db_root: str | None
    folder: str
    fork: bool
    jobs: int
    bare: bool = False
    sensing: bool = False


class Job(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Play a plan. `limit` is in wall seconds. With `choices` the trace tells the waits for the outside even where the
    plan has no tape. With `survey` the inventory is taken after the last step, with the public functions of modules
    whose paths match these globs. With `paired` the run is one of a pair (`harness.pairs`)."""

    id: int
    plan: bytes
    limit: float
    observe: bool = True
    plant: bool = False
    choices: bool = False
    survey: tuple[str, ...] | None = None
    paired: bool = False


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The target has booted (`seconds`), with so many threads alive and so much memory (KiB). `faults` are reaches
    beyond this machine that were stopped on the way; `roots` the folders of the code that booted; `calls` what was
    found in it to be called, late ones last."""

    seconds: float
    threads: tuple[str, ...]
    rss_kib: int
    faults: tuple[Fault, ...] = ()
    roots: tuple[str, ...] = ()
    calls: tuple[Action, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The target cannot boot: one message that says what to do; `status` is the exit status to give. What was not
    `foreseen` is better understood with the last that the bot said."""

    message: str
    status: int
    foreseen: bool = True


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A job's end. `trace` is an encoded `Trace` when `status` is ``ok``, else empty and `detail` says why;
    `inventory` is an encoded `Inventory` where the job asked for one, `holdings` an encoded tuple of `Holding` where it
    was one of a pair: what A has in the end, `missing` what it had at the beginning and has no more, and `laid` what it
    had at the beginning, as a digest.
    `cpu_ms` is the processor time of the fork as a whole: its private folder, the plan, the encoding of the trace.
    `touches` are of a zygote that was booted with `Setup.sensing`.
    `lessons` are for the zygote's probes, in their order (see `harness.probes.Learner`); they go no further."""

    id: int
    status: Literal["ok", "crash", "hang"]
    trace: bytes = b""
    detail: str = ""
    fork_ms: float = 0.0
    cpu_ms: float = 0.0
    lessons: tuple[bytes, ...] = ()
    inventory: bytes = b""
    holdings: bytes = b""
    missing: bytes = b""
    laid: str = ""
    touches: bytes = b""


Message = Ready | Failed | Done | Job

LOG = "zygote.log"
"""The file in a zygote's folder that everything goes to that the bot prints."""


def tail(path: Path, size: int) -> str:
    """The last `size` bytes of a file as text; empty where there is none."""
    try:
        return path.read_bytes()[-size:].decode("utf-8", "replace")
    except OSError:
        return ""


def send(connection: socket.socket, message: msgspec.Struct) -> None:
    """Write one message. Raises OSError when the peer is gone."""
    data = msgspec.msgpack.encode(message)
    connection.sendall(_HEAD.pack(len(data)) + data)


def receive(connection: socket.socket) -> Message | None:
    """Read one message; None when the peer has closed."""
    head = _exactly(connection, _HEAD.size)
    if head is None:
        return None
    data = _exactly(connection, _HEAD.unpack(head)[0])
    return None if data is None else msgspec.msgpack.decode(data, type=Message)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < count:
        chunk = connection.recv(min(1 << 20, count - len(chunks)))
        if not chunk:
            return None
        chunks += chunk
    return bytes(chunks)
