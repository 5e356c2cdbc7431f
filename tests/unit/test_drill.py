"""The pure half of the drill: a shape holds nothing of the zone, and what differs is told as what it is."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from drill import comparison, report
from drill.__main__ import FAILED, confirm, main
from drill.exercise import DrillError
from drill.shapes import scrubbed, shape, texts
from drill.transcript import RecordedCall, Transcript, template

ZONE, ID, UUID = (
    "given-up.example",
    "023e105f4ecef8ad9ca31a8372d0c353",
    "d5035326-5385-4ec3-b77d-d1a122cf3283",
)
ANSWER: dict[str, Any] = {
    "success": True,
    "errors": [],
    "result": {
        "id": UUID,
        "status": "active",
        "issuer": f"CN={ZONE}",
        "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "uploaded_on": "2026-05-24T16:57:16.801883Z",
        "expires_on": "2032-05-21T16:51:00Z",
        "serial_number": "364027147676626726289571183730041490650282141970",
        "signature": "ECDSA-SHA256",
        "account": {"id": ID, "name": "Somebody"},
        "servers": [{"name": "a"}, {"name": None}],
    },
}


def test_a_shape_tells_the_kind_of_each_value() -> None:
    assert shape(ANSWER) == {
        "errors": "empty list",
        "result.account.id": "id of 32 hexadecimal digits",
        "result.account.name": "text",
        "result.certificate": "certificate in PEM",
        "result.expires_on": "time",
        "result.id": "id with dashes",
        "result.issuer": "distinguished name",
        "result.serial_number": "decimal digits",
        "result.servers": "list",
        "result.servers[].name": "null or text",
        "result.signature": "signature algorithm",
        "result.status": "active",
        "result.uploaded_on": "time with fractions",
        "success": "true",
    }


def test_nothing_that_an_answer_says_is_in_its_shape() -> None:
    printed = str(shape(ANSWER))
    words = [text for text in texts(ANSWER) if len(text) > 5]
    assert ID in words
    assert [text for text in words if text in printed] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (f"zone {ZONE} has no certificate {UUID}", "zone ZONE has no certificate ID"),
        (f"Zone {ZONE.upper()}", "Zone ZONE"),
        (f"account {ID} of somebody@example.org at 192.0.2.7", "account ID of ADDRESS at ADDRESS"),
        ("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", "PEM"),
        ("seen: secret-name", "seen: TEXT"),
    ],
)
def test_words_have_placeholders_for_what_is_of_the_zone(words: str, expected: str) -> None:
    assert scrubbed(words, {ZONE: "ZONE"}, {"secret-name"}) == expected


def test_a_call_is_told_by_its_template() -> None:
    base = "https://api.cloudflare.com/client/v4"
    request = httpx.Request("DELETE", f"{base}/zones/{ID}/origin_tls_client_auth/{UUID}?x={ZONE}")
    assert template(request) == "DELETE /zones/{zone_id}/origin_tls_client_auth/{certificate_id}"
    request = httpx.Request("GET", f"{base}/zones/{ID}/origin_tls_client_auth/hostnames")
    assert template(request) == "GET /zones/{zone_id}/origin_tls_client_auth/hostnames"


def exchange(status: int | None = 200, **fields: str) -> RecordedCall:
    shape_of_answer = {"success": "true", "result.id": "id with dashes"} | {
        name.replace("__", "."): kind for name, kind in fields.items()
    }
    return RecordedCall("a step", "GET /x", 0.0, 0.0, status, shape_of_answer)


def compared(
    double: list[RecordedCall], real: list[RecordedCall]
) -> list[tuple[str, str, str, bool]]:
    differences = comparison.differences(
        Transcript({}, exchanges=double), Transcript({}, exchanges=real)
    )
    return [(one.what, one.double, one.real, one.matters) for one in differences]


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        ([exchange()], []),
        ([exchange(), exchange()], []),
        ([exchange(202)], [("HTTP status and codes", "200", "202", True)]),
        ([exchange(503), exchange()], []),
        ([exchange(None), exchange()], []),
        (
            [exchange(result__id="decimal digits")],
            [("field result.id", "id with dashes", "decimal digits", True)],
        ),
        ([exchange(result__more="text")], [("field result.more", "not there", "text", False)]),
        (
            [exchange(result__status="pending_deployment"), exchange(result__status="active")],
            [("status of the certificate", "", "pending_deployment -> active", True)],
        ),
        ([], [("asked", "yes", "no", False)]),
    ],
    ids=[
        "the same",
        "asked twice",
        "another status",
        "unavailable for a moment",
        "no answer for a moment",
        "another kind",
        "a field more",
        "another course",
        "never asked",
    ],
)
def test_what_differs_is_told(
    real: list[RecordedCall], expected: list[tuple[str, str, str, bool]]
) -> None:
    assert compared([exchange()], real) == expected


def test_another_code_matters_although_the_status_is_the_same() -> None:
    expected, seen = (
        exchange(400, **{"errors[]__code": "1406"}),
        exchange(400, **{"errors[]__code": "1408"}),
    )
    assert compared([expected], [seen]) == [("HTTP status and codes", "400 1406", "400 1408", True)]


def test_how_a_step_ended_and_what_the_edge_presented_are_compared() -> None:
    double = Transcript({}, outcomes={"one": "done", "two": "done"}, presented={"three": "nothing"})
    real = Transcript({}, outcomes={"one": "taken"}, presented={"three": "another certificate"})
    assert [(one.step, one.double, one.real) for one in comparison.differences(double, real)] == [
        ("one", "done", "taken"),
        ("two", "done", "not reached"),
        ("three", "nothing", "another certificate"),
    ]


def test_the_report_says_what_matters_and_what_does_not() -> None:
    double, real = Transcript({}, exchanges=[exchange()]), Transcript({}, exchanges=[exchange(202)])
    differences = comparison.differences(double, real)
    text = report.as_markdown(double, real, differences, "It ended.")
    assert "1 differences matter" in text
    assert "| a step | GET /x | HTTP status and codes | 200 | 202 |" in text
    assert "there was no HOST" in text


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe"])
def test_a_file_without_a_token_is_told_before_anybody_is_asked(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    assert main([ZONE, "--token-file", str(file)]) == FAILED
    output = capsys.readouterr()
    assert str(file) in output.err
    assert output.out == ""


@pytest.mark.parametrize("listen", ["8443", "127.0.0.1:", "127.0.0.1:https"])
def test_a_place_that_is_none_is_told(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([ZONE, "--token-file", "token", "--listen", listen])
    assert listen in capsys.readouterr().err


def test_where_nobody_can_answer_it_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRILL_YES", raising=False)
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(DrillError, match=f"DRILL_YES={ZONE}"):
        confirm(ZONE)
