"""One object as it is known, in as few bytes as thousands of them may take.

Most of an object's text is names that all have, and messages that are alike. Nobody reads it but a
look, and at rest a look is seldom: so between looks there is only the compressed text.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from aop.api import AuthenticatedOriginPull
from aop.cluster import without_writers
from aop.origins.sites import Json

Manifest = dict[str, Any]

FASTEST = 1
"""Level of compression: a better one takes three times as long for a tenth less."""


class KeptManifest:
    """The manifest of one object, and what it says."""

    __slots__ = ("_packed", "_parsed", "_version", "_whole")

    def __init__(self) -> None:
        self._packed: bytes | None = None
        self._version = ""
        self._whole: Manifest | None = None
        self._parsed: AuthenticatedOriginPull | None = None

    @property
    def whole(self) -> Manifest | None:
        """The manifest without the note of who has written which field; None: it is not known.

        It is the same object until `rest`, or until something newer is kept.
        """
        if self._whole is None and self._packed is not None:
            self._whole = json.loads(zlib.decompress(self._packed))
        return self._whole

    def keep(self, manifest: Manifest) -> bool:
        """Keep what a watch, a list or a write has shown, unless something newer is known.

        Returns whether what is known now is at least as new as `manifest`.
        """
        shown = resource_version(manifest)
        if self._packed is not None and not is_news(shown, self._version):
            return shown == self._version
        text = json.dumps(without_writers(manifest), separators=(",", ":"))
        self._packed, self._version = zlib.compress(text.encode(), FASTEST), shown
        self._whole = self._parsed = None
        return True

    def parse(self, manifest: Manifest) -> AuthenticatedOriginPull:
        """What `manifest` says, parsed once for as long as it is the one that is known.

        Raises `Blocked` (SpecInvalid).
        """
        if manifest is not self._whole:
            return AuthenticatedOriginPull.parse(manifest)
        if self._parsed is None:
            self._parsed = AuthenticatedOriginPull.parse(manifest)
        return self._parsed

    def rest(self) -> None:
        """Nobody looks for a while."""
        self._whole = self._parsed = None

    def forget(self) -> None:
        """It is to be read."""
        self._packed, self._version = None, ""
        self.rest()


def resource_version(manifest: Manifest) -> str:
    """As it stands in the object; empty where it does not."""
    return str((manifest.get("metadata") or {}).get("resourceVersion", ""))


def identity_of(one: Json) -> object:
    """What stays the same while an object changes, and no other object ever has.

    Its namespace and name, if it has no uid.
    """
    metadata = one["metadata"]
    return metadata.get("uid") or (metadata.get("namespace", ""), metadata.get("name", ""))


def form_of(one: Json) -> tuple[object, object]:
    """What tells whether an object has changed, or is another one."""
    return identity_of(one), one["metadata"].get("resourceVersion") or repr(one)


def unless_changed(before: tuple[Json, ...], now: tuple[Json, ...]) -> tuple[Json, ...]:
    """The very tuple of before if nothing in it has changed, else the one of now.

    Whoever has made something of it need not do so again.
    """
    unchanged = [form_of(one) for one in before] == [form_of(one) for one in now]
    return before if unchanged else now


def number_of(version: str) -> int:
    """A resourceVersion as a number; 0 for one that is none.

    API servers since Kubernetes 1.35 promise it to be comparable.
    """
    return int(version) if version.isascii() and version.isdecimal() else 0


def is_news(shown: str, known: str) -> bool:
    """Whether a resourceVersion comes after the one that is known, and is not that."""
    return shown != known and number_of(shown) >= number_of(known)
