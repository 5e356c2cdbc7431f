"""What becomes of a generated key pair's Secrets in other people's hands: nothing is lost, nothing foreign is uploaded, and what helps is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

import zoo
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

PAIR, AUTHORITY = "example-com-aop", "example-com-aop-ca"
WITHIN_S = 120.0
MENDED_WITHIN_S = 60.0
"""Whatever somebody mends in the cluster (L3)."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """With visitors all the while, and none of them notices.

    The edge keeps no session: more rotations within the hour than old sessions are ended follow
    each other here.
    """
    with Scene() as running, running.visitors(longest_s=1200.0) as visitors:
        running.control.turn_location(requests_per_connection=1, resume=False)
        visitors.allow_redirects(allowed=True)
        running.apply()
        running.until_enforced()
        yield running
        report = visitors.stop()
        assert report.flawless, str(report)


def path(name: str) -> str:
    return f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"


def write(scene: Scene, name: str, **fields: Any) -> None:
    """Merge into a Secret as another writer."""
    headers = {"Content-Type": "application/merge-patch+json"}
    scene.plane.http.patch(path(name), json=fields, headers=headers).raise_for_status()


def drop(scene: Scene, name: str) -> None:
    scene.plane.http.delete(path(name)).raise_for_status()


def rotate(scene: Scene, value: str) -> None:
    scene.plane.kubectl(
        "annotate",
        "aop",
        "example-com",
        "--namespace",
        NAMESPACE,
        f"aop-operator.dev/rotate={value}",
        "--overwrite",
    )


def until_another_is_presented(scene: Scene, than: str) -> str:
    """Wait until one other certificate is alone at Cloudflare and required; its id."""

    def alone() -> str | None:
        certificates = scene.certificates()
        return (
            str(certificates[0]["id"])
            if len(certificates) == 1 and certificates[0]["id"] != than
            else None
        )

    one = until(
        alone,
        within_s=WITHIN_S,
        every_s=0.2,
        describe=lambda: f"one new certificate alone\n{scene.summary()}",
    )
    assert one is not None
    scene.until_enforced()
    return one


def presented(scene: Scene) -> str:
    (one,) = scene.certificates()
    return str(one["id"])


def until_said(scene: Scene, *words: str) -> str:
    """Wait until Ready is False for the key pair, in these words."""

    def ready_line() -> str | None:
        ready = scene.condition()
        line = f"{ready.get('reason')}: {ready.get('message')}"
        return (
            line
            if line.startswith("KeyPairInvalid") and all(word in line for word in words)
            else None
        )

    line = until(
        ready_line,
        within_s=WITHIN_S,
        every_s=0.2,
        describe=lambda: f"{words} to be said\n{scene.summary()}",
    )
    assert line is not None
    return line


def signer(scene: Scene) -> x509.Name:
    """Who signed the leaf in use."""
    return x509.load_pem_x509_certificate(zoo.decoded(scene.secret(PAIR)["data"], "tls.crt")).issuer


def test_a_rotation_into_a_secret_that_was_made_immutable_says_so_and_its_remedy_helps(
    scene: Scene,
) -> None:
    before = presented(scene)
    write(scene, PAIR, immutable=True)
    rotate(scene, "into-an-immutable-one")
    until_said(scene, f"Secret {NAMESPACE}/{PAIR} is immutable", "delete it")
    assert presented(scene) == before
    assert len(scene.refusing()) == 2, "what is required stays required"
    drop(scene, PAIR)
    until_another_is_presented(scene, before)
    assert len(scene.refusing()) == 2


def test_an_immutable_authority_matters_only_where_another_one_is_needed(scene: Scene) -> None:
    before = presented(scene)
    write(scene, AUTHORITY, immutable=True)
    rotate(scene, "by-the-same-authority")
    before = until_another_is_presented(scene, before)
    scene.patch({"certificate": {"generate": {"size": 384}}})
    rotate(scene, "by-another-authority")
    until_said(scene, f"Secret {NAMESPACE}/{AUTHORITY} is immutable", "delete it")
    drop(scene, AUTHORITY)
    until_another_is_presented(scene, before)


def test_an_authority_that_was_lost_is_followed_by_one_of_another_name(scene: Scene) -> None:
    before, first = presented(scene), signer(scene)
    drop(scene, AUTHORITY)
    rotate(scene, "after-the-loss")
    until_another_is_presented(scene, before)
    assert signer(scene) != first


def test_a_certificate_that_somebody_put_there_is_not_uploaded(scene: Scene) -> None:
    before, data = presented(scene), scene.secret(PAIR)["data"]
    number = scene.control.calls()[-1]["number"]
    pair = zoo.issued("example.com", None, zoo.basic(authority=False))
    write(
        scene, PAIR, data={"tls.crt": zoo.encoded(pair.pem), "tls.key": zoo.encoded(pair.key_pem)}
    )
    until_said(
        scene,
        f"Secret {NAMESPACE}/{PAIR}: tls.crt was not signed by the operator's authority",
        "put back what was there",
    )
    assert [call["method"] for call in scene.control.calls(method="!GET", since=number)] == []
    assert len(scene.refusing()) == 2, "what is required stays required"
    write(scene, PAIR, data=data)
    scene.until_enforced()
    assert presented(scene) == before


def test_one_that_was_replaced_without_our_label_is_acted_on_within_a_minute(scene: Scene) -> None:
    """As by `kubectl replace` of what somebody had kept: no watch tells what becomes of it then."""
    secret = scene.secret(PAIR)
    labels, data = secret["metadata"]["labels"], secret["data"]
    for written in (data | {"tls.crt": zoo.encoded(b"hello")}, data):
        metadata = {"name": PAIR, "namespace": NAMESPACE}
        body = {"metadata": metadata, "type": secret["type"], "data": written}
        scene.plane.http.put(path(PAIR), json=body).raise_for_status()
        if written != data:
            until_said(scene, f"Secret {NAMESPACE}/{PAIR}: tls.crt is no certificate")
            assert len(scene.refusing()) == 2, "what is required stays required"
    scene.until_enforced(within_s=MENDED_WITHIN_S)
    write(scene, PAIR, metadata={"labels": labels})


@pytest.mark.parametrize(
    "form", ["on one line", "with a byte order mark", "a megabyte of noise", "cut off"]
)
def test_a_file_that_was_broken_on_its_way_ends_nothing(scene: Scene, form: str) -> None:
    """Seen with a PEM on one line: an exception of ours, no protection and no removal until a restart."""
    data = scene.secret(PAIR)["data"]
    broken = zoo.FORMS[form].change(zoo.decoded(data, "tls.key"))[:700_000]
    write(scene, PAIR, data={"tls.key": zoo.encoded(broken)})
    until_said(scene, f"Secret {NAMESPACE}/{PAIR}: tls.key")
    write(scene, PAIR, data=data)
    scene.until_enforced()


def test_a_removal_needs_no_key_pair(scene: Scene) -> None:
    write(scene, PAIR, data={"tls.crt": zoo.encoded(b"hello")})
    until_said(scene, f"Secret {NAMESPACE}/{PAIR}: tls.crt is no certificate")
    scene.remove()
    assert scene.certificates() == []
    assert scene.refusing() == []
