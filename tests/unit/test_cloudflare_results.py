"""Cloudflare's answers as typed values: tolerant where Cloudflare is loose, strict where a guess could hurt."""

import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from aop import pki
from aop.cloudflare import (
    Certificate,
    DeploymentStatus,
    Enablement,
    GlobalAOP,
    HostnameAssociation,
    SSLMode,
    Zone,
)
from cloudflare_api import ACCOUNT_ID, CERTIFICATE_ID, ZONE_ID, certificate, zone

LEAF = pki.throwaway(datetime(2026, 11, 24, tzinfo=UTC)).leaf


def test_a_zone_carries_its_account() -> None:
    seen = Zone.model_validate(zone() | {"plan": {"id": "free"}, "modified_on": None})
    assert (seen.id, seen.name, seen.status, seen.paused, seen.account_id) == (
        ZONE_ID,
        "example.com",
        "active",
        False,
        ACCOUNT_ID,
    )
    assert seen.active


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "pending"},
        {"status": "moved"},
        {"status": None},
        {"paused": True},
        {"status": "frozen"},
    ],
)
def test_a_zone_that_serves_nobody_is_not_active(fields: dict[str, Any]) -> None:
    assert not Zone.model_validate(zone(**fields)).active


@pytest.mark.parametrize("account", [None, {}, {"id": None}, "gone"])
def test_a_zone_without_a_usable_account_is_still_read(account: object) -> None:
    assert Zone.model_validate(zone(account=account)).account_id == ""


@pytest.mark.parametrize(
    "pem", [LEAF.pem, LEAF.pem.strip(), LEAF.pem + "\n\n", LEAF.pem.replace("\n", "\r\n")]
)
def test_the_fingerprint_is_that_of_the_certificate_whatever_its_whitespace(pem: str) -> None:
    assert Certificate.model_validate(certificate(pem)).fingerprint == LEAF.pin.sha256


@pytest.mark.parametrize(
    "pem",
    [
        "",
        None,
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "ünreadable",
    ],
)
def test_a_certificate_that_cannot_be_read_has_no_fingerprint(pem: str | None) -> None:
    assert Certificate.model_validate(certificate() | {"certificate": pem}).fingerprint == ""


def of_version(number: int) -> str:
    """A certificate that says it is of that version: what OpenSSL takes, and what other libraries write."""
    der = x509.load_pem_x509_certificate(LEAF.pem.encode()).public_bytes(Encoding.DER)
    assert der.count(b"\xa0\x03\x02\x01\x02") == 1
    odd = der.replace(b"\xa0\x03\x02\x01\x02", bytes([0xA0, 3, 2, 1, number]))
    return f"-----BEGIN CERTIFICATE-----\n{b64encode(odd).decode()}\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("number", [4, 9, 127, 255])
def test_a_certificate_of_an_odd_version_has_no_fingerprint(number: int) -> None:
    assert Certificate.model_validate(certificate(of_version(number))).fingerprint == ""


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CERTIFICATE"])
def test_a_text_that_begins_a_certificate_at_every_line_is_read_in_one_pass(label: str) -> None:
    """Two MiB of it arrive in one answer; whoever looks for an end from each beginning is busy for half an hour, and protects nobody."""
    began_s = time.process_time()
    for text in (
        f"-----BEGIN {label}-----\n" * 70_000,
        f"-----BEGIN {label}-----\n-----END -----\n" * 40_000,
    ):
        assert not Certificate.model_validate(certificate(text)).fingerprint
    assert time.process_time() - began_s < 3


def test_what_signed_the_leaf_may_follow_it_and_may_be_damaged() -> None:
    for behind in (
        LEAF.pem,
        of_version(9),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n",
        "chaff",
    ):
        assert (
            Certificate.model_validate(certificate(f"\n  {LEAF.pem}{behind}")).fingerprint
            == LEAF.pin.sha256
        )


@pytest.mark.parametrize(
    ("status", "truths"),
    [
        ("initializing", set()),
        ("pending_deployment", set()),
        ("active", {"active"}),
        ("pending_deletion", {"deleting"}),
        ("deleted", {"deleted"}),
        ("deployment_timed_out", {"failed"}),
        ("deletion_timed_out", {"failed"}),
        ("deploying_backwards", set()),
        (None, set()),
    ],
)
def test_every_status_and_every_status_of_the_future_means_one_thing(
    status: str | None, truths: set[str]
) -> None:
    seen = Certificate.model_validate(certificate() | {"status": status})
    assert {
        truth for truth in ("active", "deleting", "failed", "deleted") if getattr(seen, truth)
    } == truths


@pytest.mark.parametrize(
    "written",
    [
        "2022-05-24T16:57:16Z",
        "2022-05-24T16:57:16.000000Z",
        "2022-05-24T18:57:16+02:00",
        "2022-05-24 16:57:16 +0000 UTC",
        "2022-05-24 16:57:16.0 +0000",
    ],
)
def test_both_forms_of_date_are_the_same_moment_in_utc(written: str) -> None:
    seen = Certificate.model_validate(certificate(expires_on=written))
    assert seen.expires_on == datetime(2022, 5, 24, 16, 57, 16, tzinfo=UTC)
    assert seen.expires_on.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "soon",
        "2022-13-45",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31 23:59:59 -0100 UTC",
        "2022-05-24T16:57:16+99:99",
        1e300,
        float("nan"),
        10**400,
        [],
        {},
        True,
        "9" * 5000,
    ],
)
def test_a_date_that_means_nothing_is_no_date(written: object) -> None:
    assert Certificate.model_validate(certificate() | {"uploaded_on": written}).uploaded_on is None


@pytest.mark.parametrize("depth", [10, 400, 900])
def test_what_is_nested_deeper_than_anything_that_is_read_disturbs_nobody(depth: int) -> None:
    deep: object = None
    for _ in range(depth):
        deep = {"a": deep}
    assert (
        Zone.model_validate(zone(plan=deep, account={"id": ACCOUNT_ID, "more": deep})).account_id
        == ACCOUNT_ID
    )


def test_the_zero_date_of_go_is_read() -> None:
    assert Certificate.model_validate(
        certificate(uploaded_on="0001-01-01T00:00:00Z")
    ).uploaded_on == datetime(1, 1, 1, tzinfo=UTC)


def test_fields_of_the_future_do_not_disturb_and_missing_ones_have_defaults() -> None:
    assert (
        Certificate.model_validate({"id": CERTIFICATE_ID, "zebra": [1]}).status
        is DeploymentStatus.UNKNOWN
    )
    assert (
        Certificate.model_validate({"id": CERTIFICATE_ID, "serial_number": 12}).serial_number
        == "12"
    )


def test_a_certificate_without_id_is_not_read() -> None:
    with pytest.raises(ValidationError):
        Certificate.model_validate({"status": "active"})


def test_results_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Certificate.model_validate(certificate()).status = DeploymentStatus.ACTIVE  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("value", "presents"),
    [
        ("off", False),
        ("flexible", False),
        ("full", True),
        ("strict", True),
        ("origin_pull", True),
        ("new", False),
    ],
)
def test_only_modes_that_speak_tls_to_the_origin_present_a_certificate(
    value: str, presents: bool
) -> None:
    assert (
        SSLMode.model_validate({"id": "ssl", "value": value, "modified_on": None}).presents
        is presents
    )


def test_the_global_level_is_off_only_when_it_says_so() -> None:
    assert [GlobalAOP(value=value).on for value in ("off", "on", "maybe")] == [False, True, True]


def test_an_enablement_that_says_nothing_is_not_read() -> None:
    assert Enablement.model_validate({"enabled": False}).enabled is False
    unusable: list[object] = [{}, {"enabled": None}, None, []]
    for enablement in unusable:
        with pytest.raises(ValidationError):
            Enablement.model_validate(enablement)


@pytest.mark.parametrize(
    ("enabled", "status", "outranks"),
    [
        (True, "active", True),
        (False, "active", True),
        (None, "active", False),
        (True, "pending_deployment", True),
        (False, "deleted", False),
    ],
)
def test_an_association_outranks_the_zone_unless_it_is_void_or_deleted(
    enabled: bool | None, status: str, outranks: bool
) -> None:
    association = {
        "hostname": "a.example.com",
        "cert_id": CERTIFICATE_ID,
        "enabled": enabled,
        "status": status,
        "created_at": "0001-01-01T00:00:00Z",
    }
    assert HostnameAssociation.model_validate(association).outranks is outranks
