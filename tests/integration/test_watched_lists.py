"""A real API server lists and then shows what changes, in the form in which the operator keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, connect
from aop.observe.listing import Listing
from aop.origins.sites import Json, Read
from aop.terms import Kind
from clocks import eventually
from sandbox.composition import ingress
from sandbox.kubernetes.plane import ControlPlane

NAMESPACE = "watched"
PATH = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses"
READ = Read(Kind.INGRESS, NAMESPACE)
MANY = 120


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[ControlPlane]:
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield plane
    plane.http.delete(PATH).raise_for_status()


@asynccontextmanager
async def reading(plane: ControlPlane) -> AsyncIterator[Cluster]:
    cluster = await connect(str(plane.admin_kubeconfig), Clock())
    try:
        yield cluster
    finally:
        await cluster.close()


async def put(plane: ControlPlane, method: str, path: str, body: Any = None) -> None:
    """Have the API server change something, without holding up who watches."""
    kind = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = await asyncio.to_thread(plane.http.request, method, path, json=body, headers=kind)
    answer.raise_for_status()


@pytest.mark.asyncio
async def test_what_is_made_changed_and_deleted_is_shown(namespace: ControlPlane) -> None:
    first, second = ingress("a.example.com", NAMESPACE), ingress("b.example.com", NAMESPACE)
    await put(namespace, "POST", PATH, first)
    shown = list[tuple[Json, ...]]()
    async with reading(namespace) as cluster:
        listing = Listing(READ, cluster, Clock(), shown.append)
        (known,) = await listing.list()
        await eventually(lambda: listing.followed)
        await put(namespace, "POST", PATH, second)
        await eventually(lambda: bool(shown) and len(shown[-1]) == 2)
        assert shown[-1][0] is known
        assert "managedFields" not in shown[-1][1]["metadata"]
        where = f"{PATH}/{first['metadata']['name']}"
        await put(namespace, "PATCH", where, {"metadata": {"annotations": {"note": "changed"}}})
        await eventually(lambda: "note" in shown[-1][0]["metadata"].get("annotations", {}))
        await put(namespace, "DELETE", where)
        await eventually(lambda: len(shown[-1]) == 1)
        assert await listing.list() == shown[-1]
        listing.end()


@pytest.mark.asyncio
async def test_a_version_that_is_none_ends_the_watch(namespace: ControlPlane) -> None:
    async with reading(namespace) as cluster:
        with pytest.raises(ClusterError, match="cannot watch ingresses: HTTP 500") as ended:
            async with cluster.watch(Kind.INGRESS, NAMESPACE, "yesterday") as changes:
                await anext(changes)
    assert ended.value.status == 500


@pytest.mark.asyncio
async def test_a_kind_that_the_api_server_does_not_know_is_a_failure(
    namespace: ControlPlane,
) -> None:
    async with reading(namespace) as cluster:
        with pytest.raises(ClusterError, match="cannot watch grpcroutes: HTTP 404"):
            async with cluster.watch(Kind.GRPC_ROUTE, NAMESPACE, "1") as changes:
                await anext(changes)


@pytest.mark.asyncio
async def test_however_much_is_watched_there_is_a_connection_for_a_request(
    namespace: ControlPlane,
) -> None:
    """Each of the many namespaces in which origins run has watches of its own."""
    async with reading(namespace) as cluster:
        every = [
            Listing(Read(Kind.POD, f"edge-{number}"), cluster, Clock(), lambda _: None)
            for number in range(MANY)
        ]
        for one in every:
            assert await one.list() == ()
        await eventually(lambda: all(one.followed for one in every))
        async with asyncio.timeout(60):
            await cluster.ask_version()
        for one in every:
            one.end()
        await eventually(lambda: not any(one.followed for one in every))
