"""How pins and moments are written down: in the record on the object, and in claims on an origin.

Short, because the annotations of an object share 256 KiB (facts: kubernetes#size-of-an-object), and
in one form only. Only real digests pass, because they end up in the text of a controller that
serves others too, and whoever may edit an annotation may write there.
"""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated, Self, TypeVar

from pydantic import ConfigDict, Field, RootModel, StringConstraints

from aop.terms.claims import Pin

Content = TypeVar("Content")


class Written(RootModel[Content]):
    """A JSON list whose parts have fixed places; what does not have exactly its form is none."""

    model_config = ConfigDict(strict=True, frozen=True)


Seconds = Annotated[int, Field(ge=-62_135_596_800, le=253_402_300_799)]
"""A moment in whole seconds since 1970 in UTC, within the years that a `datetime` has."""

# The last character has only some of the digest's bits; the others are zero, so that a digest has
# only one form.
Sha256 = Annotated[
    str, StringConstraints(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\z", max_length=43)
]
"""A SHA-256 in base64url without padding."""
Sha1 = Annotated[
    str, StringConstraints(pattern=r"\A[A-Za-z0-9_-]{26}[AEIMQUYcgkosw048]\z", max_length=27)
]
"""A SHA-1, likewise."""


class WrittenPin(Written[tuple[Sha256, Sha1, Seconds, Seconds]]):
    """One leaf: both digests, and from when to when it is valid."""

    @classmethod
    def of(cls, pin: Pin) -> Self:
        """The notation of `pin`; raises ValueError where its digests are none."""
        sha256, sha1 = (base64_of(bytes.fromhex(digest)) for digest in (pin.sha256, pin.sha1))
        return cls((sha256, sha1, seconds(pin.not_before), seconds(pin.not_after)))

    @property
    def pin(self) -> Pin:
        """The pin."""
        sha256, sha1, not_before, not_after = self.root
        return Pin(
            bytes_of(sha256).hex(), bytes_of(sha1).hex(), moment(not_before), moment(not_after)
        )


def base64_of(digest: bytes) -> str:
    """In base64url, without padding."""
    return urlsafe_b64encode(digest).decode().rstrip("=")


def bytes_of(written: str) -> bytes:
    """What `base64_of` wrote."""
    return urlsafe_b64decode(written + "=" * (-len(written) % 4))


def seconds(time: datetime) -> int:
    """The moment as `Seconds`, rounded down."""
    return math.floor(time.timestamp())


def seconds_after(time: datetime) -> int:
    """The moment as `Seconds`, rounded up.

    What lasts until then does not end earlier, and what is noted last seems no older than it is.
    """
    return math.ceil(time.timestamp())


def moment(written: int) -> datetime:
    """What `Seconds` stand for."""
    return datetime.fromtimestamp(written, UTC)
