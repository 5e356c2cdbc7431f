"""Origin kinds: what each can be asked to do, and the claims that objects make on them.

`aop.plan` decides in terms of `Mode`, `Pin` and `Claim` only; a kind's package turns claims into the fields of the objects that the kind is
configured by, and those objects back into claims. Adding a kind is one package here and one row in `KINDS`.
"""

from aop.origins.capabilities import Capabilities, Refusal, WithoutTrust
from aop.origins.claims import Claim, Mode, ObjectKey, Pin, covers

KINDS: dict[str, Capabilities] = {
    # An idle connection is closed by the reload, a busy one before its next request (facts: ingress-nginx#connections-at-a-reload). Without a pin the
    # text refuses nobody; without the text neither does nginx.
    "ingressNginx": Capabilities(
        modes=frozenset(Mode),
        per_host=True,
        several_pins=True,
        refusal=Refusal.BAD_REQUEST,
        drops_old_connections=True,
        without_trust=WithoutTrust.SERVES,
    ),
}
"""What each origin kind can do, by its name in the resource."""

__all__ = ["KINDS", "Capabilities", "Claim", "Mode", "ObjectKey", "Pin", "Refusal", "WithoutTrust", "covers"]
