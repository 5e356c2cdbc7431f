"""Whom Cloudflare warns: one policy per account for all objects, shared with people, beside Cloudflare's double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio

from aop.alerts import FIRST_AGAIN_S, HOURLY_S, PACE_S, AlertsKeeper
from aop.api import AuthenticatedOriginPull
from aop.cloudflare import Access, Cloudflare, Priority
from aop.errors import Reason
from aop.leading import Lead
from aop.metrics import Metrics
from aop.observe.memory import Memory
from aop.observe.objects import Served
from aop.observed import ObservedAlerts, Unknown
from aop.recipients import ALERT_TYPE
from aop.steps import Wait
from builders import observed, zone
from cloudflare_api import StoppedClock
from sandbox import corpus
from sandbox.cloudflare.credentials import new_id
from sandbox.cloudflare.launcher import PERMISSIONS, CloudflareDouble
from sandbox.waiting import until_async

OPS, DEV, BOSS = "ops@example.com", "dev@example.com", "boss@example.com"
PERMITTED = (*PERMISSIONS, "Notifications Write")
WEBHOOK, OTHER_WEBHOOK = "0123456789abcdef0123456789abcdef", "fedcba98-7654-3210-fedc-ba9876543210"
_numbers = count(1)


class DashboardUser:
    """Somebody in Cloudflare's dashboard."""

    def __init__(self, double: CloudflareDouble, account_id: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{double.base_url}/accounts/{account_id}/alerting/v3",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
        )

    def _ask(self, method: str, path: str = "", body: Any = None) -> Any:
        return (
            self._http.request(method, f"/policies{path}", json=body)
            .raise_for_status()
            .json()["result"]
        )

    def policies(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._ask("GET")
        return listed

    def make(self, *addresses: str, **fields: Any) -> str:
        body = {
            "name": "Mine",
            "enabled": True,
            "alert_type": ALERT_TYPE,
            "mechanisms": {"email": [{"id": one} for one in addresses]},
        }
        made: str = self._ask("POST", body={**body, **fields})["id"]
        return made

    def edit(self, policy: dict[str, Any], **fields: Any) -> None:
        self._ask("PUT", f"/{policy['id']}", {**policy, **fields})

    def mail(self, policy: dict[str, Any], *addresses: str) -> None:
        ways = policy["mechanisms"] | {"email": [{"id": one} for one in addresses]}
        self.edit(policy, mechanisms=ways)

    def delete(self, policy: dict[str, Any]) -> None:
        self._ask("DELETE", f"/{policy['id']}")

    def close(self) -> None:
        self._http.close()


class AlertsWorld:
    """One operator's half of it: its objects, as visits would show them, and its time."""

    def __init__(self, double: CloudflareDouble, account_id: str) -> None:
        self.double = double
        self.account_id = account_id
        self.clock = StoppedClock()
        self.metrics = Metrics()
        self.breaks: Exception | None = None
        """A bug that the next look meets."""
        self.lead = Lead.alone(self.clock)
        self.manifests: dict[str, dict[str, Any]] = {}
        self.memories: dict[str, Memory] = {}
        self.tokens: dict[str, str] = {}
        self.heard: list[str] = []
        self.all_known = True
        self.clients: list[Cloudflare] = []
        self.begin()

    def begin(self) -> None:
        """Lead anew: nothing of what was in memory counts any more."""
        cloudflare = Cloudflare(
            self.double.base_url, clock=self.clock, lead=self.lead, sleep=self.clock.sleep
        )
        self.clients.append(cloudflare)
        self.memories = {uid: Memory(uid=uid) for uid in self.memories}
        self.alerts = AlertsKeeper(cloudflare, self.clock, self._served, 600.0, self.metrics)
        self.alerts.begin(self.heard.append)

    async def close(self) -> None:
        for each in self.clients:
            await each.aclose()

    def _served(self) -> list[Served] | None:
        if self.breaks is not None:
            raise self.breaks
        return [Served.of(one) for one in self.manifests.values()] if self.all_known else None

    def add(self, token: str, account_id: str = "", **alerts: list[str]) -> str:
        """An object, by its uid."""
        number = next(_numbers)
        uid = f"6ba7b810-9dad-11d1-80b4-{number:012x}"
        self.manifests[uid] = {
            "metadata": {
                "namespace": "edge",
                "name": f"pull-{number}",
                "uid": uid,
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": f"2026-03-01T12:{number % 60:02}:00Z",
            },
            "spec": {**corpus.named("minimal")["spec"], "alerts": dict(alerts)},
            "status": {"zone": {"accountId": account_id or self.account_id}},
        }
        self.memories[uid], self.tokens[uid] = Memory(uid=uid), token
        return uid

    def ask(self, uid: str, **alerts: list[str]) -> None:
        """Change what it asks for; nothing: it asks no more."""
        spec = self.manifests[uid]["spec"]
        self.manifests[uid]["spec"] = (
            {**spec, "alerts": dict(alerts)}
            if alerts
            else {name: value for name, value in spec.items() if name != "alerts"}
        )

    def change(self, uid: str, **spec: Any) -> None:
        self.manifests[uid]["spec"] = {**self.manifests[uid]["spec"], **spec}

    def delete(self, uid: str) -> None:
        """Somebody deletes it, and its removal goes on."""
        self.manifests[uid]["metadata"]["deletionTimestamp"] = "2026-03-02T12:00:00Z"

    def vanish(self, uid: str) -> None:
        """It is gone."""
        self.alerts.forget(uid)
        del self.manifests[uid], self.memories[uid]

    def account_of(self, uid: str) -> str:
        account: str = self.manifests[uid]["status"]["zone"]["accountId"]
        return account

    def pull(self, uid: str) -> AuthenticatedOriginPull:
        return AuthenticatedOriginPull.parse(self.manifests[uid])

    def visit(self, uid: str) -> None:
        """As the loop does: hear it, and tell what has become of it."""
        memory = self.memories[uid]
        memory.cloudflare.good = Access.of(self.tokens[uid], Priority.RESYNC)
        o = observed(zone=zone(account_id=self.account_of(uid)), alerts=memory.alerts)
        self.alerts.hear(self.pull(uid), o, memory)
        if isinstance(o.alerts, ObservedAlerts):
            self.manifests[uid]["status"]["alerts"] = (
                o.alerts.status.model_dump(by_alias=True, mode="json") if o.alerts.status else None
            )

    async def look(self, account_id: str = "") -> None:
        """Visit all, look at the account, and visit all again."""
        for uid in list(self.manifests):
            self.visit(uid)
        await self.alerts.look(account_id or self.account_id)
        for uid in list(self.manifests):
            self.visit(uid)

    def condition(self, uid: str) -> tuple[bool | None, str]:
        """Whether it is as asked (None: not known), and why."""
        outcome = self.memories[uid].alerts
        assert outcome is not None
        if isinstance(outcome, Unknown):
            return None, str(outcome.reason)
        return outcome.holds, str(outcome.reason)

    def message(self, uid: str) -> str:
        outcome = self.memories[uid].alerts
        assert outcome is not None
        return outcome.message


@pytest.fixture
def account_id(double: CloudflareDouble) -> str:
    """A new account, which pays and knows some addresses and webhooks."""
    made: str = new_id()
    double.control.make_zone(f"a{made[:8]}.example.net", account_id=made)
    double.control.change_account(
        made,
        paid=True,
        emails=[OPS, DEV, BOSS],
        webhooks={WEBHOOK: "https://hooks.example.com/a", OTHER_WEBHOOK: "https://b.example.com"},
        webhook_names={WEBHOOK: "Chat", OTHER_WEBHOOK: "On call"},
    )
    return made


@pytest.fixture(scope="module")
def token(double: CloudflareDouble) -> str:
    made: str = double.control.make_token(PERMITTED)["value"]
    return made


@pytest.fixture
def person(double: CloudflareDouble, account_id: str, token: str) -> Iterator[DashboardUser]:
    somebody = DashboardUser(double, account_id, token)
    yield somebody
    somebody.close()


@pytest_asyncio.fixture
async def world(double: CloudflareDouble, account_id: str) -> AsyncIterator[AlertsWorld]:
    made = AlertsWorld(double, account_id)
    yield made
    await made.close()


def mailed(policy: dict[str, Any]) -> list[str]:
    return sorted(one["id"] for one in policy["mechanisms"].get("email", ()))


# --- one policy for an account -------------------------------------------------------------------


@pytest.mark.asyncio
async def test_one_policy_warns_whom_all_objects_of_the_account_name(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one = world.add(token, email=[OPS])
    two = world.add(token, email=[DEV, OPS], webhooks=["Chat"])
    await world.look()
    (policy,) = person.policies()
    assert mailed(policy) == [DEV, OPS]
    assert policy["mechanisms"]["webhooks"] == [{"id": WEBHOOK}]
    assert policy["alert_type"] == ALERT_TYPE
    assert policy["enabled"] is True
    assert world.condition(one) == world.condition(two) == (True, "AsExpected")
    assert OPS in world.message(one)
    assert DEV not in world.message(one)


@pytest.mark.asyncio
async def test_nothing_is_made_where_nobody_asks(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    uid = world.add(token)
    world.ask(uid)
    since = len(double.control.calls())
    await world.look()
    assert person.policies() == []
    assert double.control.calls(path=f"/accounts/{world.account_id}/*", since=since)[1:] == []


@pytest.mark.asyncio
async def test_what_is_as_it_should_be_costs_one_call_and_no_change(
    world: AlertsWorld, token: str, double: CloudflareDouble
) -> None:
    for _ in range(3):
        world.add(token, email=[OPS])
    await world.look()
    since = double.control.calls()[-1]["number"]
    await world.look()
    calls = double.control.calls(path=f"/accounts/{world.account_id}/*", since=since)
    assert [call["method"] for call in calls] == ["GET"]


@pytest.mark.parametrize(
    "name", ["Chat", WEBHOOK, "01234567-89ab-cdef-0123-456789abcdef", WEBHOOK.upper()]
)
@pytest.mark.asyncio
async def test_a_webhook_is_named_by_its_name_or_its_id_in_either_form(
    world: AlertsWorld, person: DashboardUser, token: str, name: str
) -> None:
    world.add(token, webhooks=[name])
    await world.look()
    assert person.policies()[0]["mechanisms"] == {"webhooks": [{"id": WEBHOOK}]}


@pytest.mark.asyncio
async def test_a_policy_on_a_later_page_is_found(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    for number in range(5):
        person.make(DEV, name=f"Other {number}")
    world.add(token, email=[OPS])
    await world.look()
    double.control.change_account(world.account_id, policies_per_page=2)
    world.begin()
    await world.look()
    double.control.change_account(world.account_id, policies_per_page=1000)
    assert len(person.policies()) == 6


@pytest.mark.asyncio
async def test_another_policy_of_the_type_that_warns_them_all_is_enough(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    theirs = person.make(OPS, DEV)
    uid = world.add(token, email=[OPS])
    await world.look()
    assert [policy["id"] for policy in person.policies()] == [theirs]
    assert world.condition(uid) == (True, "AsExpected")
    assert "'Mine'" in world.message(uid)
    person.delete(person.policies()[0])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]


@pytest.mark.parametrize(
    "fields",
    [{"enabled": False}, {"alert_type": "hostname_aop_custom_certificate_expiration_type"}],
)
@pytest.mark.asyncio
async def test_one_that_is_off_or_about_something_else_is_not(
    world: AlertsWorld, person: DashboardUser, token: str, fields: dict[str, Any]
) -> None:
    person.make(OPS, **fields)
    world.add(token, email=[OPS])
    await world.look()
    assert len(person.policies()) == 2


# --- what people change --------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_a_person_adds_and_sets_stays(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    person.edit(
        person.policies()[0],
        name="Ours",
        alert_interval="30m",
        mechanisms={"email": [{"id": OPS}, {"id": BOSS}], "pagerduty": [{"id": WEBHOOK}]},
    )
    world.ask(uid, email=[DEV])
    await world.look()
    (policy,) = person.policies()
    assert mailed(policy) == [BOSS, DEV]
    assert policy["name"] == "Ours"
    assert policy["alert_interval"] == "30m"
    assert policy["mechanisms"]["pagerduty"] == [{"id": WEBHOOK}]


@pytest.mark.asyncio
async def test_what_a_person_takes_out_stays_out_until_somebody_asks_anew(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one, two = world.add(token, email=[OPS, DEV]), world.add(token, email=[DEV])
    await world.look()
    person.mail(person.policies()[0], DEV)
    for _ in range(2):
        await world.look()
        world.begin()
        await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV]]
    assert world.condition(one) == (False, "AlertsChanged")
    assert OPS in world.message(one)
    assert world.condition(two) == (True, "AsExpected")
    world.ask(one, email=[DEV])
    await world.look()
    world.ask(one, email=[DEV, OPS])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]
    assert world.condition(one) == (True, "AsExpected")


@pytest.mark.asyncio
async def test_a_policy_that_a_person_deletes_is_made_again_only_for_another_wish(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one = world.add(token, email=[OPS])
    await world.look()
    person.delete(person.policies()[0])
    await world.look()
    world.begin()
    await world.look()
    assert person.policies() == []
    assert world.condition(one) == (False, "AlertsChanged")
    world.add(token, email=[DEV])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]


@pytest.mark.asyncio
async def test_a_policy_that_a_person_switches_off_stays_off_and_is_said(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    person.edit(person.policies()[0], enabled=False)
    world.ask(uid, email=[OPS, DEV])
    await world.look()
    (policy,) = person.policies()
    assert policy["enabled"] is False
    assert mailed(policy) == [DEV, OPS]
    assert world.condition(uid) == (False, "AlertsChanged")


@pytest.mark.asyncio
async def test_a_policy_whose_mark_a_person_takes_away_is_theirs_from_then_on(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    person.edit(person.policies()[0], description="Now mine")
    world.ask(uid, email=[DEV])
    await world.look()
    assert sorted(mailed(policy) for policy in person.policies()) == [[DEV], [OPS]]
    world.ask(uid)
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]


@pytest.mark.asyncio
async def test_whom_a_person_had_warned_before_is_not_ours_to_take_out(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    first = world.add(token, email=[OPS])
    await world.look()
    person.mail(person.policies()[0], OPS, BOSS)
    second = world.add(token, email=[BOSS])
    await world.look()
    assert world.condition(second) == (True, "AsExpected")
    world.ask(second)
    world.ask(first)
    await world.look()
    (policy,) = person.policies()
    assert mailed(policy) == [BOSS]
    assert "aop-operator" not in policy["description"]


@pytest.mark.asyncio
async def test_a_persons_own_words_in_the_description_stay(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    (policy,) = person.policies()
    person.edit(policy, description=f"Ask Ada first. {policy['description']} Or Bob.")
    world.ask(uid, email=[OPS, DEV])
    await world.look()
    description = person.policies()[0]["description"]
    assert description.startswith("Ask Ada first. Kept by aop-operator")
    assert description.endswith(". Or Bob.")


# --- who leaves ----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_policy_goes_with_the_last_object_that_asked(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one, two = world.add(token, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    world.delete(one)
    world.visit(one)
    waits = world.alerts.until_left(world.pull(one))
    assert isinstance(waits, Wait)
    await world.look()
    assert world.alerts.until_left(world.pull(one)) == ""
    assert [mailed(policy) for policy in person.policies()] == [[DEV]]
    world.vanish(one)
    world.delete(two)
    await world.look()
    assert world.alerts.until_left(world.pull(two)) == ""
    assert person.policies() == []


@pytest.mark.asyncio
async def test_whoever_asks_for_the_same_keeps_it_when_the_other_leaves(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one, two = world.add(token, email=[OPS]), world.add(token, email=[OPS])
    await world.look()
    world.delete(one)
    await world.look()
    world.vanish(one)
    world.begin()
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]
    assert world.condition(two) == (True, "AsExpected")
    world.delete(two)
    await world.look()
    assert person.policies() == []


@pytest.mark.asyncio
async def test_nobody_is_taken_out_while_it_is_not_known_who_asks(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one, two = world.add(token, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    world.begin()
    hidden = world.manifests.pop(two)
    world.all_known = False
    world.ask(one, email=[BOSS])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[BOSS, DEV, OPS]]
    world.all_known = True
    world.manifests[two] = hidden
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[BOSS, DEV]]


@pytest.mark.asyncio
async def test_whoever_cannot_be_heard_keeps_what_was_put_for_it(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    """After a restart, an object whose token shows nothing any more."""
    one, two = world.add(token, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    world.begin()
    world.ask(one, email=[BOSS])
    world.visit(one)
    await world.alerts.look(world.account_id)
    assert [mailed(policy) for policy in person.policies()] == [[BOSS, DEV]]
    assert two in world.manifests


@pytest.mark.asyncio
async def test_whoever_is_known_by_its_token_before_its_zone_is_does_not_seem_to_leave(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    """After a restart, while the first reading of the zone is under way."""
    uid, other = world.add(token, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    world.begin()
    memory = world.memories[uid]
    memory.cloudflare.good = Access.of(token, Priority.RESYNC)
    world.alerts.hear(world.pull(uid), observed(zone=Unknown("not yet")), memory)
    world.visit(other)
    await world.alerts.look(world.account_id)
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]
    assert memory.alerts is None


@pytest.mark.asyncio
async def test_an_object_whose_zone_moves_to_another_account_takes_its_recipients_along(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    other = new_id()
    double.control.make_zone(f"b{other[:8]}.example.net", account_id=other)
    double.control.change_account(other, emails=[OPS, DEV])
    uid, stays = world.add(token, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    world.manifests[uid]["status"]["zone"]["accountId"] = other
    await world.look(other)
    there = DashboardUser(double, other, token)
    assert there.policies() == []  # first what was done elsewhere is undone
    await world.look()
    await world.look(other)
    assert [mailed(policy) for policy in person.policies()] == [[DEV]]
    assert [mailed(policy) for policy in there.policies()] == [[OPS]]
    assert world.manifests[uid]["status"]["alerts"]["accountId"] == other
    assert world.condition(uid) == world.condition(stays) == (True, "AsExpected")
    there.close()


@pytest.mark.asyncio
async def test_one_that_moves_and_may_not_touch_what_it_leaves_is_not_held_up(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    other = new_id()
    double.control.make_zone(f"c{other[:8]}.example.net", account_id=other)
    uid = world.add(token, email=[OPS])
    await world.look()
    world.tokens[uid] = double.control.make_token(PERMITTED, kind="account", account_id=other)[
        "value"
    ]
    world.manifests[uid]["status"]["zone"]["accountId"] = other
    for _ in range(4):
        await world.look()
    await world.look(other)
    there = DashboardUser(double, other, token)
    assert [mailed(policy) for policy in there.policies()] == [[OPS]]
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]
    there.close()


@pytest.mark.asyncio
async def test_a_removal_that_may_not_take_out_its_recipients_ends_and_says_what_stays(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    made = double.control.make_token(PERMITTED)
    uid = world.add(made["value"], email=[OPS])
    await world.look()
    double.control.change_token(made["id"], permissions=list(PERMISSIONS))
    world.delete(uid)
    for _ in range(6):
        await world.look()
        world.clock.at_s += 60
    left = world.alerts.until_left(world.pull(uid))
    assert isinstance(left, str)
    assert person.policies()[0]["id"] in left
    assert "Notifications Write" in left


@pytest.mark.asyncio
async def test_a_removal_waits_for_a_cloudflare_that_is_away_and_not_for_ever(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    world.delete(uid)
    double.control.break_api(path="/accounts/*", status=503)
    try:
        await world.look()
        assert isinstance(world.alerts.until_left(world.pull(uid)), Wait)
        world.clock.at_s += 601
        await world.look()
        assert "may still warn" in str(world.alerts.until_left(world.pull(uid)))
    finally:
        double.control.mend()


# --- several tokens, several operators -----------------------------------------------------------


@pytest.mark.asyncio
async def test_two_tokens_on_one_account_make_one_policy(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    reading = double.control.make_token([*PERMISSIONS, "Notifications Read"])["value"]
    one, two = world.add(reading, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]
    assert world.condition(one) == world.condition(two) == (True, "AsExpected")


@pytest.mark.asyncio
async def test_an_object_is_served_by_no_others_token_where_its_own_may_not_look(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    without = double.control.make_token()["value"]
    one, two = world.add(without, email=[OPS]), world.add(token, email=[DEV])
    for _ in range(3):
        await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV]]
    assert world.condition(one) == (None, "TokenLacksPermission")
    assert "Notifications Write" in world.message(one)
    assert world.condition(two) == (True, "AsExpected")


@pytest.mark.asyncio
async def test_two_operators_on_one_account_keep_a_policy_each_and_leave_the_others(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    elsewhere = AlertsWorld(double, world.account_id)
    mine, theirs = world.add(token, email=[OPS]), elsewhere.add(token, email=[OPS, DEV])
    for one in (world, elsewhere, world, elsewhere):
        await one.look()
    assert sorted(mailed(policy) for policy in person.policies()) == [[DEV, OPS], [OPS]]
    world.delete(mine)
    await world.look()
    await elsewhere.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]
    assert elsewhere.condition(theirs) == (True, "AsExpected")
    await elsewhere.close()


@pytest.mark.asyncio
async def test_whoever_leads_next_finds_a_policy_whose_answer_was_lost(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    uid = world.add(token, email=[OPS])
    double.control.break_api(
        method="POST", path="/accounts/*/policies", when="after", drop=True, count=1
    )
    await world.look()
    assert world.condition(uid)[0] is None
    world.begin()
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]
    assert world.condition(uid) == (True, "AsExpected")


@pytest.mark.asyncio
async def test_of_two_that_were_made_at_once_one_stays(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    (policy,) = person.policies()
    person.make(OPS, description=policy["description"])
    person.make(OPS, BOSS, description=policy["description"])
    await world.look()
    assert sorted(mailed(policy) for policy in person.policies()) == [[BOSS], [OPS]]
    assert world.condition(uid) == (True, "AsExpected")
    before = person.policies()
    await world.look()
    assert person.policies() == before


@pytest.mark.asyncio
async def test_who_does_not_lead_changes_nothing(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS])
    world.lead.lose()
    await world.look()
    assert person.policies() == []
    assert world.condition(uid)[0] is None


@pytest.mark.asyncio
async def test_a_policy_that_the_list_does_not_show_yet_is_not_made_twice(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    uid = world.add(token, email=[OPS])
    await world.look()
    empty = '{"success": true, "errors": [], "messages": [], "result": []}'
    double.control.break_api(
        method="GET",
        path="/accounts/*/policies",
        status=200,
        body=empty,
        headers={"content-type": "application/json"},
        count=1,
    )
    world.ask(uid, email=[OPS, DEV])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]


# --- what Cloudflare refuses ---------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_address_that_cloudflare_refuses_is_said_and_keeps_nobody_else_out(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    bad = world.add(token, email=["nobody@example.com"])
    good = world.add(token, email=[OPS])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]
    assert world.condition(bad) == (False, "AlertsRefused")
    assert "email address is not eligible" in world.message(bad)
    assert world.condition(good) == (True, "AsExpected")
    late = world.add(token, email=[DEV])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]
    assert world.condition(late) == (True, "AsExpected")
    world.ask(bad, email=[BOSS])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[BOSS, DEV, OPS]]


@pytest.mark.asyncio
async def test_a_plan_without_webhooks_is_said(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    double.control.change_account(world.account_id, paid=False)
    uid = world.add(token, webhooks=["Chat"])
    await world.look()
    assert person.policies() == []
    assert world.condition(uid)[0] is False
    assert "webhooks are not available" in world.message(uid)


@pytest.mark.asyncio
async def test_a_webhook_that_is_not_there_is_named_and_the_addresses_are_warned(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    uid = world.add(token, email=[OPS], webhooks=["Nowhere"])
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]
    assert world.condition(uid) == (False, "AlertsRefused")
    assert "'Nowhere'" in world.message(uid)


@pytest.mark.asyncio
async def test_of_two_webhooks_of_one_name_none_is_guessed(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    names = {WEBHOOK: "Chat", OTHER_WEBHOOK: "Chat"}
    double.control.change_account(world.account_id, webhook_names=names)
    uid = world.add(token, webhooks=["Chat"])
    await world.look()
    assert person.policies() == []
    assert world.condition(uid) == (False, "AlertsRefused")


@pytest.mark.asyncio
async def test_a_webhook_that_is_renamed_at_cloudflare_is_not_taken_out(
    world: AlertsWorld, person: DashboardUser, token: str, double: CloudflareDouble
) -> None:
    uid = world.add(token, webhooks=["Chat"])
    await world.look()
    double.control.change_account(world.account_id, webhook_names={WEBHOOK: "Talk"})
    other = world.add(token, email=[OPS])
    await world.look()
    (policy,) = person.policies()
    assert policy["mechanisms"] == {"webhooks": [{"id": WEBHOOK}], "email": [{"id": OPS}]}
    assert world.condition(uid) == (False, "AlertsRefused")
    assert world.condition(other) == (True, "AsExpected")


@pytest.mark.asyncio
async def test_a_token_for_one_zone_lacks_the_account(
    world: AlertsWorld, person: DashboardUser, double: CloudflareDouble
) -> None:
    scoped = double.control.make_token(PERMITTED, zones=["example.com"])["value"]
    uid = world.add(scoped, email=[OPS])
    for _ in range(3):
        await world.look()
    assert world.condition(uid) == (None, "TokenLacksPermission")
    assert "Account Resources" in world.message(uid)
    assert person.policies() == []


@pytest.mark.asyncio
async def test_a_suspended_object_begins_nothing_and_keeps_what_it_has(
    world: AlertsWorld, person: DashboardUser, token: str
) -> None:
    one, two = world.add(token, email=[OPS]), world.add(token, email=[DEV])
    await world.look()
    world.change(one, suspend=True)
    world.ask(one, email=[OPS, BOSS])
    world.ask(two)
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[OPS]]
    assert world.condition(one) == (False, "Suspended")
    world.change(one, suspend=False)
    await world.look()
    assert [mailed(policy) for policy in person.policies()] == [[BOSS, OPS]]


# --- how often -----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_task_looks_when_it_is_asked_to_and_rests_otherwise(
    double: CloudflareDouble, account_id: str, token: str, person: DashboardUser
) -> None:
    """Time that stands still, but for what sleeps: a look that comes too often would be seen."""
    world = AlertsWorld(double, account_id)
    uid, seen = world.add(token, email=[OPS]), asyncio.Event()
    world.alerts.begin(lambda _: seen.set())
    world.visit(uid)
    world.clock.at_s += PACE_S
    running = asyncio.create_task(world.alerts.run())
    try:
        async with asyncio.timeout(20):
            await seen.wait()
        assert [mailed(policy) for policy in person.policies()] == [[OPS]]
        since = double.control.calls()[-1]["number"]
        world.clock.at_s += HOURLY_S - PACE_S - 1
        for _ in range(5):
            world.visit(uid)
            await asyncio.sleep(0)
        assert double.control.calls(path=f"/accounts/{account_id}/*", since=since) == []
    finally:
        running.cancel()
        await world.close()


@pytest.mark.asyncio
async def test_a_bug_is_counted_and_told_and_the_task_goes_on_soon(
    double: CloudflareDouble, account_id: str, token: str, person: DashboardUser
) -> None:
    world = AlertsWorld(double, account_id)
    world.breaks = RuntimeError("a bug that this test makes")

    def bugs() -> float | None:
        return world.metrics.registry.get_sample_value(
            "aop_reader_bugs_total", {"reader": "notifications"}
        )

    uid, seen = world.add(token, email=[OPS]), asyncio.Event()
    world.alerts.begin(lambda _: seen.set())
    world.visit(uid)
    assert bugs() == 0  # from the start, so that the first one is an increase
    world.clock.at_s += PACE_S
    running = asyncio.create_task(world.alerts.run())
    try:
        await until_async(lambda: bugs() == 1, within_s=20, describe="the bug to be counted")
        async with asyncio.timeout(20):
            await seen.wait()
        outcome = world.memories[uid].alerts
        assert isinstance(outcome, Unknown)
        assert outcome.reason is Reason.INTERNAL_ERROR
        assert "RuntimeError in the operator" in outcome.message
        world.breaks = None
        seen.clear()
        world.clock.at_s += FIRST_AGAIN_S
        world.ask(uid, email=[OPS, DEV])
        world.visit(uid)
        async with asyncio.timeout(20):
            await seen.wait()
        assert [mailed(policy) for policy in person.policies()] == [[DEV, OPS]]
    finally:
        running.cancel()
        await world.close()
