"""Cloudflare's half of the effects: certificates and the zone's setting.

An upload uses the recorded key pair, and a deletion names an id whose fingerprint was just read.
"""

from __future__ import annotations

import asyncio

from aop.api import ROTATE_ANNOTATION, AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import (
    Access,
    AlreadyDeleted,
    AlreadyExists,
    CertificateUnlisted,
    Cloudflare,
    CloudflareError,
    NotFound,
    Priority,
    RateLimited,
    Withheld,
)
from aop.cluster import Cluster, Kind
from aop.errors import AopError, Blocked, Reason, Transient
from aop.observe.memory import Memory
from aop.observe.zone import changed_by_us, follow
from aop.observed import ENABLED, Observed
from aop.perform.keys import key_secret
from aop.pki import KeyedLeaf, Slot, read_keyed_leaf
from aop.steps import Delete, SetEnabled, Upload
from aop.terms import ObjectKey, Pin

UNLISTED_S = 60.0
"""For how long Cloudflare may say that it has a certificate before its list, which lags by tens of
seconds, has to show it (facts: cloudflare#list-lag)."""


class ZoneWriter:
    """Changes one zone for one object; built once per process."""

    def __init__(self, cluster: Cluster, cloudflare: Cloudflare, clock: Clock) -> None:
        self._cluster = cluster
        self._cloudflare = cloudflare
        self._clock = clock

    async def change(
        self,
        step: Upload | Delete | SetEnabled,
        o: Observed,
        pull: AuthenticatedOriginPull,
        memory: Memory,
    ) -> None:
        """Make a change; proofs and the quiet period begin again, even if the answer is lost.

        Only a refusal shows that nothing has changed. For what was refused a short time ago no call
        is made: the client raises the same exception again.
        """
        refused, what = memory.cloudflare.refused, changed_thing(step)
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
                memory.cloudflare.listed.forget()
                changed_by_us(memory, self._clock.now())
            # Nobody has refused a call that only waits its turn among our own, or that this process
            # may no longer make.
            if not (isinstance(error, RateLimited | Withheld) and error.failure is None):
                refused[what] = error.message
            raise
        except BaseException:
            changed_by_us(memory, self._clock.now())
            raise
        refused.pop(what, None)
        changed_by_us(memory, self._clock.now())

    async def _upload(self, step: Upload, pull: AuthenticatedOriginPull, memory: Memory) -> None:
        secret = key_secret(pull)
        manifest = await self._cluster.fetch(Kind.SECRET, secret)
        data: dict[str, str] = (manifest.get("data") or {}) if manifest else {}
        leaf = await asyncio.to_thread(_leaf_of, step.pin, secret, data)
        if leaf is None:
            raise Transient(
                f"Secret {secret} no longer holds leaf {step.pin.short}; the operator looks at it again"
            )
        token = access(memory, Priority.ONBOARD)
        try:
            certificate = await self._cloudflare.upload_certificate(
                token, step.zone_id, leaf.leaf.pem, leaf.key
            )
        except AlreadyExists as error:
            exists = error
        else:
            follow(memory.cloudflare, certificate)
            return
        if not (exists.asked and await self._found_again(step, token, memory)):
            raise unlisted(exists, pull, step.pin)

    async def _found_again(self, step: Upload, token: Access, memory: Memory) -> bool:
        """Whether the certificate that is there already is known by its id.

        It may have come back under its old id, which the list is slow to show. Otherwise the list
        will show it: an upload whose answer was lost, or a deletion under way
        (facts: cloudflare#ids-that-come-back, cloudflare#tombstones).
        """
        cloudflare = memory.cloudflare
        for certificate_id in [
            id_ for id_, fingerprint in cloudflare.gone.items() if fingerprint == step.pin.sha256
        ]:
            try:
                certificate = await self._cloudflare.fetch_certificate(
                    token, step.zone_id, certificate_id
                )
            except NotFound:
                continue
            if not certificate.deleted:
                follow(cloudflare, certificate)
                return True
        cloudflare.listed.forget()
        return False

    async def _delete(self, step: Delete, memory: Memory) -> None:
        token = access(memory, Priority.ONBOARD)
        if (
            left_alone := self._cloudflare.deletion_left_alone(
                token, step.zone_id, step.certificate_id
            )
        ) is not None:
            raise left_alone  # before the look that precedes it, which would be made at every visit
        try:
            present = await self._cloudflare.fetch_certificate(
                token, step.zone_id, step.certificate_id
            )
            if present.deleted:
                raise AlreadyDeleted("it is deleted already")
            if present.fingerprint != step.pin.sha256:
                raise Transient(
                    f"certificate {step.certificate_id} is not leaf {step.pin.short}; the operator looks at Cloudflare again"
                )
            follow(
                memory.cloudflare,
                await self._cloudflare.delete_certificate(token, step.zone_id, step.certificate_id),
            )
        except (AlreadyDeleted, NotFound):
            memory.cloudflare.known.pop(step.certificate_id, None)
            memory.cloudflare.gone[step.certificate_id] = step.pin.sha256
            memory.cloudflare.listed.forget()

    async def _set_enabled(self, step: SetEnabled, o: Observed, memory: Memory) -> None:
        priority = Priority.ONBOARD if step.enabled or o.object.deleting else Priority.PROTECT
        asked = True
        try:
            await self._cloudflare.set_enablement(
                access(memory, priority), step.zone_id, enabled=step.enabled
            )
        except CloudflareError as error:
            asked = error.asked
            raise
        finally:
            if asked:  # else nothing was sent, and what was read stands
                memory.cloudflare.enabled.forget()


def _leaf_of(pin: Pin, secret: ObjectKey, data: dict[str, str]) -> KeyedLeaf | None:
    """The leaf in this Secret that has the fingerprint, with its key."""
    slots = [Slot.CURRENT, *([Slot.NEXT] if "next.crt" in data else [])]
    keyed = (read_keyed_leaf(secret, data, slot) for slot in slots)
    return next((one for one in keyed if one.leaf.pin == pin), None)


def changed_thing(step: Upload | Delete | SetEnabled) -> str:
    """What is said to be unchanged if Cloudflare refuses the step."""
    if isinstance(step, SetEnabled):
        return ENABLED
    return step.certificate_id if isinstance(step, Delete) else step.pin.sha256


def unlisted(error: AlreadyExists, pull: AuthenticatedOriginPull, leaf: Pin) -> CloudflareError:
    """What to say about a certificate that is there and is not listed.

    For a minute only patience helps; after that the message says how to do without it.
    """
    if error.lasting_s < UNLISTED_S:
        return error
    remedy = (
        f"take another key pair: kubectl annotate aop {pull.key.name} -n {pull.key.namespace} {ROTATE_ANNOTATION}=1 --overwrite"
        if pull.spec.certificate.generate
        else f"put another certificate into Secret {key_secret(pull)}"
    )
    return CertificateUnlisted(
        f"Cloudflare refuses leaf {leaf.short} because the zone already holds it, but does not list it. Delete it in the dashboard if it is there; "
        f"else {remedy}.",
        error.failure,
    )


def access(memory: Memory, priority: Priority) -> Access:
    """The token with which the decision was made, at this priority."""
    if memory.cloudflare.access is None:
        raise Blocked(Reason.TOKEN_SECRET_NOT_FOUND, "the API token is not known")
    return memory.cloudflare.access.at(priority)
