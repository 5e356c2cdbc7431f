"""The eyes: asks replicas directly and hosts through the edge, and reports what they answered.

It draws no conclusion.

The only package that opens TLS sockets.
"""

from aop.probe.answers import Answer, Failure, FailureKind
from aop.probe.edge import AskedEdge, EdgeProbe
from aop.probe.identity import ClientIdentity
from aop.probe.replica import Asked, Paths, Presented, ReplicaAddress, ReplicaProbe

__all__ = [
    "Answer",
    "Asked",
    "AskedEdge",
    "ClientIdentity",
    "EdgeProbe",
    "Failure",
    "FailureKind",
    "Paths",
    "Presented",
    "ReplicaAddress",
    "ReplicaProbe",
]
