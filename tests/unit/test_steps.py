"""Each step's plain line: what the log, Events and the demo show to a person."""

from __future__ import annotations

from typing import get_args

import pytest

from aop import steps
from aop.errors import Reason
from aop.observed import Record
from aop.origins.sites import Rollout
from aop.steps import (
    Block,
    Delete,
    Done,
    Issue,
    Note,
    Promote,
    Publish,
    RollOut,
    SetEnabled,
    Step,
    Upload,
    Wait,
    Withdraw,
)
from aop.terms import Kind, Mode, ObjectKey
from builders import ASKING, LEAF, NEXT, REQUIRING, TARGET, ZONE_ID, at, claim

LINES: list[tuple[Step, str]] = [
    (
        Note(Record(), "leaf 9f is about to be uploaded"),
        "record on the object: leaf 9f is about to be uploaded",
    ),
    (Issue("first"), "generate the key pair"),
    (Issue("next"), "generate the next key pair beside the one in use"),
    (Promote(NEXT), f"make leaf {NEXT.short} the one in use"),
    (
        Publish("public", TARGET, REQUIRING, "2 of 2 hosts are proven"),
        f"set origin public to mode Require for example.com, www.example.com, trusting leaf {LEAF.short}, because 2 of 2 hosts are proven",
    ),
    (
        Publish("public", TARGET, ASKING, "why"),
        f"set origin public to mode Request (it refuses no visitors), trusting leaf {LEAF.short}, because why",
    ),
    (
        Publish("public", TARGET, claim(Mode.OFF, (), ()), "why"),
        "set origin public to mode Off (it refuses no visitors), because why",
    ),
    (Withdraw("public", TARGET), "remove its configuration from origin public"),
    (
        RollOut("public", TARGET, Rollout(Kind.DEPLOYMENT, ObjectKey("web", "frontend"), {})),
        "replace the pods of Deployment web/frontend, so that origin public reads its new configuration",
    ),
    (
        RollOut(
            "public",
            TARGET,
            Rollout(Kind.DEPLOYMENT, ObjectKey("web", "frontend"), {}, leaving=True),
        ),
        "replace the pods of Deployment web/frontend, so that origin public runs without the operator's configuration",
    ),
    (Upload(ZONE_ID, LEAF), f"upload leaf {LEAF.short} to Cloudflare"),
    (Delete(ZONE_ID, "id", LEAF, "why"), f"delete leaf {LEAF.short} from Cloudflare, because why"),
    (
        SetEnabled(ZONE_ID, enabled=True, why="why"),
        "enable Authenticated Origin Pulls on the zone, because why",
    ),
    (
        SetEnabled(ZONE_ID, enabled=False, why="why"),
        "disable Authenticated Origin Pulls on the zone, because why",
    ),
    (Wait(Reason.PROGRESSING, "something is moving", 5.0, at(-3)), "waits: something is moving"),
    (
        Block(Reason.ZONE_NOT_FOUND, "the token sees no zone"),
        "blocked (ZoneNotFound): the token sees no zone",
    ),
    (Done(), "done"),
    (Done("two certificates"), "done, leaving behind: two certificates"),
]


@pytest.mark.parametrize(("step", "line"), LINES, ids=[line for _, line in LINES])
def test_a_step_is_told_in_one_plain_line(step: Step, line: str) -> None:
    assert str(step) == line


def test_every_step_has_a_line_here() -> None:
    assert {type(step) for step, _ in LINES} == {*get_args(steps.Effect), *get_args(steps.Pause)}
