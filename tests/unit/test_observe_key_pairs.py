"""A key pair is read once for each version of its Secret, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import zoo
from aop.errors import Blocked
from aop.observe.key_pairs import KeyPairs
from aop.terms import ObjectKey

SECRET = ObjectKey("edge", "example-com-tls")


class WatchedData(dict[str, str]):
    """A Secret's `data` that remembers which threads have read the key in it."""

    def __init__(self, data: dict[str, str]) -> None:
        super().__init__(data)
        self.readers: list[threading.Thread] = []

    def __getitem__(self, name: str) -> str:
        if name == "tls.key":
            self.readers.append(threading.current_thread())
        return super().__getitem__(name)


def made(bits: int = 4096) -> WatchedData:
    """A Secret with an RSA key, as Cloudflare's guide makes them."""
    return WatchedData(zoo.secret(zoo.leaf(key=zoo.rsa_key(bits))))


@pytest.mark.asyncio
async def test_looks_after_the_first_read_no_key_and_present_the_same() -> None:
    """Sixteen objects with RSA 4096 that looked every few seconds let /healthz time out."""
    objects = [(ObjectKey("edge", f"object-{number}"), made()) for number in range(16)]
    key_pairs = KeyPairs()
    first = [await key_pairs.read(secret, data, None) for secret, data in objects]
    assert all(data.readers for _, data in objects)
    for _, data in objects:
        data.readers.clear()
    for _ in range(10):
        later = [await key_pairs.read(secret, data, None) for secret, data in objects]
        assert all(one is other for one, other in zip(first, later, strict=True))
    assert [data.readers for _, data in objects] == [[]] * 16


@pytest.mark.asyncio
async def test_no_key_is_read_on_the_loop() -> None:
    data = made()
    await KeyPairs().read(SECRET, data, None)
    assert threading.current_thread() not in data.readers


@pytest.mark.asyncio
async def test_looks_at_the_same_time_share_one_reading() -> None:
    data, key_pairs = made(2048), KeyPairs()
    readings = await asyncio.gather(*(key_pairs.read(SECRET, data, None) for _ in range(8)))
    assert all(one is readings[0] for one in readings)


@pytest.mark.asyncio
async def test_another_version_is_read_and_a_refusal_as_well() -> None:
    key_pairs = KeyPairs()
    before = await key_pairs.read(SECRET, made(2048), None)
    broken: dict[str, Any] = {**made(2048), "tls.key": "%"}
    for _ in range(2):
        with pytest.raises(Blocked, match=r"tls\.key is not base64"):
            await key_pairs.read(SECRET, broken, None)
    after = await key_pairs.read(SECRET, zoo.good(), None)
    assert after.pair.leaf.pin != before.pair.leaf.pin
    assert after.identity.sha256 == after.pair.leaf.pin.sha256


@pytest.mark.asyncio
async def test_no_more_are_kept_than_may_be() -> None:
    key_pairs, data = KeyPairs(most=2), made(2048)
    for name in ("one", "two", "three", "one"):
        await key_pairs.read(ObjectKey("edge", name), data, None)
    data.readers.clear()
    await key_pairs.read(ObjectKey("edge", "three"), data, None)
    assert data.readers == []
    await key_pairs.read(ObjectKey("edge", "two"), data, None)
    assert data.readers != []


@pytest.mark.asyncio
async def test_who_stops_waiting_ends_nobody_elses_reading() -> None:
    key_pairs, data = KeyPairs(), made()
    waiting = [asyncio.create_task(key_pairs.read(SECRET, data, None)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert (await waiting[1]).pair.leaf is not None
