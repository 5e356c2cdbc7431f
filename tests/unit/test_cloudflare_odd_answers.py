"""Whatever an answer holds, every call of the client ends in a value or in one of the exceptions of the package, and soon."""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes

from aop import pki
from aop.cloudflare import Cloudflare, CloudflareError, Zone
from aop.cloudflare.traffic import (
    blind_monitors,
    configuration_rules,
    dns_records,
    origin_rules,
)
from cloudflare_api import ACCOUNT_ID, CERTIFICATE_ID, ZONE_ID, StoppedClock, access, client

PAIR = pki.throwaway(datetime(2026, 11, 24, tzinfo=UTC))
ARGUMENTS: dict[str, object] = {
    "name": "example.com",
    "zone_id": ZONE_ID,
    "certificate_id": CERTIFICATE_ID,
    "certificate": PAIR.leaf.pem,
    "private_key": SecretBytes(b"key"),
    "enabled": True,
    "account_id": ACCOUNT_ID,
    "policy_id": "0da2b59ef1184c2293b3a3b0c0e6e4fc",
    "policy": {"name": "x", "mechanisms": {"email": [{"id": "ops@example.com"}]}},
}
"""What a method of the client is called with, by the name of its parameter."""


def calling(method: str, names: Iterable[str]) -> Callable[[Cloudflare], Awaitable[object]]:
    given = {name: ARGUMENTS[name] for name in names}
    return lambda it: getattr(it, method)(access=access(), **given)


def asked(reading: Callable[..., Awaitable[object]], it: Cloudflare) -> Awaitable[object]:
    return reading(it, access(), Zone(id=ZONE_ID, name="example.com", account_id=ZONE_ID))


CALLS = {
    method: calling(method, parameters - {"self", "access"})
    for method, function in inspect.getmembers(Cloudflare, inspect.iscoroutinefunction)
    if "access" in (parameters := inspect.signature(function).parameters.keys())
    and not method.startswith("_")
    and "model" not in parameters
} | {
    reading.__name__: partial(asked, reading)
    for reading in (dns_records, origin_rules, configuration_rules, blind_monitors)
}
"""Every public method of the client that asks Cloudflare, and whoever reads by those that take a
model."""
MOST_REQUESTS = 30
"""A list has at most 20 pages, and a token that is in doubt is asked about a few times."""

odd_words = st.sampled_from(
    [
        "",
        "active",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "9" * 4301,
        "\ud800",
        "\x00",
        "١٢",
        "nan",
        PAIR.leaf.pem,
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([10**30, -1, 2**63]),
    odd_words,
    st.text(max_size=20),
)
fields = st.sampled_from(
    [
        *(
            "id",
            "name",
            "status",
            "paused",
            "account",
            "value",
            "enabled",
            "hostname",
            "cert_id",
            "certificate",
            "serial_number",
            "issuer",
        ),
        *("rules", "action_parameters", "content", "default_pools", "monitor", "probe_zone"),
        *(
            "uploaded_on",
            "expires_on",
            "not_before",
            "code",
            "message",
            "error_chain",
            "page",
            "per_page",
            "total_count",
            "total_pages",
        ),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(fields, inner, max_size=6)
    ),
    max_leaves=12,
)
envelopes = st.fixed_dictionaries(
    {"success": st.one_of(st.booleans(), scalars)},
    optional={"errors": values, "messages": values, "result": values, "result_info": values},
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": st.sampled_from(
            ["0", "999999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 -0100", "soon", "-1", "1e9"]
        ),
        "date": st.sampled_from(
            ["Fri, 31 Dec 9999 23:59:59 -0100", "Tue, 24 Nov 2026 04:00:00 GMT", "now"]
        ),
        "cf-ray": st.sampled_from(["8f1e2d3c4b5a6978-FRA", "a b", ""]),
    },
)
statuses = st.sampled_from(
    [
        200,
        201,
        204,
        301,
        400,
        401,
        403,
        404,
        405,
        408,
        409,
        418,
        425,
        429,
        451,
        500,
        502,
        503,
        520,
        599,
    ]
)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@given(status=statuses, sent=headers, body=st.one_of(envelopes, values))
@pytest.mark.asyncio
async def test_no_answer_is_too_odd(
    call: Callable[[Cloudflare], Awaitable[object]], status: int, sent: dict[str, str], body: Any
) -> None:
    requests = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        return httpx.Response(
            status, headers=sent, content=json.dumps(body).encode("utf-8", "surrogatepass")
        )

    clock, errors = StoppedClock(), list[CloudflareError]()
    try:
        await call(client(httpx.MockTransport(answer), clock))
    except CloudflareError as error:
        errors.append(error)
    assert all(
        len(error.message) < 2000 and 0 <= (getattr(error, "retry_after_s", None) or 0) <= 3600
        for error in errors
    )
    assert requests <= MOST_REQUESTS
    assert sum(clock.slept) <= 15, (
        "what waits longer is an exception, so that the loop does something else meanwhile"
    )


class OutOfTheBlue(Exception):
    """What no documentation names."""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "error",
    [
        OutOfTheBlue(),
        ValueError("bad"),
        OverflowError(),
        UnicodeError(),
        OSError(5, "io"),
        httpx.InvalidURL("bad"),
        httpx.StreamClosed(),
    ],
)
@pytest.mark.asyncio
async def test_no_transport_is_too_hostile(
    call: Callable[[Cloudflare], Awaitable[object]], error: Exception
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(CloudflareError):
        await call(client(httpx.MockTransport(answer)))
