"""Another writer at the same Cloudflare account: what a person in the dashboard, or Terraform, does behind the operator's back.

It needs no token and minds no lock.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from sandbox.cloudflare.accounts import Account
from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.certificates import Certificate, KeyPair, Status
from sandbox.cloudflare.credentials import Token, User, new_id, new_secret
from sandbox.cloudflare.orders import (
    AccountOrder,
    AssociationOrder,
    CertificateOrder,
    Issue,
    TokenOrder,
    UserOrder,
    ZoneOrder,
)
from sandbox.cloudflare.state import Association, State, StoredZone, ZoneSetting
from sandbox.cloudflare.timeline import Timeline


class Writer:
    """Changes `state` at the moment that `clock` (unix seconds) gives."""

    def __init__(self, state: State, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._authority: Authority | None = None
        self.make_user(UserOrder(email="owner@example.net"))

    def zone(self, name_or_id: str) -> StoredZone:
        """The zone of that id, or the only one of that name.

        Raises:
            LookupError: there is none, or several.
        """
        zones = [zone for zone in self._state.zones.values() if name_or_id in {zone.id, zone.name}]
        if len(zones) != 1:
            raise LookupError(f"{len(zones)} zones are called {name_or_id}")
        return zones[0]

    def make_zone(self, order: ZoneOrder) -> StoredZone:
        """A zone that has been as ordered for ever, in the first account unless the order names one.

        Raises:
            ValueError: the order has no name.
        """
        if order.name is None:
            raise ValueError("a zone needs a name")
        now = self._clock()
        accounts = self._state.accounts
        account_id = order.account_id or next(iter(accounts), new_id())
        account = accounts.setdefault(
            account_id, Account(account_id, f"Account {len(accounts) + 1}")
        )
        account.name = order.account_name or account.name
        zone = StoredZone(order.name, account_id, account.name, now)
        zone.ssl = ZoneSetting.initial(order.ssl or "full")
        zone.global_aop = ZoneSetting.initial(order.global_aop or "off")
        zone.enabled = Timeline(bool(order.enabled))
        zone.list_lag.set_delay(self._state.knobs.list_lag_s, now=now)
        self._state.zones[zone.id] = zone
        self.change_zone(
            zone, order.model_copy(update={"ssl": None, "global_aop": None, "enabled": None})
        )
        return zone

    def change_zone(self, zone: StoredZone, order: ZoneOrder) -> None:
        """Settings reach the edge as those of the API do; status, DNS and origins at once.

        Raises:
            ValueError: the order wants another name or account.
        """
        if (order.name or zone.name, order.account_id or zone.account_id) != (
            zone.name,
            zone.account_id,
        ):
            raise ValueError("a zone cannot change its name or account")
        now = self._clock()
        if order.ssl is not None:
            zone.ssl.change(order.ssl, now, self._state.knobs.ssl_s)
        if order.global_aop is not None:
            zone.global_aop.change(order.global_aop, now)
        if order.enabled is not None:
            zone.enabled.set(order.enabled, at=now)
        if order.dns_only is not None:
            zone.dns_only = set(order.dns_only)
        for field in (
            "status",
            "paused",
            "type",
            "origins",
            "host_origins",
            "traffic",
            "not_offered",
        ):
            if (value := getattr(order, field)) is not None:
                setattr(zone, field, value)

    def upload(self, zone: StoredZone, order: CertificateOrder) -> Certificate:
        """A certificate of somebody else in the zone.

        Raises:
            ApiError: as the API's own upload.
        """
        now = self._clock()
        if order.certificate is not None:
            pair = KeyPair.read(
                order.certificate,
                order.private_key or "",
                mismatch_code=self._state.knobs.key_mismatch_code,
            )
        else:
            pair = self._issue(order.issue)
        one = zone.upload(pair, now, self._state.knobs)
        if order.active_now:
            one.live([(now, Status.ACTIVE)])
        return one

    def associate(self, zone: StoredZone, hostname: str, order: AssociationOrder) -> Association:
        """A host's own choice.

        Raises:
            ValueError: it shall present a hostname certificate and has none.
        """
        pair = self._issue(order.issue) if order.issue else None
        if order.enabled and pair is None and hostname not in zone.associations:
            raise ValueError(f"{hostname} has no hostname certificate yet: say what to issue")
        return zone.associate(hostname, pair, order.enabled, self._clock())

    def make_user(self, order: UserOrder) -> User:
        """A further user, with a key."""
        user = User(order.email)
        self._state.users[user.id] = user
        return user

    def change_account(self, account: Account, order: AccountOrder) -> None:
        """Who may be warned, and how."""
        if order.paid is not None:
            account.paid = order.paid
        if order.emails is not None:
            account.emails = set(order.emails)
        if order.webhooks is not None:
            account.webhooks = dict(order.webhooks)
        if order.webhook_names is not None:
            account.webhook_names = dict(order.webhook_names)
        if order.policies_per_page is not None:
            account.policies_per_page = order.policies_per_page

    def make_token(self, order: TokenOrder) -> Token:
        """A token; its value is random unless given.

        Raises:
            LookupError: its account or user is not there.
        """
        account_id = (
            (order.account_id or next(iter(self._state.accounts)))
            if order.kind == "account"
            else None
        )
        user = order.user or next(iter(self._state.users))
        if user not in self._state.users or (
            account_id is not None and account_id not in self._state.accounts
        ):
            raise LookupError("there is no such user or account")
        prefix = {"account": "cfat_", "user": "cfut_", "untold": ""}[order.kind]
        value = order.value or (new_secret(prefix) if prefix else secrets.token_urlsafe(30))
        token = Token(value, frozenset(), account_id or user, account_id=account_id)
        self.change_token(token, order.model_copy(update={"value": None}))
        self._state.tokens[token.id] = token
        return token

    def change_token(self, token: Token, order: TokenOrder) -> None:
        """Rotate, narrow, widen, disable, revoke or restore.

        Raises:
            LookupError: one of its zones is not there.
        """
        if order.value is not None:
            token.value = order.value
        if order.permissions is not None:
            token.permissions = frozenset(order.permissions)
        if order.zones is not None:
            token.zones = frozenset(self.zone(name).id for name in order.zones)
        if order.status is not None:
            token.status = order.status
        if order.revoked is not None:
            token.revoked = order.revoked
        if order.not_before is not None:
            token.not_before = order.not_before.timestamp()
        if order.expires_on is not None:
            token.expires_on = order.expires_on.timestamp()
        if order.elsewhere is not None:
            token.elsewhere = order.elsewhere
        if order.fresh_for_s is not None:
            token.fresh_until = self._clock() + order.fresh_for_s

    def _issue(self, order: Issue) -> KeyPair:
        if self._authority is None:
            self._authority = Authority.new("Somebody else's CA")
        return self._authority.client(
            order.common_name,
            not_before=_aware(order.not_before),
            not_after=_aware(order.not_after),
        )


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
