"""What things cost, as ratios to something known that is measured in the same run: seconds would say more about the machine than about us.

`make bench` prints them. The bounds are wide: they catch a cost that grows with the square of
something, not a slow day.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aop.api import Algorithm, Status
from aop.observed import Observed
from aop.origins.ingress_nginx.publishing import publish
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import read
from aop.origins.ingress_nginx.text import render
from aop.pki.keys import generate
from aop.plan import next_step
from aop.status import status_of
from aop.steps import Done
from aop.terms import Claim, Mode
from builders import LEAF, claim, evidence, observed, origin, pin, replica

TOKEN = "k3y0fth3path"
HOSTS = tuple(f"h{n:03}.example.com" for n in range(100))


def seconds(work: Callable[[], object], *, for_s: float = 0.4) -> float:
    """The best of many runs, at least three: what the work itself costs, whoever else is busy."""
    best, until = float("inf"), time.perf_counter() + for_s
    runs = 0
    while runs < 3 or time.perf_counter() < until:
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
        runs += 1
    return best


def printed(what: str, cost_s: float, baseline: str, baseline_s: float) -> float:
    """Print one line, and return how many times the baseline it costs."""
    ratio = cost_s / baseline_s
    print(f"\n{what}: {ratio:.3g} x {baseline} ({cost_s * 1e3:.3g} ms, {baseline_s * 1e3:.3g} ms)")
    return ratio


def zone_claim(number: int) -> Claim:
    """One object's claim on a zone of its own with two enforced hosts and two pins."""
    zone = f"zone{number}.example"
    return replace(
        claim(Mode.REQUIRE, (zone, f"www.{zone}"), (pin(f"leaf{number}"), pin(f"next{number}"))),
        uid=f"uid-{number}",
        zone=zone,
        patterns=(zone, f"*.{zone}"),
    )


def controller(claims: int) -> dict[str, Any]:
    """The ConfigMap of a controller that so many objects have claimed."""
    body: dict[str, Any] = {"metadata": {"namespace": "ingress-nginx", "name": "controller"}}
    for number in range(claims):
        body = publish(body, zone_claim(number), foreign=ForeignText.REFUSE, token_if_new=TOKEN)
    return body


def large() -> tuple[Observed, str]:
    """A world at rest with 100 hosts on 3 replicas, and the Kubernetes lists, as JSON, that one visit reads for it."""
    large_claim = claim(enforced=HOSTS, pins=(LEAF,))
    replicas = tuple(replica(f"pod-{n}", large_claim, HOSTS) for n in range(3))
    world = observed(
        origins=[origin(large_claim, hosts=HOSTS, replicas=replicas)],
        evidence=[evidence(host) for host in HOSTS],
    )
    spec: dict[str, Any] = {
        "ingressClassName": "nginx",
        "rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix"}]}}],
    }
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "namespace": "shop",
            "resourceVersion": "4711",
            "uid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        },
        "spec": spec,
    }
    ingresses = [ingress | {"spec": {**spec, "tls": [{"hosts": [host]}]}} for host in HOSTS]
    return world, json.dumps({"items": [controller(1), *ingresses]})


def test_deciding_costs_milliseconds_where_parsing_costs_a_fraction_of_one() -> None:
    world, text = large()
    assert next_step(world) == Done()
    parsing_s = seconds(lambda: json.loads(text))
    assert (
        printed(
            "next_step, 100 hosts on 3 replicas",
            seconds(lambda: next_step(world)),
            "json.loads of the lists it reads",
            parsing_s,
        )
        < 1000
    )


def test_telling_costs_a_few_decisions() -> None:
    world, _ = large()
    step, previous = next_step(world), Status()
    cost_s = seconds(lambda: status_of(world, step, previous))
    assert (
        printed(
            "status_of, 100 hosts on 3 replicas",
            cost_s,
            "next_step",
            seconds(lambda: next_step(world)),
        )
        < 20
    )


def test_rendering_grows_with_the_claims_and_not_with_their_square() -> None:
    many = [zone_claim(number) for number in range(50)]
    one_s = seconds(lambda: render(many[:1], 7, TOKEN))
    assert (
        printed(
            "render of 50 claims", seconds(lambda: render(many, 7, TOKEN)), "render of 1", one_s
        )
        < 50 * 3
    )


def test_reading_a_config_map_costs_about_one_rendering() -> None:
    body = controller(50)
    many = [zone_claim(number) for number in range(50)]
    assert read(body).intact
    assert (
        printed(
            "read of a ConfigMap with 50 claims",
            seconds(lambda: read(body)),
            "render of them",
            seconds(lambda: render(many, 50, TOKEN)),
        )
        < 20
    )


def test_the_default_algorithm_is_much_cheaper_than_the_guides() -> None:
    """What the documentation of `spec.certificate.generate.algorithm` claims."""
    ecdsa_s = seconds(lambda: generate(Algorithm.ECDSA, 256))
    rsa_s = seconds(lambda: generate(Algorithm.RSA, 4096), for_s=0)
    assert printed("an RSA 4096 key", rsa_s, "an ECDSA P-256 key", ecdsa_s) > 1000
