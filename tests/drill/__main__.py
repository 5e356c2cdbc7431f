"""`python -m drill ZONE --token-file FILE`: the exercise on the double, then on the zone, and the report of both."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from aop.clock import Clock
from aop.cloudflare import Access, Cloudflare, CloudflareError, Priority
from aop.cloudflare.client import BASE_URL
from aop.errors import AopError
from aop.leading import Lead
from drill import comparison, report
from drill.edge import DrillEdge, Listener
from drill.exercise import DrillError, Exercise
from drill.transcript import Recording, Transcript
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.ports import free_port

PORT = 8443
"""One of the ports that Cloudflare passes on, and that needs no root."""
DIFFERENT, FAILED, INTERRUPTED = 3, 1, 130
PLAN = """
The drill is about to use zone {zone} at Cloudflare for some minutes. It uploads certificates that it makes now, enables
Authenticated Origin Pulls, replaces the certificate, and deletes all of it again. It changes no DNS record, no other
setting and nothing of another zone.

While it runs, the edge presents a certificate to the origins of this zone. An origin that accepts everybody notices
nothing. An origin that checks client certificates may refuse visitors. So take a zone that nobody needs.
"""


def options(arguments: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="drill", description=__doc__)
    parser.add_argument("zone", help="the zone that is given up for the drill")
    parser.add_argument("--token-file", type=Path, required=True, help="holds its API token")
    parser.add_argument("--host", default="", help="a proxied name whose record leads here")
    parser.add_argument(
        "--listen", type=place, default=f"0.0.0.0:{PORT}", help="where the edge reaches it"
    )
    parser.add_argument("--report", type=Path, default=Path("dist/drill"), help="the folder")
    parser.add_argument("--base-url", default=os.environ.get("AOP_CLOUDFLARE_BASE_URL", BASE_URL))
    parser.add_argument("--pause", type=float, default=2.0, help="between two looks, in seconds")
    parser.add_argument("--patience", type=float, default=300.0, help="for one thing, in seconds")
    return parser.parse_args(arguments)


def place(text: str) -> tuple[str, int]:
    """An address and a port, as in `192.0.2.1:2053`.

    Raises:
        ArgumentTypeError: it is no such thing.
    """
    address, _, port = text.rpartition(":")
    if not address or not re.fullmatch(r"[0-9]{1,5}", port):
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT, as in 192.0.2.1:2053")
    return address, int(port)


def token_in(path: Path) -> str:
    """The API token that the file holds.

    Raises:
        DrillError: it cannot be read, or holds something else.
    """
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DrillError(f"The token cannot be read from {path}: {error}") from error
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise DrillError(f"The file {path} has to hold an API token and nothing else")
    return token


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 where Cloudflare is as the double, 3 where it is not."""
    asked = options(arguments)
    try:
        return asyncio.run(drill(asked))
    except (DrillError, AopError) as error:
        print(f"drill: {str(error).rstrip('.')}.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("drill: ended before anything was changed.", file=sys.stderr)
        return INTERRUPTED


async def drill(asked: argparse.Namespace) -> int:
    """Both exercises, and the report."""
    token = token_in(asked.token_file)
    names = {token: "TOKEN", asked.host: "HOST", asked.zone: "ZONE"}
    real = Transcript({text: word for text, word in names.items() if text}, say=print)
    with tempfile.TemporaryDirectory() as scratch:
        async with (
            listening(asked, Path(scratch)) as edge,
            client(asked.base_url, real) as cloudflare,
        ):
            exercise = Exercise(
                cloudflare,
                Access.of(token, Priority.ONBOARD, source=f"file {asked.token_file}"),
                asked.zone,
                real,
                edge,
                asked.pause,
                asked.patience,
            )
            await exercise.look()
            confirm(asked.zone)
            print("First on the double, so that there is something to compare with.")
            double = await rehearsed(Path(scratch), with_edge=edge is not None)
            ended = await carried_out(exercise)
    differences = comparison.differences(double, real)
    asked.report.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("report.md", report.as_markdown(double, real, differences, ended)),
        ("report.json", report.as_json(double, real, differences, ended)),
    ):
        (asked.report / name).write_text(told_in_full(text, real))
    matter = sum(one.matters for one in differences)
    print(f"{ended} {matter} differences matter. The report is {asked.report / 'report.md'}.")
    if ended != DONE:
        return INTERRUPTED if ended == ENDED_EARLY else FAILED
    return DIFFERENT if matter else 0


DONE = "The exercise was carried out to its end, and the zone is as it was found."
ENDED_EARLY = "Somebody ended the exercise; the zone is as it was found."


async def carried_out(exercise: Exercise) -> str:
    """Run it, and put everything back, whatever happens. Returns how it ended, in a sentence."""
    with unmoved_by_signals() as interrupted:
        running = asyncio.create_task(_all_of(exercise))
        interrupted(running.cancel)
        try:
            ended = await _end_of(running)
        finally:
            left = await _put_back(exercise)
    return left or ended


async def _all_of(exercise: Exercise) -> None:
    await exercise.tidy()
    await exercise.run()


async def _end_of(running: asyncio.Task[None]) -> str:
    try:
        await running
    except asyncio.CancelledError:
        return ENDED_EARLY
    except (DrillError, CloudflareError) as error:
        return f"The exercise could not be carried out: {error}. The zone is as it was found."
    return DONE


async def _put_back(exercise: Exercise) -> str:
    """What could not be put back, and what to do; empty if there is nothing."""
    try:
        await exercise.restore()
    except (DrillError, CloudflareError) as error:
        return (
            f"NOT EVERYTHING COULD BE PUT BACK: {error}. Run the drill again, or delete the certificates "
            "and disable Authenticated Origin Pulls in the dashboard."
        )
    return ""


@contextlib.contextmanager
def unmoved_by_signals() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Within the block Ctrl-C and SIGTERM do what is said here, once, and end nothing."""
    loop = asyncio.get_running_loop()
    announced: list[Callable[[], object]] = []

    def heard() -> None:
        print("\nEnding. Everything is put back first.")
        for one in announced:
            one()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard)
    try:
        yield announced.append
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def rehearsed(folder: Path, *, with_edge: bool) -> Transcript:
    """The same exercise on the double."""
    zone, host = "example.com", "drill.example.com"
    transcript = Transcript({})
    listener = Listener(folder / "double-listener", "127.0.0.1", free_port())
    with contextlib.ExitStack() as stack:
        if with_edge:
            stack.enter_context(listener)
        places = [("127.0.0.1", listener.port, free_port())]
        double = stack.enter_context(CloudflareDouble(folder / "double", places, zones=[zone]))
        double.control.turn(delete_s=1)
        async with client(double.base_url, transcript) as cloudflare:
            met = double.locations[0].https
            edge = DrillEdge(host, PORT, listener, met, double.edge_ca_file) if with_edge else None
            access = Access.of(double.token, Priority.ONBOARD)
            exercise = Exercise(cloudflare, access, zone, transcript, edge, 0.2, 60.0)
            await exercise.look()
            await exercise.run()
            await exercise.restore()
    return transcript


@contextlib.asynccontextmanager
async def client(base_url: str, transcript: Transcript) -> AsyncIterator[Cloudflare]:
    """The operator's own, of which everything is noted."""
    clock = Clock()
    async with Cloudflare(
        base_url, clock=clock, lead=Lead.alone(clock), transport=Recording(transcript)
    ) as cloudflare:
        yield cloudflare


@contextlib.asynccontextmanager
async def listening(asked: argparse.Namespace, folder: Path) -> AsyncIterator[DrillEdge | None]:
    """The drill's own server, and the way to it through the edge; None without a host."""
    if not asked.host:
        print("Without HOST what the edge presents is left out.")
        yield None
        return
    address, port = asked.listen
    with Listener(folder / "listener", address, port) as listener:
        ca_file = os.environ.get("AOP_EDGE_CA_FILE")
        yield DrillEdge(
            asked.host,
            port,
            listener,
            os.environ.get("AOP_EDGE_CONNECT_TO", "").removeprefix("::") or None,
            Path(ca_file) if ca_file else None,
        )


def confirm(zone: str) -> None:
    """Ask whoever has started it; `DRILL_YES` with the zone's name answers in their place.

    Raises:
        DrillError: the answer was another one, or nobody can answer.
    """
    print(PLAN.format(zone=zone))
    try:
        answer = os.environ.get("DRILL_YES") or input("Type the name of the zone to go on: ")
    except EOFError as error:
        raise DrillError(
            "Nobody is there to type the zone's name, so nothing was changed; "
            f"where nobody can, set DRILL_YES={zone}"
        ) from error
    if answer.strip() != zone:
        raise DrillError("The answer is not the zone's name, so nothing was changed")


def told_in_full(text: str, real: Transcript) -> str:
    """The report, once more without anything that is known of the zone.

    There is none in it by the way that it is made; a mistake there must not cost the whole drill.
    """
    long = {one for one in real.seen if len(one) >= 16}
    for secret in sorted({*real.names, *long}, key=len, reverse=True):
        text = re.sub(re.escape(secret), "TEXT", text, flags=re.IGNORECASE)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
