"""`python -m sandbox.cloudflare`: the double as a process.

One line of JSON on stdout says where everything is, once it answers.

It runs until SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from sandbox.cloudflare.knobs import LocationKnobs, OriginListener
from sandbox.cloudflare.server import DoubleServer, ServerPlan

_VERSIONS: tuple[Literal["1.3", "1.2"], ...] = ("1.3", "1.2")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 after a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.cloudflare", description="A stand-in for Cloudflare's API and edge."
    )
    parser.add_argument(
        "--directory", type=Path, help="where certificates go (default: a temporary directory)"
    )
    parser.add_argument(
        "--zone", action="append", help="a zone to begin with (default: example.com)"
    )
    parser.add_argument(
        "--origin",
        action="append",
        type=_origin,
        default=[],
        metavar="ADDRESS:HTTPS:HTTP",
        help="a replica of the origin",
    )
    parser.add_argument(
        "--location",
        action="append",
        metavar="CODE[=SECONDS]",
        help="an edge location and its propagation delay",
    )
    parser.add_argument("--origin-ca", type=Path, help="whom Full (strict) trusts")
    options = parser.parse_args(argv)
    with ExitStack() as stack:
        directory = options.directory or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="cloudflare-"))
        )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        locations = _locations(options.location or ["FRA", "AMS", "IAD"])
        asyncio.run(
            _run(
                ServerPlan(
                    directory,
                    options.zone or ["example.com"],
                    options.origin,
                    locations,
                    options.origin_ca,
                )
            )
        )
    return 0


async def _run(plan: ServerPlan) -> None:
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    server = DoubleServer(plan)
    print(json.dumps({"ready": True, **await server.start()}), flush=True)
    await stopped.wait()
    await server.stop()


def _origin(text: str) -> OriginListener:
    address, https_port, http_port = text.rsplit(":", 2)
    return OriginListener(address=address, https_port=int(https_port), http_port=int(http_port))


def _locations(words: Sequence[str]) -> dict[str, LocationKnobs]:
    """Both TLS versions are in use from two locations on."""
    locations = {}
    for number, word in enumerate(words):
        code, _, seconds = word.partition("=")
        locations[code] = LocationKnobs(
            propagation_s=float(seconds or 0), tls=_VERSIONS[number % 2]
        )
    return locations


if __name__ == "__main__":
    sys.exit(main())
