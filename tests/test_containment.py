"""During a run nothing leaves loopback and no program is started; each try is told with its site."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.twins import make_twins
from harness import containment
from harness.errors import ContainmentError
from harness.principal import TwinSpec
from harness.recorder import Recorder
from harness.scanner import TokenScanner

TWINS = make_twins(TwinSpec())
FAR = ("192.0.2.1", 9)  # TEST-NET-1 (RFC 5737): nobody's address


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    containment.install()
    containment.install()
    containment.begin(tmp_path)
    made = Recorder(TWINS, TokenScanner(TWINS), [Path(__file__).parent], lambda: None, lambda: 0.0)
    with made.active():
        yield made


def _with_socket(kind: int, use: Callable[[socket.socket], object], family: int = socket.AF_INET) -> None:
    with socket.socket(family, kind) as made:
        use(made)


REACHES: dict[str, tuple[Callable[[], object], str]] = {
    "connect": (lambda: _with_socket(socket.SOCK_STREAM, lambda s: s.connect(FAR)), "192.0.2.1:9"),
    "connect_ex": (lambda: _with_socket(socket.SOCK_STREAM, lambda s: s.connect_ex(FAR)), "192.0.2.1:9"),
    "sendto": (lambda: _with_socket(socket.SOCK_DGRAM, lambda s: s.sendto(b"x", FAR)), "192.0.2.1:9"),
    "sendmsg": (lambda: _with_socket(socket.SOCK_DGRAM, lambda s: s.sendmsg([b"x"], [], 0, FAR)), "192.0.2.1:9"),
    "bind": (lambda: _with_socket(socket.SOCK_STREAM, lambda s: s.bind(("0.0.0.0", 0))), "0.0.0.0"),
    "bind everywhere": (lambda: _with_socket(socket.SOCK_STREAM, lambda s: s.bind(("", 0))), "every interface"),
    "name": (lambda: socket.getaddrinfo("bot.example", 80), "bot.example"),
    "old name": (lambda: socket.gethostbyname("bot.example"), "bot.example"),
    "reverse": (lambda: socket.gethostbyaddr("192.0.2.1"), "192.0.2.1"),
    "create_connection": (lambda: socket.create_connection(("bot.example", 80)), "bot.example"),
    "unix": (
        lambda: _with_socket(socket.SOCK_STREAM, lambda s: s.connect("/nowhere/x.sock"), socket.AF_UNIX),
        "/nowhere/x.sock",
    ),
    "popen": (lambda: subprocess.run(["/bin/true", "secret"]), "/bin/true secret"),
    "system": (lambda: os.system("true"), "true"),
    "exec": (lambda: os.execv("/bin/true", ["true"]), "/bin/true"),
    "spawn": (lambda: os.posix_spawn("/bin/true", ["true"], {}), "/bin/true"),
    "fork": (lambda: os.fork(), "os.fork"),
}


@pytest.mark.parametrize("name", REACHES)
def test_a_reach_is_stopped_and_told_with_its_site(name: str, recorder: Recorder) -> None:
    reach, says = REACHES[name]
    with pytest.raises(ContainmentError, match=r"test_containment\.py"):
        reach()
    (fault,) = recorder.faults
    assert (fault.kind, fault.harness) == ("containment", False)
    assert says in fault.message
    assert "test_containment.py" in fault.where


def test_a_reach_tried_again_is_one_fault(recorder: Recorder) -> None:
    for _ in range(3):
        with pytest.raises(ContainmentError):
            socket.getaddrinfo("bot.example", 80)
    assert len(recorder.faults) == 1


def test_asyncio_resolving_a_name_is_stopped(recorder: Recorder) -> None:
    async def phone_home() -> None:
        await asyncio.get_running_loop().getaddrinfo("bot.example", 443)

    with pytest.raises(ContainmentError):
        asyncio.run(phone_home())
    assert "bot.example" in recorder.faults[0].message


def test_loopback_works(recorder: Recorder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
    assert socket.getaddrinfo("localhost", 80)
    assert socket.getaddrinfo(None, 80)
    assert recorder.faults == []


def test_a_unix_socket_inside_the_private_folder_works(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may have 100 bytes or so
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.sock")
        server.listen()
        _with_socket(socket.SOCK_STREAM, lambda s: s.connect("x.sock"), socket.AF_UNIX)
    assert recorder.faults == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("LOCALHOST.", True),
        ("db.localhost", True),
        ("10.0.0.1", False),
        ("::", False),
        ("0.0.0.0", False),
        ("::ffff:8.8.8.8", False),
        ("fe80::1%eth0", False),
        ("localhost.example", False),
    ],
)
def test_what_counts_as_loopback(host: str, expected: bool) -> None:
    assert containment.is_loopback(host) is expected


def test_the_harness_itself_and_what_runs_outside_a_run_are_free(recorder: Recorder) -> None:
    with recorder.muted():
        assert subprocess.run([sys.executable, "-c", ""]).returncode == 0
    assert recorder.faults == []


def test_boot_is_contained_while_asked_for() -> None:
    containment.install()
    containment.drain()
    containment.always(True)
    try:
        with pytest.raises(ContainmentError, match=r"test_containment\.py"):
            socket.getaddrinfo("bot.example", 80)
    finally:
        containment.always(False)
    (fault,) = containment.drain()
    assert "bot.example" in fault.message
    assert "test_containment.py" in fault.where
    assert containment.drain() == ()
    assert subprocess.run([sys.executable, "-c", ""]).returncode == 0
