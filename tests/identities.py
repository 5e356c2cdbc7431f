"""Client certificates to be presented, of what `aop.pki` has issued or read."""

from __future__ import annotations

from aop.pki import KeyedLeaf
from aop.probe import ClientIdentity


def identity_of(keyed: KeyedLeaf) -> ClientIdentity:
    """The leaf with its key, ready to be presented."""
    return ClientIdentity(keyed.leaf.pem, keyed.key)
