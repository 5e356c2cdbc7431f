"""One look at one account's notification policies, and what it changes there.

There is one policy for all objects of the account. It is found by our mark and never by its name;
other people's are read and never written. Each object asks with its own token: what that token may
not read is not done for the object with somebody else's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from aop.alerts import outcomes
from aop.alerts.asking import Subscription, Whom, asking_elsewhere
from aop.alerts.outcomes import Outcome
from aop.cloudflare import (
    Access,
    AlertsRefused,
    Cloudflare,
    CloudflareError,
    NotFound,
    NotificationPolicy,
    NotOffered,
    RateLimited,
    TokenLacksPermission,
    TokenRejected,
)
from aop.observe.objects import Served
from aop.recipients import (
    ALERT_TYPE,
    WEBHOOKS,
    Mark,
    NamedRecipients,
    Recipient,
    changed,
    lacking,
    mark_in,
    named,
    recipients_of,
    taken,
    unmarked,
    written,
)

T = TypeVar("T")
NAME = "Certificates for origin pulls (aop-operator)"
"""The name of a policy that we create; a person may change it."""

Wishes = Mapping[str, frozenset[Recipient]]
"""By uid: whom an object wants to be warned."""
NOT_TAKEN = (AlertsRefused, NotOffered)
"""The errors that are about a recipient and not about the token."""


@dataclass(slots=True)
class AccountLook:
    """One look; built anew for each."""

    cloudflare: Cloudflare
    account_id: str
    heard: Sequence[Subscription]
    """The objects for which something has to be done or undone there; the oldest first."""
    served: Iterable[Served] | None
    """All objects; None: they are not known yet."""
    _accesses: list[Access] = field(default_factory=list)
    """The tokens that may read there."""
    _failures: dict[str, CloudflareError] = field(default_factory=dict)
    """The failures of those that may not, by their keys."""
    _policies: tuple[NotificationPolicy, ...] = ()
    _refused: dict[str, CloudflareError] = field(default_factory=dict)
    """By uid: what was not accepted."""

    async def keep(self) -> dict[str, Outcome]:
        """Bring the account to what its objects ask for; the outcome of each, by uid.

        Raises `CloudflareError` if there is none for any object.
        """
        await self._read()
        if not self._accesses:
            return {one.uid: outcomes.failed(self._failures[one.access.key]) for one in self.heard}
        askers = [one for one in self.heard if one.asks_at(self.account_id)]
        ready = [one for one in askers if self._may(one) and not one.suspended]
        waiting = self._waiting([one for one in askers if one not in ready])
        webhooks = await self._webhooks(ready, waiting)
        wishes = {one.uid: named(*_named_by(one), webhooks) for one in ready}
        others = [named(*whom, webhooks) for whom in waiting]
        policy = await self._settle(ready, wishes, others)
        return {
            one.uid: self._outcome(one, wishes.get(one.uid), policy)
            if one in askers
            else outcomes.left()
            for one in self.heard
        }

    def _may(self, asking: Subscription) -> bool:
        return asking.access.key not in self._failures

    def _outcome(
        self, asking: Subscription, wish: NamedRecipients | None, policy: NotificationPolicy | None
    ) -> Outcome:
        if not self._may(asking):
            return outcomes.failed(self._failures[asking.access.key])
        if wish is None:
            return outcomes.suspended(asking)
        if asking.uid in self._refused:
            return outcomes.refused(asking, self._refused[asking.uid], policy, self.account_id)
        if policy is not None:
            return outcomes.kept(asking, wish, policy, self.account_id)
        sufficing = self._sufficing(wish.recipients)
        return outcomes.not_kept(asking, wish, sufficing, self.account_id)

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        """The policies as each token shows them, which is the same; one token after the other."""
        for access in {one.access.key: one.access for one in self.heard}.values():
            try:
                policies = await self.cloudflare.list_policies(access, self.account_id)
            except RateLimited:
                raise
            except CloudflareError as error:
                self._failures[access.key] = error
            else:
                self._accesses.append(access)
                self._policies = tuple(one for one in policies if one.alert_type == ALERT_TYPE)

    async def _webhooks(
        self, ready: Iterable[Subscription], waiting: Iterable[Whom]
    ) -> list[tuple[str, str]]:
        """The account's destinations by id and name, where anybody names one."""
        if not any(webhooks for _, webhooks in (*map(_named_by, ready), *waiting)):
            return []
        known = await self.cloudflare.list_webhooks(self._accesses[0], self.account_id)
        return [(one.id, one.name) for one in known]

    def _waiting(self, unheard: Iterable[Subscription]) -> list[Whom]:
        """Whom the objects name for which nothing can be done now."""
        known = {one.uid for one in self.heard}
        elsewhere = asking_elsewhere(self.served or (), known, self.account_id)
        return [*map(_named_by, unheard), *elsewhere]

    async def _ours(self) -> list[NotificationPolicy]:
        """The policies that we keep, the oldest first.

        A list may lag, so one that we kept and that is not in it is asked for by its id.
        """
        noted = {one.noted.policy_id for one in self.heard if one.noted} - {None}
        uids = {one.uid for one in self.heard}
        uids |= {one.uid for one in self.served or ()}
        policies = [*self._policies]
        for policy_id in sorted(map(str, noted - {policy.id for policy in policies})):
            try:
                policies.append(
                    await self.cloudflare.fetch_policy(
                        self._accesses[0], self.account_id, policy_id
                    )
                )
            except NotFound:
                continue
        ours = [
            policy
            for policy in policies
            if (mark := mark_in(policy.description)) and (mark.uid in uids or policy.id in noted)
        ]
        return sorted(ours, key=lambda one: (str(one.created or ""), one.id))

    # --- deciding ---------------------------------------------------------------------------------

    async def _settle(
        self,
        ready: Sequence[Subscription],
        wishes: Mapping[str, NamedRecipients],
        others: Sequence[NamedRecipients],
    ) -> NotificationPolicy | None:
        """Our policy, after doing what there was to do; None: there is none."""
        ours = await self._ours()
        for extra in ours[1:]:  # two processes have made one each
            await self._leave(extra, frozenset())
        wanted = {uid: wish.recipients for uid, wish in wishes.items()}
        if ours:
            staying = self._staying(ours[0], [*wishes.values(), *others])
            if not ready and not others and staying is not None:
                await self._leave(ours[0], staying)
                return None
            return await self._write_for_each(ours[0], ready, wanted, staying)
        lost = {one.noted.policy_id or "" for one in ready if one.noted is not None}
        asking = [one for one in ready if wanted[one.uid] and not one.had(lost - {""})]
        if not asking or self._sufficing(_everybody(wanted)) is not None:
            return None
        return await self._write_for_each(None, ready, wanted, frozenset())

    def _staying(
        self, policy: NotificationPolicy, wishes: Sequence[NamedRecipients]
    ) -> frozenset[str] | None:
        """Digests of those whom somebody asks for; None: it is not known who asks.

        If an object names a webhook that cannot be found, perhaps by a name that was changed, it
        may mean any of them.
        """
        if self.served is None:
            return None
        staying = {one.digest for wish in wishes for one in wish.recipients}
        if any(wish.unknown for wish in wishes):
            staying |= {
                one.digest for one in recipients_of(policy.mechanisms) if one.way == WEBHOOKS
            }
        return frozenset(staying)

    def _sufficing(self, wanted: frozenset[Recipient]) -> NotificationPolicy | None:
        """A policy of somebody else's that warns all of them."""
        return next(
            (
                policy
                for policy in self._policies
                if policy.enabled
                and not policy.filters
                and mark_in(policy.description) is None
                and not lacking(policy.mechanisms, wanted)
            ),
            None,
        )

    # --- changing ---------------------------------------------------------------------------------

    async def _write_for_each(
        self,
        policy: NotificationPolicy | None,
        ready: Sequence[Subscription],
        wanted: Wishes,
        staying: frozenset[str] | None,
    ) -> NotificationPolicy | None:
        """Write our policy with all of them in it, or else with what is accepted of each object.

        The answer need not say which recipient is refused
        (facts: cloudflare#notification-recipients).
        """
        try:
            return await self._write(policy, ready[:1], _everybody(wanted), staying)
        except NOT_TAKEN:
            pass
        settled: frozenset[Recipient] = frozenset()
        if policy is not None:
            mark = mark_in(policy.description) or Mark()
            settled = taken(policy.mechanisms, mark, _everybody(wanted))
            policy = await self._write(policy, ready[:1], settled, staying)
        for one in ready:
            try:
                policy = await self._write(policy, [one], settled | wanted[one.uid], staying)
            except NOT_TAKEN as error:
                self._refused[one.uid] = error
            else:
                settled |= wanted[one.uid]
        return policy

    async def _write(
        self,
        policy: NotificationPolicy | None,
        owners: Sequence[Subscription],
        wanted: frozenset[Recipient],
        staying: frozenset[str] | None,
    ) -> NotificationPolicy | None:
        """Make the policy, or change it if it differs."""
        if policy is None:
            return await self._create(owners[0], wanted) if wanted else None
        before = mark_in(policy.description) or Mark()
        mark = before
        if owners and before.uid not in {one.uid for one in self.heard if one.alerts is not None}:
            mark = replace(before, owner=str(owners[0].key), uid=owners[0].uid)
        change = changed(policy.mechanisms, mark, wanted, staying)
        if change.tells_nobody:  # whom objects ask for, somebody else has taken out
            await self._delete(policy)
            return None
        if not change.differs and mark == before:
            return policy
        return await self._put(policy, change.mechanisms, written(change.mark, policy.description))

    async def _create(
        self, owner: Subscription, wanted: frozenset[Recipient]
    ) -> NotificationPolicy:
        change = changed({}, Mark(str(owner.key), owner.uid), wanted, frozenset())
        body = {
            "name": NAME,
            "description": written(change.mark),
            "enabled": True,
            "alert_type": ALERT_TYPE,
            "filters": {},
            "mechanisms": dict(change.mechanisms),
        }
        policy_id = await self._with_any(
            lambda access: self.cloudflare.create_policy(access, self.account_id, body)
        )
        return NotificationPolicy.model_validate({"id": policy_id, **body})

    async def _leave(self, policy: NotificationPolicy, staying: frozenset[str]) -> None:
        """Take ours out of the policy.

        What is left is somebody else's; a policy without anybody is deleted.
        """
        mark = mark_in(policy.description) or Mark()
        change = changed(policy.mechanisms, mark, (), staying)
        if change.tells_nobody:
            await self._delete(policy)
        else:
            await self._put(policy, change.mechanisms, unmarked(policy.description))

    async def _delete(self, policy: NotificationPolicy) -> None:
        await self._with_any(
            lambda access: self.cloudflare.delete_policy(access, self.account_id, policy.id)
        )

    async def _put(
        self, policy: NotificationPolicy, mechanisms: Mapping[str, Any], description: str
    ) -> NotificationPolicy:
        changes = {"mechanisms": dict(mechanisms), "description": description}
        body = {**policy.body, **changes}
        await self._with_any(
            lambda access: self.cloudflare.replace_policy(access, self.account_id, policy.id, body)
        )
        return policy.model_copy(update={**changes, "body": body})

    async def _with_any(self, change: Callable[[Access], Awaitable[T]]) -> T:
        """Change something with the first token that may, because some may only read."""
        for access in self._accesses[:-1]:
            try:
                return await change(access)
            except (TokenLacksPermission, TokenRejected):
                continue
        return await change(self._accesses[-1])


def _named_by(asking: Subscription) -> Whom:
    alerts = asking.alerts
    return (alerts.email, alerts.webhooks) if alerts is not None else ((), ())


def _everybody(wanted: Wishes) -> frozenset[Recipient]:
    return frozenset(one for each in wanted.values() for one in each)
