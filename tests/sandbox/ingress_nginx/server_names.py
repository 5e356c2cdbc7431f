"""How a host of an Ingress becomes a `server_name`, and what else follows from names alone.

A wildcard becomes a regular expression of one label, which is more than a wildcard of nginx's own
would be in one way and less in another: a host two labels below it falls to the catch-all
(kubernetes/ingress-nginx, template.go, buildServerName).
"""

from collections.abc import Iterable

CATCH_ALL = "_"
"""The server of everything that has no server of its own: Ingresses without a host, and unknown
names."""


def server_name(host: str) -> str:
    """The name that nginx is given for an Ingress's host."""
    if not host.startswith("*"):
        return host
    above = host.removeprefix("*.").replace(".", r"\.")
    return rf"~^(?<subdomain>[\w-]+)\.{above}$"


def www_counterpart(host: str) -> str:
    """The name that `from-to-www-redirect` redirects to `host`: with `www.` or without.

    It is made of wildcards and of `_` as well.
    """
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"


def hash_bucket_size(names: Iterable[str]) -> int:
    """The controller's rule for server_names_hash_bucket_size: room for the longest name, in words of 8 bytes, as a power of two."""
    longest = max(map(len, names))
    needed = 8 + 8 + -(-(longest + 2) // 8) * 8
    return 1 << (needed - 1).bit_length()
