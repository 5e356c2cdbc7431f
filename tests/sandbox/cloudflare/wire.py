"""Cloudflare's JSON shapes (reference: cloudflare-api, sections 1 and 7.3). Pure; used by `api`."""

from datetime import UTC, datetime
from typing import Any

from sandbox.cloudflare.certificates import Certificate, Status
from sandbox.cloudflare.state import Association, Setting, Token, Zone

JSON = dict[str, Any]

NEVER = "0001-01-01T00:00:00Z"
"""The zero time, seen as `created_at` of a disabled association."""


def timestamp(moment: float) -> str:
    """RFC 3339 with microseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def success(result: Any, result_info: JSON | None = None) -> JSON:
    """The envelope of an answer."""
    body: JSON = {"success": True, "errors": [], "messages": [], "result": result}
    return body if result_info is None else {**body, "result_info": result_info}


def failure(code: int, message: str, *, chain: JSON | None = None) -> JSON:
    """The envelope of a refusal. It has no `result`, as often seen."""
    error: JSON = {"code": code, "message": message}
    if chain is not None:
        error["error_chain"] = [chain]
    return {"success": False, "errors": [error], "messages": []}


def certificate(one: Certificate, status: Status) -> JSON:
    """A zone certificate: never `private_key`, never `enabled`, and `updated_at` only where the caller adds it."""
    x509 = one.pair.certificate
    return {
        "id": one.id,
        "status": status.value,
        "issuer": x509.issuer.rfc4514_string(),
        "signature": one.pair.signature,
        "serial_number": str(x509.serial_number),
        "certificate": one.pair.pem,
        "uploaded_on": timestamp(one.uploaded_on),
        "expires_on": x509.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
    }


def association(one: Association, held: Certificate | None, now: float) -> JSON:
    """A host's own choice, with what is known of its certificate."""
    enabled = one.enabled.at(now)
    body = listed_association(one, now) | {"created_at": NEVER if enabled is False else timestamp(one.created_at)}
    if held is not None:
        facts = certificate(held, held.status.at(now))
        body |= {
            "cert_status": facts["status"],
            "cert_uploaded_on": facts["uploaded_on"],
            "cert_updated_at": facts["uploaded_on"],
            **{name: facts[name] for name in ("certificate", "issuer", "signature", "serial_number", "expires_on")},
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


def setting(name: str, one: Setting) -> JSON:
    """`modified_on` is null until somebody changes it."""
    modified = None if one.modified_on is None else timestamp(one.modified_on)
    return {"id": name, "value": one.value, "editable": True, "modified_on": modified}


def token(one: Token) -> JSON:
    """What verifying says: nothing about permissions."""
    return {"id": one.id, "status": one.status}


def zone(one: Zone) -> JSON:
    """A zone as GET /zones shows it."""
    made = timestamp(one.created_on)
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "paused": one.paused,
        "type": one.type,
        "account": {"id": one.account_id, "name": one.account_name},
        "owner": {"id": one.account_id, "type": "user"},
        "plan": {"id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "name": "Free Website", "price": 0, "currency": "USD", "legacy_id": "free"},
        "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": False},
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
    return {"page": number, "per_page": size, "count": count, "total_count": total, "total_pages": -(-total // size)}
