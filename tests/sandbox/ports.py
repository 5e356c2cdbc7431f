"""Free loopback ports for the servers of the sandbox, and addresses for pods, whose ports are given."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

# Below Linux's ephemeral range (32768-60999): an outgoing connection can then never sit on a port
# that a server wants back after a restart.
FIRST, LAST = 10_000, 32_767

_chooser = random.SystemRandom()
_given: set[int] = set()
"""Ports that this process was given: one that nobody listens on yet may be wanted soon."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port on `host` that nobody listens on now, and that was not given before.

    Another process may take it first: whoever can, listens on port 0 instead.

    Raises:
        OSError: none of 200 random ports was free.
    """
    for _ in range(200):
        port = _chooser.randint(FIRST, LAST)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise OSError(f"no free port on {host} between {FIRST} and {LAST}")


@contextmanager
def own_network(chooser: random.Random = _chooser) -> Iterator[IPv4Network]:
    """Loopback addresses that no other process uses that asks here, for the length of the block.

    Two sandboxes may run beside each other, and a pod listens on the ports that its owner has
    written.

    Raises:
        OSError: none of 200 random networks was free.
    """
    for _ in range(200):
        network = IPv4Network(f"127.{chooser.randint(16, 254)}.0.0/16")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as claim:
            try:
                claim.bind((str(network.broadcast_address - 1), FIRST))
            except OSError:
                continue
            yield network
            return
    raise OSError("no free network on loopback")
