"""What somebody has written in a manifest whose definition may accept anything. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aop.origins.sites import Json


def spec_of(manifest: Json) -> Mapping[str, Any]:
    """The spec; empty if it is none."""
    spec = manifest.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def mappings(written: object) -> Iterator[Mapping[str, Any]]:
    """The mappings of a list that may be none, or hold anything."""
    for one in written if isinstance(written, list) else ():
        if isinstance(one, Mapping):
            yield one
