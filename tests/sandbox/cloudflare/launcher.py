"""How tests and the sandbox start the double as a process of its own, and talk to its control API.

The process dies with the one that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

import sandbox
from sandbox import waiting
from sandbox.cloudflare.knobs import OriginListener
from sandbox.processes import Child

PERMISSIONS = ("Zone Read", "SSL and Certificates Write", "Zone Settings Read")
"""What the operator's token has: the minimum, and what it takes to check SSL mode and global AOP."""

DEFAULT_LOCATIONS = {"FRA": 0.0, "AMS": 0.0, "IAD": 0.0}


@dataclass(frozen=True, slots=True)
class LocationAddress:
    """Where an edge location listens: `127.0.0.1:port` twice."""

    code: str
    https: str
    http: str


class Control:
    """A client of the control API.

    Every method raises `httpx.HTTPStatusError` for an order that the double refuses.

    `zone` is a zone's name or id. Answers are the JSON of the control API.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def ask(
        self, method: str, path: str, body: Any = None, query: dict[str, str | int] | None = None
    ) -> Any:
        """Any call; the decoded answer, None for an empty one."""
        answer = self._http.request(method, path, json=body, params=query)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {answer.status_code} {answer.text}",
                request=answer.request,
                response=answer,
            )
        return answer.json() if answer.content else None

    def state(self) -> Any:
        """Everything that the double holds."""
        return self.ask("GET", "/state")

    def zone(self, zone: str = "example.com") -> Any:
        """One zone with its certificates (tombstones included) and settings."""
        return self.ask("GET", f"/zones/{zone}")

    def turn(self, **knobs: Any) -> Any:
        """Change knobs of `knobs.Knobs`."""
        return self.ask("PATCH", "/knobs", knobs)

    def turn_location(self, code: str = "*", **knobs: Any) -> Any:
        """Change knobs of `knobs.LocationKnobs` at one location, or at all."""
        return self.ask("PATCH", f"/locations/{code}", knobs)

    def make_zone(self, name: str, **order: Any) -> Any:
        """A further zone; see `orders.ZoneOrder`."""
        return self.ask("POST", "/zones", {"name": name, **order})

    def change_zone(self, zone: str = "example.com", **order: Any) -> Any:
        """As another writer: `ssl`, `global_aop`, `enabled`, `status`, `dns_only`, `origins` ...; see `orders.ZoneOrder`."""
        return self.ask("PATCH", f"/zones/{zone}", order)

    def upload(self, zone: str = "example.com", **order: Any) -> Any:
        """As another writer: somebody else's certificate; see `orders.CertificateOrder`."""
        return self.ask("POST", f"/zones/{zone}/certificates", order)

    def delete(self, certificate_id: str, zone: str = "example.com") -> Any:
        """As another writer: delete a certificate."""
        return self.ask("DELETE", f"/zones/{zone}/certificates/{certificate_id}")

    def associate(self, hostname: str, zone: str = "example.com", **order: Any) -> Any:
        """As another writer: a host's own choice; see `orders.AssociationOrder`."""
        return self.ask("PUT", f"/zones/{zone}/hostnames/{hostname}", order)

    def make_token(self, permissions: Sequence[str] = PERMISSIONS, **order: Any) -> Any:
        """A token, with its `value`; see `orders.TokenOrder`."""
        return self.ask("POST", "/tokens", {"permissions": list(permissions), **order})

    def make_user(self, **order: Any) -> Any:
        """A further user, with a `key`; see `orders.UserOrder`."""
        return self.ask("POST", "/users", order)

    def change_account(self, account_id: str, **order: Any) -> Any:
        """Who may be warned: `paid`, `emails`, `webhooks`; see `orders.AccountOrder`."""
        return self.ask("PATCH", f"/accounts/{account_id}", order)

    def use_up(self, owner: str, left: int) -> None:
        """Other tools of that user or account have left so many calls in this window."""
        self.ask("PUT", f"/owners/{owner}/usage", {"left": left})

    def change_token(self, token_id: str, **order: Any) -> Any:
        """`revoked=True`, `permissions=[...]`, `status="expired"` ...; see `orders.TokenOrder`."""
        return self.ask("PATCH", f"/tokens/{token_id}", order)

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """At the end of the block the knobs are as before it, and no fault is left."""
        knobs = self.ask("GET", "/knobs")
        try:
            yield
        finally:
            self.mend()
            self.turn(**knobs)

    def calls(self, method: str = "*", path: str = "*", since: int = 0) -> Any:
        """Calls that the API received; `method="!GET"` for all but reads, `path` a glob, `since` a call's number."""
        return self.ask("GET", "/calls", query={"method": method, "path": path, "since": since})

    def counters(self) -> Any:
        """What each location has counted, by code."""
        return self.ask("GET", "/counters")

    def presented(self, hostname: str) -> Any:
        """What a new connection to the origin presents for that host, by location: `level`, `sha256`, `sha1`."""
        return self.ask("GET", f"/presented/{hostname}")

    def break_api(self, **rule: Any) -> Any:
        """A fault on API calls; see `faults.ApiFault`."""
        return self.ask("POST", "/faults/api", rule)

    def break_edge(self, **rule: Any) -> Any:
        """A fault at the edge; see `faults.EdgeFault`."""
        return self.ask("POST", "/faults/edge", rule)

    def mend(self, rule_id: str | None = None) -> None:
        """Take away one fault, or all."""
        self.ask("DELETE", f"/faults/{rule_id}" if rule_id else "/faults")

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


class CloudflareDouble:
    """The running double. A context manager; `stop` is enough as well.

    `locations` maps codes to propagation delays in seconds; the first is the one that the
    operator's probes meet.
    """

    def __init__(
        self,
        directory: Path,
        origins: Sequence[OriginListener | tuple[str, int, int]],
        *,
        zones: Sequence[str] = ("example.com",),
        locations: dict[str, float] | None = None,
        origin_ca_file: Path | None = None,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = directory / "cloudflare.log"
        self._log.write_bytes(b"")
        argv = [sys.executable, "-m", "sandbox.cloudflare", "--directory", str(directory)]
        for address, https_port, http_port in (_triple(origin) for origin in origins):
            argv += ["--origin", f"{address}:{https_port}:{http_port}"]
        for code, seconds in (DEFAULT_LOCATIONS if locations is None else locations).items():
            argv += ["--location", f"{code}={seconds:g}"]
        for zone in zones:
            argv += ["--zone", zone]
        if origin_ca_file is not None:
            argv += ["--origin-ca", str(origin_ca_file)]
        path = os.pathsep.join(
            [str(Path(sandbox.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        self.process = Child(argv, log=self._log, env={**os.environ, "PYTHONPATH": path})
        try:
            addresses = waiting.until(
                self._ready_line, within_s=30, describe="the Cloudflare double to be ready"
            )
        except BaseException:
            self.process.kill()
            raise
        self.base_url: str = addresses["base_url"]
        """Of the API, with `/client/v4`."""
        self.edge_ca_file = Path(addresses["edge_ca_file"])
        """Whom visitors of the edge trust."""
        self.origin_pull_ca_file = Path(addresses["origin_pull_ca_file"])
        """The stand-in for Cloudflare's shared origin-pull CA."""
        self.locations = [LocationAddress(**one) for one in addresses["locations"]]
        self.control = Control(addresses["control_url"])
        made = self.control.make_token()
        self.token: str = made["value"]
        """A token with `PERMISSIONS` on all zones."""
        self.token_id: str = made["id"]

    @property
    def control_url(self) -> str:
        """Of the control API."""
        return self.control.url

    def stop(self) -> None:
        """End the process."""
        self.control.close()
        self.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready_line(self) -> dict[str, Any]:
        if not self.process.alive:
            raise RuntimeError(f"the Cloudflare double ended: {self.process.last_words()}")
        for line in self._log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith('{"ready"') and line.endswith("\n"):
                addresses: dict[str, Any] = json.loads(line)
                return addresses
        return {}


def _triple(origin: OriginListener | tuple[str, int, int]) -> tuple[str, int, int]:
    return (
        (origin.address, origin.https_port, origin.http_port)
        if isinstance(origin, OriginListener)
        else origin
    )
