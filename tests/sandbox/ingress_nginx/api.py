"""The Kubernetes API as the stand-in uses it: JSON in, JSON out, and watches that end.

Plain aiohttp: the stand-in is a controller of its own and shares nothing with the operator's
client, so that a fault of one is not hidden by the same fault of the other.
"""

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

WATCH_S = 290
REQUEST_S = 30
LINE_LIMIT = 4 * 2**20

Json = dict[str, Any]


class ApiServerError(Exception):
    """The API server answered with an error.

    `code` is the HTTP status, or that of an ERROR event of a watch (410: too old).
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Unreachable(Exception):  # it names a state of the world
    """No answer came: the connection failed, broke or timed out."""


class ApiClient:
    """One identity at one API server."""

    def __init__(self, server: str, trust: ssl.SSLContext, token: str | None = None) -> None:
        self._server = server.rstrip("/")
        self._trust = trust
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """The current context of a kubeconfig with embedded data: a CA, and a client certificate or a token."""
        document = yaml.safe_load(path.read_text())
        context = next(
            one["context"]
            for one in document["contexts"]
            if one["name"] == document["current-context"]
        )
        cluster = next(
            one["cluster"] for one in document["clusters"] if one["name"] == context["cluster"]
        )
        user = next(one["user"] for one in document["users"] if one["name"] == context["user"])
        trust = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as both:
                both.write(
                    base64.b64decode(user["client-certificate-data"])
                    + b"\n"
                    + base64.b64decode(user["client-key-data"])
                )
                both.flush()
                trust.load_cert_chain(both.name)
        return cls(cluster["server"], trust, user.get("token"))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trust, limit=0),
            timeout=aiohttp.ClientTimeout(total=REQUEST_S),
            headers=self._headers,
            read_bufsize=LINE_LIMIT,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> Json:
        """Read one object, or a whole list. Raises ApiError, Unreachable; so do the others."""
        return await self._request("GET", path)

    async def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST an object to its collection."""
        return await self._request("POST", path, body)

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Json:
        """PATCH an object with a merge patch."""
        return await self._request("PATCH", path, patch, "application/merge-patch+json")

    async def delete(self, path: str, *, grace_s: int = 0) -> None:
        """DELETE an object; one that is not there is no error."""
        try:
            await self._request(
                "DELETE",
                path,
                {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_s},
            )
        except ApiServerError as error:
            if error.code != 404:
                raise

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Json]]:
        """Events (type, object) of a collection since a resourceVersion, until the server ends the watch.

        Raises:
            ApiError: it ended with an ERROR event; 410 means that the version is too old.
            Unreachable: the connection broke.
        """
        parameters = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }
        patience = aiohttp.ClientTimeout(
            total=None, sock_connect=REQUEST_S, sock_read=WATCH_S + REQUEST_S
        )
        try:
            async with self._opened.get(
                self._server + path, params=parameters, timeout=patience
            ) as answer:
                await _raise_for(answer)
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiServerError(
                            event["object"].get("code", 500), event["object"].get("message", "")
                        )
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(f"watch of {path}: {error or type(error).__name__}") from error

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use `async with` before asking anything")
        return self._session

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Json:
        headers = {"Content-Type": content} if body is not None else {}
        data = None if body is None else json.dumps(body)
        try:
            async with self._opened.request(
                method, self._server + path, data=data, headers=headers
            ) as answer:
                await _raise_for(answer)
                result: Json = await answer.json()
                return result
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error


async def _raise_for(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        text = await answer.text()
        raise ApiServerError(answer.status, text[:500])
