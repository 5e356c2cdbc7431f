"""`python -m sandbox.ingress_nginx`: the stand-in as a process of its own.

Prints one line of JSON when every replica is Ready (`launcher.Announcement` has its fields) and
runs until SIGINT or SIGTERM; then it deletes its Pods.
"""

import argparse
import asyncio
import json
import logging
import resource
import signal
import sys
import tempfile
from pathlib import Path

from sandbox.ingress_nginx import control
from sandbox.ingress_nginx.api import ApiClient
from sandbox.ingress_nginx.fleet import DEFAULT_HOSTS, LOOPBACK, Fleet, Wanted
from sandbox.ingress_nginx.pods import Installation, ReplicaPorts
from sandbox.ingress_nginx.replica import FIRST_SYNC_PAUSE_S
from sandbox.ingress_nginx.store import Scope
from sandbox.ports import free_port

ALL_ADDRESSES = "0.0.0.0"


def main() -> None:
    """Run until told to stop."""
    arguments = _parser().parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    installation = Installation(
        scope=Scope(
            arguments.namespace,
            arguments.configmap,
            arguments.ingress_class,
            arguments.controller_class,
        ),
        # A port that is free at every address is free at each replica's.
        ports=ReplicaPorts(*(free_port(ALL_ADDRESSES) for _ in range(5))),
        release=arguments.release,
        config=dict(setting.split("=", 1) for setting in arguments.config),
        has_configmap=not arguments.no_configmap,
    )
    wanted = Wanted(
        replicas=arguments.replicas,
        first_address=arguments.first_address,
        hosts=arguments.host or DEFAULT_HOSTS,
        first_sync_pause_s=arguments.first_sync_pause,
        worker_processes=arguments.worker_processes,
    )
    with tempfile.TemporaryDirectory(
        prefix="aop-ingress-nginx-", ignore_cleanup_errors=True
    ) as folder:
        async with (
            ApiClient.from_kubeconfig(arguments.kubeconfig) as api,
            Fleet(api, installation, wanted, Path(folder)) as fleet,
        ):
            port = free_port(LOOPBACK)
            runner = await control.serve(fleet, LOOPBACK, port)
            try:
                await _serve(fleet, f"http://{LOOPBACK}:{port}", stop, arguments.announce)
            finally:
                await runner.cleanup()


async def _serve(
    fleet: Fleet, control_url: str, stop: asyncio.Event, announce: Path | None
) -> None:
    async def announce_and_watch() -> None:
        await fleet.ready()
        line = json.dumps(_announcement(fleet, control_url))
        if announce is not None:
            announce.with_suffix(".new").write_text(line)
            announce.with_suffix(".new").rename(announce)
        print(line, flush=True)
        await fleet.broken()

    running = {asyncio.create_task(announce_and_watch()), asyncio.create_task(stop.wait())}
    done, waiting = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        task.result()


def _announcement(fleet: Fleet, control_url: str) -> dict[str, object]:
    installation = fleet.installation
    return {
        "namespace": installation.scope.namespace,
        "configmap": installation.scope.configmap,
        "ingress_class": installation.scope.ingress_class,
        "http_port": installation.ports.http,
        "https_port": installation.ports.https,
        "replicas": [
            {
                "pod": one["pod"],
                "address": one["address"],
                "http": one["http"],
                "https": one["https"],
            }
            for one in fleet.facts()
        ],
        "backend": fleet.backend_address,
        "ca_file": str(fleet.ca_file),
        "control": control_url,
        "nginx": str(fleet.program),
        "has_headers_more": fleet.program.has_headers_more,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.ingress_nginx",
        description="ingress-nginx on real nginx, without containers",
    )
    add = parser.add_argument
    add(
        "--kubeconfig",
        type=Path,
        required=True,
        help="of an admin, with embedded certificates or token",
    )
    add("--namespace", default="ingress-nginx", help="of Pods and ConfigMap; created where missing")
    add("--replicas", type=int, default=2)
    add("--first-address", default="127.0.0.11", help="of the first replica; the next ones follow")
    add(
        "--configmap",
        default="ingress-nginx-controller",
        help="name of the controller's ConfigMap; created where missing",
    )
    add("--no-configmap", action="store_true", help="do not create the ConfigMap")
    add(
        "--config",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the ConfigMap when it is created; may be repeated",
    )
    add(
        "--release",
        default="ingress-nginx",
        help="name of the Helm release, in labels and Pod names",
    )
    add("--ingress-class", default="nginx")
    add("--controller-class", default="k8s.io/ingress-nginx")
    add(
        "--host",
        action="append",
        help="a name in the default certificate; may be repeated (default: example.com and *.example.com)",
    )
    add("--worker-processes", type=int, default=2)
    add(
        "--first-sync-pause",
        type=float,
        default=FIRST_SYNC_PAUSE_S,
        metavar="SECONDS",
        help="as the controller waits before it is healthy",
    )
    add("--announce", type=Path, help="also write the line of JSON to this file, atomically")
    return parser


if __name__ == "__main__":
    main()
