"""Free loopback ports for the servers of the sandbox."""

import random
import socket

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
