"""Origin kinds, and the claims that objects make on them.

`aop.plan` decides in terms of `Mode`, `Pin` and `Claim` only; a kind's package turns claims into
the fields of the objects that the kind is configured by, and those objects back into claims.
"""
