"""Why new pods do not run the current text, and whether that text may be at fault.

A server that does not take its configuration ends, and the kubelet starts it again and again. Its
last words are known where its container says `terminationMessagePolicy: FallbackToLogsOnError`.
Where they name nothing of ours, or a pod never comes so far, the fault is somebody else's; so it is
where every claim in the text was seen in force before. All else is taken for a rejection: taking
back what is new in it lets the pods start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from aop.origins.sites import Json, Rejection
from aop.origins.workload.dialect import Dialect
from aop.origins.workload.pods import servers_in
from aop.origins.workload.templates import Template

NOT_STARTED = frozenset(
    {"Failed", "FailedMount", "FailedAttachVolume", "FailedScheduling", "FailedCreatePodSandBox"}
)
"""Reasons of Warnings about a pod whose containers never ran."""
NOT_RUN = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"}
)
"""Why a container waits that never ran."""
_AGAIN = "Back-off restarting failed container"
"""How the kubelet's Event of a container that ends again and again begins
(facts: kubernetes#crash-loops)."""
_MOST = 300


def failure_of(
    pod: Json,
    events: Iterable[Json],
    config_map: str,
    dialect: Dialect,
    since: datetime,
    *,
    doubtful: bool,
) -> Rejection | None:
    """Why this pod does not start, in its own words since then (UTC); or None.

    `doubtful`: something in the text was never seen in force.
    """
    second = since.replace(microsecond=0)  # what Kubernetes writes carries whole seconds
    about = [one for one in events if _is_about(one, pod, second)]
    again = [one for one in about if one.get("reason") == "BackOff" and _AGAIN in _message(one)]
    last_words = _last_words(pod, config_map, second)
    if last_words or again:
        words = last_words or _message(again[-1])
        return Rejection(
            _line(words, dialect.complains), ours=doubtful and not dialect.blames_others(words)
        )
    for one in about:
        if one.get("type") == "Warning" and one.get("reason") in NOT_STARTED:
            return Rejection(_line(_message(one), dialect.complains), ours=False)
    return None


def unfinished(
    template: Template, pods: Iterable[Json], since: datetime, *, doubtful: bool
) -> Rejection | None:
    """Why a workload's controller has given up replacing the pods, since then (UTC); or None.

    Also where some of them run the text: the others never will. Nobody is to blame but whoever
    keeps a pod from starting, where one says so.
    """
    if template.stalled is None or template.stalled_at is None:
        return None
    if template.stalled_at < since.replace(microsecond=0):
        return None
    others = [why for pod in pods if (why := _kept_from_starting(pod))]
    return Rejection(
        _line(f"{template}: {(*others, template.stalled)[0]}"), ours=doubtful and not others
    )


def _kept_from_starting(pod: Json) -> str | None:
    """What keeps a pod from ever running its containers."""
    status: Mapping[str, Any] = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("PodScheduled", "False"):
            return str(condition.get("message") or condition.get("reason"))
    for one in status.get("containerStatuses") or ():
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in NOT_RUN:
            return f"{waiting['reason']}: {waiting.get('message', '')}"
    return None


def _is_about(event: Json, pod: Json, since: datetime) -> bool:
    about: Mapping[str, Any] = event.get("involvedObject") or {}
    seen = _last_seen(event)
    return about.get("uid") == pod["metadata"].get("uid") and seen is not None and seen >= since


def _last_seen(event: Json) -> datetime | None:
    series: Mapping[str, Any] = event.get("series") or {}
    moments = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    return next((datetime.fromisoformat(one) for one in moments if one), None)


def _message(event: Json) -> str:
    return str(event.get("message") or "")


def _last_words(pod: Json, config_map: str, since: datetime) -> str | None:
    """What the server said when it last ended, since then, while it is not started again."""
    for status in _servers(pod, config_map):
        waiting = (status.get("state") or {}).get("waiting") or {}
        ended = (status.get("lastState") or {}).get("terminated") or {}
        at = ended.get("finishedAt")
        if waiting.get("reason") == "CrashLoopBackOff" and at:
            if datetime.fromisoformat(at) < since:
                continue
            code = f"its container {status.get('name')} ends with {ended.get('exitCode')} each time"
            return str(ended.get("message") or code)
    return None


def _servers(pod: Json, config_map: str) -> Iterator[Mapping[str, Any]]:
    names = servers_in(pod, config_map)
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") in names:
            yield status


def _line(words: str, complains: str = "") -> str:
    """As one line that is fit to be shown: the first that complains, else the last."""
    lines = [line for line in words.splitlines() if line.strip()] or [words]
    telling = [line for line in lines if complains and complains in line] or lines[-1:]
    line = "".join(one if one.isprintable() else " " for one in telling[0])
    line = " ".join(line.split())
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
