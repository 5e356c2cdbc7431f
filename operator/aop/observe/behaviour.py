"""What the answers of one replica show about one host. Pure.

No status code means "refused", because other people's pages may replace a server's own (`error_page
495 496`, `custom-http-errors`). So what a stranger gets at the gate is compared with what our
certificate gets there. A host at which somebody else answers on our two paths shows nothing of our
text, neither that it is applied nor that it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aop.errors import plain
from aop.observed import NONE, HostBehaviour
from aop.origins.check import CheckAnswer, answer_in
from aop.probe import Answer, Asked, ClientIdentity, Failure, Presented
from aop.terms import Mode

GATE_OPEN = 204


def check_answer(answer: Answer | Failure) -> CheckAnswer | None:
    """What our check path says; None for anybody else's answer."""
    if not isinstance(answer, Answer):
        return None
    return answer_in(answer.status, answer.body, answer.location)


def revision_told(asked: tuple[Asked, ...]) -> int | None:
    """The one revision that all answers of our check path show.

    None if they differ, or if none is ours.
    """
    revisions = {answer.revision for one in asked if (answer := check_answer(one.check))}
    return revisions.pop() if len(revisions) == 1 else None


Refuses = Callable[[int, str], bool]
"""Whether status and body of an answer are the server's own refusal of a certificate, or of a
request without one: `OriginKind.refuses_certificate`."""


def refused_by_server(answer: Answer | Failure, refuses: Refuses) -> bool:
    """Whether this is the server's own refusal, which no text of ours words."""
    return isinstance(answer, Answer) and refuses(answer.status, answer.body)


@dataclass(frozen=True, slots=True)
class AskedGate:
    """Whom the gate of one host lets pass, and whom it refuses, of all who have asked."""

    by: Mapping[Presented, Asked]
    passing: frozenset[Presented]
    passes_ours: bool
    refuses: Refuses

    def refused(self, presented: Presented) -> bool:
        """Whether it is refused, in the server's own words or in any other way while others pass.

        "Too many requests" and a server that is broken refuse nobody in particular.
        """
        answer = self.by[presented].gate
        if (
            not isinstance(answer, Answer)
            or presented in self.passing
            or answer.status == 429
            or answer.status >= 500
        ):
            return False
        return (
            refused_by_server(answer, self.refuses)
            or self.passes_ours
            or not self.passing.isdisjoint({Presented.NONE, Presented.FOREIGN})
        )

    def turned_away(self, stranger: Presented) -> bool:
        """Whether our text refuses it, from which the check path is exempt.

        If the check path refuses it as well, somebody else's verification did that.
        """
        seen = self.by[stranger]
        # `error_page 496 =444`, which the probe has met twice
        hung_up = isinstance(seen.gate, Failure) and self.passes_ours
        return (self.refused(stranger) or hung_up) and not refused_by_server(
            seen.check, self.refuses
        )


def behaviour_of(
    host: str,
    asked: tuple[Asked, ...],
    identities: Mapping[Presented, ClientIdentity],
    refuses: Refuses,
    *,
    own: bool,
    told_by: tuple[str, ...] = (),
) -> HostBehaviour:
    """Who is refused at the gate, and whether anybody is asked at all.

    `own` if somebody else verifies certificates at this host. The request without a certificate has
    claimed, in the headers `told_by`, that it came with one.
    """
    by = {one.presented: one for one in asked}
    passing = frozenset(
        presented
        for presented, one in by.items()
        if isinstance(one.gate, Answer) and one.gate.status == GATE_OPEN
    )
    gate = AskedGate(by, passing, not passing.isdisjoint(identities), refuses)
    nobody = check_answer(by[Presented.NONE].check)
    stranger = check_answer(by[Presented.FOREIGN].check)
    asks = refused_by_server(by[Presented.FOREIGN].check, refuses) or (
        stranger is not None and stranger.presented != NONE
    )
    return HostBehaviour(
        host,
        _mode(gate, asks=asks),
        accepts=frozenset(
            identity.sha256 for presented, identity in identities.items() if presented in passing
        ),
        refuses=frozenset(
            identity.sha256 for presented, identity in identities.items() if gate.refused(presented)
        ),
        odd=oddity_of(by, identities, refuses),
        own=own,
        believes=told_by if nobody is not None and nobody.presented != NONE else (),
    )


def _mode(gate: AskedGate, *, asks: bool) -> Mode:
    if gate.turned_away(Presented.NONE):
        return Mode.REQUIRE
    if gate.turned_away(Presented.FOREIGN):
        return Mode.OPTIONAL
    return Mode.REQUEST if asks else Mode.OFF


def oddity_of(
    by: Mapping[Presented, Asked],
    identities: Mapping[Presented, ClientIdentity],
    refuses: Refuses,
) -> str | None:
    """What keeps us from seeing our text at this host, in words.

    None if our two paths answer. Nothing is odd about a leaf of ours that the server refuses on the
    check path too while it accepts a stranger's: the server refuses that leaf (expired, or not yet
    valid by its own clock), and so it refuses visitors.
    """
    stranger_is_met = check_answer(by[Presented.FOREIGN].check) is not None
    for presented in (Presented.NONE, *identities):
        check = by[presented].check
        if check_answer(check) is None and not (
            stranger_is_met and refused_by_server(check, refuses)
        ):
            return words_for(check, "the operator's check path", refuses)
    gates = [by[presented].gate for presented in by]
    if any(
        (isinstance(gate, Answer) and gate.status == GATE_OPEN) or refused_by_server(gate, refuses)
        for gate in gates
    ):
        return None
    return words_for(gates[0], "the operator's gate path", refuses)


def words_for(answer: Answer | Failure, ours: str, refuses: Refuses) -> str:
    """An answer that is not ours, in words for the condition.

    What others wrote is shortened, and cannot reach a terminal unescaped.
    """
    if isinstance(answer, Failure):
        return f"nothing on {ours} ({plain(str(answer), 120)})"
    if refused_by_server(answer, refuses):
        return f"HTTP {answer.status} on {ours}, because client certificates are verified there by somebody else's configuration"
    to = f" to {plain(answer.location, 60)}" if answer.location else ""
    return f"HTTP {answer.status}{to} on {ours}"
