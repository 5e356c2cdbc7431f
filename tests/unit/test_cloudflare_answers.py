"""Every status and code that is known, one row each: which exception, and what it tells.

Facts: cloudflare#error-codes, cloudflare#throttling-codes, cloudflare#codes-of-several-meanings.
"""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from aop.cloudflare import calls
from aop.cloudflare.answers import ApiAnswer, read_answer, read_retry_after, scrub
from aop.cloudflare.calls import Call
from aop.cloudflare.errors import (
    AlreadyDeleted,
    AlreadyExists,
    CannotDeleteYet,
    CertificateRefused,
    ChangeUnderWay,
    CloudflareError,
    NotFound,
    Outdated,
    Refused,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    ZoneNotVisible,
)
from aop.cloudflare.verdicts import Standing, doubts_token, error_of, failure_of
from aop.errors import Blocked, Reason, Transient

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
ACTIVE = Standing(active=True, words="is active")
EXPIRED = Standing(active=False, words="expired on 2026-11-01")
TELLTALE = "kVx7Qm2Zp9Lw4Rt8Yb3NcD5fGh6Jk1"
SOURCE = "Secret edge/cloudflare, key api-token"
PERMITTED = [
    call for call in vars(calls).values() if isinstance(call, Call) and call.permission is not None
]
"""Every call that takes more than a token that works."""


def answered(
    status: int, *codes: int, body: bytes | None = None, headers: dict[str, str] | None = None
) -> ApiAnswer:
    content = {
        "success": False,
        "errors": [{"code": code, "message": f"words of {code}"} for code in codes],
        "messages": [],
    }
    return read_answer(
        status,
        {"cf-ray": "8f1e-FRA"} | (headers or {}),
        json.dumps(content).encode() if body is None else body,
        NOW,
    )


def error(call: Call, answer: ApiAnswer, standing: Standing | None = None) -> CloudflareError:
    return error_of(call, failure_of(call, answer, ["a-token"]), SOURCE, standing)


@pytest.mark.parametrize(
    ("call", "status", "codes", "standing", "expected"),
    [
        (calls.UPLOAD_CERTIFICATE, 400, (1406,), None, AlreadyExists),
        (calls.UPLOAD_CERTIFICATE, 409, (1406,), None, AlreadyExists),
        (calls.UPLOAD_CERTIFICATE, 200, (1406,), None, AlreadyExists),
        (calls.UPLOAD_CERTIFICATE, 400, (1408,), None, CertificateRefused),
        (calls.UPLOAD_CERTIFICATE, 400, (), None, CertificateRefused),
        (calls.UPLOAD_CERTIFICATE, 422, (2106,), None, CertificateRefused),
        (calls.UPLOAD_CERTIFICATE, 400, (1434,), None, CertificateRefused),
        (calls.UPLOAD_CERTIFICATE, 409, (), None, ChangeUnderWay),
        (calls.UPLOAD_CERTIFICATE, 408, (), None, Unavailable),
        (calls.UPLOAD_CERTIFICATE, 425, (), None, Unavailable),
        (calls.UPLOAD_CERTIFICATE, 404, (), None, ZoneNotVisible),
        (calls.UPLOAD_CERTIFICATE, 403, (10000,), ACTIVE, TokenLacksPermission),
        (calls.UPLOAD_CERTIFICATE, 401, (10000,), ACTIVE, TokenLacksPermission),
        (calls.UPLOAD_CERTIFICATE, 400, (10000,), ACTIVE, TokenLacksPermission),
        (calls.UPLOAD_CERTIFICATE, 403, (10000,), EXPIRED, TokenRejected),
        (calls.DELETE_CERTIFICATE, 400, (1434,), None, CannotDeleteYet),
        (calls.DELETE_CERTIFICATE, 400, (1414,), None, AlreadyDeleted),
        (calls.DELETE_CERTIFICATE, 400, (1406,), None, Refused),
        (calls.DELETE_CERTIFICATE, 400, (), None, Refused),
        (calls.DELETE_CERTIFICATE, 404, (1551,), None, NotFound),
        (calls.FETCH_CERTIFICATE, 404, (1552,), None, NotFound),
        (calls.FETCH_CERTIFICATE, 400, (1415,), None, NotFound),
        (calls.FETCH_CERTIFICATE, 404, (), None, NotFound),
        (calls.FETCH_CERTIFICATE, 404, (7003,), None, ZoneNotVisible),
        (calls.FETCH_ZONE, 404, (7003,), None, ZoneNotVisible),
        (calls.FETCH_ZONE, 400, (7003,), None, ZoneNotVisible),
        (calls.FETCH_ZONE, 403, (9109,), ACTIVE, ZoneNotVisible),
        (calls.FETCH_ZONE, 403, (9109,), EXPIRED, TokenRejected),
        (calls.FIND_ZONES, 403, (9109,), ACTIVE, TokenLacksPermission),
        (calls.FETCH_ENABLEMENT, 400, (6003, 6111), None, TokenRejected),
        (calls.FETCH_ENABLEMENT, 400, (1404,), None, Refused),
        (calls.FETCH_ENABLEMENT, 400, (10001,), ACTIVE, TokenLacksPermission),
        (calls.SET_ENABLEMENT, 405, (10001,), ACTIVE, TokenLacksPermission),
        (calls.SET_ENABLEMENT, 405, (10001,), EXPIRED, TokenRejected),
        (calls.FETCH_ENABLEMENT, 500, (), None, Unavailable),
        (calls.FETCH_ENABLEMENT, 522, (), None, Unavailable),
        (calls.FETCH_ENABLEMENT, 200, (), None, Unavailable),
        (calls.FETCH_ENABLEMENT, 302, (), None, Unavailable),
        (calls.FETCH_ENABLEMENT, 500, (10000,), ACTIVE, Unavailable),
        (calls.VERIFY_TOKEN, 418, (10000,), None, TokenRejected),
    ],
)
def test_status_and_code_decide(
    call: Call,
    status: int,
    codes: tuple[int, ...],
    standing: Standing | None,
    expected: type[CloudflareError],
) -> None:
    caught = error(call, answered(status, *codes), standing)
    assert type(caught) is expected
    assert (caught.status, caught.codes, caught.cf_ray, caught.method, caught.path) == (
        status,
        codes,
        "8f1e-FRA",
        call.method,
        call.path,
    )
    assert "cf-ray 8f1e-FRA" in caught.message


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (1000, "upstream timed out", Unavailable),
        (1000, "Time-out", Unavailable),
        (1000, "Internal server error", Unavailable),
        (10001, "Internal error", Unavailable),
        (10001, "Method not allowed for token", TokenLacksPermission),
        (9109, "Invalid zone identifier", ZoneNotVisible),
        (9109, "Unauthorized to access requested resource", TokenLacksPermission),
        (9109, "Cannot use the access token from location: 192.0.2.7", TokenRejected),
        (10000, "Internal error, try again", TokenLacksPermission),
    ],
)
@pytest.mark.parametrize("status", [400, 403])
def test_words_decide_for_three_codes_and_for_no_other(
    status: int, code: int, words: str, expected: type[CloudflareError]
) -> None:
    body = {"success": False, "errors": [{"code": code, "message": words}], "messages": []}
    answer = read_answer(status, {}, json.dumps(body).encode(), NOW)
    assert type(error(calls.FETCH_ENABLEMENT, answer, ACTIVE)) is expected


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 418, 500, 503, 520])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no</html>",
        b'{"success": tr',
        b"[]",
        b'"text"',
        b"{}",
        b'{"success": "yes"}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_an_answer_that_is_not_the_apis_is_never_a_verdict(status: int, body: bytes) -> None:
    """A firewall's 403 condemns no token, and a proxy's 400 no certificate."""
    answer = answered(status, body=body)
    assert not answer.succeeded
    assert not doubts_token(failure_of(calls.UPLOAD_CERTIFICATE, answer, []))
    assert type(error(calls.UPLOAD_CERTIFICATE, answer)) is Unavailable


def test_what_blocks_has_its_reason_and_what_passes_has_its_delay() -> None:
    for call, status, codes, standing, reason in [
        (calls.FIND_ZONES, 403, (10000,), EXPIRED, Reason.TOKEN_REJECTED),
        (calls.FIND_ZONES, 403, (10000,), ACTIVE, Reason.TOKEN_LACKS_PERMISSION),
        (calls.FETCH_ZONE, 404, (), None, Reason.ZONE_NOT_FOUND),
        (calls.UPLOAD_CERTIFICATE, 400, (1408,), None, Reason.CERTIFICATE_REFUSED),
    ]:
        blocked = error(call, answered(status, *codes), standing)
        assert isinstance(blocked, Blocked)
        assert blocked.reason is reason
        assert not isinstance(blocked, Transient)
    conflict = error(calls.UPLOAD_CERTIFICATE, answered(409))
    assert isinstance(conflict, Transient)
    assert conflict.retry_after_s == 5
    patient = error(calls.FETCH_ZONE, answered(503, headers={"retry-after": "1800"}))
    assert isinstance(patient, Transient)
    assert patient.retry_after_s == 1800


def test_an_outdated_view_makes_a_caller_that_does_not_decide_look_again() -> None:
    assert issubclass(Outdated, Transient)
    assert all(
        issubclass(fact, Outdated)
        for fact in (AlreadyExists, CannotDeleteYet, AlreadyDeleted, NotFound)
    )


@pytest.mark.parametrize("call", PERMITTED, ids=str)
def test_a_missing_permission_is_named_with_the_place_to_add_it(call: Call) -> None:
    message = error(call, answered(403, 10000), ACTIVE).message
    assert call.permission is not None
    assert repr(call.permission.name) in message
    assert call.permission.dashboard in message
    assert SOURCE in message


def test_the_installation_lists_the_permissions_that_the_calls_need() -> None:
    page = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
    listed = set(
        re.findall(r"^\| (\S[^|]*?) \| ((?:Zone|Account) > [^|]*?) \|", page, re.MULTILINE)
    )
    needed = {call.permission for call in PERMITTED if call.permission is not None}
    assert listed == {(one.name, one.dashboard) for one in needed}


def test_a_rejected_token_says_what_cloudflare_says_of_it_and_where_it_stands() -> None:
    message = error(calls.FIND_ZONES, answered(403, 10000), EXPIRED).message
    assert "expired on 2026-11-01" in message
    assert SOURCE in message
    unsure = Standing(active=False, words="is unknown", certain=False)
    assert (
        "'SSL and Certificates Write' looks the same"
        in error(calls.LIST_CERTIFICATES, answered(403), unsure).message
    )


def test_after_a_mutation_without_usable_answer_the_message_says_that_the_outcome_is_unknown() -> (
    None
):
    assert "does not know whether" in error(calls.UPLOAD_CERTIFICATE, answered(502)).message
    assert "does not know whether" not in error(calls.FETCH_ZONE, answered(502)).message


def test_codes_of_an_error_chain_count() -> None:
    body = {
        "success": False,
        "errors": [{"code": 6003, "message": "a", "error_chain": [{"code": 6111, "message": "b"}]}],
    }
    answer = read_answer(400, {}, json.dumps(body).encode(), NOW)
    assert answer.envelope is not None
    assert answer.envelope.codes == (6003, 6111)


@pytest.mark.parametrize(
    "errors",
    [
        None,
        [],
        {},
        "text",
        [None],
        ["text"],
        [{}],
        [{"code": None}],
        [{"code": "abc"}],
        [{"code": True}],
        [{"error_chain": 5}],
    ],
)
def test_malformed_errors_are_no_codes(errors: object) -> None:
    answer = read_answer(400, {}, json.dumps({"success": False, "errors": errors}).encode(), NOW)
    assert answer.envelope is not None
    assert answer.envelope.codes == ()
    assert type(error(calls.FETCH_ENABLEMENT, answer)) is Refused


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("1.5", 1.5),
        ("3600", 3600),
        ("86400", 3600),
        ("999999999999", 3600),
        ("9" * 5000, 3600),
        ("٣", None),
        (" 30 ", 30),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        ("Tue, 24 Nov 2026 04:05:00 -0000", 300),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=300), usegmt=True), 3600),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Sat, 01 Jan 0001 00:00:00 +0100", 0),
        ("Tue, 24 Nov 2026 04:05:00 +99999999", None),
        ("Tue, 24 Nov 99999999999999999999 04:05:00 GMT", None),
        ("Tue, 32 Nov 2026 04:05:00 GMT", None),
        ("24 Nov", None),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_in_either_form(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("ours", [timedelta(hours=-5), timedelta(0), timedelta(minutes=50)])
def test_a_date_to_retry_after_is_counted_from_the_answer_s_own_date(ours: timedelta) -> None:
    """Whatever our wall clock says: the two headers come from one clock, which is not ours."""
    headers = {
        "retry-after": format_datetime(NOW + timedelta(minutes=5), usegmt=True),
        "date": format_datetime(NOW, usegmt=True),
    }
    assert read_answer(503, headers, b"", NOW + ours).retry_after_s == 300


@pytest.mark.parametrize("date", ["", "soon", "Fri, 31 Dec 9999 23:59:59 -0100"])
def test_without_a_usable_date_of_its_own_it_is_counted_from_now(date: str) -> None:
    headers = {
        "retry-after": format_datetime(NOW + timedelta(minutes=5), usegmt=True),
        "date": date,
    }
    assert read_answer(503, headers, b"", NOW).retry_after_s == 300


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (1406, (1406,)),
        ("1406", (1406,)),
        (971, (971,)),
        ("0", (0,)),
        ("9" * 4301, ()),
        (10**60, ()),
        ("1e3", ()),
        ("٣", ()),
        (-5, ()),
        (14.06, ()),
    ],
    ids=[
        "number",
        "text",
        "971",
        "zero",
        "4,301 digits",
        "60 digits",
        "float as text",
        "another script",
        "negative",
        "fraction",
    ],
)
def test_a_code_is_a_number_of_few_digits_or_none(code: object, seen: tuple[int, ...]) -> None:
    answer = read_answer(
        400,
        {},
        json.dumps({"success": False, "errors": [{"code": code, "message": "no"}]}).encode(),
        NOW,
    )
    assert answer.envelope is not None
    assert answer.envelope.codes == seen


def test_a_number_that_python_does_not_convert_makes_no_envelope() -> None:
    assert (
        read_answer(
            400, {}, b'{"success": false, "errors": [{"code": ' + b"9" * 4301 + b"}]}", NOW
        ).envelope
        is None
    )


@pytest.mark.parametrize("depth", [400, 900, 2000, 100_000])
def test_however_deep_an_answer_is_it_is_read_or_it_is_none(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for body in (
        b'{"success": false, "errors": [{"code": 1000, "message": ' + nested + b"}]}",
        b'{"success": false, "errors": ' + nested + b"}",
        b'{"success": true, "result": ' + nested + b', "result_info": ' + nested + b"}",
        b'{"a":' * depth + b"1" + b"}" * depth,
    ):
        answer = read_answer(400, {}, body, NOW)
        assert not answer.succeeded


def test_a_ray_that_is_no_ray_is_dropped() -> None:
    assert read_answer(200, {"cf-ray": "a b\n" * 50}, b"", NOW).cf_ray is None


def test_words_are_scrubbed_of_secrets_and_of_every_line_of_them() -> None:
    key = (
        "-----BEGIN PRIVATE KEY-----\n"
        + "A" * 64
        + "\n"
        + "B" * 20
        + "\n-----END PRIVATE KEY-----\n"
    )
    shown = scrub(
        f"token tok-123 key {'A' * 64} and {key} and\x1b[31m\n\tmore", ["tok-123", key, ""]
    )
    assert shown == "token [redacted] key [redacted] and [redacted] and [31m more"


def test_a_private_key_that_is_not_ours_is_scrubbed_too_even_if_cut_off() -> None:
    assert "MIIE" not in scrub("got -----BEGIN EC PRIVATE KEY-----\nMIIEabc", [])


@pytest.mark.parametrize(
    "echo",
    [TELLTALE[:20], TELLTALE[7:30], f"{TELLTALE[:16]}...", f"({TELLTALE[-12:]})", TELLTALE * 2],
)
def test_a_part_of_a_secret_is_scrubbed_too(echo: str) -> None:
    shown = scrub(f"Invalid token {echo} and no other", [TELLTALE])
    assert shown.startswith("Invalid token ")
    assert shown.endswith(" and no other")
    assert "[redacted]" in shown
    assert not any(TELLTALE[at : at + 12] in shown for at in range(len(TELLTALE)))


@pytest.mark.parametrize("line_break", ["\\n", "\\\\n", "", "%0A", "\\r\\n"])
def test_a_key_whose_line_breaks_are_written_otherwise_is_scrubbed_with_or_without_its_beginning(
    line_break: str,
) -> None:
    lines = [
        "-----BEGIN PRIVATE KEY-----",
        *(letters * 16 for letters in ("Abc1", "dEf2", "ghI3")),
        "-----END PRIVATE KEY-----",
    ]
    for text in (line_break.join(lines), line_break.join(lines)[40:]):
        shown = scrub(f"cannot parse {text}", ["\n".join(lines)])
        assert not any(letters * 3 in shown for letters in ("Abc1", "dEf2", "ghI3"))


def test_words_of_two_million_characters_are_scrubbed_soon() -> None:
    began_s = time.process_time()
    assert (
        len(
            scrub(
                f"{TELLTALE[:11]} " * 170_000,
                [TELLTALE, "-----BEGIN PRIVATE KEY-----\n" + "A" * 3000],
            )
        )
        == 301
    )
    assert time.process_time() - began_s < 3


def test_words_are_bounded() -> None:
    assert len(scrub("x" * 10_000, [])) == 301
