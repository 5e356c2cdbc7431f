"""Whatever stands between us and the API server may answer in its place: that is a failure of the call, and never of the operator."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from aop.clock import Clock
from aop.cluster import Cluster, Kind
from aop.cluster.client import ClusterError
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
