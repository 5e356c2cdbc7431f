"""What an origin cannot do is not asked of it, and what it does not do is not waited for.

Each rule that asks for a capability, with both of its values.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.errors import Reason
from aop.observed import NONE, Arrival, HostBehaviour, Observed
from aop.origins.kind import Capabilities
from aop.plan import next_step
from aop.plan.claims import until_applied
from aop.steps import Note, Publish, Wait
from aop.terms import Claim, Mode
from builders import (
    APEX,
    ASKING,
    LEAF,
    NOW,
    OFF,
    REQUIRING,
    WWW,
    at,
    certificate,
    evidence,
    observed,
    origin,
    pin,
    replica,
)


def expired(was: Claim, capabilities: Capabilities) -> Observed:
    """Whose only leaf ends within the minute, and may be presented."""
    leaf = pin("leaf", not_after=NOW + timedelta(seconds=30))
    return observed(
        keys={"leaf": leaf},
        record={"uploaded": (leaf,)},
        origins=[origin(replace(was, pins=(leaf,)), capabilities=capabilities)],
        zone={"certificates": (certificate(leaf),)},
    )


@pytest.mark.parametrize(
    ("was", "refuses_expired", "becomes"),
    [
        (REQUIRING, True, Mode.OFF),
        (ASKING, True, Mode.OFF),
        (REQUIRING, False, Mode.REQUEST),
        (ASKING, False, None),
    ],
)
def test_only_an_origin_that_refuses_what_has_expired_stops_asking(
    was: Claim, refuses_expired: bool, becomes: Mode | None
) -> None:
    step = next_step(expired(was, Capabilities(refuses_expired=refuses_expired)))
    assert (step.claim.mode if isinstance(step, Publish) else None) is becomes


@pytest.mark.parametrize("refuses_expired", [True, False])
def test_asking_waits_for_what_has_expired_only_where_the_origin_would_refuse_it(
    refuses_expired: bool,
) -> None:
    old = pin("retired", not_after=at(30))
    capabilities = Capabilities(refuses_expired=refuses_expired)
    step = next_step(
        observed(
            origins=[origin(OFF, capabilities=capabilities)],
            record={"uploaded": tuple(sorted((LEAF, old)))},
            evidence=[evidence(host, NONE) for host in (APEX, WWW)],
            still=False,
        )
    )
    if refuses_expired:
        assert isinstance(step, Wait)
        assert step.reason is Reason.WAITING_FOR_CLOUDFLARE
    else:
        assert isinstance(step, Publish)
        assert step.claim.mode is Mode.REQUEST


@pytest.mark.parametrize("asks_per_host", [True, False])
@pytest.mark.parametrize(
    ("wanted", "apex"), [(OFF, Mode.REQUEST), (ASKING, Mode.OFF)], ids=["asked", "not asked"]
)
def test_only_where_asking_is_one_switch_may_a_neighbour_have_thrown_it(
    asks_per_host: bool, wanted: Claim, apex: Mode
) -> None:
    """Where each host is asked by itself, what it shows has to be what its own claim says."""
    hosts = (HostBehaviour(APEX, apex), HostBehaviour(WWW, Mode.REQUEST))
    running = replace(replica("pod-1", wanted), hosts=hosts)
    capabilities = Capabilities(asks_per_host=asks_per_host)
    wait = until_applied(origin(wanted, replicas=(running,), capabilities=capabilities))
    assert (wait is not None) is asks_per_host
    if wait is not None:
        complaint = f"shows {apex.label} instead of {wanted.mode.label} for {APEX}"
        assert complaint in wait.message


@pytest.mark.parametrize("ends_sessions", [True, False])
def test_an_origin_whose_sessions_no_write_ends_is_never_written_to_end_them(
    ends_sessions: bool,
) -> None:
    held_back = replace(
        evidence(APEX, NONE), fresh=Arrival(at(-295), LEAF.sha256), old_since=at(-290)
    )
    world: dict[str, Any] = {
        "origins": [origin(ASKING, capabilities=Capabilities(ends_sessions=ends_sessions))],
        "evidence": [held_back, evidence(WWW, NONE)],
    }
    noted = next_step(observed(**world))
    step = next_step(observed(**world, record={"flushes": (NOW,)}))
    if ends_sessions:
        assert isinstance(noted, Note)
        assert isinstance(step, Publish)
        assert step.claim == replace(ASKING, flush_count=1)
    else:
        for one in (noted, step):
            assert isinstance(one, Wait)
            assert one.reason is Reason.EDGE_NOT_PROVEN
