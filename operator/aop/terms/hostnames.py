"""What a hostname is here, and which hosts a hostname pattern of the resource covers."""

from __future__ import annotations

import re

_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)


def is_host(name: str) -> bool:
    """Whether `name` is a lower-case DNS name of at least two labels, or `*.` and one.

    Nothing else may get into an origin's text.
    """
    return len(name) <= 255 and _HOST.fullmatch(name) is not None


def covers(pattern: str, host: str) -> bool:
    """Whether a hostname pattern of the resource covers a concrete host.

    A pattern is `www.example.com` or `*.example.com`. A wildcard covers every name below it, at any
    depth, but not the name itself. That is what `*.` means in nginx's `map … hostnames` and in the
    `server_name` of a wildcard Ingress, which decides about a request.
    """
    return (
        host.endswith(pattern[1:]) and host != pattern[1:]
        if pattern.startswith("*.")
        else host == pattern
    )
