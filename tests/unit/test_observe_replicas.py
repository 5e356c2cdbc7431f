"""How replicas are asked: what one host answers says nothing of another, and nothing that hangs holds anybody up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import cast

import pytest

from aop.observe.replicas import MOST_AT_ONCE, MOST_NEW, SHARED_FAILURE_S, SUSPECT_S, ReplicaReader
from aop.observe.views import (
    KEPT,
    SETTLED_AFTER_S,
    SHARED_S,
    TURN_S,
    Question,
    ReplicaMemory,
    may_serve,
    observed_replica,
)
from aop.observed import HostBehaviour, ObservedReplica
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.ingress_nginx.replicas import Controller
from aop.probe import (
    Answer,
    Asked,
    ClientIdentity,
    Failure,
    FailureKind,
    Paths,
    Presented,
    ReplicaAddress,
    ReplicaProbe,
)
from aop.terms import Claim, Mode, ObjectKey
from builders import APEX, ASKING, HOSTS, LEAF, NEXT, OFF, REQUIRING, RETIRED, WWW, claim
from clocks import SetClock

ADDRESS = ReplicaAddress("192.0.2.1")
PATHS = Paths("/check", "/gate")
RECHECK_S = 30.0
POD = Controller(ObjectKey("ingress-nginx", "pod-1"), "1", ready=True, ip=ADDRESS.ip)

TIMEOUT = Failure(FailureKind.TIMEOUT, "192.0.2.1:443: the TLS handshake: nothing within 5 s")
NOBODY = Failure(FailureKind.REFUSED, "192.0.2.1:443: connecting: connection refused")
NO_WAY = Failure(FailureKind.UNREACHABLE, "192.0.2.1:443: connecting: no route to host")
LOST = Failure(
    FailureKind.RESET, "192.0.2.1:443: waiting for the answer: the connection was closed"
)
ALERT = Failure(FailureKind.TLS, "192.0.2.1:443: the TLS handshake: unrecognized name")
REDIRECT = Answer(308, location="https://www.example.com/")
REFUSED = Answer(400, "<center>No required SSL certificate was sent</center>")

Outcome = Answer | Failure


class FileIdentity:
    """All that is asked of an identity here."""

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256


def presenting(*leaves: str) -> Mapping[Presented, ClientIdentity]:
    """What an object asks with: the leaf in use, then the next one."""
    return {
        who: cast("ClientIdentity", FileIdentity(leaf))
        for who, leaf in zip((Presented.OURS, Presented.NEXT), leaves, strict=False)
    }


class ProbedPod:
    """A replica that runs `claim` at `revision`, behind the interface of the probe; `says` puts an answer of somebody else in a host's place."""

    def __init__(self, clock: SetClock, running: Claim, revision: int | None) -> None:
        self.clock, self.claim, self.revision = clock, running, revision
        self.says: dict[str, Outcome] = {}
        self.everywhere: Outcome | None = None
        """What whoever connects gets, by TLS or without."""
        self.plaintext: Outcome | None = None
        self.reloading = False
        """New connections come to a worker of the next revision now and then."""
        self.words: list[str] = []
        """The hosts that were asked for a first word, and `http` for plaintext."""
        self.treated: list[str] = []
        """The hosts that were asked how they treat whom."""
        self.finished = 0
        self.stuck: set[str] = set()
        """Hosts that never answer, not even with a failure."""
        self.meanwhile: Callable[[str], None] = lambda _host: None
        self._turns = asyncio.Semaphore(4)

    async def ask(
        self,
        _: ReplicaAddress,
        host: str,
        paths: Paths,
        identities: Mapping[Presented, ClientIdentity],
        _told_by: Collection[str] = (),
    ) -> tuple[Asked, ...]:
        assert paths == PATHS
        (self.treated if identities else self.words).append(host)
        async with self._turns:
            if host in self.stuck:
                await asyncio.Event().wait()
            self.meanwhile(host)
            await asyncio.sleep(0)
            self.finished += 1
        other = self.everywhere or self.says.get(host)
        leaves = {Presented.NONE: None} | {
            presented: identity.sha256 for presented, identity in identities.items()
        }
        return tuple(
            Asked(
                host,
                who,
                other or self._check(leaves[who], newer=who is Presented.FOREIGN),
                other or self._gate(host, leaves[who]),
            )
            for who in Presented
            if who in leaves
        )

    async def ask_plaintext(self, _: ReplicaAddress, host: str, path: str) -> Outcome:
        assert (host != "", path) == (True, PATHS.check)
        self.words.append("http")
        await asyncio.sleep(0)
        return self.everywhere or self.plaintext or self._check(None)

    def _check(self, leaf: str | None, *, newer: bool = False) -> Answer:
        if self.revision is None:
            return Answer(404)
        pinned = {pin.sha256: pin.short for pin in self.claim.pins}
        presented = (
            "none" if leaf is None or self.claim.mode is Mode.OFF else pinned.get(leaf, "other")
        )
        return Answer(
            200,
            f"aop rev={self.revision + (newer and self.reloading)} zone=zabcd presented={presented} https=on conn=1. nonce=\n",
        )

    def _gate(self, host: str, leaf: str | None) -> Answer:
        mode = self.claim.at(host)
        refused = (
            mode is Mode.REQUIRE
            if leaf is None
            else mode >= Mode.OPTIONAL and leaf not in {pin.sha256 for pin in self.claim.pins}
        )
        if refused:
            return REFUSED
        return Answer(204 if self.revision is not None else 404)


class AskedReplica:
    """One replica, who asks it, and what is remembered of it."""

    def __init__(
        self, running: Claim = REQUIRING, revision: int | None = 7, *, round_s: float = 60.0
    ) -> None:
        self.clock = SetClock()
        self.pod = ProbedPod(self.clock, running, revision)
        self.memory = ReplicaMemory()
        self.reader = ReplicaReader(
            cast("ReplicaProbe", self.pod),
            cast("ClientIdentity", FileIdentity("stranger")),
            self.clock,
            RECHECK_S,
            round_s=round_s,
        )
        self.question = Question(
            hosts=HOSTS,
            own=frozenset(),
            identities=presenting(LEAF.sha256),
            claim=running,
            since=dict.fromkeys(HOSTS, revision or 0),
            claim_since=revision,
            published=revision,
            paths=PATHS,
            refuses_certificate=INGRESS_NGINX.refuses_certificate,
        )

    async def look(self, after_s: float = 0.0, question: Question | None = None) -> ObservedReplica:
        """One round after so many seconds; who was asked in it is in `words` and `treated` of the pod."""
        self.clock.pass_s(after_s)
        self.pod.words.clear()
        self.pod.treated.clear()
        asked = question or self.question
        await self.reader.ask(ADDRESS, asked, self.memory)
        return observed_replica(POD, self.memory, asked)

    async def settle(self, hosts: tuple[str, ...] = HOSTS) -> ObservedReplica:
        """Looks until everything was seen: the revision, the revision again, and once more what was odd."""
        self.question = replace(
            self.question, hosts=hosts, since=dict.fromkeys(hosts, self.pod.revision or 0)
        )
        for after_s in (SHARED_FAILURE_S, SETTLED_AFTER_S, SETTLED_AFTER_S):
            await self.look(after_s)
        return observed_replica(POD, self.memory, self.question)

    def publish(self, revision: int, *changed: str, running: Claim | None = None) -> None:
        """A later revision, which says something else of `changed`, is published, and runs."""
        since = {**self.question.since, **dict.fromkeys(changed, revision)}
        self.question = replace(
            self.question,
            published=revision,
            since=since,
            claim=running or self.question.claim,
            claim_since=revision if changed else self.question.claim_since,
        )
        self.pod.revision, self.pod.claim = revision, running or self.pod.claim


def many(count: int) -> tuple[str, ...]:
    return tuple(f"h{n:03}.example.com" for n in range(count))


def treats(seen: ObservedReplica, host: str) -> HostBehaviour:
    behaviour = seen.seen(host)
    assert behaviour is not None, f"{host} was not seen"
    return behaviour


# --- the revision --------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_revision_is_settled_when_it_is_seen_again_half_a_second_later() -> None:
    """Old workers accept for another 0.1 s after a new one has answered; until then nobody is worth asking about."""
    asking = AskedReplica()
    shown = []
    for after_s in (0, SETTLED_AFTER_S - 0.01, 0.01):
        seen = await asking.look(after_s)
        shown.append((seen.revision, seen.settled, len(asking.pod.treated)))
    assert shown == [(7, False, 0), (7, False, 0), (7, True, 2)]
    assert SETTLED_AFTER_S >= 0.5


@pytest.mark.asyncio
async def test_however_many_objects_wait_for_a_revision_the_replica_is_asked_for_it_at_one_rate() -> (
    None
):
    """The first of them asks, and what it hears is everybody's answer; each still asks for its own hosts."""
    asking = AskedReplica()
    await asking.settle()
    lagging = replace(asking.question, published=8)
    asked, of_hosts = 0, 0
    for n in range(100):
        theirs = replace(
            lagging,
            hosts=(f"{n}.example.com",),
            since={f"{n}.example.com": 7},
            identities=presenting(f"{n:064}"),
        )
        await asking.look(0.01, theirs)
        asked += len(asking.pod.words)
        of_hosts += len(asking.pod.treated)
    assert 3 <= asked <= 1.0 / SHARED_S + 1
    assert of_hosts == 100


@pytest.mark.asyncio
async def test_what_was_settled_is_not_when_another_revision_is_told() -> None:
    asking = AskedReplica()
    await asking.settle()
    asking.publish(8, *HOSTS, running=ASKING)
    seen = await asking.look(1)
    assert (seen.revision, seen.settled, seen.hosts) == (8, False, ())
    assert asking.pod.words == [WWW], "the one that told the last"
    seen = await asking.look(1)
    assert (seen.settled, {one.mode for one in seen.hosts}) == (True, {Mode.REQUEST})


@pytest.mark.asyncio
async def test_what_a_neighbour_publishes_leaves_what_was_settled() -> None:
    """Its workers and those of before say the same of our hosts; but what our own claim says anew has to settle."""
    asking = AskedReplica()
    await asking.settle()
    asking.publish(8)
    seen = await asking.look(1)
    assert (seen.revision, seen.settled, len(seen.hosts)) == (8, True, len(HOSTS))
    asking.question = replace(asking.question, claim_since=9)
    asking.publish(9)
    assert (await asking.look(1)).settled is False


@pytest.mark.asyncio
async def test_a_reload_that_comes_while_hosts_are_asked_is_waited_for() -> None:
    asking = AskedReplica()
    await asking.look()

    def reload(_host: str) -> None:
        if asking.pod.treated:
            asking.publish(8, *HOSTS)

    asking.pod.meanwhile = reload
    seen = await asking.look(1)
    assert (seen.revision, seen.settled, seen.hosts) == (8, False, ())


@pytest.mark.asyncio
async def test_answers_of_two_workers_are_of_none() -> None:
    asking = AskedReplica()
    await asking.look()
    asking.pod.reloading = True
    assert (await asking.look(1)).hosts == ()
    asking.pod.reloading = False
    assert len((await asking.look(1)).hosts) == len(HOSTS)


# --- one host says nothing of another --------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "other",
    [REDIRECT, Answer(403), Answer(404), ALERT, LOST],
    ids=["redirect", "403", "404", "alert", "reset"],
)
async def test_an_odd_host_that_sorts_first_hides_neither_the_revision_nor_the_other_hosts(
    other: Outcome,
) -> None:
    asking = AskedReplica()
    asking.pod.says[APEX] = other
    seen = await asking.settle()
    assert (seen.revision, seen.settled, seen.error) == (7, True, None)
    assert treats(seen, APEX).odd is not None
    assert (treats(seen, WWW).odd, treats(seen, WWW).mode, treats(seen, WWW).accepts) == (
        None,
        Mode.REQUIRE,
        frozenset({LEAF.sha256}),
    )


@pytest.mark.asyncio
async def test_where_every_host_is_odd_plaintext_tells_the_revision() -> None:
    asking = AskedReplica()
    asking.pod.says = {APEX: REDIRECT, WWW: ALERT}
    seen = await asking.settle()
    assert (seen.revision, seen.settled, seen.error) == (7, True, None)
    assert [one.odd is not None for one in seen.hosts] == [True, True]


@pytest.mark.asyncio
async def test_where_plaintext_is_not_let_through_the_one_host_that_tells_is_found_in_the_end() -> (
    None
):
    """However many that do not tell it sort first; and until all were asked nothing is concluded."""
    hosts = many(2 * MOST_AT_ONCE + 1)
    asking = AskedReplica()
    asking.question = replace(asking.question, hosts=hosts)
    asking.pod.says = dict.fromkeys(hosts[:-1], REDIRECT)
    asking.pod.plaintext = TIMEOUT
    shown = [(seen.revision, seen.error) for _ in range(3) if (seen := await asking.look(1))]
    assert shown == [(None, None), (None, None), (7, None)]
    await asking.look(1)
    assert asking.pod.words == [hosts[-1]], "it is the first to be asked now"


@pytest.mark.asyncio
async def test_where_nobody_tells_a_revision_there_is_none_of_ours() -> None:
    asking = AskedReplica(revision=None)
    seen = await asking.settle()
    assert (seen.revision, seen.settled, seen.error) == (None, True, None)
    blocked = AskedReplica(revision=None)
    blocked.pod.plaintext = TIMEOUT
    seen = await blocked.settle()
    assert (seen.revision, seen.settled, seen.error) == (None, True, None), (
        "every host has answered, and none of them told one"
    )


@pytest.mark.asyncio
async def test_what_is_odd_once_may_be_a_connection_that_got_lost_and_is_asked_again_at_once() -> (
    None
):
    """Else one dropped connection would pass a host over that has to be seen."""
    asking = AskedReplica()
    asking.pod.says[WWW] = LOST
    await asking.look()
    seen = await asking.look(1)
    assert (treats(seen, APEX).odd, seen.seen(WWW)) == (None, None)
    del asking.pod.says[WWW]
    seen = await asking.look(1)
    assert asking.pod.treated == [WWW]
    assert treats(seen, WWW).odd is None
    asking.pod.says[WWW] = LOST
    asking.question = replace(asking.question, own=frozenset({WWW}))
    assert (await asking.look(1)).seen(WWW) is None, "once again is once"


@pytest.mark.asyncio
async def test_what_is_odd_twice_in_a_row_is() -> None:
    asking = AskedReplica()
    await asking.settle()
    asking.pod.says[WWW] = REDIRECT
    await asking.look(RECHECK_S)
    seen = await asking.look(RECHECK_S)
    assert asking.pod.treated == [WWW], "APEX had its turn, then WWW"
    assert treats(seen, WWW).odd is None, "what was seen before stands while it is doubted"
    seen = await asking.look(1)
    assert treats(seen, WWW).odd is not None


# --- nothing that hangs holds anybody up -----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_replica_that_hangs_with_a_hundred_hosts_costs_one_deadline_and_its_failure_is_everybodys() -> (
    None
):
    asking = AskedReplica(OFF)
    await asking.look()
    asking.question = replace(asking.question, hosts=many(100))
    asking.pod.everywhere = TIMEOUT
    asking.pod.finished = 0
    seen = await asking.look(1)
    assert seen.error == TIMEOUT.text
    assert not seen.settled
    assert asking.pod.finished <= 4, "as many as are asked at once"
    other = replace(asking.question, identities=presenting(NEXT.sha256))
    for question in (asking.question, other):
        assert (await asking.look(1, question)).error == TIMEOUT.text
        assert (asking.pod.words, asking.pod.treated) == ([], [])
    asking.pod.everywhere = None
    assert (await asking.look(SHARED_FAILURE_S, other)).error is None


@pytest.mark.asyncio
@pytest.mark.parametrize("failure", [TIMEOUT, NOBODY, NO_WAY])
async def test_what_was_seen_stands_while_a_replica_cannot_be_asked(failure: Failure) -> None:
    asking = AskedReplica()
    before = await asking.settle()
    asking.pod.everywhere = failure
    seen = await asking.look(RECHECK_S)
    assert (seen.error, seen.settled) == (failure.text, False)
    assert (seen.revision, seen.hosts) == (before.revision, before.hosts)
    asking.pod.everywhere = None
    seen = await asking.look(SHARED_FAILURE_S)
    assert (seen.error, seen.settled, seen.hosts) == (None, True, before.hosts)


@pytest.mark.asyncio
@pytest.mark.parametrize("failure", [NOBODY, NO_WAY])
async def test_where_nobody_listens_no_host_is_odd(failure: Failure) -> None:
    """It has died since it told its revision: that is the replica's affair, and nothing may be passed over for it.

    Also where its other port answers.
    """
    asking = AskedReplica()
    asking.pod.says = dict.fromkeys(HOSTS, failure)
    assert (await asking.look()).error == failure.text
    asking.pod.says = {}
    before = await asking.settle()
    asking.pod.says = dict.fromkeys(HOSTS, failure)
    for _ in range(2):
        seen = await asking.look(RECHECK_S)
        assert (seen.error, seen.hosts) == (failure.text, before.hosts)


@pytest.mark.asyncio
async def test_a_host_that_hangs_on_a_replica_that_answers_holds_back_nobody_else() -> None:
    """TLS that is passed on unopened to a backend that hangs: whoever may create such an Ingress would freeze every zone on the controller."""
    asking = AskedReplica()
    asking.pod.says[APEX] = TIMEOUT
    for _ in range(5):
        seen = await asking.look(1)
        assert seen.error is None
    assert (seen.revision, seen.settled) == (7, True)
    assert str(treats(seen, APEX).odd).startswith("nothing on the operator's check path")
    assert (treats(seen, WWW).odd, treats(seen, WWW).mode) == (None, Mode.REQUIRE)


@pytest.mark.asyncio
async def test_a_slow_replica_is_asked_the_rest_in_the_next_round_and_a_mute_one_has_failed() -> (
    None
):
    asking = AskedReplica(round_s=0.5)
    hosts = many(10)
    asking.question = replace(asking.question, hosts=hosts, since=dict.fromkeys(hosts, 7))
    await asking.look()

    asking.pod.stuck = set(hosts[3:])
    seen = await asking.look(1)
    assert (seen.error, [one.host for one in seen.hosts]) == (None, list(hosts[:3]))
    seen = await asking.look(1)
    assert seen.error == "no answers within 0 s"


@pytest.mark.asyncio
async def test_a_bug_is_told_to_whoever_asked_and_to_nobody_else_and_ends_with_it() -> None:
    asking = AskedReplica()
    before = await asking.settle()
    other = replace(asking.question, identities=presenting(NEXT.sha256))
    await asking.look(1, other)

    def raises(_host: str) -> None:
        raise ZeroDivisionError

    asking.pod.meanwhile = raises
    seen = await asking.look(RECHECK_S)
    assert seen.error is not None
    assert "in the operator" in seen.error
    assert seen.hosts == before.hosts
    assert observed_replica(POD, asking.memory, other).error is None
    asking.pod.meanwhile = lambda _host: None
    assert (await asking.look(1)).error is None


# --- how long it stands ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_was_seen_stands_through_a_revision_that_changes_only_others() -> None:
    asking = AskedReplica()
    before = await asking.settle()
    asking.publish(8)
    await asking.look(1)
    seen = await asking.look(1)
    assert (seen.revision, seen.settled, seen.hosts) == (8, True, before.hosts)
    assert asking.pod.treated == []


@pytest.mark.asyncio
async def test_only_the_host_whose_own_entry_changes_is_asked_again() -> None:
    asking = AskedReplica(ASKING)
    await asking.settle()
    asking.publish(8, WWW, running=claim(enforced=(WWW,)))
    seen = await asking.look(1)
    assert (treats(seen, APEX).mode, seen.seen(WWW)) == (Mode.REQUEST, None)
    seen = await asking.look(1)
    assert asking.pod.treated == [WWW]
    assert (treats(seen, APEX).mode, treats(seen, WWW).mode) == (Mode.REQUEST, Mode.REQUIRE)


@pytest.mark.asyncio
async def test_where_nobody_knows_what_a_text_says_everything_is_asked_at_each_revision() -> None:
    asking = AskedReplica()
    await asking.settle()
    asking.publish(8)
    asking.question = replace(asking.question, since={})
    await asking.look(1)
    await asking.look(1)
    assert sorted(asking.pod.treated) == sorted(HOSTS)
    await asking.look(1)
    assert asking.pod.treated == []


@pytest.mark.asyncio
async def test_a_revision_that_was_put_back_is_no_later_one() -> None:
    """Somebody restores the ConfigMap of a week ago: what was seen since says nothing about it."""
    asking = AskedReplica()
    await asking.settle()
    asking.publish(6)
    assert (await asking.look(1)).hosts == ()


@pytest.mark.asyncio
async def test_whether_an_ingress_verifies_by_itself_is_asked_anew_when_that_changes() -> None:
    asking = AskedReplica()
    await asking.settle()
    asking.question = replace(asking.question, own=frozenset({WWW}))
    seen = await asking.look(1)
    assert asking.pod.treated == [WWW]
    assert (treats(seen, APEX).own, treats(seen, WWW).own) == (False, True)


@pytest.mark.asyncio
async def test_objects_that_share_a_host_and_not_a_leaf_each_have_their_own_view() -> None:
    """A zone under another, with a wildcard above it: neither must undo what the other has seen."""
    asking = AskedReplica()
    await asking.settle()
    other = replace(asking.question, identities=presenting(RETIRED.sha256))
    seen = await asking.look(1, other)
    assert treats(seen, WWW).refuses == {RETIRED.sha256}
    seen = await asking.look(1)
    assert asking.pod.treated == []
    assert treats(seen, WWW).accepts == {LEAF.sha256}
    await asking.look(KEPT.total_seconds())
    assert len(asking.memory.views) == 1, "nobody has asked for the other for so long"


# --- whose turn it is --------------------------------------------------------------------------------------------------------------------


async def turns(asking: AskedReplica, seconds: int) -> dict[int, list[str]]:
    """Who is asked about in each of the next seconds in which anybody is."""
    by_turn = {}
    for second in range(1, seconds + 1):
        await asking.look(1)
        if asking.pod.treated:
            by_turn[second] = list(asking.pod.treated)
    return by_turn


@pytest.mark.asyncio
async def test_while_all_is_well_one_host_is_asked_in_turn() -> None:
    asking = AskedReplica(claim(enforced=many(3)))
    await asking.settle(many(3))
    asked = await turns(asking, 95)
    assert [len(hosts) for hosts in asked.values()] == [1, 1, 1]
    assert sorted(host for hosts in asked.values() for host in hosts) == sorted(many(3))
    assert (
        min(later - earlier for earlier, later in zip(list(asked), list(asked)[1:], strict=False))
        == RECHECK_S
    )


@pytest.mark.asyncio
async def test_hundreds_of_new_hosts_are_asked_about_in_turns_that_leave_room_for_other_objects() -> (
    None
):
    hosts = many(2 * MOST_NEW + 1)
    asking = AskedReplica(claim(enforced=hosts))
    asking.question = replace(asking.question, hosts=hosts, since=dict.fromkeys(hosts, 7))
    asked = await turns(asking, 6)
    assert [len(hosts_asked) for hosts_asked in asked.values()] == [MOST_NEW, MOST_NEW, 1]
    assert {host for hosts_asked in asked.values() for host in hosts_asked} == set(hosts)


@pytest.mark.asyncio
async def test_what_was_seen_wrong_is_asked_first_however_many_hosts_there_are() -> None:
    """Ready stayed False for as long as it took all others to have their turn."""
    hosts = many(60)
    asking = AskedReplica(claim(enforced=hosts))
    asking.pod.claim = claim(enforced=hosts[:50])
    await asking.settle(hosts)
    asking.pod.claim = claim(enforced=hosts)
    asked = await turns(asking, int(SUSPECT_S) + 2)
    assert {host for hosts_asked in asked.values() for host in hosts_asked} == set(hosts[50:])
    assert max(len(hosts_asked) for hosts_asked in asked.values()) == MOST_AT_ONCE
    assert all(
        one.mode is Mode.REQUIRE
        for one in observed_replica(POD, asking.memory, asking.question).hosts
    )


@pytest.mark.asyncio
async def test_a_host_that_stays_odd_takes_no_other_host_s_turn() -> None:
    asking = AskedReplica(claim(enforced=many(3)))
    asking.pod.says[many(3)[0]] = REDIRECT
    await asking.settle(many(3))
    asked = [host for hosts_asked in (await turns(asking, 95)).values() for host in hosts_asked]
    assert set(asked) == set(many(3))
    assert asked.count(many(3)[0]) <= 95 / SUSPECT_S, (
        "and it is asked no more often than every suspect"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("published", "running", "suspect"),
    [
        (ASKING, OFF, True),
        (ASKING, REQUIRING, True),
        (REQUIRING, ASKING, True),
        (REQUIRING, claim(Mode.OPTIONAL), True),
        (REQUIRING, claim(pins=(NEXT,)), True),
        (None, REQUIRING, True),
        (OFF, ASKING, False),
        (None, ASKING, False),
        (None, OFF, False),
        (REQUIRING, REQUIRING, False),
    ],
)
async def test_a_host_is_suspect_that_does_not_do_what_the_claim_says(
    published: Claim | None, running: Claim, suspect: bool
) -> None:
    """Asking is one switch for the whole controller, so another zone's claim may ask although ours does not."""
    asking = AskedReplica(running)
    asking.question = replace(asking.question, claim=published)
    await asking.settle()
    asked = await turns(asking, int(SUSPECT_S) + 1)
    assert bool(asked) is suspect


# --- who may still serve -----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("then", "serves"),
    [(None, True), (TIMEOUT, True), (NO_WAY, True), (NOBODY, False), (Answer(404), False)],
    ids=[
        "it answers",
        "a node that is cut off",
        "no way leads there",
        "nobody listens any more",
        "it has started anew, without our text",
    ],
)
async def test_a_pod_that_is_not_ready_counts_while_it_may_serve_our_text(
    then: Outcome | None, serves: bool
) -> None:
    """Kubernetes cannot tell: half of the visitors got 400 from such a pod for as long as one looked."""
    asking = AskedReplica()
    await asking.settle()
    unready = replace(POD, ready=False)
    assert may_serve(unready, asking.memory)
    asking.pod.everywhere = then
    asking.publish(8)
    await asking.look(RECHECK_S)
    assert may_serve(unready, asking.memory) is serves
    assert may_serve(POD, asking.memory), "one that is Ready counts whatever it says"


@pytest.mark.parametrize(
    ("failure", "serves"),
    [(None, True), (TIMEOUT, True), (NO_WAY, True), (NOBODY, False)],
    ids=["it was not asked yet", "it hangs", "no way leads there", "nobody listens"],
)
def test_a_pod_that_is_not_ready_and_was_never_heard_may_serve_unless_nobody_listens(
    failure: Failure | None, serves: bool
) -> None:
    """It may have run our text before this process began: a restart must not let a rotation pass it by."""
    memory = ReplicaMemory()
    if failure is not None:
        memory.fail(failure, SetClock().now())
    assert may_serve(replace(POD, ready=False), memory) is serves


@pytest.mark.parametrize(
    ("revisions", "in_place"),
    [
        ([("one", 1), ("one", 1)], False),
        ([("one", 1), ("one", 2)], True),
        ([("one", 1), ("two", 2)], False),
        ([("one", 1), ("two", 2), ("two", 3)], True),
        ([("one", None), ("one", 1)], False),
        ([("one", 1), ("one", None), ("one", 2)], False),
    ],
    ids=["one text", "two", "started again", "once more", "not read yet", "by way of none"],
)
def test_what_took_up_another_text_within_one_start_did_so_while_it_was_running(
    revisions: list[tuple[str, int | None]], in_place: bool
) -> None:
    """A server may listen before it has read its files, so from none to some proves nothing."""
    memory = ReplicaMemory()
    for started, revision in revisions:
        memory.started = started
        memory.note(revision, SetClock().now())
    assert (memory.in_place == memory.started) is in_place


def test_a_pod_without_an_address_serves_nobody() -> None:
    assert not may_serve(replace(POD, ready=False, ip=""), ReplicaMemory())


@pytest.mark.asyncio
async def test_however_many_objects_share_a_replica_it_is_asked_about_hosts_at_rest_at_one_rate() -> (
    None
):
    asking = AskedReplica()
    objects = [
        replace(
            asking.question,
            hosts=(f"{n}.example.com",),
            since={f"{n}.example.com": 7},
            identities=presenting(f"{n:064}"),
        )
        for n in range(40)
    ]
    for after_s in (1.0, SETTLED_AFTER_S, SETTLED_AFTER_S):
        for theirs in objects:
            await asking.look(after_s if theirs is objects[0] else 0, theirs)
    turns: list[str] = []
    for n in range(20 * len(objects)):
        await asking.look(RECHECK_S / len(objects), objects[n % len(objects)])
        turns += asking.pod.treated
    assert len(turns) <= 20 * RECHECK_S / TURN_S + 1
    assert len(set(turns)) > len(objects) / 2, "it is not always the same object's turn"
