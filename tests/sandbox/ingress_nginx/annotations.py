"""What the annotations of one Ingress ask for, as far as it is imitated here.

Client certificates are in `client_auth`.

A value that the controller's own check refuses counts as absent (kubernetes/ingress-nginx,
annotations/parser/validators.go).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sandbox.ingress_nginx.configuration import Configuration

Json = Mapping[str, Any]

PREFIX = "nginx.ingress.kubernetes.io/"
SERVER_NAME = re.compile(r"[-./_~a-zA-Z0-9:^$\[\](){}*+?|&=\\]*")
"""Regular expressions are names as well."""
ERROR_CODE = re.compile(r"[45]\d\d")


@dataclass(frozen=True, slots=True)
class Annotations:
    """The annotations of one Ingress; what it does not say is as the ConfigMap has it."""

    aliases: tuple[str, ...] = ()
    """Further names of each of its hosts, sorted."""
    server_snippet: str = ""
    configuration_snippet: str = ""
    """Raw text for each of its servers, and for each of its locations; empty unless the
    administrator allows it."""
    custom_http_errors: tuple[int, ...] = ()
    from_to_www_redirect: bool = False
    ssl_redirect: bool = False
    force_ssl_redirect: bool = False

    @classmethod
    def read(cls, ingress: Json, configuration: Configuration) -> Self:
        """Those of an Ingress."""
        values = without_prefix(ingress)
        allowed = configuration.allow_snippet_annotations
        return cls(
            aliases=_aliases(values.get("server-alias", "")),
            server_snippet=values.get("server-snippet", "") if allowed else "",
            configuration_snippet=values.get("configuration-snippet", "") if allowed else "",
            custom_http_errors=_error_codes(values),
            from_to_www_redirect=_flag(values, "from-to-www-redirect", default=False),
            ssl_redirect=_flag(values, "ssl-redirect", default=configuration.ssl_redirect),
            force_ssl_redirect=_flag(
                values, "force-ssl-redirect", default=configuration.force_ssl_redirect
            ),
        )


def without_prefix(ingress: Json) -> dict[str, str]:
    """The controller's annotations of an Ingress, by their short names."""
    annotations = ingress["metadata"].get("annotations") or {}
    return {
        key.removeprefix(PREFIX): value
        for key, value in annotations.items()
        if key.startswith(PREFIX)
    }


def _aliases(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if not all(SERVER_NAME.fullmatch(name) for name in names):
        return ()
    return tuple(sorted({name for name in names if name}))


def _error_codes(annotations: Mapping[str, str]) -> tuple[int, ...]:
    codes = annotations.get("custom-http-errors", "").split(",")
    if not _flag(annotations, "enable-custom-http-errors", default=True) or not all(
        ERROR_CODE.fullmatch(code) for code in codes
    ):
        return ()
    return tuple(map(int, codes))


def _flag(annotations: Mapping[str, str], name: str, *, default: bool) -> bool:
    return {"true": True, "false": False}.get(annotations.get(name, ""), default)
