"""Why there is no connection: that nobody listens is a fact, that no way leads there is none."""

from __future__ import annotations

import socket

import pytest

from aop.probe import Failure, FailureKind, Paths, Presented, ReplicaAddress, ReplicaProbe

PATHS = Paths("/check", "/gate")


async def failure(ip: str, port: int) -> Failure:
    (asked,) = await ReplicaProbe(timeout_s=30).ask(
        ReplicaAddress(ip, port, port), "www.example.com", PATHS, {}
    )
    assert asked.presented is Presented.NONE
    assert isinstance(asked.check, Failure)
    assert asked.check == asked.gate
    return asked.check


@pytest.mark.asyncio
async def test_a_port_at_which_nobody_listens_refuses() -> None:
    with (
        socket.socket() as bound
    ):  # bound and not listening: nobody else can take the port meanwhile
        bound.bind(("127.0.0.1", 0))
        why = await failure("127.0.0.1", bound.getsockname()[1])
    assert why.kind is FailureKind.REFUSED


@pytest.mark.asyncio
async def test_an_address_that_no_way_leads_to_is_unreachable() -> None:
    """A multicast address, to which no TCP connection can be made (Linux: ENETUNREACH): as with a node that is cut off."""
    why = await failure("224.0.0.1", 443)
    assert why.kind is FailureKind.UNREACHABLE
