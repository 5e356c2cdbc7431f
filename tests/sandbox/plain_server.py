"""One real server as a user runs it in a pod, whichever it is: a configuration of theirs, and beside it the files of our ConfigMap."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.text_nginx import AskedServer
from sandbox.waiting import until

MOUNT = "aop"
"""The folder where the ConfigMap is mounted."""
SITE_PATH = "/site"
"""Where some of them answer `site=` and the host whose part of the configuration answers."""


def mount(folder: Path, files: Mapping[str, str]) -> None:
    """`folder` holds these files and no others, as a pod that starts finds them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@dataclass
class UsersServer(AskedServer):
    """A server with the files of our ConfigMap beside the configuration of its user.

    `files` are those of the ConfigMap; `hosts` are served beside all others.
    """

    folder: Path
    files: Mapping[str, str]
    hosts: Sequence[str] = ()
    servers_without: Sequence[str] = ()
    """Hosts whose part of the configuration does not take in ours."""
    also_in_servers: str = ""
    """What the user has for each host besides; `<name>` is the host."""
    address: str = "127.0.0.1"
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    def also_for(self, host: str) -> str:
        """What the user has for this host besides."""
        return self.also_in_servers.replace("<name>", host)


class PlainServer(UsersServer, ABC):
    """A running server within the block."""

    title: ClassVar[str]
    """How messages name it."""
    ends_by: ClassVar[signal.Signals] = signal.SIGKILL

    @abstractmethod
    def running(self) -> list[str | Path]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def testing(self) -> list[str | Path]:
        """The command that only says what is wrong with the configuration."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Of both."""

    @abstractmethod
    def write(self) -> None:
        """Its folder, as a pod that starts finds it."""

    def __enter__(self) -> Self:
        self.write()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def restart(self, files: Mapping[str, str]) -> None:
        """Run it anew with other files, as a pod does that takes the place of one."""
        self.stop()
        self.files = files
        self.write()
        self.start()

    def tested(self) -> str:
        """What it says against its configuration: empty when that passes."""
        self.write()
        done = self.ended(self.testing())
        return done.stderr if done.returncode else ""

    def ended(self, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
        """A command of it that ends by itself."""
        return subprocess.run(
            command,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def start(self) -> None:
        """Run it with what stands in its folder, and wait until it listens at each of its ports."""
        self._child = Child(
            self.running(),
            log=self.folder / "server.log",
            env=self.environment(),
            death_signal=self.ends_by,
        )
        until(
            self._listens,
            within_s=30,
            describe=lambda: f"{self.title} to start; it said {self._child.last_words()}",
        )

    def stop(self) -> None:
        """End it; its folder stays."""
        self._child.kill(self.ends_by)

    def ports(self) -> tuple[int, ...]:
        """Where it listens: Envoy opens one after the other."""
        return (self.https_port, self.http_port)

    def _listens(self) -> bool:
        assert self._child.alive, self._child.last_words()
        with suppress(OSError):
            for port in self.ports():
                socket.create_connection((self.address, port), timeout=5).close()
            return True
        return False
