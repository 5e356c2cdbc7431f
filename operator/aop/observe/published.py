"""What one origin's carrier has said of us since this process began.

Which text, since when, and whose claim in it. It asks nobody: the keeper reads and writes, and
reports what it has seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aop.observe.disturbance import Disturbance
from aop.observed import Configured, ObservedReplica
from aop.origins.kind import Site
from aop.origins.sites import Published
from aop.terms import Claim


@dataclass(slots=True)
class Followed:
    """What is remembered of one object's claim."""

    claim: Claim | None = None
    since: int | None = None
    """The first revision that was read with it and since which all texts were whole."""
    published_at: datetime | None = None
    """When this process first read or wrote it."""
    applied_at: datetime | None = None
    """When it was first seen, settled, on every replica. A replica that comes later has nothing old
    to keep."""
    decided_on: tuple[object, ...] = ()
    """What the carrier said of it at the last look, on which a write is decided."""
    written: Claim | None = None
    """The claim as it was last read. The text may still act on it after somebody has removed the
    annotations and left the text."""

    def notice_applied(
        self, published: Published, replicas: Collection[ObservedReplica], now: datetime
    ) -> None:
        """Note when every replica was first seen to run it, settled."""
        first = published.revision if self.since is None else self.since
        running = [
            r.settled and r.revision is not None and first <= r.revision <= published.revision
            for r in replicas
        ]
        if self.applied_at is None and running and all(running):
            self.applied_at = now


@dataclass(slots=True)
class PublishedMemory:
    """The text of one origin, followed from reading to reading."""

    published: Published = field(default_factory=Published)
    path_token: str | None = None
    """The secret part of the check path. It is remembered even after the carrier is gone, because
    its replicas go on running the text."""
    changed_at: datetime | None = None
    """When this process first saw or wrote the current text."""
    disturbance: Disturbance = field(default_factory=Disturbance)
    _entries: dict[str, tuple[object, int]] = field(default_factory=dict)
    """By host, what the published text says of it, and the first revision that says so."""
    _since: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    """By the uid of the object, since which revision its claim reads as it does, and when that was
    read or written. It is known of every claim, also before its object looks."""
    _followed: dict[str, Followed] = field(default_factory=dict)
    """By the uid of the object."""
    _claimants: dict[str, dict[str, str]] = field(default_factory=dict)
    """By zone, the owners of its claims, by uid; of the `published` text."""

    def notice(
        self, published: Published, now: datetime, *, ours: bool = False, by: str = ""
    ) -> bool:
        """Note what the carrier says now, after a write of `ours` or of anybody.

        True if nobody knows any more what the text says of a host.
        """
        before = self.published
        if published is not before:
            self.published, self._claimants = published, _by_zone(published)
            self._since = dict(self._standing_since(before, now)) if published.intact else {}
        self.path_token = published.path_token or self.path_token
        if self._says(before) == self._says(published):
            return False
        self.changed_at = now
        self.disturbance.notice(before, published, now, ours=ours, by=by)
        if not published.intact:
            self._entries.clear()
        return not published.intact

    def _standing_since(
        self, before: Published, now: datetime
    ) -> Iterator[tuple[str, tuple[int, datetime]]]:
        revision = self.published.revision
        for uid, entry in self.published.entries.items():
            known = self._since.get(uid)
            same = known and known[0] <= revision and before.claim_of(uid) == entry.claim
            yield uid, known if known and same else (revision, now)

    @staticmethod
    def _says(published: Published) -> tuple[object, ...]:
        return published.text_digest, published.revision, published.intact

    def claimants(self, zone: str) -> Mapping[str, str]:
        """The owners (`namespace/name`) of the claims of a zone, by uid."""
        return self._claimants.get(zone, {})

    def of(self, uid: str) -> Followed | None:
        """What is remembered of an object's claim, if the object ever looked."""
        return self._followed.get(uid)

    @property
    def followers(self) -> KeysView[str]:
        """Uids of the objects that look at this origin."""
        return self._followed.keys()

    def follow(self, uid: str) -> Followed:
        """Follow an object's claim: since which revision it reads as it does.

        A damaged text, or one that was put back, begins anew.
        """
        followed = self._followed.setdefault(uid, Followed())
        published = self.published
        claim, since = published.claim_of(uid), self._since.get(uid)
        begun_anew = (
            since[0] != followed.since if since else (followed.since or 0) > published.revision
        )
        mended_or_damaged = (followed.since is None) is published.intact
        if claim != followed.claim or mended_or_damaged or begun_anew:
            first, followed.published_at = since or (published.revision, self.changed_at)
            followed.claim, followed.since = claim, first if published.intact else None
            followed.applied_at = None
        followed.decided_on = published.as_seen_by(uid)
        followed.written = published.standing.get(uid) or followed.written
        return followed

    def drop(self, uid: str) -> None:
        """An object is gone: what was remembered of its claim goes with it."""
        self._followed.pop(uid, None)

    def configured(self, uid: str, *, runs_on: bool = False) -> Configured:
        """What the carrier says of an object that is followed.

        `runs_on`: there is no carrier, and replicas that run its text go on as before.
        """
        published, followed = self.published, self._followed[uid]
        entry = published.entries.get(uid)
        return Configured(
            revision=published.revision,
            claim_since=followed.since,
            claim=entry.claim if entry else None,
            standing=followed.written if runs_on else self._standing(uid, followed),
            accepted=entry.accepted if entry else None,
            intact=published.intact and not published.misplaced,
            others_changed=published.others_changed(uid),
            foreign_digest=published.foreign_digest,
        )

    def _standing(self, uid: str, followed: Followed) -> Claim | None:
        """The strictest claim that the text may still apply to an object's hosts.

        It counts as long as something of ours is there.
        """
        if not self.published.residue:
            return None
        return self.published.standing.get(uid) if self.published.intact else followed.written

    def entries_since(self, site: Site, hosts: Collection[str]) -> dict[str, int]:
        """By host, the revision since which the published text says the same of it."""
        if not self.published.intact:
            return {}
        kept, revision = self._entries, self.published.revision
        for host, entry in site.entries(hosts).items():
            if host not in kept or kept[host][0] != entry or kept[host][1] > revision:
                kept[host] = (entry, revision)
        return {host: kept[host][1] for host in hosts}


def _by_zone(published: Published) -> dict[str, dict[str, str]]:
    claimants: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for uid, claim in published.claims.items():
        claimants[claim.zone][uid] = claim.owner
    return dict(claimants)
