"""What the Secrets that an object names contain: its key pair, and a token for Cloudflare.

No look fails because of what somebody has put there: it becomes `Unknown`, with the Secret's name.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Access, Priority
from aop.errors import Blocked, Reason
from aop.observe.key_pairs import KeyPairs
from aop.observe.memory import Memory
from aop.observe.secrets import Secrets
from aop.observed import ObservedKeyPair, Unknown
from aop.pki import check_in_time
from aop.probe import Presented
from aop.terms import ObjectKey

log = logging.getLogger("aop")


class ReferencedSecrets:
    """Reads them for all objects; built once by the observer."""

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock
        self._key_pairs = KeyPairs()

    async def key_pair(
        self, pull: AuthenticatedOriginPull, memory: Memory, until_s: float
    ) -> ObservedKeyPair | Unknown | None:
        """The key pair of an object.

        Replicas are asked with the last one that could be read, because protection does not end
        with a Secret.
        """
        certificate = pull.spec.certificate
        name = certificate.generate.secret_name if certificate.generate else ""
        if certificate.secret_ref:
            name = certificate.secret_ref.name
        key = ObjectKey(pull.key.namespace, name)
        ours = certificate.secret_ref is None
        data = await self._secrets.data(key, awaited=memory.awaiting, until_s=until_s, ours=ours)
        if isinstance(data, Unknown):
            return data
        if data is None and certificate.generate:
            return None
        try:
            return await self._read_key_pair(pull, key, data, memory)
        except Blocked as error:
            return Unknown(error.message, error.reason)
        except Exception as error:
            log.exception("bug while reading Secret %s", key)
            return Unknown(
                f"Secret {key} cannot be read: {type(error).__name__} in the operator; its log has the traceback"
            )

    async def _read_key_pair(
        self,
        pull: AuthenticatedOriginPull,
        key: ObjectKey,
        data: Mapping[str, str] | None,
        memory: Memory,
    ) -> ObservedKeyPair:
        generate = pull.spec.certificate.generate
        read = await self._key_pairs.read(key, data, pull.spec.zone.name if generate else None)
        leaf, following = read.pair.leaf, read.pair.next
        if generate is None:
            check_in_time(key, leaf, self._clock.wall())
        presenting = (
            (Presented.OURS, leaf, read.identity),
            (Presented.NEXT, following, read.next_identity),
        )
        # A server refuses an expired leaf whatever is pinned, so its answer would say nothing about
        # our text.
        memory.presenting = {
            presented: identity
            for presented, one, identity in presenting
            if one is not None and identity is not None and one.pin.not_after > self._clock.wall()
        }
        renewal = leaf.renewal_at(generate.renew_ahead) if generate else None
        return ObservedKeyPair(leaf.pin, following.pin if following else None, renewal)

    async def access(
        self, pull: AuthenticatedOriginPull, memory: Memory, until_s: float
    ) -> Access | Unknown:
        """The token that the Secret contains.

        A removal uses the last good one if the Secret no longer has one, whatever it has instead.
        """
        written, good = await self._written_access(pull, memory, until_s), memory.cloudflare.good
        return (
            good if isinstance(written, Unknown) and pull.deleting and good is not None else written
        )

    async def _written_access(
        self, pull: AuthenticatedOriginPull, memory: Memory, until_s: float
    ) -> Access | Unknown:
        reference = pull.spec.credentials.api_token_secret_ref
        key = ObjectKey(pull.key.namespace, reference.name)
        source = f"Secret {key}, key {reference.key}"
        data = await self._secrets.data(key, awaited=memory.awaiting, until_s=until_s)
        if isinstance(data, Unknown):
            return data
        if data is None or reference.key not in data:
            what = (
                f"Secret {key} does not exist"
                if data is None
                else f"Secret {key} has no key {reference.key}"
            )
            remedy = f"kubectl -n {key.namespace} create secret generic {key.name} --from-literal={reference.key}=…"
            return Unknown(
                f"{what}. Create it with a Cloudflare API token: {remedy}",
                Reason.TOKEN_SECRET_NOT_FOUND,
            )
        try:
            token = base64.b64decode(data[reference.key], validate=True).decode()
            return Access.of(token, Priority.ONBOARD, source=source)
        except (binascii.Error, UnicodeDecodeError):
            return Unknown(
                f"{source} is not text. Put a Cloudflare API token there", Reason.TOKEN_REJECTED
            )
        except Blocked as error:
            return Unknown(error.message, error.reason)
