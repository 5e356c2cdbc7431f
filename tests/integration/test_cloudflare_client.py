"""The client against the double, over HTTP: the life of a certificate, tokens that work and tokens that do not, answers that get lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from aop import pki
from aop.clock import Clock
from aop.cloudflare import (
    Access,
    AlreadyDeleted,
    AlreadyExists,
    CannotDeleteYet,
    CertificateRefused,
    ChangeUnderWay,
    Cloudflare,
    CloudflareError,
    NotFound,
    NotOffered,
    Priority,
    RateLimited,
    TokenDoubted,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    ZoneNotVisible,
)
from aop.leading import Lead
from sandbox.cloudflare.launcher import PERMISSIONS, CloudflareDouble

T = TypeVar("T")

NOW = datetime.now(UTC)
FIRST, SECOND = pki.throwaway(NOW), pki.throwaway(NOW)
AOP = "/zones/*/origin_tls_client_auth"


@pytest.fixture(autouse=True)
def _as_before(double: CloudflareDouble) -> Iterator[None]:
    with double.control.restored():
        yield


@pytest.fixture
def zone_id(double: CloudflareDouble) -> Iterator[str]:
    """An empty zone of its own for every test."""
    made: str = double.control.make_zone("example.org")["id"]
    yield made
    double.control.ask("DELETE", f"/zones/{made}")


class FastClock(Clock):
    """Seconds are a twentieth as long: the double is quicker than Cloudflare."""

    def monotonic_s(self) -> float:
        return super().monotonic_s() * 20

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)


@asynccontextmanager
async def asking(double: CloudflareDouble) -> AsyncIterator[Cloudflare]:
    """The client, by a fast clock."""
    clock = FastClock()
    async with Cloudflare(
        double.base_url, clock=clock, lead=Lead.alone(clock), sleep=clock.sleep
    ) as cloudflare:
        yield cloudflare


async def once_certain(call: Callable[[], Awaitable[T]]) -> T:
    """The outcome of `call` as soon as it is no doubt: a refusal that may be chance is one only when it lasts."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await once_held_no_more(call)
            except TokenDoubted:
                await asyncio.sleep(0.05)


async def once_held_no_more(call: Callable[[], Awaitable[T]]) -> T:
    """The outcome of `call` as soon as it is really made: what was refused is left alone for some seconds first."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call()
            except CloudflareError as error:
                if error.asked:
                    raise
                await asyncio.sleep(0.05)


def access_of(double: CloudflareDouble, token: str | None = None) -> Access:
    return Access.of(
        (token or double.token) + "\n", Priority.ONBOARD, source="Secret edge/cloudflare"
    )


@pytest.mark.asyncio
async def test_the_life_of_a_certificate(double: CloudflareDouble, zone_id: str) -> None:
    access = access_of(double)
    async with asking(double) as cloudflare:
        assert [zone.id for zone in await cloudflare.find_zones(access, "example.org")] == [zone_id]
        assert (await cloudflare.fetch_zone(access, zone_id)).active
        assert (await cloudflare.fetch_ssl_mode(access, zone_id)).presents
        assert not (await cloudflare.fetch_global_aop(access, zone_id)).on
        assert await cloudflare.list_certificates(access, zone_id) == ()
        assert not (await cloudflare.fetch_enablement(access, zone_id)).enabled

        double.control.turn(deploy_s=0.5)
        uploaded = await cloudflare.upload_certificate(access, zone_id, FIRST.leaf.pem, FIRST.key)
        assert not uploaded.active
        assert uploaded.fingerprint == FIRST.leaf.pin.sha256
        with pytest.raises(CannotDeleteYet):
            await cloudflare.delete_certificate(access, zone_id, uploaded.id)

        async with asyncio.timeout(10):
            while not (await cloudflare.fetch_certificate(access, zone_id, uploaded.id)).active:  # noqa: ASYNC110 - the API can only be polled
                await asyncio.sleep(0.05)
        assert (await cloudflare.set_enablement(access, zone_id, enabled=True)).enabled
        assert [
            certificate.fingerprint
            for certificate in await cloudflare.list_certificates(access, zone_id)
        ] == [FIRST.leaf.pin.sha256]

        double.control.turn(delete_s=600)
        assert (
            await once_held_no_more(
                lambda: cloudflare.delete_certificate(access, zone_id, uploaded.id)
            )
        ).deleting
        with pytest.raises(AlreadyExists):
            await cloudflare.upload_certificate(access, zone_id, FIRST.leaf.pem, FIRST.key)
        with pytest.raises(AlreadyDeleted):
            await cloudflare.delete_certificate(access, zone_id, uploaded.id)


@pytest.mark.asyncio
async def test_a_tombstone_is_not_listed_is_readable_and_cannot_be_deleted_again(
    double: CloudflareDouble, zone_id: str
) -> None:
    access = access_of(double)
    async with asking(double) as cloudflare:
        uploaded = await cloudflare.upload_certificate(access, zone_id, FIRST.leaf.pem, FIRST.key)
        await cloudflare.delete_certificate(access, zone_id, uploaded.id)
        assert await cloudflare.list_certificates(access, zone_id) == ()
        assert (await cloudflare.fetch_certificate(access, zone_id, uploaded.id)).deleted
        with pytest.raises(AlreadyDeleted):
            await cloudflare.delete_certificate(access, zone_id, uploaded.id)
        for call in (cloudflare.fetch_certificate, cloudflare.delete_certificate):
            with pytest.raises(NotFound):
                await call(access, zone_id, "d5035326-5385-4ec3-b77d-d1a122cf3283")


@pytest.mark.asyncio
async def test_an_upload_whose_answer_is_lost_is_found_by_uploading_the_same_again(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.break_api(method="POST", path=AOP, when="after", drop=True, count=1)
    async with asking(double) as cloudflare:
        with pytest.raises(Unavailable, match="does not know whether"):
            await cloudflare.upload_certificate(
                access_of(double), zone_id, FIRST.leaf.pem, FIRST.key
            )
        with pytest.raises(AlreadyExists):
            await once_held_no_more(
                lambda: cloudflare.upload_certificate(
                    access_of(double), zone_id, FIRST.leaf.pem, FIRST.key
                )
            )
        assert len(await cloudflare.list_certificates(access_of(double), zone_id)) == 1
    assert len(double.control.calls("POST", AOP)) >= 2


@pytest.mark.asyncio
async def test_a_key_of_another_certificate_is_refused_for_good(
    double: CloudflareDouble, zone_id: str
) -> None:
    async with asking(double) as cloudflare:
        with pytest.raises(CertificateRefused) as caught:
            await cloudflare.upload_certificate(
                access_of(double), zone_id, FIRST.leaf.pem, SECOND.key
            )
    assert caught.value.status == 400
    assert caught.value.cf_ray


@pytest.mark.asyncio
async def test_mutations_asked_for_at_once_never_meet_a_conflict(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.turn(mutation_s=0.1, serialise_settings=True)
    async with asking(double) as cloudflare:
        access = access_of(double)
        await asyncio.gather(
            cloudflare.upload_certificate(access, zone_id, FIRST.leaf.pem, FIRST.key),
            cloudflare.upload_certificate(access, zone_id, SECOND.leaf.pem, SECOND.key),
            cloudflare.set_enablement(access, zone_id, enabled=True),
        )
    assert 409 not in {
        call["status"] for call in double.control.calls("!GET", f"/zones/{zone_id}/*")
    }


@pytest.mark.asyncio
async def test_hosts_with_a_choice_of_their_own_are_listed_where_that_is_offered(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.associate(
        "a.example.org", zone_id, enabled=False, issue={"common_name": "a.example.org"}
    )
    double.control.associate(
        "b.example.org", zone_id, enabled=True, issue={"common_name": "b.example.org"}
    )
    async with asking(double) as cloudflare:
        seen = await cloudflare.list_hostname_associations(access_of(double), zone_id)
        assert sorted((each.hostname, each.enabled) for each in seen if each.outranks) == [
            ("a.example.org", False),
            ("b.example.org", True),
        ]
        double.control.turn(list_of_hostnames=False)
        with pytest.raises(NotOffered):
            await cloudflare.list_hostname_associations(access_of(double), zone_id)


@pytest.mark.asyncio
async def test_a_fresh_token_is_not_reported_while_it_is_refused_now_and_then(
    double: CloudflareDouble, zone_id: str
) -> None:
    """As the double refuses fresh tokens, but twice instead of by chance: chance also refuses six times in a row."""
    body = json.dumps(
        {
            "success": False,
            "errors": [{"code": 10000, "message": "Unable to authenticate request"}],
            "messages": [],
        }
    )
    double.control.break_api(
        path=AOP, status=403, headers={"content-type": "application/json"}, body=body, count=2
    )
    async with asking(double) as cloudflare:
        assert await cloudflare.list_certificates(access_of(double), zone_id) == ()
    assert [
        call["status"]
        for call in double.control.calls("GET", f"/zones/{zone_id}/origin_tls_client_auth")
    ] == [403, 403, 200]


@pytest.mark.parametrize(
    "order", [{"revoked": True}, {"status": "disabled"}, {"status": "expired"}]
)
@pytest.mark.asyncio
async def test_a_token_that_stops_working_is_rejected(
    double: CloudflareDouble, zone_id: str, order: dict[str, object]
) -> None:
    made = double.control.make_token()
    access = access_of(double, made["value"])
    async with asking(double) as cloudflare:
        assert await cloudflare.list_certificates(access, zone_id) == ()
        double.control.change_token(made["id"], **order)
        with pytest.raises(TokenRejected, match=str(order.get("status", "unknown"))):
            await cloudflare.list_certificates(access, zone_id)


@pytest.mark.asyncio
async def test_a_token_that_never_existed_is_rejected(double: CloudflareDouble) -> None:
    async with asking(double) as cloudflare:
        with pytest.raises(TokenRejected):
            await cloudflare.find_zones(
                access_of(double, "pretend-token-that-nobody-made"), "example.org"
            )


@pytest.mark.parametrize("status", [403, 400])
@pytest.mark.parametrize("missing", PERMISSIONS)
@pytest.mark.asyncio
async def test_each_missing_permission_is_named_and_works_once_added(
    double: CloudflareDouble, zone_id: str, missing: str, status: int
) -> None:
    double.control.turn(missing_permission_status=status)
    made = double.control.make_token(
        [permission for permission in PERMISSIONS if permission != missing]
    )
    access = access_of(double, made["value"])
    async with asking(double) as cloudflare:
        calls = {
            "Zone Read": cloudflare.fetch_zone,
            "SSL and Certificates Write": cloudflare.fetch_enablement,
            "Zone Settings Read": cloudflare.fetch_ssl_mode,
        }
        with pytest.raises(TokenLacksPermission, match=missing):
            await calls.pop(missing)(access, zone_id)
        for call in calls.values():
            await call(access, zone_id)
        double.control.change_token(made["id"], permissions=list(PERMISSIONS))
        assert (await cloudflare.fetch_zone(access, zone_id)).id == zone_id


@pytest.mark.asyncio
async def test_a_permission_to_read_is_not_one_to_write(
    double: CloudflareDouble, zone_id: str
) -> None:
    made = double.control.make_token(
        ["Zone Read", "SSL and Certificates Read", "Zone Settings Read"]
    )
    async with asking(double) as cloudflare:
        access = access_of(double, made["value"])
        assert await cloudflare.list_certificates(access, zone_id) == ()
        with pytest.raises(TokenLacksPermission, match="SSL and Certificates Write"):
            await once_certain(
                lambda: cloudflare.upload_certificate(access, zone_id, FIRST.leaf.pem, FIRST.key)
            )
    assert len(double.control.calls("POST", f"/zones/{zone_id}/*")) == 2, (
        "the key is not sent again and again to be sure"
    )


@pytest.mark.asyncio
async def test_a_zone_outside_the_tokens_scope_is_not_visible(
    double: CloudflareDouble, zone_id: str
) -> None:
    made = double.control.make_token(zones=["example.com"])
    async with asking(double) as cloudflare:
        access = access_of(double, made["value"])
        assert await cloudflare.find_zones(access, "example.org") == ()
        for unseen in (zone_id, "f" * 32):
            with pytest.raises((ZoneNotVisible, TokenLacksPermission)):
                await cloudflare.fetch_zone(access, unseen)


@pytest.mark.asyncio
async def test_one_answer_of_429_pauses_all_zones_of_the_token_and_no_other_token(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.break_api(path=AOP, status=429, headers={"retry-after": "7200"}, count=1)
    other = double.control.make_token()
    async with asking(double) as cloudflare:
        with pytest.raises(RateLimited) as caught:
            await cloudflare.list_certificates(access_of(double), zone_id)
        assert caught.value.retry_after_s == 3600, "an hour is the most that is believed"
        with pytest.raises(RateLimited):
            await cloudflare.find_zones(access_of(double), "example.com")
        assert (
            len(await cloudflare.find_zones(access_of(double, other["value"]), "example.com")) == 1
        )


# --- tokens of every kind ------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_accounts_token_works_and_is_verified_at_its_account_only(
    double: CloudflareDouble, zone_id: str
) -> None:
    made = double.control.make_token(kind="account")
    access, since = access_of(double, made["value"]), last_call(double)
    async with asking(double) as cloudflare:
        assert [zone.id for zone in await cloudflare.find_zones(access, "example.org")] == [zone_id]
        double.control.change_token(made["id"], status="disabled")
        with pytest.raises(TokenRejected, match="disabled"):
            await cloudflare.list_certificates(access, zone_id)
    verified = {call["path"] for call in double.control.calls(path="*/tokens/verify", since=since)}
    assert verified == {f"/accounts/{double.control.zone(zone_id)['account']['id']}/tokens/verify"}


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"elsewhere": True}, "Client IP Address Filtering"),
        ({"not_before": "2199-01-01T00:00:00Z"}, "is not valid before 2199-01-01"),
        ({"expires_on": "2020-01-01T00:00:00Z"}, "expired on 2020-01-01"),
    ],
)
@pytest.mark.parametrize("kind", ["user", "untold"])
@pytest.mark.asyncio
async def test_a_token_that_may_not_be_used_here_or_now_says_so(
    double: CloudflareDouble, zone_id: str, kind: str, order: dict[str, Any], words: str
) -> None:
    made = double.control.make_token(kind=kind, **order)
    async with asking(double) as cloudflare:
        with pytest.raises(TokenRejected, match=words):
            await cloudflare.find_zones(access_of(double, made["value"]), "example.org")


@pytest.mark.asyncio
async def test_a_zone_that_was_shown_names_the_permission_of_each_path(
    double: CloudflareDouble, zone_id: str
) -> None:
    """Zone settings answer 9109, which elsewhere means that there is no such zone."""
    made = double.control.make_token(["Zone Read"])
    access = access_of(double, made["value"])
    async with asking(double) as cloudflare:
        await cloudflare.find_zones(access, "example.org")
        with pytest.raises(TokenLacksPermission, match="Zone Settings Read"):
            await once_certain(lambda: cloudflare.fetch_ssl_mode(access, zone_id))
        with pytest.raises(TokenLacksPermission, match="SSL and Certificates Write"):
            await once_certain(lambda: cloudflare.list_certificates(access, zone_id))


@pytest.mark.asyncio
async def test_a_token_that_is_refused_now_and_then_is_never_said_to_lack_anything(
    double: CloudflareDouble, zone_id: str
) -> None:
    made = double.control.make_token()
    access = access_of(double, made["value"])
    double.control.turn(refuse_every=3)
    async with asking(double) as cloudflare:
        for _ in range(40):
            try:
                await cloudflare.list_certificates(access, zone_id)
            except TokenDoubted:
                continue
    refused = [
        call for call in double.control.calls(path=f"/zones/{zone_id}/*") if call["code"] == 10000
    ]
    assert len(refused) >= 10


# --- limits --------------------------------------------------------------------------------------------------------------------------------


def last_call(double: CloudflareDouble) -> int:
    made = double.control.calls()
    return int(made[-1]["number"]) if made else 0


@asynccontextmanager
async def asking_in_real_time(double: CloudflareDouble) -> AsyncIterator[Cloudflare]:
    async with Cloudflare(double.base_url, clock=Clock(), lead=Lead.alone(Clock())) as cloudflare:
        yield cloudflare


def somebody(double: CloudflareDouble, tokens: int = 1) -> list[Access]:
    """Tokens of a user whose calls nobody else's tests have used up."""
    user = double.control.make_user()["id"]
    return [access_of(double, double.control.make_token(user=user)["value"]) for _ in range(tokens)]


async def as_many_as_go(cloudflare: Cloudflare, accesses: list[Access], zone_ids: list[str]) -> int:
    """Read as fast as the client lets us, with all tokens and zones in turn; how many calls it let through."""
    made = 0
    while True:
        batch = [
            cloudflare.fetch_enablement(
                accesses[(made + n) % len(accesses)], zone_ids[(made + n) % len(zone_ids)]
            )
            for n in range(20)
        ]
        results = await asyncio.gather(*batch, return_exceptions=True)
        made += sum(not isinstance(result, BaseException) for result in results)
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, RateLimited), result
        if any(isinstance(result, RateLimited) for result in results):
            return made


@pytest.mark.asyncio
async def test_many_zones_and_tokens_of_one_user_never_meet_the_real_limit(
    double: CloudflareDouble,
) -> None:
    """1,200 calls in 5 minutes, and then none for 5 minutes: the client stops at three quarters, whoever drives it."""
    zone_ids = [double.control.make_zone(f"crowd-{n}.example.org")["id"] for n in range(20)]
    accesses, since = somebody(double, 5), last_call(double)
    async with asking_in_real_time(double) as cloudflare:
        for access in accesses:
            assert len(await cloudflare.find_zones(access, "crowd-0.example.org")) == 1
        made = await as_many_as_go(cloudflare, accesses, zone_ids)
    assert 700 < made < 900
    assert {call["status"] for call in double.control.calls(since=since)} == {200}
    for zone_id in zone_ids:
        double.control.ask("DELETE", f"/zones/{zone_id}")


@pytest.mark.parametrize("left", [0, 4, 310])
@pytest.mark.asyncio
async def test_after_a_restart_what_others_have_left_is_the_truth(
    double: CloudflareDouble, zone_id: str, left: int
) -> None:
    (access,) = somebody(double)
    double.control.use_up(double.control.state()["tokens"][-1]["owner"], left + 1)
    since = last_call(double)
    async with asking_in_real_time(double) as cloudflare:
        await cloudflare.find_zones(access, "example.org")
        made = await as_many_as_go(cloudflare, [access], [zone_id])
        assert made <= max(left - 300, 0)
        if left:
            assert not (
                await cloudflare.fetch_enablement(access.at(Priority.PROTECT), zone_id)
            ).enabled
    assert 429 not in {call["status"] for call in double.control.calls(since=since)}


@pytest.mark.parametrize("status", [429, 200, 500])
@pytest.mark.parametrize("code", [971, 10100])
@pytest.mark.parametrize("retry_after", [True, False])
@pytest.mark.asyncio
async def test_being_one_too_many_is_recognised_whatever_it_looks_like(
    double: CloudflareDouble, zone_id: str, status: int, code: int, retry_after: bool
) -> None:
    double.control.turn(
        throttled_status=status, throttled_code=code, rate_retry_after=retry_after, rate_block_s=120
    )
    (access,) = somebody(double)
    double.control.use_up(double.control.state()["tokens"][-1]["owner"], 0)
    since = last_call(double)
    async with asking_in_real_time(double) as cloudflare:
        for _ in range(5):
            with pytest.raises(RateLimited) as caught:
                await cloudflare.list_certificates(access, zone_id)
            assert 100 < (caught.value.retry_after_s or 0) <= 120
    assert len(double.control.calls(since=since)) == 1


# --- answers in other shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["as it was", "without newline", "with CRLF", "with its issuer"])
@pytest.mark.asyncio
async def test_a_certificate_is_the_same_however_it_comes_back(
    double: CloudflareDouble, zone_id: str, text: str
) -> None:
    double.control.turn(certificate_text=text)
    async with asking(double) as cloudflare:
        made = await cloudflare.upload_certificate(
            access_of(double), zone_id, FIRST.leaf.pem, FIRST.key
        )
        (listed,) = await cloudflare.list_certificates(access_of(double), zone_id)
    assert made.fingerprint == listed.fingerprint == FIRST.leaf.pin.sha256


@pytest.mark.asyncio
async def test_a_list_of_certificates_that_has_pages_is_read_to_its_end(
    double: CloudflareDouble, zone_id: str
) -> None:
    uploaded = {double.control.upload(zone_id)["id"] for _ in range(5)}
    double.control.turn(certificates_per_page=2)
    async with asking(double) as cloudflare:
        assert {
            one.id for one in await cloudflare.list_certificates(access_of(double), zone_id)
        } == uploaded


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.asyncio
async def test_an_internationalised_zone_is_found_in_either_form(
    double: CloudflareDouble, readable: bool
) -> None:
    double.control.turn(unicode_names=readable)
    made = double.control.make_zone("xn--bcher-kva.example")["id"]
    async with asking(double) as cloudflare:
        for name in ("bücher.example", "xn--bcher-kva.example"):
            (zone,) = await cloudflare.find_zones(access_of(double), name)
            assert (zone.id, zone.name) == (made, "xn--bcher-kva.example")
        assert (
            await cloudflare.fetch_zone(access_of(double), made)
        ).name == "xn--bcher-kva.example"
    double.control.ask("DELETE", f"/zones/{made}")


@pytest.mark.asyncio
async def test_refusals_with_a_result_that_is_null_are_refusals(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.turn(failure_result="null", lasting_1406=True)
    async with asking(double) as cloudflare:
        with pytest.raises(AlreadyExists):
            await cloudflare.upload_certificate(
                access_of(double), zone_id, FIRST.leaf.pem, FIRST.key
            )
        with pytest.raises(NotFound):
            await cloudflare.fetch_certificate(
                access_of(double), zone_id, "d5035326-5385-4ec3-b77d-d1a122cf3283"
            )


@pytest.mark.asyncio
async def test_a_zone_that_is_busy_after_a_change_takes_the_next_one_later(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.turn(busy_s=0.5)
    async with asking(double) as cloudflare:
        access = access_of(double)
        await cloudflare.upload_certificate(access, zone_id, FIRST.leaf.pem, FIRST.key)
        with pytest.raises(ChangeUnderWay):
            await cloudflare.upload_certificate(access, zone_id, SECOND.leaf.pem, SECOND.key)
        async with asyncio.timeout(10):
            while True:
                try:
                    await cloudflare.upload_certificate(
                        access, zone_id, SECOND.leaf.pem, SECOND.key
                    )
                    break
                except ChangeUnderWay:
                    await asyncio.sleep(0.05)
    statuses = [call["status"] for call in double.control.calls("POST", f"/zones/{zone_id}/*")]
    assert statuses[0] == statuses[-1] == 200
    assert statuses.count(409) <= 3, "what was refused is left alone for a while"


@pytest.mark.asyncio
async def test_a_zone_whose_plan_has_no_list_of_hostnames_says_so(
    double: CloudflareDouble, zone_id: str
) -> None:
    double.control.change_zone(zone_id, not_offered=["/origin_tls_client_auth/hostnames*"])
    async with asking(double) as cloudflare:
        with pytest.raises(NotOffered):
            await cloudflare.list_hostname_associations(access_of(double), zone_id)
        assert await cloudflare.list_certificates(access_of(double), zone_id) == ()


def test_no_call_of_all_these_came_with_a_cookie(double: CloudflareDouble) -> None:
    """Each answer had set one."""
    made = double.control.calls()
    assert len(made) > 100
    assert not any(call["cookie"] for call in made)
