"""One real Envoy with the script of our ConfigMap, as Envoy Gateway has a listener and its routes run it.

What Envoy Gateway itself makes of the ConfigMap is tried with it: `sandbox.envoy_gateway`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sandbox import envoy
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import PlainServer

V3 = "type.googleapis.com/envoy.extensions"
HCM = f"{V3}.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{V3}.filters.http.router.v3.Router"
LUA, PER_ROUTE = f"{V3}.filters.http.lua.v3.Lua", f"{V3}.filters.http.lua.v3.LuaPerRoute"
TLS = f"{V3}.transport_sockets.tls.v3.DownstreamTlsContext"


@dataclass
class PlainEnvoy(PlainServer):
    """As `PlainServer` says: each host has a virtual host, and so has every other name.

    Hosts in `servers_without` do not run the script, as those of a route with a policy of its own.
    """

    title: ClassVar[str] = "Envoy"

    def running(self) -> list[str | Path]:
        # Without an id of its own every Envoy of the machine would want the same shared memory.
        return [*self._command(), "--use-dynamic-base-id"]

    def testing(self) -> list[str | Path]:
        return [*self._command(), "--mode", "validate"]

    def environment(self) -> Mapping[str, str]:
        return dict(os.environ)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "server.crt").exists():
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")
        listeners = [
            self._listener("https", self.https_port, tls=True),
            self._listener("http", self.http_port, tls=False),
        ]
        conf = {"static_resources": {"listeners": listeners}}
        (self.folder / "envoy.json").write_text(json.dumps(conf))

    def _command(self) -> list[str | Path]:
        conf = self.folder / "envoy.json"
        return [envoy.find(), "-c", conf, "--concurrency", "1", "--log-level", "error"]

    def _listener(self, name: str, port: int, *, tls: bool) -> dict[str, Any]:
        chain: dict[str, Any] = {"filters": [_typed("http", HCM, **self._http())]}
        if tls:
            pair = {
                "certificate_chain": {"filename": str(self.folder / "server.crt")},
                "private_key": {"filename": str(self.folder / "server.key")},
            }
            common = {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [pair],
                "validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED"},
            }
            # Both as Envoy Gateway says it where nobody has asked for anything else.
            context = {
                "common_tls_context": common,
                "disable_stateless_session_resumption": True,
                "disable_stateful_session_resumption": True,
            }
            chain["transport_socket"] = _typed("tls", TLS, **context)
        address = {"socket_address": {"address": self.address, "port_value": port}}
        return {"name": name, "address": address, "filter_chains": [chain]}

    def _http(self) -> dict[str, Any]:
        script = self.files.get("lua") or next(iter(self.files.values()), "")
        source = {"default_source_code": {"inline_string": script}} if script else {}
        names = dict.fromkeys((*self.hosts, *self.servers_without))
        hosts = [self._virtual_host(name, name) for name in names]
        return {
            "stat_prefix": "http",
            "normalize_path": True,
            "route_config": {"virtual_hosts": [*hosts, self._virtual_host("all", "*")]},
            "http_filters": [_typed("lua", LUA, **source), _typed("router", ROUTER)],
        }

    def _virtual_host(self, name: str, domain: str) -> dict[str, Any]:
        answer = {"status": 200, "body": {"inline_string": "app"}}
        route: dict[str, Any] = {"match": {"prefix": "/"}, "direct_response": answer}
        if name in self.servers_without:
            off = {"@type": PER_ROUTE, "disabled": True}
            route["typed_per_filter_config"] = {"lua": off}
        return {"name": name, "domains": [domain], "routes": [route]}


def _typed(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": kind, **config}}
