"""One real Envoy with the script of our ConfigMap, as Envoy Gateway has a listener and its routes run it.

What Envoy Gateway itself makes of the ConfigMap is tried with it: `sandbox.envoy_gateway`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from sandbox import envoy
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import SITE_PATH, PlainServer
from sandbox.ports import free_port

V3 = "type.googleapis.com/envoy.extensions"
HCM = f"{V3}.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{V3}.filters.http.router.v3.Router"
LUA, PER_ROUTE = f"{V3}.filters.http.lua.v3.Lua", f"{V3}.filters.http.lua.v3.LuaPerRoute"
TLS = f"{V3}.transport_sockets.tls.v3.DownstreamTlsContext"
QUIC, QUIC_SOCKET = f"{V3}.transport_sockets.quic.v3", "envoy.transport_sockets.quic"
OPTIONS = f"{V3}.upstreams.http.v3.HttpProtocolOptions"


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
        routes = [
            _answering({"path": SITE_PATH}, f"site={name}"),
            _answering({"prefix": "/"}, "app"),
        ]
        if name in self.servers_without:
            for route in routes:
                route["typed_per_filter_config"] = {"lua": {"@type": PER_ROUTE, "disabled": True}}
        return {"name": name, "domains": [domain], "routes": routes}


@dataclass
class Http3Envoy(PlainEnvoy):
    """One that takes HTTP/3, too, as Envoy Gateway has it; and a client of that, on a port in plaintext, which presents `leaf`."""

    leaf: Path | None = None
    """A certificate with its key."""
    client_port: int = field(default_factory=free_port)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = ClusterAuthority("origin")
        authority.serve([*self.hosts]).write(self.folder, "server")
        (self.folder / "ca.crt").write_bytes(authority.pem)
        super().write()
        conf = json.loads((self.folder / "envoy.json").read_text())
        listeners = conf["static_resources"]["listeners"]
        listeners += [self._over_quic(deepcopy(listeners[0])), self._client()]
        conf["static_resources"]["clusters"] = [self._upstream()]
        (self.folder / "envoy.json").write_text(json.dumps(conf))

    def ports(self) -> tuple[int, ...]:
        return (*super().ports(), self.client_port)

    def _over_quic(self, listener: dict[str, Any]) -> dict[str, Any]:
        (chain,) = listener["filter_chains"]
        http = chain["filters"][0]["typed_config"]
        http |= {"codec_type": "HTTP3", "http3_protocol_options": {}}
        context = chain["transport_socket"]["typed_config"]
        del context["@type"]
        context["common_tls_context"]["alpn_protocols"] = ["h3"]
        context["require_client_certificate"] = False
        chain["transport_socket"] = _typed(
            QUIC_SOCKET, f"{QUIC}.QuicDownstreamTransport", downstream_tls_context=context
        )
        listener["address"]["socket_address"]["protocol"] = "UDP"
        return listener | {
            "name": "quic",
            "udp_listener_config": {"quic_options": {}, "downstream_socket_config": {}},
        }

    def _client(self) -> dict[str, Any]:
        route = {"match": {"prefix": "/"}, "route": {"cluster": "h3"}}
        hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
        http = _typed(
            "http",
            HCM,
            stat_prefix="client",
            route_config={"virtual_hosts": hosts},
            http_filters=[_typed("router", ROUTER)],
        )
        address = {"address": self.address, "port_value": self.client_port}
        return {
            "name": "client",
            "address": {"socket_address": address},
            "filter_chains": [{"filters": [http]}],
        }

    def _upstream(self) -> dict[str, Any]:
        common: dict[str, Any] = {
            "validation_context": {"trusted_ca": {"filename": str(self.folder / "ca.crt")}}
        }
        if self.leaf is not None:
            pair = {"filename": str(self.leaf)}
            common["tls_certificates"] = [{"certificate_chain": pair, "private_key": pair}]
        context = {"sni": self.hosts[0], "common_tls_context": common}
        address = {"address": self.address, "port_value": self.https_port}
        endpoint = {"endpoint": {"address": {"socket_address": address}}}
        options = {"@type": OPTIONS, "explicit_http_config": {"http3_protocol_options": {}}}
        return {
            "name": "h3",
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": "h3", "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {OPTIONS.partition("/")[2]: options},
            "transport_socket": _typed(
                QUIC_SOCKET, f"{QUIC}.QuicUpstreamTransport", upstream_tls_context=context
            ),
        }


@dataclass
class Http3Client(Http3Envoy):
    """Only the client, in the network of another process, whose server listens there on `https_port`."""

    title: ClassVar[str] = "a client of HTTP/3"
    beside: int = 0
    """That process."""
    ca_file: Path = Path()

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ca.crt").write_bytes(self.ca_file.read_bytes())
        conf = {"static_resources": {"listeners": [self._client()], "clusters": [self._upstream()]}}
        (self.folder / "envoy.json").write_text(json.dumps(conf))

    def running(self) -> list[str | Path]:
        return [*self._there(), *super().running()]

    def status(self, host: str) -> int:
        """What is answered to a request over HTTP/3; 503: nobody answers."""
        words = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}")
        address = f"http://{self.address}:{self.client_port}/"
        done = subprocess.run(
            [*self._there(), *words, address],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return int(done.stdout or 0)

    def _there(self) -> list[str | Path]:
        return [shutil.which("nsenter") or "nsenter", f"--net=/proc/{self.beside}/ns/net"]

    def _listens(self) -> bool:
        assert self._child.alive, self._child.last_words()
        return self.status("any.invalid") != 0


def _answering(match: dict[str, str], text: str) -> dict[str, Any]:
    answer = {"status": 200, "body": {"inline_string": text}}
    return {"match": match, "direct_response": answer}


def _typed(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": kind, **config}}
