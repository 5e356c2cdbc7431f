"""The guard before an uninstall.

When the operator goes, it must not serve anything any more, because only it can put back what it
changed. This is `aop-operator uninstall-guard`, which the chart's pre-delete hook runs as a Job
under the operator's own ServiceAccount. It reads and never writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aop.cluster import Cluster, ClusterError, Kind
from aop.settings import Settings

NO_HOOKS = "`helm uninstall --no-hooks` skips this check"


async def obstacles(cluster: Cluster, settings: Settings) -> str | None:
    """Why the operator must not be uninstalled yet, as a text for a person; None if it may be.

    What it cannot look at counts as an obstacle. A cluster without the resource has nothing to
    serve.
    """
    try:
        namespaces = settings.watch_namespaces or (None,)
        manifests = [
            pull
            for each in namespaces
            for pull in await cluster.list(Kind.AUTHENTICATED_ORIGIN_PULL, each)
        ]
    except ClusterError as error:
        if error.status == 404:
            return None
        return f"Not uninstalled: the operator could not find out whether AuthenticatedOriginPulls exist ({error.message}). Correct that and try again; {NO_HOOKS}."
    return _refusal(manifests) if manifests else None


def _refusal(manifests: Iterable[Mapping[str, Any]]) -> str:
    pulls = sorted(
        (pull["metadata"]["namespace"], pull["metadata"]["name"], pull) for pull in manifests
    )
    what = f"{len(pulls)} AuthenticatedOriginPull{'s exist' if len(pulls) > 1 else ' exists'}"
    lines = [
        f"Not uninstalled: {what}, and only the running operator can undo what it changed at the origins and at Cloudflare:"
    ]
    lines += [f"  {namespace}/{name} ({_state(pull)})" for namespace, name, pull in pulls]
    lines += ["Delete them and wait until they are gone, then uninstall again:"]
    lines += [f"  kubectl -n {namespace} delete aop {name}" for namespace, name, _ in pulls]
    lines += [
        f"{NO_HOOKS}: the origins then go on requiring the certificate, nobody renews it, and the objects wait for an operator to come back."
    ]
    return "\n".join(lines)


def _state(pull: Mapping[str, Any]) -> str:
    zone = ((pull.get("spec") or {}).get("zone") or {}).get("name", "no zone")
    if pull["metadata"].get("deletionTimestamp"):
        return f"zone {zone}, is being removed"
    return f"zone {zone}, enforcement {(pull.get('status') or {}).get('enforcement') or 'unknown'}"
