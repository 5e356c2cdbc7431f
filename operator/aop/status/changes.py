"""Whether there is anything to write, and what."""

from __future__ import annotations

import re
from typing import Any

_RAY = re.compile(r",? ?cf-ray [0-9a-z-]+", re.IGNORECASE)


def without_rays(text: str) -> str:
    """The text without the ids of requests at Cloudflare, which differ each time."""
    return _RAY.sub("", text)


def merge_patch(shown: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch from `shown` to `wanted`: what is gone is null at every depth."""
    patch: dict[str, Any] = dict.fromkeys(shown.keys() - wanted.keys())
    for name, value in wanted.items():
        before = shown.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            patch[name] = merge_patch(before, value)
        else:
            patch[name] = value
    return patch
