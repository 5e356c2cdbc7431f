"""Keys and certificates, on top of `cryptography`.

Issued, kept in Secrets, read back, checked, recognised. Pure; the caller passes the time. Key bytes
appear only in `KeyedLeaf` and `Authority`, as pydantic's `SecretBytes`; `Leaf` and `KeyPair` are
facts that may be logged. Making a key (`create_authority`, `issue_leaf`) takes seconds for RSA:
call it in a thread.
"""

from aop.pki.certificates import Leaf, pin_of, recognise
from aop.pki.issuing import Authority, KeyedLeaf, Recipe, create_authority, issue_leaf, throwaway
from aop.pki.keys import Algorithm
from aop.pki.secrets import (
    AUTHORITY_TYPE,
    LEAF_TYPE,
    KeyPair,
    Slot,
    authority_data,
    authority_name,
    check_in_time,
    check_mutable,
    leaf_data,
    promoted,
    read_authority,
    read_key_pair,
    read_keyed_leaf,
    read_referenced,
    with_next,
)

__all__ = [
    "AUTHORITY_TYPE",
    "LEAF_TYPE",
    "Algorithm",
    "Authority",
    "KeyPair",
    "KeyedLeaf",
    "Leaf",
    "Recipe",
    "Slot",
    "authority_data",
    "authority_name",
    "check_in_time",
    "check_mutable",
    "create_authority",
    "issue_leaf",
    "leaf_data",
    "pin_of",
    "promoted",
    "read_authority",
    "read_key_pair",
    "read_keyed_leaf",
    "read_referenced",
    "recognise",
    "throwaway",
    "with_next",
]
