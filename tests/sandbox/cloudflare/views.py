"""What the control API shows of the state, as JSON. Pure. No token values, no keys."""

from collections.abc import Mapping
from typing import Any

from sandbox.cloudflare import wire
from sandbox.cloudflare.accounts import Account
from sandbox.cloudflare.certificates import Certificate
from sandbox.cloudflare.credentials import Token, User
from sandbox.cloudflare.location import Location
from sandbox.cloudflare.presented import Presented
from sandbox.cloudflare.state import Association, State, StoredZone

JSON = dict[str, Any]


def state(whole: State, locations: Mapping[str, Location], now: float) -> JSON:
    """All of it."""
    return {
        "now": now,
        "knobs": whole.knobs.model_dump(),
        "zones": [zone(one, now) for one in whole.zones.values()],
        "users": [user(one) for one in whole.users.values()],
        "accounts": [account(one) for one in whole.accounts.values()],
        "tokens": [token(one) for one in whole.tokens.values()],
        "locations": [location(one) for one in locations.values()],
        "shared": {
            "sha256": whole.shared.sha256,
            "sha1": whole.shared.sha1,
            "certificate": whole.shared.pem,
        },
        "foreign": {
            "sha256": whole.foreign.sha256,
            "sha1": whole.foreign.sha1,
            "certificate": whole.foreign.pem,
        },
    }


def zone(one: StoredZone, now: float) -> JSON:
    """A zone with all that it holds, tombstones included."""
    return {
        "id": one.id,
        "name": one.name,
        "account": {"id": one.account_id, "name": one.account_name},
        "status": one.status,
        "paused": one.paused,
        "type": one.type,
        "ssl": one.ssl.value,
        "ssl_effective": one.ssl.effective.at(now),
        "global_aop": one.global_aop.value,
        "enabled": one.enabled.at(now),
        "dns_only": sorted(one.dns_only),
        "traffic": one.traffic.model_dump(),
        "not_offered": one.not_offered,
        "origins": [origin.model_dump() for origin in one.origins],
        "host_origins": {
            host: [origin.model_dump() for origin in origins]
            for host, origins in one.host_origins.items()
        },
        "certificates": [certificate(each, now) for each in one.certificates.values()],
        "hostname_certificates": [
            certificate(each, now) for each in one.hostname_certificates.values()
        ],
        "hostnames": [association(each, now) for each in one.associations.values()],
    }


def certificate(one: Certificate, now: float) -> JSON:
    """As the API shows it, and its fingerprints."""
    return wire.certificate(one, one.status.at(now)) | {
        "sha256": one.pair.sha256,
        "sha1": one.pair.sha1,
    }


def association(one: Association, now: float) -> JSON:
    """A host's own choice."""
    return {
        "hostname": one.hostname,
        "enabled": one.enabled.at(now),
        "certificate_id": one.certificate_id or None,
    }


def token(one: Token) -> JSON:
    """Without its value."""
    zones = None if one.zones is None else sorted(one.zones)
    return {
        "id": one.id,
        "owner": one.owner,
        "account_id": one.account_id,
        "permissions": sorted(one.permissions),
        "zones": zones,
        "status": one.status,
        "revoked": one.revoked,
        "elsewhere": one.elsewhere,
    }


def user(one: User) -> JSON:
    """Without the key."""
    return {"id": one.id, "email": one.email}


def account(one: Account) -> JSON:
    """With the notification policies that it has."""
    return {
        "id": one.id,
        "name": one.name,
        "paid": one.paid,
        "policies": [wire.policy(policy) for policy in one.policies.values()],
    }


def location(one: Location) -> JSON:
    """Where it listens and how it is turned."""
    return {
        "code": one.code,
        "https_port": one.https_port,
        "http_port": one.http_port,
        "knobs": one.knobs.model_dump(),
    }


def presented(one: Presented) -> JSON:
    """On whose account, and which."""
    return {
        "level": one.level,
        "sha256": one.pair.sha256 if one.pair else None,
        "sha1": one.pair.sha1 if one.pair else None,
    }
