"""What Cloudflare holds: zones with their certificates, settings and associations.

Pure: no I/O, and every moment is given.

Moments are unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sandbox.cloudflare import errors
from sandbox.cloudflare.accounts import Account
from sandbox.cloudflare.certificates import Certificate, KeyPair, Status
from sandbox.cloudflare.credentials import Token, User, new_id
from sandbox.cloudflare.knobs import Knobs, OriginListener, Traffic
from sandbox.cloudflare.timeline import Lag, Timeline

SSLMode = Literal["off", "flexible", "full", "strict", "origin_pull"]
ZoneStatus = Literal["initializing", "pending", "active", "moved"]

OTHER_SETTINGS = {
    **dict.fromkeys(
        ("always_use_https", "automatic_https_rewrites", "opportunistic_encryption", "0rtt"), "off"
    ),
    **dict.fromkeys(("brotli", "http3", "tls_1_3", "websockets"), "on"),
    "min_tls_version": "1.0",
    "security_level": "medium",
}
"""Settings that a zone has besides the two that concern origin pulls."""
MOST_HOSTNAME_CERTIFICATES, MOST_ASSOCIATIONS = 10, 100
"""Per zone, and per certificate."""

_UNDEPLOYED = (Status.INITIALIZING, Status.PENDING_DEPLOYMENT)
_GOING = (Status.PENDING_DELETION, Status.DELETED)


@dataclass(slots=True)
class ZoneSetting:
    """A zone setting: what the API says, and from when the edge acts by it."""

    value: str
    effective: Timeline[str]
    modified_on: float | None = None

    @classmethod
    def initial(cls, value: str) -> ZoneSetting:
        """As it has been for ever."""
        return cls(value, Timeline(value))

    def change(self, value: str, now: float, delay_s: float = 0) -> None:
        """The API says it now, the edge acts by it after `delay_s`."""
        self.value, self.modified_on = value, now
        self.effective.set(value, at=now + delay_s)


@dataclass(slots=True)
class Association:
    """A host's own choice: its hostname certificate (True), none (False), or voided (None)."""

    hostname: str
    certificate_id: str
    enabled: Timeline[bool | None]
    created_at: float
    updated_at: float


@dataclass(slots=True)
class StoredZone:
    """One zone of one account."""

    name: str
    account_id: str
    account_name: str
    created_on: float
    id: str = field(default_factory=new_id)
    status: ZoneStatus = "active"
    paused: bool = False
    type: Literal["full", "partial", "secondary", "internal"] = "full"
    ssl: ZoneSetting = field(default_factory=lambda: ZoneSetting.initial("full"))
    global_aop: ZoneSetting = field(default_factory=lambda: ZoneSetting.initial("off"))
    enabled: Timeline[bool] = field(default_factory=lambda: Timeline(False))
    certificates: dict[str, Certificate] = field(default_factory=dict)
    hostname_certificates: dict[str, Certificate] = field(default_factory=dict)
    associations: dict[str, Association] = field(default_factory=dict)
    dns_only: set[str] = field(default_factory=set)
    """Hosts whose DNS record is grey: visitors go to the origin, the edge does not serve them."""
    origins: list[OriginListener] = field(default_factory=list)
    host_origins: dict[str, list[OriginListener]] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    not_offered: list[str] = field(default_factory=list)
    """Globs on the rest of a path: what the zone's plan does not have."""
    other_settings: dict[str, ZoneSetting] = field(
        default_factory=lambda: {
            name: ZoneSetting.initial(value) for name, value in OTHER_SETTINGS.items()
        }
    )
    busy_until: float = -math.inf
    """Another change of a certificate gets 409 until then."""
    list_lag: Lag = field(default_factory=Lag)

    def upload(self, pair: KeyPair, now: float, knobs: Knobs) -> Certificate:
        """Store a leaf.

        Raises:
            ApiError: it is there already (1406), there is no room, or its dates are refused.
        """
        known = next(
            (one for one in self.certificates.values() if one.pair.sha256 == pair.sha256), None
        )
        if knobs.lasting_1406 or (known and known.exists(now)):
            raise errors.already_exists()
        existing = sum(certificate.exists(now) for certificate in self.certificates.values())
        if knobs.max_certificates is not None and existing >= knobs.max_certificates:
            raise errors.ApiError(
                400, None, "The maximum number of certificates for this zone is reached."
            )
        if knobs.refuse_invalid_dates and not pair.covers(datetime.fromtimestamp(now, UTC)):
            raise errors.ApiError(400, None, "The certificate is expired or not yet valid.")
        life = _deployment(now, knobs)
        if known and knobs.resurrect:
            known.uploaded_on = now
            known.live(life)
            return known
        fresh = Certificate.upload(pair, life)
        self.certificates[fresh.id] = fresh
        return fresh

    def delete(self, certificate_id: str, now: float, knobs: Knobs) -> Certificate:
        """Begin to remove a zone certificate.

        Raises:
            ApiError: unknown (1552), of the hostname store (1415), too early (1434), already on its way, or guarded by a knob.
        """
        certificate = self.certificate(certificate_id)
        status = certificate.status.at(now)
        if status in _UNDEPLOYED:
            raise errors.still_deploying()
        if status in _GOING:
            raise errors.already_deleted()
        if (
            knobs.keep_last_active
            and self.enabled.at(now)
            and list(self.active(now)) == [certificate]
        ):
            raise errors.ApiError(
                400, None, "The only active certificate of an enabled zone cannot be deleted."
            )
        certificate.live([(now, Status.PENDING_DELETION)])
        if knobs.delete_s is not None:
            certificate.live([(now + knobs.delete_s, Status(knobs.delete_ends))])
        return certificate

    def certificate(self, certificate_id: str) -> Certificate:
        """A zone certificate, tombstones included.

        Raises:
            ApiError: unknown (1552), or an id of the hostname store (1415).
        """
        if certificate_id in self.hostname_certificates:
            raise errors.wrong_store()
        if certificate_id not in self.certificates:
            raise errors.certificate_not_found()
        return self.certificates[certificate_id]

    def hostname_certificate(self, certificate_id: str) -> Certificate:
        """A hostname certificate, tombstones included.

        Raises:
            ApiError: unknown (1551), or an id of the zone store (1415).
        """
        if certificate_id in self.certificates:
            raise errors.wrong_store()
        if certificate_id not in self.hostname_certificates:
            raise errors.certificate_not_found(1551)
        return self.hostname_certificates[certificate_id]

    def upload_for_hosts(self, pair: KeyPair, now: float, knobs: Knobs) -> Certificate:
        """Store a hostname certificate.

        Raises:
            ApiError: it is there already (1406), or there is no room.
        """
        existing = [one for one in self.hostname_certificates.values() if one.exists(now)]
        if any(one.pair.sha256 == pair.sha256 for one in existing):
            raise errors.already_exists()
        if len(existing) >= MOST_HOSTNAME_CERTIFICATES:
            raise errors.ApiError(
                400, None, "The maximum number of hostname certificates for this zone is reached."
            )
        fresh = Certificate.upload(pair, _deployment(now, knobs))
        self.hostname_certificates[fresh.id] = fresh
        return fresh

    def delete_for_hosts(self, certificate_id: str, now: float, knobs: Knobs) -> Certificate:
        """Begin to remove a hostname certificate.

        Raises:
            ApiError: unknown (1551), of the zone store (1415), in use (1433), too early (1434), or on its way (1414).
        """
        certificate = self.hostname_certificate(certificate_id)
        status = certificate.status.at(now)
        if status in _GOING:
            raise errors.already_going()
        if status in _UNDEPLOYED:
            raise errors.still_deploying()
        if any(
            one.certificate_id == certificate_id and one.enabled.at(now) is not None
            for one in self.associations.values()
        ):
            raise errors.in_use()
        certificate.live([(now, Status.PENDING_DELETION)])
        if knobs.delete_s is not None:
            certificate.live([(now + knobs.delete_s, Status(knobs.delete_ends))])
        return certificate

    def configure(
        self,
        hostname: str,
        certificate_id: str | None,
        enabled: bool | None,
        now: float,
        knobs: Knobs,
    ) -> Association:
        """A host's own choice, as the API takes it; a void takes its time.

        Raises:
            ApiError: no certificate is named (1404), it is gone or of the zone store (1415), or it has too many hosts.
        """
        if not certificate_id:
            raise errors.certificate_required()
        certificate = self.hostname_certificates.get(certificate_id)
        if certificate is None or certificate.status.at(now) in _GOING:
            raise errors.wrong_store()
        using = sum(
            one.certificate_id == certificate_id and one.hostname != hostname
            for one in self.associations.values()
        )
        if enabled is not None and using >= MOST_ASSOCIATIONS:
            raise errors.ApiError(
                400, None, "The maximum number of associations for this certificate is reached."
            )
        known = self.associations.setdefault(
            hostname, Association(hostname, certificate_id, Timeline(None), now, now)
        )
        known.certificate_id, known.updated_at = certificate_id, now
        known.enabled.set(enabled, at=now + (knobs.void_s if enabled is None else 0))
        return known

    def listed(self, now: float) -> list[tuple[Certificate, Status]]:
        """What the list shows: the state of `list_lag_s` ago, without tombstones."""
        seen = self.list_lag.seen(now)
        return [
            (one, one.status.at(seen)) for one in self.certificates.values() if one.exists(seen)
        ]

    def active(self, moment: float) -> Iterator[Certificate]:
        """The zone certificates that are `active` at that moment."""
        return (one for one in self.certificates.values() if one.status.at(moment) is Status.ACTIVE)

    def associate(
        self, hostname: str, pair: KeyPair | None, enabled: bool | None, now: float
    ) -> Association:
        """Set a host's own choice as another writer does.

        A certificate given is active at once; without one the host's last is kept.
        """
        if pair is not None:
            certificate = Certificate.upload(pair, [(now, Status.ACTIVE)])
            self.hostname_certificates[certificate.id] = certificate
        known = self.associations.get(hostname)
        if known is None:
            known = self.associations[hostname] = Association(
                hostname, "", Timeline(None), now, now
            )
        if pair is not None:
            known.certificate_id = certificate.id
        known.enabled.set(enabled, at=now)
        known.updated_at = now
        return known

    def serves(self, hostname: str) -> bool:
        """Whether the edge proxies that name: every name in the zone has a proxied record unless it is DNS-only."""
        proxied = self.status == "active" and not self.paused
        return proxied and self.covers(hostname) and hostname not in self.dns_only

    def covers(self, hostname: str) -> bool:
        """Whether the name lies in the zone."""
        return hostname == self.name or hostname.endswith(f".{self.name}")

    def replicas(self, hostname: str) -> list[OriginListener]:
        """Where requests for that host go."""
        return self.host_origins.get(hostname, self.origins)


@dataclass(slots=True)
class State:
    """All of it."""

    shared: KeyPair
    """The certificate that global AOP presents for everybody."""
    foreign: KeyPair
    """Somebody else's certificate, for an edge that misbehaves."""
    knobs: Knobs = field(default_factory=Knobs)
    zones: dict[str, StoredZone] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    def zone_of(self, hostname: str) -> StoredZone | None:
        """The zone that a name lies in, the longest first; of two with the same name the active one."""
        matching = [zone for zone in self.zones.values() if zone.covers(hostname)]
        return max(
            matching, key=lambda zone: (len(zone.name), zone.status == "active"), default=None
        )

    def token_with(self, value: str) -> Token | None:
        """The token of that value, if it still exists."""
        return next(
            (token for token in self.tokens.values() if token.value == value and not token.revoked),
            None,
        )


def _deployment(now: float, knobs: Knobs) -> list[tuple[float, Status]]:
    life = [(now, Status.INITIALIZING)] if knobs.initializing_s else []
    life.append((now + knobs.initializing_s, Status.PENDING_DEPLOYMENT))
    if knobs.deploy_s is not None:
        life.append((now + knobs.initializing_s + knobs.deploy_s, Status(knobs.deploy_ends)))
    return life
