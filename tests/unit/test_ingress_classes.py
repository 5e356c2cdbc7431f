"""Which Ingresses count as a controller's when IngressClasses, which belong to no namespace, may not be listed."""

from typing import Any

import pytest

from aop.origins.ingress_nginx.ingresses import served_by
from aop.origins.ingress_nginx.replicas import Controller
from aop.terms import ObjectKey

REPLICA = Controller(key=ObjectKey("ingress-nginx", "one"), uid="1", ready=True, ip="192.0.2.1")
CLASSES = [
    {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
    {"metadata": {"name": "other"}, "spec": {"controller": "example.com/other"}},
]


def ingress(class_name: str | None = None, annotation: str | None = None) -> dict[str, Any]:
    annotations = {"kubernetes.io/ingress.class": annotation} if annotation else {}
    return {
        "metadata": {"name": "shop", "namespace": "default", "annotations": annotations},
        "spec": {
            "rules": [{"host": "www.example.com"}],
            **({"ingressClassName": class_name} if class_name else {}),
        },
    }


@pytest.mark.parametrize(
    ("one", "known", "unknown"),
    [
        (ingress("nginx"), True, True),
        (ingress("other"), False, True),
        (ingress("never-made"), False, True),
        (ingress(annotation="nginx"), True, True),
        (ingress(annotation="other"), False, False),
        (ingress(), False, False),
    ],
)
def test_an_unknown_class_counts_as_the_controllers_and_what_needs_no_class_is_decided_as_ever(
    one: dict[str, Any], known: bool, unknown: bool
) -> None:
    assert bool(served_by([one], [REPLICA], CLASSES)) is known
    assert bool(served_by([one], [REPLICA], None)) is unknown
