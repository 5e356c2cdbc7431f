"""Whether the text that others put into a snippet can stand next to ours; looked at before it is merged.

Called by `foreign`. Text that is cut off, or that leaves a brace or a quote open, would turn our block into something else, and then
`nginx -t` fails for everybody on the controller.
"""

from __future__ import annotations

from aop.origins.ingress_nginx.syntax import read, walk

_CONFLICTING = frozenset({"ssl_client_certificate", "ssl_verify_client", "ssl_verify_depth", "ssl_crl"})


def objection(text: str) -> str | None:
    """Why `text` must not be merged, as the end of a sentence ("line 3 sets …"); None when it may.

    At the level of the snippet itself nobody else may set client certificate verification: a second directive is a duplicate, and in
    `server{}` it clashes with hosts that verify by themselves (reference: ingress-nginx, 1.3). Inside a `server{}` of its own it may.
    """
    found = read(text)
    for depth, statement in walk(found.statements):
        if depth == 0 and statement.words and statement.words[0] in _CONFLICTING:
            return f"line {statement.line} sets {statement.words[0]}, which contradicts ours: remove it"
    return found.fault
