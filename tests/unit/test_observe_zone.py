"""Cloudflare's half of what is observed: how rarely it is asked, what its lagging list is worth, and when it counts as still.

The client is a stand-in that answers from a few fields and counts; the real one against the double
is tried in tests/integration.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cloudflare import (
    Access,
    Certificate,
    Cloudflare,
    DeploymentStatus,
    Enablement,
    GlobalAOP,
    HostnameAssociation,
    NotFound,
    NotOffered,
    Priority,
    RateLimited,
    Refused,
    SSLMode,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    Zone,
)
from aop.cloudflare.errors import ApiFailure
from aop.errors import Reason
from aop.metrics import Metrics
from aop.observe.memory import Cached, CloudflareMemory, Memory
from aop.observe.zone import ZoneReader, changed, is_still
from aop.observed import CertificateState, ObservedZone, Unknown
from aop.pki import pin_of, throwaway
from aop.settings import Settings
from builders import KEY, NOW, UID, ZONE_ID, evidence, spec

ACTIVE, PENDING, DELETING = (
    DeploymentStatus.ACTIVE,
    DeploymentStatus.PENDING_DEPLOYMENT,
    DeploymentStatus.PENDING_DELETION,
)
PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
LEAF, OTHER = (throwaway(NOW).leaf for _ in range(2))
EACH_ONCE = dict.fromkeys(("zones", "ssl", "global", "hostnames", "list", "enabled"), 1)
"""The calls of a look at everything, one for each reading that is kept."""


def certificate(
    id_: str = "ours", status: DeploymentStatus = ACTIVE, pem: str = LEAF.pem
) -> Certificate:
    return Certificate(id=id_, status=status, certificate=pem, uploaded_on=NOW)


class ZoneApi:
    """Answers from its fields, and counts."""

    def __init__(self) -> None:
        self.zones: list[Zone] = [zone()]
        self.listed: list[Certificate] = []
        self.by_id: dict[str, Certificate] = {}
        self.enabled = False
        self.associations: list[HostnameAssociation] = []
        self.mode, self.shared = "strict", "off"
        self.failure: Exception | None = None
        self.failures: dict[str, Exception] = {}
        """By call."""
        self.by_token: Mapping[str, Exception | None] = {}
        """By the digest of the token; None: it shows no zone."""
        self.calls: Counter[str] = Counter()
        self.priorities: list[Priority] = []

    def _asked(self, access: Access, what: str) -> None:
        self.calls[what] += 1
        self.priorities.append(access.priority)
        if failure := self.failure or self.failures.get(what) or self.by_token.get(access.key):
            raise failure

    async def find_zones(self, access: Access, name: str) -> tuple[Zone, ...]:
        self._asked(access, "zones")
        return (
            ()
            if access.key in self.by_token
            else tuple(one for one in self.zones if one.name == name)
        )

    async def fetch_zone(self, access: Access, zone_id: str) -> Zone:
        self._asked(access, "zone")
        return next(one for one in self.zones if one.id == zone_id)

    async def fetch_ssl_mode(self, access: Access, _: str) -> SSLMode:
        self._asked(access, "ssl")
        return SSLMode(value=self.mode)

    async def fetch_global_aop(self, access: Access, _: str) -> GlobalAOP:
        self._asked(access, "global")
        return GlobalAOP(value=self.shared)

    async def list_hostname_associations(
        self, access: Access, _: str
    ) -> tuple[HostnameAssociation, ...]:
        self._asked(access, "hostnames")
        return tuple(self.associations)

    async def list_certificates(self, access: Access, _: str) -> tuple[Certificate, ...]:
        self._asked(access, "list")
        return tuple(self.listed)

    async def fetch_certificate(self, access: Access, _: str, certificate_id: str) -> Certificate:
        self._asked(access, "certificate")
        if certificate_id not in self.by_id:
            raise NotFound("there is none")
        return self.by_id[certificate_id]

    async def fetch_enablement(self, access: Access, _: str) -> Enablement:
        self._asked(access, "enabled")
        return Enablement(enabled=self.enabled)


def zone(**changes: Any) -> Zone:
    parsed = Zone.model_validate(
        {
            "id": ZONE_ID,
            "name": "example.com",
            "status": "active",
            "account": {"id": "acc", "name": "A"},
        }
    )
    return parsed.model_copy(update=changes)


class ZoneReading:
    """One object's reader, and the clock that the test moves."""

    def __init__(self, api: ZoneApi | None = None, pull: AuthenticatedOriginPull = PULL) -> None:
        self.api, self.pull, self.now = api or ZoneApi(), pull, NOW
        self.settings = Settings()
        self.memory = Memory()
        self.access: Access | Unknown = Access.of("pretend-token", Priority.ONBOARD)
        self.metrics = Metrics()
        self._reader = ZoneReader(cast("Cloudflare", self.api), self.settings, self.metrics)

    def bugs(self) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "aop_reader_bugs_total", {"reader": "cloudflare"}
            )
            or 0
        )

    async def read(
        self, after_s: float = 0, *, hurry: bool = False
    ) -> ObservedZone | Unknown | None:
        """Look after so many seconds; the calls that it took are in `calls`."""
        self.now += timedelta(seconds=after_s)
        before = self.api.calls.copy()
        source = await self._reader.read(
            self.pull, self.access, self.memory, self.now, [LEAF.pin], hurry=hurry
        )
        self.calls = dict(self.api.calls - before)
        return source

    async def zone(self, after_s: float = 0) -> ObservedZone:
        source = await self.read(after_s)
        assert isinstance(source, ObservedZone), source
        return source

    def still(self) -> bool:
        return is_still(self.memory, self.settings.quiet_period_s)


# --- how often -------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_first_look_asks_for_each_once_and_a_resync_for_two() -> None:
    reading = ZoneReading()
    await reading.zone()
    assert reading.calls == EACH_ONCE
    await reading.zone(after_s=299)
    assert reading.calls == {}
    await reading.zone(after_s=1)
    assert reading.calls == {"list": 1, "enabled": 1}
    await reading.zone(after_s=3300)
    assert reading.calls == EACH_ONCE


@pytest.mark.asyncio
async def test_what_the_edge_shows_to_have_changed_is_looked_up_at_once_and_once() -> None:
    """A mode that was lowered was named after an hour, although every visitor's request showed it."""
    reading = ZoneReading()
    await reading.zone()
    await reading.zone(after_s=30)
    assert reading.calls == {}
    reading.memory.cloudflare.doubted_at = reading.now + timedelta(seconds=1)
    reading.api.mode = "flexible"
    assert (await reading.zone(after_s=2)).ssl_mode == "flexible"
    assert reading.calls == EACH_ONCE
    await reading.zone(after_s=2)
    assert reading.calls == {}


ONLY: dict[Reason, tuple[dict[str, Any], set[str]]] = {
    Reason.ZONE_NOT_FOUND: ({"zones": []}, {"zones"}),
    Reason.ZONE_NOT_ACTIVE: ({"zones": [zone(status="pending")]}, {"zones"}),
    Reason.SSL_MODE_TOO_LOW: ({"mode": "flexible"}, {"ssl"}),
}
"""What blocks, and the one call by which it is seen that it no longer does."""


async def blocked_for(reading: ZoneReading, reason: Reason, seconds: int) -> Counter[str]:
    """What is asked while the object is blocked for so long and visited every 15 s."""
    reading.memory.blocked_on, before = reason, reading.api.calls.copy()
    for _ in range(seconds // 15):
        await reading.read(after_s=15, hurry=True)
    return reading.api.calls - before


@pytest.mark.asyncio
@pytest.mark.parametrize(("reason", "world"), ONLY.items(), ids=[reason.value for reason in ONLY])
async def test_only_the_endpoint_that_blocks_is_read_again_less_and_less_often(
    reason: Reason, world: tuple[dict[str, Any], set[str]]
) -> None:
    changes, only = world
    api = ZoneApi()
    for name, value in changes.items():
        setattr(api, name, value)
    reading = ZoneReading(api)
    await reading.read()
    api.priorities.clear()
    asked = await blocked_for(reading, reason, 300)
    assert set(asked) == only
    assert asked.total() <= 5
    assert set(api.priorities) == {Priority.RESYNC}, "an object that is blocked is nobody's hurry"
    assert (await blocked_for(reading, reason, 3000)).total() <= 11, (
        "once per resync, and hardly anything else"
    )


@pytest.mark.asyncio
async def test_fifteen_zones_with_a_mode_that_is_too_low_are_not_what_the_calls_are_for() -> None:
    """834 calls in five minutes were made for them."""
    total = 0
    for _ in range(15):
        api = ZoneApi()
        api.mode = "flexible"
        reading = ZoneReading(api)
        await reading.read()
        total += (await blocked_for(reading, Reason.SSL_MODE_TOO_LOW, 300)).total() + len(EACH_ONCE)
    assert total <= 15 * (len(EACH_ONCE) + 5)


@pytest.mark.asyncio
async def test_what_is_mended_is_seen_within_a_resync_and_the_rest_is_read_before_anything_is_decided_on_it() -> (
    None
):
    api = ZoneApi()
    api.mode = "flexible"
    reading = ZoneReading(api)
    await reading.read()
    await blocked_for(reading, Reason.SSL_MODE_TOO_LOW, 3000)
    api.mode, api.enabled = "strict", True
    mended_at = reading.now
    while (zone_seen := await reading.zone(after_s=15)).ssl_mode != "strict":
        assert reading.now - mended_at <= timedelta(seconds=300)
    assert reading.calls == {"ssl": 1, "list": 1, "enabled": 1}
    assert zone_seen.enabled, "not what was known of it fifty minutes ago"


@pytest.mark.asyncio
async def test_whoever_blocks_for_another_reason_begins_anew() -> None:
    api = ZoneApi()
    api.mode = "flexible"
    reading = ZoneReading(api)
    await reading.read()
    await blocked_for(reading, Reason.SSL_MODE_TOO_LOW, 3000)
    await blocked_for(reading, Reason.ORIGIN_NOT_FOUND, 15)
    assert (await blocked_for(reading, Reason.SSL_MODE_TOO_LOW, 60))["ssl"] >= 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("shared", "presented", "asked"),
    [
        ("on", False, {"global"}),
        ("off", True, {"list", "enabled"}),
        ("on", True, {"list", "enabled"}),
    ],
)
async def test_another_s_certificate_is_looked_for_where_it_is(
    shared: str, presented: bool, asked: set[str]
) -> None:
    api = ZoneApi()
    api.shared, api.enabled = shared, presented
    api.listed = [certificate("theirs", pem=OTHER.pem)] if presented else []
    reading = ZoneReading(api)
    await reading.read()
    await blocked_for(reading, Reason.FOREIGN_CERTIFICATE, 30)
    assert set(await blocked_for(reading, Reason.FOREIGN_CERTIFICATE, 45)) == asked


@pytest.mark.asyncio
async def test_a_removal_is_blocked_by_nothing_at_cloudflare() -> None:
    api = ZoneApi()
    api.mode = "flexible"
    reading = ZoneReading(api, replace(PULL, deleted_at=NOW))
    await reading.read()
    asked = await blocked_for(reading, Reason.SSL_MODE_TOO_LOW, 600)
    assert asked == {"zones": 2, "list": 2, "enabled": 2}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["ssl", "global", "hostnames"])
async def test_a_removal_needs_to_know_the_certificates_and_the_enablement_and_nothing_else(
    what: str,
) -> None:
    api = ZoneApi()
    api.failures[what] = TokenLacksPermission("no")
    assert isinstance(await ZoneReading(api, replace(PULL, deleted_at=NOW)).read(), ObservedZone)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "reason",
    [
        Reason.ORIGIN_NOT_FOUND,
        Reason.KEY_PAIR_INVALID,
        Reason.ZONE_CLAIMED,
        Reason.CERTIFICATE_QUOTA_REACHED,
    ],
)
async def test_what_is_blocked_elsewhere_or_by_a_change_is_read_like_any_other(
    reason: Reason,
) -> None:
    reading = ZoneReading()
    await reading.zone()
    assert await blocked_for(reading, reason, 600) == {"list": 2, "enabled": 2}
    assert set(reading.api.priorities[len(EACH_ONCE) :]) == {Priority.RESYNC}


@pytest.mark.asyncio
async def test_a_call_that_fails_is_repeated_by_itself() -> None:
    api = ZoneApi()
    api.failures["ssl"] = TokenLacksPermission("Zone Settings Read is missing")
    reading = ZoneReading(api)
    zone_seen = await reading.read()
    assert isinstance(zone_seen, Unknown)
    assert zone_seen.reason is Reason.TOKEN_LACKS_PERMISSION
    asked = await blocked_for(reading, Reason.TOKEN_LACKS_PERMISSION, 300)
    assert set(asked) == {"ssl"}
    assert asked.total() <= 5
    assert (await blocked_for(reading, Reason.TOKEN_LACKS_PERMISSION, 3000)).total() <= 12


def with_conditions(generation: int = 1, **truths: str) -> AuthenticatedOriginPull:
    """The object with a status in which these conditions are said."""
    conditions = [
        {
            "type": kind,
            "status": truth,
            "reason": "Ready",
            "message": "",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
            "observedGeneration": 1,
        }
        for kind, truth in truths.items()
    ]
    return replace(
        PULL,
        generation=generation,
        status=Status.parse({"observedGeneration": 1, "conditions": conditions}),
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("pull", "hurry", "priority"),
    [
        (PULL, True, Priority.ONBOARD),
        (PULL, False, Priority.RESYNC),
        (with_conditions(Ready="True"), True, Priority.RESYNC),
        (with_conditions(Ready="False", Stalled="True"), True, Priority.RESYNC),
        (with_conditions(Ready="False"), True, Priority.ONBOARD),
        (with_conditions(2, Ready="True"), True, Priority.ONBOARD),
        (replace(with_conditions(Ready="True"), deleted_at=NOW), True, Priority.ONBOARD),
    ],
    ids=[
        "new",
        "nobody waits",
        "ready before a restart",
        "blocked before a restart",
        "on its way",
        "changed",
        "being removed",
    ],
)
async def test_a_person_who_waits_goes_before_a_resync(
    pull: AuthenticatedOriginPull, hurry: bool, priority: Priority
) -> None:
    reading = ZoneReading(pull=pull)
    await reading.read(hurry=hurry)
    assert set(reading.api.priorities) == {priority}


# --- what only explains --------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["global", "hostnames"])
@pytest.mark.parametrize(
    "failure", [NotOffered("the plan has none"), TokenLacksPermission("no"), Refused("HTTP 422")]
)
async def test_what_only_explains_is_said_where_it_cannot_be_looked_up_and_blocks_nobody(
    what: str, failure: Exception
) -> None:
    api = ZoneApi()
    api.failures[what] = failure
    reading = ZoneReading(api)
    if isinstance(failure, Refused):
        await reading.read()
        reading.now += timedelta(seconds=60)
    zone_seen = await reading.zone()
    assert (zone_seen.global_on, zone_seen.outranked) == (False, ())
    (unseen,) = zone_seen.unseen
    assert str(failure) in unseen
    asked = api.calls[what]
    await reading.zone(after_s=299)
    assert api.calls[what] == asked
    del api.failures[what]
    assert (await reading.zone(after_s=3600)).unseen == ()


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["global", "hostnames"])
async def test_an_outage_of_what_only_explains_holds_up_a_first_look_for_a_minute_at_most(
    what: str,
) -> None:
    api = ZoneApi()
    api.failures[what] = Unavailable("HTTP 500")
    reading = ZoneReading(api)
    waited_s, zone_seen = 0, await reading.read()
    while isinstance(zone_seen, Unknown):
        waited_s += 1
        zone_seen = await reading.read(after_s=1)
    assert 30 <= waited_s <= 95
    assert isinstance(zone_seen, ObservedZone)
    del api.failures[what]
    assert (await reading.zone(after_s=301)).unseen == (), (
        "what may pass is tried again with the next resync"
    )


@pytest.mark.asyncio
async def test_an_outage_that_is_announced_to_last_holds_up_nobody() -> None:
    api = ZoneApi()
    api.failures["global"] = Unavailable("HTTP 503", retry_after_s=600)
    assert (await ZoneReading(api).zone()).unseen != ()


@pytest.mark.asyncio
async def test_what_was_known_of_it_stands_while_it_cannot_be_looked_up() -> None:
    api = ZoneApi()
    api.shared = "on"
    reading = ZoneReading(api)
    await reading.zone()
    api.failures["global"] = Unavailable("HTTP 500")
    zone_seen = await reading.zone(after_s=3600)
    assert zone_seen.global_on
    assert zone_seen.unseen != ()


# --- the budget ----------------------------------------------------------------------------------------------------------------------------

TOO_MANY = ApiFailure("GET", "/zones", 429, retry_after_s=40.0)


@pytest.mark.asyncio
async def test_a_resync_that_has_to_wait_its_turn_is_no_reason_to_know_nothing() -> None:
    reading = ZoneReading()
    before = await reading.zone()
    reading.api.failure = RateLimited("Calls to Cloudflare pause for 40 s", retry_after_s=40)
    assert await reading.read(after_s=300) == before
    late = await reading.zone(after_s=3000)
    assert replace(late, unseen=()) == before
    assert "Read at 2026-03-01 12:00:00 UTC" in late.unseen[0], (
        "and not when it will be read, which would be written at every visit"
    )
    assert isinstance(await reading.read(after_s=300), Unknown), (
        "but nothing is decided on what is older than an hour"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("zones", [[], [zone()]])
async def test_neither_is_it_for_a_zone_that_is_not_there_or_a_look_that_failed(
    zones: list[Zone],
) -> None:
    """What was said stands: a reason that comes and goes with the budget would be written, and read, each time."""
    api = ZoneApi()
    api.zones = zones
    if zones:
        api.failures["ssl"] = TokenLacksPermission("Zone Settings Read is missing")
    reading = ZoneReading(api)
    before = await reading.read()
    reading.memory.blocked_on = Reason.TOKEN_LACKS_PERMISSION if zones else Reason.ZONE_NOT_FOUND
    api.failure = RateLimited("Calls to Cloudflare pause for 40 s", retry_after_s=40)
    assert await reading.read(after_s=300) == before
    assert await reading.read(after_s=300) == before


@pytest.mark.asyncio
async def test_what_an_effect_has_changed_is_not_known_before_it_was_read() -> None:
    reading = ZoneReading()
    await reading.zone()
    reading.memory.cloudflare.enabled.forget()
    reading.api.failure = RateLimited("Calls to Cloudflare pause for 40 s", retry_after_s=40)
    assert isinstance(await reading.read(after_s=1), Unknown)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("failure", "postponed"),
    [
        (RateLimited("Calls to Cloudflare pause for 40 s", retry_after_s=40), True),
        (RateLimited("one too many", TOO_MANY, retry_after_s=40), False),
        (Unavailable("HTTP 500"), False),
    ],
)
async def test_it_is_told_whether_nobody_was_asked_or_cloudflare_refused(
    failure: Exception, postponed: bool
) -> None:
    reading = ZoneReading()
    reading.api.failure = failure
    answer = await reading.read()
    assert isinstance(answer, Unknown)
    assert answer.postponed is postponed


@pytest.mark.asyncio
async def test_a_look_at_everything_asks_once_for_each_reading_and_is_then_complete() -> None:
    reading, kept = ZoneReading(), CloudflareMemory()
    readings = [each.name for each in fields(kept) if isinstance(getattr(kept, each.name), Cached)]
    assert not reading.memory.cloudflare.complete
    await reading.zone()
    assert reading.calls == EACH_ONCE
    assert len(EACH_ONCE) == len(readings)
    assert reading.memory.cloudflare.complete


@pytest.mark.asyncio
async def test_another_token_reads_everything_anew() -> None:
    reading = ZoneReading()
    await reading.zone()
    reading.access = Access.of("another-token", Priority.ONBOARD)
    await reading.zone()
    assert reading.calls == EACH_ONCE


# --- which zone --------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_zone_is_told_as_it_is() -> None:
    api = ZoneApi()
    api.enabled = True
    api.listed = [certificate()]
    outranking = [
        HostnameAssociation(hostname=f"{name}.example.com", enabled=on)
        for name, on in (("b", False), ("a", True), ("void", None))
    ]
    api.associations = [
        *outranking,
        HostnameAssociation(
            hostname="gone.example.com", enabled=True, status=DeploymentStatus.DELETED
        ),
    ]
    zone_seen = await ZoneReading(api).zone()
    assert (
        zone_seen.id,
        zone_seen.account_id,
        zone_seen.active,
        zone_seen.ssl_mode,
        zone_seen.global_on,
        zone_seen.enabled,
    ) == (
        ZONE_ID,
        "acc",
        True,
        "strict",
        False,
        True,
    )
    assert zone_seen.outranked == ("a.example.com", "b.example.com")
    assert [(c.id, c.pin, c.state, c.ours) for c in zone_seen.certificates] == [
        ("ours", LEAF.pin, CertificateState.ACTIVE, True)
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("changes", [{"status": "pending"}, {"paused": True}])
async def test_a_zone_that_nothing_passes_is_not_active(changes: dict[str, Any]) -> None:
    api = ZoneApi()
    api.zones = [zone(**changes)]
    assert not (await ZoneReading(api).zone()).active


@pytest.mark.asyncio
async def test_no_zone_is_none_and_two_name_their_accounts() -> None:
    api = ZoneApi()
    reading = ZoneReading(api)
    api.zones = []
    assert await reading.read() is None
    reading.memory = Memory()
    api.zones = [zone(), zone(id="f" * 32, account_id="other")]
    zone_seen = await reading.read()
    assert isinstance(zone_seen, Unknown)
    assert zone_seen.reason is Reason.ZONE_AMBIGUOUS
    assert f"other (zone id {'f' * 32})" in zone_seen.message
    assert f"acc (zone id {ZONE_ID})" in zone_seen.message


@pytest.mark.asyncio
async def test_an_id_is_believed_only_with_its_name() -> None:
    named = replace(PULL, spec=spec(zone={"name": "example.com", "id": ZONE_ID}))
    assert isinstance(await ZoneReading(pull=named).read(), ObservedZone)
    api = ZoneApi()
    api.zones = [zone(name="example.org")]
    zone_seen = await ZoneReading(api, named).read()
    assert isinstance(zone_seen, Unknown)
    assert zone_seen.reason is Reason.ZONE_NOT_FOUND
    assert "example.org" in zone_seen.message


@pytest.mark.asyncio
@pytest.mark.parametrize("written", ["bücher.example", "xn--bcher-kva.example"])
@pytest.mark.parametrize("by_id", [True, False])
async def test_an_internationalised_zone_is_the_one_that_is_meant_in_either_form(
    written: str, by_id: bool
) -> None:
    api = ZoneApi()
    api.zones = [Zone.model_validate({"id": ZONE_ID, "name": "bücher.example", "status": "active"})]
    named = replace(PULL, spec=spec(zone={"name": written} | ({"id": ZONE_ID} if by_id else {})))
    assert (await ZoneReading(api, named).zone()).name == "xn--bcher-kva.example"


# --- certificates --------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (DeploymentStatus.INITIALIZING, CertificateState.PENDING),
        (PENDING, CertificateState.PENDING),
        (DeploymentStatus.UNKNOWN, CertificateState.PENDING),
        (ACTIVE, CertificateState.ACTIVE),
        (DELETING, CertificateState.DELETING),
        (DeploymentStatus.DEPLOYMENT_TIMED_OUT, CertificateState.FAILED),
        (DeploymentStatus.DELETION_TIMED_OUT, CertificateState.FAILED),
    ],
)
async def test_a_status_is_one_of_four_states(
    status: DeploymentStatus, state: CertificateState
) -> None:
    api = ZoneApi()
    api.listed = [certificate(status=status)]
    api.by_id = {"ours": certificate(status=status)}
    (first,) = (await ZoneReading(api).zone()).certificates
    assert first.state is state
    assert first.status == status.value


@pytest.mark.asyncio
async def test_another_s_certificate_and_one_that_cannot_be_read_are_not_ours() -> None:
    api = ZoneApi()
    api.listed = [certificate("theirs", pem=OTHER.pem), certificate("broken", pem="-----BEGIN")]
    zone_seen = await ZoneReading(api).zone()
    assert [(c.id, c.ours) for c in zone_seen.certificates] == [
        ("broken", False),
        ("theirs", False),
    ]
    assert zone_seen.certificates[1].pin == pin_of(OTHER.pem)


@pytest.mark.asyncio
async def test_a_moving_certificate_is_followed_by_its_id_at_a_growing_distance() -> None:
    api = ZoneApi()
    api.listed = [certificate(status=PENDING)]
    api.by_id = {"ours": certificate(status=PENDING)}
    reading = ZoneReading(api)
    await reading.zone()
    assert reading.calls["certificate"] == 1
    asked = 0
    for _ in range(60):
        await reading.zone(after_s=1)
        asked += reading.calls.get("certificate", 0)
    assert 7 <= asked <= 12
    assert api.calls["list"] == 1, "the list lags, so it is not asked more often for that"
    api.by_id = {"ours": certificate()}
    assert (await reading.zone(after_s=10)).certificates[0].state is CertificateState.ACTIVE
    await reading.zone(after_s=10)
    assert reading.calls == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("tombstone", [True, False])
async def test_one_that_is_gone_by_its_id_is_gone_though_the_list_still_shows_it(
    tombstone: bool,
) -> None:
    api = ZoneApi()
    api.listed = [certificate(status=DELETING)]
    api.by_id = {"ours": certificate(status=DeploymentStatus.DELETED)} if tombstone else {}
    reading = ZoneReading(api)
    assert (await reading.zone()).certificates == ()
    api.listed = [certificate()]
    assert (await reading.zone(after_s=300)).certificates == (), (
        "a list from before may even show it as active"
    )
    api.listed = []
    await reading.zone(after_s=300)
    assert list(reading.memory.cloudflare.gone) == ["ours"], "the id may come back to life"


@pytest.mark.asyncio
async def test_a_certificate_that_comes_back_under_its_old_id_is_there() -> None:
    api = ZoneApi()
    api.listed = [certificate(status=DELETING)]
    reading = ZoneReading(api)
    assert (await reading.zone()).certificates == ()
    api.listed, api.by_id = [certificate()], {"ours": certificate()}
    for _ in range(3):
        assert [c.state for c in (await reading.zone(after_s=300)).certificates] == [
            CertificateState.ACTIVE
        ]
    assert reading.memory.cloudflare.gone == {}


@pytest.mark.asyncio
async def test_another_s_certificate_that_never_leaves_pending_is_read_with_the_list_and_not_polled() -> (
    None
):
    api = ZoneApi()
    api.listed = [certificate(f"theirs-{number}", PENDING, OTHER.pem) for number in range(40)]
    reading = ZoneReading(api)
    zone_seen = await reading.zone()
    assert {c.state for c in zone_seen.certificates} == {CertificateState.PENDING}
    assert reading.calls == EACH_ONCE, "one zone's first look is within anybody's budget"
    for _ in range(60):
        await reading.zone(after_s=10)
    assert api.calls["certificate"] == 0
    api.listed = [certificate("theirs-0", ACTIVE, OTHER.pem)]
    assert [c.state for c in (await reading.zone(after_s=300)).certificates] == [
        CertificateState.ACTIVE
    ]


@pytest.mark.asyncio
async def test_one_of_ours_that_never_leaves_pending_is_asked_for_less_and_less_often() -> None:
    api = ZoneApi()
    api.listed, api.by_id = [certificate(status=PENDING)], {"ours": certificate(status=PENDING)}
    reading = ZoneReading(api)
    for _ in range(3600):
        await reading.zone(after_s=1)
    assert api.calls["certificate"] <= 30
    before = api.calls["certificate"]
    api.listed.append(certificate("next", PENDING))
    api.by_id["next"] = certificate("next", PENDING)
    reading.memory.cloudflare.listed.forget()
    for _ in range(10):
        await reading.zone(after_s=1)
    assert api.calls["certificate"] - before >= 8, "another one is asked for as the first was"


@pytest.mark.asyncio
async def test_an_upload_that_the_list_does_not_show_yet_is_known() -> None:
    reading = ZoneReading()
    await reading.zone()
    reading.memory.cloudflare.known["ours"] = certificate(status=PENDING)
    reading.api.by_id = {"ours": certificate()}
    assert [c.state for c in (await reading.zone(after_s=1)).certificates] == [
        CertificateState.ACTIVE
    ]


# --- still -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_cloudflare_is_still_once_it_was_read_unchanged_for_long_enough() -> None:
    reading = ZoneReading()
    await reading.zone()
    assert not reading.still()
    await reading.zone(after_s=300)
    assert not reading.still(), "exactly that long is not longer"
    await reading.zone(after_s=300)
    assert reading.still()


@pytest.mark.asyncio
async def test_time_alone_makes_nothing_still() -> None:
    reading = ZoneReading()
    await reading.zone()
    reading.now += timedelta(days=1)
    assert not reading.still()


@pytest.mark.asyncio
async def test_any_change_that_is_read_begins_the_quiet_period_and_proof_again() -> None:
    reading = ZoneReading()
    for _ in range(3):
        await reading.zone(after_s=300)
    assert reading.still()
    reading.memory.evidence = {"example.com": evidence()}
    reading.api.enabled = True
    await reading.zone(after_s=300)
    assert not reading.still()
    assert (
        reading.memory.evidence["example.com"].count,
        reading.memory.evidence["example.com"].since,
    ) == (0, None)


@pytest.mark.asyncio
async def test_an_effect_of_ours_begins_it_again_too() -> None:
    reading = ZoneReading()
    for _ in range(3):
        await reading.zone(after_s=300)
    changed(reading.memory, reading.now)
    assert not reading.still()


@pytest.mark.asyncio
async def test_whoever_waits_for_the_quiet_period_does_not_wait_for_a_resync() -> None:
    reading = ZoneReading()
    reading.settings = reading.settings.model_copy(
        update={"resync_s": 86400.0, "quiet_period_s": 60.0}
    )
    reading._reader = ZoneReader(cast("Cloudflare", reading.api), reading.settings)
    reading.memory.awaits_quiet_period = True
    await reading.zone()
    await reading.zone(after_s=59)
    assert reading.calls == {}
    await reading.zone(after_s=2)
    assert reading.calls == {"list": 1, "enabled": 1}
    assert reading.still()
    await reading.zone(after_s=1)
    assert reading.calls == {}


# --- failures --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_outage_is_tried_again_at_a_growing_distance_and_is_nobodys_fault() -> None:
    reading = ZoneReading()
    reading.api.failure = Unavailable("HTTP 500, cf-ray 1")
    zone_seen = await reading.read()
    assert zone_seen == Unknown("HTTP 500, cf-ray 1", None, 1.0)
    asked = 0
    for _ in range(120):
        await reading.read(after_s=1)
        asked += sum(reading.calls.values())
    assert 5 <= asked <= 12
    reading.api.failure = None
    await reading.zone(after_s=31)
    assert reading.memory.cloudflare.failure is None


@pytest.mark.asyncio
async def test_an_exception_that_nobody_expected_is_a_reason_with_a_count_and_is_forgotten_once_it_is_over() -> (
    None
):
    reading = ZoneReading()
    await reading.zone()
    reading.api.failure = OverflowError("date value out of range")
    zone_seen = await reading.read(after_s=300)
    assert isinstance(zone_seen, Unknown)
    assert zone_seen.reason is None
    assert "OverflowError" in zone_seen.message
    asked = 0
    for _ in range(120):
        assert isinstance(await reading.read(after_s=1), Unknown)
        asked += sum(reading.calls.values())
    assert 5 <= asked <= 12
    assert reading.bugs() == asked + 1
    reading.api.failure = None
    await reading.zone(after_s=31)
    assert reading.memory.cloudflare.failure is None


@pytest.mark.asyncio
async def test_an_exception_in_what_is_made_of_the_answers_is_one_too() -> None:
    reading = ZoneReading()
    without_zone = certificate("odd").model_copy(update={"uploaded_on": NOW.replace(tzinfo=None)})
    reading.api.listed = [certificate(), without_zone]
    for _ in range(3):
        zone_seen = await reading.read(after_s=31)
        assert isinstance(zone_seen, Unknown)
        assert "TypeError" in zone_seen.message
    reading.api.listed = [certificate()]
    await reading.zone(after_s=300)


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [4, 255])
async def test_another_s_certificate_that_no_library_reads_is_one_of_others_and_no_more(
    number: int,
) -> None:
    odd = b64encode(
        b64decode("".join(OTHER.pem.splitlines()[1:-1])).replace(
            b"\xa0\x03\x02\x01\x02", bytes([0xA0, 3, 2, 1, number])
        )
    )
    api = ZoneApi()
    api.listed = [
        certificate(
            "odd", pem=f"-----BEGIN CERTIFICATE-----\n{odd.decode()}\n-----END CERTIFICATE-----\n"
        ),
        certificate(
            "with-a-chain",
            pem=f"{LEAF.pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
    ]
    zone_seen = await ZoneReading(api).zone()
    assert [(c.id, c.ours, c.pin.well_formed) for c in zone_seen.certificates] == [
        ("odd", False, False),
        ("with-a-chain", True, True),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("named_s", [0.0, 1.0, 5.0, 30.0])
async def test_a_time_that_is_named_over_and_over_is_the_least_and_not_the_truth(
    named_s: float,
) -> None:
    """503 with `Retry-After: 0`, 409 for a read: whoever has said "soon" for an hour is asked like anybody who says nothing."""
    reading = ZoneReading()
    reading.api.failure = Unavailable("HTTP 503", retry_after_s=named_s)
    asked = 0
    for _ in range(3600):
        await reading.read(after_s=1)
        asked += sum(reading.calls.values())
    assert 20 <= asked <= 60
    reading.api.failure = None
    await reading.zone(after_s=300)


@pytest.mark.asyncio
async def test_retry_after_is_kept_however_long() -> None:
    reading = ZoneReading()
    reading.api.failure = Unavailable("HTTP 429", retry_after_s=900.0)
    await reading.read()
    await reading.read(after_s=899)
    assert reading.calls == {}
    await reading.read(after_s=1)
    assert reading.calls != {}


def good(reading: ZoneReading) -> str | None:
    """The digest of the token that a removal would go on with."""
    access = reading.memory.cloudflare.good
    return access.key if access else None


@pytest.mark.asyncio
async def test_the_last_token_that_has_shown_the_zone_is_kept_for_a_removal() -> None:
    reading = ZoneReading()
    reading.access = worse = Access.of("a-token-that-shows-no-zone", Priority.ONBOARD)
    reading.api.failure = TokenRejected("the token is not valid")
    await reading.read()
    assert good(reading) is None
    reading.api.failure = None
    reading.access = better = Access.of("mended-token", Priority.ONBOARD)
    await reading.zone(after_s=1)
    reading.access = worse
    reading.api.failure = TokenRejected("the token is not valid")
    await reading.read(after_s=1)
    assert good(reading) == better.key


BETTER, WORSE = (
    Access.of(f"{each}-token-of-the-user", Priority.ONBOARD) for each in ("better", "worse")
)


@pytest.mark.asyncio
@pytest.mark.parametrize("shows", ["a refusal", "no zone"])
async def test_a_removal_passes_over_a_token_that_does_worse_than_the_one_before_it(
    shows: str,
) -> None:
    """A Secret that is overwritten with a placeholder is no reason to leave behind what the last token can still take away."""
    reading = ZoneReading()
    reading.access = BETTER
    await reading.zone()
    reading.pull, reading.access = replace(PULL, deleted_at=NOW), WORSE
    refusals = {
        WORSE.key: TokenRejected("the token is not valid") if shows == "a refusal" else None
    }
    reading.api.by_token = refusals
    calls = 0
    for _ in range(60):
        assert isinstance(await reading.read(after_s=5), ObservedZone)
        calls += sum(reading.calls.values())
    assert calls <= 10, "it is not tried again and again"
    reading.access = Access.of("mended-token", Priority.ONBOARD)
    await reading.zone(after_s=5)
    assert good(reading) == reading.access.key


@pytest.mark.asyncio
async def test_where_neither_does_it_is_the_one_that_is_written_that_counts() -> None:
    reading = ZoneReading()
    reading.access = BETTER
    await reading.zone()
    reading.pull, reading.access = replace(PULL, deleted_at=NOW), WORSE
    reading.api.by_token = {
        each.key: TokenRejected(f"{name} is not valid")
        for name, each in (("better", BETTER), ("worse", WORSE))
    }
    calls = 0
    for _ in range(60):
        zone_seen = await reading.read(after_s=5)
        calls += sum(reading.calls.values())
    assert isinstance(zone_seen, Unknown)
    assert (zone_seen.reason, zone_seen.message) == (Reason.TOKEN_REJECTED, "worse is not valid")
    assert calls <= 20
    reading.api.by_token = {}
    await reading.zone(after_s=600)


@pytest.mark.asyncio
async def test_a_new_token_is_tried_at_once() -> None:
    reading = ZoneReading()
    reading.api.failure = TokenRejected("the token is not valid")
    await reading.read()
    reading.api.failure = None
    reading.access = Access.of("mended-token", Priority.ONBOARD)
    await reading.zone(after_s=1)
