"""Every reason has its whole row, is given by something, and is told to people where they look for it."""

from __future__ import annotations

import ast
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import reference

from aop import reasons
from aop.observe.look import BLOCKING
from aop.observe.memory import CloudflareMemory
from aop.reasons import NO_ACTION, Fault, Reason
from committed import ROOT, modules, nodes


@cache
def given() -> set[str]:
    """The names of the reasons that the operator's code gives."""
    return {
        node.attr
        for path in modules("operator")
        if path != Path(reasons.__file__)
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Reason"
    }


def test_every_reason_is_given_by_something() -> None:
    unused = sorted(set(Reason.__members__) - given())
    assert unused == [], "no rule returns, and no client raises, what these name"


@pytest.mark.parametrize("reason", Reason)
def test_it_says_what_is_the_matter_and_what_to_do(reason: Reason) -> None:
    assert reason.value == "".join(word.title() for word in reason.name.split("_")).replace(
        "Ssl", "SSL"
    ), "the code is the name"
    assert reason.meaning.endswith(".")
    assert reason.remedy
    assert not reason.remedy.endswith("."), "messages put it at the end of a sentence of theirs"
    assert (reason.remedy == NO_ACTION) == (reason.fault is Fault.NOBODY), (
        "whoever can end it is told how"
    )


def test_no_two_reasons_have_one_meaning() -> None:
    assert len({reason.meaning for reason in Reason}) == len(Reason)


def test_no_remedy_is_written_a_second_time() -> None:
    """A message that says what to do as the row does takes it from the row; else one of the two is forgotten."""
    remedies = {_bare(reason.remedy): reason for reason in Reason if reason.remedy != NO_ACTION}
    again = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {reason}"
        for path in modules("operator")
        if path != Path(reasons.__file__)
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for remedy, reason in remedies.items()
        if remedy in _bare(node.value)
    ]
    assert again == []


def _bare(text: str) -> str:
    """Without the marks that documents have and messages may not."""
    return text.lower().replace("`", "").replace("*", "")


def test_what_is_read_again_soon_is_a_reading_of_cloudflare() -> None:
    readings = {field.name for field in fields(CloudflareMemory)}
    assert {reason: reason.reread - readings for reason in Reason if reason.reread - readings} == {}
    assert {reason: reason.reread for reason in Reason if reason.reread} == BLOCKING


def test_what_the_user_has_to_change_in_the_cluster_is_not_awaited_from_cloudflare() -> None:
    """A reason that is read again at Cloudflare can be ended there or by another spec, never by the controller's administrator."""
    assert {reason.fault for reason in Reason if reason.reread} <= {Fault.USER, Fault.CLOUDFLARE}


def test_the_page_on_the_status_and_the_reference_have_the_rows() -> None:
    page, crd_page = ((ROOT / "docs" / name).read_text() for name in ("status.md", "reference.md"))
    rows = reference.table(("Reason", "Meaning", "Cause", "What to do"), reference.reasons())
    assert reference.troubleshooting() in page, "run `make generate`"
    assert rows in crd_page, "run `make generate`"
