"""One look at one zone.

How old each reading of Cloudflare may be, and what the readings mean together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aop.api import AuthenticatedOriginPull
from aop.cloudflare import Certificate, CloudflareError, RateLimited, Zone, guarded
from aop.errors import Reason, Transient
from aop.observe.memory import Cached, CloudflareMemory, Memory
from aop.observed import CertificateState, ObservedCertificate, ObservedZone
from aop.pki import pin_of, recognise
from aop.settings import Settings
from aop.terms import Pin

T = TypeVar("T")

HOURLY_S = 3600.0
"""How old a reading may be that rarely changes. It is also the oldest on which anything is decided
while calls have to wait."""
BLOCKED_RECHECK_S = 20.0
"""How old a reading may be that has just begun to block. The time grows, because the account's
calls are not there for blocked objects."""
OPTIONAL_S = 60.0
"""How long an outage of a look-up that only explains delays a first look."""
BLOCKING = {reason: reason.reread for reason in Reason if reason.reread}
"""The endpoints whose answers can be a reason. Any other reason of Cloudflare's means that a call
failed, and that call is repeated anyway."""
NOTHING_ELSE_MATTERS = frozenset({Reason.ZONE_NOT_ACTIVE, Reason.SSL_MODE_TOO_LOW})
"""Only a change at Cloudflare can end these. So nothing is decided on the rest of the zone before
the blocking endpoint was read again."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one zone: what is remembered, and how old each reading may be."""

    pull: AuthenticatedOriginPull
    memory: Memory
    now: datetime
    ours: frozenset[str]
    """The fingerprints that the record and the Secret know."""
    settings: Settings
    settling: bool
    """Somebody waits for Cloudflare to be still, and it was not read since that should be so."""

    @property
    def cloudflare(self) -> CloudflareMemory:
        """What is remembered of Cloudflare."""
        return self.memory.cloudflare

    def fresh(self, endpoint: str, cached: Cached[T]) -> bool:
        """Whether the endpoint need not be read now.

        The edge shows at once that somebody has changed something at Cloudflare, and the API says
        what. Whoever has to correct that should not wait an hour to learn it.
        """
        reading, doubted_at = (
            cached.fresh(self.now, self._within_s(endpoint)),
            self.cloudflare.doubted_at,
        )
        return reading is not None and (doubted_at is None or reading.at >= doubted_at)

    def _within_s(self, endpoint: str) -> float:
        reason, since = self._blocked()
        if reason is not None and endpoint in self._blocking(reason):
            return min(
                max(BLOCKED_RECHECK_S, (self.now - since).total_seconds() / 2),
                self.settings.resync_s,
            )
        if endpoint == "zone" and self.pull.deleting:
            return self.settings.resync_s
        if endpoint not in {"listed", "enabled"} or (
            reason in NOTHING_ELSE_MATTERS and self._still_blocks(reason)
        ):
            return HOURLY_S
        return (
            min(self.settings.resync_s, self.settings.quiet_period_s / 2)
            if self.settling
            else self.settings.resync_s
        )

    def _blocked(self) -> tuple[Reason | None, datetime]:
        """What blocks at Cloudflare, and since when; nothing there blocks a removal."""
        reason = (
            self.memory.blocked_on
            if self.memory.blocked_on in BLOCKING and not self.pull.deleting
            else None
        )
        if reason is None:
            self.cloudflare.blocked = None
            return None, self.now
        if self.cloudflare.blocked is None or self.cloudflare.blocked[0] is not reason:
            self.cloudflare.blocked = (reason, self.now)
        return self.cloudflare.blocked

    def _blocking(self, reason: Reason) -> frozenset[str]:
        """The endpoints whose answers are the reason."""
        listed, enabled, shared = (
            self.cloudflare.listed.last,
            self.cloudflare.enabled.last,
            self.cloudflare.global_on.last,
        )
        presents = (
            listed is not None
            and enabled is not None
            and enabled.value
            and any(c.active for c in listed.value)
        )
        if (
            reason is Reason.FOREIGN_CERTIFICATE
            and shared is not None
            and shared.value
            and not presents
        ):
            return frozenset({"global_on"})
        return BLOCKING[reason]

    def _still_blocks(self, reason: Reason) -> bool:
        """Whether what has just been read is still what blocks."""
        zone, mode = self.cloudflare.zone.last, self.cloudflare.ssl_mode.last
        if reason is Reason.ZONE_NOT_ACTIVE:
            return zone is not None and zone.value is not None and not zone.value.active
        return mode is not None and not mode.value.presents

    async def optional(
        self, cached: Cached[T], ask: Callable[[], Awaitable[T]], *, otherwise: T, what: str
    ) -> None:
        """Read what explains and never blocks.

        If it cannot be read, what was known counts, or else `otherwise`, and the status says
        `what`.

        An outage delays a first look by a minute, because it may pass. A missing permission delays
        nothing.
        """
        try:
            cached.keep(await ask(), self.now)
        except RateLimited:
            raise
        except CloudflareError as error:
            known, began, passing = (
                cached.last,
                self.cloudflare.failed_at or self.now,
                isinstance(error, Transient),
            )
            wait_s = (error.retry_after_s or 0.0) if isinstance(error, Transient) else 0.0
            if (
                known is None
                and passing
                and self.now + timedelta(seconds=wait_s) - began < timedelta(seconds=OPTIONAL_S)
            ):
                raise
            self.cloudflare.unseen[what] = error.message
            # What may pass is tried again with the next resync; what somebody has to correct,
            # within the hour.
            early = timedelta(
                seconds=max(HOURLY_S - self.settings.resync_s, 0.0) if passing else 0.0
            )
            cached.keep(known.value if known else otherwise, self.now - early)
        else:
            self.cloudflare.unseen.pop(what, None)

    @property
    def remembers(self) -> bool:
        """Whether a look that has to wait its turn may use what was read before.

        Having to wait is no reason to know nothing.
        """
        zone, listed = self.cloudflare.zone.last, self.cloudflare.listed.last
        oldest = self.now - timedelta(seconds=HOURLY_S)
        if zone is not None and zone.value is None:
            return zone.at > oldest
        return self.cloudflare.complete and listed is not None and listed.at > oldest

    def last_known(self) -> ObservedZone | None:
        """The zone by what was read last; None: there is none."""
        zone, listed = self.cloudflare.zone.last, self.cloudflare.listed.last
        if zone is None or zone.value is None:
            return None
        known = self.zone(zone.value)
        if listed is None or self.now - listed.at <= timedelta(seconds=2 * self.settings.resync_s):
            return known
        late = f"Read at {listed.at:%Y-%m-%d %H:%M:%S} UTC: calls to Cloudflare have to wait for others of the same user or account"
        return replace(known, unseen=(*known.unseen, late))

    def is_ours(self, certificate: Certificate) -> bool:
        """Whether the certificate is ours, by its issuer's name, the record or the Secret."""
        return certificate.fingerprint in self.ours or bool(
            guarded(lambda: recognise(certificate.leaf, self.pull.uid))
        )

    def zone(self, zone: Zone) -> ObservedZone:
        """What is remembered, as the rules see it."""
        cloudflare = self.cloudflare
        listed = cloudflare.listed.last.value if cloudflare.listed.last else ()
        certificates = {c.id: c for c in listed if c.id not in cloudflare.gone} | cloudflare.known
        observed = (self._certificate(c) for c in certificates.values())
        return ObservedZone(
            id=zone.id,
            name=zone.name,
            account_id=zone.account_id,
            active=zone.active,
            ssl_mode=cloudflare.ssl_mode.last.value.value if cloudflare.ssl_mode.last else "",
            global_on=bool(cloudflare.global_on.last and cloudflare.global_on.last.value),
            enabled=bool(cloudflare.enabled.last and cloudflare.enabled.last.value),
            certificates=tuple(sorted(observed, key=lambda c: (c.uploaded_at, c.id))),
            outranked=cloudflare.outranked.last.value if cloudflare.outranked.last else (),
            unseen=tuple(f"{what}: {why}" for what, why in sorted(cloudflare.unseen.items())),
        )

    def _certificate(self, certificate: Certificate) -> ObservedCertificate:
        ever = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
        return ObservedCertificate(
            id=certificate.id,
            pin=guarded(lambda: pin_of(certificate.leaf))
            or Pin(f"unreadable:{certificate.id}", "", *ever),
            state=_state(certificate),
            uploaded_at=certificate.uploaded_on or datetime(1970, 1, 1, tzinfo=UTC),
            ours=self.is_ours(certificate),
            status=certificate.status.value,
            serial_number=certificate.serial_number,
        )


def _state(certificate: Certificate) -> CertificateState:
    if certificate.failed:
        return CertificateState.FAILED
    if certificate.active:
        return CertificateState.ACTIVE
    return CertificateState.DELETING if certificate.deleting else CertificateState.PENDING


def settling(memory: Memory, now: datetime, quiet_period_s: float) -> bool:
    """Whether somebody waits for Cloudflare to be still, and the list is older than that needs."""
    cloudflare = memory.cloudflare
    if (
        not memory.awaits_quiet_period
        or cloudflare.changed_at is None
        or cloudflare.listed.last is None
    ):
        return False
    calm = cloudflare.changed_at + timedelta(seconds=quiet_period_s)
    return now > calm and cloudflare.listed.last.at <= calm
