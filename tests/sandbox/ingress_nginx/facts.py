"""What the stand-in tells of itself, as its launcher hands it on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Announcement:
    """The line of JSON: where everything is.

    Addresses are `host:port`; `nginx` names the program and where it was found.
    """

    namespace: str
    configmap: str
    ingress_class: str
    http_port: int
    https_port: int
    replicas: list[dict[str, str]]
    backend: str
    ca_file: str
    control: str
    nginx: str
    has_headers_more: bool


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """One replica as its control API tells it: what it is, its knobs (`knobs` has them), its record. `reloads` are UTC times, ISO 8601, oldest first."""

    pod: str
    address: str
    http: str
    https: str
    ready: bool
    terminating: bool
    nginx_pid: int | None
    paused: bool
    reload_lag_s: float
    load_lag_s: float
    endpoints_lag_s: float
    hung: bool
    cut_off: bool
    unready: bool
    syncs: int
    reloads: tuple[str, ...]
    failures: int
    last_error: str | None
    retry_in_s: float | None
    checksum: str | None

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """From the control API's JSON."""
        known = {field.name: facts[field.name] for field in fields(cls)}
        return cls(**{**known, "reloads": tuple(known["reloads"])})
