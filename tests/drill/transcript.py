"""What was asked of Cloudflare and what it answered, kept as shapes from the moment that it arrives."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from drill.shapes import Shape, scrubbed, shape, texts

TEMPLATES = (
    (r"/zones/[^/?]+", "/zones/{zone_id}"),
    (r"/accounts/[^/?]+", "/accounts/{account_id}"),
    (r"(/origin_tls_client_auth)/[0-9a-f-]{32,36}", r"\1/{certificate_id}"),
)


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call and its answer."""

    step: str
    call: str
    """With a template for its path."""
    at_s: float
    """Since the exercise began."""
    took_s: float
    status: int | None
    """None: there was no answer."""
    shape: Shape
    words: tuple[str, ...] = ()
    """Cloudflare's own, of its errors, with placeholders."""

    @property
    def codes(self) -> str:
        """The codes of the errors."""
        return self.shape.get("errors[].code", "")

    @property
    def deployment(self) -> str:
        """The `status` of the certificate that the answer is about."""
        return self.shape.get("result.status", "")


@dataclass(slots=True)
class Transcript:
    """All of an exercise."""

    names: Mapping[str, str]
    """What has to be told by a placeholder: the zone's name, the host, the token."""
    say: Callable[[str], None] = lambda _: None
    exchanges: list[RecordedCall] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    """How each step ended: `done`, or what the client made of a refusal."""
    durations: dict[str, float] = field(default_factory=dict)
    """What was waited for, in seconds."""
    presented: dict[str, str] = field(default_factory=dict)
    """What the edge presented, by the step at whose end it was asked."""
    step: str = "before"
    seen: set[str] = field(default_factory=set)
    began_s: float = field(default_factory=time.monotonic)

    @contextmanager
    def during(self, step: str) -> Iterator[None]:
        """What is asked within the block belongs to this step."""
        before, self.step = self.step, step
        self.say(f"{self.passed_s:6.0f} s  {step}")
        try:
            yield
        finally:
            self.step = before

    @property
    def passed_s(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began_s

    def note(self, request: httpx.Request, answer: httpx.Response | None, took_s: float) -> None:
        """Keep the shape of one exchange."""
        body = _decoded(answer)
        self.seen |= set(texts(body))
        errors = body.get("errors") if isinstance(body, dict) else None
        words = tuple(
            scrubbed(str(one.get("message", "")), self.names, self.seen)
            for one in errors or ()
            if isinstance(one, dict)
        )
        self.exchanges.append(
            RecordedCall(
                self.step,
                template(request),
                round(self.passed_s, 2),
                round(took_s, 2),
                answer.status_code if answer is not None else None,
                shape(body),
                words,
            )
        )


def template(request: httpx.Request) -> str:
    """Method and path without ids, the query left out."""
    path = request.url.path.partition("/client/v4")[2] or request.url.path
    for form, text in TEMPLATES:
        path = re.sub(form, text, path)
    return f"{request.method} {path}"


def _decoded(answer: httpx.Response | None) -> object:
    try:
        return json.loads(answer.content) if answer is not None and answer.content else None
    except ValueError:
        return {"no JSON": None}


class Recording(httpx.AsyncBaseTransport):
    """A transport that lets everything through and keeps its shape."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, read all of the answer, and hand it over."""
        began = time.monotonic()
        try:
            answer = await self._inner.handle_async_request(request)
            await answer.aread()
            await answer.aclose()
        except httpx.TransportError:
            self._transcript.note(request, None, time.monotonic() - began)
            raise
        self._transcript.note(request, answer, time.monotonic() - began)
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in {"content-encoding", "content-length", "transfer-encoding"}
        }
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()
