"""What was counted, and what is shown of the objects that this process looks after.

It has a registry of its own, so that two operators in one process (tests) do not share numbers. One
thread writes it and another reads it for Prometheus: every value is replaced whole, so that no
reader needs a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from aop import __version__
from aop.metrics import declared
from aop.metrics.declared import Metric
from aop.metrics.figures import Cause, ObjectFigures, TokenFigures, Undone, WaitingFigures

RESULTS = ("done", "wait", "block", "blocked", "transient", "bug")
"""How a visit may end. All are shown from the start, because for Prometheus a series that begins at
1 has not increased."""
READERS = ("cloudflare", "notifications")
"""What may be looked at; shown from the start for the same reason."""
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class MeasuredObject:
    """An object, by its uid, and its labels."""

    uid: str
    namespace: str
    name: str
    zone: str

    @property
    def labels(self) -> tuple[str, str, str]:
        """In the order in which they are declared."""
        return self.namespace, self.name, self.zone


@dataclass(frozen=True, slots=True)
class ObjectMetrics:
    """All that is shown of one object."""

    subject: MeasuredObject
    ready: bool | None = None
    stalled: bool = False
    alerts_configured: bool | None = None
    """None: nobody has to be warned."""
    reason: str = ""
    figures: ObjectFigures | None = None
    proven_at: float | None = None
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By the name of the metric and its last label."""


class Metrics:
    """All metrics of one operator; their names begin with `aop_`."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4
    """The media type of `exposition`."""

    def __init__(self, wall: Callable[[], datetime] | None = None) -> None:
        """`wall` is what the machine's clock says, if that has to be shown."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asks when a count began
        self.registry = CollectorRegistry()
        self._shown: dict[str, ObjectMetrics] = {}
        """By uid."""
        self._waiting: Callable[[], WaitingFigures] | None = None
        self._tokens: Callable[[], Iterable[TokenFigures]] | None = None
        self._orphaned: int | None = None
        self.visits = self._counter(declared.VISITS)
        self.visit_duration = Histogram(
            declared.VISIT_DURATION.name,
            declared.VISIT_DURATION.meaning,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.steps = self._counter(declared.STEPS)
        self.cloudflare_requests = self._counter(declared.REQUESTS)
        self.throttled = self._counter(declared.THROTTLED)
        self.postponed = self._counter(declared.POSTPONED)
        self.reader_bugs = self._counter(declared.READER_BUGS)
        self.watch_failures = self._counter(declared.WATCH_FAILURES)
        self.watch_answered = self._gauge(declared.WATCH_ANSWERED)
        self.leader = self._gauge(declared.LEADER)
        self.left_behind = self._counter(declared.LEFT_BEHIND)
        for result in RESULTS:
            self.visits.labels(result=result)
        for reader in READERS:
            self.reader_bugs.labels(reader=reader)
        if wall is not None:
            self._gauge(declared.CLOCK).set_function(lambda: wall().timestamp())
        self._gauge(declared.BUILD).labels(version=__version__).set(1)
        self.registry.register(_Acting(self))
        ProcessCollector(registry=self.registry)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)

    # --- objects ----------------------------------------------------------------------------------

    def see(self, subject: MeasuredObject, figures: ObjectFigures) -> None:
        """Take the figures of a look at the object's world."""
        known = self._of(subject)
        proven_at = known.proven_at if figures.proven_at is None else figures.proven_at
        self._keep(replace(known, figures=figures, proven_at=proven_at))

    def tell(
        self,
        subject: MeasuredObject,
        *,
        ready: bool,
        stalled: bool,
        reason: str,
        alerts_configured: bool | None = None,
    ) -> None:
        """Take what the object's status says."""
        judged = replace(
            self._of(subject),
            ready=ready,
            stalled=stalled,
            reason=reason,
            alerts_configured=alerts_configured,
        )
        self._keep(judged)

    def relaxed(self, subject: MeasuredObject, cause: Cause) -> None:
        """An origin was made milder."""
        self._count(subject, declared.RELAXATIONS, cause)

    def made_good(self, subject: MeasuredObject, what: Undone) -> None:
        """The operator has restored what somebody had undone."""
        self._count(subject, declared.DRIFT, what)

    def forget(self, uid: str) -> None:
        """The object is gone; what it left behind is still shown."""
        self._shown.pop(uid, None)

    def _count(self, subject: MeasuredObject, metric: Metric, label: str) -> None:
        known, which = self._of(subject), (metric.name, label)
        counts = {**known.counts, which: known.counts.get(which, 0) + 1}
        self._keep(replace(known, counts=counts))

    def _of(self, subject: MeasuredObject) -> ObjectMetrics:
        known = self._shown.get(subject.uid)
        return known if known and known.subject == subject else ObjectMetrics(subject)

    def _keep(self, shown: ObjectMetrics) -> None:
        self._shown[shown.subject.uid] = shown

    @property
    def shown(self) -> tuple[ObjectMetrics, ...]:
        """All objects; of two with one name, as when it was made again, the later one."""
        by_labels = {one.subject.labels: one for one in tuple(self._shown.values())}
        return tuple(by_labels.values())

    # --- what only who acts can tell --------------------------------------------------------------

    @contextmanager
    def acting(
        self,
        waiting: Callable[[], WaitingFigures],
        tokens: Callable[[], Iterable[TokenFigures]],
    ) -> Iterator[None]:
        """Take both sources for as long as this process acts; each reading asks them.

        A standby shows no object and no budget.
        """
        self._waiting, self._tokens = waiting, tokens
        try:
            yield
        finally:
            self._waiting, self._tokens, self._orphaned = None, None, None
            self._shown = {}

    def found_orphaned(self, claims: int) -> None:
        """Note how many claims have no object any more."""
        self._orphaned = claims

    @property
    def orphaned(self) -> int | None:
        """The last count; None: nobody has looked, or this process stands by."""
        return self._orphaned

    def waiting(self) -> WaitingFigures | None:
        """The figures of the loops; None while this process stands by."""
        return self._waiting() if self._waiting else None

    def tokens(self) -> tuple[TokenFigures, ...]:
        """The figures of every token that was used lately; empty while this process stands by."""
        return tuple(self._tokens()) if self._tokens else ()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, to be served with `content_type`."""
        return generate_latest(self.registry)


class _Acting(Collector):
    """Shows what is so now, made when it is asked for, so that a series ends with its subject.

    The client's registry asks `describe` once and `collect` each time.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Family]:
        """Every family, empty, so that no other metric takes its name."""
        return [_family(metric, ()) for metric in declared.OF_WHO_ACTS]

    def collect(self) -> Iterator[Family]:
        """Every family that has a value."""
        shown = self._metrics.shown
        yield from _of_objects(shown)
        yield from _of_origins(shown)
        yield from _of_tokens(self._metrics.tokens())
        if (waiting := self._metrics.waiting()) is not None:
            yield _family(declared.OBJECTS, [((), waiting.objects)])
            yield _family(declared.VISITS_WAITING, [((), len(waiting.waits_s))])
            yield _family(declared.LONGEST_WAIT, [((), max(waiting.waits_s, default=0.0))])
        if (orphaned := self._metrics.orphaned) is not None:
            yield _family(declared.ORPHANED_CLAIMS, [((), orphaned)])


Samples = Iterable[tuple[tuple[str, ...], float | None]]
"""Labels and value; None is left out."""


def _family(metric: Metric, samples: Samples) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, value)
    return family


def _of_objects(shown: tuple[ObjectMetrics, ...]) -> Iterator[Family]:
    judged = [one for one in shown if one.ready is not None]
    yield _family(declared.READY, [(one.subject.labels, one.ready) for one in judged])
    yield _family(declared.STALLED, [(one.subject.labels, one.stalled) for one in judged])
    yield _family(declared.REASON, [((*one.subject.labels, one.reason), 1) for one in judged])
    yield _family(
        declared.ALERTS_CONFIGURED, [(one.subject.labels, one.alerts_configured) for one in judged]
    )
    seen = [(one, one.figures) for one in shown if one.figures is not None]
    values: dict[Metric, Callable[[ObjectMetrics, ObjectFigures], float | None]] = {
        declared.ENFORCEMENT: lambda _, figures: figures.enforcement,
        declared.ENFORCEMENT_WANTED: lambda _, figures: figures.wanted,
        declared.HOSTS: lambda _, figures: figures.hosts,
        declared.HOSTS_REQUIRED: lambda _, figures: figures.required,
        declared.HOSTS_UNPROVEN: lambda _, figures: figures.unproven,
        declared.PROOF: lambda one, _: one.proven_at,
        declared.HOLD_OFFS: lambda _, figures: figures.hold_offs,
        declared.BEGINNING: lambda _, figures: figures.begins_at,
        declared.EXPIRATION: lambda _, figures: figures.expires_at,
        declared.RENEWAL: lambda _, figures: figures.renews_at,
    }
    for metric, value in values.items():
        yield _family(metric, [(one.subject.labels, value(one, figures)) for one, figures in seen])
    # Shown from the first look on, as 0: for Prometheus, a series that begins at 1 has not
    # increased.
    for metric, words in ((declared.RELAXATIONS, Cause), (declared.DRIFT, Undone)):
        counted = [
            ((*one.subject.labels, word), one.counts.get((metric.name, word), 0))
            for one in shown
            for word in words
        ]
        yield _family(metric, [*counted, *_of_their_origins(metric, seen)])


def _of_their_origins(
    metric: Metric, seen: Iterable[tuple[ObjectMetrics, ObjectFigures]]
) -> list[tuple[tuple[str, ...], float | None]]:
    """What others have undone there; all objects that share an origin show the same count."""
    if metric is not declared.DRIFT:
        return []
    return [((*one.subject.labels, "origin"), figures.undone) for one, figures in seen]


def _of_origins(shown: tuple[ObjectMetrics, ...]) -> Iterator[Family]:
    origins = [
        ((*one.subject.labels, origin.name), origin)
        for one in shown
        if one.figures is not None
        for origin in one.figures.origins
    ]
    by_mode = [
        ((*labels, mode), count)
        for labels, origin in origins
        for mode, count in origin.replicas.items()
    ]
    yield _family(declared.REPLICAS, by_mode)
    yield _family(declared.REVISION_LAG, [(labels, origin.lag) for labels, origin in origins])


def _of_tokens(tokens: tuple[TokenFigures, ...]) -> Iterator[Family]:
    values: dict[Metric, Callable[[TokenFigures], float]] = {
        declared.BUDGET: lambda one: one.calls,
        declared.BUDGET_USED: lambda one: one.used,
        declared.BUDGET_LEFT: lambda one: one.left,
        declared.PAUSE: lambda one: one.paused_s,
    }
    for metric, value in values.items():
        yield _family(metric, [((one.token,), value(one)) for one in tokens])
