"""What goes wrong on purpose: on chosen API calls, and at chosen edge locations. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Generic, Literal, TypeVar

from pydantic import Field

from sandbox.cloudflare.credentials import new_id
from sandbox.cloudflare.knobs import Seconds, Strict


class _Rule(Strict):
    id: str = Field(default_factory=lambda: new_id()[:8])
    skip: int = Field(default=0, ge=0)
    """How many matches pass unharmed first."""
    count: int | None = Field(default=None, ge=1)
    """How many matches are hit; None: all, until the rule is removed."""


class ApiFault(_Rule):
    """What happens to calls of that method and path (a glob below `/client/v4`; the query does not count)."""

    method: str = "*"
    path: str = "*"
    when: Literal["before", "after"] = "before"
    """Before the call has its effect, or after it: then the effect is there and the answer is lost."""
    delay_s: Seconds = 0
    status: int | None = Field(default=None, ge=100, le=599)
    """None: only the delay."""
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""
    """Sent as it is; `headers` names its type."""
    drop: bool = False
    """Close the connection without an answer."""

    def matches(self, method: str, path: str) -> bool:
        """Whether this call is meant."""
        return fnmatchcase(method, self.method.upper()) and fnmatchcase(path, self.path)


class EdgeFault(_Rule):
    """How locations answer instead of asking the origin."""

    location: str = "*"
    host: str = "*"
    path: str = "*"
    """A glob on the path without the query."""
    scheme: Literal["https", "http", "*"] = "*"
    answer: Literal["timeout", "challenge"] | int
    """A status, Cloudflare's managed challenge (403), or no answer until the visitor gives up."""
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    """With a status: said instead of Cloudflare's own page, as a cache would."""

    def matches(self, location: str, scheme: str, host: str, path: str) -> bool:
        """Whether this request is meant."""
        return (
            fnmatchcase(location, self.location)
            and self.scheme in {"*", scheme}
            and fnmatchcase(host, self.host)
            and fnmatchcase(path, self.path)
        )


R = TypeVar("R", bound=_Rule)


class Faults(Generic[R]):
    """Rules in order; the first that matches and is not used up is applied."""

    def __init__(self) -> None:
        self.rules: list[R] = []

    def add(self, rule: R) -> R:
        """Behind those that are there."""
        self.rules.append(rule)
        return rule

    def remove(self, rule_id: str) -> bool:
        """Whether there was one of that id."""
        before = len(self.rules)
        self.rules = [rule for rule in self.rules if rule.id != rule_id]
        return len(self.rules) < before

    def strike(self, matching: list[R]) -> R | None:
        """The rule to apply to a request that `matching` rules mean; it is used up by one."""
        for rule in matching:
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.count is not None:
                rule.count -= 1
                if not rule.count:
                    self.rules.remove(rule)
            return rule
        return None
