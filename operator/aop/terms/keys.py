"""Where a Kubernetes object is, and what an origin is configured by."""

from __future__ import annotations

from typing import NamedTuple


class ObjectKey(NamedTuple):
    """Where a namespaced object is.

    It prints as `namespace/name`, the form of every message and of `Claim.owner`.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """The key printed as `text`; raises ValueError when it is not `namespace/name`."""
        namespace, slash, name = text.partition("/")
        if not (namespace and slash and name) or "/" in name:
            raise ValueError(f"not namespace/name: {text!r}")
        return cls(namespace, name)


class Target(NamedTuple):
    """What an origin is configured by.

    The origin kind, by its name in the resource, and the object that carries our claims. Prints as
    `kind/namespace/name`, its form in the record.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def key(self) -> ObjectKey:
        """Where the object is."""
        return ObjectKey(self.namespace, self.name)

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target printed as `text`; raises ValueError when it is none."""
        kind, slash, key = text.partition("/")
        if not (kind and slash):
            raise ValueError(f"not kind/namespace/name: {text!r}")
        return cls(kind, *ObjectKey.parse(key))
