"""What came of one object's `spec.alerts`, as a person reads it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aop.alerts.asking import Subscription
from aop.api import AlertsStatus
from aop.cloudflare import CloudflareError, NotificationPolicy
from aop.errors import Blocked, Reason
from aop.observed import ObservedAlerts, Unknown
from aop.recipients import NamedRecipients, Recipient, lacking

Outcome = ObservedAlerts | Unknown

WHEN = "30 and 14 days before a certificate for origin pulls expires"
"""facts: cloudflare#notification-policies."""


def failed(error: CloudflareError) -> Unknown:
    """Cloudflare could not be asked, or has refused."""
    return Unknown(error.message, error.reason if isinstance(error, Blocked) else None)


def bug(error: Exception) -> Unknown:
    """Something that nobody expected; the log has it all."""
    message = f"{type(error).__name__} in the operator while it looked at the account's notification policies; its log has the traceback"
    return Unknown(message, Reason.INTERNAL_ERROR)


def suspended(asking: Subscription) -> ObservedAlerts:
    """Nothing new is begun for it."""
    message = (
        "spec.suspend is true, so the operator changes no notification policy. Set it to false."
    )
    return ObservedAlerts(
        holds=False, reason=Reason.SUSPENDED, message=message, status=asking.noted
    )


def left() -> ObservedAlerts:
    """Nothing is kept for it any more."""
    return ObservedAlerts(holds=True, reason=Reason.AS_EXPECTED, message="", status=None)


def kept(
    asking: Subscription, wish: NamedRecipients, policy: NotificationPolicy, account_id: str
) -> ObservedAlerts:
    """A policy of ours is there."""
    status = AlertsStatus(account_id=account_id, policy_id=policy.id, asked=asking.asked)
    where = f"Notification policy {policy.name!r} of account {account_id}"
    missing = lacking(policy.mechanisms, wish.recipients)
    if wish.unknown:
        return _refused(_unknown(wish, account_id), status)
    if missing:
        message = (
            f"{where} does not warn {_all(missing)}: somebody has removed that at Cloudflare, and the operator does not undo it. "
            "Add it there (Manage Account > Notifications), or take it out of spec.alerts."
        )
        return ObservedAlerts(False, Reason.ALERTS_CHANGED, message, status)
    if not policy.enabled:
        message = (
            f"{where} is switched off: somebody has done that at Cloudflare, and the operator does not undo it. "
            "Switch it on there (Manage Account > Notifications), or take spec.alerts out."
        )
        return ObservedAlerts(False, Reason.ALERTS_CHANGED, message, status)
    return ObservedAlerts(
        True, Reason.AS_EXPECTED, f"{where} warns {_all(wish.recipients)} {WHEN}.", status
    )


def not_kept(
    asking: Subscription,
    wish: NamedRecipients,
    sufficing: NotificationPolicy | None,
    account_id: str,
) -> ObservedAlerts:
    """There is no policy of ours, because another suffices or somebody has deleted it."""
    noted = asking.noted
    if wish.unknown:
        status = AlertsStatus(account_id=account_id, asked=asking.asked)
        return _refused(_unknown(wish, account_id), status)
    if sufficing is not None:
        status = AlertsStatus(account_id=account_id, asked=asking.asked)
        message = (
            f"Notification policy {sufficing.name!r} of account {account_id}, which the operator does not keep, "
            f"warns {_all(wish.recipients)} {WHEN}."
        )
        return ObservedAlerts(True, Reason.AS_EXPECTED, message, status)
    message = (
        f"Account {account_id} has no notification policy any more that warns {_all(wish.recipients)}: somebody has deleted the one that "
        f"the operator kept{f' ({noted.policy_id})' if noted and noted.policy_id else ''}, and the operator does not make another one. "
        "Change spec.alerts to have one made again, or remove it."
    )
    return ObservedAlerts(False, Reason.ALERTS_CHANGED, message, noted)


def refused(
    asking: Subscription, error: CloudflareError, policy: NotificationPolicy | None, account_id: str
) -> ObservedAlerts:
    """Cloudflare does not accept what it asks for."""
    policy_id = policy.id if policy else None
    status = AlertsStatus(account_id=account_id, policy_id=policy_id, asked=asking.asked)
    reason = error.reason if isinstance(error, Blocked) else Reason.ALERTS_REFUSED
    return ObservedAlerts(False, reason, error.message, status)


def _refused(message: str, status: AlertsStatus) -> ObservedAlerts:
    return ObservedAlerts(False, Reason.ALERTS_REFUSED, message, status)


def _unknown(wish: NamedRecipients, account_id: str) -> str:
    names = ", ".join(repr(name) for name in wish.unknown)
    return (
        f"spec.alerts names {names}, and account {account_id} has no webhook destination, or several, of that name. Create it there "
        "(Manage Account > Notifications > Destinations), or correct spec.alerts."
    )


def _all(recipients: Iterable[Recipient]) -> str:
    return ", ".join(str(one) for one in sorted(recipients)) or "nobody"
