"""The composition root: settings, clients, the loop, and Kopf around them.

`aop-operator run` is the operator.

Everything that is built once is built here and passed in; nothing is created at import.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import kopf

from aop import __version__
from aop.clock import Clock
from aop.cloudflare import Cloudflare, Shares
from aop.cluster import Cluster, ClusterError, Kind, Subject, connect, event
from aop.endpoints import Endpoints
from aop.handlers import WATCHED, Tell, Watch
from aop.health import Health
from aop.loops import Loops
from aop.metrics import Metrics
from aop.observe import Observer
from aop.observe.edge import EdgeReader
from aop.observe.origins import OriginKeepers
from aop.observe.replicas import ReplicaReader
from aop.observe.secrets import Secrets
from aop.observe.zone import ZoneReader
from aop.orphans import Orphans
from aop.perform import Performer
from aop.pki import throwaway
from aop.probe import ClientIdentity, EdgeProbe, ReplicaProbe
from aop.reconcile import Reconciler
from aop.settings import Settings, SettingsError
from aop.terms import ObjectKey
from aop.uninstall import obstacles

CLOUDFLARE_TOTAL_S = 10.0
"""The longest that one request to Cloudflare may take: a mutation that hangs must not hold up what
protects visitors for longer."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token (Kubernetes: "Accessing the Kubernetes API from a Pod")."""
ASKED_EVERY_S = 20.0
"""How often the API server is asked for a sign of life: thrice within what readiness allows."""
FINISHED_WITHIN_S = 20.0
"""How long what is under way at the end of the process may take: a change at Cloudflare is not cut
off. Below the chart's terminationGracePeriodSeconds."""
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
    """Tell whether the operator may be uninstalled; returns the exit status."""
    cluster = await connect(str(settings.kubeconfig) if settings.kubeconfig else None)
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

    Nothing else reads the time.
    """
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        cluster = await connect(str(settings.kubeconfig) if settings.kubeconfig else None)
        stack.push_async_callback(cluster.close)
        shares = Shares(total=settings.budget_share, resync=settings.budget_resync_share)
        cloudflare = await stack.enter_async_context(
            Cloudflare(
                settings.cloudflare_base_url,
                clock=clock,
                shares=shares,
                metrics=metrics,
                total_s=CLOUDFLARE_TOTAL_S,
            )
        )
        origins = origins_of(settings, clock, cluster=cluster)
        edge = EdgeProbe(
            timeout_s=settings.probe_timeout_s,
            connect_to=settings.edge_connect_to,
            ca_file=settings.edge_ca_file,
        )
        edge_reader = EdgeReader(edge, settings.edge_cadence_s, settings.edge_requests_per_s, clock)
        secrets = Secrets(cluster, settings, clock)
        observer = Observer(
            cluster,
            ZoneReader(cloudflare, settings, metrics),
            origins,
            edge_reader,
            secrets,
            settings,
            clock,
        )
        performer = Performer(cluster, origins, secrets, cloudflare, clock)
        home = home_of(settings)
        reconciler = Reconciler(
            cluster, observer, performer, clock, metrics, settings.trace_file, home
        )
        health = Health(clock, (kind.plural for kind in WATCHED))
        stack.enter_context(Endpoints(settings, health, metrics))
        orphans = Orphans(cluster, origins, settings)
        loops = Loops(cluster, reconciler, observer, origins, secrets, orphans, clock, health)
        edge_reader.begin(loops.wake)
        for task in (
            orphans.run(),
            announce(cluster, home, settings, clock),
            ask_for_life(cluster, health),
        ):
            stack.callback(asyncio.create_task(task).cancel)
        await serve(settings, loops, health, metrics)
        await loops.end()
        await reconciler.finish(FINISHED_WITHIN_S)


def home_of(settings: Settings, folder: Path = SERVICE_ACCOUNT) -> Subject | None:
    """The operator's own Pod, which Events are about that no object's namespace takes.

    None outside a pod where no setting says one.
    """
    file = folder / "namespace"
    in_pod = file.exists()
    namespace = settings.namespace or (file.read_text(encoding="utf-8").strip() if in_pod else "")
    return (
        Subject("v1", "Pod", ObjectKey(namespace, platform.node() if in_pod else "aop-operator"))
        if namespace
        else None
    )


async def announce(
    cluster: Cluster, home: Subject | None, settings: Settings, clock: Clock
) -> None:
    """Say beside the operator's own Pod what this process serves.

    So a person sees where what it will say there comes from.
    """
    if home is None:
        return
    served = (
        f"namespaces {', '.join(settings.watch_namespaces)}"
        if settings.watch_namespaces
        else "all namespaces"
    )
    maps = (
        f"ConfigMaps {', '.join(settings.ingress_config_maps)}"
        if settings.ingress_config_maps
        else "any ConfigMap that a controller names"
    )
    message = f"aop-operator {__version__} serves AuthenticatedOriginPulls in {served}, and may write {maps}"
    try:
        await cluster.create(
            Kind.EVENT, home.key.namespace, event(home, "Normal", "Serving", message, clock.wall())
        )
    except ClusterError as error:
        logging.getLogger("aop").warning("Event not written: %s", error.message)


def origins_of(settings: Settings, clock: Clock, *, cluster: Any) -> OriginKeepers:
    """The keepers of all origins, which share one way of asking replicas."""
    # Valid since long ago: a node whose clock is wrong then refuses our young leaf and not this
    # one, which tells the two apart.
    stranger = throwaway(clock.wall() - timedelta(days=365))
    identity = ClientIdentity(stranger.leaf.pem, stranger.key)
    reader = ReplicaReader(
        ReplicaProbe(timeout_s=settings.probe_timeout_s),
        identity,
        clock,
        settings.replica_recheck_s,
    )
    return OriginKeepers(cluster, reader, settings, clock)


async def ask_for_life(cluster: Cluster, health: Health) -> None:
    """Ask the API server now and then for a sign of life, and give the loop's own."""
    while True:
        health.expect("the operator itself", ASKED_EVERY_S)
        try:
            async with asyncio.timeout(ASKED_EVERY_S):
                await cluster.ask_version()
            health.answered()
        except (ClusterError, TimeoutError) as error:
            logging.getLogger("aop").warning("no sign of life of the API server: %s", error)
        await asyncio.sleep(ASKED_EVERY_S)


async def serve(settings: Settings, loops: Loops, health: Health, metrics: Metrics) -> None:
    """Watch, and let the loops run; it ends on SIGTERM and SIGINT, and for no other reason."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)

    def see(kind: Kind, type_: str | None, manifest: dict[str, Any]) -> None:
        meta = manifest["metadata"]
        if kind is not Kind.AUTHENTICATED_ORIGIN_PULL:
            key = ObjectKey(meta["namespace"], meta["name"])
            loops.wake_referrers(key, meta["resourceVersion"] if type_ != "DELETED" else "")
        elif type_ == "DELETED":
            loops.lose(meta["uid"])
        else:
            loops.see(manifest)

    def teller(kind: Kind) -> Tell:
        def tell(type_: str | None, manifest: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(see, kind, type_, manifest)

        return tell

    login = login_with(settings)
    watches = [Watch(kind, settings, login, teller(kind), health, metrics) for kind in WATCHED]
    for watch in watches:
        watch.start()
    await ending.wait()
    await asyncio.gather(*(asyncio.to_thread(watch.stop) for watch in watches))


def login_with(settings: Settings) -> Any:
    """Kopf's own client logs in where ours does.

    The kubeconfig of the settings, else the pod's service account.
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

    Asked again when its token is refused, because the kubelet renews the file. By the address in
    the pod's environment, as every official client does: Kopf's own login goes by a name that DNS
    has to know.
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
