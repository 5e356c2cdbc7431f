"""The parts of an observer that ask replicas and the edge, as the settings say.

The operator and a person's `kubectl aop` both build them here, so that both see alike.
"""

from __future__ import annotations

from datetime import timedelta

from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.edge import EdgeReader
from aop.observe.origins import OriginKeepers
from aop.observe.replicas import ReplicaReader
from aop.pki import throwaway
from aop.probe import ClientIdentity, EdgeProbe, ReplicaProbe
from aop.settings import Settings


def origin_keepers(
    cluster: Cluster, settings: Settings, clock: Clock, *, watching: bool = False
) -> OriginKeepers:
    """The keepers of all origins, which share one way of asking replicas.

    `watching` if they look again and again.
    """
    # Valid for a long time already. A node whose clock is wrong then refuses our young leaf but not
    # this one, which tells the two cases apart.
    stranger = throwaway(clock.wall() - timedelta(days=365))
    identity = ClientIdentity(stranger.leaf.pem, stranger.key)
    probe = ReplicaProbe(timeout_s=settings.probe_timeout_s)
    reader = ReplicaReader(probe, identity, clock, settings.replica_recheck_s)
    return OriginKeepers(cluster, reader, settings, clock, watching=watching)


def edge_probe(settings: Settings) -> EdgeProbe:
    """What asks through the edge. Raises `OSError` where `edge_ca_file` cannot be read."""
    return EdgeProbe(
        timeout_s=settings.probe_timeout_s,
        connect_to=settings.edge_connect_to,
        ca_file=settings.edge_ca_file,
    )


def edge_reader(settings: Settings, clock: Clock) -> EdgeReader:
    """Who asks through the edge, and when. Raises `OSError` as `edge_probe` does."""
    return EdgeReader(
        edge_probe(settings), settings.edge_cadence_s, settings.edge_requests_per_s, clock
    )
