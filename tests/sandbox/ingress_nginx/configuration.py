"""The controller's ConfigMap as nginx settings: which keys count, what they mean when absent.

Called by `store` whenever the ConfigMap was seen. Values are not validated, exactly as in the controller: a bad snippet is found by `nginx -t` alone.
Keys that are not known are ignored and take no part in the comparison that decides on a reload (reference: ingress-nginx, 1.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

TRUE_WORDS = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE_WORDS = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings of one controller. A field is a ConfigMap key with `_` for `-`; its value here is the controller's default (v1.15.1)."""

    http_snippet: str = ""
    server_snippet: str = ""
    location_snippet: str = ""
    main_snippet: str = ""
    use_forwarded_headers: bool = False
    use_proxy_protocol: bool = False
    use_http2: bool = True
    ssl_redirect: bool = True
    force_ssl_redirect: bool = False
    map_hash_bucket_size: int = 64
    server_name_hash_bucket_size: int = 0
    server_name_hash_max_size: int = 1024
    keep_alive: int = 75
    keep_alive_requests: int = 1000
    upstream_keepalive_connections: int = 320
    worker_shutdown_timeout: str = "240s"
    ssl_protocols: str = "TLSv1.2 TLSv1.3"
    ssl_ecdh_curve: str = "auto"
    ssl_early_data: bool = False
    ssl_session_cache: bool = True
    ssl_session_cache_size: str = "10m"
    ssl_session_timeout: str = "10m"
    ssl_session_tickets: bool = False
    ssl_buffer_size: str = "4k"
    allow_cross_namespace_resources: bool = False

    @classmethod
    def read(cls, data: Mapping[str, str]) -> "Configuration":
        """The settings that a ConfigMap's `data` asks for; a value that its type cannot hold counts as absent."""
        known: dict[str, Any] = {}
        for field in fields(cls):
            text = data.get(field.name.replace("_", "-"))
            if text is None:
                continue
            value = _parse(text, field.type)
            if value is not None:
                known[field.name] = value
        return cls(**known)


def _parse(text: str, kind: object) -> bool | int | str | None:
    if kind is bool:
        return True if text in TRUE_WORDS else False if text in FALSE_WORDS else None
    if kind is int:
        try:
            return int(text)
        except ValueError:
            return None
    return text
