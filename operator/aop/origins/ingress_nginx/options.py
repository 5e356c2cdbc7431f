"""The controller's own settings in the same ConfigMap, as far as our text depends on them.

Read, never written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_SIZE = re.compile(r"[1-9][0-9]{0,8}[kKmM]?")


@dataclass(frozen=True, slots=True)
class Options:
    """Settings with the controller's defaults (facts: ingress-nginx#config-map-keys)."""

    map_hash_bucket_size: int = 64
    session_cache_size: str | None = "10m"
    """Size of the TLS session cache; None if the user has switched it off, so that there is nothing
    to flush."""
    proxy_protocol: bool = False
    """Whether every connection begins with a PROXY header."""
    forwarded_headers: bool = False
    """Whether the scheme of a request is what its X-Forwarded-Proto says."""
    lasting_tickets: bool = False
    """Whether there are session tickets under a fixed key: sessions that neither a reload nor a
    renamed cache ends (facts: ingress-nginx#session-tickets)."""

    @classmethod
    def read(cls, config_map: Mapping[str, Any] | None) -> Options:
        """The settings in a ConfigMap.

        A value that does not fit its type counts as absent, as in the controller.
        """
        data: Mapping[str, str] = (config_map or {}).get("data") or {}
        bucket = data.get("map-hash-bucket-size", "")
        size = data.get("ssl-session-cache-size", "")
        size = size if _SIZE.fullmatch(size) else "10m"
        return cls(
            map_hash_bucket_size=int(bucket) if re.fullmatch(r"[1-9][0-9]{0,5}", bucket) else 64,
            session_cache_size=size if _flag(data, "ssl-session-cache", default=True) else None,
            proxy_protocol=_flag(data, "use-proxy-protocol", default=False),
            forwarded_headers=_flag(data, "use-forwarded-headers", default=False),
            lasting_tickets=_flag(data, "ssl-session-tickets", default=False)
            and bool(data.get("ssl-session-ticket-key")),
        )


def _flag(data: Mapping[str, str], key: str, *, default: bool) -> bool:
    value = data.get(key)
    if value in _TRUE | _FALSE:
        return value in _TRUE
    return default
