"""Cloudflare's half of `Observed`: as few calls as the rules can live with.

In the steady state two GETs per resync (certificates, enablement); what changes rarely is read at start, hourly, at once when the
edge's answers turn, and every few seconds' worth of patience while it is what blocks (design, section 7). A certificate that is
moving is asked for by its id, because the list lags by up to a minute (reference: cloudflare-api, 5).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from aop.api import AuthenticatedOriginPull
from aop.cloudflare import Access, Certificate, Cloudflare, NotFound, Priority, Zone, guarded
from aop.errors import AopError, Blocked, Reason, Transient
from aop.metrics import Metrics
from aop.observe.arrivals import begun_again
from aop.observe.memory import CloudflareMemory, Memory, ZoneSetup
from aop.observed import CertificateState, ObservedCertificate, ObservedZone, Unknown
from aop.origins import Pin
from aop.pki import pin_of, recognise
from aop.settings import Settings

log = logging.getLogger("aop")

HOURLY_S = 3600.0
BLOCKED_RECHECK_S = 20.0
"""How old a reading may be while it is what blocks: what a user mends is acted on within a minute (design, L3)."""
POLLS_S = (0.0, 1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0)
"""Waits between requests for a moving certificate: `active` took about a second in captures, minutes at worst (reference, 2)."""
CLOUDFLARE_REASONS = frozenset(
    {
        Reason.TOKEN_SECRET_NOT_FOUND,
        Reason.TOKEN_REJECTED,
        Reason.TOKEN_LACKS_PERMISSION,
        Reason.ZONE_NOT_FOUND,
        Reason.ZONE_AMBIGUOUS,
        Reason.ZONE_NOT_ACTIVE,
        Reason.SSL_MODE_TOO_LOW,
        Reason.HOSTS_SUPPRESSED,
        Reason.FOREIGN_CERTIFICATE,
        Reason.CERTIFICATE_REFUSED,
    }
)


class ZoneReader:
    """Reads one zone for one object; built once per process."""

    def __init__(self, cloudflare: Cloudflare, settings: Settings, metrics: Metrics | None = None) -> None:
        self._cloudflare = cloudflare
        self._settings = settings
        self._metrics = metrics

    async def read(
        self, pull: AuthenticatedOriginPull, access: Access | Unknown, memory: Memory, now: datetime, ours: Iterable[Pin], *, hurry: bool
    ) -> ObservedZone | Unknown | None:
        """The zone, or why it is not known. `ours` are the leaves that the record and the Secret know; `hurry` when a person waits.

        Raises nothing: an exception that nobody expected is a reason like any other, and what was not read is read again later.
        """
        held = memory.cloudflare
        if isinstance(access, Unknown):
            held.failing_since = (held.failing_since or now) if access.reason else held.failing_since
            return access
        if held.access is None or held.access.key != access.key:
            held.forget_all()
            held.failure = None
        held.access = access.at(Priority.ONBOARD if hurry else Priority.RESYNC)
        if held.failure and held.retry_at and now < held.retry_at:
            return held.failure
        try:
            zone = await self._read(pull, held.access, memory, now, tuple(ours))
        except AopError as error:
            return _failed(held, error, now)
        except Exception as error:
            log.exception("bug while reading zone %s for %s", pull.spec.zone.name, pull.key)
            if self._metrics is not None:
                self._metrics.reader_bugs.labels(reader="cloudflare").inc()
            what = f"{type(error).__name__} in the operator while it read Cloudflare, whose answer it may not understand"
            return _failed(held, Transient(f"{what}. The operator's log has the traceback; it is tried again by itself"), now)
        held.failure, held.failing_since, held.failed_at = None, None, None
        return zone

    async def _read(
        self, pull: AuthenticatedOriginPull, access: Access, memory: Memory, now: datetime, ours: tuple[Pin, ...]
    ) -> ObservedZone | None:
        held = memory.cloudflare
        blocked = memory.blocked_on in CLOUDFLARE_REASONS
        setup = held.setup.fresh(now, BLOCKED_RECHECK_S if blocked else HOURLY_S)
        found = setup.value if setup else held.setup.keep(await self._setup(pull, access), now)
        if found is None:
            return None
        within_s = BLOCKED_RECHECK_S if blocked else self._settings.resync_s
        if _settling(held, memory, now, self._settings.stillness_s):
            within_s = min(within_s, self._settings.stillness_s / 2)
        if held.listed.fresh(now, within_s) is None:
            self._list(held, await self._cloudflare.list_certificates(access, found.id), now)
        if held.enabled.fresh(now, within_s) is None:
            held.enabled.keep((await self._cloudflare.fetch_enablement(access, found.id)).enabled, now)
        await self._follow(held, access, found.id, now)
        zone = _zone(found, held, pull.uid, ours)
        _notice_change(memory, zone, now)
        return zone

    async def _setup(self, pull: AuthenticatedOriginPull, access: Access) -> ZoneSetup | None:
        name, wanted_id = pull.spec.zone.name, pull.spec.zone.id
        zones: tuple[Zone, ...]
        if wanted_id:
            zones = (await self._cloudflare.fetch_zone(access, wanted_id),)
            if zones[0].name != name:
                raise Blocked(Reason.ZONE_NOT_FOUND, f"zone {wanted_id} is {zones[0].name}, not {name}. Correct spec.zone")
        else:
            zones = tuple(zone for zone in await self._cloudflare.find_zones(access, name) if zone.name == name)
        if not zones:
            return None
        if len(zones) > 1:
            accounts = ", ".join(sorted(f"{zone.account_id} (zone id {zone.id})" for zone in zones))
            raise Blocked(Reason.ZONE_AMBIGUOUS, f"the token sees {len(zones)} zones {name}, in accounts {accounts}. Set spec.zone.id")
        (zone,) = zones
        mode = await self._cloudflare.fetch_ssl_mode(access, zone.id)
        shared = await self._cloudflare.fetch_global_aop(access, zone.id)
        hosts = await self._cloudflare.list_hostname_associations(access, zone.id)
        outranked = tuple(sorted({a.hostname for a in hosts.associations if a.outranks}))
        return ZoneSetup(zone.id, zone.name, zone.account_id, zone.active, mode.value, shared.on, outranked)

    def _list(self, held: CloudflareMemory, certificates: tuple[Certificate, ...], now: datetime) -> None:
        held.listed.keep(certificates, now)
        listed = {c.id for c in certificates}
        for certificate in certificates:
            if certificate.id not in held.gone and not certificate.active and certificate.id not in held.known:
                held.known[certificate.id] = certificate
        for id_ in [id_ for id_, c in held.known.items() if id_ in listed and c.active]:
            del held.known[id_]
        held.gone &= listed

    async def _follow(self, held: CloudflareMemory, access: Access, zone_id: str, now: datetime) -> None:
        moving = [c for c in held.known.values() if not c.active and not c.failed]
        if not moving or (held.next_poll and now < held.next_poll):
            return
        for certificate in moving:
            try:
                seen = await self._cloudflare.fetch_certificate(access, zone_id, certificate.id)
            except NotFound:
                seen = None
            if seen is None or seen.deleted:
                del held.known[certificate.id]
                held.gone.add(certificate.id)
            else:
                held.known[certificate.id] = seen
        held.polls += 1
        held.next_poll = now + timedelta(seconds=POLLS_S[min(held.polls, len(POLLS_S) - 1)])


def _settling(held: CloudflareMemory, memory: Memory, now: datetime, stillness_s: float) -> bool:
    """Somebody waits for Cloudflare to be still, and the list was not read since it should be."""
    if not memory.awaits_stillness or held.changed_at is None or held.listed.last is None:
        return False
    calm = held.changed_at + timedelta(seconds=stillness_s)
    return now > calm and held.listed.last.at <= calm


def is_still(memory: Memory, stillness_s: float) -> bool:
    """Cloudflare was read, unchanged, at least that long after the last change that was seen or made."""
    held = memory.cloudflare
    read = held.listed.last
    return held.changed_at is not None and read is not None and read.at - held.changed_at > timedelta(seconds=stillness_s)


def _failed(held: CloudflareMemory, error: AopError, now: datetime) -> Unknown:
    reason = error.reason if isinstance(error, Blocked) else None
    after_s = error.retry_after_s if isinstance(error, Transient) else None
    first = held.failed_at or now
    backoff_s = min(max((now - first).total_seconds(), 1.0), 30.0)
    held.failed_at = first
    held.retry_at = now + timedelta(seconds=after_s if after_s is not None else BLOCKED_RECHECK_S if reason else backoff_s)
    held.failing_since = (held.failing_since or now) if reason else held.failing_since
    held.failure = Unknown(error.message, reason, (held.retry_at - now).total_seconds())
    return held.failure


def _notice_change(memory: Memory, zone: ObservedZone, now: datetime) -> None:
    """A change at Cloudflare that was read starts every proof, and the stillness, again."""
    held = memory.cloudflare
    seen = (zone.enabled, zone.ssl_mode, zone.global_on, zone.outranked, tuple((c.id, c.state) for c in zone.certificates))
    if seen != held.seen:
        held.seen = seen
        changed(memory, now)


def changed(memory: Memory, now: datetime) -> None:
    """Something changed at Cloudflare, by us or by others: proofs and stillness begin again."""
    memory.cloudflare.changed_at = now
    memory.evidence = {host: begun_again(evidence) for host, evidence in memory.evidence.items()}


def _zone(setup: ZoneSetup, held: CloudflareMemory, uid: str, ours: tuple[Pin, ...]) -> ObservedZone:
    listed = held.listed.last.value if held.listed.last else ()
    certificates = {c.id: c for c in listed if c.id not in held.gone} | held.known
    known = {pin.sha256 for pin in ours}
    return ObservedZone(
        id=setup.id,
        name=setup.name,
        account_id=setup.account_id,
        active=setup.active,
        ssl_mode=setup.ssl_mode,
        global_on=setup.global_on,
        enabled=bool(held.enabled.last and held.enabled.last.value),
        certificates=tuple(sorted((_certificate(c, uid, known) for c in certificates.values()), key=lambda c: (c.uploaded_at, c.id))),
        outranked=setup.outranked,
    )


def _certificate(certificate: Certificate, uid: str, known: set[str]) -> ObservedCertificate:
    ever = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    pin = guarded(lambda: pin_of(certificate.leaf)) or Pin(f"unreadable:{certificate.id}", "", *ever)
    ours = guarded(lambda: recognise(certificate.leaf, uid)) or False
    state = (
        CertificateState.ACTIVE if certificate.active else CertificateState.DELETING if certificate.deleting else CertificateState.PENDING
    )
    return ObservedCertificate(
        id=certificate.id,
        pin=pin,
        state=CertificateState.FAILED if certificate.failed else state,
        uploaded_at=certificate.uploaded_on or datetime(1970, 1, 1, tzinfo=UTC),
        ours=ours or pin.sha256 in known,
        status=certificate.status.value,
        serial_number=certificate.serial_number,
    )
