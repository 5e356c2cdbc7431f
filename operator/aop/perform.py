"""One `Step` at a time, carried out. This, and the keepers that it tells to, write everything for an object but its status and its Events.

Every write is safe against a second writer: ConfigMaps, Secrets and the record go out with the resourceVersion that the decision was made
on, an upload uses the recorded key pair, and a deletion names an id whose fingerprint was just read. After each effect the memory forgets
what the effect can have changed, so that it is observed again.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any, assert_never

from aop.api import API_VERSION, KIND, RECORD_ANNOTATION, ROTATE_ANNOTATION, WATCH_LABEL, AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Access, AlreadyDeleted, AlreadyExists, CertificateUnlisted, Cloudflare, CloudflareError, NotFound, Priority
from aop.cluster import Cluster, Conflict, Kind
from aop.errors import AopError, Blocked, Reason, Transient
from aop.observe.memory import Memory
from aop.observe.origin import OriginKeepers
from aop.observe.zone import changed, follow
from aop.observed import Observed
from aop.origins import Claim, Mode, ObjectKey, Pin, ingress_nginx
from aop.origins.spec import ForeignText
from aop.pki import (
    AUTHORITY_TYPE,
    LEAF_TYPE,
    Authority,
    Recipe,
    Slot,
    authority_data,
    authority_name,
    check_mutable,
    create_authority,
    issue_leaf,
    leaf_data,
    promoted,
    read_authority,
    read_key_pair,
    read_keyed_leaf,
    with_next,
)
from aop.plan.facts import replicas
from aop.record import dump
from aop.steps import Delete, Effect, Issue, Note, Promote, Publish, SetEnabled, Upload, Withdraw

UNLISTED_S = 60.0
"""For how long Cloudflare may call a certificate known before its list, which lags by up to a minute, has to show it (facts: cloudflare#list-lag)."""


class Performer:
    """Carries out steps; built once per process."""

    def __init__(self, cluster: Cluster, origins: OriginKeepers, cloudflare: Cloudflare, clock: Clock) -> None:
        self._cluster = cluster
        self._origins = origins
        self._cloudflare = cloudflare
        self._clock = clock

    async def perform(self, step: Effect, o: Observed, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        """Carry out `step`, which was decided on `o`. Raises `Blocked` or `Transient`; the world may have changed all the same."""
        match step:
            case Note():
                await self._note(step, pull, memory)
            case Issue(slot="first"):
                await self._issue_first(pull, memory)
            case Issue():
                await self._issue_next(pull, memory)
            case Promote():
                await self._promote(step, pull, memory)
            case Publish():
                await self._publish(step, o, pull)
            case Withdraw():
                await self._withdraw(step, pull)
            case Upload() | Delete() | SetEnabled():
                await self._change_zone(step, o, pull, memory)
            case _:
                assert_never(step)

    async def _note(self, step: Note, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        metadata = {"resourceVersion": pull.resource_version, "annotations": {RECORD_ANNOTATION: dump(step.record)}}
        try:
            memory.learn(
                await self._cluster.merge(Kind.AUTHENTICATED_ORIGIN_PULL, pull.key, {"metadata": metadata}), self._clock.monotonic_s()
            )
        except BaseException:
            memory.manifest = None  # what was written, or what somebody else has written, is read before the next decision
            raise

    # --- keys --------------------------------------------------------------------------------------------------------

    async def _issue_first(self, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        secret, recipe = generated(pull), recipe_of(pull)
        authority = await self._authority(pull, authority_name(secret), recipe)
        issued = await asyncio.to_thread(issue_leaf, recipe, authority, self._clock.wall())
        await self._cluster.create(Kind.SECRET, secret.namespace, owned(pull, secret, leaf_data(issued, authority), LEAF_TYPE))
        memory.forget_secrets()

    async def _issue_next(self, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        secret, recipe = generated(pull), recipe_of(pull)
        manifest = await self._own_secret(secret, pull.spec.zone.name, memory, following=None)
        authority = await self._authority(pull, authority_name(secret), recipe)
        issued = await asyncio.to_thread(issue_leaf, recipe, authority, self._clock.wall())
        await self._cluster.replace(Kind.SECRET, secret, {**manifest, "data": with_next(manifest["data"], issued, authority)})

    async def _promote(self, step: Promote, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        secret = generated(pull)
        manifest = await self._own_secret(secret, pull.spec.zone.name, memory, following=step.pin)
        await self._cluster.replace(Kind.SECRET, secret, {**manifest, "data": promoted(manifest["data"])})

    async def _own_secret(self, secret: ObjectKey, zone: str, memory: Memory, *, following: Pin | None) -> dict[str, Any]:
        """Our Secret as it is now, with the next leaf that the decision was made on: another process may have been faster."""
        memory.forget_secrets()
        manifest = await self._cluster.fetch(Kind.SECRET, secret)
        if manifest is None:
            raise Transient(f"Secret {secret} has just gone; it is looked at again")
        check_mutable(secret, manifest)
        held = read_key_pair(secret, manifest.get("data") or {}, zone).next
        if (held and held.pin) != following:
            raise Conflict(f"Secret {secret} has changed since it was looked at")
        return manifest

    async def _authority(self, pull: AuthenticatedOriginPull, key: ObjectKey, recipe: Recipe) -> Authority:
        """The authority that signs: the one that is there if it still can, else a new generation, stored before it signs anything."""
        manifest = await self._cluster.fetch(Kind.SECRET, key)
        present = read_authority(key, manifest.get("data") or {}, recipe.zone) if manifest else None
        if present and present.suits(recipe, self._clock.wall()):
            return present
        if manifest is not None:
            check_mutable(key, manifest)
        authority = await asyncio.to_thread(create_authority, recipe, self._clock.wall())
        if manifest is None:
            await self._cluster.create(Kind.SECRET, key.namespace, owned(pull, key, authority_data(authority), AUTHORITY_TYPE))
        else:
            await self._cluster.replace(Kind.SECRET, key, {**manifest, "data": authority_data(authority)})
        return authority

    # --- origins -----------------------------------------------------------------------------------------------------

    async def _publish(self, step: Publish, o: Observed, pull: AuthenticatedOriginPull) -> None:
        foreign = next((it.ingress_nginx.foreign_text for it in o.spec.origins if it.ingress_nginx and it.target == step.target), None)
        origin = next(origin for origin in o.origins if origin.target == step.target)
        await self._origins.of(step.target).publish(
            pull.uid, step.claim, foreign=foreign or ForeignText.MERGE, replicas=replicas(origin), gone=o.gone
        )

    async def _withdraw(self, step: Withdraw, pull: AuthenticatedOriginPull) -> None:
        await self._origins.of(step.target).withdraw(pull.uid)

    async def relax_stray(self, config_map: dict[str, Any], claim: Claim) -> None:
        """Bring a claim whose object is gone one step further: to Off, and from Off out. Raises `ClusterError`."""
        metadata = config_map["metadata"]
        if claim.mode > Mode.OFF:
            milder = replace(claim, mode=Mode.OFF, enforced=())
            body = ingress_nginx.publish(config_map, milder, foreign=ForeignText.MERGE, token_if_new=secrets.token_hex(8))
        else:
            body = ingress_nginx.withdraw(config_map, claim.uid)
        if body != config_map:
            target = ObjectKey(metadata["namespace"], metadata["name"])
            await self._cluster.replace(Kind.CONFIG_MAP, target, body)
            self._origins.forget(target)

    # --- Cloudflare --------------------------------------------------------------------------------------------------

    async def _change_zone(self, step: Upload | Delete | SetEnabled, o: Observed, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        """Proofs and stillness begin again, also when the answer is lost: only a refusal tells that nothing has changed.

        What was refused a short time ago is not even asked for: the client raises the same again.
        """
        try:
            match step:
                case Upload():
                    await self._upload(step, pull, memory)
                case Delete():
                    await self._delete(step, memory)
                case SetEnabled():
                    await self._set_enabled(step, o, memory)
        except AopError as error:
            if isinstance(error, CloudflareError) and error.may_have_changed:
                changed(memory, self._clock.now())
            raise
        except BaseException:
            changed(memory, self._clock.now())
            raise
        changed(memory, self._clock.now())

    async def _upload(self, step: Upload, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        secret = key_secret(pull)
        manifest = await self._cluster.fetch(Kind.SECRET, secret)
        data: dict[str, str] = (manifest.get("data") or {}) if manifest else {}
        slots = [Slot.CURRENT, *([Slot.NEXT] if "next.crt" in data else [])]
        leaf = next((keyed for slot in slots if (keyed := read_keyed_leaf(secret, data, slot)).leaf.pin == step.pin), None)
        if leaf is None:
            raise Transient(f"Secret {secret} does not hold leaf {step.pin.short} any more; it is looked at again")
        token = access(memory, Priority.ONBOARD)
        try:
            certificate = await self._cloudflare.upload_certificate(token, step.zone_id, leaf.leaf.pem, leaf.key)
        except AlreadyExists as error:
            exists = error
        else:
            follow(memory.cloudflare, certificate)
            return
        if not (exists.asked and await self._found_again(step, token, memory)):
            raise unlisted(exists, pull, step.pin)

    async def _found_again(self, step: Upload, token: Access, memory: Memory) -> bool:
        """Whether the certificate that is there already is known by its id: it may have come back under its old one, which the list is slow to show.

        Else the list will show it: an upload whose answer was lost, or a deletion under way (facts: cloudflare#ids-that-come-back, cloudflare#tombstones).
        """
        held = memory.cloudflare
        for certificate_id in [id_ for id_, fingerprint in held.gone.items() if fingerprint == step.pin.sha256]:
            try:
                certificate = await self._cloudflare.fetch_certificate(token, step.zone_id, certificate_id)
            except NotFound:
                continue
            if not certificate.deleted:
                follow(held, certificate)
                return True
        held.listed.forget()
        return False

    async def _delete(self, step: Delete, memory: Memory) -> None:
        token = access(memory, Priority.ONBOARD)
        try:
            present = await self._cloudflare.fetch_certificate(token, step.zone_id, step.certificate_id)
            if present.deleted:
                raise AlreadyDeleted("it is deleted already")
            if present.fingerprint != step.pin.sha256:
                raise Transient(f"certificate {step.certificate_id} is not leaf {step.pin.short}; Cloudflare is looked at again")
            follow(memory.cloudflare, await self._cloudflare.delete_certificate(token, step.zone_id, step.certificate_id))
        except (AlreadyDeleted, NotFound):
            memory.cloudflare.known.pop(step.certificate_id, None)
            memory.cloudflare.gone[step.certificate_id] = step.pin.sha256
            memory.cloudflare.listed.forget()

    async def _set_enabled(self, step: SetEnabled, o: Observed, memory: Memory) -> None:
        priority = Priority.ONBOARD if step.enabled or o.object.deleting else Priority.PROTECT
        memory.cloudflare.enabled.forget()
        await self._cloudflare.set_enablement(access(memory, priority), step.zone_id, enabled=step.enabled)


def unlisted(error: AlreadyExists, pull: AuthenticatedOriginPull, leaf: Pin) -> CloudflareError:
    """What to say of a certificate that is there and is not shown: nothing but patience for a minute, then how to do without it."""
    if error.lasting_s < UNLISTED_S:
        return error
    remedy = (
        f"take another key pair: kubectl annotate aop {pull.key.name} -n {pull.key.namespace} {ROTATE_ANNOTATION}=1 --overwrite"
        if pull.spec.certificate.generate
        else f"put another certificate into Secret {key_secret(pull)}"
    )
    return CertificateUnlisted(
        f"Cloudflare refuses leaf {leaf.short} because the zone holds it, and does not list it. Delete it in the dashboard if it is there; "
        f"else {remedy}.",
        error.failure,
    )


def access(memory: Memory, priority: Priority) -> Access:
    """The token that the decision was made with, at this priority."""
    if memory.cloudflare.access is None:
        raise Blocked(Reason.TOKEN_SECRET_NOT_FOUND, "the API token is not known")
    return memory.cloudflare.access.at(priority)


def generated(pull: AuthenticatedOriginPull) -> ObjectKey:
    """The Secret that we fill. Raises LookupError when the spec refers to somebody else's."""
    generate = pull.spec.certificate.generate
    if generate is None:
        raise LookupError(f"{pull.key} refers to a Secret, so nothing is generated")
    return ObjectKey(pull.key.namespace, generate.secret_name)


def key_secret(pull: AuthenticatedOriginPull) -> ObjectKey:
    """The Secret that holds the key pair, whoever fills it."""
    reference = pull.spec.certificate.secret_ref
    return ObjectKey(pull.key.namespace, reference.name) if reference else generated(pull)


def recipe_of(pull: AuthenticatedOriginPull) -> Recipe:
    """What is to be generated, by the spec."""
    generate = pull.spec.certificate.generate
    if generate is None:
        raise LookupError(f"{pull.key} refers to a Secret, so nothing is generated")
    return Recipe(
        zone=pull.spec.zone.name,
        uid=pull.uid,
        hostnames=pull.spec.hostname_patterns,
        algorithm=generate.algorithm,
        size=generate.size,
        leaf_lifetime=generate.leaf_lifetime,
        authority_lifetime=generate.authority_lifetime,
    )


def owned(pull: AuthenticatedOriginPull, key: ObjectKey, data: dict[str, str], kind: str) -> dict[str, Any]:
    """A Secret of ours: collected with its object, watched for changes."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {WATCH_LABEL: "true", "app.kubernetes.io/managed-by": "aop-operator"},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": pull.key.name,
                    "uid": pull.uid,
                    "controller": True,
                }
            ],
        },
        "data": data,
    }
