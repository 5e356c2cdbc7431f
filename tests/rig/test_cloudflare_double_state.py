"""The state behind the Cloudflare double: time, certificates, tombstones, lists that lag.

Facts: cloudflare#certificate-statuses, cloudflare#list-lag, cloudflare#tombstones,
cloudflare#ids-that-come-back.
"""

import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.certificates import Certificate, KeyPair, Status
from sandbox.cloudflare.credentials import Token, new_secret
from sandbox.cloudflare.errors import ApiError
from sandbox.cloudflare.knobs import Knobs
from sandbox.cloudflare.state import State, StoredZone
from sandbox.cloudflare.throttle import Throttle
from sandbox.cloudflare.timeline import Lag, Timeline
from sandbox.cloudflare.zones import Query

AUTHORITY = Authority.new("example.com")
NOW = 1_000_000.0
KNOBS = Knobs(deploy_s=2, delete_s=10)


@pytest.fixture
def zone() -> StoredZone:
    return StoredZone("example.com", "a" * 32, "Account", NOW)


@pytest.fixture
def leaf() -> KeyPair:
    return AUTHORITY.client("www.example.com")


def code_of(refused: pytest.ExceptionInfo[ApiError]) -> tuple[int, int]:
    return refused.value.status, refused.value.code


def test_a_timeline_answers_for_the_past_and_for_what_is_planned() -> None:
    line = Timeline("a")
    line.set("b", at=10)
    line.set("c", at=20)
    assert [line.at(moment) for moment in (-1e9, 9.9, 10, 19.9, 20, 1e9)] == [
        "a",
        "a",
        "b",
        "b",
        "c",
        "c",
    ]
    assert line.reached("b", 1e9) == 10
    assert line.reached("c", 19.9) is None


def test_a_later_order_outranks_what_was_planned_for_afterwards() -> None:
    line = Timeline("a")
    line.set("planned", at=300)
    line.set("now", at=5)
    assert line.at(1e9) == "now"


def test_of_two_orders_at_the_same_moment_the_second_counts() -> None:
    line = Timeline("a")
    line.set("b", at=5)
    line.set("c", at=5)
    assert (line.at(4), line.at(5)) == ("a", "c")


def test_a_lag_that_grows_stands_still_and_does_not_go_back() -> None:
    lag = Lag(0)
    assert lag.seen(100) == 100
    lag.set_delay(20, now=105)
    assert [lag.seen(now) for now in (106, 120, 125, 130)] == [105, 105, 105, 110]


def test_a_lag_that_shrinks_catches_up_at_once() -> None:
    lag = Lag(20)
    assert lag.seen(100) == 80
    lag.set_delay(0, now=101)
    assert lag.seen(102) == 102


def test_an_upload_is_pending_then_active(zone: StoredZone, leaf: KeyPair) -> None:
    one = zone.upload(leaf, NOW, KNOBS)
    assert [one.status.at(NOW + after) for after in (0, 1.9, 2)] == [
        Status.PENDING_DEPLOYMENT,
        Status.PENDING_DEPLOYMENT,
        Status.ACTIVE,
    ]
    assert one.deployed(NOW + 5) == NOW + 2


def test_an_upload_can_be_initializing_first_and_time_out(zone: StoredZone, leaf: KeyPair) -> None:
    one = zone.upload(
        leaf, NOW, Knobs(initializing_s=1, deploy_s=2, deploy_ends="deployment_timed_out")
    )
    seen = [one.status.at(NOW + after) for after in (0, 1, 3)]
    assert seen == [Status.INITIALIZING, Status.PENDING_DEPLOYMENT, Status.DEPLOYMENT_TIMED_OUT]
    assert one.deployed(NOW + 99) is None


def test_an_upload_can_stay_pending_for_ever(zone: StoredZone, leaf: KeyPair) -> None:
    one = zone.upload(leaf, NOW, Knobs(deploy_s=None))
    assert one.status.at(NOW + 1e9) is Status.PENDING_DEPLOYMENT


def test_the_same_certificate_is_refused_until_it_is_deleted_and_in_no_other_zone(
    zone: StoredZone, leaf: KeyPair
) -> None:
    one = zone.upload(leaf, NOW, KNOBS)
    for after in (0, 5, 8):
        with pytest.raises(ApiError) as refused:
            zone.upload(leaf, NOW + after, KNOBS)
        assert code_of(refused) == (400, 1406)
        if after == 5:
            zone.delete(one.id, NOW + 5, KNOBS)
    again = zone.upload(leaf, NOW + 15, KNOBS)
    assert again.id != one.id
    assert StoredZone("example.org", "a" * 32, "Account", NOW).upload(leaf, NOW, KNOBS)


def test_a_deleted_certificate_can_come_back_under_its_old_id(
    zone: StoredZone, leaf: KeyPair
) -> None:
    knobs = Knobs(deploy_s=2, delete_s=1, resurrect=True)
    one = zone.upload(leaf, NOW, knobs)
    zone.delete(one.id, NOW + 5, knobs)
    again = zone.upload(leaf, NOW + 10, knobs)
    assert again.id == one.id
    assert again.status.at(NOW + 12) is Status.ACTIVE
    assert again.status.at(NOW + 7) is Status.DELETED


def test_deleting_takes_time_and_leaves_a_tombstone(zone: StoredZone, leaf: KeyPair) -> None:
    one = zone.upload(leaf, NOW, KNOBS)
    with pytest.raises(ApiError) as refused:
        zone.delete(one.id, NOW + 1, KNOBS)
    assert code_of(refused) == (400, 1434)
    zone.delete(one.id, NOW + 3, KNOBS)
    assert [one.status.at(NOW + after) for after in (3, 12.9, 13)] == [
        Status.PENDING_DELETION,
        Status.PENDING_DELETION,
        Status.DELETED,
    ]
    for after in (4, 14):
        with pytest.raises(ApiError, match="already deleted"):
            zone.delete(one.id, NOW + after, KNOBS)
    assert zone.certificate(one.id) is one
    assert zone.listed(NOW + 14) == []


def test_what_timed_out_can_be_deleted(zone: StoredZone, leaf: KeyPair) -> None:
    never = Knobs(
        deploy_s=1, deploy_ends="deployment_timed_out", delete_s=1, delete_ends="deletion_timed_out"
    )
    one = zone.upload(leaf, NOW, never)
    zone.delete(one.id, NOW + 2, never)
    assert one.status.at(NOW + 3) is Status.DELETION_TIMED_OUT
    zone.delete(one.id, NOW + 4, KNOBS)
    assert one.status.at(NOW + 14) is Status.DELETED


def test_the_only_active_certificate_of_an_enabled_zone_can_be_guarded(
    zone: StoredZone, leaf: KeyPair
) -> None:
    knobs = Knobs(deploy_s=0, keep_last_active=True)
    one = zone.upload(leaf, NOW, knobs)
    zone.enabled.set(True, at=NOW)
    with pytest.raises(ApiError):
        zone.delete(one.id, NOW + 1, knobs)
    zone.upload(AUTHORITY.client("next.example.com"), NOW + 2, knobs)
    assert zone.delete(one.id, NOW + 3, knobs)


def test_unknown_ids_and_ids_of_the_other_store_are_told_apart(
    zone: StoredZone, leaf: KeyPair
) -> None:
    own = zone.associate("api.example.com", leaf, True, NOW)
    zone_level = zone.upload(leaf, NOW, KNOBS)
    with pytest.raises(ApiError) as unknown:
        zone.certificate("00000000-0000-0000-0000-000000000000")
    with pytest.raises(ApiError) as other_store:
        zone.certificate(own.certificate_id)
    with pytest.raises(ApiError) as vice_versa:
        zone.hostname_certificate(zone_level.id)
    assert [code_of(refused) for refused in (unknown, other_store, vice_versa)] == [
        (404, 1552),
        (400, 1415),
        (400, 1415),
    ]


def test_a_list_that_lags_shows_the_past_also_after_a_delete(
    zone: StoredZone, leaf: KeyPair
) -> None:
    zone.list_lag.set_delay(30, now=NOW - 1)
    one = zone.upload(leaf, NOW, KNOBS)
    assert zone.certificate(one.id)
    assert zone.listed(NOW + 29) == []
    assert zone.listed(NOW + 33) == [(one, Status.ACTIVE)]
    zone.delete(one.id, NOW + 40, KNOBS)
    assert zone.listed(NOW + 69) == [(one, Status.ACTIVE)]
    assert zone.listed(NOW + 71) == [(one, Status.PENDING_DELETION)]
    assert zone.listed(NOW + 80) == []


def test_a_full_zone_refuses(zone: StoredZone, leaf: KeyPair) -> None:
    knobs = Knobs(max_certificates=1)
    zone.upload(leaf, NOW, knobs)
    with pytest.raises(ApiError):
        zone.upload(AUTHORITY.client("next.example.com"), NOW, knobs)


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("no pem", AUTHORITY.client("a").key_pem, "Unable to parse certificate"),
        (AUTHORITY.pem, AUTHORITY.pair.key_pem, "missing leaf certificate"),
        (AUTHORITY.client("a").pem, "no pem", "Unable to parse private key"),
        (AUTHORITY.client("a").pem, AUTHORITY.client("b").key_pem, "does not match"),
    ],
)
def test_what_is_no_leaf_with_its_key_is_refused(certificate: str, key: str, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        KeyPair.read(certificate, key, mismatch_code=2106)


def test_what_is_read_is_what_was_issued(leaf: KeyPair) -> None:
    assert KeyPair.read(leaf.pem, leaf.key_pem, mismatch_code=2106).sha256 == leaf.sha256
    assert Certificate.upload(leaf, [(NOW, Status.ACTIVE)]).exists(NOW)
    assert not Certificate.upload(leaf, [(NOW, Status.ACTIVE)]).exists(NOW - 1)


def test_a_name_belongs_to_the_longest_zone_and_of_two_of_one_name_to_the_active_one() -> None:
    state = State(AUTHORITY.client("shared"), AUTHORITY.client("foreign"))
    pending = StoredZone("example.com", "b" * 32, "Other", NOW, status="pending")
    zones = [
        pending,
        StoredZone("example.com", "a" * 32, "Account", NOW),
        StoredZone("sub.example.com", "a" * 32, "Account", NOW),
    ]
    state.zones = {zone.id: zone for zone in zones}
    assert state.zone_of("www.example.com") is zones[1]
    assert state.zone_of("a.sub.example.com") is zones[2]
    assert state.zone_of("notexample.com") is None


def test_zones_are_found_by_exact_name_unless_an_operator_is_given() -> None:
    zones = [
        StoredZone(name, "a" * 32, "Account", NOW)
        for name in ("example.com", "my-example.com", "example.net")
    ]

    def names(**query: str) -> list[str]:
        return [zone.name for zone in Query.of(query).select(zones)]

    assert names(name="example.com") == ["example.com"]
    assert names(name="EXAMPLE.com") == ["example.com"]
    assert names(name="contains:example.c") == ["example.com", "my-example.com"]
    assert names(name="not_equal:example.com") == ["my-example.com", "example.net"]
    assert names(name="www.example.com") == []
    assert names(order="name", direction="desc") == ["my-example.com", "example.net", "example.com"]
    assert names(name="example.com", status="pending") == []
    assert names(name="example.com", status="pending", match="any") == ["example.com"]


@pytest.mark.parametrize(
    "query",
    [{"per_page": "4"}, {"per_page": "51"}, {"page": "0"}, {"page": "x"}, {"order": "plan"}],
)
def test_pages_and_orders_that_the_api_does_not_have_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        Query.of(query)
    assert refused.value.status == 400


# --- limits and credentials ------------------------------------------------------------------------------------------------------------------


def test_one_call_too_many_blocks_every_call_for_the_whole_time_and_then_all_begins_anew() -> None:
    throttle, knobs = Throttle(), Knobs(rate_calls=3)
    assert [throttle.count("user", at, knobs).left for at in (0, 10, 20)] == [2, 1, 0]
    assert throttle.count("another", 20, knobs).left == 2
    over = throttle.count("user", 30, knobs)
    assert (over.blocked, over.left, over.reset_s) == (True, 0, 300)
    assert throttle.count("user", 329, knobs).blocked, "though the window has ended meanwhile"
    assert throttle.count("user", 330, knobs).left == 2


def test_a_window_begins_with_its_first_call_and_others_may_have_used_it_up() -> None:
    throttle, knobs = Throttle(), Knobs(rate_calls=3)
    for at in (0, 1, 2, 300, 301, 302):
        assert not throttle.count("user", at, knobs).blocked
    throttle.use_up("user", 1, 400, knobs)
    assert [throttle.count("user", 400, knobs).blocked for _ in range(2)] == [False, True]


def test_a_token_works_within_its_time_and_where_it_reaches() -> None:
    zone = StoredZone("example.com", "account", "Account 1", 0.0)
    token = Token(
        "cfat_x", frozenset(), "account", account_id="account", not_before=10.0, expires_on=20.0
    )
    assert [token.works(at) for at in (9, 10, 19, 20)] == [False, True, True, False]
    assert token.reaches(zone)
    assert not Token("x", frozenset(), "other", account_id="other").reaches(zone)
    assert token.reaches_account("account")
    assert not Token("x", frozenset(), "user", zones=frozenset({zone.id})).reaches_account(
        "account"
    )


@pytest.mark.parametrize("prefix", ["cfut_", "cfat_", "cfk_"])
def test_a_credential_is_a_prefix_forty_characters_and_a_checksum(prefix: str) -> None:
    made = new_secret(prefix)
    assert made.startswith(prefix)
    assert len(made) == len(prefix) + 48
    assert new_secret(prefix) != made
