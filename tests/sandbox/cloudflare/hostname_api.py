"""The per-hostname level of the API (facts: cloudflare#per-hostname-level)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from sandbox.cloudflare import answering, errors, wire, zones
from sandbox.cloudflare.answering import SSL_READ, SSL_WRITE, Desk, ok
from sandbox.cloudflare.certificates import KeyPair, Status
from sandbox.cloudflare.state import StoredZone

Route = tuple[
    str, str, frozenset[str], Callable[[StoredZone, web.Request], Awaitable[web.Response]]
]


class HostnameApi:
    """Hostname certificates, which are a store of their own, and which host presents which."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Iterator[Route]:
        """Below a zone's `origin_tls_client_auth`; they go before those with a certificate's id."""
        yield "GET", "/hostnames/certificates", SSL_READ, self._list_certificates
        yield "POST", "/hostnames/certificates", SSL_WRITE, self._upload
        yield "GET", "/hostnames/certificates/{certificate_id}", SSL_READ, self._get_certificate
        yield "DELETE", "/hostnames/certificates/{certificate_id}", SSL_WRITE, self._delete
        yield "GET", "/hostnames", SSL_READ, self._list_associations
        yield "PUT", "/hostnames", SSL_WRITE, self._put_associations
        yield "GET", "/hostnames/{hostname}", SSL_READ, self._get_association

    async def _list_certificates(self, zone: StoredZone, _: web.Request) -> web.Response:
        now = self._desk.clock()
        listed = [
            wire.certificate(one, one.status.at(now))
            for one in zone.hostname_certificates.values()
            if one.exists(now)
        ]
        return ok(listed or (None if self._desk.state.knobs.empty_list_is_null else []))

    async def _upload(self, zone: StoredZone, request: web.Request) -> web.Response:
        certificate_pem, key_pem = answering.texts(
            await answering.body(request), "certificate", "private_key"
        )
        knobs = self._desk.state.knobs
        with self._desk.alone(zone):
            pair = KeyPair.read(certificate_pem, key_pem, mismatch_code=knobs.key_mismatch_code)
            one = zone.upload_for_hosts(pair, self._desk.clock(), knobs)
        return ok(wire.certificate(one, Status.PENDING_DEPLOYMENT))

    async def _get_certificate(self, zone: StoredZone, request: web.Request) -> web.Response:
        one = zone.hostname_certificate(answering.certificate_id(request))
        return ok(wire.certificate(one, one.status.at(self._desk.clock())))

    async def _delete(self, zone: StoredZone, request: web.Request) -> web.Response:
        with self._desk.alone(zone):
            one = zone.delete_for_hosts(
                answering.certificate_id(request), self._desk.clock(), self._desk.state.knobs
            )
        return ok(wire.certificate(one, Status.PENDING_DELETION))

    async def _list_associations(self, zone: StoredZone, request: web.Request) -> web.Response:
        if not self._desk.state.knobs.list_of_hostnames:
            raise errors.not_routable(request.path)
        number, size = zones.paging(request.query, default=50, least=1, most=1000)
        statuses = set(request.query.get("status", "active").split(","))
        # An association is `active` as soon as it is made: this double has no delays of
        # associations but that of a void.
        live = list(zone.associations.values()) if statuses & {"active", "all"} else []
        shown = live[(number - 1) * size : number * size]
        now = self._desk.clock()
        return ok(
            [wire.listed_association(one, now) for one in shown],
            wire.page(len(shown), len(live), number, size),
        )

    async def _put_associations(self, zone: StoredZone, request: web.Request) -> web.Response:
        wanted = (await answering.body(request)).get("config")
        if not isinstance(wanted, list) or not all(
            isinstance(one, dict) and isinstance(one.get("hostname"), str) for one in wanted
        ):
            raise errors.ApiError(400, None, "config must be a list of hostnames")
        now, knobs = self._desk.clock(), self._desk.state.knobs
        if outside := [
            one["hostname"]
            for one in wanted
            if len(one["hostname"]) > 255 or not zone.covers(one["hostname"])
        ]:
            raise errors.ApiError(400, None, f"{outside[0][:60]} is not in this zone")
        made = [
            zone.configure(one["hostname"], one.get("cert_id"), one.get("enabled"), now, knobs)
            for one in wanted
        ]
        return ok(
            [
                wire.association(one, zone.hostname_certificates.get(one.certificate_id), now)
                for one in made
            ]
        )

    async def _get_association(self, zone: StoredZone, request: web.Request) -> web.Response:
        one = zone.associations.get(request.match_info["hostname"])
        if one is None:
            raise errors.association_not_found()
        return ok(
            wire.association(
                one, zone.hostname_certificates.get(one.certificate_id), self._desk.clock()
            )
        )
