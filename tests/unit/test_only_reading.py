"""Who only looks cannot change anything, whatever it is told to do; and what it was refused it remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from aop.cloudflare import Cloudflare, Withheld
from aop.cluster import ClusterError, Kind, ReadingCluster, Right
from aop.leading import Lead
from builders import KEY, TARGET
from cloudflare_api import ZONE_ID, StoppedClock, access

MANIFEST = {"metadata": {"name": "x", "resourceVersion": "1"}}


@pytest.fixture
def asked() -> list[str]:
    """Every request that has arrived."""
    return []


@pytest_asyncio.fixture
async def cluster(asked: list[str]) -> AsyncIterator[ReadingCluster]:
    """Of an API server that refuses everything."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        return web.json_response({"message": "forbidden"}, status=403)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        reading = ReadingCluster(
            ApiClient(Configuration(host=str(server.make_url("")).rstrip("/")))
        )
        yield reading
        await reading.close()


@pytest.mark.asyncio
async def test_no_write_leaves_for_the_api_server(
    cluster: ReadingCluster, asked: list[str]
) -> None:
    for write in (
        cluster.create(Kind.CONFIG_MAP, TARGET.namespace, MANIFEST),
        cluster.replace(Kind.CONFIG_MAP, TARGET.key, MANIFEST),
        cluster.merge(Kind.CONFIG_MAP, TARGET.key, MANIFEST),
    ):
        with pytest.raises(RuntimeError, match="only reads"):
            await write
    assert asked == []


@pytest.mark.asyncio
async def test_each_right_that_is_refused_is_remembered_once(
    cluster: ReadingCluster, asked: list[str]
) -> None:
    for _ in range(2):
        with pytest.raises(ClusterError):
            await cluster.fetch(Kind.SECRET, KEY)
        with pytest.raises(ClusterError):
            await cluster.list(Kind.INGRESS)
    assert list(cluster.missing) == [
        Right("get", Kind.SECRET, KEY.namespace),
        Right("list", Kind.INGRESS, None),
    ]
    assert [one.question for one in cluster.missing] == [
        "kubectl auth can-i get secrets -n edge",
        "kubectl auth can-i list ingresses.networking.k8s.io -A",
    ]
    assert len(asked) == 4


@pytest.mark.asyncio
async def test_no_change_leaves_for_cloudflare(asked: list[str]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, json={"success": True, "result": {"enabled": True}})

    transport = httpx.MockTransport(answer)
    clock = StoppedClock()
    lead = Lead.none(clock)
    async with Cloudflare(clock=clock, lead=lead, transport=transport) as cloudflare:
        with pytest.raises(Withheld):
            await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)
    assert set(asked) <= {"GET"}
