"""The body of an answer, in memory, and never more of it than anybody needs.

The bytes are counted as they arrive and, if they are compressed, as they are unpacked: 199 KiB of
gzip can contain 200 MiB, and a pod has 256. Pure, except for the stream that is passed in.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable

LARGEST_BODY = 2 << 20
"""Bytes: about six times a full page of 1,000 associations, the largest page that is asked for."""
ACCEPTED = "gzip"
"""What `accept-encoding` says. Nothing else is unpacked."""
_GZIP = frozenset({"gzip", "x-gzip"})


class BodyTooLarge(Exception):
    """There is more than `LARGEST_BODY`."""


async def read_body(chunks: AsyncIterable[bytes], encoding: str) -> bytes:
    """The whole body, unpacked; empty if it is packed in a way that nobody asked for.

    `encoding` is the content-encoding header.

    Raises `BodyTooLarge` if it has more than `LARGEST_BODY` bytes, packed or unpacked, and
    `zlib.error` if it is not what its encoding says.
    """
    packed = encoding.strip().lower()
    if packed not in _GZIP | {"", "identity"}:
        return b""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if packed in _GZIP else None
    body, arrived = bytearray(), 0
    async for chunk in chunks:
        arrived += len(chunk)
        body += unpacker.decompress(chunk, LARGEST_BODY - len(body) + 1) if unpacker else chunk
        if max(len(body), arrived) > LARGEST_BODY:
            raise BodyTooLarge
    return bytes(body)
