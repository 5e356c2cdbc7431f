"""In which of Cloudflare's SSL/TLS modes the edge presents a client certificate to an origin."""

from __future__ import annotations

PRESENTING_SSL_MODES = frozenset({"full", "strict", "origin_pull"})
"""`off` and `flexible` speak plaintext, and a mode that is not known here may
(facts: cloudflare#ssl-modes)."""
