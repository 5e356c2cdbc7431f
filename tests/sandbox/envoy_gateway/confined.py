"""A program in a network of its own and a root of its own: every Envoy of a node listens on the same ports, on all addresses, and finds its files at fixed paths.

Linux only; it needs either root or user namespaces. Loopback is all that such a network has. What
leads into it and out of it are sockets in a folder: one process out here and one in there carry
what comes. Every name leads to loopback there, as the DNS of a cluster leads to its Services. Run as
a program, this is either.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

LOOPBACK = "127.0.0.1"
CHUNK = 65_536
OUT_HERE, IN_THERE = "out-here", "in-there"
DNS = 53
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41
"""SIOCSIFFLAGS; IFF_UP and IFF_RUNNING."""
_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a program sees of the machine, and what of it is seen; `folder` is its own."""

    folder: str
    listens: Mapping[str, int] = field(default_factory=dict)
    """By address and port out here, such as `127.0.0.2:443`, the port inside."""
    reaches: Mapping[str, str] = field(default_factory=dict)
    """By the port inside, the address and port out here."""
    binds: Mapping[str, str] = field(default_factory=dict)
    """By the path inside, the file or folder out here that is seen there."""

    def command(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """What runs `argv` so; it takes its signals and ends as it does."""
        return [sys.executable, "-I", __file__, OUT_HERE, json.dumps(asdict(self)), *argv]


def why_not() -> str | None:
    """Why nothing can be confined here; None if it can."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "a network of its own needs Linux and unshare"
    done = subprocess.run(
        [*_namespaces(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    return f"neither root nor user namespaces are to be had: {done.stderr.strip()}"


def innermost(pid: int) -> int:
    """The process that is confined, of the one that `Confinement.command` has started."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


def _namespaces() -> list[str | Path]:
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *users, "--net", "--mount"]


# --- the two processes --------------------------------------------------------------------------------------------------------------


async def _out_here(confinement: Confinement, argv: Sequence[str]) -> int:
    for inner, outer in confinement.reaches.items():
        await asyncio.start_unix_server(_carrying(_to_port(*_place(outer))), _out(inner))
    inner_command = [*_namespaces(), sys.executable, "-I", __file__, IN_THERE]
    child = _start([*map(str, inner_command), json.dumps(asdict(confinement)), *argv])
    for outer, inner_port in confinement.listens.items():
        await asyncio.start_server(_carrying(_to_socket(_in(inner_port))), *_place(outer))
    return await _ended(child)


async def _in_there(confinement: Confinement, argv: Sequence[str]) -> int:
    _raise_loopback()
    for port in confinement.listens.values():
        await asyncio.start_unix_server(_carrying(_to_port(LOOPBACK, port)), _in(port))
    for inner in confinement.reaches:
        await asyncio.start_server(_carrying(_to_socket(_out(inner))), LOOPBACK, int(inner))
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(_Names, local_addr=(LOOPBACK, DNS))
    root = _make_root(confinement)
    return await _ended(_start(argv, lambda: _enter(root)))


def _enter(root: Path) -> None:
    os.chroot(root)
    os.chdir("/")


def _start(
    argv: Sequence[str], first: Callable[[], None] = lambda: None
) -> subprocess.Popen[bytes]:
    """A process that ends with this one."""
    libc = ctypes.CDLL(None)

    def before() -> None:
        libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        first()

    return subprocess.Popen(argv, preexec_fn=before)  # noqa: PLW1509 - it has one thread so far


async def _ended(child: subprocess.Popen[bytes]) -> int:
    """Its exit status, once it has ended; until then it takes the signals of this process."""
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(signum, child.send_signal, signum)
    code = await loop.run_in_executor(None, child.wait)
    return code if code >= 0 else 128 - code


class _Names(asyncio.DatagramProtocol):
    """Answers 127.0.0.1 for every name, and that there is nothing else (RFC 1035, 4.1)."""

    _A = struct.pack("!HH", 1, 1)
    _ANSWER = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton(LOOPBACK))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        question = data[12 : data.index(b"\0", 12) + 5]
        answers = self._ANSWER if question.endswith(self._A) else b""
        counts = struct.pack("!HHHH", 1, bool(answers), 0, 0)
        self._transport.sendto(data[:2] + b"\x81\x80" + counts + question + answers, addr)


def _place(written: str) -> tuple[str, int]:
    host, _, port = written.rpartition(":")
    return host, int(port)


def _in(port: int) -> str:
    """The socket that leads to a port inside; in the working folder, because such paths are short."""
    return f"in-{port}"


def _out(port: str) -> str:
    return f"out-{port}"


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh", b"lo", _UP_AND_RUNNING))


def _make_root(confinement: Confinement) -> Path:
    """Everything of this machine, and over it what is bound."""
    root = Path(confinement.folder).resolve() / "root"
    root.mkdir(parents=True, exist_ok=True)
    _mount("--make-rprivate", "/")
    _mount("-t", "tmpfs", "tmpfs", root)
    for there in Path("/").iterdir():
        here = root / there.name
        if there.is_symlink():
            here.symlink_to(there.readlink())
        elif there.is_dir():
            here.mkdir()
            # Where something is bound below it, nothing may be made in this machine's own folder.
            if not any(Path(one).is_relative_to(f"/{there.name}") for one in confinement.binds):
                _mount("--rbind", there, here)
    resolver = root.with_name("resolv.conf")
    resolver.write_text(f"nameserver {LOOPBACK}\n")
    for inner, outer in {"/etc/resolv.conf": str(resolver), **confinement.binds}.items():
        here = root / inner.lstrip("/")
        if Path(outer).is_dir():
            here.mkdir(parents=True, exist_ok=True)
        _mount("--bind", outer, here)
    return root


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _to_port(host: str, port: int) -> Callable[[], Awaitable[Ends]]:
    return lambda: asyncio.open_connection(host, port)


def _to_socket(path: str) -> Callable[[], Awaitable[Ends]]:
    return lambda: asyncio.open_unix_connection(path)


def _carrying(connect: Callable[[], Awaitable[Ends]]) -> Callable[..., Awaitable[None]]:
    """Carries each connection that is accepted to where `connect` leads."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await connect()
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
        finally:
            writer.transport.abort()
            back.transport.abort()

    return carry


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything, then the goodbye."""
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def main() -> None:
    """One of the two processes."""
    role, text, *program = sys.argv[1:]
    confinement = Confinement(**json.loads(text))
    folder = Path(confinement.folder)
    if role == OUT_HERE:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    os.chdir(folder)
    run = _out_here if role == OUT_HERE else _in_there
    os._exit(asyncio.run(run(confinement, program)))


if __name__ == "__main__":
    main()
