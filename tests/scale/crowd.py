"""Ten thousand settled zones on twenty controllers, at rest, beside a Kopf operator that only watches the same objects."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aop.origins.ingress_nginx.stored import read
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout, ingress
from sandbox.following import Following
from sandbox.ingress_nginx.launcher import IngressNginx
from sandbox.processes import Child
from sandbox.scene import Scene, origin
from sandbox.waiting import until
from scale.measure import (
    ACCOUNT,
    EVERY_S,
    EVERYWHERE,
    Followed,
    Rest,
    cpu_s,
    pulling,
    resident_mib,
    until_ready,
    until_still,
    writes,
    zone_names,
)
from scale.settled import settled_by_hand

ONLY_WATCHING = Path(__file__).with_name("only_watching.py")
WITHIN_S = 900.0
SAID_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class CrowdRun:
    """How much the run gets; a share of it gets less."""

    controllers: int = 20
    """Each with two replicas, so that beside the operator sixty processes share the machine."""
    shown_s: float = 900.0
    """For how long the new process is left alone before what it costs at rest is read off."""
    rests_s: float = 120.0
    still_s: float = 10.0
    """When a process that has used no processor for so long has seen all that there is."""


WHOLE = CrowdRun()


@dataclass(frozen=True, slots=True)
class Crowd:
    """What was read off."""

    zones: int
    controllers: int
    resident_mib: float
    """Of the operator, at rest."""
    most_mib: float
    """The most that it took since its start."""
    only_watching_mib: float
    """Of a Kopf operator that does nothing but watch the same objects."""
    ratio: float
    rest_cpu_m: float
    """Thousandths of a core at rest."""
    rest_requests_per_min: float
    """To the API server at rest."""
    written: int
    """Requests of the new process that changed anything in Kubernetes; one is the Event that it serves."""


def crowd(zones: int, say: Callable[[str], None], given: CrowdRun = WHOLE) -> Crowd:
    """So many zones of one Cloudflare user, spread over the controllers, with the defaults of every budget."""
    names = zone_names(zones)
    hosts = [names[0], f"www.{names[0]}"]
    with (
        Scene(Layout(hosts=hosts, zones=names[:1]), AOP_TRACE_FILE="") as scene,
        _controllers(scene, given.controllers - 1, say) as others,
    ):
        objects = _objects(scene, names, others, say)
        _settled(scene, objects, others, say)
        watching_mib = _only_watching(scene, zones, given.still_s, say)
        before = len(scene.plane.audit(ACCOUNT))
        scene.operator.start(within_s=WITHIN_S)
        until(
            lambda: scene.operator.measured("aop_objects") == zones,
            within_s=WITHIN_S,
            describe="the operator to serve all objects",
        )
        most_mib = _left_alone(scene, given.shown_s, say)
        rest = Rest.of(scene, given.rests_s)
        written = writes(scene, before)
    return Crowd(
        zones=zones,
        controllers=given.controllers,
        resident_mib=rest.resident_mib,
        most_mib=max(most_mib, rest.resident_mib),
        only_watching_mib=watching_mib,
        ratio=rest.resident_mib / watching_mib,
        rest_cpu_m=rest.cpu_m,
        rest_requests_per_min=rest.requests_per_min,
        written=written,
    )


@contextmanager
def _controllers(
    scene: Scene, number: int, say: Callable[[str], None]
) -> Iterator[list[tuple[str, IngressNginx]]]:
    """Beside that of the sandbox, each with its namespace, its class and two replicas."""
    with ExitStack() as stack:
        running = []
        for place in range(1, number + 1):
            name = f"nginx-{place:02}"
            scene.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            controller = IngressNginx(
                scene.plane.admin_kubeconfig,
                namespace=name,
                config={"use-forwarded-headers": "true", "ssl-redirect": "false"},
                hosts=["*.example"],
                first_address=f"127.0.{place}.11",
                ingress_class=name,
                controller_class=f"k8s.io/{name}",
            )
            running.append((name, stack.enter_context(controller)))
        say(f"{number + 1} controllers run")
        yield running


def _objects(
    scene: Scene,
    names: tuple[str, ...],
    others: list[tuple[str, IngressNginx]],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """The object of each zone, with the Ingresses of its hosts.

    One controller after the other gets its share: so only one has to reload meanwhile.
    """
    own = scene.control.zone(names[0])["origins"]
    listening = [own, *(_listeners(controller) for _, controller in others)]
    objects = []
    for place, zone in enumerate(names):
        which = place * len(listening) // len(names)
        one = pulling(zone)
        if which:
            where = others[which - 1][0]
            one["spec"]["origins"] = [origin(namespace=where)]
        if place:
            scene.control.make_zone(zone, origins=listening[which])
            body = ingress(zone)
            (tls,), (rule,) = body["spec"]["tls"], body["spec"]["rules"]
            tls["hosts"] = one["spec"]["hostnames"]
            body["spec"]["rules"] = [rule | {"host": host} for host in one["spec"]["hostnames"]]
            body["spec"]["ingressClassName"] = others[which - 1][0] if which else "nginx"
            scene.plane.http.post(
                "/apis/networking.k8s.io/v1/namespaces/default/ingresses", json=body
            ).raise_for_status()
        objects.append(one)
        if place and place % 1000 == 0:
            say(f"{place} of {len(names)} zones have Ingresses")
    return objects


def _listeners(controller: IngressNginx) -> list[dict[str, Any]]:
    ports = controller.announcement
    return [
        {"address": one.address, "https_port": ports.https_port, "http_port": ports.http_port}
        for one in controller.replicas()
    ]


def _settled(
    scene: Scene,
    objects: list[dict[str, Any]],
    others: list[tuple[str, IngressNginx]],
    say: Callable[[str], None],
) -> None:
    """One by the operator, all others by hand."""
    scene.plane.apply(objects[:1])
    followed = Followed()
    with Following(scene.plane, EVERYWHERE, followed.notice):
        until_ready(1, followed, time.monotonic(), scene, say)
    scene.operator.terminate(within_s=30)
    settled_by_hand(scene, objects, say)
    for name, controller in [(CONTROLLER_NAMESPACE, scene.ingress_nginx), *others]:
        path = f"/api/v1/namespaces/{name}/configmaps/{CONFIG_MAP}"
        *_, claim = read(scene.plane.http.get(path).raise_for_status().json()).claims.values()
        for replica in controller.replicas():
            until(
                lambda: claim.pins[0].sha1 in controller.nginx_conf(replica.pod),  # noqa: B023 - asked at once
                within_s=WITHIN_S,
                every_s=1.0,
                describe=f"{replica.pod} to run the text that was written by hand",
            )


def _only_watching(scene: Scene, zones: int, still_s: float, say: Callable[[str], None]) -> float:
    """Resident memory in MiB of who only watches, once it was told of all objects."""
    log = scene.sandbox.folder / "only-watching.log"
    child = Child(
        [sys.executable, str(ONLY_WATCHING)],
        log=log,
        env={**os.environ, "KUBECONFIG": str(scene.plane.admin_kubeconfig)},
    )
    try:
        until(
            lambda: not child.alive or str(zones) in log.read_text().split(),
            within_s=WITHIN_S,
            every_s=1.0,
            describe=lambda: f"Kopf to tell of all objects: {child.last_words()}",
        )
        assert child.alive, child.last_words()
        until_still(lambda: cpu_s(child.pid), still_s)
        watching_mib = resident_mib(child.pid)
    finally:
        child.kill()
    say(f"who only watches takes {watching_mib:.0f} MiB")
    return watching_mib


def _left_alone(scene: Scene, shown_s: float, say: Callable[[str], None]) -> float:
    """The most that the operator took meanwhile, in MiB."""
    pid, began, said_at, most_mib = scene.operator.pid, time.monotonic(), time.monotonic(), 0.0
    while time.monotonic() - began < shown_s:
        time.sleep(EVERY_S)
        now_mib = resident_mib(pid)
        most_mib = max(most_mib, now_mib)
        if time.monotonic() - said_at >= SAID_EVERY_S:
            said_at = time.monotonic()
            say(f"{said_at - began:4.0f} s: {now_mib:.0f} MiB, {cpu_s(pid):.0f} s of CPU")
    return most_mib
