"""Cloudflare's JSON shapes (facts: cloudflare#certificate-object, cloudflare#envelope). Pure."""

from datetime import UTC, datetime
from typing import Any

import idna

from sandbox.cloudflare.accounts import Account, Policy
from sandbox.cloudflare.certificates import Certificate, Status
from sandbox.cloudflare.credentials import Token
from sandbox.cloudflare.state import Association, StoredZone, ZoneSetting

JSON = dict[str, Any]

NEVER = "0001-01-01T00:00:00Z"
"""The zero time, seen as `created_at` of a disabled association."""


def timestamp(moment: float) -> str:
    """RFC 3339 with microseconds."""
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


def success(result: Any, result_info: JSON | None = None) -> JSON:
    """The envelope of an answer."""
    body: JSON = {"success": True, "errors": [], "messages": [], "result": result}
    return body if result_info is None else {**body, "result_info": result_info}


def failure(code: int, message: str, *, chain: JSON | None = None, result: bool = False) -> JSON:
    """The envelope of a refusal. It has no `result`, as often seen, or one that is null."""
    error: JSON = {"code": code, "message": message}
    if chain is not None:
        error["error_chain"] = [chain]
    return {
        "success": False,
        "errors": [error],
        "messages": [],
        **({"result": None} if result else {}),
    }


def text(pem: str, how: str, issuer: str) -> str:
    """A certificate as it comes back: whitespace may differ, and more may follow."""
    return {
        "without newline": pem.rstrip("\n"),
        "with CRLF": pem.replace("\n", "\r\n"),
        "with its issuer": pem + issuer,
    }.get(how, pem)


def certificate(one: Certificate, status: Status, pem: str | None = None) -> JSON:
    """A zone certificate: never `private_key`, never `enabled`, and `updated_at` only where the caller adds it."""
    x509 = one.pair.certificate
    return {
        "id": one.id,
        "status": status.value,
        "issuer": x509.issuer.rfc4514_string(),
        "signature": one.pair.signature,
        "serial_number": str(x509.serial_number),
        "certificate": one.pair.pem if pem is None else pem,
        "uploaded_on": timestamp(one.uploaded_on),
        "expires_on": x509.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
    }


def association(one: Association, presented: Certificate | None, now: float) -> JSON:
    """A host's own choice, with what is known of its certificate."""
    enabled = one.enabled.at(now)
    body = listed_association(one, now) | {
        "created_at": NEVER if enabled is False else timestamp(one.created_at)
    }
    if presented is not None:
        facts = certificate(presented, presented.status.at(now))
        body |= {
            "cert_status": facts["status"],
            "cert_uploaded_on": facts["uploaded_on"],
            "cert_updated_at": facts["uploaded_on"],
            **{
                name: facts[name]
                for name in ("certificate", "issuer", "signature", "serial_number", "expires_on")
            },
        }
    return body


def listed_association(one: Association, now: float) -> JSON:
    """A host's own choice as the list shows it."""
    return {
        "cert_id": one.certificate_id,
        "created_at": timestamp(one.created_at),
        "enabled": one.enabled.at(now),
        "hostname": one.hostname,
        "status": "active",
        "updated_at": timestamp(one.updated_at),
    }


def setting(name: str, one: ZoneSetting) -> JSON:
    """`modified_on` is null until somebody changes it."""
    modified = None if one.modified_on is None else timestamp(one.modified_on)
    return {"id": name, "value": one.value, "editable": True, "modified_on": modified}


def token(one: Token, now: float) -> JSON:
    """What verifying says: nothing about permissions."""
    expired = one.expires_on is not None and one.expires_on <= now
    times = {"not_before": one.not_before, "expires_on": one.expires_on}
    result = {
        name: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        for name, at in times.items()
        if at is not None
    }
    return {"id": one.id, "status": "expired" if expired else one.status, **result}


def account(one: Account, now: float) -> JSON:
    """An account as GET /accounts shows it."""
    return {
        "id": one.id,
        "name": one.name,
        "type": "standard",
        "settings": {"enforce_twofactor": False},
        "created_on": timestamp(now),
    }


def policy(one: Policy) -> JSON:
    """A notification policy as GET shows it."""
    return {
        **one.body,
        "id": one.id,
        "created": timestamp(one.created),
        "modified": timestamp(one.modified),
    }


def zone(one: StoredZone, *, readable: bool) -> JSON:
    """A zone as GET /zones shows it; an internationalised name as it is read."""
    made = timestamp(one.created_on)
    return {
        "id": one.id,
        "name": idna.decode(one.name) if readable else one.name,
        "status": one.status,
        "paused": one.paused,
        "type": one.type,
        "account": {"id": one.account_id, "name": one.account_name},
        "owner": {"id": one.account_id, "type": "user"},
        "plan": {
            "id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
            "name": "Free Website",
            "price": 0,
            "currency": "USD",
            "legacy_id": "free",
        },
        "meta": {
            "step": 2,
            "custom_certificate_quota": 0,
            "page_rule_quota": 3,
            "phishing_detected": False,
        },
        "development_mode": 0,
        "name_servers": ["ada.ns.example.net", "bob.ns.example.net"],
        "original_name_servers": None,
        "original_registrar": None,
        "original_dnshost": None,
        "activated_on": made if one.status == "active" else None,
        "created_on": made,
        "modified_on": made,
    }


def page(count: int, total: int, number: int, size: int) -> JSON:
    """`result_info`."""
    return {
        "page": number,
        "per_page": size,
        "count": count,
        "total_count": total,
        "total_pages": -(-total // size),
    }
