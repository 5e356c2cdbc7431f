"""What is done at Cloudflare: which call, at which priority, what is forgotten afterwards, and what a refusal leaves as it was.

The client is the real one over answers of the test; the cluster is a stand-in that holds one
Secret.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from aop import pki
from aop.api import AuthenticatedOriginPull, Status
from aop.cloudflare import (
    AlreadyExists,
    CertificateUnlisted,
    CloudflareError,
    Ineffective,
    Priority,
    QuotaReached,
    Unavailable,
)
from aop.cluster import Cluster
from aop.errors import AopError
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observed import ENABLED, Evidence
from aop.perform import Performer
from aop.steps import Delete, Effect, SetEnabled, Upload
from builders import KEY, NOW, UID, evidence, observed, spec
from cloudflare_api import (
    AOP,
    CERTIFICATE_ID,
    ZONE_ID,
    Script,
    StoppedClock,
    access,
    certificate,
    client,
    failed,
    html,
    ok,
)
from issued import ISSUED, OneSecret

PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
LEAF = ISSUED.leaf
ONE = f"{AOP}/{CERTIFICATE_ID}"
UPLOAD, DELETE = (
    Upload(ZONE_ID, LEAF.pin),
    Delete(ZONE_ID, CERTIFICATE_ID, LEAF.pin, "the object is being removed"),
)
ENABLE = SetEnabled(ZONE_ID, enabled=True, why="leaf is active")


LOOKS = {deleting: observed(object={"deleting": deleting}) for deleting in (False, True)}


class PerformingWorld:
    """One object's memory, and a performer over a client that plays a script."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.clock, self.script = StoppedClock(), Script(answers)
        self.memory = Memory()
        self.memory.cloudflare.access = access(Priority.RESYNC)
        self.memory.evidence = {"example.com": evidence()}
        self._performer = Performer(
            cast("Cluster", OneSecret()),
            cast("OriginKeepers", None),
            cast("Secrets", None),
            client(self.script, self.clock),
            self.clock,
        )

    async def perform(self, step: Effect, *, deleting: bool = False) -> CloudflareError | None:
        """Carry it out; the exception that it ended in, if it is the client's."""
        try:
            await self._performer.perform(step, LOOKS[deleting], PULL, self.memory)
        except CloudflareError as error:
            return error
        return None

    @property
    def proof(self) -> Evidence:
        return self.memory.evidence["example.com"]


@pytest.mark.asyncio
async def test_an_upload_is_followed_by_its_id() -> None:
    world = PerformingWorld({f"POST {AOP}": ok(certificate(LEAF.pem, status="pending_deployment"))})
    assert await world.perform(UPLOAD) is None
    assert list(world.memory.cloudflare.known) == [CERTIFICATE_ID]
    assert world.proof.count == 0, "proofs begin again"


@pytest.mark.parametrize(
    ("step", "answers"),
    [
        (UPLOAD, {f"POST {AOP}": failed(400, 1212)}),
        (UPLOAD, {f"POST {AOP}": failed(409)}),
        (UPLOAD, {f"POST {AOP}": failed(429)}),
        (UPLOAD, {f"POST {AOP}": failed(400, 1406)}),
        (ENABLE, {f"PUT {AOP}/settings": failed(422)}),
        (DELETE, {f"GET {ONE}": html(502)}),
        (DELETE, {f"GET {ONE}": ok(certificate(LEAF.pem)), f"DELETE {ONE}": failed(409)}),
    ],
)
@pytest.mark.asyncio
async def test_a_refusal_begins_no_proof_again(step: Effect, answers: dict[str, Any]) -> None:
    world = PerformingWorld(answers)
    before = world.proof
    for _ in range(3):
        assert await world.perform(step) is not None
    assert (world.proof, world.memory.cloudflare.changed_at) == (before, None)


@pytest.mark.parametrize("answer", [html(502), failed(503), httpx.ReadTimeout("slow"), ok(None)])
@pytest.mark.asyncio
async def test_a_lost_answer_begins_proofs_again_once_and_not_at_every_visit(
    answer: httpx.Response | Exception,
) -> None:
    world = PerformingWorld({f"POST {AOP}": answer})
    assert isinstance(await world.perform(UPLOAD), Unavailable)
    assert world.proof.count == 0
    world.memory.evidence = {"example.com": evidence()}
    error = await world.perform(UPLOAD)
    assert isinstance(error, Unavailable)
    assert not error.asked
    assert world.proof == evidence(), "nothing was sent the second time"


@pytest.mark.asyncio
async def test_a_quota_that_is_reached_sends_the_key_once_and_says_it_at_every_visit() -> None:
    world = PerformingWorld({f"POST {AOP}": failed(400, 1212)})
    for _ in range(14):
        assert isinstance(await world.perform(UPLOAD), QuotaReached)
        world.clock.at_s += 2
    assert len(world.script.requests) == 1


@pytest.mark.asyncio
async def test_what_is_said_to_exist_makes_the_list_be_read_again_once_per_upload() -> None:
    world = PerformingWorld({f"POST {AOP}": failed(400, 1406)})
    world.memory.cloudflare.listed.keep((), NOW)
    assert isinstance(await world.perform(UPLOAD), AlreadyExists)
    assert world.memory.cloudflare.listed.last is None
    world.memory.cloudflare.listed.keep((), NOW)
    assert isinstance(await world.perform(UPLOAD), AlreadyExists)
    assert world.memory.cloudflare.listed.last is not None


@pytest.mark.asyncio
async def test_an_upload_that_comes_back_under_its_old_id_is_no_longer_gone() -> None:
    world = PerformingWorld({f"POST {AOP}": ok(certificate(LEAF.pem))})
    world.memory.cloudflare.gone = {CERTIFICATE_ID: LEAF.pin.sha256}
    assert await world.perform(UPLOAD) is None
    assert (list(world.memory.cloudflare.known), world.memory.cloudflare.gone) == (
        [CERTIFICATE_ID],
        {},
    )


@pytest.mark.asyncio
async def test_one_that_is_said_to_exist_is_looked_for_under_the_id_that_it_had() -> None:
    """The upload before had brought it back, and its answer was lost; the list goes on showing the old view."""
    world = PerformingWorld(
        {f"POST {AOP}": failed(400, 1406), f"GET {ONE}": ok(certificate(LEAF.pem))}
    )
    world.memory.cloudflare.gone = {CERTIFICATE_ID: LEAF.pin.sha256, "of-another-leaf": "f" * 64}
    assert await world.perform(UPLOAD) is None
    assert (list(world.memory.cloudflare.known), world.memory.cloudflare.gone) == (
        [CERTIFICATE_ID],
        {"of-another-leaf": "f" * 64},
    )


@pytest.mark.parametrize("answer", [failed(404, 1552), ok(certificate(LEAF.pem, status="deleted"))])
@pytest.mark.asyncio
async def test_a_tombstone_stays_one(answer: httpx.Response) -> None:
    world = PerformingWorld({f"POST {AOP}": failed(400, 1406), f"GET {ONE}": answer})
    world.memory.cloudflare.gone = {CERTIFICATE_ID: LEAF.pin.sha256}
    assert isinstance(await world.perform(UPLOAD), AlreadyExists)
    assert (world.memory.cloudflare.known, list(world.memory.cloudflare.gone)) == (
        {},
        [CERTIFICATE_ID],
    )


@pytest.mark.large
@pytest.mark.parametrize(
    ("certificate_of", "remedy"),
    [({}, "aop-operator.dev/rotate"), ({"secretRef": {"name": "mine"}}, "Secret edge/mine")],
)
@pytest.mark.asyncio
async def test_a_certificate_that_is_never_shown_ends_in_a_reason_and_a_bounded_number_of_uploads(
    certificate_of: dict[str, Any], remedy: str
) -> None:
    world = PerformingWorld({f"POST {AOP}": failed(400, 1406)})
    pull = replace(PULL, spec=spec(certificate=certificate_of)) if certificate_of else PULL
    errors = []
    for _ in range(1800):
        with pytest.raises(CloudflareError) as caught:
            await world._performer.perform(UPLOAD, LOOKS[False], pull, world.memory)
        errors.append(caught.value)
        world.clock.at_s += 2
    assert len(world.script.requests) <= 20
    assert isinstance(errors[0], AlreadyExists), "the list may only lag"
    assert all(isinstance(error, AlreadyExists) for error in errors[:30])
    assert all(
        isinstance(error, CertificateUnlisted) and remedy in error.message for error in errors[60:]
    )


@pytest.mark.parametrize(
    ("step", "answers", "most"),
    [
        pytest.param(
            UPLOAD,
            {f"POST {AOP}": ok(certificate(LEAF.pem, status="initializing"))},
            25,
            id="an upload that vanishes",
        ),
        pytest.param(
            DELETE,
            {f"GET {ONE}": ok(certificate(LEAF.pem)), f"DELETE {ONE}": ok(certificate(LEAF.pem))},
            50,
            id="a deletion",
        ),
        pytest.param(
            DELETE,
            {f"GET {ONE}": ok(certificate(LEAF.pem)), f"DELETE {ONE}": failed(400, 1414)},
            50,
            id="one that is said to be done",
        ),
        pytest.param(
            ENABLE,
            {f"PUT {AOP}/settings": ok({"enabled": True})},
            25,
            id="an enablement that somebody takes back",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_change_that_is_accepted_over_and_over_without_effect_is_said_and_wanted_less_and_less_often(
    step: Effect, answers: dict[str, Any], most: int
) -> None:
    world = PerformingWorld(answers)
    errors = []
    for _ in range(720):
        errors.append(await world.perform(step))
        world.clock.at_s += 5
    assert len(world.script.requests) <= most
    assert errors[:5] == [None] * 5, "whoever tries something out does it a few times"
    assert all(
        isinstance(error, Ineffective) and "has accepted this change" in error.message
        for error in errors[-12:]
        if error
    )
    assert sum(error is None for error in errors) <= 25


@pytest.mark.asyncio
async def test_a_protecting_change_without_effect_is_tried_every_minute() -> None:
    world = PerformingWorld({f"PUT {AOP}/settings": ok({"enabled": True})})
    for _ in range(600):
        await world.perform(replace(ENABLE, enabled=False))
        world.clock.at_s += 2
    before = len(world.script.requests)
    for _ in range(600):
        await world.perform(replace(ENABLE, enabled=False))
        world.clock.at_s += 2
    assert 18 <= len(world.script.requests) - before <= 21


@pytest.mark.asyncio
async def test_what_is_done_over_and_over_by_a_person_is_done() -> None:
    world = PerformingWorld({f"PUT {AOP}/settings": ok({"enabled": True})})
    for _ in range(50):
        assert await world.perform(ENABLE) is None
        world.clock.at_s += 600


@pytest.mark.asyncio
async def test_what_is_refused_is_not_looked_at_before_its_time_either() -> None:
    deleting = PerformingWorld(
        {f"GET {ONE}": ok(certificate(LEAF.pem)), f"DELETE {ONE}": failed(403, 1234)}
    )
    setting = PerformingWorld({f"PUT {AOP}/settings": failed(400, 9999)})
    setting.memory.cloudflare.enabled.keep(value=False, at=NOW)
    for _ in range(720):
        assert await deleting.perform(DELETE) is not None
        assert await setting.perform(ENABLE) is not None
        deleting.clock.at_s += 5
    assert len(deleting.script.requests) <= 80
    assert len(setting.script.requests) == 1
    assert setting.memory.cloudflare.enabled.last is None, "it was asked"
    setting.memory.cloudflare.enabled.keep(value=False, at=NOW)
    await setting.perform(ENABLE)
    assert setting.memory.cloudflare.enabled.last is not None, "it was not"


@pytest.mark.asyncio
async def test_only_what_was_decided_on_is_deleted() -> None:
    other = pki.throwaway(NOW).leaf
    world = PerformingWorld({f"GET {ONE}": ok(certificate(other.pem))})
    with pytest.raises(AopError, match="is not leaf"):
        await world._performer.perform(DELETE, observed(), PULL, world.memory)
    assert [call for call in world.script.calls if call.startswith("DELETE")] == []


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.asyncio
async def test_the_enablement_is_read_again_after_it_was_set(enabled: bool) -> None:
    world = PerformingWorld({f"PUT {AOP}/settings": ok({"enabled": enabled})})
    world.memory.cloudflare.enabled.keep(not enabled, NOW)
    assert await world.perform(replace(ENABLE, enabled=enabled)) is None
    assert world.memory.cloudflare.enabled.last is None


# --- what a removal is to know of refusals ---------------------------------------------------------------------------------


DISABLE = SetEnabled(ZONE_ID, enabled=False, why="as it was found")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "refused", "answered", "what"),
    [
        (
            DISABLE,
            {f"PUT {AOP}/settings": failed(403)},
            {f"PUT {AOP}/settings": ok({"enabled": False})},
            ENABLED,
        ),
        (
            DISABLE,
            {f"PUT {AOP}/settings": html(502)},
            {f"PUT {AOP}/settings": ok({"enabled": False})},
            ENABLED,
        ),
        (DELETE, {f"GET {ONE}": failed(403)}, {f"GET {ONE}": failed(404, 1551)}, CERTIFICATE_ID),
        (
            DELETE,
            {f"GET {ONE}": ok(certificate(LEAF.pem)), f"DELETE {ONE}": failed(400, 1434)},
            {f"GET {ONE}": failed(404, 1551)},
            CERTIFICATE_ID,
        ),
    ],
)
async def test_a_change_that_was_not_carried_out_is_known_until_it_is(
    step: Effect, refused: dict[str, Any], answered: dict[str, Any], what: str
) -> None:
    world = PerformingWorld(refused)
    assert await world.perform(step, deleting=True) is not None
    assert list(world.memory.cloudflare.refused) == [what]
    again = PerformingWorld(answered)
    again.memory.cloudflare.refused = {what: "as before", "another": "refused as well"}
    assert await again.perform(step, deleting=True) is None
    assert list(again.memory.cloudflare.refused) == ["another"]


@pytest.mark.asyncio
async def test_a_call_that_waits_its_turn_among_our_own_was_refused_by_nobody() -> None:
    world = PerformingWorld({f"PUT {AOP}/settings": failed(429)})
    assert await world.perform(DISABLE, deleting=True) is not None
    assert list(world.memory.cloudflare.refused) == [ENABLED], "Cloudflare has refused it"
    world.memory.cloudflare.refused.clear()
    error = await world.perform(DISABLE, deleting=True)
    assert error is not None
    assert error.failure is None, "it was not even asked"
    assert world.memory.cloudflare.refused == {}


# --- readings from before ----------------------------------------------------------------------------------------------


async def never(zone: Any) -> Any:
    """A reading that does not end by itself."""
    await asyncio.Event().wait()
    return zone


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "stands"),
    [(ok({"enabled": True}), False), (html(502), False), (failed(403, 10000), True)],
    ids=["done", "the answer is lost", "refused"],
)
async def test_no_reading_from_before_a_change_of_ours_is_decided_on_after_it(
    answer: httpx.Response, stands: bool
) -> None:
    """With a Cloudflare that took 3 s for each GET the zone was enabled three times, and two certificates uploaded."""
    world = PerformingWorld({f"PUT {AOP}/settings": answer})
    before = observed().zone
    reading = asyncio.create_task(never(before))
    world.memory.zone, world.memory.zone_task = before, reading
    await world.perform(ENABLE)
    await asyncio.sleep(0)
    assert (world.memory.zone is before, world.memory.zone_task is reading) == (stands, stands)
    assert reading.cancelled() is not stands
    reading.cancel()
