"""The generated schema on a real API server: the same corpus as the models', updates, and what kubectl shows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aop import api
from aop.api import AuthenticatedOriginPull
from sandbox import corpus
from sandbox.kubernetes.kubectl import KubectlError
from sandbox.kubernetes.plane import ControlPlane
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]
NOBODY_LOOKED = -1
PATH = f"/apis/{api.API_VERSION}/namespaces/{{namespace}}/{api.PLURAL}"


@pytest.fixture(scope="module")
def served(plane: ControlPlane) -> ControlPlane:
    """The control plane with the committed schema, which no other test takes away."""
    plane.apply(ROOT / "crds")
    until(
        lambda: plane.kubectl("explain", "aop"),
        within_s=60,
        describe="the API server to tell kubectl of the resource, which it does a moment after it serves it",
        ignoring=(KubectlError,),
    )
    return plane


@pytest.fixture(scope="module")
def shared(served: ControlPlane) -> str:
    """A namespace for dry runs, which leave nothing behind."""
    return served.create_namespace("corpus")


def create(
    plane: ControlPlane, namespace: str, manifest: dict[str, Any], *, dry_run: bool = False
) -> tuple[int, str, dict[str, Any]]:
    """POST with strict field validation, as kubectl does: the status, the message, the object."""
    dry = {"dryRun": "All"} if dry_run else {}
    answer = plane.http.post(
        PATH.format(namespace=namespace), params={"fieldValidation": "Strict", **dry}, json=manifest
    )
    return answer.status_code, answer.json().get("message", ""), answer.json()


@pytest.mark.parametrize("case", corpus.valid(), ids=lambda case: case.name)
def test_accepts_and_the_operator_reads_what_is_stored(
    case: corpus.ManifestCase, served: ControlPlane, shared: str
) -> None:
    status, message, stored = create(served, shared, case.manifest, dry_run=True)
    assert (status, message) == (201, "")
    written = AuthenticatedOriginPull.parse(
        {
            **stored,
            "spec": case.manifest["spec"],
            "metadata": {**stored["metadata"], "resourceVersion": "1"},
        }
    )
    read = AuthenticatedOriginPull.parse(
        {**stored, "metadata": {**stored["metadata"], "resourceVersion": "1"}}
    )
    assert read.spec == written.spec, "the defaults of the schema and of the models differ"


@pytest.mark.parametrize("case", corpus.invalid(), ids=lambda case: case.name)
def test_refuses_and_says_what_to_write(
    case: corpus.ManifestCase, served: ControlPlane, shared: str
) -> None:
    status, message, _ = create(served, shared, case.manifest, dry_run=True)
    assert status in {400, 422}
    assert case.server_says in message
    assert "evaluating rule" not in message


ZONE_IS_FIXED = (
    "spec.zone.name is immutable: create another AuthenticatedOriginPull for another zone"
)
ID_IS_FIXED = "spec.zone.id is immutable once it is set: create another AuthenticatedOriginPull for another zone"

UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the zone's name stays": (
        {"zone": {"name": "example.com"}},
        {"zone": {"name": "example.org"}},
        ZONE_IS_FIXED,
    ),
    "the zone's id can be added": (
        {"zone": {"name": "example.com"}},
        {"zone": {"name": "example.com", "id": "a" * 32}},
        "",
    ),
    "the zone's id stays": (
        {"zone": {"name": "example.com", "id": "a" * 32}},
        {"zone": {"name": "example.com", "id": "b" * 32}},
        ID_IS_FIXED,
    ),
    "the zone's id is not removed": (
        {"zone": {"name": "example.com", "id": "a" * 32}},
        {"zone": {"name": "example.com"}},
        ID_IS_FIXED,
    ),
    "the rest can change beside a fixed zone": (
        {"zone": {"name": "example.com", "id": "a" * 32}},
        {
            "zone": {"name": "example.com", "id": "a" * 32},
            "enforcement": "Request",
            "suspend": True,
            "deletionPolicy": "Retain",
        },
        "",
    ),
    "rules hold for an update too": (
        {},
        {"verification": {"window": "9s"}},
        "write a window of 10s to 24h",
    ),
}


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_updates(
    update: tuple[dict[str, Any], dict[str, Any], str], served: ControlPlane, namespace: str
) -> None:
    before, after, says = update
    manifest = corpus.named("minimal")
    status, message, stored = create(
        served, namespace, {**manifest, "spec": {**manifest["spec"], **before}}
    )
    assert status == 201, message
    answer = served.http.put(
        f"{PATH.format(namespace=namespace)}/minimal",
        json={**manifest, "metadata": stored["metadata"], "spec": {**manifest["spec"], **after}},
    )
    assert answer.status_code == (422 if says else 200)
    assert says in answer.json().get("message", "")


def apply(
    plane: ControlPlane, namespace: str, changes: dict[str, Any], *flags: str
) -> dict[str, Any]:
    manifest = corpus.named("minimal")
    text = yaml.safe_dump({**manifest, "spec": {**manifest["spec"], **changes}})
    plane.kubectl("apply", *flags, "--namespace", namespace, "-f", "-", input=text)
    stored: dict[str, Any] = json.loads(
        plane.kubectl("get", "aop", "minimal", "--namespace", namespace, "-o", "json")
    )["spec"]
    return stored


@pytest.mark.parametrize(
    "flags", [(), ("--server-side",)], ids=["kubectl apply", "kubectl apply --server-side"]
)
@pytest.mark.parametrize(
    "first",
    [{}, {"certificate": {"generate": {}}}, {"certificate": {"generate": {"algorithm": "RSA"}}}],
    ids=str,
)
def test_the_source_of_the_certificate_can_be_switched_there_and_back(
    first: dict[str, Any], flags: tuple[str, ...], served: ControlPlane, namespace: str
) -> None:
    """A default in the schema would stay beside the other source and be refused as a second one."""
    apply(served, namespace, first, *flags)
    referenced = apply(served, namespace, {"certificate": {"secretRef": {"name": "tls"}}}, *flags)
    assert referenced["certificate"] == {"secretRef": {"name": "tls"}, "replaceForeign": False}
    back = apply(served, namespace, first, *flags)
    assert "secretRef" not in back.get("certificate", {})


def test_defaults_are_stored_where_a_user_can_read_them(
    served: ControlPlane, namespace: str
) -> None:
    stored = apply(served, namespace, {"certificate": {"generate": {}}})
    assert stored["enforcement"] == "Require"
    assert stored["verification"] == {"window": "180s"}
    assert stored["deletionPolicy"] == "Restore"
    assert stored["suspend"] is False
    assert stored["certificate"]["generate"] == {
        "algorithm": "ECDSA",
        "duration": "17520h",
        "renewBefore": "1080h",
        "authorityDuration": "43824h",
    }
    assert stored["origins"][0]["ingressNginx"] == {
        "configMapRef": {"namespace": "ingress-nginx", "name": "ingress-nginx-controller"},
        "foreignText": "Refuse",
    }


def ready(status: str, message: str) -> dict[str, Any]:
    at = "2026-11-24T03:00:00Z"
    return {
        "type": "Ready",
        "status": status,
        "observedGeneration": 1,
        "lastTransitionTime": at,
        "reason": "Ready",
        "message": message,
    }


def test_kubectl_get_shows_what_a_person_asks_first(served: ControlPlane, namespace: str) -> None:
    create(served, namespace, corpus.named("minimal"))
    status = api.Status.parse(
        {
            "observedGeneration": 1,
            "enforcement": "Require",
            "certificate": {"notAfter": "2028-11-23T02:00:00Z"},
            "conditions": [
                ready("True", "2 hosts proven and required"),
                {**ready("False", "not this one"), "type": "Reconciling"},
            ],
        }
    )
    address = f"{PATH.format(namespace=namespace)}/minimal/status"
    merge = {"Content-Type": "application/merge-patch+json"}
    written = served.http.patch(
        address, content=json.dumps({"status": status.manifest()}), headers=merge
    )
    assert written.status_code == 200
    header, row = served.kubectl("get", "aop", "--namespace", namespace).splitlines()
    assert header.split() == ["NAME", "ZONE", "ENFORCEMENT", "READY", "STATUS", "EXPIRES", "AGE"]
    assert row.split()[:4] == ["minimal", "example.com", "Require", "True"]
    assert "2 hosts proven and required" in row
    assert "2028-11-23T02:00:00Z" in row
    assert served.kubectl(
        "wait", "--for=condition=Ready", "aop/minimal", "--namespace", namespace, "--timeout=5s"
    )


def test_status_has_its_own_endpoint_and_the_spec_is_not_written_through_it(
    served: ControlPlane, namespace: str
) -> None:
    _, _, stored = create(
        served, namespace, {**corpus.named("minimal"), "status": {"observedGeneration": 9}}
    )
    assert stored["status"] == {"observedGeneration": NOBODY_LOOKED}, (
        "the status of a new object is the schema's default, whatever was written"
    )
    changed = {
        **stored,
        "spec": {**stored["spec"], "suspend": True},
        "status": {"observedGeneration": 1},
    }
    answer = served.http.put(
        f"{PATH.format(namespace=namespace)}/minimal/status", json=changed
    ).json()
    assert answer["spec"]["suspend"] is False
    assert answer["status"]["observedGeneration"] == 1


def test_the_whole_status_is_within_the_schema(served: ControlPlane, namespace: str) -> None:
    """What the models write is neither pruned nor refused."""
    at = "2026-11-24T03:00:00Z"
    status = api.Status.parse(
        {
            "observedGeneration": 1,
            "enforcement": "Optional",
            "zone": {"id": "a" * 32, "accountId": "b" * 32, "sslMode": "strict"},
            "certificate": {
                "id": "c",
                "fingerprint": "d" * 64,
                "serialNumber": "1" * 48,
                "status": "active",
                "notAfter": at,
                "renewalTime": at,
            },
            "origins": [{"name": "public", "mode": "Optional", "replicas": 2, "applied": 1}],
            "hosts": {"proven": 1, "total": 2, "unproven": ["www.example.com"]},
            "proof": {"since": at},
            "conditions": [ready("Unknown", "")],
        }
    ).manifest()
    _, _, stored = create(served, namespace, corpus.named("minimal"))
    answer = served.http.put(
        f"{PATH.format(namespace=namespace)}/minimal/status",
        params={"fieldValidation": "Strict"},
        json={**stored, "status": status},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == status


def test_kubectl_refuses_a_misspelt_field(served: ControlPlane, namespace: str) -> None:
    with pytest.raises(KubectlError, match=r'unknown field "spec\.verfication"'):
        apply(served, namespace, {"verfication": {"window": "10s"}})


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("aop", "Zone-level Authenticated Origin Pulls of one Cloudflare zone"),
        ("aop.spec.zone.name", "Name of the zone at Cloudflare. Immutable."),
        ("aop.spec.certificate.generate", "Key size in bits: 256, 384 or 521 for ECDSA"),
        (
            "aop.spec.origins.ingressNginx.foreignText",
            "What the operator does when the snippet keys hold somebody else's text.",
        ),
        ("aop.status.hosts.unproven", "The in-scope hosts without such a proof"),
    ],
)
def test_kubectl_explains(path: str, sentence: str, served: ControlPlane) -> None:
    words = " ".join(served.kubectl("explain", path, "--api-version", api.API_VERSION).split())
    assert sentence in words


def test_kubectl_finds_it_by_short_name_and_category(served: ControlPlane, namespace: str) -> None:
    create(served, namespace, corpus.named("minimal"))
    for name in ("aop", "authenticatedoriginpull", "cloudflare"):
        assert "minimal" in served.kubectl("get", name, "--namespace", namespace, "-o", "name")


def test_every_rule_about_a_change_has_an_update_that_breaks_it() -> None:
    text = (ROOT / "crds" / "aop-operator.dev_authenticatedoriginpulls.yaml").read_text()
    broken = {says for _, _, says in UPDATES.values()}
    assert (
        text.count("oldSelf.name") + text.count("!has(oldSelf.id)")
        == len(broken & {ZONE_IS_FIXED, ID_IS_FIXED})
        == 2
    )
