"""The official asyncio client, reduced to a few verbs on plain JSON.

Wherever a second writer could have come in between, a write contains the resourceVersion that was
read. The API server then answers 409, which is raised as `Conflict` and simply means: look again.
Only the process that leads may write (`leading`), except for the Lease by which the processes find
out which one that is.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.rest import RESTResponse
from kubernetes.aio.config import load_incluster_config, load_kube_config

from aop import __version__
from aop.clock import Clock
from aop.cluster.changes import WATCH_S, WatchedChange, WatchEnded, changes, watching
from aop.cluster.kept import parsed
from aop.errors import Transient
from aop.leading import Lead, NotLeading, Permit
from aop.terms import ObjectKey
from aop.terms.kinds import Kind
from aop.terms.names import FIELD_MANAGER

Manifest = dict[str, Any]

SERVICE_HOST = "KUBERNETES_SERVICE_HOST"
"""Set in every pod."""
REQUEST_TIMEOUT_S = 30.0
"""The client's own default is five minutes."""
SENDING = 1 / 6
"""The share of a change's time within which it has to be on its way. The API server gets the rest,
which it counts from the arrival (facts: kubernetes#time-limit-of-a-request)."""
PAGE = 500
UNBOUNDED = 0
"""Connections at the same time. Each watch has one for itself; with the client's own default, the
hundredth would leave none for a request."""
RECORD = 16 * 1024
"""The longest record of TLS, in bytes."""


class ClusterError(Transient):
    """The API server refused, or could not be asked.

    The message contains verb, object and the API server's own words, never a body that we sent.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status


class Conflict(ClusterError):
    """Somebody else wrote (or created) the object since it was read: look again."""


_permit: ContextVar[Permit | None] = ContextVar("permit", default=None)
"""The permit of the request that is being sent: the client passes nothing to the code that sends
it."""


async def connect(kubeconfig: str | None, clock: Clock, identity: str = "") -> Cluster:
    """A client that reads, for the cluster that `kubeconfig` names.

    Without one, for the cluster in which this process runs, else for the user's own. The API
    server's audit log shows `identity`. Raises `kubernetes.aio`'s ConfigException if there is no
    cluster.
    """
    # What asyncio keeps for each connection to receive, whether anything comes or not, is 256 KiB.
    # Hundreds of watches would keep more than all the rest of the process.
    SSLProtocol.max_size = RECORD
    configuration = Configuration(trace_configs=[last_check()], connection_pool_maxsize=UNBOUNDED)
    if kubeconfig or SERVICE_HOST not in os.environ:
        await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    else:
        load_incluster_config(client_configuration=configuration)
    client = ApiClient(configuration)
    client.user_agent = f"aop-operator/{__version__}" + (f" ({identity})" if identity else "")
    return Cluster(client, Lead.none(clock))


def last_check() -> aiohttp.TraceConfig:
    """Asks a change's permit once more, when the connection is up and before each byte."""

    async def check(*_: object) -> None:
        if (permit := _permit.get()) is not None:
            permit.check(SENDING)

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(check)
    config.on_request_chunk_sent.append(check)
    return config


class Cluster:
    """Reads and writes of plain JSON objects.

    Kubernetes notes `manager` for each field that is written.
    """

    def __init__(self, client: ApiClient, lead: Lead, manager: str = FIELD_MANAGER) -> None:
        self._client = client
        self._lead = lead
        self._manager = manager

    def under(self, lead: Lead) -> Cluster:
        """The same client for whoever leads."""
        return Cluster(self._client, lead, self._manager)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask_version(self) -> None:
        """Check that the API server answers at all. Raises `ClusterError`."""
        await self._call("GET", "/version", what="ask the API server for its version")

    async def fetch(self, kind: Kind, key: ObjectKey) -> Manifest | None:
        """One object, or None when it does not exist. Raises `ClusterError`."""
        try:
            return await self._call("GET", kind.object(key), what=f"read {kind.plural} {key}")
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Manifest]:
        """All objects of a kind, in one namespace or in all; pages are followed.

        Raises `ClusterError`.
        """
        every = self.each(kind, namespace, labels=labels, fields=fields)
        return [manifest async for manifest in every]

    async def each(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        version: Callable[[str], object] | None = None,
    ) -> AsyncIterator[Manifest]:
        """The objects of a kind one after the other, so that of thousands only a page is held.

        `version` gets the list's resourceVersion, after which a `watch` goes on. Raises
        `ClusterError`, perhaps after some of them.
        """
        token = ""
        while True:
            query = {
                "limit": str(PAGE),
                "labelSelector": labels,
                "fieldSelector": fields,
                "continue": token,
            }
            page = await self._call(
                "GET",
                kind.collection(namespace),
                {k: v for k, v in query.items() if v},
                what=f"list {kind.plural}",
                parse=parsed,
            )
            metadata = page.get("metadata") or {}
            if version is not None:
                version(str(metadata.get("resourceVersion", "")))
            for manifest in page.get("items") or []:
                yield manifest
            token = metadata.get("continue") or ""
            if not token:
                return

    @asynccontextmanager
    async def watch(
        self, kind: Kind, namespace: str | None, since: str
    ) -> AsyncIterator[AsyncIterator[WatchedChange]]:
        """What changes after the resourceVersion `since`, until the API server ends the watch.

        It does so after minutes. Raises `ClusterError`, also for a watch that has fallen silent;
        status 410 means that the API server no longer knows what came after `since`.
        """
        what = f"watch {kind.plural}"
        with _spoken(what):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                response = await self._send(
                    "GET",
                    kind.collection(namespace),
                    watching(since),
                    limit_s=WATCH_S + REQUEST_TIMEOUT_S,
                )
            try:
                if response.status >= 300:
                    text = (await response.read()).decode(errors="replace")
                    raise _failure(what, response.status, text, response.headers.get("Retry-After"))
                yield changes(response.response.content)
            except WatchEnded as error:
                raise ClusterError(f"cannot {what}: {error}", status=error.status) from None
            except LineTooLong:
                raise ClusterError(
                    f"cannot {what}: a line is longer than the client reads"
                ) from None
            finally:
                response.response.close()

    async def find(self, kind: Kind, key: ObjectKey) -> Manifest | None:
        """One object by a list that names it, or None if the list is empty.

        It needs no further right for a kind that may be listed anyway. And an API server that is
        starting, which has no object of a kind that it does not know yet, refuses the list. Raises
        `ClusterError`.
        """
        listed = await self.list(kind, key.namespace, fields=f"metadata.name={key.name}")
        return listed[0] if listed else None

    async def create(self, kind: Kind, namespace: str, body: Manifest) -> Manifest:
        """POST; raises `Conflict` when an object of that name exists."""
        return await self._call(
            "POST",
            kind.collection(namespace),
            body=body,
            what=f"create {kind.plural} {namespace}/{body['metadata'].get('name', '')}",
        )

    async def replace(self, kind: Kind, key: ObjectKey, body: Manifest) -> Manifest:
        """PUT of the whole object with the resourceVersion it was read at.

        Raises `Conflict` when it has changed since.
        """
        if not body.get("metadata", {}).get("resourceVersion"):
            raise ValueError(f"refusing to replace {kind.plural} {key} without a resourceVersion")
        return await self._call(
            "PUT", kind.object(key), body=body, what=f"replace {kind.plural} {key}"
        )

    async def delete(self, kind: Kind, key: ObjectKey, manifest: Manifest) -> None:
        """DELETE of exactly the object that was read, as it was read.

        Raises `Conflict` if it has changed since. It is no error if it is gone already.
        """
        metadata = manifest.get("metadata") or {}
        preconditions = {name: metadata.get(name) for name in ("uid", "resourceVersion")}
        if not all(preconditions.values()):
            raise ValueError(f"refusing to delete {kind.plural} {key} without knowing which")
        try:
            await self._call(
                "DELETE",
                kind.object(key),
                body={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions},
                what=f"delete {kind.plural} {key}",
            )
        except ClusterError as error:
            if error.status != 404:
                raise

    async def merge(
        self, kind: Kind, key: ObjectKey, body: Manifest, subresource: str = ""
    ) -> Manifest:
        """JSON merge patch.

        With `metadata.resourceVersion` in the body it raises `Conflict` when the object has changed
        since.
        """
        return await self._call(
            "PATCH",
            kind.object(key, subresource),
            body=body,
            content_type="application/merge-patch+json",
            what=f"patch {kind.plural} {key}",
        )

    async def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: Manifest | None = None,
        content_type: str = "application/json",
        what: str,
        parse: Callable[[str], Any] = json.loads,
    ) -> Manifest:
        """The object in the answer. Raises `ClusterError`, which says `what` could not be done."""
        with _spoken(what), self._limited(method) as limit_s:
            parameters = dict(query or {})
            if method != "GET":
                # The API server gives it up in time as well, even if nobody hangs up because this
                # process stands still.
                parameters["timeout"] = f"{int(limit_s * (1 - SENDING) * 1000)}ms"
            if method not in {"GET", "DELETE"}:
                parameters["fieldManager"] = self._manager
            async with asyncio.timeout(limit_s):
                response = await self._send(
                    method, path, parameters, body, content_type, limit_s=limit_s
                )
                text = (await response.read()).decode(errors="replace")
        status, retry_after = response.status, response.headers.get("Retry-After")
        if status < 300:
            return _answer(what, text, parse)
        raise _failure(what, status, text, retry_after)

    async def _send(
        self,
        method: str,
        path: str,
        parameters: dict[str, str],
        body: Manifest | None = None,
        content_type: str = "application/json",
        *,
        limit_s: float,
    ) -> RESTResponse:
        """The answer, of which the body is still to be read, within `limit_s` seconds."""
        request = await self._client.param_serialize(
            method,
            path,
            query_params=list(parameters.items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        return await self._client.call_api(*request, _request_timeout=limit_s)

    @contextmanager
    def _limited(self, method: str) -> Iterator[float]:
        """The longest that a request may take, in seconds. Raises `NotLeading` for a change."""
        if method == "GET":
            yield REQUEST_TIMEOUT_S
            return
        with self._lead.change(REQUEST_TIMEOUT_S) as permit:
            token = _permit.set(permit)
            try:
                yield permit.limit_s
            finally:
                _permit.reset(token)


@contextmanager
def _spoken(what: str) -> Iterator[None]:
    """Whatever keeps the API server from answering is a `ClusterError` that says `what` failed."""
    try:
        yield
    except ApiException as error:
        raise ClusterError(
            f"cannot {what}: HTTP {error.status} {error.reason}", status=error.status
        ) from None
    except NotLeading as error:
        raise ClusterError(f"cannot {what}: {error.message}") from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise ClusterError(
            f"cannot {what}: the API server cannot be reached ({type(error).__name__})"
        ) from None


def _answer(what: str, text: str, parse: Callable[[str], Any]) -> Manifest:
    """The object in an answer.

    An answer that was cut short, or that something in between has replaced by a page, is a failure
    like any other.
    """
    try:
        answer = parse(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ClusterError(f"cannot {what}: the answer is no object, or was cut short")
    return answer


def _failure(what: str, status: int, text: str, retry_after: str | None) -> ClusterError:
    """The API server's refusal; its `message` names objects and fields, never Secret data."""
    try:
        message = str(json.loads(text).get("message", ""))[:300]
    except (ValueError, AttributeError):
        message = "no Status in the answer"
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    error = Conflict if status == 409 else ClusterError
    return error(f"cannot {what}: HTTP {status}: {message}", status=status, retry_after_s=seconds)
