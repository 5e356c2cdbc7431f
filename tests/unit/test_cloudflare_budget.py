"""The budget: at no moment more calls than the share, whoever asks; what matters most goes first; one call too many pauses the user."""

import asyncio
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.cloudflare import Access, Priority, RateLimited, Shares
from aop.cloudflare.budget import Budget
from aop.cloudflare.errors import ApiFailure
from aop.cloudflare.limits import Allowance, read_allowances
from aop.cloudflare.window import Window
from aop.metrics import Metrics, TokenFigures
from cloudflare_api import TOKEN, StoppedClock, access

DEFAULT = Shares()
NUMBERS = count()
SMALL = Shares(calls=20, window_s=10, total=0.5, resync=0.2, protect=0.2)
"""9 in all, of which 7 for ONBOARD and RESYNC, 3 for RESYNC."""


def refusal(retry_after_s: float | None, reset_s: float | None = None) -> ApiFailure:
    return ApiFailure("GET", "/zones", 429, (971,), retry_after_s=retry_after_s, reset_s=reset_s)


def allowance(
    left: int,
    reset_s: float = 100,
    quota: int | None = None,
    window_s: float | None = None,
    name: str = "default",
) -> Allowance:
    return Allowance(name, left, reset_s, quota, window_s)


async def admitted(
    budget: Budget, priority: Priority, *, at_most: int = 2000, token: str = TOKEN
) -> int:
    """How many calls of this priority are let through one after another until one has to wait."""
    for made in range(at_most):
        try:
            async with budget.call(access(priority, token)):
                pass
        except RateLimited:
            return made
    return at_most


async def seconds_to_wait(budget: Budget) -> float:
    """Ask for one RESYNC call; 0: it was admitted."""
    try:
        await budget.admit(access(Priority.RESYNC))
    except RateLimited as limited:
        return limited.retry_after_s or 0
    return 0


def fill(window: Window, priority: Priority, at_s: float = 0) -> int:
    """Take as many calls as the window gives at one moment."""
    taken = 0
    while window.wait_s(at_s, priority) == 0:
        window.take(at_s, priority, next(NUMBERS))
        taken += 1
    return taken


def test_the_default_shares_stay_under_three_quarters_and_under_a_quarter() -> None:
    assert (DEFAULT.allowed(Priority.PROTECT), DEFAULT.allowed_resyncs) == (899, 299)
    assert DEFAULT.allowed(Priority.ONBOARD) == DEFAULT.allowed(Priority.RESYNC) == 854


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": 0},
        {"window_s": 0},
        {"total": 0.2, "resync": 0.25},
        {"total": 1.1},
        {"resync": 0},
        {"protect": 1},
        {"protect": -0.1},
    ],
)
def test_shares_that_cannot_be_kept_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no usable shares"):
        Shares(**wrong)  # type: ignore[arg-type]  # numbers all


def test_each_priority_stops_at_its_limit_and_leaves_the_rest_to_what_matters_more() -> None:
    window = Window(SMALL)
    assert [
        fill(window, priority) for priority in (Priority.RESYNC, Priority.ONBOARD, Priority.PROTECT)
    ] == [3, 4, 2]


def test_a_call_is_possible_again_exactly_when_the_oldest_leaves_the_window() -> None:
    window = Window(SMALL)
    for at_s in range(9):
        window.take(at_s, Priority.PROTECT, next(NUMBERS))
    assert window.wait_s(9, Priority.PROTECT) == 1
    assert window.wait_s(9.5, Priority.PROTECT) == 0.5
    assert window.wait_s(10, Priority.PROTECT) == 0


def test_whoever_comes_second_waits_for_two_places() -> None:
    window = Window(SMALL)
    for at_s in range(7):
        window.take(at_s, Priority.ONBOARD, next(NUMBERS))
    assert [window.wait_s(7, Priority.RESYNC, ahead=ahead) for ahead in (0, 1, 2)] == [3, 4, 5]


def test_a_block_holds_for_every_priority_and_a_shorter_one_does_not_end_it() -> None:
    window = Window(DEFAULT)
    window.block(400)
    window.block(100)
    assert [window.wait_s(10, priority) for priority in Priority] == [390, 390, 390]
    assert window.wait_s(400, Priority.RESYNC) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(Priority)), max_size=80))
def test_no_window_ever_holds_more_than_the_shares(asked: list[tuple[float, Priority]]) -> None:
    """Whatever is asked whenever: every stretch of `window_s` stays under each share."""
    window, now_s, taken = Window(SMALL), 0.0, list[tuple[float, Priority]]()
    for pause_s, priority in asked:
        now_s += pause_s
        if window.wait_s(now_s, priority) == 0:
            window.take(now_s, priority, next(NUMBERS))
            taken.append((now_s, priority))
    for end_s, _ in taken:
        within = [
            priority for at_s, priority in taken if end_s - SMALL.window_s + 1e-5 < at_s <= end_s
        ]
        assert len(within) <= 9
        assert within.count(Priority.RESYNC) <= 3


@given(st.lists(st.sampled_from(Priority), min_size=1, max_size=40), st.sampled_from(Priority))
def test_a_wait_that_is_waited_out_is_enough(taken: list[Priority], priority: Priority) -> None:
    window, now_s = Window(SMALL), 0.0
    for each in taken:
        now_s += window.wait_s(now_s, each)
        assert window.wait_s(now_s, each) == 0
        window.take(now_s, each, next(NUMBERS))
    wait_s = window.wait_s(now_s, priority)
    assert wait_s <= SMALL.window_s
    assert window.wait_s(now_s + wait_s, priority) == 0


@pytest.mark.asyncio
async def test_a_short_wait_is_waited_out() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    budget.refused(access(), refusal(2))
    await budget.admit(access())
    assert clock.slept == [2]


@pytest.mark.asyncio
async def test_a_long_wait_is_an_exception_at_once_with_the_remaining_seconds() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    first = budget.refused(access(), refusal(7200))
    assert (first.retry_after_s, first.status, first.codes) == (7200, 429, (971,))
    clock.at_s += 200
    for priority in Priority:
        with pytest.raises(RateLimited) as caught:
            await budget.admit(access(priority))
        assert caught.value.retry_after_s == 7000
        assert "7000 s" in caught.value.message
    assert clock.slept == []


@pytest.mark.asyncio
async def test_without_retry_after_the_token_pauses_for_five_minutes_and_some_jitter() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    assert budget.refused(access(), refusal(None)).retry_after_s == 315


@pytest.mark.asyncio
async def test_without_retry_after_the_reset_of_the_limit_serves() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    assert budget.refused(access(), refusal(None, 120)).retry_after_s == 120


@pytest.mark.asyncio
async def test_a_retry_after_of_zero_pauses_nobody_once_and_then_longer_each_time() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    assert budget.refused(access(), refusal(0)).retry_after_s == 0
    await budget.admit(access())
    assert clock.slept == []
    assert [budget.refused(access(), refusal(0)).retry_after_s for _ in range(8)] == [
        5,
        10,
        20,
        40,
        80,
        160,
        300,
        300,
    ]
    budget.accepted(access())
    assert budget.refused(access(), refusal(0)).retry_after_s == 0


@pytest.mark.asyncio
async def test_zones_with_one_token_share_one_budget_and_another_token_has_its_own() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    for token, account in ((TOKEN, "a"), ("another-token", "b")):
        budget.learn_account(access(token=token), account)
    for _ in range(3):
        await budget.admit(access(Priority.RESYNC))
    with pytest.raises(RateLimited, match="leaves 50% of the user's 20 calls to others"):
        await budget.admit(access(Priority.RESYNC))
    await budget.admit(access(Priority.RESYNC, token="another-token"))
    await budget.admit(access(Priority.ONBOARD))


# --- whose calls ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_tokens_that_see_one_account_count_as_one_users() -> None:
    """Also what they asked before anybody knew."""
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    tokens = [f"token-number-{number}" for number in range(3)]
    for token in tokens:
        budget.learn_account(access(token=token), f"account of {token}")
        assert await admitted(budget, Priority.RESYNC, at_most=2, token=token) == 2
    for token in tokens:
        budget.learn_account(access(token=token), "account")
    assert [await admitted(budget, Priority.RESYNC, token=token) for token in tokens] == [0, 0, 0]
    assert await admitted(budget, Priority.ONBOARD, token=tokens[0]) == 1, "six of seven are taken"
    budget.learn_account(access(token="token-of-another-user"), "another account")
    assert await admitted(budget, Priority.RESYNC, token="token-of-another-user") == 3


@pytest.mark.asyncio
async def test_tokens_of_which_nobody_knows_whose_they_are_may_all_be_of_one_user() -> None:
    """Revoked ones, and ones that see no zone, never say."""
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    budget.learn_account(access(), "account")
    assert await admitted(budget, Priority.RESYNC, at_most=1) == 1
    assert [
        await admitted(budget, Priority.RESYNC, at_most=1, token=f"token-number-{number}")
        for number in range(4)
    ] == [1, 1, 0, 0]
    assert await admitted(budget, Priority.RESYNC) == 0
    budget.learn_account(access(token="token-number-0"), "account")
    assert await admitted(budget, Priority.ONBOARD) == 4, (
        "what was counted as anybody's is not counted twice"
    )


@pytest.mark.asyncio
async def test_a_refusal_of_a_token_that_nobody_knows_pauses_nobody_else() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    budget.refused(access(token="token-of-a-stranger"), refusal(3600))
    assert await admitted(budget, Priority.ONBOARD, at_most=1, token="another-stranger") == 1


@pytest.mark.asyncio
async def test_resyncs_leave_room_for_whatever_is_more_urgent_and_are_owed_half_of_their_share() -> (
    None
):
    clock = StoppedClock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    assert await admitted(budget, Priority.RESYNC) == 284
    assert await admitted(budget, Priority.ONBOARD, at_most=15) == 15, (
        "together still under a quarter"
    )
    clock.at_s += 300
    assert await admitted(budget, Priority.ONBOARD, at_most=500) == 500
    assert await admitted(budget, Priority.RESYNC) == 149


@pytest.mark.asyncio
async def test_a_user_of_several_accounts_is_one_user() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    for token, account in (("first-token", "a"), ("second-token", "b"), ("first-token", "b")):
        budget.learn_account(access(token=token), account)
    assert await admitted(budget, Priority.RESYNC, token="first-token") == 3
    assert await admitted(budget, Priority.RESYNC, token="second-token") == 0
    budget.learn_account(access(token="third-token"), "a")
    assert await admitted(budget, Priority.RESYNC, token="third-token") == 0


@pytest.mark.asyncio
async def test_one_refusal_pauses_all_tokens_of_the_user_and_no_account_s_own() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    mine, other, of_the_account = "my-token", "my-other-token", "cfat_token-of-the-account"
    budget.refused(access(token=mine), refusal(120))
    for token in (mine, other, of_the_account):
        budget.learn_account(access(token=token), "account")
    assert await admitted(budget, Priority.PROTECT, token=other) == 0
    assert await admitted(budget, Priority.PROTECT, token=of_the_account, at_most=1) == 1
    clock.at_s += 120
    assert await admitted(budget, Priority.PROTECT, token=other, at_most=1) == 1


# --- what Cloudflare says ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ratelimit": '"default";r=50;t=30'}, [allowance(50, 30)]),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=1200;w=300'},
            [allowance(50, 30, 1200, 300)],
        ),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"burst";q=100;w=60'},
            [allowance(50, 30, 100, 60)],
        ),
        (
            {
                "ratelimit": '"default" ; r=50 ; t=30, "burst";t=5;r=7',
                "ratelimit-policy": '"burst";q=100;w=60, "default";q=1200;w=300',
            },
            [allowance(50, 30, 1200, 300), allowance(7, 5, 100, 60, "burst")],
        ),
        (
            {"ratelimit": "default;r=0", "ratelimit-policy": "default;q=1200;w=300"},
            [allowance(0, 300, 1200, 300)],
        ),
        ({"ratelimit": '"default";r=50;t=999999999'}, [allowance(50, 3600)]),
        (
            {"ratelimit": '"default";r=5000;t=30', "ratelimit-policy": '"default";q=1200;w=300'},
            [allowance(5000, 30, 5000, 300)],
        ),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=0;w=0'},
            [allowance(50, 30)],
        ),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=5;w=99999999'},
            [allowance(50, 30)],
        ),
        (
            {"ratelimit": '"default";r=0;t=3600', "ratelimit-policy": '"default";q=1200;w=300'},
            [allowance(0, 300, 1200, 300)],
        ),
        ({}, []),
        ({"ratelimit": ""}, []),
        ({"ratelimit": '"default";t=30'}, []),
        ({"ratelimit": '"default";r=-5;t=30'}, []),
        ({"ratelimit": '"default";r=1e9;t=30'}, []),
        ({"ratelimit": f'"default";r={"9" * 400};t=30'}, []),
        ({"ratelimit": ";;;,,,===", "ratelimit-policy": "'; drop"}, []),
    ],
)
def test_the_headers_are_read(headers: dict[str, str], expected: list[Allowance]) -> None:
    assert list(read_allowances(headers)) == expected


@pytest.mark.asyncio
async def test_what_cloudflare_says_is_left_is_the_truth_and_some_of_it_is_others() -> None:
    clock = StoppedClock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    budget.learn(access(), [allowance(310, 100, 1200, 300)])
    assert await admitted(budget, Priority.RESYNC) == 10, "a quarter of 1,200 is not ours"
    assert await admitted(budget, Priority.ONBOARD) == 0
    assert await admitted(budget, Priority.PROTECT) == 300, "what protects may use the last one"
    assert await seconds_to_wait(budget) == 100
    clock.at_s += 100
    assert await admitted(budget, Priority.RESYNC, at_most=5) == 5


@pytest.mark.asyncio
async def test_the_smallest_number_is_the_truth_until_its_reset() -> None:
    """Of two users behind one account the one who has less left decides; an answer that was overtaken does not."""
    clock = StoppedClock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    for left in (1190, 301, 1180):
        budget.learn(access(), [allowance(left, 100, 1200, 300)])
    assert await admitted(budget, Priority.ONBOARD) == 1
    clock.at_s += 100
    budget.learn(access(), [allowance(1190, 100, 1200, 300)])
    assert await admitted(budget, Priority.ONBOARD, at_most=50) == 50


@pytest.mark.asyncio
async def test_shares_are_shares_of_the_quota_that_is_stated() -> None:
    clock = StoppedClock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    budget.learn(access(), [allowance(100, 60, 100, 60), allowance(1200, 300, 1200, 300, "slow")])
    assert await admitted(budget, Priority.RESYNC) == 23, "under a quarter of 100, with some room"
    assert await admitted(budget, Priority.ONBOARD) == 71 - 23
    clock.at_s += 60
    assert await admitted(budget, Priority.RESYNC) == 23


@pytest.mark.asyncio
async def test_after_a_restart_one_call_goes_alone_and_the_others_go_by_its_answer() -> None:
    """Two hundred zones begin at once; others have left three calls that are ours."""
    clock, made = StoppedClock(), 0
    budget = Budget(clock=clock, sleep=clock.sleep)

    async def look() -> None:
        nonlocal made
        async with budget.call(access()):
            made += 1
            await asyncio.sleep(0)
            budget.learn(access(), [allowance(304 - made, 100, 1200, 300)])

    results = await asyncio.gather(*(look() for _ in range(200)), return_exceptions=True)
    assert 3 <= made <= 4, "one that is in flight counts twice if the answer has it already"
    assert sum(isinstance(result, RateLimited) for result in results) == 200 - made


@pytest.mark.asyncio
async def test_where_nothing_is_said_the_others_go_at_once_after_the_first() -> None:
    clock = StoppedClock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    inside, most = 0, list[int]()

    async def look(priority: Priority) -> None:
        nonlocal inside
        async with budget.call(access(priority)):
            inside += 1
            most.append(inside)
            for _ in range(40):
                await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(look(Priority.ONBOARD) for _ in range(20)))
    assert most[:2] == [1, 1]
    assert max(most) >= 10


@pytest.mark.asyncio
async def test_what_protects_waits_for_no_first_answer() -> None:
    clock, hanging = StoppedClock(), asyncio.Event()
    budget = Budget(clock=clock, sleep=clock.sleep)

    async def hang() -> None:
        async with budget.call(access()):
            hanging.set()
            await asyncio.Event().wait()

    first = asyncio.create_task(hang())
    await hanging.wait()
    async with budget.call(access(Priority.PROTECT)):
        pass
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await admitted(budget, Priority.ONBOARD, at_most=1) == 1


@pytest.mark.asyncio
async def test_when_places_come_free_one_by_one_protection_goes_first() -> None:
    """Seven calls fill the window of the lower priorities; then all three ask at once, the least urgent first."""
    shares = Shares(calls=20, window_s=2, total=0.5, resync=0.5, protect=0)
    clock, order = StoppedClock(), list[Priority]()
    waiting: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append((clock.at_s + seconds, future))
        await future

    budget = Budget(shares, clock=clock, sleep=sleep)
    for _ in range(9):
        await budget.admit(access(Priority.ONBOARD))
        clock.at_s += 0.2

    async def ask(priority: Priority) -> None:
        await budget.admit(access(priority))
        order.append(priority)

    async with asyncio.TaskGroup() as group:
        for priority in (Priority.RESYNC, Priority.ONBOARD, Priority.PROTECT):
            group.create_task(ask(priority))
        for _ in range(20):
            await asyncio.sleep(0)
            due = [entry for entry in waiting if entry[0] <= clock.at_s]
            for entry in due:
                waiting.remove(entry)
                entry[1].set_result(None)
            clock.at_s += 0 if due else 0.1
    assert order == sorted(order)
    assert len(order) == 3


@pytest.mark.asyncio
async def test_a_waiter_that_is_cancelled_holds_nobody_back() -> None:
    clock = StoppedClock()
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    budget = Budget(SMALL, clock=clock, sleep=sleep)
    budget.refused(access(), refusal(2))
    waiter = asyncio.create_task(budget.admit(access(Priority.PROTECT)))
    await asleep.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    clock.at_s += 2
    for _ in range(SMALL.allowed(Priority.ONBOARD)):
        await budget.admit(access(Priority.ONBOARD))


@pytest.mark.asyncio
async def test_a_crowd_of_zones_is_spread_over_the_window_instead_of_meeting_the_five_minute_block() -> (
    None
):
    """400 zones resync twice with one token: never 300 calls in any 300 s, and nobody waits longer than a window."""
    clock, made = StoppedClock(), list[float]()
    budget = Budget(clock=clock, sleep=clock.sleep)
    for _ in range(800):
        while (pause_s := await seconds_to_wait(budget)) > 0:
            assert pause_s <= 300
            clock.at_s += pause_s
        made.append(clock.at_s)
        clock.at_s += 0.05
    assert all(later - earlier >= 299 for earlier, later in zip(made, made[299:], strict=False))
    assert all(later >= earlier for earlier, later in pairwise(made))


# --- what is told of it ----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_of_each_token_is_told_what_is_used_and_left_and_not_what_is_long_past() -> None:
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    assert budget.figures() == ()
    assert await admitted(budget, Priority.ONBOARD, at_most=4) == 4
    source = access().source
    assert budget.figures() == (TokenFigures(source, calls=9, used=4, left=5, paused_s=0.0),)
    clock.at_s += SMALL.window_s
    assert budget.figures() == (TokenFigures(source, calls=9, used=0, left=9, paused_s=0.0),)


@pytest.mark.asyncio
async def test_what_is_left_is_what_cloudflare_says_where_that_is_less() -> None:
    clock = StoppedClock()
    budget = Budget(clock=clock, sleep=clock.sleep)
    await admitted(budget, Priority.ONBOARD, at_most=1)
    budget.learn(access(), [allowance(310)])
    (figures,) = budget.figures()
    assert figures.left == 10, "less the quarter that others may need"
    budget.refused(access(), refusal(120))
    (figures,) = budget.figures()
    assert (figures.left, figures.paused_s) == (0, 120)


@pytest.mark.asyncio
async def test_who_waits_and_who_goes_without_is_counted() -> None:
    clock, metrics = StoppedClock(), Metrics()
    budget = Budget(SMALL, clock=clock, patience_s=20, sleep=clock.sleep, metrics=metrics)
    await admitted(budget, Priority.PROTECT, at_most=9)
    await budget.admit(access())

    def counted(name: str) -> float | None:
        labels = {"token": access().source, "priority": "onboard"}
        return metrics.registry.get_sample_value(name, labels)

    assert counted("aop_cloudflare_throttled_seconds_total") == SMALL.window_s
    assert counted("aop_cloudflare_postponed_requests_total") is None
    budget.refused(access(), refusal(120))
    with pytest.raises(RateLimited):
        await budget.admit(access())
    assert counted("aop_cloudflare_postponed_requests_total") == 1


@pytest.mark.asyncio
async def test_two_secrets_with_one_token_have_one_budget_and_one_that_is_used_no_more_is_forgotten() -> (
    None
):
    clock = StoppedClock()
    budget = Budget(SMALL, clock=clock, sleep=clock.sleep)
    for source in ("Secret a/b, key c", "Secret d/e, key f"):
        async with budget.call(Access.of(TOKEN, Priority.ONBOARD, source=source)):
            pass
    assert [(one.token, one.used) for one in budget.figures()] == [
        ("Secret a/b, key c", 2),
        ("Secret d/e, key f", 2),
    ]
    clock.at_s += 3601
    async with budget.call(Access.of("another", Priority.ONBOARD, source="Secret g/h, key i")):
        pass
    assert [one.token for one in budget.figures()] == ["Secret g/h, key i"]
