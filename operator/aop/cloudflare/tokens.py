"""What is known of each token in use.

How new it is here, whether Cloudflare said that it works, and to which account its zones belong.
This is needed because 401 and 403 alone do not tell a wrong token from a missing permission, and
because Cloudflare now and then refuses a token that was just made, for some seconds, and a good one
under load (facts: cloudflare#fresh-tokens, cloudflare#refusals-under-load,
cloudflare#codes-of-several-meanings).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aop.clock import Clock
from aop.cloudflare.access import Access
from aop.cloudflare.answers import ApiAnswer
from aop.cloudflare.guarded import guarded
from aop.cloudflare.results import TokenStanding
from aop.cloudflare.verdicts import Standing, says_nothing

FRESH_S = 30.0
"""How long a token counts as new. A restart makes all tokens new, which costs a wrong one some
seconds and no more."""
PAUSES_WHEN_FRESH_S = (0.5, 1.0, 2.0, 3.0, 3.0)
"""The pause before each further attempt of a refused call: 9.5 s at most in all."""
PAUSES_OF_A_MUTATION_S = (3.0,)
"""Only once, because it may carry a key, and most tokens that are refused a mutation may only
read."""
PAUSES_OF_VERIFICATION_S = (0.5, 1.0)
"""The pause before each further attempt to verify a token that gets 403 even for that, which a
known token does only while it is fresh."""
PAUSES_WHEN_SETTLED_S = (0.5,)
"""A token that has worked here for a while and is refused twice in a row is reported."""
STANDING_HOLDS_S = 15.0
"""How long the answer of a verification is believed, so that all calls of one look share it."""
LASTING_S, LASTING_AFTER_SUCCESS_S = 2.5, 60.0
"""How long a call must have been refused without a success in between before the token is said to
lack its permission; longer if it has worked before."""
LASTING_READS, LASTING_MUTATIONS = 6, 2
"""How often it must have been refused for that. A mutation carries a key, so it is not sent as
often."""
_FORGET_S = 3600.0
_WORD = re.compile(r"[a-z_]{1,40}")
"""A status that can be one of Cloudflare's words; nothing else is repeated to anybody."""


@dataclass(slots=True)
class TokenReading:
    """One token."""

    first_used_s: float
    last_used_s: float
    accounts: set[str] = field(default_factory=set)
    """Ids of the accounts whose zones it has seen."""
    zones: set[str] = field(default_factory=set)
    """Ids of the zones that it has seen."""
    worked: set[Hashable] = field(default_factory=set)
    """Calls that succeeded."""
    refused: dict[Hashable, tuple[float, int]] = field(default_factory=dict)
    """Calls that have put it in doubt since they last succeeded, if ever: since when, and how
    often."""
    standing: Standing | None = None
    standing_at_s: float = 0.0
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One verification at a time: whoever comes second finds the answer of the first."""


class Tokens:
    """All tokens that were used lately, by the hash of each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, TokenReading] = {}

    def known(self, access: Access) -> TokenReading:
        """What is known of this token; asking counts as use."""
        now_s, key = self._clock.monotonic_s(), access.key
        if key not in self._known:
            self._known = {
                other: known
                for other, known in self._known.items()
                if now_s - known.last_used_s < _FORGET_S
            }
            self._known[key] = TokenReading(now_s, now_s)
        known = self._known[key]
        known.last_used_s = now_s
        return known

    def pauses_s(self, access: Access, call: Hashable, *, mutates: bool) -> tuple[float, ...]:
        """How long to wait before each further attempt of a call that put the token in doubt."""
        known = self.known(access)
        if mutates:
            return () if call in known.refused or call in known.worked else PAUSES_OF_A_MUTATION_S
        if known.standing is not None and not known.standing.active:
            return ()  # if it was mended, the first attempt tells
        return (
            PAUSES_WHEN_FRESH_S
            if self._clock.monotonic_s() - known.first_used_s < FRESH_S
            else PAUSES_WHEN_SETTLED_S
        )

    def standing(self, access: Access) -> Standing | None:
        """What Cloudflare said about the token lately; None: it was not asked lately."""
        known = self.known(access)
        return (
            known.standing
            if self._clock.monotonic_s() - known.standing_at_s < STANDING_HOLDS_S
            else None
        )

    def learn_standing(self, access: Access, standing: Standing) -> None:
        """Cloudflare was asked about the token."""
        known = self.known(access)
        known.standing, known.standing_at_s = standing, self._clock.monotonic_s()

    def learn_zone(self, access: Access, zone_id: str, account_id: str) -> None:
        """The token has seen this zone of this account.

        Only that account can verify its own token.
        """
        known = self.known(access)
        known.zones.add(zone_id)
        if account_id:
            known.accounts.add(account_id)

    def has_shown(self, access: Access, zone_id: str | None) -> bool:
        """Whether the token has seen the zone.

        Then a refusal is about a permission and not about the zone.
        """
        return zone_id in self.known(access).zones

    def learn_success(self, access: Access, call: Hashable) -> None:
        """The call succeeded: whatever put the token in doubt before has passed."""
        known = self.known(access)
        known.worked.add(call)
        known.refused.pop(call, None)

    def learn_refusal(self, access: Access, call: Hashable) -> None:
        """The call put the token in doubt."""
        known = self.known(access)
        since_s, times = known.refused.get(call, (self._clock.monotonic_s(), 0))
        known.refused[call] = (since_s, times + 1)

    def lasts(self, access: Access, call: Hashable, *, mutates: bool) -> bool:
        """Whether the call was refused so often and for so long that it is no coincidence."""
        known = self.known(access)
        since_s, times = known.refused.get(call, (self._clock.monotonic_s(), 0))
        enough_s = LASTING_AFTER_SUCCESS_S if call in known.worked else LASTING_S
        return (
            times >= (LASTING_MUTATIONS if mutates else LASTING_READS)
            and self._clock.monotonic_s() - since_s >= enough_s
        )


def standing_of(answer: ApiAnswer, *, certain: bool) -> Standing | None:
    """What the answer to a verification says about the token; None: nothing, as with 5xx.

    `certain` is False if a token of another kind would give the same answer.

    Its dates are compared with the answer's own, because whoever asks may have begun before the
    clock was set.
    """
    envelope = answer.envelope
    if envelope is None:
        return None
    if answer.succeeded:
        token = guarded(lambda: TokenStanding.model_validate(envelope.result))
        return _standing(token, answer.at) if token and _WORD.fullmatch(token.status) else None
    if answer.status in {400, 401, 403, 404} and not says_nothing(envelope.codes, envelope.words):
        return Standing(
            active=False,
            words="is unknown to Cloudflare: mistyped, rolled or deleted",
            certain=certain,
        )
    return None


def _standing(token: TokenStanding, now: datetime) -> Standing:
    if token.status == "expired" or (token.expires_on and token.expires_on <= now):
        return Standing(
            active=False,
            words=f"expired on {token.expires_on:%Y-%m-%d}" if token.expires_on else "has expired",
        )
    if token.status == "active" and token.not_before and token.not_before > now:
        return Standing(
            active=False,
            words=f"is not valid before {token.not_before.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        )
    if token.status == "active":
        return Standing(active=True, words="is active")
    return Standing(
        active=False,
        words="has been disabled" if token.status == "disabled" else f"is {token.status!r}",
    )
