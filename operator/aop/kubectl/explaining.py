"""`kubectl aop explain`: a reason in a condition, from the table of reasons. Pure."""

from __future__ import annotations

from difflib import get_close_matches

from aop.kubectl.wording import Colour, Paint, labelled, paragraph
from aop.reasons import Fault, Reason

CAUSES = {
    Fault.USER: "whoever owns the object and the Secrets that it names",
    Fault.CLOUDFLARE: "what is set, missing or in the way at Cloudflare",
    Fault.CLUSTER: "the origins, what configures them, their pods, and what others have put there",
    Fault.OPERATOR: "the operator: a bug",
    Fault.NOBODY: "nobody: it passes by itself, or is how things should be",
}
"""Where the cause lies, and so who can end it."""
_BY_NAME = {reason.value.casefold(): reason for reason in Reason}


def named(word: str) -> Reason | None:
    """The reason of that name, however its letters are written."""
    return _BY_NAME.get(word.casefold())


def unknown(word: str) -> str:
    """What to say about a word that is no reason."""
    close = [_BY_NAME[name].value for name in get_close_matches(word.casefold(), _BY_NAME)]
    guess = f"Did you mean {' or '.join(close)}?" if close else "None is spelled like it."
    return f"{word} is no reason of a condition. {guess} `kubectl aop explain` lists all"


def explained(reason: Reason, paint: Paint) -> list[str]:
    """One reason: what it means, where its cause lies, what to do."""
    return [
        paint(reason.value, Colour.STRONG),
        *labelled("means", plainly(reason.meaning), 9),
        *labelled("cause", f"{CAUSES[reason.fault]}.", 9),
        *labelled("to do", f"{plainly(reason.remedy)}.", 9),
    ]


def listed(paint: Paint) -> list[str]:
    """Every reason with its meaning, under where its cause lies."""
    lines: list[str] = []
    longest = max(map(len, Reason)) + 2
    for fault in Fault:
        lines += [paint(f"Cause: {CAUSES[fault]}", Colour.STRONG)]
        for reason in Reason:
            if reason.fault is fault:
                lines += labelled(reason.value, plainly(reason.meaning), longest)
        lines.append("")
    return [*lines, *paragraph("`kubectl aop explain REASON` says what to do about one.")]


def plainly(text: str) -> str:
    """A sentence of the table without its marks for emphasis."""
    return text.replace("*", "")
