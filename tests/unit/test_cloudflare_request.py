"""One request as a value: what tells it from others, what is sent, and what of it nobody may see (promise S4)."""

import json

from pydantic import SecretBytes

from aop.cloudflare import Priority, calls
from aop.cloudflare.request import ApiRequest, Body
from cloudflare_api import CERTIFICATE_ID, TOKEN, ZONE_ID, access

KEY = "-----BEGIN PRIVATE KEY-----pretend"
ZONE = {"zone_id": ZONE_ID}


def upload(certificate: str = "leaf", key: str = KEY, **ids: str) -> ApiRequest:
    body: Body = {"certificate": certificate, "private_key": SecretBytes(key.encode())}
    return ApiRequest(access(), calls.UPLOAD_CERTIFICATE, ZONE | ids, body=body)


def test_what_is_sent_holds_the_secrets_and_nothing_else_shows_them() -> None:
    request = upload()
    assert json.loads(request.content or "") == {"certificate": "leaf", "private_key": KEY}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert set(request.secrets) == {TOKEN, KEY}
    shown = repr((request, request.key, request.named, request.url))
    assert [secret for secret in (TOKEN, KEY) if secret in shown] == []


def test_a_request_without_a_body_sends_none() -> None:
    request = ApiRequest(access(), calls.FETCH_ZONE, ZONE)
    assert request.content is None
    assert "content-type" not in request.headers


def test_a_request_is_another_one_with_another_leaf_zone_page_or_token() -> None:
    request = upload()
    others = [
        upload("another leaf"),
        upload(zone_id="another"),
        request.with_query({"page": "2"}),
        ApiRequest(access(token="another-token"), request.call, request.ids, body=request.body),
        ApiRequest(access(), calls.LIST_CERTIFICATES, request.ids, body=request.body),
    ]
    assert len({each.key for each in (request, *others)}) == len(others) + 1


def test_a_request_is_the_same_at_every_priority() -> None:
    assert {upload().at(priority).key for priority in Priority} == {upload().key}


def test_a_permission_is_for_a_call_and_a_zone_and_not_for_what_is_sent() -> None:
    assert upload("another leaf").named == upload().named
    assert upload(zone_id="another").named != upload().named


def test_an_id_cannot_lead_to_another_path() -> None:
    ids = {"zone_id": "../accounts?", "certificate_id": CERTIFICATE_ID}
    request = ApiRequest(access(), calls.FETCH_CERTIFICATE, ids)
    assert request.url == f"/zones/..%2Faccounts%3F/origin_tls_client_auth/{CERTIFICATE_ID}"
