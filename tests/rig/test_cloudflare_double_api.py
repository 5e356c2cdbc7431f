"""The double's API speaks as Cloudflare does: its own SDK works against it, and every answer is one that its OpenAPI description allows."""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import cloudflare
import httpx
import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.contract import Contract
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.waiting import until

CONTRACT = Contract()
AUTHORITY = Authority.new("example.com")
AOP_READ_PATHS = [
    "",
    "/settings",
    "/hostnames",
    "/hostnames/www.example.com",
    "/hostnames/certificates",
]


@pytest.fixture(autouse=True)
def _as_before(double: CloudflareDouble) -> Iterator[None]:
    with double.control.restored():
        yield


@pytest.fixture
def zone_id(double: CloudflareDouble, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty zone of its own for every test."""
    made = double.control.make_zone(f"t{abs(hash(request.node.name)) % 10**9}.example.org")
    yield made["id"]
    double.control.ask("DELETE", f"/zones/{made['id']}")


@pytest.fixture
def api(double: CloudflareDouble) -> Iterator[httpx.Client]:
    with client_of(double, double.token) as made:
        yield made


@pytest.fixture
def sdk(double: CloudflareDouble) -> Iterator[cloudflare.Cloudflare]:
    """Cloudflare's own SDK. What it receives is checked against the description."""

    def check(response: httpx.Response) -> None:
        response.read()
        CONTRACT.check(
            response.request.method,
            response.request.url.path,
            response.status_code,
            response.json(),
        )

    with (
        httpx.Client(event_hooks={"response": [check]}, trust_env=False) as transport,
        cloudflare.Cloudflare(
            api_token=double.token, base_url=double.base_url, max_retries=0, http_client=transport
        ) as made,
    ):
        yield made


def client_of(double: CloudflareDouble, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=double.base_url,
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=20,
    )


def aop(zone_id: str, rest: str = "") -> str:
    return f"/zones/{zone_id}/origin_tls_client_auth{rest}"


def pem(common_name: str = "www.example.com") -> dict[str, str]:
    leaf = AUTHORITY.client(common_name)
    return {"certificate": leaf.pem, "private_key": leaf.key_pem}


def first_error(answer: httpx.Response) -> tuple[int, int]:
    CONTRACT.check(
        answer.request.method, answer.request.url.path, answer.status_code, answer.json()
    )
    return answer.status_code, answer.json()["errors"][0]["code"]


def holds(double: CloudflareDouble, zone_id: str, certificates: int) -> bool:
    return len(double.control.zone(zone_id)["certificates"]) == certificates


def test_the_sdk_takes_a_certificate_through_its_life(
    sdk: cloudflare.Cloudflare, zone_id: str
) -> None:
    certificates = sdk.origin_tls_client_auth.zone_certificates
    assert certificates.list(zone_id=zone_id).result is None
    leaf = AUTHORITY.client("www.example.com")
    made = certificates.create(zone_id=zone_id, certificate=leaf.pem, private_key=leaf.key_pem)
    assert made is not None
    assert made.status == "pending_deployment"
    assert made.id is not None
    certificate = certificates.get(made.id, zone_id=zone_id)
    assert certificate is not None
    assert certificate.status == "active"
    assert [one.id for one in certificates.list(zone_id=zone_id)] == [made.id]
    gone = certificates.delete(made.id, zone_id=zone_id)
    assert gone is not None
    assert gone.status == "pending_deletion"
    tombstone = certificates.get(made.id, zone_id=zone_id)
    assert tombstone is not None
    assert tombstone.status == "deleted"
    assert certificates.list(zone_id=zone_id).result is None


def test_the_sdk_reads_and_changes_settings(sdk: cloudflare.Cloudflare, zone_id: str) -> None:
    enablement = sdk.origin_tls_client_auth.settings
    before = enablement.get(zone_id=zone_id)
    after = enablement.update(zone_id=zone_id, enabled=True)
    assert before is not None
    assert after is not None
    assert (before.enabled, after.enabled) == (False, True)
    for name in ("ssl", "tls_client_auth"):
        assert sdk.zones.settings.get(name, zone_id=zone_id) is not None


def test_the_sdk_finds_zones_and_verifies_its_token(sdk: cloudflare.Cloudflare) -> None:
    zones = list(sdk.zones.list(name="example.com"))
    assert [zone.name for zone in zones] == ["example.com"]
    zone = sdk.zones.get(zone_id=zones[0].id)
    assert zone is not None
    assert (zone.status, zone.account.id) == ("active", zones[0].account.id)
    verified = sdk.user.tokens.verify()
    assert verified is not None
    assert verified.status == "active"
    assert list(sdk.zones.list(name="www.example.com")) == []


def test_the_sdk_reads_the_hostname_level(
    sdk: cloudflare.Cloudflare, double: CloudflareDouble, zone_id: str
) -> None:
    double.control.associate(
        "own.example.org", zone_id, enabled=True, issue={"common_name": "own.example.org"}
    )
    double.control.associate("off.example.org", zone_id, enabled=False)
    double.control.associate("void.example.org", zone_id, enabled=None)
    hostnames = sdk.origin_tls_client_auth.hostnames
    associations = {
        name: hostnames.get(f"{name}.example.org", zone_id=zone_id)
        for name in ("own", "off", "void")
    }
    assert {name: one.enabled for name, one in associations.items() if one} == {
        "own": True,
        "off": False,
        "void": None,
    }
    own = associations["own"]
    assert own is not None
    assert own.cert_id is not None
    certificates = sdk.origin_tls_client_auth.hostname_certificates
    assert [one.id for one in certificates.list(zone_id=zone_id)] == [own.cert_id]
    assert certificates.get(own.cert_id, zone_id=zone_id) is not None
    with pytest.raises(cloudflare.NotFoundError) as never:
        hostnames.get("never.example.org", zone_id=zone_id)
    assert [error.code for error in never.value.errors] == [1553]


def test_the_list_of_associations_has_pages(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    for number in range(3):
        double.control.associate(f"h{number}.example.org", zone_id, enabled=False)
    answer = api.get(aop(zone_id, "/hostnames"), params={"per_page": 2, "page": 2})
    CONTRACT.check("GET", answer.request.url.path, 200, answer.json())
    assert [one["hostname"] for one in answer.json()["result"]] == ["h2.example.org"]
    assert answer.json()["result_info"]["total_pages"] == 2
    assert api.get(aop(zone_id, "/hostnames"), params={"status": "deleted"}).json()["result"] == []
    double.control.turn(list_of_hostnames=False)
    assert first_error(api.get(aop(zone_id, "/hostnames"))) == (404, 7003)


def test_a_certificate_looks_as_captured(api: httpx.Client, zone_id: str) -> None:
    posted = api.post(aop(zone_id), json=pem()).json()["result"]
    listed = api.get(aop(zone_id, f"/{posted['id']}")).json()["result"]
    assert set(posted) - set(listed) == {"updated_at"}
    assert not {"private_key", "enabled"} & set(posted)
    assert posted["serial_number"].isdecimal()
    assert posted["signature"] == "ECDSA-SHA256"
    assert posted["issuer"] == "CN=example.com"
    assert len(posted["id"]) == 36


def test_refusals_of_certificates_have_their_codes(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    leaf = pem()
    double.control.turn(deploy_s=60)
    made = api.post(aop(zone_id), json=leaf).json()["result"]["id"]
    own = double.control.associate("own.example.org", zone_id, enabled=True, issue={})[
        "certificate_id"
    ]
    unknown = "00000000-0000-0000-0000-000000000000"
    assert {
        "twice": first_error(api.post(aop(zone_id), json=leaf)),
        "no PEM": first_error(api.post(aop(zone_id), json={**leaf, "certificate": "x"})),
        "no key": first_error(api.post(aop(zone_id), json={"certificate": leaf["certificate"]})),
        "no JSON": first_error(api.post(aop(zone_id), content=b"{")),
        "a CA": first_error(
            api.post(
                aop(zone_id),
                json={"certificate": AUTHORITY.pem, "private_key": AUTHORITY.pair.key_pem},
            )
        ),
        "too early": first_error(api.delete(aop(zone_id, f"/{made}"))),
        "unknown": first_error(api.get(aop(zone_id, f"/{unknown}"))),
        "other store": first_error(api.get(aop(zone_id, f"/{own}"))),
        "no id": first_error(api.get(aop(zone_id, "/x"))),
    } == {
        "twice": (400, 1406),
        "no PEM": (400, 1408),
        "no key": (400, 1408),
        "no JSON": (400, 6007),
        "a CA": (400, 1000),
        "too early": (400, 1434),
        "unknown": (404, 1552),
        "other store": (400, 1415),
        "no id": (400, 7003),
    }


def test_settings_take_only_what_they_can_be(double: CloudflareDouble, zone_id: str) -> None:
    token = double.control.make_token(["Zone Settings Write", "SSL and Certificates Write"])
    with client_of(double, token["value"]) as api:
        for mode in ("off", "flexible", "full", "strict", "origin_pull"):
            answer = api.patch(f"/zones/{zone_id}/settings/ssl", json={"value": mode})
            CONTRACT.check("PATCH", answer.request.url.path, 200, answer.json())
            assert answer.json()["result"]["value"] == mode
        assert api.patch(f"/zones/{zone_id}/settings/tls_client_auth", json={"value": "on"}).json()[
            "result"
        ]["modified_on"]
        assert api.patch(f"/zones/{zone_id}/settings/ssl", json={"value": "on"}).status_code == 400
        assert api.get(f"/zones/{zone_id}/settings/minify").status_code == 404
        assert api.put(aop(zone_id, "/settings"), json={"enabled": "yes"}).status_code == 400
        assert api.delete(aop(zone_id, "/settings")).status_code in {400, 405}


def test_a_second_mutation_meets_409_while_one_is_in_flight_and_another_zone_does_not(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    double.control.turn(mutation_s=0.5)
    other = double.control.make_zone("other.example.net")["id"]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(lambda zone: api.post(aop(zone), json=pem()), [zone_id, zone_id, other])
        )
    assert sorted(answer.status_code for answer in answers[:2]) == [200, 409]
    assert answers[2].status_code == 200
    assert api.post(aop(zone_id), json=pem()).status_code == 200


def test_whether_settings_take_part_in_409_is_a_knob(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    double.control.turn(mutation_s=0.5)
    statuses: list[int] = []
    for takes_part in (False, True):
        double.control.turn(serialise_settings=takes_part)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            uploading = pool.submit(api.post, aop(zone_id), json=pem())
            until(
                partial(holds, double, zone_id, len(statuses) + 1),
                within_s=5,
                describe="the upload to be in flight",
            )
            statuses.append(api.put(aop(zone_id, "/settings"), json={"enabled": True}).status_code)
            assert uploading.result().status_code == 200
    assert statuses == [200, 409]


def test_a_new_certificate_stays_out_of_a_list_that_lags(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    double.control.turn(list_lag_s=0.6)
    made = api.post(aop(zone_id), json=pem()).json()["result"]["id"]
    assert api.get(aop(zone_id)).json()["result"] is None
    assert api.get(aop(zone_id, f"/{made}")).json()["result"]["status"] == "active"
    until(
        lambda: api.get(aop(zone_id)).json()["result"],
        within_s=5,
        describe="the list to show the certificate",
    )


def test_the_order_of_the_list_means_nothing(api: httpx.Client, zone_id: str) -> None:
    for _ in range(3):
        api.post(aop(zone_id), json=pem())
    orders = [tuple(one["id"] for one in api.get(aop(zone_id)).json()["result"]) for _ in range(40)]
    assert any(one != other for one, other in pairwise(orders))


def test_every_read_is_allowed_to_exactly_the_groups_that_the_description_names(
    double: CloudflareDouble, zone_id: str
) -> None:
    groups = [
        "Zone Read",
        "Zone Settings Read",
        "Zone Settings Write",
        "SSL and Certificates Read",
        "SSL and Certificates Write",
    ]
    clients = {
        group: client_of(double, double.control.make_token([group])["value"]) for group in groups
    }
    paths = [
        f"/zones/{zone_id}/settings/ssl",
        *(aop(zone_id, rest) for rest in AOP_READ_PATHS),
        "/zones",
    ]
    for path in paths:
        described = CONTRACT.operation("GET", path)
        assert described
        named = {group.replace("Zone Zone", "Zone") for group in described[1]["x-api-token-group"]}
        for group, api in clients.items():
            answer = api.get(path)
            allowed = answer.status_code != 403
            assert allowed is (group in named), f"{group} on {path}: {answer.text}"
            if not allowed:
                code = {"/zones": 0}.get(path, 9109 if path.endswith("/settings/ssl") else 10000)
                assert first_error(answer) == (403, code)
    for api in clients.values():
        api.close()


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("POST", "", pem()),
        ("PUT", "/settings", {"enabled": True}),
        ("DELETE", "/00000000-0000-0000-0000-000000000000", None),
    ],
)
def test_reading_does_not_allow_writing(
    double: CloudflareDouble, zone_id: str, method: str, rest: str, body: Any
) -> None:
    with client_of(
        double, double.control.make_token(["SSL and Certificates Read"])["value"]
    ) as api:
        assert first_error(api.request(method, aop(zone_id, rest), json=body)) == (403, 10000)
    double.control.turn(missing_permission_status=400)
    with client_of(
        double, double.control.make_token(["SSL and Certificates Read"])["value"]
    ) as api:
        assert first_error(api.request(method, aop(zone_id, rest), json=body)) == (400, 10000)


def test_a_token_reaches_only_its_zones(double: CloudflareDouble, zone_id: str) -> None:
    with client_of(double, double.control.make_token(zones=[zone_id])["value"]) as api:
        assert [zone["id"] for zone in api.get("/zones").json()["result"]] == [zone_id]
        assert api.get(aop(zone_id)).status_code == 200
        other = double.control.zone("example.com")["id"]
        assert first_error(api.get(aop(other))) == (403, 10000)
        assert first_error(api.get(aop("0" * 32))) == (403, 9109)
        assert first_error(api.get(aop("xyz"))) == (400, 7003)


def test_two_zones_of_one_name_in_two_accounts_are_both_found(
    api: httpx.Client, double: CloudflareDouble
) -> None:
    made = [
        double.control.make_zone("twice.example.net", account_id=letter * 32) for letter in "ab"
    ]
    zones = api.get("/zones", params={"name": "twice.example.net"}).json()["result"]
    assert {zone["account"]["id"] for zone in zones} == {"a" * 32, "b" * 32}
    one = api.get("/zones", params={"name": "twice.example.net", "account.id": "a" * 32}).json()[
        "result"
    ]
    assert [zone["id"] for zone in one] == [made[0]["id"]]


def test_tokens_can_be_wrong_revoked_restored_disabled_and_fresh(
    double: CloudflareDouble, zone_id: str
) -> None:
    made = double.control.make_token()
    with client_of(double, made["value"]) as api:
        assert api.get(aop(zone_id)).status_code == 200
        double.control.change_token(made["id"], revoked=True)
        assert first_error(api.get("/user/tokens/verify")) == (401, 1000)
        assert first_error(api.get("/zones")) == (403, 9109)
        assert first_error(api.get(aop(zone_id))) == (403, 10000)
        double.control.change_token(made["id"], revoked=False, status="disabled")
        assert api.get("/user/tokens/verify").json()["result"]["status"] == "disabled"
        assert api.get(aop(zone_id)).status_code == 403
        double.control.change_token(made["id"], status="active", fresh_for_s=60)
        assert {api.get(aop(zone_id)).status_code for _ in range(40)} == {200, 403}
        double.control.change_token(made["id"], fresh_for_s=0)
        assert api.get(aop(zone_id)).status_code == 200
        assert first_error(api.get("/zones", headers={"authorization": "Bearer too-short"})) == (
            400,
            6003,
        )
    with httpx.Client(base_url=double.base_url, trust_env=False) as nobody:
        assert first_error(nobody.get("/zones")) == (400, 9106)


def test_every_answer_has_a_ray_and_every_call_is_recorded_without_secrets(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    since = double.control.calls()[-1]["number"] if double.control.calls() else 0
    answers = [
        api.get("/zones", params={"name": "example.com"}),
        api.post(aop(zone_id), json=pem()),
        api.get("/nowhere"),
    ]
    rays = [answer.headers["cf-ray"] for answer in answers]
    calls = double.control.calls(since=since)
    assert [call["ray"] for call in calls] == rays
    assert [(call["method"], call["status"], call["code"]) for call in calls] == [
        ("GET", 200, None),
        ("POST", 200, None),
        ("GET", 404, 7003),
    ]
    assert [call["zone"] for call in calls] == [None, zone_id, None]
    assert calls[0]["query"] == "name=example.com"
    assert {call["token"] for call in calls} == {double.token_id}
    assert double.token not in repr(calls)
    assert [
        call["number"] for call in double.control.calls("!GET", f"/zones/{zone_id}/*", since=since)
    ] == [calls[1]["number"]]


def test_chosen_calls_can_be_refused_delayed_or_lost_after_their_effect(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    control = double.control
    control.break_api(
        method="GET", path="/zones", status=429, headers={"retry-after": "300"}, body="{}", count=1
    )
    control.break_api(
        path="*/settings/ssl",
        status=502,
        headers={"content-type": "text/html"},
        body="<html>Bad gateway</html>",
        count=1,
    )
    control.break_api(method="PUT", path="*/settings", when="after", drop=True, count=1)
    limited, html = api.get("/zones"), api.get(f"/zones/{zone_id}/settings/ssl")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "300")
    assert (html.status_code, html.headers["content-type"], "cf-ray" in html.headers) == (
        502,
        "text/html",
        True,
    )
    with pytest.raises(httpx.RemoteProtocolError):
        api.put(aop(zone_id, "/settings"), json={"enabled": True})
    assert api.get(aop(zone_id, "/settings")).json()["result"] == {"enabled": True}
    assert api.get("/zones").status_code == 200
    slow = control.break_api(path="/zones", delay_s=0.3)
    assert api.get("/zones").elapsed.total_seconds() >= 0.3
    control.mend(slow["id"])
    assert control.ask("GET", "/faults") == {"api": [], "edge": []}


def test_another_writer_changes_what_the_api_says(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    double.control.change_zone(
        zone_id, enabled=True, ssl="flexible", global_aop="on", status="moved"
    )
    foreign = double.control.upload(zone_id)
    assert api.get(aop(zone_id, "/settings")).json()["result"] == {"enabled": True}
    assert api.get(f"/zones/{zone_id}/settings/ssl").json()["result"]["value"] == "flexible"
    assert api.get(f"/zones/{zone_id}/settings/tls_client_auth").json()["result"]["value"] == "on"
    assert api.get(f"/zones/{zone_id}").json()["result"]["status"] == "moved"
    assert [(one["id"], one["status"]) for one in api.get(aop(zone_id)).json()["result"]] == [
        (foreign["id"], "active")
    ]
    double.control.delete(foreign["id"], zone_id)
    assert api.get(aop(zone_id)).json()["result"] is None


def test_calls_are_counted_per_user_over_all_tokens_and_one_too_many_blocks_them_all(
    double: CloudflareDouble, zone_id: str
) -> None:
    control = double.control
    control.turn(rate_calls=10, rate_block_s=60)
    user = control.make_user()["id"]
    tokens = [control.make_token(user=user)["value"] for _ in range(2)]
    of_the_account = control.make_token(kind="account")["value"]
    answers = []
    for number in range(12):
        with client_of(double, tokens[number % 2]) as api:
            answers.append(api.get(aop(zone_id)))
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"default";q=10;w=300'
    assert re.fullmatch(r'"default";r=9;t=(299|300)', answers[0].headers["ratelimit"])
    assert first_error(answers[-1]) == (429, 10100)
    assert 55 <= int(answers[-1].headers["retry-after"]) <= 60
    with client_of(double, of_the_account) as api:
        assert api.get(aop(zone_id)).status_code == 200


def test_every_answer_sets_the_cookie_of_the_edge(
    api: httpx.Client, double: CloudflareDouble, zone_id: str
) -> None:
    for _ in range(2):
        assert api.get(aop(zone_id)).headers["set-cookie"].startswith("__cf_bm=")
    calls = double.control.calls(path=f"/zones/{zone_id}/*")
    assert [call["cookie"] for call in calls] == [False, True], "a client with a jar sends it back"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/knobs", {"deploy": 1}),
        ("PATCH", "/zones/nowhere", {}),
        ("PATCH", "/locations/XXX", {}),
        ("POST", "/zones", {}),
    ],
)
def test_an_order_that_the_control_api_does_not_understand_is_an_error(
    double: CloudflareDouble, method: str, path: str, body: Any
) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        double.control.ask(method, path, body)
    assert 400 <= refused.value.response.status_code < 500
