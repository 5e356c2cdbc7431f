"""From an answer that is no success to its exception.

Pure, so that every status and code is one row of a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from aop.cloudflare.answers import ApiAnswer, scrub
from aop.cloudflare.calls import DELETE_CERTIFICATE, FETCH_ZONE, UPLOAD_CERTIFICATE, Call
from aop.cloudflare.errors import (
    AlertsRefused,
    AlreadyDeleted,
    AlreadyExists,
    ApiFailure,
    CannotDeleteYet,
    CertificateRefused,
    ChangeUnderWay,
    CloudflareError,
    NotFound,
    NotOffered,
    QuotaReached,
    RateLimited,
    Refused,
    TokenDoubted,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    ZoneNotVisible,
)

SOON_S = 5.0
"""When to try again if Cloudflare finishes by itself: 409 and 1434
(facts: cloudflare#retry-times)."""
DOUBTED_S = 10.0
"""When to try again if a working token was refused."""
LATER_S = 60.0
"""When to try again if nobody knows how it will end."""

_AUTHENTICATION_ERROR = 10000
_DOUBTS = {_AUTHENTICATION_ERROR, 9109, 10001}
"""Codes that are about a token, a permission or a zone, whatever the status."""
_AUTHENTICATION = {0, 1000, 9103, 9106, 9109, 10000, 10001}
"""Codes that a 403 has because of the token. With any other code, the zone does not include what
was asked for."""
_MALFORMED_AUTHORIZATION = {6003, 6111}
_NO_SUCH_ZONE = {7003, 9109}
_UNAUTHORIZED = 9109
"""A zone that does not exist, a missing permission, an unknown token, or an address for which the
token is not valid."""
_NO_SUCH_CERTIFICATE = {1415, 1551, 1552}
_INTERNAL = {1000, 10001}
"""Both are also used for failures that pass by themselves; then the words say so
(facts: cloudflare#codes-of-several-meanings)."""
_CERTIFICATE = {1002, 1408, 2100, 2101, 2106}
"""The certificate or its key cannot be read, is no leaf, or they do not belong together
(facts: cloudflare#refused-uploads)."""
_QUOTA = {1212, 2005}
"""The codes that Cloudflare documents for custom certificates ("Troubleshooting | Custom
certificates")."""
_UNCODED = {0, 1000}
"""What an error without a number has in its place; only then do words decide."""
_PASSES = re.compile(r"time[d ]*-?out|internal (server )?error|try again|temporar", re.IGNORECASE)
_ABOUT_ADDRESS = re.compile(r"from location|client ip|ip address", re.IGNORECASE)
_ABOUT_TOKEN = re.compile(r"invalid (api|access) token", re.IGNORECASE)
_ABOUT_ACCESS = re.compile(r"unauthori[sz]ed|requires? permission", re.IGNORECASE)
_ABOUT_QUOTA = re.compile(r"maximum number|quota|too many certificates", re.IGNORECASE)
_ABOUT_PLAN = re.compile(r"\bplan\b|upgrade|entitle|subscription|not available for", re.IGNORECASE)
_ABOUT_CERTIFICATE = re.compile(
    r"leaf|private key|\bpem\b|parse|expired|not yet valid|does not match", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What Cloudflare says about a token as such."""

    active: bool
    words: str
    """Continues "the token …"; for people."""
    certain: bool = True
    """False: an account's own token looks the same, because only its account can verify it."""


def failure_of(call: Call, answer: ApiAnswer, secrets: Iterable[str]) -> ApiFailure:
    """The facts of an answer that was no success.

    `secrets` are cut out of Cloudflare's words, in case they echo any.
    """
    envelope = answer.envelope
    words = (
        "; ".join(envelope.words) if envelope else "the body is not an answer of Cloudflare's API"
    )
    return ApiFailure(
        method=call.method,
        path=call.path,
        status=answer.status,
        codes=envelope.codes if envelope else (),
        words=scrub(words, secrets),
        cf_ray=answer.cf_ray,
        retry_after_s=answer.retry_after_s,
        reset_s=max((each.reset_s for each in answer.allowances if each.left == 0), default=None),
        readable=envelope is not None,
    )


def doubts_token(failure: ApiFailure) -> bool:
    """True if the answer may be about the token as such, a permission, or a zone.

    The answer alone does not say which. 401 and 403 are ambiguous, and 10000 even comes with 400
    (facts: cloudflare#codes-of-several-meanings). A 403 without an envelope comes from a firewall.
    """
    if (
        not failure.readable
        or failure.status is None
        or failure.status >= 500
        or passes_by_itself(failure)
        or names_address(failure)
    ):
        return False
    return failure.status in {401, 403} or bool(_DOUBTS & set(failure.codes))


def passes_by_itself(failure: ApiFailure) -> bool:
    """True if Cloudflare says that it has failed, with the code and the status of a refusal."""
    return bool(_INTERNAL & set(failure.codes)) and _PASSES.search(failure.words) is not None


def names_address(failure: ApiFailure) -> bool:
    """True if the token is only for other addresses than ours, which needs no further question."""
    return _UNAUTHORIZED in failure.codes and _ABOUT_ADDRESS.search(failure.words) is not None


def says_nothing(codes: Iterable[int], words: Iterable[str]) -> bool:
    """True if the refusal of a verification says nothing about the token.

    Load and failures look the same (facts: cloudflare#refusals-under-load).
    """
    given = set(codes)
    return _AUTHENTICATION_ERROR in given or (
        bool(_INTERNAL & given) and _PASSES.search("; ".join(words)) is not None
    )


def error_of(
    call: Call,
    failure: ApiFailure,
    source: str,
    standing: Standing | None,
    *,
    zone_shown: bool = False,
) -> CloudflareError:
    """The exception for a failure that is not throttling.

    `standing` is what is known of the token, if the failure put it in doubt; `zone_shown` says that
    the token has seen the zone of the call before.
    """
    return (
        _about_the_token(call, failure, source, standing)
        or _about_the_certificate(call, failure)
        or _about_the_policy(call, failure)
        or _about_the_service(failure)
        or _about_the_zone(call, failure, source, shown=zone_shown)
        or _about_the_account(call, failure, source)
        or (_about_permission(call, failure, source) if doubts_token(failure) else None)
        or _about_the_request(call, failure)
    )


def unanswered(call: Call, words: str) -> Unavailable:
    """The exception for a call that got no answer."""
    outcome = (
        ", and the operator does not know whether the change took effect" if call.mutates else ""
    )
    return Unavailable(
        f"Cloudflare could not be asked{outcome}. The operator tries again.",
        ApiFailure(call.method, call.path, words=words, readable=False),
    )


def doubted(call: Call, failure: ApiFailure, source: str) -> TokenDoubted:
    """The exception for a refusal that a working token may have met by chance."""
    needed = (
        f" lacks the permission {call.permission.name!r}" if call.permission else " does not work"
    )
    return TokenDoubted(
        f"{source}: Cloudflare refused a token that works. That happens under load and passes; if it lasts, the token{needed}.",
        failure,
        retry_after_s=failure.retry_after_s or DOUBTED_S,
    )


def rate_limited(failure: ApiFailure | None, wait_s: float, why: str) -> RateLimited:
    """The exception for one call too many, and for our own budget when it is spent."""
    return RateLimited(
        f"Calls to Cloudflare pause for {wait_s:.0f} s: {why}.", failure, retry_after_s=wait_s
    )


def _about_the_token(
    call: Call, failure: ApiFailure, source: str, standing: Standing | None
) -> CloudflareError | None:
    if _MALFORMED_AUTHORIZATION & set(failure.codes):
        return TokenRejected(
            f"{source} does not have the form of an API token. The Global API Key is not one: create a token in the dashboard "
            "(My Profile > API Tokens) and put it there.",
            failure,
        )
    if names_address(failure):
        return TokenRejected(
            f"{source}: the token may not be used from the operator's address. Add that address to the token's Client IP "
            "Address Filtering in the dashboard, or put a token there that has none.",
            failure,
        )
    if standing is not None and not standing.active:
        needed = call.permission.name if call.permission else "every permission"
        doubt = (
            ""
            if standing.certain
            else f" (A token that belongs to an account and lacks {needed!r} looks the same.)"
        )
        return TokenRejected(
            f"{source}: the token {standing.words}. Put a token there that works.{doubt}", failure
        )
    if (
        standing is None
        and doubts_token(failure)
        and (failure.status == 401 or _ABOUT_TOKEN.search(failure.words))
    ):
        return TokenRejected(
            f"{source}: Cloudflare does not know the token: mistyped, rolled or deleted. Put a token there that works.",
            failure,
        )
    return None


def _about_the_certificate(call: Call, failure: ApiFailure) -> CloudflareError | None:
    codes = set(failure.codes)
    if call is UPLOAD_CERTIFICATE and 1406 in codes:
        return AlreadyExists(
            "The zone already holds this certificate.", failure, retry_after_s=SOON_S
        )
    if call is DELETE_CERTIFICATE and 1434 in codes:
        return CannotDeleteYet(
            "The certificate is still being deployed and cannot be deleted yet.",
            failure,
            retry_after_s=SOON_S,
        )
    if call is DELETE_CERTIFICATE and 1414 in codes:
        return AlreadyDeleted(
            "Cloudflare is deleting the certificate already.", failure, retry_after_s=SOON_S
        )
    if call.names_certificate and (
        _NO_SUCH_CERTIFICATE & codes
        or (failure.status == 404 and failure.readable and not _NO_SUCH_ZONE & codes)
    ):
        return NotFound(
            "Cloudflare holds no certificate of this id.", failure, retry_after_s=SOON_S
        )
    return None


def _about_the_policy(call: Call, failure: ApiFailure) -> CloudflareError | None:
    gone = failure.status == 404 and failure.readable and not _NO_SUCH_ZONE & set(failure.codes)
    if call.names_policy and gone:
        return NotFound(
            "Cloudflare holds no notification policy of this id.", failure, retry_after_s=SOON_S
        )
    return None


def _about_the_service(failure: ApiFailure) -> CloudflareError | None:
    status = failure.status
    if status == 409:
        return ChangeUnderWay(
            "Another certificate of the zone is being changed.",
            failure,
            retry_after_s=failure.retry_after_s or SOON_S,
        )
    if (
        failure.readable
        and status is not None
        and 400 <= status < 500
        and status not in {408, 425}
        and not passes_by_itself(failure)
    ):
        return None
    if failure.readable and doubts_token(failure):
        return None
    if status is not None and status < 500 and not failure.readable:
        what = "Something that is not Cloudflare's API answered (if that lasts, check AOP_CLOUDFLARE_BASE_URL and any proxy on the way)"
    else:
        what = "Cloudflare gave no usable answer"
    outcome = (
        ""
        if failure.method == "GET"
        else ", and the operator does not know whether the change took effect"
    )
    return Unavailable(f"{what}{outcome}.", failure, retry_after_s=failure.retry_after_s)


def _about_the_zone(
    call: Call, failure: ApiFailure, source: str, *, shown: bool
) -> CloudflareError | None:
    # A malformed id gives 7003 wherever it is in the path. Ids of certificates come from Cloudflare
    # itself, so it is the zone's.
    if call.names_zone and (_NO_SUCH_ZONE & set(failure.codes) or failure.status == 404):
        # A zone that the token has seen exists: then the same code means the permission for this
        # path (facts: cloudflare#permission-of-a-path).
        if call is not FETCH_ZONE and (shown or _ABOUT_ACCESS.search(failure.words)):
            return _about_permission(call, failure, source)
        return ZoneNotVisible(
            "There is no such zone, or the token may not see it. Check spec.zone, and the token's Zone Resources in the dashboard.",
            failure,
        )
    return None


def _about_the_account(call: Call, failure: ApiFailure, source: str) -> CloudflareError | None:
    # Its id comes from a zone that the token has seen, so the account exists.
    if (
        call.permission
        and call.names_account
        and (_NO_SUCH_ZONE & set(failure.codes) or failure.status == 404)
    ):
        return _about_permission(call, failure, source)
    return None


def _about_permission(call: Call, failure: ApiFailure, source: str) -> CloudflareError:
    if call.permission is None:
        return TokenRejected(
            f"{source}: Cloudflare refuses the token. Put a token there that works.", failure
        )
    names_nothing_of_the_token = (
        failure.status == 403 and failure.codes and not _AUTHENTICATION & set(failure.codes)
    )
    if names_nothing_of_the_token or _says(failure, frozenset(), _ABOUT_PLAN):
        return _not_offered(call, failure)
    owner = _owner(call)
    return TokenLacksPermission(
        f"{source}: the token works, but lacks the permission {call.permission.name!r} for this {owner}. In the dashboard edit the token "
        f"(My Profile > API Tokens, or Manage Account > Account API Tokens): add {call.permission.dashboard}, and the {owner} under {owner.title()} Resources.",
        failure,
    )


def _about_the_request(call: Call, failure: ApiFailure) -> CloudflareError:
    if call.mutates and call.names_account:
        return AlertsRefused(
            "Cloudflare refuses the notification policy; its words say why. Correct in spec.alerts what they name, or allow it at Cloudflare "
            "(Manage Account > Notifications > Destinations).",
            failure,
        )
    if call.mutates and _says(failure, _QUOTA, _ABOUT_QUOTA):
        return QuotaReached(
            "The zone holds as many certificates as Cloudflare allows. Delete one at Cloudflare that nobody needs any more.",
            failure,
        )
    if _says(failure, frozenset(), _ABOUT_PLAN) or failure.status == 402:
        return _not_offered(call, failure)
    if call is not UPLOAD_CERTIFICATE:
        return Refused(
            "Cloudflare refuses the call; its words say why. If they name nothing that you can correct, ask Cloudflare's support about this cf-ray.",
            failure,
            retry_after_s=failure.retry_after_s or LATER_S,
        )
    if _says(failure, _CERTIFICATE, _ABOUT_CERTIFICATE):
        return CertificateRefused(
            "Cloudflare refuses the certificate. It must be a leaf (CA:FALSE) with its own key, in PEM; issue another one.",
            failure,
        )
    return CertificateRefused(
        "Cloudflare refuses the certificate; its words say why. Correct what they name.",
        failure,
    )


def _not_offered(call: Call, failure: ApiFailure) -> NotOffered:
    owner = _owner(call)
    return NotOffered(
        f"Cloudflare does not offer this to the {owner}; its words say what the {owner}'s plan or type lacks. Change the plan or type there.",
        failure,
    )


def _owner(call: Call) -> str:
    return "account" if call.names_account else "zone"


def _says(failure: ApiFailure, codes: AbstractSet[int], words: re.Pattern[str]) -> bool:
    """Whether one of the codes says so or, if no code has a meaning, the words do."""
    return bool(codes & set(failure.codes)) or (
        set(failure.codes) <= _UNCODED and words.search(failure.words) is not None
    )
