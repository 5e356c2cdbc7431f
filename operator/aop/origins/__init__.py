"""Origin kinds: what each can be asked to do, and the claims that objects make on them.

`aop.plan` decides in terms of `Mode`, `Pin` and `Claim` only; a kind's module turns claims into the fields of the objects that
the kind is configured by, and those objects back into claims. Adding a kind is one module here and one row in `KINDS`.
"""

from aop.origins.claims import Claim, Mode, ObjectKey, Pin, covers

__all__ = ["Claim", "Mode", "ObjectKey", "Pin", "covers"]
