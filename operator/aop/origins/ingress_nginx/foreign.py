"""What other people's settings in the ConfigMap forbid.

The answer is one sentence that says what to do about it. The question is asked before anything is
planned, and again when writing, because the text may have changed in between. `ingresses` says what
other people's Ingresses forbid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aop.origins.ingress_nginx.lint import objection, pages_in
from aop.origins.ingress_nginx.options import Options
from aop.origins.ingress_nginx.snippets import Snippet
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.syntax import BLANKS
from aop.terms import ObjectKey

_CONSENT = "Remove it there, or keep it around the operator's block: write `foreignText: Merge` into the origin's ingressNginx in spec.origins"


def objections(
    config_map: Mapping[str, Any], snippets: Mapping[str, Snippet], policy: ForeignText
) -> str | None:
    """Everything in the ConfigMap with which our text must not be combined.

    As sentences; None if nothing is in the way. `snippets` is the ConfigMap taken apart
    (`stored.Stored.snippets`). A key counts as somebody else's if it contains text that is not
    ours, or if another field manager owns it and nothing of ours is in it: Helm and GitOps tools
    put back what they own, even "".
    """
    options = Options.read(config_map)
    if policy is ForeignText.REFUSE:
        sentences = [
            sentence for key, snippet in snippets.items() if (sentence := _refused(key, snippet))
        ]
    else:
        pages = pages_in(snippet.foreign for snippet in snippets.values())
        flushed = options.session_cache_size is not None
        objected = {
            key: objection(snippet.foreign, key, pages=pages, flushed=flushed)
            for key, snippet in snippets.items()
        }
        sentences = [
            f"the text around the operator's in {key} cannot be kept: {why}"
            for key, why in objected.items()
            if why
        ]
    if config_map.get("immutable"):
        sentences.append(
            "it is immutable, so the operator cannot write into it. Replace it by one that is not"
        )
    if options.lasting_tickets:
        sentences.append(
            "ssl-session-tickets with a fixed ssl-session-ticket-key keeps TLS sessions alive for ever, so Cloudflare would go on "
            "using those from before a change, without a certificate. Remove ssl-session-ticket-key or set ssl-session-tickets to false"
        )
    return f"ConfigMap {name_of(config_map)}: {'; '.join(sentences)}" if sentences else None


def name_of(config_map: Mapping[str, Any]) -> ObjectKey:
    """Where it is, for messages."""
    metadata = config_map.get("metadata") or {}
    return ObjectKey(metadata.get("namespace", ""), metadata.get("name", ""))


def _refused(key: str, snippet: Snippet) -> str | None:
    owned = f", owned by {', '.join(snippet.owners)}" if snippet.owners else ""
    if snippet.foreign.strip(BLANKS):
        return (
            f"{key} holds somebody else's text ({_first_line(snippet.foreign)}{owned}). {_CONSENT}"
        )
    if snippet.overwritten:
        return f"{key} belongs to {', '.join(snippet.owners)}, which will put back what it wrote there. {_CONSENT}"
    return None


def _first_line(text: str) -> str:
    """Enough of somebody's text to find it again.

    Never all of it, because it may be long, and may be nobody's business.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = repr(lines[0][:40])
    match len(lines) - 1:
        case 0:
            return first
        case 1:
            return f"{first} and 1 more line"
        case more:
            return f"{first} and {more} more lines"
