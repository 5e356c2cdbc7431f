"""Answers as Cloudflare gives them, a clock that stands still, and a transport that plays a script: for tests of the client.

The shapes are Cloudflare's (facts: cloudflare#envelope, cloudflare#certificate-object,
cloudflare#loose-shapes). Transport itself is tested against a real server, in
test_cloudflare_transport.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from aop.clock import Clock
from aop.cloudflare import Access, Cloudflare, Priority, Shares
from aop.leading import Lead
from aop.metrics import Metrics

TOKEN = "pretend-token-kVx7Qm2Zp9Lw4Rt8Yb3N"
ZONE_ID = "023e105f4ecef8ad9ca31a8372d0c353"
ACCOUNT_ID = "01a7362d577a6c3019a474fd6f485823"
CERTIFICATE_ID = "d5035326-5385-4ec3-b77d-d1a122cf3283"
RAY = "8f1e2d3c4b5a6978-FRA"

AOP = f"/zones/{ZONE_ID}/origin_tls_client_auth"

Answering = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class StoppedClock(Clock):
    """Time passes only when somebody sleeps with `sleep`, and then at once; `slept` tells how long each time."""

    def __init__(self) -> None:
        self.at_s = 1000.0
        self.slept: list[float] = []
        super().__init__()

    def monotonic_s(self) -> float:
        return self.at_s

    def jitter(self, limit: float) -> float:
        return limit / 2

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at_s += seconds
        await asyncio.sleep(0)


class Script(httpx.AsyncBaseTransport):
    """Answers each request with the next answer for its method and path; the last one stays.

    Keeps every request.
    """

    def __init__(self, answers: dict[str, Answering | list[Answering]]) -> None:
        self.answers = {
            call: list(answer) if isinstance(answer, list) else [answer]
            for call, answer in answers.items()
        }
        self.requests: list[httpx.Request] = []

    @property
    def calls(self) -> list[str]:
        return [_call(request) for request in self.requests]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answers = self.answers[_call(request)]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return (
            answer(request)
            if callable(answer)
            else httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        )


def _call(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path.removeprefix('/client/v4')}"


def ok(result: Any, *, info: dict[str, Any] | None = None, status: int = 200) -> httpx.Response:
    """Success."""
    body = {"success": True, "errors": [], "messages": [], "result": result}
    return httpx.Response(
        status,
        headers={"cf-ray": RAY},
        json=body | ({"result_info": info} if info is not None else {}),
    )


def failed(
    status: int,
    code: int | None = None,
    message: str = "no",
    *,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Failure, without `result` as most of Cloudflare's are."""
    errors = [{"message": message} if code is None else {"code": code, "message": message}]
    return httpx.Response(
        status,
        headers={"cf-ray": RAY} | (headers or {}),
        json={"success": False, "errors": errors, "messages": []},
    )


def html(status: int) -> httpx.Response:
    """What stands before the API answers in its stead."""
    return httpx.Response(
        status,
        headers={"cf-ray": RAY, "content-type": "text/html"},
        text=f"<html><h1>{status}</h1></html>",
    )


def certificate(pem: str = "", *, status: str = "active", **fields: Any) -> dict[str, Any]:
    """A certificate as the list shows it."""
    return {
        "id": CERTIFICATE_ID,
        "status": status,
        "issuer": "CN=example.com",
        "signature": "ECDSA-SHA256",
        "serial_number": "364027147676626726289571183730041490650282141970",
        "certificate": pem,
        "uploaded_on": "2026-05-24T16:57:16.801883Z",
        "expires_on": "2032-05-21T16:51:00Z",
    } | fields


def zone(name: str = "example.com", **fields: Any) -> dict[str, Any]:
    """A zone as the API shows it."""
    return {
        "id": ZONE_ID,
        "name": name,
        "status": "active",
        "paused": False,
        "account": {"id": ACCOUNT_ID, "name": "Example"},
    } | fields


def access(priority: Priority = Priority.ONBOARD, token: str = TOKEN) -> Access:
    """The pretend token."""
    return Access.of(token, priority, source="Secret edge/cloudflare, key api-token")


def client(
    transport: httpx.AsyncBaseTransport,
    clock: StoppedClock | None = None,
    *,
    shares: Shares | None = None,
    metrics: Metrics | None = None,
    lead: Lead | None = None,
) -> Cloudflare:
    """The client over a transport of the test, in time of the test."""
    clock = clock or StoppedClock()
    return Cloudflare(
        "https://api.example/client/v4",
        clock=clock,
        lead=lead or Lead.alone(clock),
        transport=transport,
        shares=shares,
        metrics=metrics,
        sleep=clock.sleep,
    )


def body_of(request: httpx.Request) -> Any:
    """The JSON that was sent."""
    return json.loads(request.content)
