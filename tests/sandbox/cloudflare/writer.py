"""Another writer at the same Cloudflare account: what a person in the dashboard, or Terraform, does behind the operator's back.

Called by `control`, and by `server` for what is there at the start. It needs no token and minds no lock.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.certificates import Certificate, KeyPair, Status
from sandbox.cloudflare.orders import AssociationOrder, CertificateOrder, Issue, TokenOrder, ZoneOrder
from sandbox.cloudflare.state import Association, Setting, State, Token, Zone, new_id
from sandbox.cloudflare.timeline import Timeline


class Writer:
    """Changes `state` at the moment that `clock` (unix seconds) gives."""

    def __init__(self, state: State, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._authority: Authority | None = None
        self._accounts: dict[str, str] = {}

    def zone(self, name_or_id: str) -> Zone:
        """The zone of that id, or the only one of that name.

        Raises:
            LookupError: there is none, or several.
        """
        found = [zone for zone in self._state.zones.values() if name_or_id in {zone.id, zone.name}]
        if len(found) != 1:
            raise LookupError(f"{len(found)} zones are called {name_or_id}")
        return found[0]

    def make_zone(self, order: ZoneOrder) -> Zone:
        """A zone that has been as ordered for ever, in the first account unless the order names one.

        Raises:
            ValueError: the order has no name.
        """
        if order.name is None:
            raise ValueError("a zone needs a name")
        now = self._clock()
        account_id = order.account_id or next(iter(self._accounts), new_id())
        account_name = order.account_name or self._accounts.get(account_id, f"Account {len(self._accounts) + 1}")
        self._accounts[account_id] = account_name
        zone = Zone(order.name, account_id, account_name, now)
        zone.ssl = Setting.initial(order.ssl or "full")
        zone.global_aop = Setting.initial(order.global_aop or "off")
        zone.enabled = Timeline(bool(order.enabled))
        zone.list_lag.set_delay(self._state.knobs.list_lag_s, now=now)
        self._state.zones[zone.id] = zone
        self.change_zone(zone, order.model_copy(update={"ssl": None, "global_aop": None, "enabled": None}))
        return zone

    def change_zone(self, zone: Zone, order: ZoneOrder) -> None:
        """Settings reach the edge as those of the API do; status, DNS and origins at once.

        Raises:
            ValueError: the order wants another name or account.
        """
        if (order.name or zone.name, order.account_id or zone.account_id) != (zone.name, zone.account_id):
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
        for field in ("status", "paused", "type", "origins", "host_origins"):
            if (value := getattr(order, field)) is not None:
                setattr(zone, field, value)

    def upload(self, zone: Zone, order: CertificateOrder) -> Certificate:
        """A certificate of somebody else in the zone.

        Raises:
            ApiError: as the API's own upload.
        """
        now = self._clock()
        if order.certificate is not None:
            pair = KeyPair.read(order.certificate, order.private_key or "", mismatch_code=self._state.knobs.key_mismatch_code)
        else:
            pair = self._issue(order.issue)
        one = zone.upload(pair, now, self._state.knobs)
        if order.active_now:
            one.live([(now, Status.ACTIVE)])
        return one

    def associate(self, zone: Zone, hostname: str, order: AssociationOrder) -> Association:
        """A host's own choice.

        Raises:
            ValueError: it shall present a hostname certificate and has none.
        """
        pair = self._issue(order.issue) if order.issue else None
        if order.enabled and pair is None and hostname not in zone.associations:
            raise ValueError(f"{hostname} has no hostname certificate yet: say what to issue")
        return zone.associate(hostname, pair, order.enabled, self._clock())

    def make_token(self, order: TokenOrder) -> Token:
        """A token; its value is random unless given."""
        token = Token(order.value or secrets.token_urlsafe(30), frozenset())
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
        if order.fresh_for_s is not None:
            token.fresh_until = self._clock() + order.fresh_for_s

    def _issue(self, order: Issue) -> KeyPair:
        if self._authority is None:
            self._authority = Authority.new("Somebody else's CA")
        return self._authority.client(order.common_name, not_before=_aware(order.not_before), not_after=_aware(order.not_after))


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
