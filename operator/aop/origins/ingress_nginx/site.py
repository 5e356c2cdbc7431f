"""One controller with its ConfigMap, its pods and its Ingresses at one moment.

The door to this kind opens on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.origins.ingress_nginx.foreign import objections
from aop.origins.ingress_nginx.ingresses import served_by
from aop.origins.ingress_nginx.options import Options
from aop.origins.ingress_nginx.publishing import publish, withdraw
from aop.origins.ingress_nginx.rejection import rejected_by
from aop.origins.ingress_nginx.remarks import remarks
from aop.origins.ingress_nginx.replicas import Controller, readers, unwatched
from aop.origins.ingress_nginx.servers import Servers
from aop.origins.ingress_nginx.spec import ForeignText, IngressNginx
from aop.origins.ingress_nginx.stored import ControllerConfigMap, read
from aop.origins.nginx import too_long
from aop.origins.sites import Json, Rejection, Remark, Replica, ServedHosts
from aop.origins.zones import ClaimPolicy
from aop.schema import Model
from aop.terms import Claim, ObjectKey, is_host


@dataclass(frozen=True, slots=True)
class ControllerSite:
    """A controller, as the objects that were read show it."""

    key: ObjectKey
    """Where the ConfigMap is."""
    config_map: Json | None
    """None: there is none."""
    published: ControllerConfigMap
    replicas: tuple[Controller, ...]
    ingresses: tuple[Json, ...]
    """The Ingresses that it serves."""
    servers: Servers
    """What it makes of them."""
    counted_on: ClaimPolicy
    """What the claims mean, as far as the text says them for certain."""
    feared: ClaimPolicy
    """What they mean as they were written."""

    @classmethod
    def of(
        cls,
        key: ObjectKey,
        config_map: Json | None,
        pods: Iterable[Json],
        ingresses: Iterable[Json],
        classes: Iterable[Json] | None,
    ) -> ControllerSite:
        """From Kubernetes JSON objects; `classes` is None where IngressClasses cannot be listed."""
        controllers, stored = readers(pods, key), read(config_map)
        its_own = served_by(ingresses, controllers, classes)
        return cls(
            key,
            config_map,
            stored,
            controllers,
            its_own,
            Servers(its_own, controllers),
            counted_on=ClaimPolicy(stored.claims.values()),
            feared=ClaimPolicy(stored.standing.values()),
        )

    @property
    def exists(self) -> bool:
        """Whether the ConfigMap exists."""
        return self.config_map is not None

    @property
    def proxy_protocol(self) -> bool:
        """Whether every connection begins with a PROXY header."""
        return Options.read(self.config_map).proxy_protocol

    def hosts(self, zone: str, patterns: Collection[str], also: Collection[str]) -> ServedHosts:
        """As `kind.Site` says; a name is too long if it does not fit a bucket of nginx's maps."""
        wildcards = {pattern for pattern in patterns if pattern.startswith("*.")}
        under = self.servers.hosts_under(patterns)
        named = self.feared.hosts_of(zone, {*under, *also})
        why = f"the name is too long for map-hash-bucket-size in ConfigMap {self.key}. Set that to 128 or more"
        bucket = Options.read(self.config_map).map_hash_bucket_size
        left_out = dict.fromkeys(too_long({*named, *wildcards}, bucket), why) | {
            host: "a part of the name has more than 63 characters, which DNS does not allow, so no visitor can ask for it"
            for host in named
            if not is_host(host)
        }
        return ServedHosts(tuple(sorted(named - left_out.keys())), left_out)

    def verifiers(self, hosts: Collection[str]) -> Mapping[str, str]:
        """As `kind.Site` says."""
        sentences = {host: self.servers.verifier_of(host) for host in hosts}
        return {host: sentence for host, sentence in sentences.items() if sentence is not None}

    def unread(self) -> None:
        """None: nothing else shows why no controller reads the ConfigMap."""

    def unserved(self, hosts: Collection[str]) -> Mapping[str, str]:  # noqa: ARG002 - see below
        """None: a controller has a server, with our text in it, for names that no Ingress has."""
        return {}

    def wildcards(
        self, hosts: Collection[str], patterns: Collection[str]
    ) -> Mapping[str, tuple[str, ...]]:
        """As `kind.Site` says."""
        return {
            wildcard: tuple(host for host in hosts if self.servers.server_of(host) == wildcard)
            for wildcard in self.servers.wildcards_under(patterns)
        }

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """As `kind.Site` says."""
        return self.servers.left_open(patterns)

    def misplaced(self, uid: str, spec: Model | None) -> bool:  # noqa: ARG002 - a ConfigMap is all there is
        """Never: its text has one place."""
        return False

    def objection(self, spec: Model | None) -> str | None:
        """As `kind.Site` says; so does a pod that never sees a change of the ConfigMap."""
        if self.config_map is None:
            return None
        if sentence := objections(self.config_map, self.published.snippets, _policy(spec)):
            return sentence
        unread = [replica.name for replica in self.replicas if unwatched(replica, self.key)]
        if not unread:
            return None
        return f"Pod {unread[0]} watches another namespace, so it never sees a change of ConfigMap {self.key}. Move the ConfigMap, or widen --watch-namespace"

    def remarks(self, hosts: Collection[str]) -> tuple[Remark, ...]:
        """As `kind.Site` says."""
        return remarks(self.key, Options.read(self.config_map), self.ingresses, hosts)

    def entries(self, hosts: Collection[str]) -> Mapping[str, object]:
        """As `kind.Site` says."""
        return self.counted_on.entries(hosts)

    def rejection(
        self, events: Iterable[Json], replica: Replica, since: datetime
    ) -> Rejection | None:
        """As `kind.Site` says: nginx's own words, which the controller repeats in a Warning."""
        return rejected_by(events, replica, since=since, stored=self.published)

    def publish(
        self,
        claim: Claim,
        *,
        spec: Model | None,
        token_if_new: str,
        seen_everywhere: int | None = None,
        gone: Collection[str] = frozenset(),
        beside: Collection[tuple[Claim, Model | None]] = (),
    ) -> dict[str, Any]:
        """As `kind.Site` says."""
        return publish(
            self.config_map or {},
            claim,
            foreign=_policy(spec),
            token_if_new=token_if_new,
            seen_everywhere=seen_everywhere,
            gone=gone,
            beside=[(one, _policy(its_spec)) for one, its_spec in beside],
        )

    def rollout(self, spec: Model | None) -> None:
        """Nothing: the controller reloads by itself."""

    def next_rollout(self, spec: Model | None) -> None:
        """Nothing, as above."""

    def unfinished(self, since: datetime) -> None:
        """None: nobody replaces its pods for us."""

    def withdraw(self, uid: str) -> dict[str, Any]:
        """As `kind.Site` says."""
        return withdraw(self.config_map or {}, uid)


def _policy(spec: Model | None) -> ForeignText:
    """What the user wants done with others' text.

    Beside an origin that has left the spec, it stays.
    """
    return spec.foreign_text if isinstance(spec, IngressNginx) else ForeignText.MERGE
