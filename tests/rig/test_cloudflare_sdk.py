"""Cloudflare's own Python SDK is driven against every endpoint that the double has; what it receives is checked against the description."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import cloudflare
import httpx
import pytest
from aiohttp import web

from sandbox.cloudflare.alerting_api import NEEDS_FILTERS, ZONE_EXPIRY
from sandbox.cloudflare.api import CloudflareApi
from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.calls import Calls
from sandbox.cloudflare.contract import Contract
from sandbox.cloudflare.faults import ApiFault, Faults
from sandbox.cloudflare.gate import BASE
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.cloudflare.state import State
from sandbox.cloudflare.throttle import Throttle

CONTRACT = Contract()
AUTHORITY = Authority.new("example.com")
PERMISSIONS = (
    *("Zone Read", "Zone Settings Read", "Zone Settings Write", "SSL and Certificates Write"),
    *("Notifications Write", "Account Settings Read"),
    *("DNS Read", "Origin Read", "Config Settings Read"),
    *("Load Balancers Read", "Load Balancing: Monitors and Pools Read"),
)
WEBHOOK = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def zone(double: CloudflareDouble) -> Any:
    return double.control.zone("example.com")


@pytest.fixture(scope="module")
def account_id(double: CloudflareDouble, zone: Any) -> str:
    account: str = zone["account"]["id"]
    double.control.change_account(
        account,
        paid=True,
        emails=["ops@example.com"],
        webhooks={WEBHOOK: "https://hooks.example.com/"},
    )
    return account


def described(response: httpx.Response) -> None:
    """Everything that the description knows is as it says."""
    response.read()
    method, path = response.request.method, response.request.url.path
    # Of the zone's settings the description was narrowed to the two that concern origin pulls
    # (facts: cloudflare#description).
    if CONTRACT.operation(method, path) and not (
        response.is_success and re.search("/zones/[^/]+/settings/(?!ssl$|tls_client_auth$)", path)
    ):
        CONTRACT.check(method, path, response.status_code, response.json())


def sdk_with(
    double: CloudflareDouble,
    *,
    api_token: str | None = None,
    api_email: str | None = None,
    api_key: str | None = None,
) -> cloudflare.Cloudflare:
    transport = httpx.Client(event_hooks={"response": [described]}, trust_env=False)
    return cloudflare.Cloudflare(
        api_token=api_token,
        api_email=api_email,
        api_key=api_key,
        base_url=double.base_url,
        max_retries=0,
        http_client=transport,
    )


@pytest.fixture(scope="module")
def sdk(double: CloudflareDouble) -> Iterator[cloudflare.Cloudflare]:
    with sdk_with(double, api_token=double.control.make_token(PERMISSIONS)["value"]) as made:
        yield made


def codes(caught: pytest.ExceptionInfo[cloudflare.APIStatusError]) -> tuple[int, list[int]]:
    return caught.value.status_code, [
        error.code for error in caught.value.errors if error.code is not None
    ]


# --- every endpoint ------------------------------------------------------------------------------------------------------------------------


def drive_accounts_and_tokens(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble, account_id: str
) -> None:
    assert [one.id for one in sdk.accounts.list()] == [account_id]
    account = sdk.accounts.get(account_id=account_id)
    assert account is not None
    assert account.name == "Account 1"
    verified = sdk.user.tokens.verify()
    assert verified is not None
    assert verified.status == "active"
    own = double.control.make_token(PERMISSIONS, kind="account")["value"]
    with sdk_with(double, api_token=own) as of_the_account:
        verified_there = of_the_account.accounts.tokens.verify(account_id=account_id)
        assert verified_there is not None
        assert verified_there.status == "active"
        with pytest.raises(cloudflare.AuthenticationError) as unknown:
            of_the_account.user.tokens.verify()
        assert codes(unknown) == (401, [1000])


def drive_zones_and_settings(sdk: cloudflare.Cloudflare, zone: Any) -> None:
    assert [one.id for one in sdk.zones.list(name="example.com")] == [zone["id"]]
    read = sdk.zones.get(zone_id=zone["id"])
    assert read is not None
    assert read.status == "active"
    listed = sdk.get(f"/zones/{zone['id']}/settings", cast_to=httpx.Response).json()["result"]
    for setting in (one["id"] for one in listed):
        assert sdk.zones.settings.get(setting, zone_id=zone["id"]) is not None, setting
    changed = sdk.zones.settings.edit("always_use_https", zone_id=zone["id"], value="on")
    assert changed is not None
    assert changed.model_dump()["value"] == "on"
    sdk.zones.settings.edit("min_tls_version", zone_id=zone["id"], value="1.2")
    with pytest.raises(cloudflare.NotFoundError):
        sdk.zones.settings.get("no_such_setting", zone_id=zone["id"])


def drive_the_zone_level(sdk: cloudflare.Cloudflare, zone: Any) -> None:
    aop, zone_id = sdk.origin_tls_client_auth, zone["id"]
    leaf = AUTHORITY.client("www.example.com")
    made = aop.zone_certificates.create(
        zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem
    )
    assert made is not None
    assert made.id is not None
    certificate = aop.zone_certificates.get(made.id, zone_id=zone_id)
    assert certificate is not None
    assert certificate.status == "active"
    assert [one.id for one in aop.zone_certificates.list(zone_id=zone_id)] == [made.id]
    enabled = aop.settings.update(zone_id=zone_id, enabled=True)
    assert enabled is not None
    read = aop.settings.get(zone_id=zone_id)
    assert read is not None
    assert read.enabled
    gone = aop.zone_certificates.delete(made.id, zone_id=zone_id)
    assert gone is not None
    assert gone.status == "pending_deletion"


def drive_the_hostname_level(sdk: cloudflare.Cloudflare, zone: Any) -> None:
    aop, zone_id, host = sdk.origin_tls_client_auth, zone["id"], "www.example.com"
    leaf = AUTHORITY.client(host)
    made = aop.hostname_certificates.create(
        zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem
    )
    assert made is not None
    assert made.id is not None
    assert [one.id for one in aop.hostname_certificates.list(zone_id=zone_id)] == [made.id]
    assert aop.hostname_certificates.get(made.id, zone_id=zone_id) is not None
    set_ = list(
        aop.hostnames.update(
            zone_id=zone_id, config=[{"hostname": host, "cert_id": made.id, "enabled": True}]
        )
    )
    assert [(one.hostname, one.enabled) for one in set_] == [(host, True)]
    got = aop.hostnames.get(host, zone_id=zone_id)
    assert got is not None
    assert got.cert_id == made.id
    # The SDK does not know this one yet (facts: cloudflare#per-hostname-level).
    listed = sdk.get(
        f"/zones/{zone_id}/origin_tls_client_auth/hostnames", cast_to=httpx.Response
    ).json()["result"]
    assert [one["hostname"] for one in listed] == [host]
    with pytest.raises(cloudflare.BadRequestError) as in_use:
        aop.hostname_certificates.delete(made.id, zone_id=zone_id)
    assert codes(in_use) == (400, [1433])
    aop.hostnames.update(
        zone_id=zone_id, config=[{"hostname": host, "cert_id": made.id, "enabled": None}]
    )
    gone = aop.hostname_certificates.delete(made.id, zone_id=zone_id)
    assert gone is not None
    assert gone.status == "pending_deletion"


def drive_alerting(sdk: cloudflare.Cloudflare, account_id: str) -> None:
    alerting = sdk.alerting
    offered = alerting.available_alerts.list(account_id=account_id)
    assert offered is not None
    assert ZONE_EXPIRY in {one.type for group in offered.values() for one in group}
    assert alerting.destinations.eligible.get(account_id=account_id) is not None
    assert [one.id for one in alerting.destinations.webhooks.list(account_id=account_id)] == [
        WEBHOOK
    ]
    assert list(alerting.destinations.pagerduty.get(account_id=account_id)) == []
    made = alerting.policies.create(
        account_id=account_id,
        name="AOP client certificates",
        enabled=True,
        alert_type=ZONE_EXPIRY,  # type: ignore[arg-type]  # one of its literals
        mechanisms={"email": [{"id": "ops@example.com"}], "webhooks": [{"id": WEBHOOK}]},
        description="made by a test",
    )
    assert made is not None
    assert made.id is not None
    got = alerting.policies.get(made.id, account_id=account_id)
    assert got is not None
    assert got.description == "made by a test"
    alerting.policies.update(
        made.id,
        account_id=account_id,
        name="another name",
        enabled=False,
        alert_type=ZONE_EXPIRY,  # type: ignore[arg-type]  # one of its literals
        mechanisms={"email": [{"id": "ops@example.com"}]},
    )
    (listed,) = alerting.policies.list(account_id=account_id)
    assert (listed.name, listed.description) == ("another name", ""), "PUT replaces all of it"
    alerting.policies.delete(made.id, account_id=account_id)
    assert list(alerting.policies.list(account_id=account_id)) == []


def drive_traffic(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble, zone: Any, account_id: str
) -> None:
    """What only a preflight reads."""
    zone_id, host = zone["id"], "example.com"
    double.control.change_zone(
        host,
        traffic={
            "dns_records": [
                {"id": "r", "name": host, "type": "CNAME", "content": "a.example", "proxied": True}
            ],
            "rules": {
                "http_request_origin": [
                    {
                        "id": "o",
                        "action": "route",
                        "expression": "true",
                        "action_parameters": {"sni": {"value": host}},
                    }
                ],
                "http_config_settings": [
                    {
                        "id": "c",
                        "action": "set_config",
                        "expression": "true",
                        "action_parameters": {"ssl": "full"},
                    }
                ],
            },
            "load_balancers": [{"id": "b", "name": host, "enabled": True, "default_pools": ["p"]}],
            "pools": [{"id": "p", "name": "eu", "monitor": "m"}],
            "monitors": [{"id": "m", "type": "https", "probe_zone": host}],
        },
    )
    (record,) = sdk.dns.records.list(zone_id=zone_id)
    assert (record.name, record.content, record.proxied) == (host, "a.example", True)
    for phase, parameters in (
        ("http_request_origin", {"sni": {"value": host}}),
        ("http_config_settings", {"ssl": "full"}),
    ):
        ruleset = sdk.rulesets.phases.get(phase, zone_id=zone_id)  # type: ignore[arg-type]  # one of its literals
        (rule,) = (one.model_dump(exclude_unset=True) for one in ruleset.rules)
        assert rule["action_parameters"] == parameters
    (balancer,) = sdk.load_balancers.list(zone_id=zone_id)
    assert (balancer.name, balancer.default_pools) == (host, ["p"])
    (pool,) = sdk.load_balancers.pools.list(account_id=account_id)
    assert (pool.id, pool.monitor) == ("p", "m")
    (monitor,) = sdk.load_balancers.monitors.list(account_id=account_id)
    assert (monitor.type, monitor.probe_zone) == ("https", host)


def routes() -> set[tuple[str, str]]:
    """Every method and path of the double, from its own router."""
    pair = Authority.new("nobody").pair
    api = CloudflareApi(
        State(pair, pair), lambda: 0.0, Faults[ApiFault](), Calls(), Throttle(), str
    )
    return {
        (route.method, route.resource.canonical.removeprefix(BASE))
        for route in api.app().router.routes()
        if isinstance(route.resource, web.Resource)
    }


def test_every_endpoint_of_the_double_is_driven(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble, zone: Any, account_id: str
) -> None:
    drive_accounts_and_tokens(sdk, double, account_id)
    drive_zones_and_settings(sdk, zone)
    drive_the_zone_level(sdk, zone)
    drive_the_hostname_level(sdk, zone)
    drive_alerting(sdk, account_id)
    drive_traffic(sdk, double, zone, account_id)
    answered = {
        (call["method"], call["path"]) for call in double.control.calls() if call["status"] == 200
    }
    templates = sorted(routes(), key=lambda route: route[1].count("{"))

    def matching(method: str, path: str) -> tuple[str, str]:
        return next(
            route
            for route in templates
            if route[0] == method and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", route[1]), path)
        )

    assert {matching(*call) for call in answered} == set(templates)


# --- credentials ---------------------------------------------------------------------------------------------------------------------------


def test_a_key_with_its_email_may_do_everything_of_its_user(
    double: CloudflareDouble, zone: Any, account_id: str
) -> None:
    user = double.control.make_user(email="somebody@example.com")
    with sdk_with(double, api_email=user["email"], api_key=user["key"]) as sdk:
        assert [one.id for one in sdk.zones.list(name="example.com")] == [zone["id"]]
        assert sdk.alerting.available_alerts.list(account_id=account_id) is not None
    with (
        sdk_with(double, api_email="nobody@example.com", api_key=user["key"]) as sdk,
        pytest.raises(cloudflare.BadRequestError) as unknown,
    ):
        sdk.zones.list(name="example.com")
    assert codes(unknown) == (400, [9103])


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        ({"elsewhere": True}, (403, [9109])),
        ({"not_before": "2199-01-01T00:00:00Z"}, (403, [9109])),
        ({"expires_on": "2020-01-01T00:00:00Z"}, (403, [9109])),
    ],
)
def test_a_token_that_may_not_be_used_here_or_now(
    double: CloudflareDouble, order: dict[str, Any], refused: tuple[int, list[int]]
) -> None:
    with sdk_with(double, api_token=double.control.make_token(**order)["value"]) as sdk:
        with pytest.raises(cloudflare.PermissionDeniedError) as caught:
            sdk.zones.list(name="example.com")
        assert codes(caught) == refused
        if "elsewhere" in order:
            assert "from location: 127.0.0.1" in str(caught.value)
            return
        verified = sdk.user.tokens.verify()
        assert verified is not None
        assert (verified.status, bool(verified.not_before), bool(verified.expires_on)) == (
            "active" if "not_before" in order else "expired",
            "not_before" in order,
            "expires_on" in order,
        )


@pytest.mark.parametrize("kind", ["user", "account"])
def test_an_accounts_token_sees_the_zones_of_its_account_only(
    double: CloudflareDouble, kind: str
) -> None:
    other = double.control.make_zone("other-account.example.net", account_id="b" * 32)
    order = {"account_id": "b" * 32} if kind == "account" else {}
    value = double.control.make_token(kind=kind, **order)["value"]
    assert value.startswith({"user": "cfut_", "account": "cfat_"}[kind])
    with sdk_with(double, api_token=value) as sdk:
        names = {one.name for one in sdk.zones.list()}
    assert ("example.com" in names, other["name"] in names) == (kind == "user", True)


def test_a_token_for_a_zone_may_do_nothing_with_its_account(
    double: CloudflareDouble, zone: Any, account_id: str
) -> None:
    with (
        sdk_with(
            double, api_token=double.control.make_token(PERMISSIONS, zones=[zone["id"]])["value"]
        ) as sdk,
        pytest.raises(cloudflare.PermissionDeniedError) as refused,
    ):
        sdk.alerting.policies.list(account_id=account_id)
    assert codes(refused) == (403, [10000])


# --- refusals --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"alert_type": "no_such_type"}, 17004),
        ({"mechanisms": {}}, 17102),
        ({"mechanisms": {"email": []}}, 17102),
        ({"alert_type": NEEDS_FILTERS}, 17103),
        ({"mechanisms": {"email": [{"id": "nobody@example.com"}]}}, 0),
        ({"mechanisms": {"webhooks": [{"id": "f" * 32}]}}, 0),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_its_code(
    sdk: cloudflare.Cloudflare, account_id: str, changes: dict[str, Any], code: int
) -> None:
    body: dict[str, Any] = {
        "name": "x",
        "enabled": True,
        "alert_type": ZONE_EXPIRY,
        "mechanisms": {"email": [{"id": "ops@example.com"}]},
    }
    with pytest.raises(cloudflare.BadRequestError) as refused:
        sdk.alerting.policies.create(account_id=account_id, **(body | changes))
    assert codes(refused) == (400, [code])


def test_refusals_of_the_hostname_level_have_their_codes(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble
) -> None:
    aop, zone_id = (
        sdk.origin_tls_client_auth,
        double.control.make_zone("refusals.example.net")["id"],
    )
    leaf, other = (
        AUTHORITY.client("a.refusals.example.net"),
        AUTHORITY.client("b.refusals.example.net"),
    )
    own = aop.hostname_certificates.create(
        zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem
    )
    of_the_zone = aop.zone_certificates.create(
        zone_id=zone_id, certificate=other.pem, private_key=other.key_pem
    )
    assert own is not None
    assert own.id is not None
    assert of_the_zone is not None
    assert of_the_zone.id is not None

    def associate(
        cert_id: str | None, enabled: bool | None = True, host: str = "a.refusals.example.net"
    ) -> None:
        config: Any = [
            {"hostname": host, "enabled": enabled} | ({"cert_id": cert_id} if cert_id else {})
        ]
        list(aop.hostnames.update(zone_id=zone_id, config=config))

    def code_of(call: Callable[[], Any]) -> int:
        with pytest.raises(cloudflare.APIStatusError) as refused:
            call()
        return codes(refused)[1][0]

    own_id, zone_certificate_id = own.id, of_the_zone.id
    assert code_of(lambda: associate(None)) == 1404
    assert code_of(lambda: associate(None, None)) == 1404, "also to void"
    assert code_of(lambda: associate(zone_certificate_id)) == 1415
    assert (
        code_of(lambda: aop.hostname_certificates.get(zone_certificate_id, zone_id=zone_id)) == 1415
    )
    assert (
        code_of(
            lambda: aop.hostname_certificates.create(
                zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem
            )
        )
        == 1406
    )
    associate(own_id)
    assert code_of(lambda: aop.hostname_certificates.delete(own_id, zone_id=zone_id)) == 1433
    double.control.turn(void_s=0.3)
    associate(own_id, None)
    assert code_of(lambda: aop.hostname_certificates.delete(own_id, zone_id=zone_id)) == 1433, (
        "a void takes its time"
    )
    double.control.turn(void_s=0)
    associate(own_id, None)
    aop.hostname_certificates.delete(own_id, zone_id=zone_id)
    assert code_of(lambda: aop.hostname_certificates.delete(own_id, zone_id=zone_id)) == 1414
    assert code_of(lambda: associate(own_id, None)) == 1415, (
        "even a void, once its certificate is gone"
    )


def test_a_zone_holds_ten_hostname_certificates(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble
) -> None:
    zone_id = double.control.make_zone("ten.example.net")["id"]
    certificates = sdk.origin_tls_client_auth.hostname_certificates
    for number in range(11):
        leaf = AUTHORITY.client(f"h{number}.ten.example.net")
        if number < 10:
            certificates.create(zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem)
            continue
        with pytest.raises(cloudflare.BadRequestError):
            certificates.create(zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem)


@pytest.mark.parametrize(
    "change", [{"type": "partial"}, {"not_offered": ["/origin_tls_client_auth/hostnames*"]}]
)
def test_a_zone_that_does_not_have_a_route_refuses_it(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble, change: dict[str, Any]
) -> None:
    zone_id = double.control.make_zone("gated.example.net")["id"]
    double.control.change_zone(zone_id, **change)
    with pytest.raises(cloudflare.PermissionDeniedError):
        sdk.origin_tls_client_auth.hostname_certificates.list(zone_id=zone_id)
    assert sdk.origin_tls_client_auth.settings.get(zone_id=zone_id) is not None
    double.control.ask("DELETE", f"/zones/{zone_id}")
