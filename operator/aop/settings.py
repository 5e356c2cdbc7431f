"""Everything about the operator that its environment decides.

`AOP_*` variables, read once and passed in. An empty variable counts as not set. Each field's
description is its documentation; units are in its name (`_s`: seconds).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "AOP_"
_HOST = r"(?P<{0}>\[[0-9A-Fa-f:.]*\]|[^:\[\]\s]*)"
_CONNECT_TO = re.compile(
    rf"{_HOST.format('host')}:(?P<port>\d*):{_HOST.format('to_host')}:(?P<to_port>\d*)"
)
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAMESPACE = re.compile(_LABEL)
_CONFIG_MAP = re.compile(rf"{_LABEL}/{_SUBDOMAIN}")


class SettingsError(ValueError):
    """The environment contains something that cannot be used.

    The message names each variable and what is wrong with it.
    """


class ConnectTo(NamedTuple):
    """One redirection in the syntax of curl's --connect-to.

    None in the first half matches anything, in the second it keeps what is asked for.
    """

    host: str | None
    port: int | None
    to_host: str | None
    to_port: int | None

    @classmethod
    def parse(cls, text: str) -> ConnectTo:
        """Read HOST1:PORT1:HOST2:PORT2, each part possibly empty, IPv6 addresses in brackets.

        Raises ValueError.
        """
        match = _CONNECT_TO.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is not HOST1:PORT1:HOST2:PORT2 (parts may be empty, IPv6 addresses stand in brackets)"
            )
        host, port, to_host, to_port = match.group("host", "port", "to_host", "to_port")
        return cls(_host(host), _port(port), _host(to_host), _port(to_port))

    def matches(self, host: str, port: int) -> bool:
        """True if a connection to `host` and `port` has to be redirected."""
        return (self.host is None or self.host.casefold() == host.casefold()) and self.port in {
            None,
            port,
        }


def redirected(redirections: Sequence[ConnectTo], host: str, port: int) -> tuple[str, int]:
    """Where to connect to for a request to `host` and `port`.

    The first redirection that matches counts. SNI and Host stay as they are.
    """
    for one in redirections:
        if one.matches(host, port):
            return one.to_host or host, one.to_port or port
    return host, port


def _host(text: str) -> str | None:
    return text.strip("[]") or None


def _port(text: str) -> int | None:
    if not text:
        return None
    if not 0 < int(text) < 65536:
        raise ValueError(f"{text} is not a port (1 to 65535)")
    return int(text)


def _words(value: Any) -> Any:
    """Words separated by commas; anything but text stays as it is."""
    return (
        tuple(word for part in value.split(",") if (word := part.strip()))
        if isinstance(value, str)
        else value
    )


def _connect_to(value: Any) -> Any:
    words = _words(value)
    if not isinstance(words, tuple):
        return words
    return tuple(ConnectTo.parse(word) if isinstance(word, str) else word for word in words)


def _namespaces(value: Any) -> Any:
    return _matching(value, _NAMESPACE, "the name of a namespace")


def _config_maps(value: Any) -> Any:
    return _matching(value, _CONFIG_MAP, "NAMESPACE/NAME")


def _matching(value: Any, pattern: re.Pattern[str], what: str) -> Any:
    words = _words(value)
    for word in words if isinstance(words, tuple) else ():
        if not isinstance(word, str) or not pattern.fullmatch(word):
            raise ValueError(f"{word!r} is not {what}; several are separated by commas")
    return words


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The operator's settings; frozen. Build with `load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        validate_default=True,
    )

    cloudflare_base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")] = Field(
        "https://api.cloudflare.com/client/v4",
        description="Where the operator reaches Cloudflare's API: an http or https URL.",
    )
    edge_connect_to: Annotated[tuple[ConnectTo, ...], NoDecode, BeforeValidator(_connect_to)] = (
        Field(
            (),
            description="Where the operator sends its requests through the edge, instead of where DNS says: HOST1:PORT1:HOST2:PORT2 as in curl's --connect-to, "
            "several separated by commas. An empty HOST1 or PORT1 matches any, an empty HOST2 or PORT2 keeps the requested one. The first match counts.",
        )
    )
    edge_ca_file: FilePath | None = Field(
        None,
        description="PEM bundle by which the operator checks the edge's server certificate, instead of the system's bundle.",
    )
    kubeconfig: FilePath | None = Field(
        None,
        description="Kubeconfig file. Not set: the operator uses the pod's service account, else the user's own kubeconfig.",
    )
    namespace: Annotated[str, Field(pattern=rf"^({_NAMESPACE.pattern})?$")] = Field(
        "",
        description="Namespace of the operator itself: for the Lease, and for Events that the namespace of their object no longer takes. Not set: "
        "that of the pod's service account.",
    )
    election: bool = Field(
        True,
        description="Whether the replicas use a Lease to decide which one acts: true or false. Set false only if no other process ever serves the same objects.",
    )
    lease_name: Annotated[str, Field(pattern=rf"^{_SUBDOMAIN}$")] = Field(
        "aop-operator",
        description="Name of that Lease, in the operator's own namespace. All replicas of one installation share it.",
    )
    lease_s: Annotated[int, Field(ge=1, le=300)] = Field(
        15,
        description="How long the Lease holds without a renewal, in whole seconds: the longest time for which no replica acts after the one that acted has died. "
        "The replica that acts renews it three times within that time.",
    )
    watch_namespaces: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_namespaces)] = Field(
        (),
        description="Namespaces in which the operator serves AuthenticatedOriginPulls, separated by commas. Not set: all.",
    )
    ingress_config_maps: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_config_maps)] = (
        Field(
            (),
            description="The only ConfigMaps that the operator may write, as NAMESPACE/NAME, separated by commas. Not set: any that a controller's "
            "arguments name or a workload's pods mount.",
        )
    )
    list_all_ingresses: bool = Field(
        True,
        description="Whether the operator may list Ingresses of all namespaces, and IngressClasses, which belong to none: true or false. If not, it sees only "
        "Ingresses in namespaces where it serves objects or a controller runs, and takes an Ingress that names any class for one of the controller's.",
    )
    list_ingress_routes: bool = Field(
        False,
        description="Whether the operator may list Traefik's IngressRoutes and IngressRouteTCPs of all namespaces, and the Ingresses, routes of the Gateway API, "
        "ListenerSets, Gateways and classes of both: true or false. If so, it names those that may serve a protected host of Traefik's without "
        "going through its own routers.",
    )
    list_routes: bool = Field(
        False,
        description="Whether the operator may list HTTPRoutes, GRPCRoutes and ListenerSets of all namespaces, and GatewayClasses, which belong to none: true or false. "
        "If so, it knows which hosts a Gateway serves, and names what the Gateway's routes leave open.",
    )
    proxy_namespaces: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_namespaces)] = Field(
        ("envoy-gateway-system",),
        description="Namespaces in which Envoy Gateway runs the proxies of Gateways, separated by commas; by default Envoy Gateway's own.",
    )

    resync_s: Seconds = Field(
        300,
        description="How often the operator looks at Cloudflare when nothing happens, in seconds.",
    )
    recheck_s: Seconds = Field(
        60,
        description="How often the operator looks again at a blocked object, and at a Secret without its watch label, in seconds. It looks at no more than "
        "twelve a minute of those Secrets for which it does not wait.",
    )
    awaited_recheck_s: Seconds = Field(
        5,
        description="How often the operator looks at such an object or Secret while it waits for something there, in seconds.",
    )
    probe_timeout_s: Seconds = Field(
        5, description="How long one request to a replica or through the edge may take, in seconds."
    )
    replica_recheck_s: Seconds = Field(
        30,
        description="How often the operator asks every replica about one host of each zone when nothing happens, in seconds. It asks a replica about one host "
        "every two seconds at most; with more than 75 objects, it asks less often.",
    )
    edge_cadence_s: Seconds = Field(
        10,
        description="How often the operator asks each host through the edge while it proves or requires it, in seconds.",
    )
    edge_requests_per_s: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = Field(
        60,
        description="How many requests a second the operator sends through the edge for all objects together, and as many again to hosts that lose. "
        "Objects that prove nothing share an eighth of them. With more hosts than that allows, it asks the hosts of the objects with the most hosts less often.",
    )
    quiet_period_s: Seconds = Field(
        300,
        description="How long Cloudflare must be seen unchanged before absence from its list is a fact, in seconds: longer than list lag "
        "(tens of seconds), request timeout (30) and propagation together.",
    )
    teardown_patience_s: Seconds = Field(
        600,
        description="How long the operator waits for Cloudflare in a removal once no replica refuses anybody any more, whatever holds the removal up there, in "
        "seconds. Then it names what it leaves behind.",
    )
    budget_share: Share = Field(
        0.75,
        description="Cloudflare grants a user 1,200 calls per 5 minutes. The operator stays under this share of them, for all of the user's tokens together.",
    )
    budget_resync_share: Share = Field(
        0.25,
        description="Resyncs stay under this share of the same calls; not above AOP_BUDGET_SHARE.",
    )

    listen_address: str = Field(
        "",
        description="IP address on which the health and metrics endpoints listen. Not set: every address, IPv4 and IPv6.",
    )
    health_port: Port = Field(8080, description="TCP port of the health endpoint; 0: none.")
    metrics_port: Port = Field(8081, description="TCP port of the metrics endpoint; 0: none.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field(
            "info",
            description="debug, info, warning or error. At debug, the operator writes one line for each call to Cloudflare: method, path template, status, cf-ray, milliseconds.",
        )
    )
    trace_file: Path | None = Field(
        None,
        description="File to which the operator writes one JSON line per look and step, without secrets. The model of the rules can replay it.",
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = Field(
        "text", description="text, or json: one object per line."
    )

    @model_validator(mode="after")
    def _agree_with_each_other(self) -> Settings:
        if self.budget_resync_share > self.budget_share:
            raise ValueError(
                "AOP_BUDGET_RESYNC_SHARE is above AOP_BUDGET_SHARE; lower the first or raise the second"
            )
        if self.health_port == self.metrics_port != 0:
            raise ValueError(
                "AOP_HEALTH_PORT and AOP_METRICS_PORT are the same port; change one, or set one to 0"
            )
        return self

    def serves(self, namespace: str | None) -> bool:
        """Whether AuthenticatedOriginPulls of that namespace are served.

        Then what they name there is watched, too.
        """
        return not self.watch_namespaces or namespace in self.watch_namespaces

    @classmethod
    def load(cls) -> Settings:
        """Read the environment.

        Raises `SettingsError` if a variable cannot be used; the message names it and says why.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                _problem(each["loc"], each["msg"])
                for each in error.errors(include_url=False, include_input=False)
            ]
        raise SettingsError("\n".join(problems))


def _problem(place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{PREFIX}{str(place[0]).upper()}: {message}" if place else message
