"""The client method by method: what is sent, what comes back, which exception, how many calls."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import httpx
import pytest
from pydantic import SecretBytes

from aop import __version__
from aop.cloudflare import (
    AlertsRefused,
    AlreadyDeleted,
    AlreadyExists,
    CannotDeleteYet,
    CertificateRefused,
    ChangeUnderWay,
    CloudflareError,
    DeploymentStatus,
    NotFound,
    NotOffered,
    Priority,
    RateLimited,
    Refused,
    TokenDoubted,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    ZoneNotVisible,
)
from aop.cloudflare.client import MOST_PAGES
from aop.cloudflare.wire import AT_ONCE
from aop.metrics import Metrics
from clocks import eventually
from cloudflare_api import (
    ACCOUNT_ID,
    AOP,
    CERTIFICATE_ID,
    RAY,
    TOKEN,
    ZONE_ID,
    Script,
    StoppedClock,
    access,
    body_of,
    certificate,
    client,
    failed,
    html,
    ok,
    zone,
)

ALERTING = f"/accounts/{ACCOUNT_ID}/alerting/v3"
POLICY_ID = "0da2b59ef1184c2293b3a3b0c0e6e4fc"
LEAF = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = SecretBytes(b"-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n")
ONE = f"{AOP}/{CERTIFICATE_ID}"
VERIFY = "GET /user/tokens/verify"


# --- zone --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_zone_is_found_by_its_exact_name_with_the_token_and_our_name() -> None:
    script = Script(
        {
            "GET /zones": ok(
                [
                    zone(),
                    zone("www.example.com"),
                    zone("EXAMPLE.com", id="other", account={"id": "second"}),
                ]
            )
        }
    )
    zones = await client(script).find_zones(access(), "example.com")
    assert [each.account_id for each in zones] == [ACCOUNT_ID, "second"]
    request = script.requests[0]
    assert request.url.params["name"] == "example.com"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"] == f"aop-operator/{__version__}"


@pytest.mark.parametrize("listed", ["bücher.example", "xn--bcher-kva.example", "BÜCHER.example"])
@pytest.mark.parametrize("asked", ["bücher.example", "xn--bcher-kva.example"])
@pytest.mark.asyncio
async def test_an_internationalised_zone_is_found_whichever_form_it_is_listed_in(
    asked: str, listed: str
) -> None:
    script = Script({"GET /zones": ok([zone(listed), zone("bucher.example", id="other")])})
    (zone_seen,) = await client(script).find_zones(access(), asked)
    assert zone_seen.name == "xn--bcher-kva.example"


@pytest.mark.parametrize("result", [None, []])
@pytest.mark.asyncio
async def test_no_zone_of_that_name_is_an_empty_answer_and_not_an_error(
    result: list[Any] | None,
) -> None:
    assert (
        await client(Script({"GET /zones": ok(result)})).find_zones(access(), "example.com") == ()
    )


@pytest.mark.asyncio
async def test_a_zone_by_id_and_its_settings() -> None:
    script = Script(
        {
            f"GET /zones/{ZONE_ID}": ok(zone()),
            f"GET /zones/{ZONE_ID}/settings/ssl": ok(
                {"id": "ssl", "value": "strict", "editable": True, "modified_on": None}
            ),
            f"GET /zones/{ZONE_ID}/settings/tls_client_auth": ok(
                {"id": "tls_client_auth", "value": "off"}
            ),
        }
    )
    cloudflare = client(script)
    assert (await cloudflare.fetch_zone(access(), ZONE_ID)).name == "example.com"
    assert (await cloudflare.fetch_ssl_mode(access(), ZONE_ID)).value == "strict"
    assert not (await cloudflare.fetch_global_aop(access(), ZONE_ID)).on


@pytest.mark.parametrize(
    "answer", [failed(404, 7003), failed(400, 7003), failed(403, 9109), failed(404)]
)
@pytest.mark.asyncio
async def test_a_zone_that_is_not_there_is_not_visible(answer: httpx.Response) -> None:
    script = Script({f"GET /zones/{ZONE_ID}": answer, VERIFY: ok({"id": "t", "status": "active"})})
    with pytest.raises(ZoneNotVisible):
        await client(script).fetch_zone(access(), ZONE_ID)


# --- per-hostname level ------------------------------------------------------------------------------------------------------------------


def association(host: str, **fields: Any) -> dict[str, Any]:
    return {
        "hostname": host,
        "cert_id": CERTIFICATE_ID,
        "enabled": True,
        "status": "active",
    } | fields


@pytest.mark.asyncio
async def test_associations_are_asked_for_in_every_status_and_come_without_tombstones() -> None:
    associations = [
        association("a.example.com"),
        association("b.example.com", status="deleted"),
        association("c.example.com", enabled=False),
    ]
    script = Script({f"GET {AOP}/hostnames": ok(associations)})
    seen = await client(script).list_hostname_associations(access(), ZONE_ID)
    assert [each.hostname for each in seen] == ["a.example.com", "c.example.com"]
    assert script.requests[0].url.params["status"] == "all"


PAGES = (["a", "b"], ["c", "d"], ["e"])


def paged(
    counted: Callable[[int], dict[str, Any]], *, by: str = "page"
) -> Callable[[httpx.Request], httpx.Response]:
    """Five associations in three pages; `told` gives the `result_info` of each."""

    def page(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get(by, "1").removeprefix("cursor-"))
        return ok(
            [association(f"{name}.example.com") for name in PAGES[number - 1]], info=counted(number)
        )

    return page


WAYS: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "pages": (lambda number: {"page": number, "total_pages": 3}, "page"),
    "pages as text": (lambda number: {"page": str(number), "total_pages": "3"}, "page"),
    "total": (lambda number: {"page": number, "total_count": 5, "per_page": 2}, "page"),
    "total as text": (
        lambda number: {"page": str(number), "total_count": "5", "per_page": "2"},
        "page",
    ),
    "total without a size": (lambda _: {"total_count": 5}, "page"),
    "total in spite of one page": (
        lambda _: {"total_count": 5, "per_page": 50, "total_pages": 1},
        "page",
    ),
    "full pages": (lambda _: {"per_page": 2}, "page"),
    "full pages as text": (lambda _: {"per_page": "2", "total_count": None}, "page"),
    "cursor": (
        lambda number: {"count": 2, "cursor": f"cursor-{number + 1}" if number < 3 else ""},
        "cursor",
    ),
    "cursor in the other place": (
        lambda number: {"cursors": {"after": f"cursor-{number + 1}"} if number < 3 else {}},
        "cursor",
    ),
    "cursor null at the end": (
        lambda number: {"cursor": f"cursor-{number + 1}" if number < 3 else None},
        "cursor",
    ),
}


@pytest.mark.parametrize(("counted", "by"), WAYS.values(), ids=WAYS)
@pytest.mark.asyncio
async def test_every_page_is_read_in_whichever_way_they_are_counted(
    counted: Callable[[int], dict[str, Any]], by: str
) -> None:
    script = Script({f"GET {AOP}/hostnames": paged(counted, by=by)})
    seen = await client(script).list_hostname_associations(access(), ZONE_ID)
    assert [each.hostname[0] for each in seen] == ["a", "b", "c", "d", "e"]
    assert len(script.requests) == 3
    assert all(request.url.params["status"] == "all" for request in script.requests)


@pytest.mark.parametrize("info", [{"total_pages": 3}, {"total_count": 5}, {"cursor": "the-same"}])
@pytest.mark.asyncio
async def test_a_list_that_says_there_is_more_and_shows_the_first_page_again_is_not_a_short_list(
    info: dict[str, Any],
) -> None:
    script = Script({f"GET {AOP}/hostnames": ok([association("a.example.com")], info=info)})
    with pytest.raises(Unavailable, match="the same page again"):
        await client(script).list_hostname_associations(access(), ZONE_ID)
    assert len(script.requests) == 2


@pytest.mark.asyncio
async def test_a_full_page_that_is_shown_again_was_all_there_is() -> None:
    """The list of certificates has no pages that anybody documents."""
    script = Script(
        {
            f"GET {AOP}": ok(
                [certificate(), certificate(id="other")],
                info={"page": 1, "per_page": 2, "count": 2},
            )
        }
    )
    assert len(await client(script).list_certificates(access(), ZONE_ID)) == 2
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "info",
    [
        {"total_pages": True},
        {"total_count": "many"},
        {"total_count": [9]},
        {"cursor": 5},
        {"cursors": "x"},
        {"per_page": 0},
        {"total_pages": -1},
    ],
)
@pytest.mark.asyncio
async def test_counts_that_mean_nothing_count_as_none(info: dict[str, Any]) -> None:
    script = Script({f"GET {AOP}/hostnames": ok([association("a.example.com")], info=info)})
    assert len(await client(script).list_hostname_associations(access(), ZONE_ID)) == 1
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "info", [{"total_pages": 10**6}, {"total_count": "999999999"}, {"per_page": 1}]
)
@pytest.mark.asyncio
async def test_a_list_that_promises_pages_for_ever_ends_within_the_budget_of_one_look(
    info: dict[str, Any],
) -> None:
    numbers = count()
    script = Script(
        {
            f"GET {AOP}/hostnames": lambda _: ok(
                [association(f"{next(numbers)}.example.com")], info=info
            )
        }
    )
    with pytest.raises(Unavailable, match="pages") as caught:
        await client(script).list_hostname_associations(access(), ZONE_ID)
    assert caught.value.retry_after_s == 300, (
        "an outage is tried again within seconds, but not at this price"
    )
    assert len(script.requests) == MOST_PAGES == 20


@pytest.mark.asyncio
async def test_a_page_that_is_empty_before_its_time_ends_the_list() -> None:
    script = Script(
        {
            f"GET {AOP}/hostnames": [
                ok([association("a.example.com")], info={"total_pages": 9}),
                ok(None, info={"total_pages": 9}),
            ]
        }
    )
    assert len(await client(script).list_hostname_associations(access(), ZONE_ID)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        failed(404, 7003),
        failed(400, 7003),
        failed(404),
        failed(405),
        failed(400, 7000),
        failed(403, 10000),
        failed(403, 1234),
    ],
)
@pytest.mark.asyncio
async def test_where_associations_cannot_be_listed_the_exception_says_so(
    answer: httpx.Response,
) -> None:
    script = Script({f"GET {AOP}/hostnames": answer, VERIFY: ok({"id": "t", "status": "active"})})
    with pytest.raises(NotOffered, match="does not list them") as caught:
        await client(script).list_hostname_associations(access(), ZONE_ID)
    assert caught.value.status == answer.status_code


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (html(502), Unavailable),
        (html(404), Unavailable),
        (failed(429), RateLimited),
        (failed(422), Refused),
    ],
)
@pytest.mark.asyncio
async def test_a_list_of_associations_that_fails_is_not_an_absent_one(
    answer: httpx.Response, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        await client(Script({f"GET {AOP}/hostnames": answer})).list_hostname_associations(
            access(), ZONE_ID
        )


# --- certificates ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_certificates_come_oldest_first_without_tombstones() -> None:
    listed = [
        certificate(id="new", uploaded_on="2026-11-02T00:00:00Z"),
        certificate(id="gone", status="deleted"),
        certificate(id="old", uploaded_on="2026-11-01T00:00:00Z", status="pending_deletion"),
        certificate(id="undated", uploaded_on=None),
        certificate(id="also-undated", uploaded_on=None),
    ]
    script = Script(
        {f"GET {AOP}": ok(listed, info={"page": 1, "per_page": 20, "count": 5, "total_count": 5})}
    )
    seen = await client(script).list_certificates(access(), ZONE_ID)
    assert [each.id for each in seen] == ["also-undated", "undated", "old", "new"]
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_a_zone_without_certificates_answers_null() -> None:
    assert await client(Script({f"GET {AOP}": ok(None)})).list_certificates(access(), ZONE_ID) == ()


@pytest.mark.parametrize("result", [{}, "text", [None], [{"status": "active"}], [[]], 5])
@pytest.mark.asyncio
async def test_a_list_that_cannot_be_understood_is_never_a_shorter_list(result: Any) -> None:
    with pytest.raises(Unavailable, match="cannot be understood"):
        await client(Script({f"GET {AOP}": ok(result)})).list_certificates(access(), ZONE_ID)


@pytest.mark.asyncio
async def test_an_upload_sends_the_leaf_and_its_key_once() -> None:
    script = Script(
        {
            f"POST {AOP}": ok(
                certificate(LEAF, status="pending_deployment", updated_at="2026-11-24T00:00:00Z")
            )
        }
    )
    seen = await client(script).upload_certificate(access(), ZONE_ID, LEAF, KEY)
    assert (seen.id, seen.status) == (CERTIFICATE_ID, DeploymentStatus.PENDING_DEPLOYMENT)
    assert body_of(script.requests[0]) == {
        "certificate": LEAF,
        "private_key": KEY.get_secret_value().decode(),
    }
    assert script.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (failed(400, 1406), AlreadyExists),
        (failed(400, 1408), CertificateRefused),
        (failed(409), ChangeUnderWay),
        (html(502), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.ReadError("cut"), Unavailable),
        (httpx.ConnectError("none"), Unavailable),
        (httpx.RemoteProtocolError("cut"), Unavailable),
        (ok(None), Unavailable),
        (failed(429), RateLimited),
    ],
)
@pytest.mark.asyncio
async def test_an_upload_is_never_repeated_by_the_client(
    answer: httpx.Response | Exception, expected: type[Exception]
) -> None:
    script = Script({f"POST {AOP}": answer})
    with pytest.raises(expected):
        await client(script).upload_certificate(access(), ZONE_ID, LEAF, KEY)
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_a_tombstone_is_still_read_by_its_id_and_an_unknown_id_is_not_found() -> None:
    script = Script({f"GET {ONE}": [ok(certificate(LEAF, status="deleted")), failed(404, 1552)]})
    cloudflare = client(script)
    assert (await cloudflare.fetch_certificate(access(), ZONE_ID, CERTIFICATE_ID)).deleted
    with pytest.raises(NotFound):
        await cloudflare.fetch_certificate(access(), ZONE_ID, CERTIFICATE_ID)


@pytest.mark.asyncio
async def test_a_deletion_returns_the_certificate_on_its_way_out() -> None:
    script = Script({f"DELETE {ONE}": ok(certificate(LEAF, status="pending_deletion"))})
    assert (await client(script).delete_certificate(access(), ZONE_ID, CERTIFICATE_ID)).deleting
    assert script.requests[0].content == b""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (failed(400, 1434), CannotDeleteYet),
        (failed(404, 1551), NotFound),
        (failed(400, 1415), NotFound),
        (failed(409), ChangeUnderWay),
    ],
)
@pytest.mark.asyncio
async def test_a_deletion_that_cannot_be_has_its_own_exception(
    answer: httpx.Response, expected: type[Exception]
) -> None:
    script = Script({f"DELETE {ONE}": answer})
    with pytest.raises(expected):
        await client(script).delete_certificate(access(), ZONE_ID, CERTIFICATE_ID)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("deleted", AlreadyDeleted),
        ("pending_deletion", AlreadyDeleted),
        ("active", Refused),
        ("deletion_timed_out", Refused),
    ],
)
@pytest.mark.asyncio
async def test_a_deletion_refused_without_a_code_is_decided_by_looking_and_not_by_words(
    status: str, expected: type[Exception]
) -> None:
    """The words claim the opposite each time."""
    words = "Certificate is already deleted." if expected is Refused else "Certificate is in use."
    script = Script(
        {
            f"DELETE {ONE}": failed(400, message=words),
            f"GET {ONE}": ok(certificate(LEAF, status=status)),
        }
    )
    with pytest.raises(expected) as caught:
        await client(script).delete_certificate(access(), ZONE_ID, CERTIFICATE_ID)
    assert type(caught.value) is expected
    assert caught.value.cf_ray == RAY  # type: ignore[attr-defined]  # each is a CloudflareError


@pytest.mark.asyncio
async def test_the_enablement_is_read_and_set() -> None:
    script = Script(
        {
            f"GET {AOP}/settings": ok({"enabled": False}),
            f"PUT {AOP}/settings": ok({"enabled": True}),
        }
    )
    cloudflare = client(script)
    assert not (await cloudflare.fetch_enablement(access(), ZONE_ID)).enabled
    assert (await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)).enabled
    assert body_of(script.requests[1]) == {"enabled": True}


@pytest.mark.asyncio
async def test_one_mutation_is_in_flight_per_zone_and_zones_do_not_wait_for_each_other() -> None:
    flying: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def answer(request: httpx.Request) -> httpx.Response:
        zone_id = request.url.path.split("/")[4]
        flying[zone_id] += 1
        most[zone_id] = max(most[zone_id], flying[zone_id])
        most["all"] = max(most["all"], flying.total())
        for _ in range(5):
            await asyncio.sleep(0)
        flying[zone_id] -= 1
        return ok({"enabled": True} if request.method == "PUT" else certificate(LEAF))

    cloudflare, other = client(httpx.MockTransport(answer)), "f" * 32
    async with asyncio.TaskGroup() as group:
        for zone_id in (ZONE_ID, other):
            for _ in range(3):
                group.create_task(cloudflare.set_enablement(access(), zone_id, enabled=True))
                group.create_task(cloudflare.upload_certificate(access(), zone_id, LEAF, KEY))
                group.create_task(cloudflare.delete_certificate(access(), zone_id, CERTIFICATE_ID))
    assert (most[ZONE_ID], most[other], most["all"]) == (1, 1, 2)


@pytest.mark.asyncio
async def test_hundreds_that_begin_at_once_wait_for_their_turn_and_what_protects_does_not() -> None:
    """Who waited for a connection would be given up unsent, as if Cloudflare had not answered."""
    flying, most, may_answer = 0, 0, asyncio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await may_answer.wait()
        flying -= 1
        return ok({"enabled": True})

    cloudflare = client(httpx.MockTransport(answer))
    may_answer.set()
    await cloudflare.fetch_enablement(access(), ZONE_ID)  # the first call of all goes alone
    may_answer.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(cloudflare.fetch_enablement(access(), ZONE_ID))
        await eventually(lambda: flying == AT_ONCE)
        protects = cloudflare.fetch_enablement(access(Priority.PROTECT), ZONE_ID)
        group.create_task(protects)
        await eventually(lambda: flying == AT_ONCE + 1)
        may_answer.set()
    assert most == AT_ONCE + 1


@pytest.mark.asyncio
async def test_one_users_first_answer_that_hangs_holds_up_no_other_users_calls() -> None:
    """Until it is there the user's other calls wait, and there may be hundreds of them."""
    hanging = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if TOKEN in request.headers["authorization"]:
            hanging.set()
            await asyncio.Event().wait()
        return ok({"enabled": True})

    cloudflare = client(httpx.MockTransport(answer))
    held_up = [
        asyncio.create_task(cloudflare.fetch_enablement(access(), ZONE_ID))
        for _ in range(2 * AT_ONCE)
    ]
    await hanging.wait()
    async with asyncio.timeout(60):
        other = await cloudflare.fetch_enablement(access(token="o" * 40), ZONE_ID)
    assert other.enabled
    for task in held_up:
        task.cancel()
    await asyncio.gather(*held_up, return_exceptions=True)


@pytest.mark.asyncio
async def test_reads_do_not_wait_for_a_mutation() -> None:
    uploading, uploaded = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return ok({"enabled": True})
        uploading.set()
        await uploaded.wait()
        return ok(certificate(LEAF))

    cloudflare = client(httpx.MockTransport(answer))
    await cloudflare.fetch_enablement(access(), ZONE_ID)  # the first call of all goes alone
    upload = asyncio.create_task(cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY))
    await uploading.wait()
    assert (await cloudflare.fetch_enablement(access(), ZONE_ID)).enabled
    uploaded.set()
    assert (await upload).id == CERTIFICATE_ID


@pytest.mark.asyncio
async def test_a_mutation_that_fails_or_is_cancelled_gives_the_zone_free() -> None:
    stuck = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            stuck.set()
            await asyncio.Event().wait()
        return failed(409) if request.method == "POST" else ok({"enabled": True})

    cloudflare = client(httpx.MockTransport(answer))
    with pytest.raises(ChangeUnderWay):
        await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
    deletion = asyncio.create_task(cloudflare.delete_certificate(access(), ZONE_ID, CERTIFICATE_ID))
    await stuck.wait()
    deletion.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deletion
    assert (await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)).enabled


# --- retries of reads --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken", [httpx.ConnectError("none"), httpx.RemoteProtocolError("cut"), httpx.ReadError("cut")]
)
@pytest.mark.asyncio
async def test_a_read_whose_connection_breaks_is_repeated_once(broken: Exception) -> None:
    script = Script({f"GET {AOP}": [broken, ok(None)]})
    assert await client(script).list_certificates(access(), ZONE_ID) == ()
    script = Script({f"GET {AOP}": broken})
    with pytest.raises(Unavailable):
        await client(script).list_certificates(access(), ZONE_ID)
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "answer", [httpx.ReadTimeout("slow"), html(503), failed(500), failed(429), failed(409)]
)
@pytest.mark.asyncio
async def test_a_read_that_was_answered_or_waited_for_is_not_repeated(
    answer: httpx.Response | Exception,
) -> None:
    script = Script({f"GET {AOP}": answer})
    with pytest.raises((Unavailable, RateLimited, ChangeUnderWay)):
        await client(script).list_certificates(access(), ZONE_ID)
    assert len(script.requests) == 1


# --- cookies -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_no_cookie_of_one_token_goes_out_with_another_or_at_all() -> None:
    """Cloudflare's edge sets `__cf_bm` on answers of its API."""
    given = ok(None)
    given.headers["set-cookie"] = (
        "__cf_bm=of-the-first-token; path=/; expires=Fri, 01-Jan-2100 00:00:00 GMT; HttpOnly; Secure; SameSite=None"
    )
    script = Script({f"GET {AOP}": given})
    cloudflare = client(script)
    for token in (TOKEN, "another-token", TOKEN):
        await cloudflare.list_certificates(access(token=token), ZONE_ID)
    assert [request.headers.get("cookie") for request in script.requests] == [None, None, None]


# --- tokens ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refused",
    [failed(403), failed(403, 10000), failed(400, 10000), failed(401, 10000), failed(403, 9109)],
)
@pytest.mark.asyncio
async def test_a_fresh_token_that_is_refused_for_some_seconds_is_not_reported(
    refused: httpx.Response,
) -> None:
    clock = StoppedClock()
    script = Script({f"GET {AOP}": [refused, refused, refused, ok(None)]})
    assert await client(script, clock).list_certificates(access(), ZONE_ID) == ()
    assert clock.slept == [0.5, 1, 2]
    assert VERIFY not in script.calls


@pytest.mark.asyncio
async def test_a_mutation_refused_for_a_fresh_token_had_no_effect_and_is_repeated() -> None:
    script = Script({f"POST {AOP}": [failed(403), ok(certificate(LEAF))]})
    assert (
        await client(script).upload_certificate(access(), ZONE_ID, LEAF, KEY)
    ).id == CERTIFICATE_ID


@pytest.mark.asyncio
async def test_a_mutation_that_has_worked_is_not_repeated_but_left_to_whoever_wants_it() -> None:
    clock = StoppedClock()
    script = Script(
        {
            f"PUT {AOP}/settings": [
                ok({"enabled": True}),
                failed(403, 10000),
                ok({"enabled": True}),
            ],
            VERIFY: ok({"status": "active"}),
        }
    )
    cloudflare = client(script, clock)
    await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)
    with pytest.raises(TokenDoubted) as caught:
        await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)
    assert not caught.value.may_have_changed
    clock.at_s += caught.value.retry_after_s or 0
    assert (await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)).enabled
    assert script.calls.count(f"PUT {AOP}/settings") == 3


@pytest.mark.asyncio
async def test_a_fresh_token_that_is_refused_even_its_verification_is_asked_again() -> None:
    script = Script(
        {
            f"GET {AOP}": failed(403),
            VERIFY: [failed(403), failed(403), ok({"id": "t", "status": "active"})],
        }
    )
    with pytest.raises(TokenLacksPermission):
        await client(script).list_certificates(access(), ZONE_ID)


@pytest.mark.asyncio
async def test_no_verdict_on_a_token_takes_long() -> None:
    clock = StoppedClock()
    with pytest.raises(TokenRejected):
        await client(
            Script({f"GET {AOP}": failed(403), VERIFY: failed(403)}), clock
        ).list_certificates(access(), ZONE_ID)
    assert sum(clock.slept) <= 12


@pytest.mark.asyncio
async def test_a_missing_permission_is_told_from_a_wrong_token_by_asking_once() -> None:
    clock = StoppedClock()
    script = Script({f"GET {AOP}": failed(403, 10000), VERIFY: ok({"id": "t", "status": "active"})})
    cloudflare = client(script, clock)
    for _ in range(2):
        with pytest.raises(TokenLacksPermission, match="SSL and Certificates Write"):
            await cloudflare.list_certificates(access(), ZONE_ID)
    assert script.calls.count(VERIFY) == 1


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            ok({"id": "t", "status": "expired", "expires_on": "2026-11-01T00:00:00Z"}),
            "expired on 2026-11-01",
        ),
        (ok({"id": "t", "status": "expired"}), "has expired"),
        (
            ok({"id": "t", "status": "active", "expires_on": "2020-11-01T00:00:00Z"}),
            "expired on 2020-11-01",
        ),
        (
            ok({"id": "t", "status": "active", "not_before": "2199-11-01T12:30:00Z"}),
            "is not valid before 2199-11-01 12:30 UTC",
        ),
        (ok({"id": "t", "status": "disabled"}), "has been disabled"),
        (failed(401, 1000), "unknown to Cloudflare"),
        (failed(403, 9109), "unknown to Cloudflare"),
        (failed(400, 6003), "unknown to Cloudflare"),
    ],
)
@pytest.mark.asyncio
async def test_a_token_that_does_not_verify_is_rejected_with_cloudflares_reason(
    verdict: httpx.Response, words: str
) -> None:
    script = Script({"GET /zones": failed(403, 10000), VERIFY: verdict})
    with pytest.raises(TokenRejected, match=words):
        await client(script).find_zones(access(), "example.com")


@pytest.mark.parametrize(
    ("date", "valid"),
    [
        ("Wed, 01 Jul 2099 00:00:00 GMT", True),
        ("Tue, 01 Jul 2098 00:00:00 GMT", False),
        ("Wed, 01 Jul 2105 00:00:00 GMT", False),
    ],
)
@pytest.mark.asyncio
async def test_whether_a_token_is_valid_yet_or_still_goes_by_the_answer_s_own_clock(
    date: str, valid: bool
) -> None:
    """A machine that starts with a wrong clock, which is set right later, believes its first one for as long as the process runs."""
    verdict = ok(
        {
            "id": "t",
            "status": "active",
            "not_before": "2099-01-01T00:00:00Z",
            "expires_on": "2100-01-01T00:00:00Z",
        }
    )
    verdict.headers["date"] = date
    script = Script({"GET /zones": failed(403, 10000), VERIFY: verdict})
    with pytest.raises(CloudflareError) as caught:
        await client(script).find_zones(access(), "example.com")
    assert isinstance(caught.value, TokenRejected) is not valid


@pytest.mark.asyncio
async def test_calls_refused_at_the_same_time_share_one_verification() -> None:
    script = Script(
        {
            f"GET {AOP}": failed(403),
            f"GET {AOP}/settings": failed(403),
            VERIFY: ok({"id": "t", "status": "disabled"}),
        }
    )
    cloudflare = client(script)
    results = await asyncio.gather(
        cloudflare.list_certificates(access(), ZONE_ID),
        cloudflare.fetch_enablement(access(), ZONE_ID),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [TokenRejected, TokenRejected]
    assert script.calls.count(VERIFY) == 1


@pytest.mark.asyncio
async def test_once_rejected_the_next_calls_do_not_wait_and_after_a_while_the_token_is_looked_at_again() -> (
    None
):
    clock = StoppedClock()
    script = Script(
        {
            f"GET {AOP}": failed(401),
            VERIFY: [failed(401, 1000), ok({"id": "t", "status": "active"})],
        }
    )
    cloudflare = client(script, clock)
    with pytest.raises(TokenRejected):
        await cloudflare.list_certificates(access(), ZONE_ID)
    patience = list(clock.slept)
    with pytest.raises(TokenRejected):
        await cloudflare.list_certificates(access(), ZONE_ID)
    assert clock.slept == patience
    clock.at_s += 60
    with pytest.raises(TokenLacksPermission):
        await cloudflare.list_certificates(access(), ZONE_ID)
    assert clock.slept == patience, "if it was mended, the first attempt would have told"


@pytest.mark.asyncio
async def test_a_token_that_is_mended_works_at_once() -> None:
    script = Script({f"GET {AOP}": [*[failed(403)] * 6, ok(None)], VERIFY: failed(401, 1000)})
    cloudflare = client(script)
    with pytest.raises(TokenRejected):
        await cloudflare.list_certificates(access(), ZONE_ID)
    assert await cloudflare.list_certificates(access(), ZONE_ID) == ()


@pytest.mark.parametrize(
    ("at_account", "expected"),
    [
        (ok({"id": "t", "status": "active"}), TokenLacksPermission),
        (failed(401, 1000), TokenRejected),
    ],
)
@pytest.mark.asyncio
async def test_a_token_of_an_account_is_verified_at_its_account(
    at_account: httpx.Response, expected: type[Exception]
) -> None:
    script = Script(
        {
            "GET /zones": ok([zone()]),
            f"GET {AOP}": failed(403, 10000),
            VERIFY: failed(401, 1000),
            f"GET /accounts/{ACCOUNT_ID}/tokens/verify": at_account,
        }
    )
    cloudflare = client(script)
    await cloudflare.find_zones(access(), "example.com")
    with pytest.raises(expected):
        await cloudflare.list_certificates(access(), ZONE_ID)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (html(502), Unavailable),
        (failed(429), RateLimited),
        (httpx.ReadTimeout("slow"), Unavailable),
        (ok({"id": "t", "status": None}), Unavailable),
        (ok({"id": "t"}), Unavailable),
        (ok({"id": "t", "status": {"is": "active"}}), Unavailable),
        (ok({"id": "t", "status": f"Bearer {TOKEN}"}), Unavailable),
        (ok(None), Unavailable),
        (ok(["active"]), Unavailable),
        (failed(401, 1000, "timeout"), Unavailable),
        (failed(400, 1000, "internal server error"), Unavailable),
        (failed(403, 10001, "Internal error"), Unavailable),
        (failed(403, 10000), TokenDoubted),
    ],
)
@pytest.mark.asyncio
async def test_no_verdict_on_a_token_without_an_answer(
    answer: httpx.Response | Exception, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        await client(Script({f"GET {AOP}": failed(403), VERIFY: answer})).list_certificates(
            access(), ZONE_ID
        )


@pytest.mark.asyncio
async def test_a_token_that_says_it_is_an_accounts_is_verified_there_only() -> None:
    token = "cfat_" + "a" * 40
    script = Script(
        {
            "GET /zones": ok([zone()]),
            f"GET {AOP}": failed(403, 10000),
            f"GET /accounts/{ACCOUNT_ID}/tokens/verify": ok({"id": "t", "status": "disabled"}),
        }
    )
    cloudflare = client(script)
    await cloudflare.find_zones(access(token=token), "example.com")
    with pytest.raises(TokenRejected, match="disabled"):
        await cloudflare.list_certificates(access(token=token), ZONE_ID)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (failed(401, 1000, "Invalid API Token"), TokenRejected),
        (failed(403, 9109, "Invalid access token"), TokenRejected),
        (failed(403, 10000), TokenLacksPermission),
        (
            failed(403, 0, 'Actor "t" requires permission "com.cloudflare.api.account.zone.list"'),
            TokenLacksPermission,
        ),
    ],
)
@pytest.mark.asyncio
async def test_before_it_has_shown_a_zone_nobody_can_be_asked_about_an_accounts_token(
    answer: httpx.Response, expected: type[Exception]
) -> None:
    script = Script({"GET /zones": answer})
    with pytest.raises(expected):
        await client(script).find_zones(access(token="cfat_" + "a" * 40), "example.com")
    assert set(script.calls) == {"GET /zones"}


@pytest.mark.asyncio
async def test_a_token_that_says_it_is_a_users_is_verified_there_only() -> None:
    token = "cfut_" + "a" * 40
    script = Script(
        {"GET /zones": ok([zone()]), f"GET {AOP}": failed(403, 10000), VERIFY: failed(401, 1000)}
    )
    cloudflare = client(script)
    await cloudflare.find_zones(access(token=token), "example.com")
    with pytest.raises(TokenRejected) as caught:
        await cloudflare.list_certificates(access(token=token), ZONE_ID)
    assert "belongs to an account" not in caught.value.message


@pytest.mark.asyncio
async def test_a_token_for_other_addresses_is_told_so_without_a_further_question() -> None:
    words = "Cannot use the access token from location: 192.0.2.7"
    script = Script({f"GET {AOP}": failed(403, 9109, words)})
    with pytest.raises(TokenRejected, match="Client IP Address Filtering") as caught:
        await client(script).list_certificates(access(), ZONE_ID)
    assert "192.0.2.7" in caught.value.message
    assert len(script.requests) == 1
    script = Script({f"GET {AOP}": failed(403, 10000), VERIFY: failed(403, 9109, words)})
    with pytest.raises(TokenRejected, match="Client IP Address Filtering"):
        await client(script).list_certificates(access(), ZONE_ID)


PATHS = {
    "Zone Settings Read": lambda it: it.fetch_ssl_mode(access(), ZONE_ID),
    "SSL and Certificates Write": lambda it: it.list_certificates(access(), ZONE_ID),
}


@pytest.mark.parametrize(
    "answer",
    [
        failed(403, 9109, "Unauthorized to access requested resource"),
        failed(403, 10000),
        failed(404),
        failed(404, 7003),
    ],
)
@pytest.mark.parametrize(("permission", "call"), PATHS.items())
@pytest.mark.asyncio
async def test_once_a_zone_was_shown_a_refusal_on_another_path_of_it_is_the_permission_of_that_path(
    permission: str, call: Any, answer: httpx.Response
) -> None:
    paths = (f"GET /zones/{ZONE_ID}/settings/ssl", f"GET {AOP}")
    script = Script(
        {
            "GET /zones": ok([zone()]),
            **dict.fromkeys(paths, answer),
            VERIFY: ok({"id": "t", "status": "active"}),
        }
    )
    clock = StoppedClock()
    cloudflare = client(script, clock)
    await cloudflare.find_zones(access(), "example.com")
    for _ in range(6):
        with pytest.raises((TokenLacksPermission, TokenDoubted)) as caught:
            await call(cloudflare)
        clock.at_s += 10
    assert isinstance(caught.value, TokenLacksPermission)
    assert permission in caught.value.message


@pytest.mark.asyncio
async def test_a_zone_that_was_never_shown_is_not_visible_unless_the_words_name_an_access() -> None:
    works = ok({"id": "t", "status": "active"})
    script = Script({f"GET {AOP}": failed(403, 9109, "Invalid zone identifier"), VERIFY: works})
    with pytest.raises(ZoneNotVisible):
        await client(script).list_certificates(access(), ZONE_ID)
    script = Script(
        {
            f"GET {AOP}": failed(403, 9109, "Unauthorized to access requested resource"),
            VERIFY: works,
        }
    )
    with pytest.raises(TokenLacksPermission, match="SSL and Certificates Write"):
        await client(script).list_certificates(access(), ZONE_ID)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.asyncio
async def test_refusals_that_come_and_go_are_never_a_missing_permission(share: float) -> None:
    """Two hours of looks, each refused by chance; the chance is the same in every run."""
    chance = Random(7)  # noqa: S311 - a test guards nothing
    clock = StoppedClock()
    script = Script(
        {
            f"GET {AOP}": lambda _: failed(403, 10000) if chance.random() < share else ok(None),
            VERIFY: lambda _: (
                failed(403, 10000)
                if chance.random() < share
                else ok({"id": "t", "status": "active"})
            ),
        }
    )
    cloudflare, outcomes = client(script, clock), Counter[str]()
    for _ in range(720):
        try:
            await cloudflare.list_certificates(access(), ZONE_ID)
            outcomes["read"] += 1
            clock.at_s += 10
        except TokenDoubted as error:
            outcomes["doubted"] += 1
            clock.at_s += error.retry_after_s or 0
    assert outcomes["read"] > 400
    assert outcomes["doubted"] > 0 or share < 0.3


@pytest.mark.asyncio
async def test_a_permission_that_is_taken_away_is_said_within_a_minute_and_a_half() -> None:
    clock = StoppedClock()
    script = Script(
        {f"GET {AOP}": [ok(None), failed(403, 10000)], VERIFY: ok({"id": "t", "status": "active"})}
    )
    cloudflare = client(script, clock)
    await cloudflare.list_certificates(access(), ZONE_ID)
    clock.at_s += 3600
    taken_s, refused = clock.at_s, False
    while not refused:
        try:
            await cloudflare.list_certificates(access(), ZONE_ID)
        except TokenDoubted as error:
            clock.at_s += error.retry_after_s or 0
        except TokenLacksPermission:
            refused = True
    assert 60 <= clock.at_s - taken_s <= 90


@pytest.mark.asyncio
async def test_a_malformed_token_is_rejected_without_further_calls() -> None:
    script = Script({f"GET {AOP}": failed(400, 6111)})
    with pytest.raises(TokenRejected, match="form of an API token"):
        await client(script).list_certificates(access(), ZONE_ID)
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_a_firewalls_403_condemns_no_token() -> None:
    script = Script({f"GET {AOP}": html(403)})
    with pytest.raises(Unavailable, match="AOP_CLOUDFLARE_BASE_URL"):
        await client(script).list_certificates(access(), ZONE_ID)
    assert len(script.requests) == 1


# --- rate limits and metrics -------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_after_a_429_nothing_is_sent_with_that_token_until_its_time_has_come() -> None:
    clock = StoppedClock()
    script = Script(
        {
            f"GET {AOP}": [failed(429, 10100, headers={"retry-after": "900"}), ok(None)],
            f"GET {AOP}/settings": ok({"enabled": True}),
        }
    )
    cloudflare = client(script, clock)
    with pytest.raises(RateLimited) as caught:
        await cloudflare.list_certificates(access(), ZONE_ID)
    assert (caught.value.retry_after_s, caught.value.codes, caught.value.cf_ray) == (
        900,
        (10100,),
        RAY,
    )
    clock.at_s += 400
    with pytest.raises(RateLimited) as caught:
        await cloudflare.fetch_enablement(access(Priority.PROTECT), ZONE_ID)
    assert caught.value.retry_after_s == 500
    assert len(script.requests) == 1
    assert (await cloudflare.fetch_enablement(access(token="another-token"), ZONE_ID)).enabled
    clock.at_s += 500
    assert await cloudflare.list_certificates(access(), ZONE_ID) == ()


@pytest.mark.parametrize("code", [971, 10100])
@pytest.mark.parametrize("status", [200, 400, 403, 409, 429, 500, 503])
@pytest.mark.asyncio
async def test_a_code_of_throttling_pauses_whatever_the_status(status: int, code: int) -> None:
    throttled = failed(
        status,
        code,
        "Please wait and consider throttling your request speed",
        headers={"retry-after": "60"},
    )
    script = Script(
        {
            f"GET {AOP}": throttled,
            f"POST {AOP}": throttled,
            f"GET {AOP}/settings": ok({"enabled": True}),
        }
    )
    clock = StoppedClock()
    cloudflare = client(script, clock)
    with pytest.raises(RateLimited) as caught:
        await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
    assert caught.value.retry_after_s == 60
    assert not caught.value.may_have_changed
    with pytest.raises(RateLimited):
        await cloudflare.fetch_enablement(access(), ZONE_ID)
    assert len(script.requests) == 1
    clock.at_s += 60
    assert (await cloudflare.fetch_enablement(access(), ZONE_ID)).enabled


@pytest.mark.asyncio
async def test_a_code_of_throttling_in_a_success_is_no_success() -> None:
    answer = ok([])
    throttled = httpx.Response(
        200,
        json={**json.loads(answer.content), "errors": [{"code": 971, "message": "Please wait"}]},
    )
    with pytest.raises(RateLimited):
        await client(Script({f"GET {AOP}": throttled})).list_certificates(access(), ZONE_ID)


@pytest.mark.asyncio
async def test_without_retry_after_the_limits_own_header_says_when() -> None:
    throttled = failed(
        429,
        10100,
        headers={"ratelimit": '"default";r=0;t=200', "ratelimit-policy": '"default";q=1200;w=300'},
    )
    with pytest.raises(RateLimited) as caught:
        await client(Script({f"GET {AOP}": throttled})).list_certificates(access(), ZONE_ID)
    assert caught.value.retry_after_s == 200


@pytest.mark.asyncio
async def test_every_answer_tells_what_is_left_and_tokens_of_one_account_share_it() -> None:
    little = ok([zone()])
    little.headers["ratelimit"] = '"default";r=301;t=200'
    little.headers["ratelimit-policy"] = '"default";q=1200;w=300'
    script = Script({"GET /zones": [ok([zone()]), little], f"GET {AOP}": ok(None)})
    cloudflare = client(script)
    await cloudflare.find_zones(access(token="another-token"), "example.com")
    await cloudflare.find_zones(access(), "example.com")
    await cloudflare.list_certificates(access(token="another-token"), ZONE_ID)
    for token in ("another-token", TOKEN):
        with pytest.raises(RateLimited, match="other tools") as caught:
            await cloudflare.list_certificates(access(token=token), ZONE_ID)
        assert caught.value.retry_after_s == 200
    assert await cloudflare.list_certificates(access(Priority.PROTECT), ZONE_ID) == ()


@pytest.mark.asyncio
async def test_a_429_with_html_pauses_all_the_same() -> None:
    with pytest.raises(RateLimited) as caught:
        await client(Script({f"GET {AOP}": html(429)})).list_certificates(access(), ZONE_ID)
    assert caught.value.retry_after_s == 315


@pytest.mark.asyncio
async def test_every_request_is_counted_by_template_and_outcome() -> None:
    metrics = Metrics()
    script = Script(
        {f"GET {AOP}": [ok(None), httpx.ReadTimeout("slow")], f"GET {ONE}": failed(404, 1552)}
    )
    cloudflare = client(script, metrics=metrics)
    await cloudflare.list_certificates(access(), ZONE_ID)
    with pytest.raises(Unavailable):
        await cloudflare.list_certificates(access(), ZONE_ID)
    with pytest.raises(NotFound):
        await cloudflare.fetch_certificate(access(), ZONE_ID, CERTIFICATE_ID)
    template = "/zones/{zone_id}/origin_tls_client_auth"

    def counted(path: str, status: str) -> float | None:
        return metrics.registry.get_sample_value(
            "aop_cloudflare_requests_total",
            {
                "token": "Secret edge/cloudflare, key api-token",
                "method": "GET",
                "path": path,
                "status": status,
            },
        )

    assert (
        counted(template, "200")
        == counted(template, "timeout")
        == counted(f"{template}/{{certificate_id}}", "404")
        == 1
    )
    assert ZONE_ID not in metrics.exposition().decode()


@pytest.mark.asyncio
async def test_one_onboarding_reads_and_writes_with_one_call_each() -> None:
    """What the loop asks, it pays for once: no hidden verification, no hidden page, no hidden repetition."""
    script = Script(
        {
            "GET /zones": ok([zone()]),
            f"GET /zones/{ZONE_ID}/settings/ssl": ok({"value": "full"}),
            f"GET /zones/{ZONE_ID}/settings/tls_client_auth": ok({"value": "off"}),
            f"GET {AOP}/hostnames": ok(
                [],
                info={"page": 1, "per_page": 1000, "count": 0, "total_count": 0, "total_pages": 0},
            ),
            f"GET {AOP}": ok(None),
            f"GET {AOP}/settings": ok({"enabled": False}),
            f"POST {AOP}": ok(certificate(LEAF)),
            f"PUT {AOP}/settings": ok({"enabled": True}),
        }
    )
    async with client(script) as cloudflare:
        await cloudflare.find_zones(access(), "example.com")
        await cloudflare.fetch_ssl_mode(access(), ZONE_ID)
        await cloudflare.fetch_global_aop(access(), ZONE_ID)
        await cloudflare.list_hostname_associations(access(), ZONE_ID)
        await cloudflare.list_certificates(access(), ZONE_ID)
        await cloudflare.fetch_enablement(access(), ZONE_ID)
        await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
        await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)
    assert len(script.requests) == 8


# --- notifications -----------------------------------------------------------------------------------------------------------------------

POLICY = {"name": "x", "alert_type": "t", "mechanisms": {"email": [{"id": "ops@example.com"}]}}


@pytest.mark.asyncio
async def test_policies_are_read_with_all_that_has_to_be_sent_back() -> None:
    listed = {**POLICY, "id": POLICY_ID, "novel": [1], "description": None, "created": "soon"}
    script = Script({f"GET {ALERTING}/policies": ok([listed])})
    (policy,) = await client(script).list_policies(access(), ACCOUNT_ID)
    assert policy.id == POLICY_ID
    assert policy.mechanisms == POLICY["mechanisms"]
    assert (policy.description, policy.enabled, policy.created) == ("", True, None)
    assert policy.body == {**POLICY, "novel": [1]}


@pytest.mark.asyncio
async def test_a_policy_is_made_replaced_and_deleted() -> None:
    one = f"{ALERTING}/policies/{POLICY_ID}"
    script = Script(
        {
            f"POST {ALERTING}/policies": ok({"id": POLICY_ID}),
            f"PUT {one}": ok({"id": POLICY_ID}),
            f"DELETE {one}": ok(None),
            f"GET {one}": ok({"id": POLICY_ID, **POLICY}),
        }
    )
    cloudflare = client(script)
    assert await cloudflare.create_policy(access(), ACCOUNT_ID, POLICY) == POLICY_ID
    await cloudflare.replace_policy(access(), ACCOUNT_ID, POLICY_ID, POLICY)
    await cloudflare.delete_policy(access(), ACCOUNT_ID, POLICY_ID)
    assert (await cloudflare.fetch_policy(access(), ACCOUNT_ID, POLICY_ID)).name == "x"
    assert [body_of(request) for request in script.requests[:2]] == [POLICY, POLICY]


@pytest.mark.asyncio
async def test_webhook_destinations_are_listed_over_all_pages() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        info = {"page": number, "per_page": 1, "count": 1, "total_count": 2}
        return ok([{"id": str(number), "name": f"hook {number}", "url": "https://x"}], info=info)

    script = Script({f"GET {ALERTING}/destinations/webhooks": answer})
    destinations = await client(script).list_webhooks(access(), ACCOUNT_ID)
    assert [one.name for one in destinations] == ["hook 1", "hook 2"]


@pytest.mark.parametrize(
    "answer",
    [failed(400, 17102), failed(400, 0, "email address is not eligible"), failed(400, None)],
)
@pytest.mark.asyncio
async def test_a_policy_that_is_refused_says_what_to_mend(answer: httpx.Response) -> None:
    script = Script({f"POST {ALERTING}/policies": answer})
    with pytest.raises(AlertsRefused, match=r"spec\.alerts"):
        await client(script).create_policy(access(), ACCOUNT_ID, POLICY)


@pytest.mark.asyncio
async def test_another_policy_is_tried_at_once_and_the_same_one_is_left_alone() -> None:
    script = Script({f"POST {ALERTING}/policies": [failed(400, 17102), ok({"id": POLICY_ID})]})
    cloudflare = client(script)
    for _ in range(2):
        with pytest.raises(AlertsRefused):
            await cloudflare.create_policy(access(), ACCOUNT_ID, POLICY)
    assert len(script.requests) == 1
    other = {**POLICY, "mechanisms": {"email": [{"id": "dev@example.com"}]}}
    assert await cloudflare.create_policy(access(), ACCOUNT_ID, other) == POLICY_ID


@pytest.mark.parametrize("answer", [failed(404, 0, "policy not found"), failed(404, None)])
@pytest.mark.asyncio
async def test_a_policy_that_is_not_there_is_not_found(answer: httpx.Response) -> None:
    script = Script({f"GET {ALERTING}/policies/{POLICY_ID}": answer})
    with pytest.raises(NotFound):
        await client(script).fetch_policy(access(), ACCOUNT_ID, POLICY_ID)


@pytest.mark.parametrize(
    "answer", [failed(404, 7003), failed(403, 10000), failed(403, 9109), failed(404, None)]
)
@pytest.mark.asyncio
async def test_an_account_that_is_not_the_tokens_is_a_missing_permission_there(
    answer: httpx.Response,
) -> None:
    script = Script(
        {f"GET {ALERTING}/policies": answer, VERIFY: ok({"id": "t", "status": "active"})}
    )
    cloudflare = client(script)
    for _ in range(3):
        with pytest.raises((TokenLacksPermission, TokenDoubted)) as caught:
            await cloudflare.list_policies(access(), ACCOUNT_ID)
    assert isinstance(caught.value, TokenLacksPermission)
    assert "'Notifications Write' for this account" in caught.value.message
    assert "Account Resources" in caught.value.message
