"""Whatever stands between us and the API server may answer in its place: that is a failure of the call, and never of the operator."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from aop.clock import Clock
from aop.cluster import Cluster, Kind, connect
from aop.cluster.client import RECORD, ClusterError
from aop.leading import Lead
from builders import TARGET

WHOLE = '{"metadata": {"name": "controller"}, "data": {"use-gzip": "true"}}'


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text",
    [WHOLE[:30], "", "<html>a page for people</html>", "[]", "null", "\udcff\udcfe"],
    ids=["cut short", "empty", "a page", "a list", "nothing", "no text"],
)
async def test_an_answer_that_is_no_object_is_a_failed_call(text: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            body=text.encode(errors="surrogateescape"), content_type="application/json"
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        client = ApiClient(Configuration(host=str(server.make_url("")).rstrip("/")))
        cluster = Cluster(client, Lead.alone(Clock()))
        try:
            for call in (
                cluster.fetch(Kind.CONFIG_MAP, TARGET.key),
                cluster.list(Kind.POD, TARGET.namespace),
                cluster.create(Kind.EVENT, TARGET.namespace, {"metadata": {"name": "x"}}),
                cluster.merge(Kind.CONFIG_MAP, TARGET.key, {"data": {}}),
            ):
                with pytest.raises(ClusterError, match="the answer is no object, or was cut short"):
                    await call
        finally:
            await cluster.close()


@pytest.mark.asyncio
async def test_watches_take_no_connection_from_what_has_to_be_asked(tmp_path: Path) -> None:
    """Four for each namespace with workloads: with 25 of them the Lease could not be renewed."""
    waiting = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({})
        response = web.StreamResponse()
        await response.prepare(request)
        await waiting.wait()
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, AsyncExitStack() as stack:
        cluster = await connect(str(kubeconfig_of(str(server.make_url("/")), tmp_path)), Clock())
        stack.push_async_callback(cluster.close)
        stack.callback(waiting.set)
        async with asyncio.timeout(20.0):
            for number in range(120):
                await stack.enter_async_context(cluster.watch(Kind.POD, f"shop-{number}", "1"))
            await cluster.ask_version()


@pytest.mark.asyncio
async def test_a_connection_over_which_nothing_comes_keeps_little_memory(tmp_path: Path) -> None:
    """Four watches in each of sixty namespaces took 74 MB, of the 256 that the chart gives the process."""
    cluster = await connect(str(kubeconfig_of("https://localhost", tmp_path)), Clock())
    await cluster.close()
    assert SSLProtocol.max_size == RECORD


@pytest.mark.asyncio
async def test_a_line_that_does_not_end_ends_the_watch(tmp_path: Path) -> None:
    """Something in between has dropped the query, and answers with the list of all."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"items": ["x" * 1024] * 5000})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        cluster = await connect(str(kubeconfig_of(str(server.make_url("/")), tmp_path)), Clock())
        try:
            with pytest.raises(ClusterError, match="cannot watch pods: a line is longer"):
                async with cluster.watch(Kind.POD, "shop", "1") as changes:
                    await anext(changes)
        finally:
            await cluster.close()


def kubeconfig_of(url: str, folder: Path) -> Path:
    """A kubeconfig for the API server at `url`."""
    file = folder / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "clusters": [{"name": "here", "cluster": {"server": url.rstrip("/")}}],
                "users": [{"name": "me", "user": {}}],
            }
        )
    )
    return file
