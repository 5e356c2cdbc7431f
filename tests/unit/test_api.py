"""The models alone: the corpus, the defaults, what is made of metadata and status."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop import api
from aop.api import (
    AuthenticatedOriginPull,
    Condition,
    ConditionType,
    ObjectKey,
    Spec,
    Status,
    parse_spec,
    timedelta_of,
)
from aop.errors import Blocked, Reason
from aop.origins.ingress_nginx.spec import ForeignText
from aop.schema import ascii_name
from aop.terms import Mode, Target, covers
from sandbox import corpus

KEY = ObjectKey("edge", "example-com")


def spec(manifest: dict[str, Any], **changes: Any) -> Spec:
    return parse_spec(
        ObjectKey("edge", manifest["metadata"]["name"]), {**manifest["spec"], **changes}
    )


def minimal(**changes: Any) -> Spec:
    return spec(corpus.named("minimal"), **changes)


@pytest.mark.parametrize("case", corpus.valid(), ids=lambda case: case.name)
def test_accepts(case: corpus.ManifestCase) -> None:
    spec(case.manifest)


@pytest.mark.parametrize("case", corpus.invalid(), ids=lambda case: case.name)
def test_refuses_and_says_what_to_write(case: corpus.ManifestCase) -> None:
    with pytest.raises(Blocked) as refused:
        spec(case.manifest)
    assert refused.value.reason is Reason.SPEC_INVALID
    assert f"edge/{case.manifest['metadata']['name']}: " in refused.value.message
    assert case.operator_says in refused.value.message


def test_a_refusal_names_every_bad_field_and_nothing_that_only_follows_from_it() -> None:
    with pytest.raises(Blocked) as refused:
        minimal(zone={"name": "Example"}, origins=[{"name": "A"}], suspend=0)
    fields = [
        complaint.split(": ")[0]
        for complaint in refused.value.message.removeprefix(f"{api.KIND} edge/minimal: ").split(
            "; "
        )
    ]
    assert fields == ["spec.zone.name", "spec.origins[0].name", "spec.suspend"]


def test_every_default_is_applied() -> None:
    got = minimal()
    assert got.hostname_patterns == ("example.com", "*.example.com")
    assert got.certificate.generate is not None
    assert got.certificate.generate.secret_name == "minimal-aop"
    assert (got.certificate.generate.algorithm, got.certificate.generate.size) == (
        api.Algorithm.ECDSA,
        256,
    )
    assert got.certificate.generate.leaf_lifetime == timedelta(days=730)
    assert got.certificate.generate.renew_ahead == timedelta(days=45)
    assert got.certificate.generate.authority_lifetime == timedelta(days=1826)
    assert got.certificate.replace_foreign is False
    assert got.credentials.api_token_secret_ref.key == "api-token"
    assert got.enforcement_mode is Mode.REQUIRE
    assert got.verification.window_duration == timedelta(seconds=180)
    assert got.deletion_policy is api.DeletionPolicy.RESTORE
    assert got.origins[0].kind == "ingressNginx"
    assert got.origins[0].target == Target(
        "ingressNginx", "ingress-nginx", "ingress-nginx-controller"
    )
    assert got.origins[0].ingress_nginx is not None
    assert got.origins[0].ingress_nginx.foreign_text is ForeignText.REFUSE
    assert got.alerts is None
    assert not got.suspend


def test_names_are_kept_in_one_form_whichever_they_are_written_in() -> None:
    got = spec(corpus.named("zone-as-it-is-read"))
    assert got.zone.name == "xn--bcher-kva.example"
    assert got.hostname_patterns == (
        "xn--bcher-kva.example",
        "*.xn--bcher-kva.example",
        "xn--ber-goa.xn--bcher-kva.example",
    )
    assert got.concrete_hosts[-1] == "xn--l-0ga.xn--bcher-kva.example"
    assert (
        spec(corpus.named("zone-and-hostnames-in-different-forms")).hostname_patterns
        == minimal(zone={"name": "bücher.example"}).hostnames
    )
    assert (
        spec(corpus.named("zone-internationalised")).zone
        == minimal(zone={"name": "bücher.example"}).zone
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("example.com", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("r3---sn.bücher.example", "r3---sn.xn--bcher-kva.example"),
        ("i❤.ws", "xn--i-7iq.ws"),
        ("i❤ß.ws", "xn--i-qfa6960a.ws"),
        ("日本語.jp", "xn--wgv71a119e.jp"),
        ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),
    ],
)
def test_a_name_has_one_form(written: str, kept: str) -> None:
    assert ascii_name(written) == kept
    assert ascii_name(kept) == kept


@given(st.text(max_size=60))
def test_no_text_is_too_odd_to_be_a_name(text: str) -> None:
    """Whoever wrote it: Cloudflare, or a person."""
    assert ascii_name(ascii_name(text)) == ascii_name(text)


@pytest.mark.parametrize(
    "hostnames",
    [
        ["bücher.example", "xn--bcher-kva.example"],
        ["xn--grsse-xxa.example"],
        ["größe.example"],
        ["".join(chr(0x4E00 + 97 * n) for n in range(40)) + ".bücher.example"],
    ],
    ids=["twice", "outside", "outside as it is read", "too long in the other form"],
)
def test_what_the_api_server_cannot_compare_the_operator_does(hostnames: list[str]) -> None:
    with pytest.raises(Blocked) as refused:
        minimal(zone={"name": "bücher.example"}, hostnames=hostnames)
    assert refused.value.reason is Reason.SPEC_INVALID


def test_what_is_written_wins_over_the_defaults() -> None:
    got = minimal(
        hostnames=["www.example.com"],
        certificate={"generate": {"secretName": "mine", "algorithm": "RSA"}},
        enforcement="Request",
    )
    assert got.hostname_patterns == ("www.example.com",)
    assert got.certificate.generate is not None
    assert (got.certificate.generate.secret_name, got.certificate.generate.size) == ("mine", 4096)
    assert got.enforcement_mode is Mode.REQUEST


def test_a_referenced_secret_is_not_given_a_generated_one() -> None:
    got = minimal(certificate={"secretRef": {"name": "tls"}})
    assert got.certificate.generate is None
    assert got.certificate.secret_ref is not None
    assert got.certificate.secret_ref.name == "tls"


def test_concrete_hosts_are_hostnames_and_samples_without_wildcards_or_duplicates() -> None:
    got = minimal(
        hostnames=["example.com", "*.example.com"],
        verification={"samples": ["www.example.com", "example.com"]},
    )
    assert got.concrete_hosts == ("example.com", "www.example.com")


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        minimal().suspend = True  # type: ignore[misc]


def manifest(**metadata: Any) -> dict[str, Any]:
    minimal = corpus.named("minimal")
    server = {
        "namespace": "edge",
        "uid": "u-1",
        "generation": 3,
        "resourceVersion": "77",
        "creationTimestamp": "2026-11-24T03:00:00Z",
    }
    return {**minimal, "metadata": {**minimal["metadata"], **server, **metadata}}


def test_an_object_knows_who_it_is() -> None:
    got = AuthenticatedOriginPull.parse(manifest())
    assert (str(got.key), got.uid, got.generation, got.resource_version) == (
        "edge/minimal",
        "u-1",
        3,
        "77",
    )
    assert got.created_at == datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert (got.deleting, got.has_finalizer, got.record, got.rotate) == (False, False, None, None)
    assert got.status == Status()


def test_an_object_knows_its_marks() -> None:
    got = AuthenticatedOriginPull.parse(
        manifest(
            deletionTimestamp="2026-11-24T04:00:00Z",
            finalizers=["other/one", api.FINALIZER],
            annotations={api.RECORD_ANNOTATION: "{}", api.ROTATE_ANNOTATION: "2026-11-24"},
        )
    )
    assert got.deleted_at == datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert (got.deleting, got.has_finalizer, got.record, got.rotate) == (
        True,
        True,
        "{}",
        "2026-11-24",
    )


def test_an_object_without_a_spec_is_refused_with_the_missing_fields() -> None:
    with pytest.raises(
        Blocked,
        match=r"spec.zone: Field required; spec.credentials: Field required; spec.origins: Field required",
    ):
        AuthenticatedOriginPull.parse({**manifest(), "spec": None})


def full_status() -> Status:
    noon = datetime(2026, 11, 24, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    return Status(
        observed_generation=3,
        enforcement="Require",
        zone=api.ZoneStatus(id="z", account_id="a", ssl_mode="strict"),
        certificate=api.CertificateStatus(
            id="c",
            fingerprint="ab",
            serial_number="12",
            status="active",
            not_after=noon,
            renewal_time=noon,
        ),
        origins=(api.OriginStatus(name="public", mode="Require", replicas=2, applied=2),),
        hosts=api.HostsStatus(proven=1, total=2, unproven=("www.example.com",)),
        proof=api.ProofStatus(since=noon),
        conditions=(
            Condition(
                type=ConditionType.READY,
                status="True",
                observed_generation=3,
                last_transition_time=noon,
                reason=Reason.READY,
                message="ok",
            ),
        ),
    )


def test_status_is_json_in_camel_case_with_whole_seconds_in_utc() -> None:
    got = full_status().manifest()
    assert json.loads(json.dumps(got)) == got
    assert got["certificate"]["notAfter"] == "2026-11-24T11:00:00Z"
    assert got["conditions"] == [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-11-24T11:00:00Z",
            "reason": "Ready",
            "message": "ok",
        }
    ]


def test_status_survives_the_way_to_the_api_server_and_back() -> None:
    written = full_status().manifest()
    assert Status.parse(written).manifest() == written
    ready = Status.parse(written).condition(ConditionType.READY)
    assert ready is not None
    assert ready.status == "True"
    assert Status.parse(written).condition(ConditionType.STALLED) is None


def test_status_leaves_out_what_is_not_known() -> None:
    assert Status(observed_generation=1).manifest() == {
        "observedGeneration": 1,
        "origins": [],
        "conditions": [],
    }


@pytest.mark.parametrize(
    "written", [None, {}, {"conditions": "?"}, {"certificate": {"notAfter": "soon"}}]
)
def test_an_unreadable_status_reads_as_none(written: Any) -> None:
    assert Status.parse(written) == Status()


def test_a_status_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert Status.parse({"observedGeneration": 4, "later": True}).observed_generation == 4


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_keeps_its_value(seconds: int) -> None:
    written = f"{seconds // 3600}h{seconds // 60 % 60}m{seconds % 60}s"
    assert timedelta_of(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("180s", 180),
        ("1h30m", 5400),
        ("17520h", 730 * 86400),
        ("90m", 5400),
        ("1h0m1s", 3601),
        ("0s", 0),
    ],
)
def test_a_duration_reads_as_in_go(text: str, seconds: int) -> None:
    assert timedelta_of(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "1", "1d", "-1h", "1.5h", "1m1h", " 1h", "1h\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        timedelta_of(text)


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("www.example.com", "www.example.com", True),
        ("www.example.com", "example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "notexample.com", False),
        ("*.example.com", "www.example.org", False),
    ],
)
def test_a_wildcard_covers_what_is_below_it(pattern: str, host: str, *, covered: bool) -> None:
    assert covers(pattern, host) is covered


def test_an_object_key_prints_as_people_write_it_and_reads_back() -> None:
    assert str(KEY) == "edge/example-com"
    assert ObjectKey.parse("edge/example-com") == KEY


@pytest.mark.parametrize("text", ["", "edge", "/name", "edge/", "a/b/c"])
def test_what_is_no_object_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not namespace/name"):
        ObjectKey.parse(text)
