"""One replica's nginx: a master with its workers in a folder of its own, tried and reloaded the way the controller does it.

Every call is the real program: `nginx -t` on a temporary file, `nginx -s reload` on the running
one.
"""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

from sandbox.ingress_nginx import template
from sandbox.ingress_nginx.place import Place
from sandbox.processes import Child, children_of
from sandbox.waiting import until_async

KEEP_REJECTED_S = 300
START_WITHIN_S = 60
DRAINED_EVERY_S = 1.0
RULE = "-" * 79


class ReloadError(Exception):
    """nginx refused a configuration, or the order to reload.

    The text is what the controller puts into its Warning Event.
    """


class Nginx:
    """A running nginx.

    It starts on a configuration in which nothing listens (facts: ingress-nginx#starting-pods).
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.conf = place.folder / "nginx.conf"
        self._rejected = place.folder / "tmp"
        self._child: Child | None = None

    @property
    def alive(self) -> bool:
        """Whether the master runs."""
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int:
        """The master's process id; raises RuntimeError when it does not run."""
        if self._child is None:
            raise RuntimeError(f"the nginx in {self.place.folder} is not running")
        return self._child.pid

    def start(self) -> None:
        """Make the folder and start the master."""
        for folder in (self.place.folder, self._rejected, self.place.ssl_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.conf.write_text(template.render_empty(self.place))
        # SIGTERM and not SIGKILL: a master that is killed leaves its workers behind, and they go on
        # serving.
        self._child = Child(
            self._command("-c", str(self.conf)),
            log=self.place.folder / "stdout.log",
            death_signal=signal.SIGTERM,
        )

    async def started(self) -> None:
        """Wait until the master has written its pid and takes orders: `nginx -s` fails before [measured on a busy machine]."""
        file = self.place.folder / "nginx.pid"
        await until_async(
            lambda: not self.alive or (file.exists() and bool(file.read_text().strip())),
            within_s=START_WITHIN_S,
            every_s=0.02,
            describe=f"the nginx in {self.place.folder} to start",
        )

    def hold(self, *, hung: bool) -> None:
        """Stop the master and all its workers in mid-air, or let them go on; nothing where none runs."""
        if self._child is not None:
            (self._child.suspend if hung else self._child.resume)()

    async def drained(self) -> None:
        """Wait as the controller waits for one reload to be over: look once a second, until there are as many workers as there should be."""
        while True:
            await asyncio.sleep(DRAINED_EVERY_S)
            if not self.alive:
                return
            if len(children_of(self.pid)) == self.place.worker_processes:
                return

    async def stop(self, *, grace_s: float = 0) -> None:
        """End it: at once, or by SIGQUIT, which lets requests in flight finish within `grace_s`."""
        child, self._child = self._child, None
        if child is None:
            return
        if grace_s > 0:
            await asyncio.to_thread(child.kill, signal.SIGQUIT, within_s=grace_s)
        else:
            child.kill()

    async def test(self, text: str) -> None:
        """Run `nginx -t` on a temporary file beside nginx.conf.

        A rejected file stays for a while, for whoever wants to look.

        Raises:
            ReloadError: nginx refuses the text; with its words, in the frame that the controller puts around them.
        """
        with tempfile.NamedTemporaryFile(
            "w", prefix="nginx-cfg", dir=self._rejected, delete=False
        ) as file:
            file.write(text)
        status, output = await self._run("-c", file.name, "-t")
        if status != 0:
            self._forget_old_rejects()
            raise ReloadError(f"\n{RULE}\nError: exit status {status}\n{output}\n{RULE}\n")
        self._forget(Path(file.name))

    async def apply(self, text: str, *, load_lag_s: float = 0.0) -> None:
        """Write nginx.conf and have the master read it: at once, or later without anybody being told.

        Raises:
            ReloadError: the order could not be given.
        """
        self.conf.write_text(text)
        if load_lag_s:
            asyncio.get_running_loop().call_later(load_lag_s, self._read_again)
            return
        status, output = await self._run("-c", str(self.conf), "-s", "reload")
        if status != 0:
            raise ReloadError(f"exit status {status}\n{output}")

    def _read_again(self) -> None:
        if self.alive:
            os.kill(self.pid, signal.SIGHUP)

    def _command(self, *arguments: str) -> list[str]:
        return [
            str(self.place.program.path),
            "-p",
            f"{self.place.folder}/",
            "-e",
            f"{self.place.folder}/error.log",
            *arguments,
        ]

    async def _run(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *self._command(*arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")

    def _forget_old_rejects(self) -> None:
        for old in self._rejected.glob("nginx-cfg*"):
            if time.time() - old.stat().st_mtime > KEEP_REJECTED_S:
                self._forget(old)

    @staticmethod
    def _forget(file: Path) -> None:
        file.unlink(missing_ok=True)
