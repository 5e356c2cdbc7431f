"""When the controller tries: its rate limit, its back-off, and the counter that a repair does not reset (facts: ingress-nginx#back-off)."""

import asyncio

import pytest

from sandbox.ingress_nginx.syncs import ALWAYS, RETRY, Order, SyncQueue, TokenBucket, backoff


class MovedClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def test_an_idle_controller_syncs_at_once_and_the_next_sync_waits_over_three_seconds() -> None:
    bucket = TokenBucket()
    assert bucket.reserve(10.0) == 0
    assert bucket.reserve(10.0) == pytest.approx(1 / 0.3)
    assert bucket.reserve(10.0) == pytest.approx(2 / 0.3)


def test_a_token_comes_back_and_does_not_pile_up() -> None:
    bucket = TokenBucket()
    bucket.reserve(10.0)
    assert bucket.reserve(1000.0) == 0
    assert bucket.reserve(1000.0) > 0


def test_the_back_off_doubles_up_to_a_thousand_seconds() -> None:
    assert [backoff(failures) for failures in (1, 2, 11, 12)] == [0.005, 0.01, 5.12, 10.24]
    assert backoff(40) == 1000


async def due(queue: SyncQueue) -> Order | None:
    """The next order if there is one now."""
    try:
        async with asyncio.timeout(0):
            return await queue.get()
    except TimeoutError:
        return None


@pytest.mark.asyncio
async def test_a_wish_is_settled_by_a_sync_that_began_after_it(clock: MovedClock) -> None:
    queue = SyncQueue(clock)
    queue.put("web/one", skippable=True)
    first = await queue.get()
    queue.put("web/two", skippable=True)
    clock.now += 1
    queue.succeeded(first, begun=clock.now)
    assert await due(queue) is None


@pytest.mark.asyncio
async def test_a_wish_from_during_a_sync_is_not_settled_by_it(clock: MovedClock) -> None:
    queue = SyncQueue(clock)
    queue.put("web/one", skippable=True)
    first, begun = await queue.get(), clock.now
    clock.now += 1
    queue.put("web/two", skippable=True)
    queue.succeeded(first, begun=begun)
    wishes = await due(queue)
    assert wishes is not None
    assert wishes.key == "web/two"


@pytest.mark.asyncio
async def test_a_configmap_change_is_never_skipped(clock: MovedClock) -> None:
    queue = SyncQueue(clock)
    queue.put("configmap-change", skippable=False)
    queue.succeeded(Order("web/one", ALWAYS), begun=clock.now + 1)
    assert await due(queue) == Order("configmap-change", ALWAYS)


@pytest.mark.asyncio
async def test_a_failed_order_comes_back_after_its_back_off(clock: MovedClock) -> None:
    queue = SyncQueue(clock)
    queue.put("configmap-change", skippable=False)
    delay = queue.failed(await queue.get())
    assert delay == 0.005
    assert await due(queue) is None
    clock.now += delay
    assert await due(queue) == Order("configmap-change", RETRY)


@pytest.mark.asyncio
async def test_a_repair_by_a_new_write_leaves_the_next_bad_text_with_late_tries(
    clock: MovedClock,
) -> None:
    queue = SyncQueue(clock)
    queue.put("configmap-change", skippable=False)
    order = await queue.get()
    for _ in range(10):
        clock.now += queue.failed(order)
        order = await queue.get()
    queue.put("configmap-change", skippable=False)
    queue.succeeded(await queue.get(), begun=clock.now)
    assert queue.failed(order) == backoff(11)


@pytest.mark.asyncio
async def test_a_retry_that_succeeds_forgets_the_failures(clock: MovedClock) -> None:
    queue = SyncQueue(clock)
    queue.put("configmap-change", skippable=False)
    clock.now += queue.failed(await queue.get())
    queue.succeeded(await queue.get(), begun=clock.now)
    assert queue.failed(Order("configmap-change", ALWAYS)) == backoff(1)


@pytest.mark.asyncio
async def test_a_waiting_loop_wakes_for_a_new_wish(clock: MovedClock) -> None:
    queue = SyncQueue(clock)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put("web/one", skippable=True)
    async with asyncio.timeout(5):
        assert (await waiting).key == "web/one"
