"""Origin kinds, and the claims that objects make on them.

`aop.plan` decides only in terms of `Mode`, `Pin` and `Claim`. A kind's package turns claims into
the fields of the objects by which the kind is configured, and those objects back into claims.
"""
