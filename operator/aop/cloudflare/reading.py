"""A way to Cloudflare on which nothing but questions goes out."""

from __future__ import annotations

import httpx


class ReadingTransport(httpx.AsyncHTTPTransport):
    """Sends GETs; any other request never leaves the process and is a bug."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx asks it to be done."""
        if request.method != "GET":
            raise RuntimeError(f"{request.method} by a client that only reads")
        return await super().handle_async_request(request)
