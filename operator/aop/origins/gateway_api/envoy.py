"""Envoy: one Lua script, which every route of the Gateway runs before it serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import dedent

from aop.origins.check import NO_ZONE, NONE, OTHER, check_path, gate_path, printed
from aop.origins.kind import Capabilities
from aop.origins.rules import DENIED, WORDS, Rules
from aop.origins.workload.dialect import REFUSAL, Dialect, is_our_refusal, text_of
from aop.terms import Mode

SCRIPT = "lua"
"""The key that Envoy Gateway reads (facts: envoy-gateway#the-key-that-is-read)."""
IDLE = "none"
"""The key that it reads if there is no other."""
DOES_NOTHING = "function envoy_on_request() end\n"
"""What that key contains: without any script Envoy Gateway answers 500 on every route."""

_PROGRAM = dedent(
    """\
    local function rule_of(authority)
      local name = string.lower(authority):gsub(":%d*$", ""):gsub("%.$", "")
      if EXACT[name] then return name, EXACT[name] end
      for _, one in ipairs(BELOW) do
        if #name > #one[1] and name:sub(-#one[1]) == one[1] then return name, one[2] end
      end
      return name, NOBODY
    end

    local function presented_to(tls, zone)
      if not tls or not tls:peerCertificatePresented() then return NONE end
      return PINS[zone .. ":" .. tls:sha256PeerCertificateDigest()] or OTHER
    end

    local function nonce_in(query)
      local nonce = ("&" .. query .. "&"):match("&n=([A-Za-z0-9_-]*)&")
      return nonce and #nonce <= 64 and nonce or ""
    end

    function envoy_on_request(handle)
      local info, headers = handle:streamInfo(), handle:headers()
      local whole = headers:get(":path") or ""
      local path, query = whole:match("^([^?]*)%??(.*)$")
      local name, rule = rule_of(headers:get(":authority") or "")
      local zone, mode = rule:match("^(%S+) ?(%S*)$")
      local tls = info:downstreamSslConnection()
      local presented, https = presented_to(tls, zone), tls and "on" or ""
      local action = ACTIONS[mode .. ":" .. https .. ":" .. (PINNED[presented] or "ours")]
      if path == CHECK then
        local conn = "2"
        if info.drainConnectionUponCompletion then
          info:drainConnectionUponCompletion()
          conn = "1"
        end
        local line = "aop rev=" .. REVISION .. " zone=" .. zone .. " presented=" .. presented
          .. " https=" .. https .. " conn=" .. conn .. (tls and "." or "")
          .. " nonce=" .. nonce_in(query) .. "\\n"
        handle:respond({[":status"] = "200", ["cache-control"] = "no-store"}, line)
      elseif action == "deny" then
        handle:respond({[":status"] = "403"}, REFUSAL)
      elseif action == "tls" then
        handle:respond({[":status"] = "308", ["location"] = "https://" .. name .. whole}, "")
      elseif path == GATE then
        handle:respond({[":status"] = "204"}, "")
      end
    end"""
)


class EnvoyDialect(Dialect):
    """It decides for each request, by Envoy's own view of it.

    The user's `EnvoyExtensionPolicy` names the ConfigMap, so that Envoy Gateway runs the script on
    every route of the Gateway. The user's own `ClientTrafficPolicy` asks for certificates, and
    refuses nobody by that (facts: envoy-gateway#asking). Each check closes its connection, because
    a script cannot tell an old one from a new one (facts: envoy-gateway#connections); an Envoy that
    cannot close it never says that one is new.
    """

    files = (SCRIPT,)
    idle = {IDLE: DOES_NOTHING}  # noqa: RUF012 - a constant of the protocol
    complains = "[error]"
    container = "envoy"
    capabilities = Capabilities(refuses_expired=False, fails_rejected=True)

    def render(self, rules: Rules) -> dict[str, str]:
        """As `Dialect` says: tables of what differs, and a program that never does."""
        return {SCRIPT: text_of(rules, (*_tables(rules), _PROGRAM), comment="-- ")}

    def blames_others(self, words: str) -> bool:  # noqa: ARG002 - see below
        """Never: Envoy starts without the script, and gets it afterwards."""
        return False

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether it is our own refusal: Envoy itself refuses no certificate where it only asks.

        See facts: envoy-gateway#asking.
        """
        return is_our_refusal(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:  # noqa: ARG002 - see below
        """Nothing."""
        return False


def _tables(rules: Rules) -> Iterator[str]:
    """Tables that say whose a host is, which leaves pass, and who is refused."""
    yield f"local REVISION, REFUSAL = {_quoted(printed(rules.revision))}, {_quoted(REFUSAL)}"
    yield f"local CHECK, GATE = {_quoted(check_path(rules.token))}, {_quoted(gate_path(rules.token))}"
    yield f"local NOBODY, NONE, OTHER = {_quoted(NO_ZONE)}, {_quoted(NONE)}, {_quoted(OTHER)}"
    yield "local PINNED = {[NONE] = NONE, [OTHER] = OTHER}"
    hosts = [(one.name, f"{one.zone} {WORDS[one.mode]}") for one in rules.most_specific_first]
    yield from _table("EXACT", (_pair(*one) for one in hosts if not one[0].startswith("*.")))
    below = ((name[1:], rule) for name, rule in hosts if name.startswith("*."))
    yield from _table("BELOW", (f"{{{_quoted(end)}, {_quoted(rule)}}}" for end, rule in below))
    pins = ((f"{label}:{pin.sha256}", pin.short) for label, pin in rules.leaves)
    yield from _table("PINS", (_pair(*one) for one in pins))
    refused = [(f"{WORDS[mode]}:on:{presented}", "deny") for mode, presented in DENIED]
    refused.append((f"{WORDS[Mode.REQUIRE]}::{NONE}", "tls"))
    yield from _table("ACTIONS", (_pair(*one) for one in refused))


def _table(name: str, entries: Iterable[str]) -> Iterator[str]:
    yield f"local {name} = {{"
    for entry in entries:
        yield f"{entry},"
    yield "}"


def _pair(key: str, value: str) -> str:
    return f"[{_quoted(key)}] = {_quoted(value)}"


def _quoted(text: str) -> str:
    """`text` in quotes: no name, label, digest or path of ours contains anything to escape."""
    return f'"{text}"'
