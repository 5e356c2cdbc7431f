"""Why new pods do not run the current text, and whether that text may be at fault.

A server that does not take its configuration ends, and the kubelet starts it again and again. Its
last words are known where its container says `terminationMessagePolicy: FallbackToLogsOnError`.
Where they name nothing of ours, or a pod never comes so far, the fault is somebody else's; so it is
where every claim in the text was seen in force before. All else is taken for a rejection: taking
back what is new in it lets the pods start. Only a container that mounts the ConfigMap can be kept
from starting by it: another one of the pod that fails is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from aop.origins.sites import Json, Rejection
from aop.origins.workload.dialect import Dialect
from aop.origins.workload.pods import readers_in, statuses_in
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
_NAMED = re.compile(f"{_AGAIN} (\\S+) in pod")
_CONTAINER = re.compile(r"^spec[.]\w+\{(.+)\}$")
"""How it names the container: in its message, and in the field of the pod that it is about."""
_CRASHING = "CrashLoopBackOff"
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
    readers = readers_in(pod, config_map) | ({dialect.container} if dialect.container else set())
    again = [one for one in about if _ends_again(one, readers)]
    last_words = _last_words(pod, readers, second)
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
    template: Template,
    pods: Collection[Json],
    dialect: Dialect,
    since: datetime,
    *,
    doubtful: bool,
) -> Rejection | None:
    """Why a workload's controller has given up replacing the pods, since then (UTC); or None.

    Also where some of them run the text: the others never will. A server that ends without blaming
    others comes first; then whoever is to blame, where one says so.
    """
    if template.stalled is None or template.stalled_at is None:
        return None
    second = since.replace(microsecond=0)
    if template.stalled_at < second:
        return None
    config_map = template.config_map
    last_words = (_last_words(pod, readers_in(pod, config_map), second) for pod in pods)
    ended = [words for words in last_words if words is not None]
    rejecting = [words for words in ended if not dialect.blames_others(words)]
    others = [*ended, *(why for pod in pods if (why := _kept_from_starting(pod, config_map)))]
    words = _line((*rejecting, *others, template.stalled)[0], dialect.complains)
    return Rejection(_line(f"{template}: {words}"), ours=doubtful and bool(rejecting or not others))


def _kept_from_starting(pod: Json, config_map: str) -> str | None:
    """What keeps a pod from ever running its containers, or from ever being Ready beside them."""
    status: Mapping[str, Any] = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("PodScheduled", "False"):
            return str(condition.get("message") or condition.get("reason"))
    statuses, readers = list(statuses_in(pod)), readers_in(pod, config_map)
    for one in statuses:
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in NOT_RUN:
            return f"{waiting['reason']}: {waiting.get('message', '')}"
        if one.get("name") not in readers and waiting.get("reason") == _CRASHING:
            return _ends_each_time(one)
    waits = [one for one in statuses if one.get("name") in readers and not one.get("ready")]
    if any(_waits_for_others(one) for one in waits):
        return next((_unready(one) for one in statuses if _is_at_work(one, readers)), None)
    if waits:
        return None
    return next((_unready(one) for one in statuses if _is_unready(one, readers)), None)


def _waits_for_others(status: Mapping[str, Any]) -> bool:
    """It runs only after the init containers before it have ended."""
    waiting = (status.get("state") or {}).get("waiting") or {}
    return waiting.get("reason") == "PodInitializing"


def _is_at_work(status: Mapping[str, Any], readers: Collection[str]) -> bool:
    """An init container before the server that has not ended, and reads nothing of ours."""
    return status.get("name") not in readers and "running" in (status.get("state") or {})


def _is_unready(status: Mapping[str, Any], readers: Collection[str]) -> bool:
    """A container beside the server that runs and is not Ready."""
    return _is_at_work(status, readers) and not status.get("ready")


def _unready(status: Mapping[str, Any]) -> str:
    return f"its container {status.get('name')} is not ready"


def _ends_each_time(status: Mapping[str, Any]) -> str:
    ended = (status.get("lastState") or {}).get("terminated") or {}
    return f"its container {status.get('name')} ends with {ended.get('exitCode')} each time"


def _ends_again(event: Json, readers: Collection[str]) -> bool:
    """The kubelet starts one of these containers again and again, as it says."""
    if event.get("reason") != "BackOff" or _AGAIN not in _message(event):
        return False
    about: Mapping[str, Any] = event.get("involvedObject") or {}
    named = _CONTAINER.search(str(about.get("fieldPath"))) or _NAMED.search(_message(event))
    return named is None or named[1] in readers


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


def _last_words(pod: Json, readers: Collection[str], since: datetime) -> str | None:
    """What the server said when it last ended, since then, while it is not started again."""
    for status in (one for one in statuses_in(pod) if one.get("name") in readers):
        waiting = (status.get("state") or {}).get("waiting") or {}
        ended = (status.get("lastState") or {}).get("terminated") or {}
        at = ended.get("finishedAt")
        if waiting.get("reason") == _CRASHING and at:
            if datetime.fromisoformat(at) < since:
                continue
            return str(ended.get("message") or _ends_each_time(status))
    return None


def _line(words: str, complains: str = "") -> str:
    """As one line that is fit to be shown: the first that complains, else the last."""
    lines = [line for line in words.splitlines() if line.strip()] or [words]
    telling = [line for line in lines if complains and complains in line] or lines[-1:]
    line = "".join(one if one.isprintable() else " " for one in telling[0])
    line = " ".join(line.split())
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
