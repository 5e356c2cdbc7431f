"""The controller's ConfigMap as nginx settings: which keys count, what they mean when absent.

Values are not validated, exactly as in the controller: a bad snippet is found by `nginx -t` alone.
Keys that the controller does not know are ignored and take no part in the comparison that decides
on a reload; those that it knows do, also where nothing here is rendered from them
(facts: ingress-nginx#config-map-keys; kubernetes/ingress-nginx, template/configmap.go, ReadConfig).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

TRUE_WORDS = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE_WORDS = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
OTHER_KEYS: dict[str, bool | float | str] = {
    key: default
    for kind in tomllib.loads(Path(__file__).with_name("other_keys.toml").read_text()).values()
    for key, default in kind.items()
}
"""Keys that the controller knows and that are not imitated, with their defaults."""
READ_APART = frozenset({"custom_http_errors", "others"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings of one controller.

    A field is a ConfigMap key with `_` for `-`; its value here is the controller's default
    (v1.15.1).
    """

    http_snippet: str = ""
    server_snippet: str = ""
    location_snippet: str = ""
    main_snippet: str = ""
    allow_snippet_annotations: bool = False
    annotations_risk_level: str = "High"
    allow_cross_namespace_resources: bool = False
    block_cidrs: tuple[str, ...] = ()
    block_user_agents: tuple[str, ...] = ()
    block_referers: tuple[str, ...] = ()
    custom_http_errors: tuple[int, ...] = ()
    disable_proxy_intercept_errors: bool = False
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
    enable_serial_reloads: bool = False
    ssl_protocols: str = "TLSv1.2 TLSv1.3"
    ssl_ecdh_curve: str = "auto"
    ssl_early_data: bool = False
    ssl_reject_handshake: bool = False
    ssl_session_cache: bool = True
    ssl_session_cache_size: str = "10m"
    ssl_session_timeout: str = "10m"
    ssl_session_tickets: bool = False
    ssl_buffer_size: str = "4k"
    others: tuple[tuple[str, bool | float | str], ...] = ()
    """What other keys that the controller knows say, where that is not the default: it makes two
    settings differ, and nothing else."""

    @classmethod
    def read(cls, data: Mapping[str, str]) -> "Configuration":
        """The settings that a ConfigMap's `data` asks for; a value that its type cannot hold counts as absent."""
        known: dict[str, Any] = {}
        for name, default in (
            (field.name, field.default) for field in fields(cls) if field.name not in READ_APART
        ):
            if (text := data.get(name.replace("_", "-"))) is not None and (
                value := _parse(text, default)
            ) is not None:
                known[name] = value
        values = (
            (key, _parse(data[key], default), default)
            for key, default in OTHER_KEYS.items()
            if key in data
        )
        return cls(
            **known,
            custom_http_errors=error_codes(data.get("custom-http-errors", "")),
            others=tuple(
                (key, value)
                for key, value, default in values
                if value is not None and value != default
            ),
        )


def error_codes(text: str) -> tuple[int, ...]:
    """Statuses separated by commas that may have an error page: 300 to 599, the others are dropped."""
    numbers = (_parse(word, 0) for word in split(text))
    return tuple(number for number in numbers if isinstance(number, int) and 299 < number < 600)


def split(text: str) -> tuple[str, ...]:
    """Words separated by commas, without the blanks around them."""
    return tuple(word.strip() for word in text.split(",") if word)


def _parse(text: str, default: object) -> Any:
    """A value of the default's type; None where the text is none."""
    match default:
        case bool():
            return text in TRUE_WORDS if text in {*TRUE_WORDS, *FALSE_WORDS} else None
        case int() | float():
            try:
                return type(default)(text or 0)
            except ValueError:
                return None
        case tuple():
            return split(text)
        case _:
            return text
