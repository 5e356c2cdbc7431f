"""Kubernetes, as plain JSON objects: the verbs that the operator uses and no other.

Nothing else imports the official client. Objects stay dicts, because the drivers keep what they do
not know byte for byte, and typed models would drop it; it also spares the memory of 800 model
modules (facts: kubernetes#memory-of-the-client).
"""

import os

# The official client asks for a home folder while it is imported, and raises where neither the
# environment nor a passwd file knows one.
os.environ.setdefault("HOME", "/")

from aop.cluster.changes import WatchedChange
from aop.cluster.client import Cluster, ClusterError, Conflict, connect
from aop.cluster.events import EventType, Subject, event
from aop.cluster.kept import lean, parsed, without_writers
from aop.cluster.user import ReadingCluster, Right, UserCluster, connect_as_user
from aop.terms.kinds import Kind

__all__ = [
    "Cluster",
    "ClusterError",
    "Conflict",
    "EventType",
    "Kind",
    "ReadingCluster",
    "Right",
    "Subject",
    "UserCluster",
    "WatchedChange",
    "connect",
    "connect_as_user",
    "event",
    "lean",
    "parsed",
    "without_writers",
]
