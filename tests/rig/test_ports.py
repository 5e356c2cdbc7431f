"""A free port is given once: a server with two of them cannot listen twice on one."""

from __future__ import annotations

from sandbox.ports import free_port


def test_no_port_is_given_twice() -> None:
    """Of a thousand out of 22,768 some twenty would be, if each were drawn by itself."""
    ports = [free_port() for _ in range(1000)]
    assert len(set(ports)) == len(ports)
