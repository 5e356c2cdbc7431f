"""What a controller says about a text that it does not accept, and whether the fault is ours.

`nginx -t` judges the whole configuration, of which ours is a part: a typing error in another key or
in anybody's Ingress fails it as well. Only words that name a line of ours, or a size that only ours
exceeds, are a rejection of ours. Everything else is somebody else's fault, even if the words could
mean either: whoever may create an Ingress must not be able to talk us out of a zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aop.origins.ingress_nginx.snippets import Snippet
from aop.origins.ingress_nginx.stored import ControllerConfigMap
from aop.origins.ingress_nginx.syntax import read
from aop.origins.ingress_nginx.text import HTTP, VARIABLES
from aop.origins.nginx import ASKING, too_long
from aop.origins.sites import Rejection, Replica

_MOST = 300
_PREFIX = re.compile(r"^\s*\d+#\d+: ")
_WHERE = re.compile(r" in /\S+:\d+$")
_BUCKET = re.compile(
    r"could not build (?:the )?map_hash, .*map_hash_bucket_size: (?P<size>[0-9]{1,9})"
)
_QUOTED = re.compile(r'"([^"]*)"')


def rejected_by(
    events: Iterable[Mapping[str, Any]],
    replica: Replica,
    *,
    since: datetime,
    stored: ControllerConfigMap,
) -> Rejection | None:
    """What nginx's newest `[emerg]` says about this pod since `since` (UTC), if anything.

    It is read from Warning RELOAD Events that were last seen at or after `since`. `stored` is the
    ConfigMap that the pod reads. None proves nothing: Events are merged and dropped. A failed
    reload without `[emerg]`, such as "worker reload already in progress", is no text's fault
    (facts: ingress-nginx#lost-events, ingress-nginx#serial-reloads). Events have whole seconds, so
    `since` is cut to its second.
    """
    newest: tuple[datetime, str] | None = None
    for event in events:
        about, message = event.get("involvedObject") or {}, event.get("message") or ""
        if (event.get("type"), event.get("reason"), about.get("uid")) != (
            "Warning",
            "RELOAD",
            replica.uid,
        ) or "[emerg]" not in message:
            continue
        seen = _last_seen(event)
        if (
            seen is not None
            and seen >= since.replace(microsecond=0)
            and (newest is None or seen >= newest[0])
        ):
            newest = (seen, message)
    if newest is None:
        return None
    line = _line(newest[1].partition("[emerg]")[2])
    return Rejection(line, _names_ours(line, stored))


def _line(message: str) -> str:
    """The first line, fit to be shown.

    It quotes Ingresses, and their authors must not be able to write on anybody's terminal.
    """
    line = "".join(
        character if character.isprintable() else " "
        for character in _PREFIX.sub("", message).lstrip("\r\n").partition("\n")[0]
    )
    line = _WHERE.sub("", " ".join(line.split()))
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def _names_ours(words: str, stored: ControllerConfigMap) -> bool:
    http = stored.snippets.get(HTTP, Snippet(None))
    text = http.text or ""
    if bucket := _BUCKET.search(words):
        return bool(too_long(_names_in(text), int(bucket["size"])))
    if words.startswith('"ssl_verify_client" directive is duplicate'):
        # Our line is there once, unless the block itself is there twice. Any other second one is
        # somebody else's.
        return text.count(ASKING) - http.foreign.count(ASKING) > 1
    named = _QUOTED.findall(words)
    return any(
        quoted in VARIABLES or (quoted.startswith("shared:AOP_") and quoted in text)
        for quoted in named
    )


def _names_in(text: str) -> set[str]:
    """The hosts and wildcards in our maps."""
    ours = [
        one
        for one in read(text).statements
        if one.words[:2] == ["map", "$host"] and one.words[-1].removeprefix("$") in VARIABLES
    ]
    return {entry.words[0] for one in ours for entry in one.body or () if entry.words}


def _last_seen(event: Mapping[str, Any]) -> datetime | None:
    series = event.get("series") or {}
    moments = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    return next((datetime.fromisoformat(moment) for moment in moments if moment), None)
