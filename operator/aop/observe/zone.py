"""Cloudflare's half of `Observed`: as few calls as the rules can do with.

In the steady state two GETs per resync (certificates, enablement). What rarely changes is read at
start, hourly, and less and less often while it blocks. All of it is read at once when requests
through the edge begin to come in another way (docs/architecture.md#calls-are-scarce). A certificate
of ours that is changing its state is asked for by its id, because the list lags
(facts: cloudflare#list-lag). What only explains is left out if it cannot be looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from aop.api import AuthenticatedOriginPull, ConditionType
from aop.cloudflare import Access, Certificate, Cloudflare, NotFound, Priority, RateLimited, Zone
from aop.errors import AopError, Blocked, Reason, Transient
from aop.metrics import Metrics
from aop.observe.arrivals import begun_again
from aop.observe.look import BLOCKED_RECHECK_S, Look, settling
from aop.observe.memory import CloudflareMemory, Memory
from aop.observed import ObservedZone, Unknown
from aop.settings import Settings
from aop.terms import Pin

log = logging.getLogger("aop")

POLLS_S = (
    0.0,
    1.0,
    1.0,
    2.0,
    3.0,
    5.0,
    8.0,
    10.0,
    15.0,
    20.0,
    30.0,
    45.0,
    60.0,
    90.0,
    120.0,
    180.0,
    300.0,
)
"""Waits between requests for a certificate that is changing its state. In captures `active` took
about a second, and minutes at worst (facts: cloudflare#delays)."""


class ZoneReader:
    """Reads one zone for one object; built once per process."""

    def __init__(
        self, cloudflare: Cloudflare, settings: Settings, metrics: Metrics | None = None
    ) -> None:
        self._cloudflare = cloudflare
        self._settings = settings
        self._metrics = metrics

    async def read(
        self,
        pull: AuthenticatedOriginPull,
        access: Access | Unknown,
        memory: Memory,
        now: datetime,
        ours: Iterable[Pin],
        *,
        hurry: bool,
    ) -> ObservedZone | Unknown | None:
        """The zone, or why it is not known.

        `ours` are the leaves that the record and the Secret know; `hurry` if a person waits.

        Raises nothing: an exception that nobody expected is a reason like any other, and what was
        not read is read again later.

        A removal reads with the last good token if the one that came after it does not work. If
        neither works, the one in the Secret counts.
        """
        cloudflare = memory.cloudflare
        if isinstance(access, Unknown):
            return access
        good = cloudflare.good if pull.deleting else None
        if good is None or good.key == access.key:
            return await self._read_with(pull, access, memory, now, ours, hurry=hurry)
        if cloudflare.passed_over != access.key:
            zone = await self._read_with(pull, access, memory, now, ours, hurry=hurry)
            if isinstance(zone, ObservedZone) or (
                isinstance(zone, Unknown) and zone.reason is None
            ):
                return zone
            cloudflare.passed_over = access.key
        zone = await self._read_with(pull, good, memory, now, ours, hurry=hurry)
        if zone is None or (isinstance(zone, Unknown) and zone.reason is not None):
            cloudflare.good, cloudflare.passed_over = None, ""
        return zone

    async def _read_with(
        self,
        pull: AuthenticatedOriginPull,
        access: Access,
        memory: Memory,
        now: datetime,
        ours: Iterable[Pin],
        *,
        hurry: bool,
    ) -> ObservedZone | Unknown | None:
        """The zone as this token shows it."""
        cloudflare = memory.cloudflare
        if cloudflare.access is None or cloudflare.access.key != access.key:
            cloudflare.forget_all()
            cloudflare.failure = None
        cloudflare.access = access.at(
            Priority.ONBOARD if hurry and awaited(pull, memory) else Priority.RESYNC
        )
        if cloudflare.failure and cloudflare.retry_at and now < cloudflare.retry_at:
            return cloudflare.failure
        known = frozenset(pin.sha256 for pin in ours)
        settles = settling(memory, now, self._settings.quiet_period_s)
        look = Look(pull, memory, now, known, self._settings, settles)
        try:
            zone = await self._read(look, cloudflare.access)
        except RateLimited as error:
            return self._postponed(look, error)
        except AopError as error:
            return _failed(cloudflare, error, now, self._settings.resync_s)
        except Exception as error:
            log.exception("bug while reading zone %s for %s", pull.spec.zone.name, pull.key)
            return _failed(cloudflare, self._bug(error), now, self._settings.resync_s)
        cloudflare.failure, cloudflare.failed_at = None, None
        cloudflare.good = cloudflare.access if zone is not None else cloudflare.good
        return zone

    def _postponed(self, look: Look, error: RateLimited) -> ObservedZone | Unknown | None:
        """What was known, because calls are scarce: it counts until the next one is due."""
        cloudflare = look.cloudflare
        if cloudflare.failure is None and look.remembers:
            return look.last_known()
        if cloudflare.failure is not None and error.failure is None:  # nothing new was heard
            cloudflare.retry_at = look.now + timedelta(seconds=error.retry_after_s or 0.0)
            return cloudflare.failure
        return _failed(cloudflare, error, look.now, self._settings.resync_s)

    def _bug(self, error: Exception) -> Transient:
        if self._metrics is not None:
            self._metrics.reader_bugs.labels(reader="cloudflare").inc()
        what = f"{type(error).__name__} in the operator while it read Cloudflare, whose answer it may not understand"
        return Transient(f"{what}. The operator's log has the traceback; the operator tries again")

    async def _read(self, look: Look, access: Access) -> ObservedZone | None:
        cloudflare, now = look.cloudflare, look.now
        if not look.fresh("zone", cloudflare.zone):
            cloudflare.zone.keep(await self._zone(look.pull, access), now)
        zone = cloudflare.zone.last.value if cloudflare.zone.last else None
        if zone is None:
            return None
        if not look.pull.deleting:  # what was done is put back whatever the zone is like otherwise
            await self._read_settings(look, access, zone.id)
        if not look.fresh("listed", cloudflare.listed):
            await self._list(look, access, zone.id)
        if not look.fresh("enabled", cloudflare.enabled):
            cloudflare.enabled.keep(
                (await self._cloudflare.fetch_enablement(access, zone.id)).enabled, now
            )
        await self._follow(cloudflare, access, zone.id, now)
        observed = look.zone(zone)
        _notice_change(look.memory, observed, now)
        return observed

    async def _read_settings(self, look: Look, access: Access, zone_id: str) -> None:
        cloudflare = look.cloudflare
        if not look.fresh("ssl_mode", cloudflare.ssl_mode):
            cloudflare.ssl_mode.keep(
                await self._cloudflare.fetch_ssl_mode(access, zone_id), look.now
            )
        if not look.fresh("global_on", cloudflare.global_on):
            what = (
                "The operator could not find out whether global Authenticated Origin Pulls are on"
            )
            await look.optional(
                cloudflare.global_on,
                lambda: self._global_on(access, zone_id),
                otherwise=False,
                what=what,
            )
        if not look.fresh("outranked", cloudflare.outranked):
            what = "The operator could not list the hosts that have a certificate of their own at Cloudflare"
            await look.optional(
                cloudflare.outranked,
                lambda: self._outranked(access, zone_id),
                otherwise=(),
                what=what,
            )

    async def _zone(self, pull: AuthenticatedOriginPull, access: Access) -> Zone | None:
        name, wanted_id = pull.spec.zone.name, pull.spec.zone.id
        if wanted_id:
            zone = await self._cloudflare.fetch_zone(access, wanted_id)
            if zone.name != name:
                raise Blocked(
                    Reason.ZONE_NOT_FOUND,
                    f"The zone with id {wanted_id} is {zone.name}, not {name}. Correct spec.zone",
                )
            return zone
        zones = [
            zone for zone in await self._cloudflare.find_zones(access, name) if zone.name == name
        ]
        if len(zones) > 1:
            accounts = ", ".join(sorted(f"{zone.account_id} (zone id {zone.id})" for zone in zones))
            raise Blocked(
                Reason.ZONE_AMBIGUOUS,
                f"The token sees {len(zones)} zones {name}, in accounts {accounts}. {Reason.ZONE_AMBIGUOUS.remedy}",
            )
        return zones[0] if zones else None

    async def _global_on(self, access: Access, zone_id: str) -> bool:
        return (await self._cloudflare.fetch_global_aop(access, zone_id)).on

    async def _outranked(self, access: Access, zone_id: str) -> tuple[str, ...]:
        hosts = await self._cloudflare.list_hostname_associations(access, zone_id)
        return tuple(sorted({a.hostname for a in hosts if a.outranks}))

    async def _list(self, look: Look, access: Access, zone_id: str) -> None:
        cloudflare = look.cloudflare
        certificates = cloudflare.listed.keep(
            await self._cloudflare.list_certificates(access, zone_id), look.now
        )
        for certificate in certificates:
            # The list lags and may show what is gone; but an id may come back to life, too
            # (facts: cloudflare#ids-that-come-back).
            if certificate.id in cloudflare.gone:
                await self._ask_for(cloudflare, access, zone_id, certificate.id)
            elif (
                not certificate.active
                and certificate.id not in cloudflare.known
                and look.is_ours(certificate)
            ):
                cloudflare.known[certificate.id] = certificate
        arrived = {c.id for c in certificates}
        for id_ in [id_ for id_, c in cloudflare.known.items() if id_ in arrived and c.active]:
            del cloudflare.known[id_]

    async def _follow(
        self, cloudflare: CloudflareMemory, access: Access, zone_id: str, now: datetime
    ) -> None:
        moving = frozenset(
            id_ for id_, c in cloudflare.known.items() if not c.active and not c.failed
        )
        if moving != cloudflare.moving:
            cloudflare.moving, cloudflare.polls, cloudflare.next_poll = moving, 0, None
        if not moving or (cloudflare.next_poll and now < cloudflare.next_poll):
            return
        for id_ in sorted(moving):
            await self._ask_for(cloudflare, access, zone_id, id_)
        cloudflare.polls += 1
        cloudflare.next_poll = now + timedelta(
            seconds=POLLS_S[min(cloudflare.polls, len(POLLS_S) - 1)]
        )

    async def _ask_for(
        self, cloudflare: CloudflareMemory, access: Access, zone_id: str, certificate_id: str
    ) -> None:
        try:
            seen = await self._cloudflare.fetch_certificate(access, zone_id, certificate_id)
        except NotFound:
            seen = None
        if seen is not None and not seen.deleted:
            follow(cloudflare, seen)
        else:
            known = cloudflare.known.pop(certificate_id, None)
            cloudflare.gone.setdefault(certificate_id, known.fingerprint if known else "")


def awaited(pull: AuthenticatedOriginPull, memory: Memory) -> bool:
    """Whether a person waits for this look.

    Nobody does for an object that is blocked, nor for one that is Ready, as after a restart.
    """
    ready, stalled = (
        pull.status.condition(ConditionType.READY),
        pull.status.condition(ConditionType.STALLED),
    )
    rests = any(
        condition is not None and condition.status == "True" for condition in (ready, stalled)
    )
    is_current = pull.status.observed_generation == pull.generation
    return memory.blocked_on is None and not (rests and is_current and not pull.deleting)


def follow(cloudflare: CloudflareMemory, certificate: Certificate) -> None:
    """Cloudflare has shown that this certificate is alive.

    It has done so in answer to a request for it, or for its upload or deletion.
    """
    cloudflare.known[certificate.id] = certificate
    cloudflare.gone.pop(certificate.id, None)


def is_still(memory: Memory, quiet_period_s: float) -> bool:
    """Whether Cloudflare was read, unchanged, long enough after the last change.

    `quiet_period_s` have passed since that change was seen or made.
    """
    cloudflare = memory.cloudflare
    read = cloudflare.listed.last
    return (
        cloudflare.changed_at is not None
        and read is not None
        and read.at - cloudflare.changed_at > timedelta(seconds=quiet_period_s)
    )


def changed(memory: Memory, now: datetime) -> None:
    """Something changed at Cloudflare, by us or by others.

    Proofs and the quiet period begin again.
    """
    memory.cloudflare.changed_at = now
    memory.evidence = {host: begun_again(evidence) for host, evidence in memory.evidence.items()}


def changed_by_us(memory: Memory, now: datetime) -> None:
    """We have changed something there: nothing that was read before counts any more.

    A reading that is under way began before it, and would be kept as if it had come after.
    """
    changed(memory, now)
    if memory.zone_task is not None:
        memory.zone_task.cancel()
        memory.zone_task = None
    memory.zone = Unknown("Cloudflare has not answered since the operator's last change there")


def _failed(
    cloudflare: CloudflareMemory, error: AopError, now: datetime, resync_s: float
) -> Unknown:
    """Why the zone is unknown until the next attempt, which comes later each time.

    The next attempt comes within seconds where the failure may pass by itself. A time that the
    answer names is a minimum: a server that says "in a second" for an hour is not asked every
    second. Only the budget's time is exact.
    """
    reason = error.reason if isinstance(error, Blocked) else None
    after_s = error.retry_after_s if isinstance(error, Transient) else None
    cloudflare.failed_at = cloudflare.failed_at or now
    failing_s = (now - cloudflare.failed_at).total_seconds()
    backoff_s = (
        min(max(BLOCKED_RECHECK_S, failing_s / 2), resync_s)
        if reason
        else min(max(1.0, failing_s), max(30.0, failing_s / 10), resync_s)
    )
    after_s = after_s if isinstance(error, RateLimited) else max(after_s or 0.0, backoff_s)
    cloudflare.retry_at = now + timedelta(seconds=after_s if after_s is not None else backoff_s)
    postponed = isinstance(error, RateLimited) and error.failure is None
    again_s = (cloudflare.retry_at - now).total_seconds()
    cloudflare.failure = Unknown(error.message, reason, again_s, postponed)
    return cloudflare.failure


def _notice_change(memory: Memory, zone: ObservedZone, now: datetime) -> None:
    """Notice a change at Cloudflare: every proof, and the quiet period, begins again."""
    cloudflare = memory.cloudflare
    seen = (
        zone.enabled,
        zone.ssl_mode,
        zone.global_on,
        zone.outranked,
        tuple((c.id, c.state) for c in zone.certificates),
    )
    if seen != cloudflare.seen:
        cloudflare.seen = seen
        changed(memory, now)
