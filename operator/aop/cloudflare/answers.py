"""From an HTTP answer to a `Failure` and from a `Failure` to its exception: pure, so that every status and code is one row of a test.

Called by `wire` and `tokens`. Nothing here knows httpx.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from aop.cloudflare.calls import DELETE_CERTIFICATE, UPLOAD_CERTIFICATE, Call
from aop.cloudflare.errors import (
    AlreadyDeleted,
    AlreadyExists,
    CannotDeleteYet,
    CertificateRefused,
    CloudflareError,
    Conflict,
    Failure,
    NotFound,
    RateLimited,
    Refused,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    ZoneNotVisible,
)

SOON_S = 5.0
"""When to try again what Cloudflare finishes by itself: 409 and 1434 (reference: cloudflare-api, 4, as used against the live API)."""
LATER_S = 60.0
"""When to try again what nobody knows the end of."""

_AUTHENTICATION_ERROR = 10000
_MALFORMED_AUTHORIZATION = {6003, 6111}
_NO_SUCH_ZONE = {7003, 9109}
_NO_SUCH_CERTIFICATE = {1415, 1551, 1552}
_LONGEST_WORDS = 300
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
_RAY = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Cloudflare's envelope, as far as anybody reads it. Its repr shows nothing that Cloudflare could have echoed."""

    success: bool
    codes: tuple[int, ...]
    words: tuple[str, ...] = field(repr=False)
    result: Any = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    """`result_info`: page, per_page, count, total_count, total_pages; any of them may be missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    envelope: Envelope | None
    """None: the body is not Cloudflare's envelope, which 5xx answers often are not (reference: cloudflare-api, 7.3)."""
    cf_ray: str | None
    retry_after_s: float | None

    @property
    def succeeded(self) -> bool:
        """True if Cloudflare did what was asked."""
        return 200 <= self.status < 300 and self.envelope is not None and self.envelope.success


@dataclass(frozen=True, slots=True)
class Standing:
    """What Cloudflare says of a token by itself."""

    active: bool
    words: str
    """Continues "the token …"; for people."""
    certain: bool = True
    """False: an account's own token looks the same, because only its account can verify it."""


def read_answer(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
    """Everything of an answer that matters. `now` turns a Retry-After that is a date into seconds."""
    ray = headers.get("cf-ray", "")
    return Answer(
        status=status,
        envelope=_read_envelope(body),
        cf_ray=ray if _RAY.fullmatch(ray) else None,
        retry_after_s=read_retry_after(headers.get("retry-after"), now),
    )


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, either form (RFC 9110, 10.2.3), of any length; None if it is missing or means nothing."""
    text = (value or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)


def failure_of(call: Call, answer: Answer, secrets: Iterable[str]) -> Failure:
    """The facts of an answer that did not succeed; `secrets` are cut out of Cloudflare's words, should they echo any."""
    envelope = answer.envelope
    words = "; ".join(envelope.words) if envelope else "the body is not an answer of Cloudflare's API"
    return Failure(
        method=call.method,
        path=call.path,
        status=answer.status,
        codes=envelope.codes if envelope else (),
        words=scrub(words, secrets),
        cf_ray=answer.cf_ray,
        retry_after_s=answer.retry_after_s,
        readable=envelope is not None,
    )


def doubts_token(failure: Failure) -> bool:
    """True if the answer may be about the token as such, about a permission, or about a zone: it alone does not say.

    401 and 403 are ambiguous, 10000 even comes with 400 (reference: cloudflare-api, 4). A 403 without an envelope is a firewall's.
    """
    if not failure.readable or failure.status is None or failure.status >= 500:
        return False
    return failure.status in {401, 403} or _AUTHENTICATION_ERROR in failure.codes


def error_of(call: Call, failure: Failure, source: str, standing: Standing | None) -> CloudflareError:
    """The exception for a failure other than 429. `standing` is what the token is known to be, if the failure put it in doubt."""
    return (
        _about_the_token(call, failure, source, standing)
        or _about_the_certificate(call, failure)
        or _about_the_service(failure)
        or _about_the_zone(call, failure)
        or (_about_permission(call, failure, source) if doubts_token(failure) else None)
        or _about_the_request(call, failure)
    )


def rate_limited(failure: Failure | None, wait_s: float, why: str) -> RateLimited:
    """The exception for 429 and for a budget of our own that is spent."""
    return RateLimited(f"Calls to Cloudflare with this token pause for {wait_s:.0f} s: {why}.", failure, retry_after_s=wait_s)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` on one line of bounded length, without any of `secrets`, any line of them, or any private key."""
    text = _PRIVATE_KEY.sub("[redacted]", text)
    for secret in filter(None, secrets):
        for part in (secret, *(line for line in secret.splitlines() if len(line) >= 16)):
            text = text.replace(part, "[redacted]")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}…"


def _about_the_token(call: Call, failure: Failure, source: str, standing: Standing | None) -> CloudflareError | None:
    if _MALFORMED_AUTHORIZATION & set(failure.codes):
        return TokenRejected(
            f"{source} does not have the form of an API token. The Global API Key is not one: create a token in the dashboard "
            "(My Profile > API Tokens) and put it there.",
            failure,
        )
    if standing is not None and not standing.active:
        needed = call.permission.name if call.permission else "every permission"
        doubt = "" if standing.certain else f" (A token that belongs to an account and lacks {needed!r} looks the same.)"
        return TokenRejected(f"{source}: the token {standing.words}. Put a token there that works.{doubt}", failure)
    return None


def _about_the_certificate(call: Call, failure: Failure) -> CloudflareError | None:
    codes = set(failure.codes)
    if call is UPLOAD_CERTIFICATE and 1406 in codes:
        return AlreadyExists("The zone already holds this certificate.", failure, retry_after_s=SOON_S)
    if call is DELETE_CERTIFICATE and 1434 in codes:
        return CannotDeleteYet("The certificate is still being deployed and cannot be deleted yet.", failure, retry_after_s=SOON_S)
    if call is DELETE_CERTIFICATE and 1414 in codes:
        return AlreadyDeleted("The certificate is being deleted already.", failure, retry_after_s=SOON_S)
    if call.names_certificate and (
        _NO_SUCH_CERTIFICATE & codes or (failure.status == 404 and failure.readable and not _NO_SUCH_ZONE & codes)
    ):
        return NotFound("Cloudflare holds no certificate of this id.", failure, retry_after_s=SOON_S)
    return None


def _about_the_service(failure: Failure) -> CloudflareError | None:
    status = failure.status
    if status == 409:
        return Conflict("Another certificate of the zone is being changed.", failure, retry_after_s=failure.retry_after_s or SOON_S)
    if failure.readable and status is not None and 400 <= status < 500 and status not in {408, 425}:
        return None
    if failure.readable and doubts_token(failure):
        return None
    if status is not None and status < 500:
        said = "Something answered that is not Cloudflare's API (if it persists: check AOP_CLOUDFLARE_BASE_URL, and any proxy on the way)"
    else:
        said = "Cloudflare gave no usable answer"
    outcome = "" if failure.method == "GET" else ", and whether the change took effect is not known"
    return Unavailable(f"{said}{outcome}; it is looked at again.", failure, retry_after_s=failure.retry_after_s)


def _about_the_zone(call: Call, failure: Failure) -> CloudflareError | None:
    # A malformed id gives 7003 wherever it stands in the path; certificate ids come from Cloudflare itself, so it is the zone's.
    if call.names_zone and (_NO_SUCH_ZONE & set(failure.codes) or failure.status == 404):
        return ZoneNotVisible(
            "There is no such zone, or the token may not see it. Check spec.zone, and the token's Zone Resources in the dashboard.", failure
        )
    return None


def _about_permission(call: Call, failure: Failure, source: str) -> CloudflareError:
    if call.permission is None:
        return TokenRejected(f"{source}: Cloudflare refuses the token. Put a token there that works.", failure)
    return TokenLacksPermission(
        f"{source}: the token works, but lacks the permission {call.permission.name!r} for this zone. In the dashboard edit the token "
        f"(My Profile > API Tokens, or Manage Account > Account API Tokens): add {call.permission.dashboard}, and the zone under Zone Resources.",
        failure,
    )


def _about_the_request(call: Call, failure: Failure) -> CloudflareError:
    if call is UPLOAD_CERTIFICATE:
        return CertificateRefused(
            "Cloudflare refuses the certificate for good. It must be a leaf (CA:FALSE) with its own key, in PEM; issue another one.",
            failure,
        )
    return Refused("Cloudflare refuses the call.", failure, retry_after_s=failure.retry_after_s or LATER_S)


def _read_envelope(body: bytes) -> Envelope | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("success"), bool):
        return None
    errors = list(_flatten(data.get("errors")))
    info = data.get("result_info")
    return Envelope(
        success=data["success"],
        codes=tuple(code for error in errors if (code := _code(error)) is not None),
        words=tuple(str(error["message"]) for error in errors if error.get("message")),
        result=data.get("result"),
        info=info if isinstance(info, dict) else {},
    )


def _flatten(errors: Any) -> Iterable[dict[str, Any]]:
    """The errors, then those of their `error_chain`, which is where the telling code of a 6003 stands."""
    found = _dicts(errors)
    yield from found
    for error in found:
        yield from _dicts(error.get("error_chain"))


def _dicts(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _code(error: Mapping[str, Any]) -> int | None:
    code = error.get("code")
    if isinstance(code, bool):
        return None
    return code if isinstance(code, int) else int(code) if isinstance(code, str) and code.isdecimal() else None
