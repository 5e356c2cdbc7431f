"""Cloudflare's half of what is observed: how rarely it is asked, what its lagging list is worth, and when it counts as still.

The client is a stand-in that answers from a few fields and counts; the real one against the double is tried in tests/integration.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cloudflare import (
    Access,
    Certificate,
    CertificateStatus,
    Cloudflare,
    Enablement,
    GlobalAOP,
    HostnameAssociation,
    HostnameAssociations,
    NotFound,
    Priority,
    SSLMode,
    TokenRejected,
    Unavailable,
    Zone,
)
from aop.errors import Reason
from aop.metrics import Metrics
from aop.observe.memory import Memory
from aop.observe.zone import ZoneReader, changed, is_still
from aop.observed import CertificateState, ObservedZone, Unknown
from aop.pki import pin_of, throwaway
from aop.settings import Settings
from builders import KEY, NOW, UID, ZONE_ID, evidence, spec

ACTIVE, PENDING, DELETING = CertificateStatus.ACTIVE, CertificateStatus.PENDING_DEPLOYMENT, CertificateStatus.PENDING_DELETION
PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
LEAF, OTHER = (throwaway(NOW).leaf for _ in range(2))


def certificate(id_: str = "ours", status: CertificateStatus = ACTIVE, pem: str = LEAF.pem) -> Certificate:
    return Certificate(id=id_, status=status, certificate=pem, uploaded_on=NOW)


class Api:
    """Answers from its fields, and counts."""

    def __init__(self) -> None:
        self.zones: list[Zone] = [zone()]
        self.listed: list[Certificate] = []
        self.by_id: dict[str, Certificate] = {}
        self.enabled = False
        self.associations: list[HostnameAssociation] = []
        self.failure: Exception | None = None
        self.calls: Counter[str] = Counter()
        self.priorities: list[Priority] = []

    def _asked(self, access: Access, what: str) -> None:
        self.calls[what] += 1
        self.priorities.append(access.priority)
        if self.failure:
            raise self.failure

    async def find_zones(self, access: Access, name: str) -> tuple[Zone, ...]:
        self._asked(access, "zones")
        return tuple(one for one in self.zones if one.name == name)

    async def fetch_zone(self, access: Access, zone_id: str) -> Zone:
        self._asked(access, "zone")
        return next(one for one in self.zones if one.id == zone_id)

    async def fetch_ssl_mode(self, access: Access, _: str) -> SSLMode:
        self._asked(access, "ssl")
        return SSLMode(value="strict")

    async def fetch_global_aop(self, access: Access, _: str) -> GlobalAOP:
        self._asked(access, "global")
        return GlobalAOP(value="off")

    async def list_hostname_associations(self, access: Access, _: str) -> HostnameAssociations:
        self._asked(access, "hostnames")
        return HostnameAssociations(associations=tuple(self.associations))

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
    found = Zone.model_validate({"id": ZONE_ID, "name": "example.com", "status": "active", "account": {"id": "acc", "name": "A"}})
    return found.model_copy(update=changes)


class Reading:
    """One object's reader, and the clock that the test moves."""

    def __init__(self, api: Api | None = None, pull: AuthenticatedOriginPull = PULL) -> None:
        self.api, self.pull, self.now = api or Api(), pull, NOW
        self.settings = Settings()
        self.memory = Memory(NOW)
        self.access: Access | Unknown = Access.of("pretend-token", Priority.ONBOARD)
        self.metrics = Metrics()
        self._reader = ZoneReader(cast("Cloudflare", self.api), self.settings, self.metrics)

    def bugs(self) -> float:
        return self.metrics.registry.get_sample_value("aop_reader_bugs_total", {"reader": "cloudflare"}) or 0

    async def read(self, after_s: float = 0, *, hurry: bool = False) -> ObservedZone | Unknown | None:
        """Look after so many seconds; the calls that it took are in `calls`."""
        self.now += timedelta(seconds=after_s)
        before = self.api.calls.copy()
        found = await self._reader.read(self.pull, self.access, self.memory, self.now, [LEAF.pin], hurry=hurry)
        self.calls = dict(self.api.calls - before)
        return found

    async def zone(self, after_s: float = 0) -> ObservedZone:
        found = await self.read(after_s)
        assert isinstance(found, ObservedZone), found
        return found

    def still(self) -> bool:
        return is_still(self.memory, self.settings.stillness_s)


# --- how often -------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_first_look_takes_six_calls_and_a_resync_two() -> None:
    reading = Reading()
    await reading.zone()
    assert reading.calls == {"zones": 1, "ssl": 1, "global": 1, "hostnames": 1, "list": 1, "enabled": 1}
    await reading.zone(after_s=299)
    assert reading.calls == {}
    await reading.zone(after_s=1)
    assert reading.calls == {"list": 1, "enabled": 1}
    await reading.zone(after_s=3300)
    assert reading.calls == {"zones": 1, "ssl": 1, "global": 1, "hostnames": 1, "list": 1, "enabled": 1}


@pytest.mark.asyncio
async def test_what_blocks_is_read_again_soon() -> None:
    reading = Reading()
    reading.memory.blocked_on = Reason.SSL_MODE_TOO_LOW
    await reading.zone()
    await reading.zone(after_s=20)
    assert reading.calls["ssl"] == 1
    reading.memory.blocked_on = Reason.CONFIG_MAP_NOT_FOUND
    await reading.zone(after_s=20)
    assert reading.calls == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(("hurry", "priority"), [(True, Priority.ONBOARD), (False, Priority.RESYNC)])
async def test_a_person_who_waits_goes_before_a_resync(hurry: bool, priority: Priority) -> None:
    reading = Reading()
    await reading.read(hurry=hurry)
    assert set(reading.api.priorities) == {priority}


@pytest.mark.asyncio
async def test_another_token_reads_everything_anew() -> None:
    reading = Reading()
    await reading.zone()
    reading.access = Access.of("another-token", Priority.ONBOARD)
    await reading.zone()
    assert len(reading.calls) == 6


# --- which zone --------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_zone_is_told_as_it_is() -> None:
    api = Api()
    api.enabled = True
    api.listed = [certificate()]
    outranking = [
        HostnameAssociation(hostname=f"{name}.example.com", enabled=on) for name, on in (("b", False), ("a", True), ("void", None))
    ]
    api.associations = [*outranking, HostnameAssociation(hostname="gone.example.com", enabled=True, status=CertificateStatus.DELETED)]
    found = await Reading(api).zone()
    assert (found.id, found.account_id, found.active, found.ssl_mode, found.global_on, found.enabled) == (
        ZONE_ID,
        "acc",
        True,
        "strict",
        False,
        True,
    )
    assert found.outranked == ("a.example.com", "b.example.com")
    assert [(c.id, c.pin, c.state, c.ours) for c in found.certificates] == [("ours", LEAF.pin, CertificateState.ACTIVE, True)]


@pytest.mark.asyncio
@pytest.mark.parametrize("changes", [{"status": "pending"}, {"paused": True}])
async def test_a_zone_that_nothing_passes_is_not_active(changes: dict[str, Any]) -> None:
    api = Api()
    api.zones = [zone(**changes)]
    assert not (await Reading(api).zone()).active


@pytest.mark.asyncio
async def test_no_zone_is_none_and_two_name_their_accounts() -> None:
    api = Api()
    reading = Reading(api)
    api.zones = []
    assert await reading.read() is None
    reading.memory = Memory(NOW)
    api.zones = [zone(), zone(id="f" * 32, account_id="other")]
    found = await reading.read()
    assert isinstance(found, Unknown)
    assert found.reason is Reason.ZONE_AMBIGUOUS
    assert f"other (zone id {'f' * 32})" in found.message
    assert f"acc (zone id {ZONE_ID})" in found.message


@pytest.mark.asyncio
async def test_an_id_is_believed_only_with_its_name() -> None:
    named = replace(PULL, spec=spec(zone={"name": "example.com", "id": ZONE_ID}))
    assert isinstance(await Reading(pull=named).read(), ObservedZone)
    api = Api()
    api.zones = [zone(name="example.org")]
    found = await Reading(api, named).read()
    assert isinstance(found, Unknown)
    assert found.reason is Reason.ZONE_NOT_FOUND
    assert "example.org" in found.message


# --- certificates --------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (CertificateStatus.INITIALIZING, CertificateState.PENDING),
        (PENDING, CertificateState.PENDING),
        (CertificateStatus.UNKNOWN, CertificateState.PENDING),
        (ACTIVE, CertificateState.ACTIVE),
        (DELETING, CertificateState.DELETING),
        (CertificateStatus.DEPLOYMENT_TIMED_OUT, CertificateState.FAILED),
        (CertificateStatus.DELETION_TIMED_OUT, CertificateState.FAILED),
    ],
)
async def test_a_status_is_one_of_four_states(status: CertificateStatus, state: CertificateState) -> None:
    api = Api()
    api.listed = [certificate(status=status)]
    api.by_id = {"ours": certificate(status=status)}
    (found,) = (await Reading(api).zone()).certificates
    assert found.state is state
    assert found.status == status.value


@pytest.mark.asyncio
async def test_another_s_certificate_and_one_that_cannot_be_read_are_not_ours() -> None:
    api = Api()
    api.listed = [certificate("theirs", pem=OTHER.pem), certificate("broken", pem="-----BEGIN")]
    found = await Reading(api).zone()
    assert [(c.id, c.ours) for c in found.certificates] == [("broken", False), ("theirs", False)]
    assert found.certificates[1].pin == pin_of(OTHER.pem)


@pytest.mark.asyncio
async def test_a_moving_certificate_is_followed_by_its_id_at_a_growing_distance() -> None:
    api = Api()
    api.listed = [certificate(status=PENDING)]
    api.by_id = {"ours": certificate(status=PENDING)}
    reading = Reading(api)
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
async def test_one_that_is_gone_by_its_id_is_gone_though_the_list_still_shows_it(tombstone: bool) -> None:
    api = Api()
    api.listed = [certificate(status=DELETING)]
    api.by_id = {"ours": certificate(status=CertificateStatus.DELETED)} if tombstone else {}
    reading = Reading(api)
    assert (await reading.zone()).certificates == ()
    api.listed = [certificate()]
    assert (await reading.zone(after_s=300)).certificates == (), "a list from before may even show it as active"
    api.listed = []
    await reading.zone(after_s=300)
    assert reading.memory.cloudflare.gone == set()


@pytest.mark.asyncio
async def test_an_upload_that_the_list_does_not_show_yet_is_known() -> None:
    reading = Reading()
    await reading.zone()
    reading.memory.cloudflare.known["ours"] = certificate(status=PENDING)
    reading.api.by_id = {"ours": certificate()}
    assert [c.state for c in (await reading.zone(after_s=1)).certificates] == [CertificateState.ACTIVE]


# --- still -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_cloudflare_is_still_once_it_was_read_unchanged_for_long_enough() -> None:
    reading = Reading()
    await reading.zone()
    assert not reading.still()
    await reading.zone(after_s=300)
    assert not reading.still(), "exactly that long is not longer"
    await reading.zone(after_s=300)
    assert reading.still()


@pytest.mark.asyncio
async def test_time_alone_makes_nothing_still() -> None:
    reading = Reading()
    await reading.zone()
    reading.now += timedelta(days=1)
    assert not reading.still()


@pytest.mark.asyncio
async def test_any_change_that_is_read_begins_stillness_and_proof_again() -> None:
    reading = Reading()
    for _ in range(3):
        await reading.zone(after_s=300)
    assert reading.still()
    reading.memory.evidence = {"example.com": evidence()}
    reading.api.enabled = True
    await reading.zone(after_s=300)
    assert not reading.still()
    assert (reading.memory.evidence["example.com"].count, reading.memory.evidence["example.com"].since) == (0, None)


@pytest.mark.asyncio
async def test_an_effect_of_ours_begins_it_again_too() -> None:
    reading = Reading()
    for _ in range(3):
        await reading.zone(after_s=300)
    changed(reading.memory, reading.now)
    assert not reading.still()


@pytest.mark.asyncio
async def test_whoever_waits_for_stillness_does_not_wait_for_a_resync() -> None:
    reading = Reading()
    reading.settings = reading.settings.model_copy(update={"resync_s": 86400.0, "stillness_s": 60.0})
    reading._reader = ZoneReader(cast("Cloudflare", reading.api), reading.settings)
    reading.memory.awaits_stillness = True
    await reading.zone()
    await reading.zone(after_s=59)
    assert reading.calls == {}
    await reading.zone(after_s=2)
    assert reading.calls == {"list": 1, "enabled": 1}
    assert reading.still()
    await reading.zone(after_s=1)
    assert reading.calls == {}


# --- failures --------------------------------------------------------------------------------------------------------------------------


def failing_since(reading: Reading) -> datetime | None:
    return reading.memory.cloudflare.failing_since


@pytest.mark.asyncio
async def test_an_outage_is_tried_again_at_a_growing_distance_and_is_nobodys_fault() -> None:
    reading = Reading()
    reading.api.failure = Unavailable("HTTP 500, cf-ray 1")
    found = await reading.read()
    assert found == Unknown("HTTP 500, cf-ray 1", None, 1.0)
    asked = 0
    for _ in range(120):
        await reading.read(after_s=1)
        asked += sum(reading.calls.values())
    assert 5 <= asked <= 12
    assert failing_since(reading) is None
    reading.api.failure = None
    await reading.zone(after_s=31)
    assert reading.memory.cloudflare.failure is None


@pytest.mark.asyncio
async def test_an_exception_that_nobody_expected_is_a_reason_with_a_count_and_is_forgotten_once_it_is_over() -> None:
    reading = Reading()
    await reading.zone()
    reading.api.failure = OverflowError("date value out of range")
    found = await reading.read(after_s=300)
    assert isinstance(found, Unknown)
    assert found.reason is None
    assert "OverflowError" in found.message
    asked = 0
    for _ in range(120):
        assert isinstance(await reading.read(after_s=1), Unknown)
        asked += sum(reading.calls.values())
    assert 5 <= asked <= 12
    assert reading.bugs() == asked + 1
    reading.api.failure = None
    await reading.zone(after_s=31)
    assert failing_since(reading) is None


@pytest.mark.asyncio
async def test_an_exception_in_what_is_made_of_the_answers_is_one_too() -> None:
    reading = Reading()
    without_zone = certificate("odd").model_copy(update={"uploaded_on": NOW.replace(tzinfo=None)})
    reading.api.listed = [certificate(), without_zone]
    for _ in range(3):
        found = await reading.read(after_s=31)
        assert isinstance(found, Unknown)
        assert "TypeError" in found.message
    reading.api.listed = [certificate()]
    await reading.zone(after_s=300)


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [4, 255])
async def test_another_s_certificate_that_no_library_reads_is_one_of_others_and_no_more(number: int) -> None:
    odd = b64encode(b64decode("".join(OTHER.pem.splitlines()[1:-1])).replace(b"\xa0\x03\x02\x01\x02", bytes([0xA0, 3, 2, 1, number])))
    api = Api()
    api.listed = [
        certificate("odd", pem=f"-----BEGIN CERTIFICATE-----\n{odd.decode()}\n-----END CERTIFICATE-----\n"),
        certificate("with-a-chain", pem=f"{LEAF.pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ]
    found = await Reading(api).zone()
    assert [(c.id, c.ours, c.pin.well_formed) for c in found.certificates] == [("odd", False, False), ("with-a-chain", True, True)]


@pytest.mark.asyncio
async def test_retry_after_is_kept_however_long() -> None:
    reading = Reading()
    reading.api.failure = Unavailable("HTTP 429", retry_after_s=900.0)
    await reading.read()
    await reading.read(after_s=899)
    assert reading.calls == {}
    await reading.read(after_s=1)
    assert reading.calls != {}


@pytest.mark.asyncio
async def test_refused_credentials_count_from_the_first_refusal_and_a_success_ends_it() -> None:
    reading = Reading()
    reading.api.failure = TokenRejected("the token is not valid")
    found = await reading.read()
    assert isinstance(found, Unknown)
    assert found.reason is Reason.TOKEN_REJECTED
    await reading.read(after_s=100)
    assert failing_since(reading) == NOW
    reading.api.failure = Unavailable("HTTP 500")
    await reading.read(after_s=100)
    assert failing_since(reading) == NOW, "an outage says nothing about the credentials"
    reading.api.failure = None
    await reading.zone(after_s=100)
    assert failing_since(reading) is None


@pytest.mark.asyncio
async def test_a_missing_secret_counts_as_refused_and_one_that_cannot_be_read_does_not() -> None:
    reading = Reading()
    reading.access = Unknown("the API server cannot be reached")
    assert await reading.read() == reading.access
    assert failing_since(reading) is None
    reading.access = Unknown("Secret edge/cloudflare does not exist", Reason.TOKEN_SECRET_NOT_FOUND)
    await reading.read(after_s=50)
    assert failing_since(reading) == NOW + timedelta(seconds=50)


@pytest.mark.asyncio
async def test_a_new_token_is_tried_at_once() -> None:
    reading = Reading()
    reading.api.failure = TokenRejected("the token is not valid")
    await reading.read()
    reading.api.failure = None
    reading.access = Access.of("mended-token", Priority.ONBOARD)
    await reading.zone(after_s=1)
