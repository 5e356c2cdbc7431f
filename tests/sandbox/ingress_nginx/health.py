"""`/healthz` of one replica on its own port: what a kubelet would ask."""

from collections.abc import Callable

from aiohttp import web


async def serve(address: str, port: int, healthy: Callable[[], bool]) -> web.AppRunner:
    """Serve until `cleanup` of what is returned.

    Raises:
        OSError: somebody else listens there.
    """

    async def healthz(_: web.Request) -> web.Response:
        return (
            web.Response(status=200, text="ok")
            if healthy()
            else web.Response(status=500, text="nginx is not initialised")
        )

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
