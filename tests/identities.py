"""Client certificates to be presented, of what `aop.pki` has issued or read."""

from __future__ import annotations

from pathlib import Path

from aop.pki import KeyedLeaf
from aop.probe import ClientIdentity


def identity_of(keyed: KeyedLeaf) -> ClientIdentity:
    """The leaf with its key, ready to be presented."""
    return ClientIdentity(keyed.leaf.pem, keyed.key)


def file_of(keyed: KeyedLeaf, path: Path) -> Path:
    """The file at `path`, with the leaf and its key in it, as clients that read files want them."""
    path.write_text(keyed.leaf.pem + keyed.key.get_secret_value().decode())
    return path
