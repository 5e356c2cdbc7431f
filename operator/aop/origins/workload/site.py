"""One workload with its ConfigMap and its pods at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.origins.sites import Json, Objects, Rejection, Remark, Replica, Rollout, ServedHosts
from aop.origins.workload import stored
from aop.origins.workload.dialect import Dialect
from aop.origins.workload.failures import failure_of, unfinished
from aop.origins.workload.pods import Owner, owner_of, replica_of
from aop.origins.workload.spec import Apply, Place, Placed, Workload
from aop.origins.workload.stored import MountedConfigMap
from aop.origins.workload.templates import Template
from aop.origins.zones import ClaimPolicy
from aop.schema import Model
from aop.terms import Claim, ObjectKey, is_host


@dataclass(frozen=True, slots=True)
class WorkloadSite:
    """A workload, as the objects that were read show it."""

    kind: str
    """The origin kind's name."""
    key: ObjectKey
    """Where the ConfigMap is."""
    dialect: Dialect
    config_map: Json | None
    """None: there is none."""
    published: MountedConfigMap
    pods: tuple[Json, ...]
    """Those that read it, and their siblings."""
    templates: tuple[Template, ...]
    """The templates that mount the ConfigMap, or say with which of its texts their pods start."""
    place: Place
    apply: Apply
    """Who makes the pods read what was written."""
    objects: Objects
    """All that was read."""

    @property
    def exists(self) -> bool:
        """Whether the ConfigMap exists."""
        return self.config_map is not None

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """As `kind.Site` says; pods of the same workload that do not mount the ConfigMap, too."""
        return tuple(replica_of(pod, self.place.ports, self.key.name) for pod in self.pods)

    @property
    def proxy_protocol(self) -> bool:
        """Not spoken by this kind."""
        return False

    def hosts(self, zone: str, patterns: Collection[str], also: Collection[str]) -> ServedHosts:  # noqa: ARG002 - which hosts a server serves stands in its own configuration
        """The hosts that are named: nothing in Kubernetes shows which others the server has."""
        named = ClaimPolicy(self.published.standing.values()).hosts_of(zone, also)
        left_out = dict(self.dialect.unfit(named)) | {
            host: "no DNS name has a label of more than 63 characters, so that no visitor can ask for it"
            for host in named
            if not is_host(host)
        }
        return ServedHosts(tuple(sorted(named - left_out.keys())), left_out)

    def verifiers(self, hosts: Collection[str]) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """None that Kubernetes knows of."""
        return {}

    def unread(self) -> str | None:
        """None: nothing shows why no pod mounts the ConfigMap."""
        return None

    def unserved(self, hosts: Collection[str]) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """None that Kubernetes knows of."""
        return {}

    def wildcards(
        self,
        hosts: Collection[str],  # noqa: ARG002 - as above
        patterns: Collection[str],  # noqa: ARG002 - as above
    ) -> Mapping[str, tuple[str, ...]]:
        """None: a name that nobody has named may never meet the edge."""
        return {}

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """Names under a wildcard that nobody has named, and what our text does not protect."""
        if not self.pods:
            return ()
        unnamed = self.unnamed(wildcard for wildcard in patterns if wildcard.startswith("*."))
        elsewhere: tuple[str, ...] = ()
        decided = self.published.place.parents
        if self.published.standing and self.place.parents != decided:
            elsewhere = (
                f"the operator's routers are children of {decided.https}, not of {self.place.parents.https}, as another object with a claim on them says",
            )
        beside = self.dialect.left_open(self.place.parents, patterns, self.objects)
        return tuple(sorted((*unnamed, *elsewhere, *beside)))

    def unnamed(self, wildcards: Iterable[str]) -> Iterator[str]:
        """Names under a wildcard: nothing in Kubernetes shows which of them the server has."""
        for wildcard in wildcards:
            yield f"no certificate is required for names under {wildcard} that neither spec.hostnames nor verification.samples names"

    def misplaced(self, uid: str, spec: Model | None) -> bool:
        """As `kind.Site` says: the first of all claims decides (`stored.place_of`)."""
        return (
            isinstance(spec, Workload)
            and uid == min(self.published.standing, default=None)
            and spec.place.parents != self.published.place.parents
        )

    def objection(self, spec: Model | None) -> str | None:
        """What others have put into the ConfigMap, or why its pods would not take up a change."""
        if why := stored.objection(self.config_map, self.published, self.key):
            return why
        return self._workload_objection(spec) if isinstance(spec, Workload) and self.pods else None

    def _workload_objection(self, spec: Workload) -> str | None:
        """The objection of the workload that the object names, while some pod reads it."""
        named, template = spec.workload_ref, self._template(spec)
        if template is None or not template.mounts:
            return f"the pod template of {named} does not mount ConfigMap {self.key}. Mount it there, or correct workloadRef"
        if template.by_sub_path:
            return f"{named} mounts a file of ConfigMap {self.key} by subPath, which cannot be missing and never changes. Mount the ConfigMap as a folder"
        if not template.optional:
            return f"{named} mounts ConfigMap {self.key} without optional: true, so its pods cannot start while it does not exist. Set optional: true"
        owner = Owner(named.kind, named.name)
        if others := [pod for pod in self.pods if owner_of(pod) != owner]:
            return (
                f"pod {others[0]['metadata']['name']} does not belong to {named} and mounts ConfigMap {self.key}, too. Give each workload a ConfigMap and an "
                "origin of its own"
            )
        if spec.apply is Apply.ROLLOUT and template.halted:
            return f"{named} {template.halted}{', or set apply: Reload' if spec.may_reload else ''}"
        return None

    def _template(self, spec: Workload) -> Template | None:
        named = (spec.workload_ref.kind.resource, spec.workload_ref.key)
        return next((one for one in self.templates if (one.kind, one.key) == named), None)

    def remarks(self, hosts: Collection[str]) -> tuple[Remark, ...]:  # noqa: ARG002 - as above
        """What visitors may lose while the workload's pods are replaced.

        The server's own configuration is not read.
        """
        if self.apply is Apply.RELOAD:
            return ()
        mounting = [one for one in self.templates if one.mounts]
        return (
            *(remark for one in mounting for remark in one.remarks),
            *(
                remark
                for one in mounting
                for server in one.servers
                for remark in self.dialect.remarks(
                    f"Container {server.get('name')} of {one}", server
                )
            ),
        )

    def entries(self, hosts: Collection[str]) -> Mapping[str, object]:
        """As `kind.Site` says."""
        return ClaimPolicy(self.published.claims.values()).entries(hosts)

    def rollout(self, spec: Model | None) -> Rollout | None:
        """The change of the pod template that makes its pods start with what is published.

        If nothing of ours is there any more, our annotation goes. A text that somebody has damaged
        is not spread. For an origin that left its spec, the annotation shows that it is rolled out.
        """
        mark, name = self.published.mark, self.key.name
        if mark is not None and not self.published.intact:
            return None
        marked = [one for one in self.templates if one.mark is not None]
        if mark is not None and isinstance(spec, Workload):
            named = self._replaced(spec)
            marked = [named] if named else []
        return next((one.rollout(name, mark) for one in marked if one.mark != mark), None)

    def next_rollout(self, spec: Model | None) -> Rollout | None:
        """As `kind.Site` says; nobody knows the next text's mark yet."""
        named = self._replaced(spec) if isinstance(spec, Workload) else None
        return named.rollout(self.key.name, "") if named else None

    def _replaced(self, spec: Workload) -> Template | None:
        """The template that is changed so that its pods are replaced."""
        named = self._template(spec)
        return named if named and named.mounts and spec.apply is Apply.ROLLOUT else None

    def rejection(
        self, events: Iterable[Json], replica: Replica, since: datetime
    ) -> Rejection | None:
        """As `kind.Site` says: why the pod does not start, or its workload gave up."""
        pod = next((one for one in self.pods if one["metadata"].get("uid") == replica.uid), None)
        if pod is None:
            return None
        return failure_of(pod, events, self.key.name, self.dialect, since, doubtful=self._doubtful)

    def unfinished(self, since: datetime) -> Rejection | None:
        """As `kind.Site` says: a Deployment makes no progress with replacing its pods."""
        mark = self.published.mark
        stopped = (
            unfinished(one, self.pods, self.dialect, since, doubtful=self._doubtful)
            for one in self.templates
            if mark is not None and one.mark == mark
        )
        return next((one for one in stopped if one is not None), None)

    @property
    def _doubtful(self) -> bool:
        """Whether some claim in the text was never seen in force as it is."""
        return any(one.claim != one.accepted for one in self.published.entries.values())

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
        return stored.publish(
            self.config_map,
            self.key,
            self.dialect,
            self.kind,
            [
                (one, its.place if isinstance(its, Placed) else None)
                for one, its in ((claim, spec), *beside)
            ],
            token_if_new=token_if_new,
            seen_everywhere=seen_everywhere,
            gone=gone,
        )

    def withdraw(self, uid: str) -> dict[str, Any] | None:
        """As `kind.Site` says."""
        return stored.withdraw(self.config_map, self.key, self.dialect, self.kind, uid)
