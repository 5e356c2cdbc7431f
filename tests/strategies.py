"""Claims and ConfigMaps for properties of the origin drivers: everything that the resource lets through, and the text of others around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from aop.terms import Claim, Mode, Pin

ZONES = ("example.com", "shop.example.com", "example.org", "xn--bcher-kva.example")
"""The second lies within the first."""
UIDS = ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8", "a")

_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def _label(number: int) -> str:
    """A label of a hostname, of 1 to 22 signs; another one for nearly every number."""
    signs = "_" if number % 5 == 1 else ""
    while number and len(signs) < 22:
        number, sign = divmod(number, len(_SIGNS))
        signs += _SIGNS[sign]
    return signs.strip("-") or "a"


# One draw for a label: a regular expression takes one for each sign, and most of a test's time.
_labels = st.integers(0, 2**112).map(_label)
_moments = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))

pins = st.builds(
    Pin,
    sha256=st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}"),
    sha1=st.integers(0, 2**160 - 1).map(lambda number: f"{number:040x}"),
    not_before=_moments,
    not_after=_moments,
)


_zones = st.sampled_from(ZONES)
_uids = st.sampled_from(UIDS)
_modes = st.sampled_from(Mode)
_flush_counts = st.integers(0, 3)
_pins_of_a_claim = st.lists(pins, max_size=2, unique=True)


def _names(zone: str) -> st.SearchStrategy[str]:
    return st.one_of(st.just(zone), _labels.map(lambda label: f"{label}.{zone}"))


# Made once: Hypothesis checks a strategy when it first draws from it, which takes longer than the draw.
_enforced = {zone: st.lists(_names(zone), max_size=3, unique=True) for zone in ZONES}
_patterns = {
    zone: st.lists(
        st.one_of(_names(zone), st.just(f"*.{zone}")), min_size=1, max_size=4, unique=True
    )
    for zone in ZONES
}


@st.composite
def claims(draw: st.DrawFn, uid: str | None = None) -> Claim:
    """One object's claim on a zone: some hosts, some of them enforced if the mode is one that refuses."""
    zone = draw(_zones)
    mode = draw(_modes)
    return Claim(
        uid=uid or draw(_uids),
        owner="edge/" + draw(_labels),
        zone=zone,
        patterns=tuple(draw(_patterns[zone])),
        mode=mode,
        enforced=tuple(sorted(draw(_enforced[zone]))) if mode >= Mode.OPTIONAL else (),
        pins=tuple(sorted(draw(_pins_of_a_claim))),
        flush_count=draw(_flush_counts),
    )


foreign_texts = st.sampled_from(
    [
        "",
        "gzip on;",
        "gzip on;\n",
        "\n\n",
        "# a comment that ends within its line",
        "server { listen 8080; ssl_verify_client on; }\n",
        'add_header X-Note "a { brace } and a ; in quotes";\nrewrite ^/old(.*)$ /new$1 last;',
        "map $http_a $b {\n    default 1;\n    'x' 2; # {\n}\n",
    ]
)
"""Complete text of others, with and without an end of its last line."""

_keys = st.fixed_dictionaries(
    {},
    optional={
        "http-snippet": foreign_texts,
        "server-snippet": foreign_texts,
        "use-gzip": st.just("true"),
    },
)


_either = st.booleans()


@st.composite
def config_maps(draw: st.DrawFn) -> dict[str, Any]:
    """A controller's ConfigMap as somebody has left it, before anything of ours is in it."""
    metadata: dict[str, Any] = {
        "namespace": "ingress-nginx",
        "name": "controller",
        "resourceVersion": "7",
    }
    if draw(_either):
        metadata["labels"] = {
            "app": "ingress-nginx",
            **({"aop-operator.dev/watch": "false"} if draw(_either) else {}),
        }
    if draw(_either):
        metadata["annotations"] = {"meta.helm.sh/release-name": "ingress"}
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    data = draw(_keys)
    return body | ({"data": data} if data else {})


def _lines(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda block: "".join(change(block.splitlines(keepends=True)))


REFORMATTED: dict[str, Callable[[str], str]] = {
    "as it was": lambda block: block,
    "CRLF": lambda block: block.replace("\n", "\r\n"),
    "indented": _lines(lambda lines: [f"    {line}" for line in lines]),
    "indented with tabs": _lines(lambda lines: [f"\t{line}" for line in lines]),
    "not indented": _lines(lambda lines: [line.lstrip(" ") for line in lines]),
    "blanks at the ends": _lines(lambda lines: [f"{line[:-1]} \t\n" for line in lines]),
    "blank lines between": lambda block: "\n\n".join(block.splitlines()) + "\n",
}
"""What an editor or a tool makes of our block without changing what it says to nginx."""
BROKEN: dict[str, Callable[[str], str]] = {
    "pasted twice": lambda block: block + block,
    "pasted twice, with a blank line": lambda block: f"{block}\n{block}",
    "first marker lost": _lines(lambda lines: lines[1:]),
    "last marker lost": _lines(lambda lines: lines[:-1]),
    "both markers lost": _lines(lambda lines: lines[1:-1]),
    "a line lost": _lines(lambda lines: lines[:2] + lines[3:]),
    "text of theirs within": _lines(lambda lines: [lines[0], "gzip on;\n", *lines[1:]]),
    "twice, the first end lost": _lines(lambda lines: lines[:-1] + lines),
    "twice, the second beginning lost": _lines(lambda lines: lines + lines[1:]),
}
"""What somebody makes of it that it says something else, or that nobody could tell."""
