"""One request to Cloudflare as a value.

Which call, with whose token, about which zone or certificate, and with what in it.

It is built once and passed on whole, so that what is remembered of a call, what is sent, and what
is kept out of every message come from the same place. Only `wire` asks for what it hides.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import quote

from pydantic import SecretBytes

from aop.cloudflare.access import Access, Priority
from aop.cloudflare.calls import Call

Body: TypeAlias = Mapping[str, Any]
"""A JSON object. A secret is a `SecretBytes` at its top level until the request is sent."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request. Its `repr` shows no secret: token and private key are wrapped."""

    access: Access
    call: Call
    ids: Mapping[str, str] = field(default_factory=dict)
    """What fills the braces in the call's path."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=dict)
    """Empty: there is none."""

    def at(self, priority: Priority) -> ApiRequest:
        """The same request with another priority."""
        return replace(self, access=self.access.at(priority))

    def with_query(self, more: Mapping[str, str]) -> ApiRequest:
        """The same request with `more` in its query."""
        return replace(self, query={**self.query, **more})

    @property
    def key(self) -> Hashable:
        """What tells one request from another: the token's hash, and no secret of the body."""
        public = {
            name: value for name, value in self.body.items() if not isinstance(value, SecretBytes)
        }
        parts = (tuple(sorted(part.items())) for part in (self.ids, self.query))
        return self.access.key, self.call, *parts, json.dumps(public, sort_keys=True)

    @property
    def named(self) -> Hashable:
        """The call and what it names, for which the token has the permission or not."""
        return self.call, tuple(sorted(self.ids.items()))

    @property
    def url(self) -> str:
        """Relative to the API's base, without the query."""
        return self.call.path.format(
            **{name: quote(value, safe="") for name, value in self.ids.items()}
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers. They contain the token."""
        headers = {"authorization": self.access.authorization}
        if self.body:
            headers["content-type"] = "application/json"
        return headers

    @property
    def content(self) -> str | None:
        """The body as it is sent, with its secrets; None: there is none."""
        if not self.body:
            return None
        return json.dumps(
            {
                name: value.get_secret_value().decode() if isinstance(value, SecretBytes) else value
                for name, value in self.body.items()
            }
        )

    @property
    def secrets(self) -> Iterator[str]:
        """The token and the secrets of the body, which are cut out of whatever comes back."""
        yield self.access.token.get_secret_value()
        yield from (
            value.get_secret_value().decode()
            for value in self.body.values()
            if isinstance(value, SecretBytes)
        )
