"""A free port is given once: a server with two of them cannot listen twice on one. So is a network."""

from __future__ import annotations

from random import Random

from sandbox.ports import free_port, own_network


def test_no_port_is_given_twice() -> None:
    """Of a thousand out of 22,768 some twenty would be, if each were drawn by itself."""
    ports = [free_port() for _ in range(1000)]
    assert len(set(ports)) == len(ports)


def chooser() -> Random:
    """One that draws the same each time."""
    return Random(7)  # noqa: S311 - nobody is to be surprised


def test_no_network_is_given_twice_at_a_time() -> None:
    """Whoever draws the same one draws again."""
    with own_network(chooser()) as one, own_network(chooser()) as other:
        assert not one.overlaps(other)
    with own_network(chooser()) as again:
        assert again == one
