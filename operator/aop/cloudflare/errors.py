"""What Cloudflare can answer other than yes, as exceptions; each class stands for another reaction.

Decided by HTTP status and numeric code; by words only for the codes that mean several things
(facts: cloudflare#error-codes, cloudflare#codes-of-several-meanings)::

    AopError
    └── CloudflareError                  status, codes, cf_ray, method and path template of the call
        ├── (Blocked)                    the user must act
        │   ├── TokenRejected            unknown, expired, disabled or malformed token
        │   ├── TokenLacksPermission     the token works, and lacks a permission (or a zone)
        │   ├── ZoneNotVisible           no such zone, or not one that the token may see
        │   ├── NotOffered               the zone's plan, or its type, does not have it
        │   ├── QuotaReached             the zone may hold no more certificates
        │   ├── CertificateUnlisted      1406 for a certificate that is not listed
        │   ├── AlertsRefused            a notification policy that will never be taken like this
        │   └── CertificateRefused       an upload that will never succeed with this certificate
        └── (Transient)                  tried again by itself
            ├── RateLimited              429, 971, 10100, or our own budget; a user's tokens pause
            ├── TokenDoubted             a token that works was refused: that may pass by itself
            ├── Conflict                 409: another certificate mutation in the zone
            ├── Unavailable              5xx, 408, 425, no answer, none in time, or not the API's
            ├── Refused                  any other 4xx: a plan's limit, or a bug of ours
            ├── Ineffective              accepted again and again, and still not so
            ├── Withheld                 a change that was not sent: another process may lead
            └── Outdated                 the zone is not as it was last read; the caller decides
                ├── AlreadyExists        1406: this certificate is there
                ├── CannotDeleteYet      1434: still being deployed
                ├── AlreadyDeleted       it is on its way out, or gone
                └── NotFound             no certificate, or no notification policy, of this id

A caller that knows what an `Outdated` means for it catches it; one that does not, lets it through:
as a `Transient` it makes the loop look again, and that is right for all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from aop.errors import AopError, Blocked, Reason, Transient


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """The facts of one call that failed. None of them can contain a token, a key or a query."""

    method: str
    path: str
    """The template: `/zones/{zone_id}/origin_tls_client_auth`."""
    status: int | None = None
    """HTTP status; None: no answer."""
    codes: tuple[int, ...] = ()
    """Cloudflare's numeric codes, those of `error_chain` last."""
    words: str = ""
    """Cloudflare's own message, or what happened instead of an answer; scrubbed, one line."""
    cf_ray: str | None = None
    """What Cloudflare's support asks for."""
    retry_after_s: float | None = None
    reset_s: float | None = None
    """Seconds until a used-up limit is reset, by the limit's own header."""
    readable: bool = True
    """False: the answer was not the API's envelope (HTML, empty, cut off)."""

    def __str__(self) -> str:
        answer = "no answer" if self.status is None else f"HTTP {self.status}"
        codes = f", code {'/'.join(map(str, self.codes))}" if self.codes else ""
        words = f", {self.words!r}" if self.words else ""
        ray = f", cf-ray {self.cf_ray}" if self.cf_ray else ""
        return f"{self.method} {self.path}: {answer}{codes}{words}{ray}"


class CloudflareError(AopError):
    """Any failure of a call to Cloudflare. `failure` is None if nothing was sent."""

    def __init__(self, message: str, failure: ApiFailure | None = None) -> None:
        self.summary, self.failure = message, failure
        super().__init__(self._say())

    summary: str
    """What happened and what to do, without the facts of the call."""
    failure: ApiFailure | None
    asked: bool = True
    """False: the call was not made, because it was refused a short time ago."""
    pause_s: float | None = None
    """For how many seconds the call is left alone; None: the caller decides that."""
    lasting_s: float = 0.0
    """For how many seconds it has been refused for this reason, without a success in between."""

    def _say(self) -> str:
        pause = f" The next attempt is made after {self.pause_s:.0f} s." if self.pause_s else ""
        return (
            f"{self.summary}{pause} ({self.failure})" if self.failure else f"{self.summary}{pause}"
        )

    def hold(self, pause_s: float) -> None:
        """Say that the call is left alone for so many seconds."""
        self.pause_s = pause_s
        self.message = self._say()
        self.args = (self.message,)

    def again(self, left_s: float) -> Self:
        """The same exception for a call that is not made.

        `left_s` seconds of its pause are left.
        """
        other = type(self)(self.summary, self.failure)
        other.hold(self.pause_s or left_s)
        other.asked, other.lasting_s = False, self.lasting_s
        return other

    @property
    def may_have_changed(self) -> bool:
        """True if Cloudflare may have made the change all the same.

        Only a refusal shows that it has not.
        """
        if not self.asked or self.failure is None or self.failure.method == "GET":
            return False
        status = self.failure.status
        return (
            status is None
            or not self.failure.readable
            or not 400 <= status < 500
            or status in {408, 425}
        )

    @property
    def status(self) -> int | None:
        """HTTP status; None: no answer."""
        return self.failure.status if self.failure else None

    @property
    def codes(self) -> tuple[int, ...]:
        """Cloudflare's numeric codes."""
        return self.failure.codes if self.failure else ()

    @property
    def cf_ray(self) -> str | None:
        """The id of the request at Cloudflare."""
        return self.failure.cf_ray if self.failure else None

    @property
    def method(self) -> str | None:
        """HTTP method."""
        return self.failure.method if self.failure else None

    @property
    def path(self) -> str | None:
        """Path template."""
        return self.failure.path if self.failure else None


class CloudflareBlocked(CloudflareError, Blocked):
    """A failure that only the user can correct; `aop_reason` is fixed per class."""

    aop_reason: Reason

    def __init__(self, message: str, failure: ApiFailure | None = None) -> None:
        self.summary, self.failure = message, failure
        Blocked.__init__(self, self.aop_reason, self._say())


class TokenRejected(CloudflareBlocked):
    """Cloudflare does not accept the token at all."""

    aop_reason = Reason.TOKEN_REJECTED


class TokenLacksPermission(CloudflareBlocked):
    """The token works, but not for this call.

    The message names the permission and where to add it.
    """

    aop_reason = Reason.TOKEN_LACKS_PERMISSION


class ZoneNotVisible(CloudflareBlocked):
    """There is no zone of this id, or the token may not see it."""

    aop_reason = Reason.ZONE_NOT_FOUND


class NotOffered(CloudflareBlocked):
    """The zone's plan, or its type (partial), does not include what was asked for."""

    aop_reason = Reason.NOT_OFFERED


class QuotaReached(CloudflareBlocked):
    """The zone may hold no more certificates."""

    aop_reason = Reason.CERTIFICATE_QUOTA_REACHED


class CertificateRefused(CloudflareBlocked):
    """Cloudflare will never accept this certificate."""

    aop_reason = Reason.CERTIFICATE_REFUSED


class CertificateUnlisted(CloudflareBlocked):
    """Cloudflare refuses a certificate because the zone has it, but does not list it.

    It has not listed it for longer than its list lags.
    """

    aop_reason = Reason.CERTIFICATE_UNLISTED


class AlertsRefused(CloudflareBlocked):
    """Cloudflare does not accept the notification policy, mostly because of a recipient."""

    aop_reason = Reason.ALERTS_REFUSED


class CloudflareTransient(CloudflareError, Transient):
    """A failure that is tried again by itself, after `retry_after_s` seconds if that is known."""

    def __init__(
        self, message: str, failure: ApiFailure | None = None, *, retry_after_s: float | None = None
    ) -> None:
        self.summary, self.failure = message, failure
        Transient.__init__(self, self._say(), retry_after_s=retry_after_s)

    def hold(self, pause_s: float) -> None:
        """Say that the call is left alone for so many seconds.

        That is the time to wait for.
        """
        super().hold(pause_s)
        self.retry_after_s = pause_s

    def again(self, left_s: float) -> Self:
        """The same exception for a call that is not made.

        `left_s` seconds of its pause are left.
        """
        other = super().again(left_s)
        other.retry_after_s = left_s
        return other


class RateLimited(CloudflareTransient):
    """No call of this user or account for `retry_after_s` seconds (always set)."""

    @property
    def may_have_changed(self) -> bool:
        """A call that is one too many is not carried out, whatever its status says."""
        return False


class TokenDoubted(CloudflareTransient):
    """A token that works was refused, which happens to good tokens under load.

    Only if that lasts is it a missing permission.
    """


class ChangeUnderWay(CloudflareTransient):
    """Another certificate of the zone is being changed at this moment.

    Cloudflare accepts one change at a time.
    """


class Unavailable(CloudflareTransient):
    """Cloudflare could not be asked, or gave no answer that means anything.

    Whether a mutation took effect is not known.
    """


class Refused(CloudflareTransient):
    """Cloudflare refused for a reason that has no class of its own."""


class Ineffective(CloudflareTransient):
    """Cloudflare accepts a change again and again, but the zone never becomes as it should be."""


class Withheld(CloudflareTransient):
    """A change was not sent, because another process may lead: Cloudflare has refused nothing."""

    asked = False


class Outdated(CloudflareTransient):
    """The zone is not as it was last read."""


class AlreadyExists(Outdated):
    """The zone has exactly this certificate, perhaps still `pending_deletion`.

    List, match by fingerprint, adopt or wait.
    """


class CannotDeleteYet(Outdated):
    """A certificate that is still being deployed cannot be deleted."""


class AlreadyDeleted(Outdated):
    """Somebody has deleted the certificate already: it is as wanted, or about to be."""


class NotFound(Outdated):
    """Cloudflare holds no certificate, or no notification policy, of this id."""
