"""The one door to what others wrote.

Base64, PEM, and the guard behind which every third-party parser is called. People and tools write
Secrets, and strangers make the certificates at Cloudflare. Whatever they contain, reading ends in a
value or in `Unreadable`, which says what is wrong and what helps, and contains none of the text.
PEM is read as OpenSSL and Go read it: a marker is on a line by itself. `cryptography` accepts more,
such as a PEM whose line breaks were lost; such a Secret would be good here and broken for
everything else that reads it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_BLOCK = 64 * 1024
"""Bytes of one PEM block: a hundred times a certificate, ten times the largest key that is read."""
MOST_BLOCKS = 200
"""Certificates in one field: more than a browser trusts."""

_MARKER = re.compile(rb"^-----(BEGIN|END) ([A-Z0-9 ]+)-----[ \t\r]*$", re.MULTILINE)
_LOOSE = re.compile(rb"-----(?:BEGIN|END) ")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Unreadable(ValueError):
    """Something is not what it should be.

    `what` continues its name ("is …"); `remedy` says what to do, if that is known.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


@contextmanager
def guarded(what: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever a parser raises within the block into `Unreadable`.

    It may be ValueError, the parser's own class, depending on its version, or a panic of Rust code.
    """
    try:
        yield
    except (Unreadable, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001 - a panic is no Exception; and no cause may carry the bytes along
        raise Unreadable(what, remedy) from None


def decoded(value: str) -> bytes:
    """The bytes of a field of a Secret's `data`. Raises `Unreadable`."""
    with guarded("is not base64", "write it with stringData, or in base64"):
        return base64.b64decode(value, validate=True)


def encoded(value: bytes) -> str:
    """A field of a Secret's `data`."""
    return base64.b64encode(value).decode()


def blocks(text: bytes, *, convert: str) -> Iterator[tuple[str, bytes]]:
    """The PEM blocks in `text` with their labels, in their order.

    Text between them is allowed, as everywhere. `convert` is the command that makes PEM from DER.
    Raises `Unreadable` if a block is broken, or if the text cannot be PEM at all.
    """
    if text.startswith(_BYTE_ORDER_MARKS):
        raise Unreadable(
            "begins with a byte order mark",
            "save it as plain ASCII text, without a byte order mark",
        )
    if _is_der(text):
        raise Unreadable("is in binary form (DER)", f"convert it to PEM: {convert}")
    pairs = _pairs(text)
    if len(pairs) > MOST_BLOCKS:
        raise Unreadable(
            f"holds {len(pairs)} PEM blocks, more than the {MOST_BLOCKS} that are read",
            "leave only what is needed there",
        )
    for begin, end in pairs:
        block = text[begin.start() : end.end()].rstrip() + b"\n"
        if len(block) > LONGEST_BLOCK:
            raise Unreadable(
                f"holds a PEM block of {len(block)} bytes, which is no key and no certificate",
                "write the right file there",
            )
        yield begin[2].decode(), block


def _pairs(text: bytes) -> list[tuple[re.Match[bytes], re.Match[bytes]]]:
    """Where each block begins and ends. Raises `Unreadable` if one is broken."""
    markers = list(_MARKER.finditer(text))
    if len(markers) != len(_LOOSE.findall(text)):
        what = "has a -----BEGIN or -----END that is not on a line of its own, as if line breaks were lost"
        raise Unreadable(
            what,
            "write the PEM with its line breaks, from the file itself (kubectl create secret … --from-file)",
        )
    pairs = list(zip(markers[::2], markers[1::2], strict=False))
    if len(markers) % 2 or any(
        (begin[1], end[1], begin[2]) != (b"BEGIN", b"END", end[2]) for begin, end in pairs
    ):
        raise Unreadable(
            "is cut off: a -----BEGIN has no -----END of its own", "write the whole PEM again"
        )
    return pairs


def _is_der(text: bytes) -> bool:
    """Whether `text` is one ASN.1 SEQUENCE from its first byte to its last.

    Keys and certificates are.
    """
    if len(text) < 2 or text[0] != 0x30:
        return False
    longer = text[1] & 0x7F if text[1] & 0x80 else 0
    body = int.from_bytes(text[2 : 2 + longer]) if longer else text[1]
    return len(text) == 2 + longer + body
