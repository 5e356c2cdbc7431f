"""Thousands of zones as an operator leaves them, made without one, which would take it hours.

One zone is onboarded, and all the others are made after it: their Secrets, what Cloudflare holds,
their objects with record and status, and their claims. Whether that is what an operator leaves
shows when one is started: it finds nothing to write.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aop.api import AuthenticatedOriginPull
from aop.origins.ingress_nginx.publishing import publish
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import read
from aop.perform.keys import owned, recipe_of
from aop.pki import (
    AUTHORITY_TYPE,
    LEAF_TYPE,
    KeyedLeaf,
    authority_data,
    create_authority,
    issue_leaf,
    leaf_data,
)
from aop.pki.issuing import BACKDATED
from aop.record import dump, load
from aop.terms import Claim, ObjectKey, Pin
from aop.terms.names import FINALIZER, RECORD_ANNOTATION
from sandbox.scene import Scene, name_of, path_of

Manifest = dict[str, Any]
TOKEN = "0f1e2d3c"
"""The secret part of the check path of a controller that had none."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The zone that was onboarded: what all the others are made after."""

    manifest: Manifest
    claim: Claim
    certificate: Manifest
    """As Cloudflare's double has it."""

    @property
    def pin(self) -> Pin:
        """Of its leaf."""
        (pin,) = self.claim.pins
        return pin

    @classmethod
    def of(cls, scene: Scene, zone: str) -> Pattern:
        """The zone as it is now, settled and required."""
        manifest = scene.object(name_of(zone))
        assert manifest is not None
        claims = read(scene.sandbox.config_map()).claims
        (certificate,) = scene.certificates(zone)
        return cls(manifest, claims[manifest["metadata"]["uid"]], certificate)

    def status_of(
        self,
        made: Manifest,
        leaf: KeyedLeaf,
        zone: Manifest,
        certificate: Manifest,
        served: Mapping[ObjectKey, Sequence[str]],
    ) -> Manifest:
        """What the status of another zone says: the same of its own names, ids and digests.

        `served` are all hosts, by the ConfigMap of their controller; they lead to one Service, and
        each controller has as many.
        """
        record = load(self.manifest["status"]["record"])
        assert record.zone_id is not None
        text = json.dumps(self.manifest["status"] | {"record": ""})
        for before, after in (
            (_beside(self.manifest, served), _beside(made, served)),
            (self.certificate["id"], certificate["id"]),
            (self.pin.sha256, leaf.leaf.pin.sha256),
            (self.pin.short, leaf.leaf.pin.short),
            (str(self.certificate["serial_number"]), str(certificate["serial_number"])),
            (record.zone_id, zone["id"]),
            (self.manifest["status"]["zone"]["accountId"], zone["account"]["id"]),
            (str(_config_map_of(self.manifest)), str(_config_map_of(made))),
        ):
            text = text.replace(before, after)
        # Apart, because the name of one zone stands among those that lie open beside another.
        status: Manifest = json.loads(text)
        for condition in status["conditions"]:
            own, *others = condition["message"].split(" This object leaves open: ")
            own = own.replace(_zone_of(self.manifest), _zone_of(made))
            condition["message"] = " This object leaves open: ".join((own, *others))
        return status


def _beside(made: Manifest, served: Mapping[ObjectKey, Sequence[str]]) -> str:
    """The first three names that lie open beside the object's own, on its controller."""
    names = set(served[_config_map_of(made)]) - set(made["spec"]["hostnames"])
    return ", ".join(sorted(names)[:3])


def _config_map_of(made: Manifest) -> ObjectKey:
    reference = made["spec"]["origins"][0]["ingressNginx"]["configMapRef"]
    return ObjectKey(reference["namespace"], reference["name"])


def _zone_of(made: Manifest) -> str:
    return str(made["spec"]["zone"]["name"])


def settled_by_hand(scene: Scene, objects: Sequence[Manifest], say: Callable[[str], None]) -> None:
    """Make all `objects` but the first, which is settled, as if an operator had settled them.

    Each has one origin, of ingress-nginx. No operator runs meanwhile.
    """
    pattern = Pattern.of(scene, objects[0]["spec"]["zone"]["name"])
    served: defaultdict[ObjectKey, list[str]] = defaultdict(list)
    for one in objects:
        served[_config_map_of(one)] += one["spec"]["hostnames"]
    claims: defaultdict[ObjectKey, list[Claim]] = defaultdict(list)
    for place, one in enumerate(objects[1:], start=1):
        claims[_config_map_of(one)].append(_settle(scene, pattern, one, served))
        if place % 500 == 0:
            say(f"{place} of {len(objects)} zones made")
    for where, theirs in claims.items():
        _publish(scene, where, theirs)


def _publish(scene: Scene, where: ObjectKey, claims: Sequence[Claim]) -> None:
    """Once as they are asked for, and once more as they are seen everywhere."""
    path = f"/api/v1/namespaces/{where.namespace}/configmaps/{where.name}"
    config_map = scene.plane.http.get(path).raise_for_status().json()
    for seen_everywhere in (None, read(config_map).revision + 1):
        config_map = publish(
            config_map,
            claims[0],
            foreign=ForeignText.REFUSE,
            token_if_new=TOKEN,
            seen_everywhere=seen_everywhere,
            beside=[(claim, ForeignText.REFUSE) for claim in claims[1:]],
        )
    scene.plane.http.put(
        path, json=config_map, params={"fieldManager": "aop-operator"}
    ).raise_for_status()


def _settle(
    scene: Scene, pattern: Pattern, one: Manifest, served: Mapping[ObjectKey, Sequence[str]]
) -> Claim:
    http, spec = scene.plane.http, one["spec"]
    namespace, name, zone_name = (
        one["metadata"]["namespace"],
        one["metadata"]["name"],
        spec["zone"]["name"],
    )
    annotations = {
        k: v
        for k, v in pattern.manifest["metadata"]["annotations"].items()
        if k != "kubectl.kubernetes.io/last-applied-configuration"
    }
    body = {
        **one,
        "metadata": {**one["metadata"], "finalizers": [FINALIZER], "annotations": annotations},
    }
    manifest = http.post(path_of(namespace), json=body).raise_for_status().json()
    pull = AuthenticatedOriginPull.parse(manifest)
    recipe = recipe_of(pull)
    now = pattern.pin.not_before + BACKDATED
    authority = create_authority(recipe, now)
    leaf = issue_leaf(recipe, authority, now)
    generate = pull.spec.certificate.generate
    assert generate is not None
    key = ObjectKey(namespace, generate.secret_name)
    for where, data, kind in (
        (key, leaf_data(leaf, authority), LEAF_TYPE),
        (ObjectKey(namespace, f"{key.name}-ca"), authority_data(authority), AUTHORITY_TYPE),
    ):
        http.post(
            f"/api/v1/namespaces/{namespace}/secrets", json=owned(pull, where, data, kind)
        ).raise_for_status()
    certificate = scene.control.upload(
        zone_name, certificate=leaf.leaf.pem, private_key=leaf.key.get_secret_value().decode()
    )
    zone = scene.control.change_zone(zone_name, enabled=True)
    record = replace(
        load(pattern.manifest["metadata"]["annotations"][RECORD_ANNOTATION]),
        zone_id=zone["id"],
        uploaded=(leaf.leaf.pin,),
        claimed=(pull.spec.origins[0].target,),
    )
    http.patch(
        path_of(namespace, name),
        json={"metadata": {"annotations": {RECORD_ANNOTATION: dump(record)}}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    status = pattern.status_of(one, leaf, zone, certificate, served) | {"record": dump(record)}
    http.patch(
        f"{path_of(namespace, name)}/status",
        json={"status": status},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    hosts = pull.spec.hostname_patterns
    return replace(
        pattern.claim,
        uid=pull.uid,
        owner=str(pull.key),
        zone=zone_name,
        patterns=tuple(sorted(hosts)),
        enforced=tuple(sorted(hosts)),
        pins=(leaf.leaf.pin,),
    )
