"""A loop in a thread leaves no socket behind: warnings are errors, and the garbage collector would give one at any time, to any test."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import warnings
from pathlib import Path

from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.loops import LoopThread


def test_a_connection_to_a_server_that_never_says_goodbye_is_closed_all_the_same(
    tmp_path: Path,
) -> None:
    authority = ClusterAuthority("silent")
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*authority.serve(["localhost", "127.0.0.1"]).write(tmp_path, "silent"))
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    accepted = list[ssl.SSLSocket]()

    async def visit(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.transport.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(
            target=lambda: accepted.append(
                serving.wrap_socket(listening.accept()[0], server_side=True)
            )
        )
        server.start()
        loop = LoopThread("visitor")
        loop.start()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            loop.call(visit(listening.getsockname()[1]), within_s=10)
            loop.stop()
            gc.collect()
        server.join(10)
        accepted.pop().close()
    assert [str(one.message) for one in warned if "unclosed" in str(one.message)] == []
