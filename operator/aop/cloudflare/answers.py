"""What an HTTP answer says, read once and with care, as any server on the way may have written it.

Pure, and knows nothing of httpx.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from aop.cloudflare.guarded import guarded
from aop.cloudflare.limits import Allowance, read_allowances

LONGEST_RETRY_S = 3600.0
"""A longer Retry-After is not believed: a mistyped header must not silence the operator for a
year."""

_LONGEST_WORDS = 300
_LONGEST_READ = 20_000
"""How many characters of Cloudflare's words are looked at; a body may have two million."""
_TELLING = 12
"""So many characters of a secret in a row are repeated to nobody."""
_THROTTLED = {971, 10100}
_CODE = re.compile(r"[0-9]{1,9}")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL
)
_RAY = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Cloudflare's envelope, as far as anybody reads it.

    Its repr shows nothing that Cloudflare could have echoed.
    """

    success: bool
    codes: tuple[int, ...]
    words: tuple[str, ...] = field(repr=False)
    result: Any = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    """`result_info`: page, per_page, count, total_count, total_pages; any of them may be
    missing."""


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """One HTTP answer."""

    status: int
    envelope: Envelope | None
    """None: the body is not Cloudflare's envelope, which 5xx answers often are not
    (facts: cloudflare#envelope)."""
    cf_ray: str | None
    retry_after_s: float | None
    at: datetime
    """When it was made, by the sender's clock; by ours if it does not say."""
    allowances: tuple[Allowance, ...] = ()
    """What is left of Cloudflare's limits."""

    @property
    def throttled(self) -> bool:
        """True if it was one call too many.

        The codes come with any status, often 200 (facts: cloudflare#throttling-codes).
        """
        return self.status == 429 or (
            self.envelope is not None and bool(_THROTTLED & set(self.envelope.codes))
        )

    @property
    def succeeded(self) -> bool:
        """True if Cloudflare did what was asked."""
        return (
            not self.throttled
            and 200 <= self.status < 300
            and self.envelope is not None
            and self.envelope.success
        )


def read_answer(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> ApiAnswer:
    """Everything in an answer that matters.

    `now` replaces a missing Date, by which every other date of the answer is measured.
    """
    ray, at = headers.get("cf-ray", ""), _read_http_date(headers.get("date")) or now
    return ApiAnswer(
        status=status,
        envelope=guarded(lambda: _read_envelope(body)),
        cf_ray=ray if _RAY.fullmatch(ray) else None,
        retry_after_s=read_retry_after(headers.get("retry-after"), at),
        at=at,
        allowances=guarded(lambda: read_allowances(headers)) or (),
    )


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, either form (RFC 9110, 10.2.3), at most `LONGEST_RETRY_S`.

    None if it is missing or meaningless. `now` is when the answer was made, by the sender's clock:
    only then is the span until a date right.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), LONGEST_RETRY_S)
    at = _read_http_date(text)
    return None if at is None else min(max((at - now).total_seconds(), 0.0), LONGEST_RETRY_S)


def _read_http_date(value: str | None) -> datetime | None:
    def read() -> datetime:
        at = parsedate_to_datetime(value or "")
        return (
            at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        )  # HTTP knows no other zone (RFC 9110, 5.6.7)

    return guarded(read)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` on one line of bounded length, without any secret.

    That means any of `secrets`, any part of them that is long enough to tell, and any private key.
    """
    text = _PRIVATE_KEY.sub("[redacted]", text[:_LONGEST_READ])
    for secret in filter(None, secrets):
        text = _without(text.replace(secret, "[redacted]"), secret)
    line = " ".join(
        "".join(character if character.isprintable() else " " for character in text).split()
    )
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}…"


def _without(text: str, secret: str) -> str:
    """`text` without any part of `secret`.

    Whoever echoes a token or a key may cut it off, or write its line breaks differently.
    """
    lines = [line for line in secret.splitlines() if not line.startswith("-----")]
    parts = {line[at : at + _TELLING] for line in lines for at in range(len(line) - _TELLING + 1)}
    kept, at, end = list[str](), 0, 0
    for begin in range(len(text) - _TELLING + 1):
        if text[begin : begin + _TELLING] in parts:
            if begin > end or not end:
                kept += [text[at:begin], "[redacted]"]
            at = end = begin + _TELLING
    return "".join([*kept, text[at:]])


def _read_envelope(body: bytes) -> Envelope | None:
    data = json.loads(body)
    if not isinstance(data, dict) or not isinstance(data.get("success"), bool):
        return None
    errors = list(_flatten(data.get("errors")))
    info = data.get("result_info")
    return Envelope(
        success=data["success"],
        codes=tuple(code for error in errors if (code := _code(error)) is not None),
        words=tuple(
            error["message"]
            for error in errors
            if error.get("message") and isinstance(error["message"], str)
        ),
        result=data.get("result"),
        info=info if isinstance(info, dict) else {},
    )


def _flatten(errors: Any) -> Iterable[dict[str, Any]]:
    """The errors, then those of their `error_chain`.

    The code that says what a 6003 is about is in the chain.
    """
    outermost = _dicts(errors)
    yield from outermost
    for error in outermost:
        yield from _dicts(error.get("error_chain"))


def _dicts(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _code(error: Mapping[str, Any]) -> int | None:
    """A number of at most nine digits, even as text.

    Nobody knows a longer code, and it is not worth a line in a message.
    """
    code = error.get("code")
    if isinstance(code, str) and _CODE.fullmatch(code):
        return int(code)
    return (
        code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10**9 else None
    )
