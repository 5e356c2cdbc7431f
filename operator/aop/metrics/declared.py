"""Every metric as data: its name, its labels, and the question that it answers.

The exposition and docs/metrics.md are made from it, and alerts and the dashboard may name nothing
else. Names follow Prometheus' conventions: base units, `_total` for what only grows, and
`_timestamp_seconds` for a moment, from which a query computes an age that grows even while nobody
looks. Labels are names that a person has chosen, words of this code, and templates: never ids,
hosts or secrets, of which there is no end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OBJECT = ("namespace", "name", "zone")
"""An AuthenticatedOriginPull and its zone."""
ORIGIN = (*OBJECT, "origin")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, by the name under which it is exposed."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    question: str
    """What a person who looks at it wants to know."""


READY = Metric(
    "aop_object_ready",
    "gauge",
    OBJECT,
    "1 while the condition Ready is True, else 0.",
    "Which zones are not as their objects ask?",
)
REASON = Metric(
    "aop_object_reason",
    "gauge",
    (*OBJECT, "reason"),
    "1 for the reason that the condition Ready has now; an object has one at a time.",
    "Why is an object not Ready, and who can end that?",
)
STALLED = Metric(
    "aop_object_stalled",
    "gauge",
    OBJECT,
    "1 while the condition Stalled is True: the operator gets no further until somebody acts.",
    "Where does the operator wait for a person?",
)
ALERTS_CONFIGURED = Metric(
    "aop_object_alerts_configured",
    "gauge",
    OBJECT,
    "1 while the condition AlertsConfigured is True, else 0. Absent if `spec.alerts` names nobody.",
    "Would Cloudflare warn whom an object names before its certificate expires?",
)
ENFORCEMENT = Metric(
    "aop_object_enforcement",
    "gauge",
    OBJECT,
    "How far all origins go, as their replicas' own answers show: 0 Off, 1 Request, 2 Optional, 3 Require. Absent while none answers.",
    "Is a stranger refused?",
)
ENFORCEMENT_WANTED = Metric(
    "aop_object_enforcement_wanted",
    "gauge",
    OBJECT,
    "How far `spec.enforcement` asks the origins to go, in the same numbers.",
    "Does the object ask for more than is in force?",
)
HOSTS = Metric(
    "aop_object_hosts", "gauge", OBJECT, "Hosts in scope.", "How many hosts does an object cover?"
)
HOSTS_REQUIRED = Metric(
    "aop_object_hosts_required",
    "gauge",
    OBJECT,
    "Hosts in scope at which the configuration of an origin requires the certificate.",
    "How many hosts are protected?",
)
HOSTS_UNPROVEN = Metric(
    "aop_object_hosts_unproven",
    "gauge",
    OBJECT,
    "Hosts in scope for which the operator has no proof that the edge presents the certificate now.",
    "How many hosts does the operator hold back?",
)
PROOF = Metric(
    "aop_object_proof_timestamp_seconds",
    "gauge",
    OBJECT,
    "The last moment, in seconds since 1970, at which all required hosts were proven (if none is required: all hosts in scope). Absent before the first.",
    "How old is the proof that the edge presents what the origins require?",
)
HOLD_OFFS = Metric(
    "aop_object_hold_offs",
    "gauge",
    OBJECT,
    "Hold-offs that are not over; each is for one host, or for all.",
    "Does the operator not yet require a host again because it has relaxed the host?",
)
RELAXATIONS = Metric(
    "aop_object_relaxations_total",
    "counter",
    (*OBJECT, "cause"),
    "Times that the operator made an origin less strict, by cause: `loss` (the edge does not present the certificate), `refusal` (an origin refuses the operator's "
    "certificate), `expiry` (the certificate ends and has no successor), `rejection` (an origin rejects the operator's configuration), `spec` (the object asks for less).",
    "Did the operator open an origin, and why?",
)
DRIFT = Metric(
    "aop_object_drift_total",
    "counter",
    (*OBJECT, "what"),
    "Times that somebody undid what the operator had done: `zone` (Authenticated Origin Pulls were off), `certificate` (it was gone from Cloudflare), "
    "`key_pair` (the Secret was gone), `origin` (the configuration of an origin was changed or gone; all objects that share the origin show the same count).",
    "Does somebody work against the operator?",
)
BEGINNING = Metric(
    "aop_certificate_not_before_timestamp_seconds",
    "gauge",
    OBJECT,
    "When the certificate that the zone presents becomes valid, in seconds since 1970. Absent while it presents none of the operator's.",
    "How long is that certificate valid in all?",
)
EXPIRATION = Metric(
    "aop_certificate_expiration_timestamp_seconds",
    "gauge",
    OBJECT,
    "When the certificate that the zone presents expires, in seconds since 1970. Absent while it presents none of the operator's.",
    "When would origins refuse visitors because the certificate has expired?",
)
RENEWAL = Metric(
    "aop_certificate_renewal_timestamp_seconds",
    "gauge",
    OBJECT,
    "When a successor of that certificate is due, in seconds since 1970. Absent if somebody else renews it.",
    "Is a renewal overdue?",
)
LEFT_BEHIND = Metric(
    "aop_left_behind_total",
    "counter",
    OBJECT,
    "Removals in which the operator gave up on Cloudflare and left something of its own there. The series outlives its object.",
    "Does somebody have to clean up at Cloudflare by hand?",
)
ORPHANED_CLAIMS = Metric(
    "aop_orphaned_claims",
    "gauge",
    (),
    "Claims on origins whose object is gone, as the operator's last search found them.",
    "Is an origin still configured for an object that no longer exists?",
)

REPLICAS = Metric(
    "aop_origin_replicas",
    "gauge",
    (*ORIGIN, "mode"),
    "Replicas of an origin, by the strictest mode that they show to any host in scope; `Unknown` if they do not answer. "
    "The operator does not count a replica that it has not asked at all, or not since its configuration changed.",
    "What does each replica do?",
)
REVISION_LAG = Metric(
    "aop_origin_revision_lag",
    "gauge",
    ORIGIN,
    "How many revisions the slowest replica is behind the configuration that the operator has written.",
    "Does a replica fail to act on what the operator has written?",
)

REQUESTS = Metric(
    "aop_cloudflare_requests_total",
    "counter",
    ("token", "method", "path", "status"),
    "Requests to Cloudflare's API, by endpoint and by HTTP status, or `timeout`, `unreachable`, `severed` or `oversized`.",
    "What does the operator ask Cloudflare, and what does Cloudflare answer?",
)
BUDGET = Metric(
    "aop_cloudflare_budget_calls",
    "gauge",
    ("token",),
    "Calls within Cloudflare's window (five minutes) that the operator stays under, for all tokens of the user or account together.",
    "How many calls does the operator allow itself?",
)
BUDGET_USED = Metric(
    "aop_cloudflare_budget_used_calls",
    "gauge",
    ("token",),
    "Calls that the operator has made within the window.",
    "How much of the budget has the operator used?",
)
BUDGET_LEFT = Metric(
    "aop_cloudflare_budget_left_calls",
    "gauge",
    ("token",),
    "Calls that the operator may still make now, by its own count and by what Cloudflare last said.",
    "How much of the budget is left?",
)
PAUSE = Metric(
    "aop_cloudflare_pause_seconds",
    "gauge",
    ("token",),
    "For how long the operator makes no more calls, because Cloudflare has refused one as one too many; 0 while it makes calls.",
    "Has Cloudflare shut the operator out?",
)
THROTTLED = Metric(
    "aop_cloudflare_throttled_seconds_total",
    "counter",
    ("token", "priority"),
    "Seconds that calls have waited for their turn in the budget, by priority: `protect`, `onboard` (a person waits), `resync`.",
    "How long do calls wait?",
)
POSTPONED = Metric(
    "aop_cloudflare_postponed_requests_total",
    "counter",
    ("token", "priority"),
    "Calls that the operator did not make when they were due, because the budget had no room for them within seconds, by priority. "
    "With very many zones it is normal that resyncs wait.",
    "Does the operator go without looking, for lack of calls?",
)

BUILD = Metric(
    "aop_build_info",
    "gauge",
    ("version",),
    "1; the label has the version.",
    "Which version runs?",
)
LEADER = Metric(
    "aop_leader",
    "gauge",
    (),
    "1 while this process leads, 0 while it stands by.",
    "Which replica acts?",
)
CLOCK = Metric(
    "aop_clock_timestamp_seconds",
    "gauge",
    (),
    "What the clock of the operator's machine says, in seconds since 1970.",
    "Is that clock wrong, compared with Prometheus' own?",
)
OBJECTS = Metric(
    "aop_objects",
    "gauge",
    (),
    "Objects that this process visits; absent while it stands by, like all metrics of objects.",
    "How many objects does the operator serve?",
)
VISITS = Metric(
    "aop_visits_total",
    "counter",
    ("result",),
    "Visits of objects, by how they ended: `done`, `wait`, `block`, `blocked`, `transient` or `bug`.",
    "Does the operator work, and does it meet bugs?",
)
VISIT_DURATION = Metric(
    "aop_visit_duration_seconds",
    "histogram",
    (),
    "How long a visit of an object takes, with its looks and its effects.",
    "Is the operator slow?",
)
VISITS_WAITING = Metric(
    "aop_visits_waiting",
    "gauge",
    (),
    "Objects that wait for the operator to look at them.",
    "Is the operator behind?",
)
LONGEST_WAIT = Metric(
    "aop_visits_longest_wait_seconds",
    "gauge",
    (),
    "How long the object that waits longest has waited for the operator to look at it.",
    "How far is the operator behind?",
)
STEPS = Metric(
    "aop_steps_total",
    "counter",
    ("step",),
    "Effects that the operator has begun, by kind of step.",
    "What does the operator do?",
)
READER_BUGS = Metric(
    "aop_reader_bugs_total",
    "counter",
    ("reader",),
    "Looks that ended in an exception that nobody expected, by what the operator looked at; the log has the tracebacks.",
    "Does the operator meet answers that it does not understand?",
)
WATCH_FAILURES = Metric(
    "aop_watch_failures_total",
    "counter",
    ("kind",),
    "Watches that have ended and that the operator has begun anew, by kind; the log says why.",
    "Is the API server unreachable, or does the operator lack a right?",
)
WATCH_ANSWERED = Metric(
    "aop_watch_answered_timestamp_seconds",
    "gauge",
    ("kind",),
    "When the API server last answered a list or a watch of this kind, in seconds since 1970; the operator begins a watch anew every ten minutes.",
    "Does the operator learn of changes?",
)

OF_WHO_ACTS = (
    *(
        READY,
        REASON,
        STALLED,
        ALERTS_CONFIGURED,
        ENFORCEMENT,
        ENFORCEMENT_WANTED,
        HOSTS,
        HOSTS_REQUIRED,
        HOSTS_UNPROVEN,
    ),
    *(PROOF, HOLD_OFFS, RELAXATIONS, DRIFT, BEGINNING, EXPIRATION, RENEWAL, ORPHANED_CLAIMS),
    *(REPLICAS, REVISION_LAG),
    *(BUDGET, BUDGET_USED, BUDGET_LEFT, PAUSE),
    *(OBJECTS, VISITS_WAITING, LONGEST_WAIT),
)
"""What only the process that acts knows."""
