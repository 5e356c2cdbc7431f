"""docs/images/dashboard.svg: the dashboard of a real run, as Grafana would show it.

    PYTHONPATH=tests .venv/bin/python tools/draw_dashboard.py

Two zones live for some minutes on the sandbox's real parts, are read by a real Prometheus, and meet
what the dashboard is there for: an onboarding, a rotation, an edge that stops presenting the
certificate, a ConfigMap that somebody resets, a token that is revoked. Then the dashboard's own
queries are asked.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import chart
import dashboard
import picture
from picture import Series

from sandbox.composition import Layout
from sandbox.prometheus import programs
from sandbox.prometheus.server import Prometheus
from sandbox.scene import Scene, name_of

OUT = chart.ROOT / "docs" / "images" / "dashboard.svg"
ZONES = ("example.com", "example.net")
STEP_S, RATE = 2.0, "20s"
CAPTION = (
    "Two zones in the sandbox: onboarded, one of them rotated; the edge stops presenting the certificate of one; "
    "a ConfigMap is reset; the token is revoked for a moment."
)


def main(kept: Path | None) -> None:
    """Run it and draw; with a file that is there, draw what it has kept, else keep it there."""
    if kept and kept.exists():
        recorded = json.loads(kept.read_text())
    else:
        recorded = record()
        if kept:
            kept.write_text(json.dumps(recorded))
    answers = {
        title: [Series(name, [(at, value) for at, value in points]) for name, points in series]
        for title, series in recorded["answers"].items()
    }
    drawn = picture.picture(answers, recorded["since"], recorded["until"], CAPTION)
    OUT.write_text(drawn)
    print(f"{OUT.relative_to(chart.ROOT)} written")


def record() -> dict[str, Any]:
    """Live for some minutes, and ask what the panels ask."""
    program = programs.find().prometheus
    hosts = [host for zone in ZONES for host in (zone, f"www.{zone}")]
    with Scene(Layout(hosts=hosts, zones=ZONES), AOP_RESYNC_S="10") as scene:
        target = {"aop-operator-1": f"127.0.0.1:{scene.operator.metrics_port}"}
        with Prometheus(program, scene.sandbox.folder / "prometheus", target) as prometheus:
            since = time.time()
            live(scene)
            until = time.time()
            answers = {
                panel.title: ask(prometheus, panel, since, until)
                for row in dashboard.ROWS
                for panel in row.panels
            }
    return {"since": since, "until": until, "answers": answers}


def live(scene: Scene) -> None:
    """What the picture tells of."""
    first, second = map(name_of, ZONES)

    def step(what: str, act: Callable[[], object]) -> None:
        print(f"  {what}", file=sys.stderr)
        act()

    def both_enforced() -> None:
        for name in (first, second):
            scene.until_enforced(name, within_s=240)

    step("the first zone is onboarded", lambda: scene.apply(first, zone={"name": ZONES[0]}))
    scene.until_enforced(first)
    step("the second zone is onboarded", lambda: scene.apply(second, zone={"name": ZONES[1]}))
    both_enforced()
    step("the first is rotated", lambda: scene.rotate(first))
    rest(20)
    step("the edge presents nothing for the second", lambda: None)
    with scene.presenting_nothing(ZONES[1], f"www.{ZONES[1]}"):
        scene.until_relaxed(ZONES[1])
        rest(10)
    both_enforced()
    rest(10)
    step("somebody resets the ConfigMap", lambda: None)
    scene.write_config_map({"http-snippet": None, "server-snippet": None})
    rest(10)
    both_enforced()
    token = scene.cloudflare.token_id
    step("the token is revoked", lambda: scene.control.change_token(token, revoked=True))
    scene.until_condition("Ready", "False", "TokenRejected", name=first)
    rest(15)
    scene.control.change_token(token, revoked=False)
    both_enforced()
    rest(15)


def rest(seconds: float) -> None:
    """So that a person sees on the picture what has become of it."""
    time.sleep(seconds)


def ask(
    prometheus: Prometheus, panel: dashboard.Panel, since: float, until: float
) -> list[tuple[str, list[tuple[float, float]]]]:
    """Every series of a panel, under the name that Grafana would give it."""
    series = []
    for query in panel.queries:
        expr = re.sub(r"\$(job|namespace|name)\b", ".*", query.expr)
        expr = expr.replace("$__rate_interval", RATE)
        for one in prometheus.query_range(expr, since, until, STEP_S):
            values = [(float(at), float(value)) for at, value in one["values"]]
            finite = [(at, value) for at, value in values if abs(value) < float("inf")]
            if finite:
                series.append((named(query.legend, one["metric"]), finite))
    return series


def named(legend: str, labels: dict[str, str]) -> str:
    """As Grafana writes it."""
    if legend == "__auto":
        return ", ".join(f"{name}={value}" for name, value in labels.items()) or "value"
    return re.sub(r"\{\{(\w+)\}\}", lambda it: labels.get(it[1], ""), legend)


def arguments(words: Sequence[str]) -> Path | None:
    """A file in which the answers are kept from one drawing to the next."""
    return Path(words[0]) if words else None


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
