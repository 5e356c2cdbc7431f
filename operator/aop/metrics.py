"""What Prometheus may read: counts of what was done, and when certificates end.

It has a registry of its own, so that two operators in one process (tests) do not share numbers.
Labels are templates and names, never ids, hosts or secrets.
"""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """All metrics of one operator; their names begin with `aop_`."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4
    """The media type of `exposition`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._presented: dict[str, str] = {}
        """The zones whose certificate is measured, by the uid of the object that has them."""
        self.reconciles = Counter(
            "aop_reconciles",
            "Passes of the loop, by how they ended.",
            ["result"],
            registry=self.registry,
        )
        self.steps = Counter(
            "aop_steps", "Effects carried out, by kind of step.", ["step"], registry=self.registry
        )
        self.cloudflare_requests = Counter(
            "aop_cloudflare_requests",
            "Requests to Cloudflare's API, by HTTP status, or timeout, unreachable, severed or oversized.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self.reader_bugs = Counter(
            "aop_reader_bugs",
            "Looks that ended in an exception that nobody expected, by what was looked at; the log has the tracebacks.",
            ["reader"],
            registry=self.registry,
        )
        self.watch_failures = Counter(
            "aop_watch_failures",
            "Watches that have ended and begun anew, by kind; the log says why.",
            ["kind"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "aop_leader",
            "1 while this process leads, 0 while it stands by.",
            registry=self.registry,
        )
        self.certificate_not_after = Gauge(
            "aop_certificate_not_after_seconds",
            "When the certificate that the zone presents expires, in seconds since 1970.",
            ["zone"],
            registry=self.registry,
        )
        self.left_behind = Counter(
            "aop_left_behind",
            "Removals that gave up on Cloudflare and left something of ours there.",
            ["zone"],
            registry=self.registry,
        )

    def certificate_expires(self, uid: str, zone: str, not_after: datetime | None) -> None:
        """Publish when the certificate that `zone` presents expires (aware), as the object sees it.

        None: it presents none of the object's, and an alert on that would be about nothing.
        """
        if self._presented.get(uid) != zone or not_after is None:
            self.forget(uid)
        if not_after is not None:
            self._presented[uid] = zone
            self.certificate_not_after.labels(zone=zone).set(not_after.timestamp())

    def forget(self, uid: str) -> None:
        """The object is gone, or has another zone; what was left behind is still told."""
        zone = self._presented.pop(uid, None)
        if zone is not None and zone not in self._presented.values():
            self.certificate_not_after.remove_by_labels({"zone": zone})

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, to be served with `content_type`."""
        return generate_latest(self.registry)
