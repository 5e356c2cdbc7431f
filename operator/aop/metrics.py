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

    def certificate_expires(self, zone: str, not_after: datetime) -> None:
        """Publish when the certificate that `zone` presents expires (aware)."""
        self.certificate_not_after.labels(zone=zone).set(not_after.timestamp())

    def forget_zone(self, zone: str) -> None:
        """The zone is no longer ours: an alert on its certificate would be about nothing.

        What was left behind is still told.
        """
        self.certificate_not_after.remove_by_labels({"zone": zone})

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, to be served with `content_type`."""
        return generate_latest(self.registry)
