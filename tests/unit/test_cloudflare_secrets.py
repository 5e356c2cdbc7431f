"""A planted token and a planted key: whatever fails and however, neither is seen outside the request (promise S4)."""

import io
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import aop.cloudflare
from aop import pki
from aop.cloudflare import Cloudflare, CloudflareError
from aop.metrics import Metrics
from cloudflare_api import (
    CERTIFICATE_ID,
    RAY,
    TOKEN,
    ZONE_ID,
    StoppedClock,
    access,
    certificate,
    client,
    html,
    ok,
)

PAIR = pki.throwaway(datetime(2026, 11, 24, tzinfo=UTC))
KEY = PAIR.key.get_secret_value().decode()
PACKAGE = Path(aop.cloudflare.__file__).parent
SECRETS = (TOKEN, *(line for line in KEY.splitlines() if not line.startswith("-----")))


def echo(status: int) -> Callable[[httpx.Request], httpx.Response]:
    """Everything that was sent, in the words of the answer: the worst that a server can do."""

    def answer(request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content or b"{}")
        words = [request.headers["authorization"], json.dumps(sent), *map(str, sent.values())]
        body = {
            "success": False,
            "errors": [{"code": 1408, "message": word} for word in words],
            "messages": words,
            "result": sent,
        }
        return httpx.Response(
            status, headers={"cf-ray": request.headers["authorization"]}, json=body
        )

    return answer


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(error, httpx.RequestError):
            error.request = request
        raise error

    return answer


def result_echo(request: httpx.Request) -> httpx.Response:
    """Success of a shape that cannot be read, and holds everything."""
    return ok(
        {
            "id": {"no": "text"},
            "private_key": KEY,
            "status": [TOKEN],
            **json.loads(request.content or b"{}"),
        }
    )


ANSWERS: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    **{f"echo {status}": echo(status) for status in (200, 400, 401, 403, 404, 409, 422, 429, 500)},
    "unreadable result": result_echo,
    "html": lambda _: html(502),
    "reflected html": lambda request: httpx.Response(
        502, text=f"<pre>{request.headers['authorization']}{request.content!r}</pre>"
    ),
    "time out": raising(httpx.ReadTimeout("slow")),
    "own time out": raising(TimeoutError()),
    "illegal header": raising(httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'")),
    "write error": raising(httpx.WriteError(f"while sending {KEY}")),
    "connect error": raising(httpx.ConnectError(f"cannot connect with Bearer {TOKEN}")),
    "decoding error": raising(httpx.DecodingError(KEY)),
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any library logs, at the chattiest."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, before = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def everything_about(error: BaseException) -> str:
    """All that a logger, a debugger or an error tracker would show: also the locals of our own frames, causes and contexts."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = "".join(
        repr((frame.name, frame.line, frame.locals))
        for frame in stack
        if Path(frame.filename).is_relative_to(PACKAGE)
    )
    assert ours, "frames of ours were seen"
    seen = [repr(error), str(error), repr(error.args), repr(vars(error)), ours]
    seen.extend(
        everything_about(other)
        for other in (error.__cause__, error.__context__)
        if other is not None
    )
    return "\n".join(seen)


async def upload(cloudflare: Cloudflare) -> None:
    await cloudflare.upload_certificate(access(), ZONE_ID, PAIR.leaf.pem, PAIR.key)


async def delete(cloudflare: Cloudflare) -> None:
    await cloudflare.delete_certificate(access(), ZONE_ID, CERTIFICATE_ID)


async def find(cloudflare: Cloudflare) -> None:
    await cloudflare.find_zones(access(), "example.com")


@pytest.mark.parametrize("call", [upload, delete, find])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.asyncio
async def test_no_failure_shows_token_or_key(
    answer: Callable[[httpx.Request], httpx.Response],
    call: Callable[[Cloudflare], Awaitable[None]],
    log: io.StringIO,
) -> None:
    sent: list[httpx.Request] = []

    def spied(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer(request)

    metrics = Metrics()
    cloudflare = client(httpx.MockTransport(spied), StoppedClock(), metrics=metrics)
    with pytest.raises(CloudflareError) as caught:
        await call(cloudflare)
    assert TOKEN in sent[0].headers["authorization"], "the token was planted"
    if call is upload:
        assert json.loads(sent[0].content)["private_key"] == KEY, "the key was planted"
    shown = "\n".join(
        (
            everything_about(caught.value),
            log.getvalue(),
            metrics.exposition().decode(),
            repr(cloudflare),
            repr(vars(cloudflare)),
        )
    )
    for secret in SECRETS:
        assert secret not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.asyncio
async def test_a_call_is_one_line_at_debug_with_template_status_and_ray(log: io.StringIO) -> None:
    cloudflare = client(httpx.MockTransport(lambda _: ok(certificate(PAIR.leaf.pem))))
    await upload(cloudflare)
    own = [
        line
        for line in log.getvalue().splitlines()
        if "/zones/{zone_id}/origin_tls_client_auth" in line
    ]
    assert len(own) == 1
    assert all(part in own[0] for part in ("POST", "200", RAY, " ms"))
    assert all(secret not in log.getvalue() for secret in SECRETS)


@pytest.mark.asyncio
async def test_nothing_of_ours_is_logged_at_info(log: io.StringIO) -> None:
    logging.getLogger().setLevel(logging.INFO)
    await upload(client(httpx.MockTransport(lambda _: ok(certificate(PAIR.leaf.pem)))))
    assert "origin_tls_client_auth" not in "".join(
        line for line in log.getvalue().splitlines() if "HTTP Request" not in line
    )
