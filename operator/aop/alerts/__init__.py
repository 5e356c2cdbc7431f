"""Whom Cloudflare itself warns before a certificate expires: `spec.alerts`, beside the rollout.

No rule knows of it, so nothing about it ever stops anything (docs/adr/0022). One task looks at each
account once for all of its objects: when what they ask for changes, and hourly. It leaves the
outcome in each object's memory, and the object's next visit reports it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from aop.alerts import outcomes
from aop.alerts.account import AccountLook
from aop.alerts.asking import Subscription
from aop.alerts.outcomes import Outcome
from aop.api import AlertsStatus, AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Cloudflare, CloudflareError, Priority, RateLimited
from aop.errors import Reason
from aop.metrics import Metrics
from aop.observe.memory import Memory
from aop.observe.objects import Served
from aop.observed import Observed, ObservedAlerts, ObservedZone, Unknown
from aop.plan.qualify import claimant
from aop.recipients import asked_digest
from aop.steps import Wait

log = logging.getLogger("aop")

HOURLY_S = 3600.0
"""How old what is known of an account may be, and the longest time until something refused is tried
again."""
GATHERED_S = 1.0
"""How long a change waits for those of other objects, as after a start."""
PACE_S = 10.0
"""The shortest time between two looks at one account, whatever its objects ask for."""
FIRST_AGAIN_S = 30.0
"""How soon something that has just failed is tried again; it takes longer each time."""
AT_ONCE = 4
"""How many accounts are looked at together."""


@dataclass(slots=True)
class Heard:
    """What an object asks for, and where the outcome is left."""

    asking: Subscription
    memory: Memory
    leaving_since_s: float | None = None
    """Since when its removal waits (monotonic)."""
    left_behind: str = ""
    """What stays at Cloudflare, and why."""


@dataclass(slots=True)
class Account:
    """When an account is looked at next."""

    due_s: float
    looked_s: float = float("-inf")
    failing_since_s: float | None = None


class AlertsKeeper:
    """Keeps the notification policies; built once for each lead."""

    def __init__(
        self,
        cloudflare: Cloudflare,
        clock: Clock,
        served: Callable[[], Iterable[Served] | None],
        patience_s: float,
        metrics: Metrics,
    ) -> None:
        """`served`: all objects as they are known; None while they are not.

        `patience_s`: how long a removal waits for Cloudflare.
        """
        self._cloudflare = cloudflare
        self._clock = clock
        self._served = served
        self._patience_s = patience_s
        self._metrics = metrics
        self._heard: dict[str, Heard] = {}
        self._accounts: dict[str, Account] = {}
        self._wake = asyncio.Event()
        self._tell: Callable[[str], object] = lambda _: None

    def begin(self, tell: Callable[[str], object]) -> None:
        """From now on `tell` gets the uid of each object whose outcome has changed."""
        self._tell = tell

    # --- what visits show -------------------------------------------------------------------------

    def hear(self, pull: AuthenticatedOriginPull, o: Observed, memory: Memory) -> None:
        """Take what an object asks for, as this visit sees it. Waits for nothing."""
        known = self._heard.get(pull.uid)
        noted = known.asking.noted if known is not None else pull.status.alerts
        wished = pull.spec.alerts if not pull.deleting and claimant(o) is None else None
        if wished is None and noted is None:
            if not pull.deleting:  # else whoever releases the object is yet to be told
                self._heard.pop(pull.uid, None)
            memory.alerts = None
            return
        access = memory.cloudflare.good
        account_id = o.zone.account_id if isinstance(o.zone, ObservedZone) else ""
        if known is not None:
            account_id = account_id or known.asking.account_id
        if access is None or (wished is not None and not account_id):
            return  # its token has shown nothing yet, and who asks must not seem to leave
        asked = asked_digest(wished) if wished is not None else ""
        awaited = noted is None or noted.asked != asked
        asking = Subscription(
            pull.key,
            pull.uid,
            pull.created_at,
            access.at(Priority.ONBOARD if awaited else Priority.RESYNC),
            account_id,
            wished,
            asked,
            pull.spec.suspend,
            noted,
        )
        if known is None:
            known = self._heard[pull.uid] = Heard(asking, memory)
        elif same_wish(known.asking, asking):
            return
        known.asking, known.left_behind = asking, ""
        if pull.deleting and known.leaving_since_s is None:
            known.leaving_since_s = self._clock.monotonic_s()
        for account in asking.accounts:
            self._look_soon(account)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._heard.pop(uid, None)

    def until_left(self, pull: AuthenticatedOriginPull) -> Wait | str:
        """What a removal still waits for when all else is finished; else what it leaves behind."""
        heard = self._heard.get(pull.uid)
        noted = heard.asking.noted if heard is not None else pull.status.alerts
        if noted is None or not noted.policy_id:
            return ""
        what = f"notification policy {noted.policy_id} of account {noted.account_id} may still warn whom spec.alerts names"
        if heard is None:
            return f"{what}, because no token has shown the zone"
        if heard.left_behind:
            return f"{what}: {heard.left_behind}"
        since_s = heard.leaving_since_s or self._clock.monotonic_s()
        if self._clock.monotonic_s() - since_s > self._patience_s:
            lost = heard.memory.alerts
            why = lost.message if isinstance(lost, Unknown) else "Cloudflare does not answer"
            return f"{what}: {why}"
        return Wait(
            Reason.WAITING_FOR_CLOUDFLARE,
            f"The operator takes its recipients out of notification policy {noted.policy_id} of account {noted.account_id}",
            GATHERED_S,
        )

    # --- the accounts -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Look again and again; ends only by cancellation."""
        while True:
            self._wake.clear()
            now_s = self._clock.monotonic_s()
            due = [id_ for id_, account in self._accounts.items() if account.due_s <= now_s]
            if due:
                room = asyncio.Semaphore(AT_ONCE)
                await asyncio.gather(*(self._look_alone(account_id, room) for account_id in due))
                continue
            next_s = min((one.due_s for one in self._accounts.values()), default=now_s + HOURLY_S)
            try:
                async with asyncio.timeout(next_s - now_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _look_soon(self, account_id: str) -> None:
        now_s = self._clock.monotonic_s()
        account = self._accounts.setdefault(account_id, Account(now_s + GATHERED_S))
        account.due_s = min(account.due_s, max(now_s + GATHERED_S, account.looked_s + PACE_S))
        self._wake.set()

    async def _look_alone(self, account_id: str, room: asyncio.Semaphore) -> None:
        """As `look`, except that a bug at one account holds up no other."""
        async with room:
            try:
                await self.look(account_id)
            except Exception as error:
                log.exception("bug while looking at the notifications of account %s", account_id)
                self._metrics.reader_bugs.labels(reader="notifications").inc()
                for one in self._asking_at(account_id).values():
                    self._hold(one, outcomes.bug(error))
                self._rest(self._accounts[account_id], well=False)

    async def look(self, account_id: str) -> None:
        """Look at one account once, and note the outcome for each of its objects."""
        account = self._accounts.setdefault(account_id, Account(self._clock.monotonic_s()))
        heard = self._asking_at(account_id)
        if not heard:
            del self._accounts[account_id]
            return
        account.looked_s, account.due_s = self._clock.monotonic_s(), float("inf")
        asking = sorted((one.asking for one in heard.values()), key=lambda it: (it.created, it.uid))
        look = AccountLook(self._cloudflare, account_id, asking, self._served())
        again_s: float | None = None
        try:
            became = await look.keep()
        except CloudflareError as error:
            log.warning("notifications of account %s: %s", account_id, error.message)
            again_s = error.retry_after_s if isinstance(error, RateLimited) else None
            became = {one.uid: outcomes.failed(error) for one in asking}
        for one in asking:
            if self._heard.get(one.uid) is heard[one.uid]:
                self._learn(heard[one.uid], one, became[one.uid], account_id)
        self._rest(account, well=all(is_well(one) for one in became.values()), again_s=again_s)

    def _asking_at(self, account_id: str) -> dict[str, Heard]:
        return {uid: one for uid, one in self._heard.items() if account_id in one.asking.accounts}

    def _learn(self, heard: Heard, asked: Subscription, outcome: Outcome, account_id: str) -> None:
        """Note the outcome of what an object asked for when the look began."""
        leaves = not asked.asks_at(account_id)
        resting = heard.asking.access.at(Priority.RESYNC)
        heard.asking = replace(heard.asking, access=resting)
        if isinstance(outcome, ObservedAlerts):
            heard.asking = replace(heard.asking, noted=outcome.status)
        elif leaves and outcome.reason is not None and heard.leaving_since_s is not None:
            heard.left_behind = outcome.message
        elif leaves and outcome.reason is not None and asked.alerts is not None:
            # It asks elsewhere now, which must not be delayed.
            log.warning("%s: left behind in account %s: %s", asked.key, account_id, outcome.message)
            heard.asking = replace(heard.asking, noted=None)
        if leaves and heard.asking.alerts is not None:
            self._look_soon(heard.asking.account_id)
        self._hold(heard, outcome)

    def _hold(self, heard: Heard, outcome: Outcome) -> None:
        before, heard.memory.alerts = heard.memory.alerts, outcome
        if outcome != before:
            self._tell(heard.asking.uid)

    def _rest(self, account: Account, *, well: bool, again_s: float | None = None) -> None:
        """When it is looked at again, unless something changes: a failure later each time."""
        now_s = self._clock.monotonic_s()
        account.failing_since_s = None if well else (account.failing_since_s or now_s)
        wait_s = HOURLY_S
        if account.failing_since_s is not None:
            wait_s = min(max((now_s - account.failing_since_s) / 2, FIRST_AGAIN_S), HOURLY_S)
        account.due_s = min(account.due_s, now_s + max(wait_s, again_s or 0.0))


def same_wish(one: Subscription, other: Subscription) -> bool:
    """Whether nothing else is asked for, with the same token; how urgent it is does not matter."""
    return replace(one, access=other.access) == other and one.access.key == other.access.key


def is_well(outcome: Outcome) -> bool:
    """Whether there is nothing to correct."""
    return isinstance(outcome, ObservedAlerts) and outcome.holds


__all__ = ["Alerts", "AlertsStatus"]
