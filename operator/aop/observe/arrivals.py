"""What arrives through the edge, folded into evidence per host. Pure.

Proofs and losses are made of runs of equal arrivals. Silence (timeouts, challenges, 403, 429, 52x,
no nonce) is no arrival: it neither ends nor lengthens a run. Otherwise whoever disturbs the edge
could open the origin (docs/adr/0007).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from aop.observed import Arrival, Evidence

RECENT = timedelta(seconds=90)
"""How long single arrivals are kept; a loss needs those of the last 20 s or so."""
MOST_RECENT = 100


def arrived(evidence: Evidence, arrival: Arrival, *, direct: bool, gap: timedelta) -> Evidence:
    """The evidence after one more arrival.

    `direct` if the request bypassed the edge; `gap` is the longest pause between two arrivals that
    hides nothing. A longer silence neither ends the run nor lengthens the time that it covers,
    because nobody knows what would have arrived meanwhile.
    """
    goes_on = evidence.presented == arrival.presented and evidence.direct == direct
    passed = arrival.at - evidence.last if evidence.last is not None else timedelta()
    covered = passed if passed <= gap else timedelta()
    recent = (*(past for past in evidence.recent if arrival.at - past.at <= RECENT), arrival)
    return replace(
        evidence,
        presented=arrival.presented,
        count=evidence.count + 1 if goes_on else 1,
        since=evidence.since if goes_on else arrival.at,
        covered=evidence.covered + covered if goes_on else timedelta(),
        last=arrival.at,
        recent=recent[-MOST_RECENT:],
        fresh=arrival if arrival.fresh else evidence.fresh,
        old_since=None if arrival.fresh else evidence.old_since or arrival.at,
        direct=direct,
        silence=None,
        silent_since=None,
    )


def silent(evidence: Evidence, why: str, at: datetime, *, direct: bool | None) -> Evidence:
    """The evidence after a request without a usable answer.

    `direct` is True if there was an answer that bypassed the edge, and None if there was none.
    Where nothing has arrived yet, any answer shows whether the host's requests meet the edge at
    all.
    """
    known = evidence.direct if direct is None or evidence.last is not None else direct
    return replace(evidence, silence=why, silent_since=evidence.silent_since or at, direct=known)


def begun_again(evidence: Evidence) -> Evidence:
    """The evidence after a change at Cloudflare was read.

    What arrived before proves nothing about what comes now. The arrivals themselves stay, because a
    loss is a loss whoever caused it.
    """
    return replace(
        evidence,
        presented=None,
        count=0,
        since=None,
        covered=timedelta(),
        fresh=None,
        old_since=None,
    )
