"""What is done to the zone, step by step, and how it is put back. The same on the real Cloudflare and on the double."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import SecretBytes

from aop import pki
from aop.cloudflare import (
    Access,
    AlreadyDeleted,
    AlreadyExists,
    CannotDeleteYet,
    Certificate,
    ChangeUnderWay,
    Cloudflare,
    CloudflareError,
    NotFound,
    NotOffered,
    Refused,
    TokenDoubted,
    Unavailable,
    Zone,
)
from drill.edge import DrillEdge
from drill.transcript import Transcript

MARK = "aop-operator-drill"
"""In the name of who issued each of our certificates, by which a later drill knows what an earlier one has left."""
LIFETIME = timedelta(days=2)
WAY_BACK_S = 180.0
"""How long each thing is awaited at least while everything is put back: the client asks for nothing again at once that was refused."""
PASSES: tuple[type[CloudflareError], ...] = (
    ChangeUnderWay,
    CannotDeleteYet,
    TokenDoubted,
    Unavailable,
    Refused,
)
"""What ends by itself."""

T = TypeVar("T")


class DrillError(Exception):
    """The drill cannot go on; the message says why, and what to do."""


@dataclass(slots=True)
class Exercise:
    """One run on one zone. Times are seconds."""

    cloudflare: Cloudflare
    access: Access
    name: str
    transcript: Transcript
    edge: DrillEdge | None = None
    pause_s: float = 2.0
    """Between two looks at what is awaited."""
    patience_s: float = 300.0
    """How long one thing is awaited."""
    zone: Zone | None = None
    begun: bool = False
    """Something may have to be put back."""
    uploads: set[str] = field(default_factory=set)
    """Ids of ours."""

    # --- before ------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Whether the zone may be used; nothing is changed.

        Raises:
            DrillError: it may not, and why.
        """
        with self.transcript.during("look at the zone"):
            zones = await self.cloudflare.find_zones(self.access, self.name)
            if len(zones) != 1:
                raise DrillError(f"The token sees {len(zones)} zones of this name; it must see one")
            (self.zone,) = zones
            zone = self.zone.id
            if not self.zone.active:
                raise DrillError("The zone is not active at Cloudflare")
            mode = await self.cloudflare.fetch_ssl_mode(self.access, zone)
            shared = await self.cloudflare.fetch_global_aop(self.access, zone)
            enabled = await self.cloudflare.fetch_enablement(self.access, zone)
            listed = await self.cloudflare.list_certificates(self.access, zone)
            try:
                own = await self.cloudflare.list_hostname_associations(self.access, zone)
            except NotOffered:
                own = ()
        if not mode.presents:
            raise DrillError(
                "The zone's SSL mode is Off or Flexible, in which nothing is presented"
            )
        if self.edge is not None and mode.value in {"strict", "origin_pull"}:
            raise DrillError(
                "The SSL mode is Full (strict), in which the edge refuses the drill's own server. Set it to Full, or leave HOST out"
            )
        foreign = [one for one in listed if not is_ours(one)]
        if foreign or own or shared.on:
            raise DrillError(
                "Somebody uses Authenticated Origin Pulls in this zone: it has certificates, hosts of its own or the global switch on. Take another zone"
            )
        if enabled.enabled and not listed:
            raise DrillError(
                "Authenticated Origin Pulls are enabled in this zone. Take another zone, or disable them if nobody needs them"
            )
        self.uploads |= {one.id for one in listed}
        if self.edge is not None and await self.edge.presented() is None:
            raise DrillError(
                "Requests to HOST do not arrive at the drill's server. HOST needs a proxied record that leads to this machine, and the port must be open"
            )

    async def tidy(self) -> None:
        """Take away what an earlier drill has left."""
        if self.uploads:
            self.begun = True
            self.transcript.say(
                "An earlier drill has left certificates in the zone: taking them away"
            )
            await self.restore("take away what an earlier drill has left")
            # What was seen until now would be compared with a zone in which nothing was left.
            self.transcript.exchanges.clear()
            await self.look()

    # --- the exercise ------------------------------------------------------------------------------

    async def run(self) -> None:
        """All steps, from nothing to nothing."""
        first, second = _issued(self.name), _issued(self.name)
        self.begun = True
        await self._refusals()
        one = await self._upload("upload a certificate", first)
        await self._upload_again(first)
        await self._switch("enable the zone", enabled=True)
        await self._shown("present the certificate", first)
        other = await self._upload("upload its successor", second)
        await self._shown("present the successor", second)
        await self._delete("delete the successor while it is presented", other)
        await self._shown("present what is left", first)
        again = await self._upload("upload the deleted one again", second)
        self.transcript.outcomes["the same id comes back"] = "yes" if again.id == other.id else "no"
        await self._shown("present it again", second)
        await self._delete("delete the first", one)
        if await self._delete("delete the last", again):
            await self._delete_again(again)
        await self._shown("present nothing, with the zone enabled", None)
        await self._switch("disable the zone", enabled=False)

    async def _refusals(self) -> None:
        """What Cloudflare says to what it must refuse."""
        with self.transcript.during("upload an authority"):
            recipe = _recipe(self.name)
            authority = pki.create_authority(recipe, datetime.now(UTC))
            await self._refused(lambda: self._uploading(authority.pem, authority.key))
        with self.transcript.during("upload with another key"):
            issued, other = _issued(self.name), _issued(self.name).key
            await self._refused(lambda: self._uploading(issued.leaf.pem, other))
        with self.transcript.during("ask for an id that there is not"):
            unknown = "00000000-0000-4000-8000-000000000000"
            await self._refused(
                lambda: self.cloudflare.fetch_certificate(self.access, self._id, unknown)
            )

    async def _refused(self, call: Callable[[], Awaitable[object]]) -> None:
        """Note how a call is refused; what is taken after all is put back at the end."""
        began = time.monotonic()
        while True:
            try:
                taken = await call()
            except CloudflareError as error:
                # The client leaves alone for a while what was refused before.
                if error.asked or time.monotonic() - began > self.patience_s:
                    self._note(type(error).__name__)
                    return
            else:
                self._note("taken")
                if isinstance(taken, Certificate):
                    self.uploads.add(taken.id)
                return
            await asyncio.sleep(self.pause_s)

    async def _upload(self, step: str, issued: pki.KeyedLeaf) -> Certificate:
        """Upload a leaf, and wait until it is active and listed."""
        with self.transcript.during(step):
            taken = await self._patiently(
                lambda: self._uploading(issued.leaf.pem, issued.key), also=(AlreadyExists,)
            )
            self.uploads.add(taken.id)
            began = time.monotonic()
            active = await self._until(
                lambda: self.cloudflare.fetch_certificate(self.access, self._id, taken.id),
                lambda one: one.active or one.failed,
                f"certificate to be active, after: {step}",
            )
            self._took("from upload to active", began)
            if active.failed:
                raise DrillError(f"Cloudflare could not deploy the certificate ({active.status})")
            began = time.monotonic()
            await self._until(
                lambda: self.cloudflare.list_certificates(self.access, self._id),
                lambda listed: any(one.id == taken.id for one in listed),
                f"certificate to be listed, after: {step}",
            )
            self._took("from active to listed", began)
            self._note("done")
            return taken

    async def _upload_again(self, issued: pki.KeyedLeaf) -> None:
        with self.transcript.during("upload the same certificate twice"):
            await self._refused(lambda: self._uploading(issued.leaf.pem, issued.key))

    async def _switch(self, step: str, *, enabled: bool) -> None:
        with self.transcript.during(step):
            await self._patiently(
                lambda: self.cloudflare.set_enablement(self.access, self._id, enabled=enabled)
            )
            await self._until(
                lambda: self.cloudflare.fetch_enablement(self.access, self._id),
                lambda now: now.enabled is enabled,
                f"setting to be read back, after: {step}",
            )
            self._note("done")

    async def _delete(self, step: str, certificate: Certificate) -> bool:
        """Delete, and wait for the tombstone; False where Cloudflare refuses to, which is noted."""
        with self.transcript.during(step):
            try:
                await self._patiently(
                    lambda: self.cloudflare.delete_certificate(
                        self.access, self._id, certificate.id
                    )
                )
            except DrillError:
                self._note("refused for good")
                return False
            began = time.monotonic()
            await self._until(
                lambda: self._fetched(certificate.id),
                lambda one: one is None or one.deleted or one.failed,
                f"certificate to be deleted, after: {step}",
            )
            self._took("from delete to deleted", began)
            self._note("done")
            return True

    async def _delete_again(self, certificate: Certificate) -> None:
        with self.transcript.during("delete what is deleted"):
            await self._refused(
                lambda: self.cloudflare.delete_certificate(self.access, self._id, certificate.id)
            )

    async def _shown(self, step: str, issued: pki.KeyedLeaf | None) -> None:
        """What the edge presents from now on, once it is what is expected or has not been for long."""
        if self.edge is None:
            return
        wanted = issued.leaf.pin.sha1 if issued else ""
        with self.transcript.during(step):
            began, last = time.monotonic(), None
            while (passed_s := time.monotonic() - began) < min(self.patience_s, 90.0):
                last = await self.edge.presented()
                if last == wanted:
                    self.transcript.durations[f"until the edge does: {step}"] = round(passed_s, 1)
                    break
                await asyncio.sleep(self.pause_s)
            self.transcript.presented[step] = _presented(last, wanted)

    # --- the way back ------------------------------------------------------------------------------

    async def restore(self, step: str = "put everything back") -> None:
        """Disable the zone and delete everything of ours: as it was found.

        Raises:
            DrillError: something could not be put back; the message says what.
        """
        if not self.begun or self.zone is None:
            return
        self.patience_s = max(self.patience_s, WAY_BACK_S)
        with self.transcript.during(step):
            if (
                await self._patiently(
                    lambda: self.cloudflare.fetch_enablement(self.access, self._id)
                )
            ).enabled:
                await self._patiently(
                    lambda: self.cloudflare.set_enablement(self.access, self._id, enabled=False)
                )
            listed = await self._patiently(
                lambda: self.cloudflare.list_certificates(self.access, self._id)
            )
            for known in sorted(self.uploads | {one.id for one in listed if is_ours(one)}):
                await self._take_away(known)
        self.begun = False
        self.uploads.clear()

    async def _take_away(self, certificate_id: str) -> None:
        one = await self._fetched(certificate_id)
        if one is None or one.deleted or not is_ours(one):
            return
        if not one.deleting:
            await self._patiently(
                lambda: self.cloudflare.delete_certificate(self.access, self._id, certificate_id)
            )
        await self._until(
            lambda: self._fetched(certificate_id),
            lambda now: now is None or now.deleted,
            "certificate to be gone",
        )

    # --- asking ------------------------------------------------------------------------------------

    @property
    def _id(self) -> str:
        if self.zone is None:
            raise DrillError("The zone was not looked at")
        return self.zone.id

    def _uploading(self, certificate: str, key: SecretBytes) -> Awaitable[Certificate]:
        return self.cloudflare.upload_certificate(self.access, self._id, certificate, key)

    async def _fetched(self, certificate_id: str) -> Certificate | None:
        try:
            return await self.cloudflare.fetch_certificate(self.access, self._id, certificate_id)
        except NotFound:
            return None

    async def _patiently(
        self, call: Callable[[], Awaitable[T]], also: tuple[type[CloudflareError], ...] = ()
    ) -> T:
        """The answer, asked for again while what refuses it passes by itself."""
        passing = PASSES + also
        began = time.monotonic()
        while True:
            try:
                return await call()
            except AlreadyDeleted:
                raise DrillError(
                    "Cloudflare says that a certificate of the drill is deleted already"
                ) from None
            except passing as error:
                if time.monotonic() - began > self.patience_s:
                    raise DrillError(f"Cloudflare goes on refusing: {error}") from None
            await asyncio.sleep(self.pause_s)

    async def _until(
        self, look: Callable[[], Awaitable[T]], so: Callable[[T], bool], what: str
    ) -> T:
        """The first look at which it is so."""
        began = time.monotonic()
        while not so(seen := await self._patiently(look)):
            if time.monotonic() - began > self.patience_s:
                raise DrillError(
                    f"Cloudflare took longer than {self.patience_s:.0f} s for a {what}"
                )
            await asyncio.sleep(self.pause_s)
        return seen

    def _note(self, outcome: str) -> None:
        self.transcript.outcomes[self.transcript.step] = outcome

    def _took(self, what: str, began: float) -> None:
        self.transcript.durations[f"{what}: {self.transcript.step}"] = round(
            time.monotonic() - began, 1
        )


def is_ours(certificate: Certificate) -> bool:
    """Whether a drill has made it, by who issued it."""
    return bool(certificate.leaf) and pki.recognise(certificate.leaf, MARK)


def _recipe(zone: str) -> pki.Recipe:
    return pki.Recipe(zone, MARK, (zone,), pki.Algorithm.ECDSA, 256, LIFETIME, LIFETIME)


def _issued(zone: str) -> pki.KeyedLeaf:
    recipe, now = _recipe(zone), datetime.now(UTC)
    return pki.issue_leaf(recipe, pki.create_authority(recipe, now), now)


def _presented(sha1: str | None, wanted: str) -> str:
    """What the edge presented, in words; None: nobody answered, "": no certificate came."""
    if sha1 == wanted:
        return "as expected"
    if sha1 is None:
        return "no answer"
    return "another certificate" if sha1 else "nothing"
