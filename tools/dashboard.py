"""The chart's Grafana dashboard: one row for each question that a person asks, and its panels as data.

`tools/generate.py` writes the JSON that Grafana reads; `tools/draw_dashboard.py` draws the same panels from what a real run has told a real
Prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

TITLE, UID = "Authenticated Origin Pulls", "aop-operator"
OF_THE_PROCESS = 'job=~"$job"'
OF_OBJECTS = f'{OF_THE_PROCESS}, namespace=~"$namespace", name=~"$name"'
VARIABLES = ("job", "namespace", "name")
WHO = "{{namespace}}/{{name}}"
WIDTH, HEIGHT = 24, 7
"""Columns of Grafana's grid, and rows of one panel."""
Colour = Literal["green", "yellow", "orange", "red", "blue", "purple", "text"]
MODES: Mapping[float, tuple[str, Colour]] = MappingProxyType(
    {
        0: ("Off", "red"),
        1: ("Request", "orange"),
        2: ("Optional", "yellow"),
        3: ("Require", "green"),
    }
)
YES_NO: Mapping[float, tuple[str, Colour]] = MappingProxyType(
    {0: ("not Ready", "orange"), 1: ("Ready", "green")}
)
LEADS: Mapping[float, tuple[str, Colour]] = MappingProxyType(
    {0: ("stands by", "text"), 1: ("leads", "green")}
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and what its series are called."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    description: str
    queries: Sequence[Query]
    kind: Literal["timeseries", "bars", "stat", "state-timeline", "table"] = "timeseries"
    width: int = 8
    unit: str = "short"
    words: Mapping[float, tuple[str, Colour]] = field(default_factory=dict)
    """What a value is called, and its colour."""
    limits: Sequence[tuple[float, Colour]] = ()
    """From which value on another colour holds."""
    from_zero: bool = True
    """Zero is on the axis, whatever the values."""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A question and its panels, which fill the width."""

    question: str
    panels: Sequence[Panel]


def of_objects(metric: str, more: str = "") -> str:
    """The series of a metric for the chosen objects."""
    return f"{metric}{{{OF_OBJECTS}{f', {more}' if more else ''}}}"


def of_process(metric: str, more: str = "") -> str:
    """The series of a metric for the chosen releases."""
    return f"{metric}{{{OF_THE_PROCESS}{f', {more}' if more else ''}}}"


def each(metric: str, aggregate: str = "max") -> str:
    """One series for each object, whichever pod tells of it."""
    return f"{aggregate} by (namespace, name) ({of_objects(metric)})"


def grown(metric: str, by: str, aggregate: str = "sum") -> str:
    """By how much a counter of objects has grown from one point of the picture to the next."""
    return f"{aggregate} by ({by}) (increase({of_objects(metric)}[$__rate_interval]))"


ROWS = (
    Row(
        "Is every zone as its object asks?",
        (
            Panel(
                "Ready",
                "Objects whose condition Ready is True.",
                (Query(f"sum({of_objects('aop_object_ready')})"),),
                "stat",
                width=3,
                limits=((0, "green"),),
            ),
            Panel(
                "Not Ready",
                "Objects whose zones are not as they ask: onboarding, waiting, or in trouble.",
                (Query(f"count({of_objects('aop_object_ready')} == 0) or vector(0)"),),
                "stat",
                width=3,
                limits=((0, "green"), (1, "orange")),
            ),
            Panel(
                "Wait for a person",
                "Objects with which the operator gets no further until somebody acts.",
                (Query(f"sum({of_objects('aop_object_stalled')})"),),
                "stat",
                width=3,
                limits=((0, "green"), (1, "red")),
            ),
            Panel(
                "Ready, by object",
                "Whether the condition Ready is True.",
                (Query(each("aop_object_ready"), WHO),),
                "state-timeline",
                width=8,
                words=YES_NO,
            ),
            Panel(
                "Why not",
                "The reason of every object that is not Ready: `kubectl aop explain REASON` says what to do.",
                (Query(of_objects("aop_object_reason", 'reason!="Ready"'), WHO + ": {{reason}}"),),
                "table",
                width=7,
            ),
        ),
    ),
    Row(
        "Is a stranger refused?",
        (
            Panel(
                "How far the origins go",
                "The least strict mode of any replica, as their own answers show.",
                (Query(each("aop_object_enforcement", "min"), WHO),),
                "state-timeline",
                words=MODES,
            ),
            Panel(
                "Hosts",
                "In scope, required, and without a proof at present.",
                (
                    Query(f"sum({of_objects('aop_object_hosts')})", "in scope"),
                    Query(f"sum({of_objects('aop_object_hosts_required')})", "required"),
                    Query(f"sum({of_objects('aop_object_hosts_unproven')})", "not proven"),
                ),
            ),
            Panel(
                "Origins that were opened, by cause",
                "`loss` and `refusal` are trouble; `spec` is what somebody asked for.",
                (Query(grown("aop_object_relaxations_total", "cause"), "{{cause}}"),),
                "bars",
            ),
        ),
    ),
    Row(
        "Is what is required proven?",
        (
            Panel(
                "Age of the proof",
                "How long ago the operator last saw requests to all required hosts come with the certificate.",
                (Query(f"time() - {each('aop_object_proof_timestamp_seconds')}", WHO),),
                width=12,
                unit="s",
                limits=((0, "green"), (600, "red")),
            ),
            Panel(
                "Hold-offs",
                "Hosts that were relaxed and are not required again yet.",
                (Query(each("aop_object_hold_offs"), WHO),),
                width=12,
            ),
        ),
    ),
    Row(
        "When do certificates end?",
        (
            Panel(
                "Until the certificate expires",
                "Of the certificate that the zone presents.",
                (
                    Query(
                        f"{each('aop_certificate_expiration_timestamp_seconds', 'min')} - time()",
                        WHO,
                    ),
                ),
                width=12,
                unit="s",
                limits=((0, "red"), (14 * 86400, "orange"), (30 * 86400, "green")),
            ),
            Panel(
                "Until its successor is due",
                "Below zero: the renewal is late.",
                (
                    Query(
                        f"{each('aop_certificate_renewal_timestamp_seconds', 'min')} - time()", WHO
                    ),
                ),
                width=12,
                unit="s",
                limits=((-1e9, "red"), (0, "green")),
            ),
        ),
    ),
    Row(
        "Do the replicas of the origins follow?",
        (
            Panel(
                "Replicas by what they do",
                "By the strictest mode that they show at any host; `Unknown`: they do not answer.",
                (
                    Query(
                        f"sum by (mode) (max by (namespace, name, origin, mode) ({of_objects('aop_origin_replicas')}))",
                        "{{mode}}",
                    ),
                ),
                width=12,
                stacked=True,
            ),
            Panel(
                "Revisions behind",
                "Of the replica that is furthest behind; more than a moment is too long.",
                (
                    Query(
                        f"max by (namespace, name, origin) ({of_objects('aop_origin_revision_lag')})",
                        WHO + " {{origin}}",
                    ),
                ),
                width=12,
            ),
        ),
    ),
    Row(
        "Does somebody work against the operator?",
        (
            Panel(
                "Made good again, by what was undone",
                "Of the object with the most: all objects that share an origin show the same count. Again and again: two tools fight over one thing.",
                (Query(grown("aop_object_drift_total", "what", "max"), "{{what}}"),),
                "bars",
                width=12,
            ),
            Panel(
                "Left over",
                "Claims whose object is gone, and removals that left something at Cloudflare.",
                (
                    Query(f"max({of_process('aop_orphaned_claims')})", "orphaned claims"),
                    Query(
                        f"sum({of_objects('aop_left_behind_total')}) or vector(0)",
                        "left at Cloudflare",
                    ),
                ),
                width=12,
            ),
        ),
    ),
    Row(
        "What does Cloudflare say?",
        (
            Panel(
                "Calls, by what was answered",
                "HTTP status, or why there was no answer.",
                (
                    Query(
                        f"sum by (status) (rate({of_process('aop_cloudflare_requests_total')}[$__rate_interval]))",
                        "{{status}}",
                    ),
                ),
                width=6,
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Calls, by endpoint",
                "The paths are templates.",
                (
                    Query(
                        "sum by (endpoint) (label_replace(label_join("
                        f"rate({of_process('aop_cloudflare_requests_total')}[$__rate_interval])"
                        ', "endpoint", " ", "method", "path"), "endpoint", "$1 $2", "endpoint", "(.*) /zones/[{]zone_id[}]/?(.*)"))',
                        "{{endpoint}}",
                    ),
                ),
                width=12,
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Budget of the token",
                "Calls within five minutes: made, and still to be made. Other tools of the same user count as well.",
                (
                    Query(
                        f"max by (token) ({of_process('aop_cloudflare_budget_used_calls')})",
                        "used, {{token}}",
                    ),
                    Query(
                        f"min by (token) ({of_process('aop_cloudflare_budget_left_calls')})",
                        "left, {{token}}",
                    ),
                ),
                width=6,
            ),
        ),
    ),
    Row(
        "Does the operator work?",
        (
            Panel(
                "Who leads",
                "One of them acts; the others stand by.",
                (Query(of_process("aop_leader"), "{{pod}}"),),
                "state-timeline",
                width=6,
                words=LEADS,
            ),
            Panel(
                "How long a visit takes",
                "A visit looks at one object's world, and does what follows.",
                tuple(
                    Query(
                        f"histogram_quantile({share}, sum by (le) (rate({of_process('aop_visit_duration_seconds_bucket')}[$__rate_interval])))",
                        name,
                    )
                    for share, name in ((0.5, "half of them"), (0.95, "95 %"))
                ),
                width=6,
                unit="s",
            ),
            Panel(
                "Waiting to be looked at",
                "Objects, and for how long the one that waits longest.",
                (
                    Query(f"sum({of_process('aop_visits_waiting')})", "objects"),
                    Query(f"max({of_process('aop_visits_longest_wait_seconds')})", "longest, in s"),
                ),
                width=6,
            ),
            Panel(
                "Visits, by how they ended",
                "`bug` has to stay away.",
                (
                    Query(
                        f"sum by (result) (rate({of_process('aop_visits_total')}[$__rate_interval]))",
                        "{{result}}",
                    ),
                ),
                width=6,
                unit="ops",
                stacked=True,
            ),
        ),
    ),
)


def text() -> str:
    """The dashboard as Grafana reads it."""
    return json.dumps(model(), indent=2, ensure_ascii=False) + "\n"


def model() -> dict[str, Any]:
    """Its JSON model (Grafana: "Dashboard JSON model")."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row in ROWS:
        at = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.question,
                "gridPos": at,
                "collapsed": False,
                "panels": [],
            }
        )
        left = 0
        for panel in row.panels:
            at = {"h": HEIGHT, "w": panel.width, "x": left, "y": top + 1}
            panels.append({"id": len(panels) + 1, "gridPos": at, **of_panel(panel)})
            left += panel.width
        top += 1 + HEIGHT
    return {
        "uid": UID,
        "title": TITLE,
        "description": "Cloudflare zone-level Authenticated Origin Pulls, kept by aop-operator: one row for each question.",
        "tags": ["aop-operator", "cloudflare"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def variables() -> list[dict[str, Any]]:
    """What a person chooses at the top."""
    asked = {
        "job": "label_values(aop_leader, job)",
        "namespace": 'label_values(aop_object_ready{job=~"$job"}, namespace)',
        "name": 'label_values(aop_object_ready{job=~"$job", namespace=~"$namespace"}, name)',
    }
    source = {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    return [
        source,
        *(
            {
                "name": name,
                "type": "query",
                "datasource": DATASOURCE,
                "query": {"query": asked[name], "refId": name},
                "refresh": 2,
                "includeAll": True,
                "allValue": ".*",
                "multi": True,
                "current": {"text": ["All"], "value": ["$__all"]},
            }
            for name in VARIABLES
        ),
    ]


DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def of_panel(panel: Panel) -> dict[str, Any]:
    """What Grafana wants to know of a panel, but where it is."""
    return {
        "type": "timeseries" if panel.kind == "bars" else panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                **({"instant": True} if panel.kind in {"stat", "table"} else {"range": True}),
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for n, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
        "options": options(panel),
        **({"transformations": TABLE} if panel.kind == "table" else {}),
    }


TABLE = [
    {
        "id": "filterFieldsByName",
        "options": {"include": {"names": ["namespace", "name", "reason"]}},
    },
]


def defaults(panel: Panel) -> dict[str, Any]:
    """How values are shown."""
    shown: dict[str, Any] = {"unit": panel.unit}
    if panel.kind in {"timeseries", "bars"}:
        shown["custom"] = {
            "drawStyle": "bars" if panel.kind == "bars" else "line",
            "fillOpacity": opacity(panel),
            # What is nothing would lie as a line on the others.
            "lineWidth": 0 if panel.stacked or panel.kind == "bars" else 2,
            **({"axisSoftMin": 0} if panel.from_zero else {}),
            "showPoints": "never",
            "stacking": {
                "mode": "normal" if panel.stacked or panel.kind == "bars" else "none",
                "group": "A",
            },
        }
    if panel.words:
        shown["mappings"] = [
            {
                "type": "value",
                "options": {
                    f"{value:g}": {"text": word, "color": colour, "index": n}
                    for n, (value, (word, colour)) in enumerate(panel.words.items())
                },
            }
        ]
    if panel.limits:
        (_, first), *rest = panel.limits
        steps: list[dict[str, Any]] = [{"color": first, "value": None}]
        steps += [{"color": colour, "value": value} for value, colour in rest]
        shown["thresholds"] = {"mode": "absolute", "steps": steps}
        shown["color"] = {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"}
    return shown


def opacity(panel: Panel) -> int:
    """Of the area below a line, in percent."""
    if panel.kind == "bars":
        return 80
    return 70 if panel.stacked else 5


def options(panel: Panel) -> dict[str, Any]:
    """What a kind of panel has of its own."""
    match panel.kind:
        case "stat":
            calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
            return {
                "reduceOptions": calculated,
                "colorMode": "background",
                "graphMode": "none",
                "textMode": "value",
            }
        case "state-timeline":
            return {"showValue": "auto", "mergeValues": True, "rowHeight": 0.8}
        case "table":
            return {"showHeader": True, "cellHeight": "sm"}
        case _:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
