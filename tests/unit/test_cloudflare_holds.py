"""What was refused is left alone: for as long as the server says, or longer each time, and only that call."""

from __future__ import annotations

import httpx
import pytest
from pydantic import SecretBytes

from aop.cloudflare import (
    AlreadyExists,
    CertificateRefused,
    ChangeUnderWay,
    Cloudflare,
    CloudflareError,
    NotOffered,
    Priority,
    QuotaReached,
    Refused,
    Shares,
    TokenLacksPermission,
    Unavailable,
    ZoneNotVisible,
)
from aop.errors import Blocked, Reason
from cloudflare_api import (
    AOP,
    CERTIFICATE_ID,
    TOKEN,
    ZONE_ID,
    Script,
    StoppedClock,
    access,
    certificate,
    client,
    failed,
    html,
    ok,
)

LEAF = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = SecretBytes(b"the key that belongs to it")
VERIFY = "GET /user/tokens/verify"
POST = f"POST {AOP}"
WORKS = ok({"id": "t", "status": "active"})


class Uploading:
    """One client whose uploads are answered in one way, asked as often as the loop asks: every two seconds."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.clock = StoppedClock()
        self.script = Script(
            {POST: answer, VERIFY: WORKS, f"PUT {AOP}/settings": ok({"enabled": True})}
        )
        self.client: Cloudflare = client(self.script, self.clock)
        self.errors: list[CloudflareError] = []

    async def upload(self, zone_id: str = ZONE_ID, leaf: str = LEAF, token: str = TOKEN) -> None:
        try:
            await self.client.upload_certificate(access(token=token), zone_id, leaf, KEY)
        except CloudflareError as error:
            self.errors.append(error)

    async def for_seconds(self, seconds: float, *, every_s: float = 2) -> int:
        """The uploads that were sent within so many seconds."""
        before, end_s = self.uploads, self.clock.at_s + seconds
        while self.clock.at_s < end_s:
            await self.upload()
            self.clock.at_s += every_s
        return self.uploads - before

    @property
    def uploads(self) -> int:
        return sum(call.startswith("POST") for call in self.script.calls)


@pytest.mark.parametrize(
    "status", [408, 425, 500, 502, 503, 504, 520, 401, 403, 409, 400, 422, 404]
)
@pytest.mark.asyncio
async def test_retry_after_is_honoured_for_every_status(status: int) -> None:
    uploading = Uploading(failed(status, 1111, headers={"retry-after": "600"}))
    await uploading.for_seconds(599)
    sent = uploading.uploads
    assert sent == 1
    await uploading.for_seconds(4)
    assert uploading.uploads > sent


@pytest.mark.parametrize("status", [500, 503, 520, 404])
@pytest.mark.asyncio
async def test_retry_after_is_honoured_for_reads_too_and_by_everybody_who_asks_the_same(
    status: int,
) -> None:
    clock = StoppedClock()
    script = Script(
        {
            f"GET {AOP}": [failed(status, headers={"retry-after": "600"}), ok(None)],
            f"GET {AOP}/settings": ok({"enabled": True}),
        }
    )
    cloudflare = client(script, clock)
    for _ in range(5):
        with pytest.raises((Unavailable, ZoneNotVisible)) as caught:
            await cloudflare.list_certificates(access(), ZONE_ID)
        clock.at_s += 100
    assert len(script.requests) == 1
    assert not caught.value.asked
    assert (await cloudflare.fetch_enablement(access(), ZONE_ID)).enabled, (
        "another call is not meant"
    )
    clock.at_s += 100
    assert await cloudflare.list_certificates(access(), ZONE_ID) == ()


@pytest.mark.asyncio
async def test_a_read_that_names_no_time_is_held_by_nobody() -> None:
    script = Script({f"GET {AOP}": html(502)})
    cloudflare = client(script)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await cloudflare.list_certificates(access(), ZONE_ID)
    assert len(script.requests) == 3


REFUSALS: dict[str, tuple[httpx.Response | Exception, type[CloudflareError], str]] = {
    "quota, by its code": (failed(400, 1212), QuotaReached, "Delete one at Cloudflare"),
    "quota, by words without a code": (
        failed(400, 1000, "The maximum number of certificates for this zone is reached."),
        QuotaReached,
        "Delete one at Cloudflare",
    ),
    "plan, by words without a code": (
        failed(400, 1000, "Please upgrade your plan"),
        NotOffered,
        "plan or type",
    ),
    "plan, by a code that is about no token": (failed(403, 1234, "no"), NotOffered, "plan or type"),
    "plan, by its status": (failed(402, message="no"), NotOffered, "plan or type"),
    "busy": (failed(409), ChangeUnderWay, "Another certificate"),
    "server error": (failed(500), Unavailable, "Cloudflare gave no usable answer"),
    "server error in other words": (
        failed(400, 1000, "Internal server error"),
        Unavailable,
        "Cloudflare gave no usable answer",
    ),
    "time-out in other words": (
        failed(403, 1000, "upstream timed out"),
        Unavailable,
        "Cloudflare gave no usable answer",
    ),
    "no answer": (httpx.ReadTimeout("slow"), Unavailable, "could not be asked"),
    "a result that cannot be read": (ok(None), Unavailable, "cannot be understood"),
    "certificate": (failed(400, 1408), CertificateRefused, "issue another one"),
    "certificate, by words without a code": (
        failed(400, 1000, "missing leaf certificate"),
        CertificateRefused,
        "issue another one",
    ),
    "unknown": (failed(400, 4711, "no"), CertificateRefused, "its words say why"),
    "there already": (failed(400, 1406), AlreadyExists, "already holds"),
}


@pytest.mark.parametrize(("answer", "expected", "remedy"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.asyncio
async def test_each_refusal_of_an_upload_says_what_to_do_and_backs_off_to_minutes(
    answer: httpx.Response | Exception, expected: type[CloudflareError], remedy: str
) -> None:
    uploading = Uploading(answer)
    sent = await uploading.for_seconds(600)
    assert sent <= 12, "the loop asked 300 times"
    assert await uploading.for_seconds(3600, every_s=10) <= 3600 / 300 + 1
    assert {type(error) for error in uploading.errors} == {expected}
    assert all(remedy in error.message for error in uploading.errors)
    if remedy != "issue another one":
        assert not any("issue another" in error.message for error in uploading.errors)


@pytest.mark.asyncio
async def test_a_token_to_read_with_sends_the_key_a_few_times_and_is_told_what_it_lacks() -> None:
    uploading = Uploading(failed(403, 10000, "Authentication error"))
    assert await uploading.for_seconds(95) <= 4
    assert {type(error) for error in uploading.errors} == {TokenLacksPermission}
    assert "SSL and Certificates > Edit" in uploading.errors[-1].message
    assert await uploading.for_seconds(3600) <= 3600 / 300 + 1


def test_each_refusal_that_a_person_has_to_mend_has_a_reason_of_its_own() -> None:
    assert {
        error.aop_reason
        for error in (QuotaReached, NotOffered, CertificateRefused, TokenLacksPermission)
    } == {
        Reason.CERTIFICATE_QUOTA_REACHED,
        Reason.NOT_OFFERED,
        Reason.CERTIFICATE_REFUSED,
        Reason.TOKEN_LACKS_PERMISSION,
    }


@pytest.mark.asyncio
async def test_what_is_said_of_a_call_that_is_not_made_is_what_was_said_of_it_before() -> None:
    """A status that changes at every visit would be written at every visit."""
    uploading = Uploading(failed(400, 1212))
    await uploading.for_seconds(28)
    assert len(uploading.errors) > 10
    assert len({error.message for error in uploading.errors}) == 1
    assert [error.asked for error in uploading.errors].count(True) == 1
    assert all(
        isinstance(error, Blocked) and error.codes == (1212,) and error.cf_ray
        for error in uploading.errors
    )


@pytest.mark.asyncio
async def test_a_hold_is_of_one_token_one_zone_and_one_leaf() -> None:
    uploading = Uploading(failed(400, 1212))
    await uploading.upload()
    await uploading.upload()
    assert uploading.uploads == 1
    await uploading.upload(leaf=LEAF.replace("A", "C"))
    assert uploading.uploads == 2
    await uploading.upload(token="another-token")
    assert uploading.uploads == 3
    uploading.script.answers[POST.replace(ZONE_ID, "f" * 32)] = [failed(400, 1212)]
    await uploading.upload(zone_id="f" * 32)
    assert uploading.uploads == 4
    await uploading.client.set_enablement(access(), ZONE_ID, enabled=True)


@pytest.mark.asyncio
async def test_a_success_ends_it_and_the_next_refusal_is_the_first_one() -> None:
    clock = StoppedClock()
    script = Script(
        {
            POST: [
                failed(409),
                failed(409),
                ok(certificate(LEAF)),
                failed(409),
                ok(certificate(LEAF)),
            ]
        }
    )
    cloudflare = client(script, clock)
    pauses = []
    for _ in range(5):
        try:
            await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
            pauses.append(0.0)
        except ChangeUnderWay as error:
            pauses.append(error.retry_after_s or 0)
            clock.at_s += error.retry_after_s or 0
    assert pauses == [5, 10, 0, 5, 0]


@pytest.mark.asyncio
async def test_what_is_tried_again_goes_behind_the_resyncs_and_what_was_said_stands_until_it_is_its_turn() -> (
    None
):
    clock = StoppedClock()
    script = Script({POST: [failed(400, 1212)], f"GET {AOP}/settings": ok({"enabled": True})})
    cloudflare = client(
        script, clock, shares=Shares(calls=20, window_s=300, total=1, resync=0.25, protect=0)
    )
    for _ in range(4):
        await cloudflare.fetch_enablement(access(Priority.RESYNC), ZONE_ID)
    with pytest.raises(QuotaReached):
        await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
    clock.at_s += 60
    with pytest.raises(QuotaReached) as caught:
        await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
    assert not caught.value.asked
    assert script.calls.count(POST) == 1
    clock.at_s += 300
    with pytest.raises(QuotaReached):
        await cloudflare.upload_certificate(access(), ZONE_ID, LEAF, KEY)
    assert script.calls.count(POST) == 2


@pytest.mark.asyncio
async def test_what_protects_is_tried_again_at_least_every_minute() -> None:
    clock, script = StoppedClock(), Script({f"PUT {AOP}/settings": failed(500)})
    cloudflare = client(script, clock)
    for _ in range(60):
        with pytest.raises(Unavailable):
            await cloudflare.set_enablement(access(Priority.PROTECT), ZONE_ID, enabled=False)
        clock.at_s += 10
    assert 10 <= len(script.requests) <= 16


@pytest.mark.parametrize(
    "broken",
    [failed(400, 1000, "Certificate is in use."), failed(400, 1434), failed(409), failed(500)],
    ids=["refused", "1434", "409", "500"],
)
@pytest.mark.asyncio
async def test_a_deletion_that_is_refused_backs_off_too_with_the_look_that_follows_it(
    broken: httpx.Response,
) -> None:
    clock = StoppedClock()
    one = f"{AOP}/{CERTIFICATE_ID}"
    script = Script({f"DELETE {one}": broken, f"GET {one}": ok(certificate(LEAF))})
    cloudflare = client(script, clock)
    for _ in range(300):
        with pytest.raises((Refused, ChangeUnderWay, Unavailable, CloudflareError)):
            await cloudflare.delete_certificate(access(), ZONE_ID, CERTIFICATE_ID)
        clock.at_s += 2
    assert len(script.requests) <= 16


@pytest.mark.parametrize(
    ("answer", "may_have_changed"),
    [
        (failed(500), True),
        (html(502), True),
        (html(403), True),
        (failed(408), True),
        (httpx.ReadTimeout("slow"), True),
        (ok(None), True),
        (failed(400, 1408), False),
        (failed(403, 10000), False),
        (failed(409), False),
        (failed(429), False),
        (failed(400, 1406), False),
    ],
)
@pytest.mark.asyncio
async def test_only_a_refusal_tells_that_nothing_has_changed(
    answer: httpx.Response | Exception, may_have_changed: bool
) -> None:
    uploading = Uploading(answer)
    await uploading.upload()
    await uploading.upload()
    assert [error.may_have_changed for error in uploading.errors] == [may_have_changed, False], (
        "what was not asked has changed nothing"
    )


@pytest.mark.asyncio
async def test_a_read_changes_nothing() -> None:
    cloudflare = client(Script({f"GET {AOP}": html(502)}))
    with pytest.raises(Unavailable) as caught:
        await cloudflare.list_certificates(access(), ZONE_ID)
    assert not caught.value.may_have_changed
