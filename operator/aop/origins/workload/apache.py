"""Apache httpd: one file for every `<VirtualHost>` that serves hosts of a zone, with a hook in Lua.

Nothing in Apache but Lua can tell the exact leaf: mod_ssl has the certificate as a text, and no
digest of it (facts: apache#the-certificate).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aop.origins.check import NO_ZONE, NONE, OTHER, check_path, gate_path, printed
from aop.origins.kind import Capabilities
from aop.origins.rules import DENIED, WORDS, Rules
from aop.origins.workload.dialect import REFUSAL, Dialect, is_our_refusal, text_of
from aop.terms import Mode

HOST = "vhost.conf"
ASKING = "SSLVerifyClient optional_no_ca"
"""Makes Apache ask for a certificate and refuse nobody because of its issuer
(facts: apache#asking-in-a-virtual-host)."""
PROGRAM = f"""
function aop(r)
  local host = (r.hostname or ""):lower():gsub("%.$", "")
  local rule = exact[host]
  for _, one in ipairs(rule and {{}} or below) do
    if #host > #one.name and host:sub(-#one.name) == one.name then rule = one break end
  end
  local zone, mode = rule and rule.zone or "{NO_ZONE}", rule and rule.mode or ""
  local presented, session = "{NONE}", ""
  if r.is_https then
    local pem = r:ssl_var_lookup("SSL_CLIENT_CERT") or ""
    if pem ~= "" then
      local der = r:base64_decode((pem:gsub("%-%-%-%-%-[^\\n]*", ""):gsub("%s", "")))
      local long, size = der:byte(2) - 128, 0
      for place = 3, 2 + long do size = size * 256 + der:byte(place) end
      der = der .. ("\\0"):rep(2 + long + size - #der)
      presented = leaves[zone .. ":" .. r:sha1(der)] or "{OTHER}"
    end
    session = r:ssl_var_lookup("SSL_SESSION_RESUMED") == "Resumed" and "r" or "."
  end
  local function answer(status, text)
    r.subprocess_env["nokeepalive"] = "1"
    r.status, r.content_type = status, "text/plain"
    if text ~= "" then r:puts(text) end
    return apache2.DONE
  end
  if r.uri == check then
    local nonce = (r.args or ""):match("^n=([A-Za-z0-9_-]*)$") or ""
    return answer(200, table.concat({{
      "aop rev=", revision, " zone=", zone, " presented=", presented, " https=", r.is_https and "on" or "",
      " conn=", r.protocol:find("^HTTP/1") and "1" or "2", session, " nonce=", #nonce > 64 and "" or nonce, "\\n",
    }}))
  end
  if r.is_https and denied[mode .. ":" .. presented] then return answer(403, "{REFUSAL}") end
  if not r.is_https and mode == "{WORDS[Mode.REQUIRE]}" then
    r.headers_out["Location"] = "https://" .. host .. r.unparsed_uri
    return answer(308, "")
  end
  if r.uri == gate then return answer(204, "") end
  return apache2.DECLINED
end
""".strip()
"""The same for all rules: it decides by the tables before it, for each request.

What Apache decodes lacks a zero byte at its end, as one leaf of 256 has, so the length at the
beginning of the DER says how many belong there (facts: apache#the-certificate).
"""


class ApacheDialect(Dialect):
    """It decides for each request, before Apache looks at anything of the user's.

    The user's virtual hosts include the file once it is there (facts: apache#include-by-a-pattern).
    Each answer of ours closes its connection, because Apache cannot tell an old one from a new one,
    except over HTTP/2, where it may be an old one (facts: apache#connections).
    """

    files = (HOST,)
    complains = "AH00526"
    capabilities = Capabilities(creates_carrier=True)

    def render(self, rules: Rules) -> dict[str, str]:
        """As `Dialect` says."""
        return {HOST: text_of(rules, self._host(rules))}

    @staticmethod
    def _host(rules: Rules) -> Iterator[str]:
        if rules.asks:
            yield ASKING
        # Otherwise the program is loaded for each request (facts: apache#a-hook-in-lua).
        yield "LuaScope thread"
        yield "<LuaHookTranslateName aop early>"
        yield from _tables(rules)
        yield PROGRAM
        yield "</LuaHookTranslateName>"

    def blames_others(self, words: str) -> bool:
        """Whether it names none of our files and words (facts: apache#last-words)."""
        named = ("aop", HOST, "Lua", "SSLVerifyClient")
        return self.complains in words and not any(name in words for name in named)

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether it is our own refusal: Apache's, of what has expired, is a TLS alert."""
        return is_our_refusal(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:  # noqa: ARG002 - the status says it
        """Whether it is 421, where SNI and Host differ (facts: apache#asking-in-a-virtual-host)."""
        return status == 421


def _tables(rules: Rules) -> Iterator[str]:
    """The tables by which the program decides."""
    yield f'local revision = "{printed(rules.revision)}"'
    yield f'local check, gate = "{check_path(rules.token)}", "{gate_path(rules.token)}"'
    rows = {
        host.name: f'zone = "{host.zone}", mode = "{WORDS[host.mode]}"'
        for host in rules.most_specific_first
    }
    exact, below = (
        {name: what for name, what in rows.items() if name.startswith("*.") is wild}
        for wild in (False, True)
    )
    yield from _table("exact", (f'["{name}"] = {{ {what} }}' for name, what in exact.items()))
    yield from _table(
        "below", (f'{{ name = "{name[1:]}", {what} }}' for name, what in below.items())
    )
    pins = (f'["{label}:{pin.sha1}"] = "{pin.short}"' for label, pin in rules.leaves)
    yield from _table("leaves", pins)
    refused = (f'["{WORDS[mode]}:{presented}"] = true' for mode, presented in DENIED)
    yield from _table("denied", refused)


def _table(name: str, rows: Iterable[str]) -> Iterator[str]:
    yield f"local {name} = {{"
    yield from (f"  {row}," for row in rows)
    yield "}"
