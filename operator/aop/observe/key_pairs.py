"""Key pairs, read once for each version of their Secret, and never on the event loop.

Reading one, and trying whether it can be presented, takes milliseconds of computing. Sixteen
objects that look every few seconds would delay everything else, above all Kubernetes' probes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from aop.errors import Blocked
from aop.pki import KeyPair, Slot, read_key_pair, read_keyed_leaf, read_referenced
from aop.probe import ClientIdentity
from aop.terms import ObjectKey

MOST_KEPT = 16384
"""Of how many Secrets the last version is kept; each takes some 5 KB."""


@dataclass(frozen=True, slots=True)
class ReadKeyPair:
    """A key pair as facts, and ready to be presented."""

    pair: KeyPair
    identity: ClientIdentity
    next_identity: ClientIdentity | None = None


class KeyPairs:
    """The last version of each Secret that was read; built once per process."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._versions: OrderedDict[
            tuple[ObjectKey, str | None], tuple[bytes, asyncio.Task[ReadKeyPair]]
        ] = OrderedDict()

    async def read(
        self, secret: ObjectKey, data: Mapping[str, str] | None, zone: str | None
    ) -> ReadKeyPair:
        """What `data` (base64, as in a manifest) of the Secret contains.

        `zone` is that of a Secret which the operator fills. None means that somebody else fills it;
        then the caller checks whether it is valid now. Raises `Blocked` (KeyPairInvalid).
        """
        place, version = (secret, zone), _digest(data)
        known = self._versions.get(place)
        if known is None or known[0] != version:
            reading = asyncio.create_task(asyncio.to_thread(_read, secret, data, zone))
            known = self._versions[place] = version, reading
        self._versions.move_to_end(place)
        while len(self._versions) > self._most:
            self._versions.popitem(last=False)
        try:
            return await asyncio.shield(known[1])
        except Blocked:
            raise
        except Exception:
            if self._versions.get(place) is known:
                del self._versions[place]  # it may have been the fault of the machine: read again
            raise


def _read(secret: ObjectKey, data: Mapping[str, str] | None, zone: str | None) -> ReadKeyPair:
    pair = (
        read_referenced(secret, data) if zone is None else read_key_pair(secret, data or {}, zone)
    )
    identities = [
        ClientIdentity(keyed.leaf.pem, keyed.key)
        for slot, leaf in ((Slot.CURRENT, pair.leaf), (Slot.NEXT, pair.next))
        if leaf is not None
        for keyed in (read_keyed_leaf(secret, data or {}, slot),)
    ]
    return ReadKeyPair(pair, *identities)


def _digest(data: Mapping[str, str] | None) -> bytes:
    """Names a version without keeping what is in it."""
    return sha256(repr(None if data is None else sorted(data.items())).encode()).digest()
