"""Child processes that never outlive the process that started them, not even when that one is killed.

Three nets, each for what the one before it cannot catch: `Child.kill` in the ordinary case;
`atexit` when somebody forgot; and, on Linux, the parent-death signal when this process dies by
SIGKILL. A program that is suspended takes no signal but SIGKILL, so that one which gets another is
woken up then.
"""

import atexit
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.waiting import until

# Runs in the child before the program takes its place. A launcher and not `preexec_fn`: Python code
# between fork and exec of a process with threads can deadlock. The parent may be dead before the
# request for the signal was made, hence the second look.
_LAUNCHER = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
ctypes.CDLL(None, use_errno=True).prctl(1, int(sys.argv[2]))
if os.getppid() != parent:
    os._exit(1)
os.execvp(sys.argv[3], sys.argv[3:])
"""

# Suspends a program, waits for the death of the process that wanted it so, and then lets the
# program go on, so that it takes the signal that it got meanwhile. In this order: a program that
# stands still while nobody waits could be left behind.
_WAKER = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.killpg(int(sys.argv[1]), signal.SIGSTOP)
signal.sigwait({signal.SIGTERM})
os.killpg(int(sys.argv[1]), signal.SIGCONT)
"""


class Child:
    """A running program in a process group of its own, which can be killed, paused, and started again with the same arguments.

    `log` is the file that its stdout and stderr are appended to. `death_signal` is what it gets
    when this process is killed: SIGTERM for a program whose own children would outlive its SIGKILL
    (nginx: its workers do).
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.log = log
        self._death_signal = death_signal
        self._env = dict(os.environ if env is None else env)
        self._process: subprocess.Popen[bytes] | None = None
        self._waker: Child | None = None
        self.start()

    @property
    def name(self) -> str:
        """The program's own name, for messages."""
        return Path(self.argv[0]).name

    @property
    def pid(self) -> int:
        """Process id, and id of the process group.

        Raises:
            RuntimeError: it is not running.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs and after `kill`."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it again after `kill` or after it ended by itself.

        Raises:
            RuntimeError: it is still running.
            OSError: the program cannot be run.
        """
        if self.alive:
            raise RuntimeError(f"{self.name} is already running")
        self._process = _spawner.spawn(_Order(self.argv, self._env, self.log, self._death_signal))
        _living.add(self)

    def kill(self, signum: signal.Signals = signal.SIGKILL, *, within_s: float = 10) -> None:
        """Send a signal to the whole process group and wait for the end; SIGKILL after `within_s`.

        A dead one stays dead.
        """
        process, self._process = self._process, None
        _living.discard(self)
        if process is None:
            return
        _signal_group(process.pid, signum)
        if signum != signal.SIGKILL:
            with suppress(subprocess.TimeoutExpired):
                process.wait(within_s)
            _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        self._dismiss_waker()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the program itself, and do not wait for what comes of it."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signum)

    def suspend(self) -> None:
        """Stop it in mid-air (SIGSTOP), with every process of its group: its connections stay open and nothing answers. Returns when it stands still."""
        if self._death_signal == signal.SIGKILL:
            _signal_group(self.pid, signal.SIGSTOP)
        elif self._waker is None:
            self._waker = Child(
                [sys.executable, "-I", "-S", "-c", _WAKER, str(self.pid)],
                log=self.log,
                death_signal=signal.SIGTERM,
            )
            until(
                lambda: not self.alive or _state(self.pid) == "T",
                within_s=10,
                every_s=0.01,
                describe=f"{self.name} to stand still",
            )

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        _signal_group(self.pid, signal.SIGCONT)
        self._dismiss_waker()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Stopped in mid-air for the length of the block."""
        self.suspend()
        try:
            yield
        finally:
            self.resume()

    def _dismiss_waker(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.kill()

    def last_words(self, lines: int = 20) -> str:
        """The end of its log, for an error message."""
        with suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


@dataclass(frozen=True)
class _Order:
    argv: list[str]
    env: dict[str, str]
    log: Path
    death_signal: signal.Signals


class _Spawner:
    """One thread that lives as long as the process and starts all children.

    The parent-death signal is bound to the *thread* that forked: a child of a short-lived thread
    would be killed when that thread ends.
    """

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[_Order, Future[subprocess.Popen[bytes]]]] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def spawn(self, order: _Order) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="spawner", daemon=True)
                self._thread.start()
        born: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((order, born))
        return born.result()

    def _run(self) -> None:
        while True:
            order, born = self._wanted.get()
            try:
                born.set_result(_popen(order))
            except BaseException as error:  # noqa: BLE001  # it belongs to whoever asked, in another thread
                born.set_exception(error)


def _popen(order: _Order) -> subprocess.Popen[bytes]:
    if not os.access(order.argv[0], os.X_OK):
        raise OSError(f"{order.argv[0]} is not a program that can be run")
    argv = order.argv
    if hasattr(ctypes.CDLL(None), "prctl"):
        argv = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _LAUNCHER,
            str(os.getpid()),
            str(order.death_signal.value),
            *argv,
        ]
    with order.log.open("ab") as out:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=order.env,
            start_new_session=True,
        )


def is_running(pid: int) -> bool:
    """Whether a process is alive (a stopped one is); one that has ended and that nobody has waited for is not."""
    return _state(pid) not in {"Z", "X", ""}


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and not yet waited for; none where it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _state(pid: int) -> str:
    """Its letter as in proc(5); empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _signal_group(pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signum)


_spawner = _Spawner()
_living: set[Child] = set()


@atexit.register
def _end_all() -> None:
    for child in list(_living):
        child.kill()
