"""The double put together: one event loop that serves the API, the control API and every edge location."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.cloudflare.api import CloudflareApi
from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.calls import Calls
from sandbox.cloudflare.control import ControlRoutes
from sandbox.cloudflare.edge import Edge
from sandbox.cloudflare.faults import ApiFault, EdgeFault, Faults
from sandbox.cloudflare.gate import BASE
from sandbox.cloudflare.knobs import LocationKnobs, OriginListener
from sandbox.cloudflare.location import Location
from sandbox.cloudflare.names import Names
from sandbox.cloudflare.orders import ZoneOrder
from sandbox.cloudflare.state import State
from sandbox.cloudflare.throttle import Throttle
from sandbox.cloudflare.writer import Writer

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What to start with. `directory` is for certificates, and is readable by us only."""

    directory: Path
    zones: Sequence[str] = ("example.com",)
    origins: Sequence[OriginListener] = ()
    locations: Mapping[str, LocationKnobs] = field(default_factory=dict)
    origin_ca_file: Path | None = None


class UnixClock:
    """Unix seconds that never go back, whatever happens to the machine's wall clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() + self._offset


class DoubleServer:
    """Everything, in the running event loop."""

    def __init__(self, plan: ServerPlan) -> None:
        self._directory = plan.directory
        clock, calls, api_faults, edge_faults = (
            UnixClock(),
            Calls(),
            Faults[ApiFault](),
            Faults[EdgeFault](),
        )
        pull_ca = Authority.new("origin-pull.example.net")
        shared, foreign = (
            pull_ca.client("origin-pull.example.net"),
            Authority.new("A foreign CA").client("foreign.example.net"),
        )
        self.state = State(shared, foreign)
        self._authority = Authority.new("Edge CA of the Cloudflare double")
        locations = {
            code: Location(code, knobs, self.state, clock, plan.origin_ca_file)
            for code, knobs in plan.locations.items()
        }
        names = Names(
            self._authority, lambda host: self.state.zone_of(host) is not None, plan.directory
        )
        self._edge = Edge(self.state, locations, edge_faults, names.context())
        throttle, writer = Throttle(), Writer(self.state, clock)
        self._api = CloudflareApi(
            self.state, clock, api_faults, calls, throttle, lambda: pull_ca.pem
        )
        self._control = ControlRoutes(
            self.state, locations, clock, calls, api_faults, edge_faults, throttle, writer
        )
        self._runners: list[web.AppRunner] = []
        self.origin_pull_ca_file = plan.directory / "origin-pull-ca.pem"
        self.origin_pull_ca_file.write_text(pull_ca.pem)
        for name in plan.zones:
            writer.make_zone(ZoneOrder(name=name, origins=list(plan.origins)))

    async def start(self) -> dict[str, Any]:
        """Listen on free ports of loopback; where, and where the edge's CA lies."""
        edge_ca_file = self._directory / "edge-ca.pem"
        edge_ca_file.write_text(self._authority.pem)
        await self._edge.start(ADDRESS)
        return {
            "base_url": await self._listen(self._api.app()) + BASE,
            "control_url": await self._listen(self._control.app()),
            "edge_ca_file": str(edge_ca_file),
            "origin_pull_ca_file": str(self.origin_pull_ca_file),
            "locations": [
                {
                    "code": one.code,
                    "https": f"{ADDRESS}:{one.https_port}",
                    "http": f"{ADDRESS}:{one.http_port}",
                }
                for one in self._edge.locations.values()
            ],
        }

    async def stop(self) -> None:
        """Stop listening; connections to origins are closed."""
        await self._edge.stop()
        for runner in self._runners:
            await runner.cleanup()

    async def _listen(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, ADDRESS, 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return f"http://{ADDRESS}:{port}"
