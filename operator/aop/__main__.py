"""The composition root: settings, clients, who leads, and Kopf around them.

`aop-operator run` is the operator.

Everything that is built once is built here and passed in; nothing is created at import.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import kopf

from aop import __version__
from aop.acting import Actor, Shown
from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, Kind, Subject, connect
from aop.election import Election
from aop.endpoints import Endpoints
from aop.handlers import WATCHED, Tell, Watch
from aop.health import Health
from aop.leading import Lead
from aop.metrics import Metrics
from aop.settings import Settings, SettingsError
from aop.terms import ObjectKey
from aop.uninstall import obstacles

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token (Kubernetes: "Accessing the Kubernetes API from a Pod")."""
ASKED_EVERY_S = 20.0
"""How often the API server is asked for a sign of life: thrice within what readiness allows."""
EXIT_GUARDED = 1
EXIT_SETTINGS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the `aop-operator` command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="aop-operator",
        description="Cloudflare zone-level Authenticated Origin Pulls for Kubernetes.",
    )
    parser.add_argument("--version", action="version", version=f"aop-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "run",
        help="run the operator; its settings are AOP_* environment variables (docs/reference.md)",
    )
    commands.add_parser(
        "uninstall-guard",
        help="exit with status 1, and say why, while there is something that only the operator can undo",
    )
    command = parser.parse_args(arguments).command
    try:
        settings = Settings.load()
    except SettingsError as error:
        print(f"aop-operator: {error}", file=sys.stderr)  # noqa: T201 - nothing is configured yet that could log it
        return EXIT_SETTINGS
    if command == "uninstall-guard":
        return asyncio.run(guard_uninstall(settings))
    configure_logging(settings)
    try:
        asyncio.run(run(settings, Clock()))
    except SettingsError as error:
        logging.getLogger("aop").critical("%s", error)
        return EXIT_SETTINGS
    return 0


async def guard_uninstall(settings: Settings) -> int:
    """Say whether the operator may be uninstalled; returns the exit status."""
    cluster = await connect(str(settings.kubeconfig) if settings.kubeconfig else None, Clock())
    try:
        refusal = await obstacles(cluster, settings)
    finally:
        await cluster.close()
    print(refusal or "There are no AuthenticatedOriginPulls: the operator may be uninstalled.")  # noqa: T201 - a command that answers a person
    return EXIT_GUARDED if refusal else 0


def configure_logging(settings: Settings) -> None:
    """One line per step, transition and error.

    Kopf's own chatter starts at warnings: it logs whole objects at debug.
    """
    format_ = kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.FULL
    kopf.configure(log_format=format_)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("aop").setLevel(settings.log_level.upper())


async def run(settings: Settings, clock: Clock) -> None:
    """Build everything around `clock`, and serve until the process is told to stop.

    Nothing else reads the time. Raises `SettingsError` if there is no place for an election.
    """
    metrics, home = Metrics(clock.wall), home_of(settings)
    identity = f"{platform.node()}_{secrets.token_hex(4)}"
    health = Health(clock, (kind.plural for kind in WATCHED))
    async with AsyncExitStack() as stack:
        kubeconfig = str(settings.kubeconfig) if settings.kubeconfig else None
        cluster = await connect(kubeconfig, clock, identity)
        stack.push_async_callback(cluster.close)
        election = Election(
            cluster, lease_of(settings, home), identity, settings.lease_s, clock, health, metrics
        )
        stack.enter_context(Endpoints(settings, health, metrics))
        stack.callback(asyncio.create_task(ask_for_life(cluster, health)).cancel)
        shown = Shown()
        await stack.enter_async_context(watching(settings, shown, clock, health, metrics))
        actor = Actor(settings, clock, cluster, shown, home, health, metrics)
        await take_part(actor, election if settings.election else None, end_of_process())


async def take_part(actor: Actor, election: Election | None, ending: asyncio.Event) -> None:
    """Stand by, lead and act, and stand by again, until the process ends."""
    if election is None:
        actor.metrics.leader.set(1)
        await actor.act(Lead.alone(actor.clock), ending)
        return
    actor.health.stand()
    while (lead := await election.win(ending)) is not None:
        async with election.kept(lead):
            await actor.act(lead, ending)


def lease_of(settings: Settings, home: Subject | None) -> ObjectKey:
    """Where the Lease is. Raises `SettingsError` if that is not known."""
    if home is None and settings.election:
        raise SettingsError(
            "AOP_NAMESPACE is not set, and this is no pod, so there is no place for the Lease by which the replicas decide which one acts. "
            "Set it; or set AOP_ELECTION=false, if you are sure that no other process serves the same objects"
        )
    return ObjectKey(home.key.namespace if home else "", settings.lease_name)


def home_of(settings: Settings, folder: Path = SERVICE_ACCOUNT) -> Subject | None:
    """The operator's own Pod, for Events that no object's namespace takes.

    None outside a pod if no setting names it.
    """
    file = folder / "namespace"
    in_pod = file.exists()
    namespace = settings.namespace or (file.read_text(encoding="utf-8").strip() if in_pod else "")
    if not namespace:
        return None
    name = platform.node() if in_pod else "aop-operator"
    return Subject("v1", "Pod", ObjectKey(namespace, name))


async def ask_for_life(cluster: Cluster, health: Health) -> None:
    """Ask the API server regularly for a sign of life, and give that of the event loop."""
    while True:
        health.expect("the operator itself", ASKED_EVERY_S)
        try:
            async with asyncio.timeout(ASKED_EVERY_S):
                await cluster.ask_version()
            health.answered()
        except (ClusterError, TimeoutError) as error:
            logging.getLogger("aop").warning("no sign of life of the API server: %s", error)
        await asyncio.sleep(ASKED_EVERY_S)


def end_of_process() -> asyncio.Event:
    """Set on SIGTERM and SIGINT. The process ends then, and for no other reason."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    return ending


@asynccontextmanager
async def watching(
    settings: Settings, shown: Shown, clock: Clock, health: Health, metrics: Metrics
) -> AsyncIterator[None]:
    """Watch every kind for the length of the block, whether this process leads or stands by."""
    loop = asyncio.get_running_loop()

    def teller(kind: Kind) -> Tell:
        def tell(type_: str | None, manifest: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(shown.see, kind, type_, manifest)

        return tell

    login = login_with(settings)
    watches = [
        Watch(kind, settings, login, teller(kind), clock, health, metrics) for kind in WATCHED
    ]
    for watch in watches:
        watch.start()
    try:
        yield
    finally:
        await asyncio.gather(*(asyncio.to_thread(watch.stop) for watch in watches))


def login_with(settings: Settings) -> Any:
    """Kopf's own client logs in as ours does.

    With the kubeconfig of the settings, else with the pod's service account.
    """

    def login(**kwargs: Any) -> Any:
        if settings.kubeconfig:
            # Kopf's kubeconfig login reads the variable, not an argument.
            os.environ["KUBECONFIG"] = str(settings.kubeconfig)
            return kopf.login_with_kubeconfig(**kwargs)
        return in_cluster(os.environ) or kopf.login_with_kubeconfig(**kwargs)

    return login


def in_cluster(
    environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT
) -> kopf.ConnectionInfo | None:
    """The pod's service account, or None outside a pod.

    Read again when its token is refused, because the kubelet renews the file. The address is the
    one in the pod's environment, as for every official client; Kopf's own login uses a name that
    DNS has to know.
    """
    host, port = (
        environment.get("KUBERNETES_SERVICE_HOST"),
        environment.get("KUBERNETES_SERVICE_PORT"),
    )
    if not host or not port or not (folder / "token").exists():
        return None
    return kopf.ConnectionInfo(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca_path=str(folder / "ca.crt"),
        token=(folder / "token").read_text(encoding="utf-8").strip(),
        default_namespace=(folder / "namespace").read_text(encoding="utf-8").strip(),
    )


if __name__ == "__main__":
    sys.exit(main())
