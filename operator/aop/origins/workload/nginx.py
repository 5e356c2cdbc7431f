"""NGINX: two files, one for `http{}` and one for every `server{}` that serves hosts of a zone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aop.origins import nginx
from aop.origins.check import printed
from aop.origins.kind import Capabilities
from aop.origins.rules import WORDS, Rules
from aop.origins.workload.dialect import Dialect, text_of

HTTP, SERVER = "http.conf", "server.conf"


class NginxDialect(Dialect):
    """What `origins.nginx` says, in files that nginx's own configuration includes.

    `server.conf` asks for certificates: a server that does not include it keeps all its answers
    (facts: nginx#asking-in-a-server). Old sessions end with the pod and, where nginx is reloaded,
    because their cache has a new name (facts: nginx#sessions).
    """

    files = (HTTP, SERVER)
    complains = "[emerg]"
    capabilities = Capabilities(creates_carrier=True)

    def render(self, rules: Rules) -> dict[str, str]:
        """As `Dialect` says."""
        return {
            HTTP: text_of(rules, self._http(rules)),
            SERVER: text_of(rules, self._server(rules)),
        }

    @staticmethod
    def _http(rules: Rules) -> Iterator[str]:
        yield from nginx.host_map((host.name, WORDS[host.mode], host.zone) for host in rules.hosts)
        if rules.asks:
            yield f"ssl_session_cache shared:AOP_{printed(rules.revision)}:10m;"
        yield from nginx.leaf_maps(rules.leaves)
        yield from nginx.mode_map('""')
        yield from nginx.action_map()

    @staticmethod
    def _server(rules: Rules) -> Iterator[str]:
        if rules.asks:
            yield nginx.ASKING
        yield from nginx.declared("aop_zone", "aop_presented", "aop_action")
        yield from nginx.answers(rules.revision, rules.token)

    def unfit(self, names: Collection[str]) -> Mapping[str, str]:
        """Names that do not fit the buckets of nginx's maps, which we must not enlarge."""
        why = "the name does not fit nginx's map_hash_bucket_size of 64"
        return dict.fromkeys(nginx.too_long(names), why)

    def blames_others(self, words: str) -> bool:
        """Whether it is an `[emerg]` that names none of our files, variables and statements.

        See facts: nginx#last-words.
        """
        named = ("aop", HTTP, SERVER, "ssl_verify_client", "ssl_session_cache", "map_hash")
        return self.complains in words and not any(name in words for name in named)

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether these are nginx's own words."""
        return nginx.refuses_certificate(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:
        """Whether these are nginx's own words, or 421."""
        return nginx.refuses_arrival(status, body)
