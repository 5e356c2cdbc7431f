"""One key of the ConfigMap, taken apart.

Our block, and the text of others around it, which is kept byte for byte. The place of our block is
part of its meaning. In `http{}` it comes after the others' text, because of several
`ssl_session_cache` the last one counts. In `server{}` it comes before, where a `break` or `rewrite
… last` of theirs would otherwise skip our refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.origins.ingress_nginx.residue import find, same_to_nginx
from aop.origins.ingress_nginx.syntax import BLANKS
from aop.origins.ingress_nginx.text import HTTP, KEYS, render
from aop.terms import Claim, Mode
from aop.terms.names import FIELD_MANAGER


@dataclass(frozen=True, slots=True)
class Writer:
    """A field manager other than ours that owns a key of the ConfigMap.

    It wrote what is there, and puts it back if it is a tool.
    """

    manager: str
    """Its name, as it gave it itself: `helm`, `argocd-controller`, `kubectl-edit`."""
    at: datetime | None = None
    """When it last wrote anything that it owns in the ConfigMap; None if the API server does not
    say."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """What stands in one key."""

    text: str | None
    """All of it; None when the key is absent."""
    foreign: str = ""
    """The text without what is ours: the bytes that somebody else put there."""
    intact: bool = False
    """Whether our block, and nothing else of ours, is in it, and says to nginx what is expected."""
    ours: bool = False
    """Whether something of ours is in it, even if damaged or of another revision."""
    misplaced: bool = False
    """Whether others' text has come to be on the wrong side of our block; the next write corrects
    that."""
    revision: int = 0
    """The highest revision that our text names; 0 if there is none."""
    writers: tuple[Writer, ...] = ()
    """Who else owns the key; the last one to write comes first."""

    @property
    def last_writer(self) -> Writer | None:
        """Who else wrote the key last, and still owns it.

        That is whom to name if ours was taken out or put back.
        """
        return self.writers[0] if self.writers else None

    @property
    def owners(self) -> tuple[str, ...]:
        """The names of `writers`, sorted."""
        return tuple(sorted({writer.manager for writer in self.writers}))

    @property
    def overwritten(self) -> bool:
        """Whether somebody else owns the key, and nothing in it is ours.

        They will not expect our text there, even if it is empty.
        """
        return bool(self.writers) and not self.ours


def take_apart(
    config_map: Mapping[str, Any], blocks: Mapping[str, str], *, newline_added: bool
) -> dict[str, Snippet]:
    """Every key of `KEYS`.

    `blocks` is what is expected there; `newline_added` tells that the newline before our block is
    ours.
    """
    data: Mapping[str, str] = config_map.get("data") or {}
    return {
        key: _snippet(
            key,
            data.get(key),
            blocks.get(key),
            _writers(config_map, key),
            newline_added=newline_added,
        )
        for key in KEYS
    }


def put_together(key: str, foreign: str, block: str) -> str:
    """The whole text of a key: the others' text and our block in their places."""
    if key != HTTP:
        return block + foreign
    return foreign + ("\n" if needs_newline(foreign) else "") + block


def needs_newline(foreign: str) -> bool:
    """Whether the others' text ends within a line.

    A comment there would swallow our first line.
    """
    return bool(foreign) and not foreign.endswith("\n")


def _snippet(
    key: str,
    text: str | None,
    block: str | None,
    writers: tuple[Writer, ...],
    *,
    newline_added: bool,
) -> Snippet:
    if text is None:
        return Snippet(None, writers=writers)
    residue = find(text, _ANY[key] + (block or ""))
    if not residue.spans:
        return Snippet(text, foreign=text, writers=writers)
    edges = [0, *(edge for span in residue.spans for edge in (span.start, span.end)), len(text)]
    before, *between, after = (
        text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)
    )
    last = not "".join((*between, after)).strip(BLANKS)
    if key == HTTP and newline_added and last:
        before = before.removesuffix("\n").removesuffix("\r")
    foreign = "".join((before, *between, after))
    return Snippet(
        text,
        foreign=_snippet(
            key, foreign, block, (), newline_added=False
        ).foreign,  # what has only now come together may be ours as well
        intact=block is not None
        and residue.block is not None
        and same_to_nginx(residue.block, block),
        ours=True,
        misplaced=not last if key == HTTP else bool(before.strip(BLANKS)),
        revision=residue.revision,
        writers=writers,
    )


_ANY = render([Claim("any", "any/any", "any.invalid", (), Mode.REQUEST)], 1, "0" * 8)
"""What is known of a block of ours if nothing says what is in it."""


def _writers(config_map: Mapping[str, Any], key: str) -> tuple[Writer, ...]:
    entries = (config_map.get("metadata") or {}).get("managedFields") or ()
    writers = {
        Writer(str(entry.get("manager", "")), _moment(entry.get("time")))
        for entry in entries
        if f"f:{key}" in ((entry.get("fieldsV1") or {}).get("f:data") or {})
        and entry.get("manager") not in {FIELD_MANAGER, "", None}
    }
    return tuple(
        sorted(
            writers,
            key=lambda writer: (
                writer.at is None,
                -writer.at.timestamp() if writer.at else 0.0,
                writer.manager,
            ),
        )
    )


def _moment(time: object) -> datetime | None:
    try:
        return datetime.fromisoformat(time) if isinstance(time, str) else None
    except ValueError:
        return None
