"""What the edge presents to origins: every level, and what overrides it (facts: cloudflare#precedence)."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.knobs import Knobs
from sandbox.cloudflare.presented import NOTHING, Presented, presented
from sandbox.cloudflare.state import State, StoredZone

AUTHORITY = Authority.new("example.com")
SHARED = AUTHORITY.client("shared")
NOW = 1_000_000.0
HOST = "www.example.com"
AT_ONCE = Knobs(deploy_s=0, delete_s=0)


@pytest.fixture
def state() -> State:
    return State(SHARED, AUTHORITY.client("foreign"), AT_ONCE)


@pytest.fixture
def zone(state: State) -> StoredZone:
    made = StoredZone("example.com", "a" * 32, "Account", NOW)
    state.zones[made.id] = made
    return made


def enable(zone: StoredZone, at: float = NOW) -> None:
    zone.enabled.set(True, at=at)


def share(zone: StoredZone) -> None:
    zone.global_aop.change("on", NOW)


def level(state: State, zone: StoredZone, at: float = NOW + 100, host: str = HOST) -> str:
    return presented(state, zone, host, at).level


def test_nothing_is_presented_when_all_is_off(state: State, zone: StoredZone) -> None:
    zone.upload(AUTHORITY.client("ours"), NOW, AT_ONCE)
    assert presented(state, zone, HOST, NOW + 1) == NOTHING


def test_an_enabled_zone_presents_its_certificate(state: State, zone: StoredZone) -> None:
    one = zone.upload(AUTHORITY.client("ours"), NOW, AT_ONCE)
    enable(zone)
    assert presented(state, zone, HOST, NOW + 1) == Presented("zone", one.pair)


def test_a_certificate_that_is_not_active_yet_is_not_presented(
    state: State, zone: StoredZone
) -> None:
    zone.upload(AUTHORITY.client("ours"), NOW, Knobs(deploy_s=60))
    enable(zone)
    assert (level(state, zone, NOW + 59), level(state, zone, NOW + 60)) == ("none", "zone")


def test_the_newest_deployed_one_wins_and_not_the_newest_uploaded(
    state: State, zone: StoredZone
) -> None:
    slow = zone.upload(AUTHORITY.client("slow"), NOW, Knobs(deploy_s=50))
    quick = zone.upload(AUTHORITY.client("quick"), NOW + 1, AT_ONCE)
    enable(zone)
    assert presented(state, zone, HOST, NOW + 49).pair is quick.pair
    assert presented(state, zone, HOST, NOW + 50).pair is slow.pair


@pytest.mark.parametrize(("knob", "expected"), [("older", "zone"), ("nothing", "none")])
def test_after_the_newest_is_deleted_the_knob_decides(
    state: State, zone: StoredZone, knob: str, expected: str
) -> None:
    state.knobs = Knobs.model_validate({"deploy_s": 0, "delete_s": 0, "after_newest_deleted": knob})
    old = zone.upload(AUTHORITY.client("old"), NOW, AT_ONCE)
    new = zone.upload(AUTHORITY.client("new"), NOW + 1, AT_ONCE)
    enable(zone)
    assert presented(state, zone, HOST, NOW + 2).pair is new.pair
    zone.delete(new.id, NOW + 3, AT_ONCE)
    now = presented(state, zone, HOST, NOW + 4)
    assert now.level == expected
    assert (now.pair is old.pair) is (expected == "zone")


def test_deleting_the_older_one_changes_nothing(state: State, zone: StoredZone) -> None:
    old = zone.upload(AUTHORITY.client("old"), NOW, AT_ONCE)
    new = zone.upload(AUTHORITY.client("new"), NOW + 1, AT_ONCE)
    enable(zone)
    zone.delete(old.id, NOW + 2, AT_ONCE)
    assert presented(state, zone, HOST, NOW + 3).pair is new.pair


def test_the_shared_certificate_is_presented_when_only_global_is_on(
    state: State, zone: StoredZone
) -> None:
    share(zone)
    assert presented(state, zone, HOST, NOW + 1) == Presented("global", SHARED)
    enable(zone, NOW + 2)
    zone.upload(AUTHORITY.client("ours"), NOW + 10, AT_ONCE)
    assert (level(state, zone, NOW + 9), level(state, zone, NOW + 10)) == ("global", "zone")


def test_what_an_enabled_zone_without_a_certificate_presents_is_a_knob(
    state: State, zone: StoredZone
) -> None:
    share(zone)
    enable(zone)
    assert level(state, zone) == "global"
    state.knobs = Knobs(enabled_without_certificate="none")
    assert level(state, zone) == "none"
    zone.enabled.set(False, at=NOW + 1)
    assert level(state, zone) == "global"


def test_a_hosts_own_choice_outranks_the_zone(state: State, zone: StoredZone) -> None:
    zone.upload(AUTHORITY.client("ours"), NOW, AT_ONCE)
    enable(zone)
    share(zone)
    own = AUTHORITY.client("own")
    zone.associate(HOST, own, True, NOW)
    assert presented(state, zone, HOST, NOW + 1) == Presented("hostname", own)
    assert level(state, zone, host="api.example.com") == "zone"
    zone.associate(HOST, None, False, NOW + 10)
    assert (level(state, zone, NOW + 11), level(state, zone, NOW + 11, "api.example.com")) == (
        "none",
        "zone",
    )
    zone.associate(HOST, None, None, NOW + 20)
    assert level(state, zone, NOW + 21) == "zone"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("off", "none"),
        ("flexible", "none"),
        ("full", "zone"),
        ("strict", "zone"),
        ("origin_pull", "zone"),
    ],
)
def test_only_modes_that_speak_tls_present_something(
    state: State, zone: StoredZone, mode: str, expected: str
) -> None:
    zone.upload(AUTHORITY.client("ours"), NOW, AT_ONCE)
    enable(zone)
    zone.associate("own.example.com", AUTHORITY.client("own"), True, NOW)
    zone.ssl.change(mode, NOW + 1)
    assert level(state, zone) == expected
    assert (level(state, zone, host="own.example.com") == "none") is (expected == "none")


def test_a_change_of_the_mode_reaches_the_edge_late(state: State, zone: StoredZone) -> None:
    share(zone)
    zone.ssl.change("flexible", NOW, delay_s=300)
    assert zone.ssl.value == "flexible"
    assert (level(state, zone, NOW + 299), level(state, zone, NOW + 300)) == ("global", "none")


def test_dns_only_names_and_zones_that_are_not_served_present_nothing(
    state: State, zone: StoredZone
) -> None:
    share(zone)
    zone.dns_only = {"direct.example.com"}
    assert level(state, zone, host="direct.example.com") == "none"
    assert level(state, zone) == "global"
    zone.paused = True
    assert level(state, zone) == "none"


def test_an_expired_certificate_is_presented_like_any_other(state: State, zone: StoredZone) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    one = zone.upload(
        AUTHORITY.client("ours", not_before=past - timedelta(days=1), not_after=past), NOW, AT_ONCE
    )
    enable(zone)
    assert presented(state, zone, HOST, NOW + 1).pair is one.pair
