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
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import kopf
from aiohttp import web

from aop import __version__
from aop.clock import Clock
from aop.cloudflare import Cloudflare, Shares
from aop.cluster import Cluster, ClusterError, Kind, Subject, connect, event
from aop.handlers import Loops, kopf_settings, register
from aop.metrics import Metrics
from aop.observe import Observer
from aop.observe.edge import EdgeReader
from aop.observe.origins import OriginKeepers
from aop.observe.replicas import ReplicaReader
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
        help="exit with status 1, and say why, while there is something that only the operator can put back",
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
        observer = Observer(
            cluster,
            ZoneReader(cloudflare, settings, metrics),
            origins,
            edge_reader,
            settings,
            clock,
        )
        performer = Performer(cluster, origins, cloudflare, clock)
        home = home_of(settings)
        reconciler = Reconciler(
            cluster, observer, performer, clock, metrics, settings.trace_file, home
        )
        await serve_metrics(stack, settings, metrics)
        orphans = Orphans(cluster, origins, settings)
        looking = asyncio.create_task(orphans.run())
        stack.callback(looking.cancel)
        announcing = asyncio.create_task(announce(cluster, home, settings, clock))
        stack.callback(announcing.cancel)
        await serve(settings, Loops(reconciler, observer, origins, orphans, clock))


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


async def serve_metrics(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> None:
    """`/metrics` for Prometheus, if it has a port."""
    if not settings.metrics_port:
        return

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.exposition(), headers={"Content-Type": metrics.content_type}
        )

    application = web.Application()
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, settings.listen_address, settings.metrics_port).start()
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be served at {settings.listen_address} port {settings.metrics_port}: {error.strerror}. Change AOP_METRICS_PORT, or set it to 0"
        ) from error


async def serve(settings: Settings, slots: Loops) -> None:
    """Kopf, embedded; it ends on SIGTERM and SIGINT."""
    registry = kopf.OperatorRegistry()
    register(registry, login_with(settings))
    await kopf.operator(
        registry=registry,
        settings=kopf_settings(settings),
        memo=slots,
        # Only its peering would use it, which is off; what Kopf makes up itself needs an entry in a
        # passwd file.
        identity="aop-operator",  # type: ignore[arg-type]
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        liveness_endpoint=f"http://{settings.listen_address}:{settings.health_port}/healthz"
        if settings.health_port
        else None,
    )


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
