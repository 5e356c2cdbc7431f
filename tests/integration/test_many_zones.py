"""A thousand zones on one ConfigMap: the real API server and a real nginx take them, and we refuse what would be too much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest

from aop.errors import Blocked, Reason
from aop.origins.check import check_path, parse
from aop.origins.ingress_nginx.publishing import publish, withdraw
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import SnippetsBeforeUs, annotations_for, read
from aop.origins.ingress_nginx.text import KEYS, render
from aop.origins.room import MOST, sizes_of_annotations
from aop.origins.sites import Entry
from aop.origins.zones import labels
from aop.terms import Claim, Mode, Pin
from sandbox.kubernetes.plane import ControlPlane
from sandbox.text_nginx import TextNginx

TOKEN = "k3y0fth3path0123"
ZONES = 1000
FITTING = 1026
"""How many there is room for, with names of 30 characters."""
BEFORE = {"use-gzip": "true"}
SOMEBODY = "example.com/somebody"
SAMPLE = (0, 1, 499, ZONES - 1)


def claim(number: int) -> Claim:
    """Two hosts, one leaf, and names of 30 characters."""
    zone = f"zone-{number:04}.famous-brand.example"
    leaf = Pin(
        sha256(zone.encode()).hexdigest(),
        sha1(zone.encode(), usedforsecurity=False).hexdigest(),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2028, 1, 1, tzinfo=UTC),
    )
    hosts = (zone, f"www.{zone}")
    owner = f"edge/zone-{number:04}-famous-brand-eu"
    return Claim(str(uuid5(NAMESPACE_DNS, zone)), owner, zone, hosts, Mode.REQUIRE, hosts, (leaf,))


CLAIMS = [claim(number) for number in range(FITTING + 1)]
OFF = [replace(one, mode=Mode.OFF, enforced=()) for one in CLAIMS]


def written(body: dict[str, Any], one: Claim, *beside: Claim, **how: Any) -> dict[str, Any]:
    """As the operator writes it, while what stands there is accepted."""
    return publish(
        body,
        one,
        foreign=ForeignText.REFUSE,
        token_if_new=TOKEN,
        seen_everywhere=read(body).revision,
        beside=[(other, ForeignText.REFUSE) for other in beside],
        **how,
    )


class Stored:
    """The ConfigMap on the API server."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/controller"
        manifest = {"metadata": {"name": "controller"}, "data": BEFORE}
        answer = plane.http.post(self._path.rpartition("/")[0], json=manifest)
        assert answer.status_code == 201, answer.text
        self.body: dict[str, Any] = answer.json()

    def put(self, body: dict[str, Any]) -> None:
        """Write it as the operator does; the answer is the next body."""
        answer = self._plane.http.put(
            self._path, params={"fieldManager": "aop-operator"}, json=body
        )
        assert answer.status_code == 200, answer.text
        self.body = answer.json()

    def many(self, claims: list[Claim]) -> dict[str, Any]:
        """The body with all these claims at once, as if one after the other had been written."""
        entries = [Entry(one, one) for one in claims]
        metadata = self.body["metadata"]
        annotations = annotations_for(entries, 7, TOKEN, "10m", SnippetsBeforeUs())
        return self.body | {
            "metadata": metadata | {"annotations": annotations},
            "data": BEFORE | render(claims, 7, TOKEN),
        }


@pytest.fixture
def stored(plane: ControlPlane, namespace: str) -> Stored:
    return Stored(plane, namespace)


def filled(body: dict[str, Any]) -> dict[str, Any]:
    """The same with somebody's annotation, so that not one byte more is taken."""
    used = sum(sizes_of_annotations(body).values()) + len(SOMEBODY)
    metadata = body["metadata"]
    annotations = metadata["annotations"] | {SOMEBODY: "x" * (MOST.annotations - used)}
    return body | {"metadata": metadata | {"annotations": annotations}}


def test_a_thousand_zones_are_taken_and_the_next_are_refused_by_us(stored: Stored) -> None:
    for claims in (OFF[:ZONES], CLAIMS[:ZONES]):
        stored.put(written(stored.body, *claims))
    assert read(stored.body).claims == {one.uid: one for one in CLAIMS[:ZONES]}
    assert read(stored.body).intact
    stored.put(stored.many(CLAIMS[: FITTING - 1]))
    stored.put(written(stored.body, OFF[FITTING - 1]))
    with pytest.raises(Blocked) as caught:
        written(stored.body, OFF[FITTING])
    assert caught.value.reason is Reason.ORIGIN_FULL
    stored.put(stored.many(CLAIMS))  # the API server would have gone on


def test_each_can_be_relaxed_and_removed_where_not_one_byte_is_left(stored: Stored) -> None:
    stored.put(filled(stored.many(CLAIMS[:ZONES])))
    for number in SAMPLE:
        for milder in (
            replace(CLAIMS[number], enforced=CLAIMS[number].enforced[:1]),
            OFF[number],
        ):
            stored.put(written(stored.body, milder))
            assert read(stored.body).claims[milder.uid] == milder
    for number in SAMPLE:
        stored.put(withdraw(stored.body, CLAIMS[number].uid))
    assert len(read(stored.body).claims) == ZONES - len(SAMPLE)


def test_all_are_relaxed_and_the_last_puts_everything_back(stored: Stored) -> None:
    stored.put(filled(stored.many(CLAIMS[:ZONES])))
    stored.put(written(stored.body, *OFF[:ZONES]))
    assert {one.mode for one in read(stored.body).claims.values()} == {Mode.OFF}
    gone = {one.uid for one in OFF[1:ZONES]}
    stored.put(written(stored.body, OFF[0], gone=gone))
    assert set(read(stored.body).claims) == {OFF[0].uid}
    stored.put(withdraw(stored.body, OFF[0].uid))
    assert stored.body["data"] == BEFORE
    assert set(stored.body["metadata"]["annotations"]) == {SOMEBODY}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextNginx]:
    texts = render(CLAIMS[:ZONES], 7, TOKEN)
    hosts = [host for number in SAMPLE for host in CLAIMS[number].enforced]
    assert set(texts) == set(KEYS)
    with TextNginx(tmp_path_factory.mktemp("many"), texts, hosts) as running:
        yield running


def test_nginx_takes_the_text_of_a_thousand_zones(nginx: TextNginx, tmp_path: Path) -> None:
    """With the controller's default of 64 bytes for a bucket."""
    again = TextNginx(tmp_path, nginx.snippets, nginx.hosts)
    assert again.tested() == ""


def test_every_host_of_a_thousand_zones_is_told_apart(nginx: TextNginx) -> None:
    label = labels(CLAIMS[:ZONES])
    for number in SAMPLE:
        for host in CLAIMS[number].enforced:
            answer = nginx.https(host, check_path(TOKEN))
            assert parse(answer.body) is not None
            assert f" zone=req.{label[CLAIMS[number].zone]} " in answer.body
            assert nginx.https(host).status == 400
    assert nginx.https("elsewhere.example.net").status == 200
