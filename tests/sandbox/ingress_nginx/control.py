"""The HTTP API by which a test turns the stand-in's knobs and reads what each replica has done.

Loopback only.

| request | effect |
|---|---|
| `GET /replicas` | facts of all, by address |
| `GET /replicas/{pod}` | facts of one: those of `launcher.ReplicaFacts`, its knobs among them |
| `GET /replicas/{pod}/nginx.conf` | the text that it was last told to run |
| `PATCH /replicas/{pod}` | turn its knobs, all of which are in `knobs` |
| `PATCH /replicas` | turn those of all replicas, and of those to come |
| `POST /replicas` | one more replica; its facts, before it is Ready |
| `POST /replicas/{pod}/replace?grace_s=0` | a new Pod at the same address; its facts, before it is Ready |
| `POST /replicas/{pod}/terminate?grace_s=300` | its Pod is terminating, and it serves on until it is deleted or the time is over; its facts |
| `DELETE /replicas/{pod}?grace_s=0` | one less; 0 is a lost node, more is a drain |

An unknown Pod is 404, a body that makes no sense 400, each with a sentence.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.ingress_nginx.fleet import Fleet, UnknownReplicaError

TERMINATION_GRACE_S = 300
"""The chart's terminationGracePeriodSeconds."""


async def serve(fleet: Fleet, host: str, port: int) -> web.AppRunner:
    """Serve until `cleanup` of what is returned."""
    routes = _Routes(fleet)
    application = web.Application(middlewares=[_explain])
    application.add_routes(
        [
            web.get("/replicas", routes.all),
            web.post("/replicas", routes.add),
            web.patch("/replicas", routes.turn),
            web.get("/replicas/{pod}", routes.one),
            web.patch("/replicas/{pod}", routes.turn),
            web.delete("/replicas/{pod}", routes.remove),
            web.get("/replicas/{pod}/nginx.conf", routes.conf),
            web.post("/replicas/{pod}/replace", routes.replace),
            web.post("/replicas/{pod}/terminate", routes.terminate),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except UnknownReplicaError as error:
        return web.json_response({"error": str(error)}, status=404)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


class _Routes:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def all(self, _: web.Request) -> web.Response:
        return web.json_response(self._fleet.facts())

    async def one(self, request: web.Request) -> web.Response:
        return web.json_response(self._fleet.replica(request.match_info["pod"]).facts())

    async def conf(self, request: web.Request) -> web.Response:
        return web.Response(
            text=self._fleet.replica(request.match_info["pod"]).nginx.conf.read_text()
        )

    async def turn(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if not isinstance(wanted, dict):
            raise ValueError("the body is no JSON object")  # noqa: TRY004  # to the caller it is a bad value, answered with 400
        pod = request.match_info.get("pod")
        await self._fleet.turn(wanted, pod)
        return web.json_response(
            self._fleet.facts() if pod is None else self._fleet.replica(pod).facts()
        )

    async def add(self, _: web.Request) -> web.Response:
        return web.json_response(self._fleet.add().facts(), status=201)

    async def replace(self, request: web.Request) -> web.Response:
        replica = await self._fleet.replace(request.match_info["pod"], grace_s=_grace(request))
        return web.json_response(replica.facts(), status=201)

    async def terminate(self, request: web.Request) -> web.Response:
        pod = request.match_info["pod"]
        await self._fleet.terminate(
            pod, grace_s=float(request.query.get("grace_s", TERMINATION_GRACE_S))
        )
        return web.json_response(self._fleet.replica(pod).facts())

    async def remove(self, request: web.Request) -> web.Response:
        await self._fleet.remove(request.match_info["pod"], grace_s=_grace(request))
        return web.Response(status=204)


def _grace(request: web.Request) -> float:
    return float(request.query.get("grace_s", "0"))
