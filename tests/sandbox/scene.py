"""One sandbox, one operator, and what a person does to them: apply, watch, disturb, mend, delete.

What a test waits for here is what a person would look at: the conditions of the object, the answers
of the replicas, the double's own record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from sandbox import direct
from sandbox.cluster import frontend
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout, Sandbox
from sandbox.direct import Leaf, Visitor
from sandbox.ingress_nginx.backend import expected
from sandbox.ingress_nginx.launcher import IngressNginx
from sandbox.kubernetes.plane import ControlPlane
from sandbox.load import Destination, LoadPlan, LoadThread, Report
from sandbox.operator import Operator
from sandbox.waiting import NotInTimeError, until

RESOURCE = "authenticatedoriginpulls.aop-operator.dev"
NAMESPACE = "edge"
SNIPPETS = ("http-snippet", "server-snippet")
DELETE_S = 2.0
"""How long the double takes to delete a certificate; a real one takes longer, and nothing but
waiting comes of it."""
MOST_ONBOARDING_CALLS = 10
"""To Cloudflare for one onboarding at zero delay: zone, SSL mode, global level, hosts, list,
enablement, upload, poll, enable, and one to spare."""
ENFORCED_WITHIN_S = 90.0
REMOVED_WITHIN_S = 90.0


class Scene:
    """A sandbox with a namespace, a token Secret and (unless told otherwise) a running operator.

    A context manager.
    """

    def __init__(
        self,
        layout: Layout | None = None,
        plane: ControlPlane | None = None,
        *,
        with_operator: bool = True,
        **settings: str,
    ) -> None:
        self._layout, self._plane, self._with_operator, self._settings = (
            layout,
            plane,
            with_operator,
            settings,
        )
        self._parts = ExitStack()
        self.sandbox: Sandbox
        self.operator: Operator
        self._foreign = Leaf.foreign()

    def __enter__(self) -> Self:
        try:
            self.sandbox = self._parts.enter_context(Sandbox(self._layout, self._plane))
            self.plane, self.cloudflare = self.sandbox.plane, self.sandbox.cloudflare
            self.control = self.cloudflare.control
            self.trace_file = self.sandbox.folder / "trace.jsonl"
            self.control.turn(delete_s=DELETE_S)
            self.namespace(NAMESPACE)
            self.operator = (
                self._parts.enter_context(self.new_operator())
                if self._with_operator
                else self.new_operator()
            )
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    @property
    def ingress_nginx(self) -> IngressNginx:
        """The controller; there is none where a workload serves."""
        return self.sandbox.ingress_nginx

    def new_operator(self, name: str = "operator", **settings: str) -> Operator:
        """Another process with this scene's settings; not started."""
        environment = self.sandbox.operator_environment(
            **{"AOP_TRACE_FILE": str(self.trace_file), **self._settings, **settings}
        )
        return Operator(environment, self.sandbox.folder, name)

    def trace(self) -> list[str]:
        """Every look of the operator so far, and the step that it led to: for `model.replay`."""
        if not self.trace_file.exists():
            return []
        return self.trace_file.read_text(encoding="utf-8").splitlines()

    # --- what a person does ------------------------------------------------------------------------------------------

    def namespace(self, name: str, token: str | None = None) -> None:
        """A namespace with the Secret of the API token."""
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.sandbox.secret(name, token=token)

    def apply(
        self, name: str = "example-com", namespace: str = NAMESPACE, **spec: Any
    ) -> dict[str, Any]:
        """Apply an AuthenticatedOriginPull; see `pull`."""
        manifest = pull(name, namespace, **spec)
        self.plane.apply(manifest)
        return manifest

    def patch(
        self, spec: Mapping[str, Any], name: str = "example-com", namespace: str = NAMESPACE
    ) -> None:
        """Merge into the spec."""
        self._http("PATCH", path_of(namespace, name), {"spec": spec})

    def rotate(
        self, name: str = "example-com", namespace: str = NAMESPACE, word: str = "now"
    ) -> None:
        """Ask for a new leaf, by a word that was not said before."""
        annotation = f"aop-operator.dev/rotate={word}"
        self.plane.kubectl(
            "annotate", "--overwrite", "aop", name, "--namespace", namespace, annotation
        )

    def delete(self, name: str = "example-com", namespace: str = NAMESPACE) -> None:
        """Ask for the removal; does not wait."""
        self.plane.kubectl(
            "delete", RESOURCE, name, "--namespace", namespace, "--wait=false", "--ignore-not-found"
        )

    def remove(
        self,
        name: str = "example-com",
        namespace: str = NAMESPACE,
        within_s: float = REMOVED_WITHIN_S,
    ) -> None:
        """Delete and wait until it is gone."""
        self.delete(name, namespace)
        self.until_gone(name, namespace, within_s)

    def write_config_map(
        self,
        data: Mapping[str, str | None],
        namespace: str = CONTROLLER_NAMESPACE,
        name: str = CONFIG_MAP,
    ) -> None:
        """Merge keys into a ConfigMap as another writer; None removes a key."""
        self._http(
            "PATCH", f"/api/v1/namespaces/{namespace}/configmaps/{name}", {"data": dict(data)}
        )

    @contextmanager
    def presenting(self, what: str, *hosts: str) -> Iterator[None]:
        """For the length of the block the edge presents that for these hosts: "nothing", or a "foreign" certificate. From then on no connection outlives a request."""
        self.control.turn_location(
            "*", requests_per_connection=1, resume=False, presents=dict.fromkeys(hosts, what)
        )
        try:
            yield
        finally:
            self.control.turn_location("*", presents={})

    def presenting_nothing(self, *hosts: str) -> AbstractContextManager[None]:
        """As `presenting`."""
        return self.presenting("nothing", *hosts)

    # --- what a person sees ------------------------------------------------------------------------------------------

    def object(
        self, name: str = "example-com", namespace: str = NAMESPACE
    ) -> dict[str, Any] | None:
        """The object as it is; None when there is none."""
        answer = self.plane.http.get(path_of(namespace, name))
        manifest: dict[str, Any] | None = (
            None if answer.status_code == 404 else answer.raise_for_status().json()
        )
        return manifest

    def condition(
        self, kind: str = "Ready", name: str = "example-com", namespace: str = NAMESPACE
    ) -> dict[str, Any]:
        """One condition; empty before it is there."""
        return _condition(self.object(name, namespace) or {}, kind)

    def until_condition(
        self,
        kind: str = "Ready",
        status: str | None = None,
        reason: str | None = None,
        *,
        name: str = "example-com",
        namespace: str = NAMESPACE,
        within_s: float = ENFORCED_WITHIN_S,
    ) -> dict[str, Any]:
        """Wait for a condition of the object's *current* generation with that status and reason."""

        def there() -> dict[str, Any] | None:
            manifest = self.object(name, namespace) or {"metadata": {"generation": -1}}
            now = _condition(manifest, kind)
            current = now.get("observedGeneration") == manifest["metadata"]["generation"]
            right = status in {None, now.get("status")} and reason in {None, now.get("reason")}
            return now if now and current and right else None

        what = f"{namespace}/{name}: {kind} {status or ''} {reason or ''}"
        manifest = until(
            there,
            within_s=within_s,
            every_s=0.1,
            describe=lambda: f"{what}; it is\n{self.summary(name, namespace)}",
        )
        assert manifest is not None
        return manifest

    def until_enforced(
        self,
        name: str = "example-com",
        namespace: str = NAMESPACE,
        within_s: float = ENFORCED_WITHIN_S,
    ) -> None:
        """Wait until the object is Ready for its current generation."""
        self.until_condition("Ready", "True", name=name, namespace=namespace, within_s=within_s)

    def until_gone(
        self,
        name: str = "example-com",
        namespace: str = NAMESPACE,
        within_s: float = REMOVED_WITHIN_S,
    ) -> None:
        """Wait until the object is gone."""
        until(
            lambda: self.object(name, namespace) is None,
            within_s=within_s,
            every_s=0.1,
            describe=lambda: (
                f"{namespace}/{name} to be gone; it is\n{self.summary(name, namespace)}"
            ),
        )

    def summary(self, name: str = "example-com", namespace: str = NAMESPACE) -> str:
        """All conditions, and the operator's last words: what a failing wait shows."""
        manifest = self.object(name, namespace) or {}
        lines = [
            f"{one['type']}={one['status']} {one['reason']}: {one['message']}"
            for one in manifest.get("status", {}).get("conditions", [])
        ]
        return "\n".join(
            [*lines, "operator:", self.operator.last_words() if "operator" in self.__dict__ else ""]
        )

    # --- what is true, whatever anybody says -------------------------------------------------------------------------

    def own_text(self) -> dict[str, str]:
        """Those snippets of the controller's ConfigMap that have any text."""
        data = self.sandbox.config_map().get("data") or {}
        return {key: data[key] for key in SNIPPETS if data.get(key)}

    def certificates(self, zone: str = "example.com") -> list[dict[str, Any]]:
        """What Cloudflare holds, without tombstones."""
        return [
            one for one in self.control.zone(zone)["certificates"] if one["status"] != "deleted"
        ]

    def changes_at_cloudflare(self) -> list[dict[str, Any]]:
        """Every call that was not a read."""
        calls: list[dict[str, Any]] = self.control.calls(method="!GET")
        return calls

    def ask_replica(
        self,
        https: str,
        host: str,
        visitor: Visitor,
        path: str = "/",
        *,
        pair: str = "example-com-aop",
        ca_file: str = "",
    ) -> int:
        """The status with which the replica at `ip:port` answers somebody who bypasses the edge.

        `pair` names the Secret of ours; `ca_file` verifies a replica that is not of the sandbox's own origin.
        """
        leaf = (
            {Visitor.NOBODY: None, Visitor.STRANGER: self._foreign}.get(visitor)
            if visitor is not Visitor.OURS
            else Leaf.of_secret(self.secret(pair))
        )
        return direct.ask(
            https, host, path, leaf=leaf, ca_file=ca_file or self.sandbox.origin_ca_file
        ).status_code

    def secret(self, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """A Secret. Raises `httpx.HTTPStatusError` where there is none."""
        manifest: dict[str, Any] = (
            self.plane.http.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            .raise_for_status()
            .json()
        )
        return manifest

    def pods(self) -> list[str]:
        """The controller's pods, by address."""
        return [one.pod for one in self.sandbox.replicas()]

    def refuses(self, pod: str, host: str = "example.com") -> bool:
        """Whether this one replica refuses somebody without a certificate; no other is asked."""
        https = self.ingress_nginx.replica(pod).https
        return self.ask_replica(https, host, Visitor.NOBODY) == self.sandbox.refusal

    def refusing(self, host: str = "example.com") -> list[str]:
        """The pods whose replica refuses somebody without a certificate."""
        return [
            one.pod
            for one in self.sandbox.replicas()
            if self.ask_replica(one.https, host, Visitor.NOBODY) == self.sandbox.refusal
        ]

    def required(self, host: str = "example.com") -> bool:
        """Whether every replica refuses somebody without a certificate."""
        return len(self.refusing(host)) == len(self.pods())

    def until_required(
        self, host: str = "example.com", *, within_s: float = ENFORCED_WITHIN_S
    ) -> None:
        """Wait until every replica refuses somebody without a certificate."""
        until(
            lambda: self.required(host),
            within_s=within_s,
            every_s=0.3,
            describe=lambda: f"every replica to refuse strangers of {host}\n{self.summary()}",
        )

    def until_relaxed(
        self, host: str = "example.com", *, within_s: float = ENFORCED_WITHIN_S
    ) -> None:
        """Wait until no replica refuses anybody."""
        until(
            lambda: self.refusing(host) == [],
            within_s=within_s,
            every_s=0.3,
            describe=lambda: f"nobody to be refused of {host}\n{self.summary()}",
        )

    # --- visitors ----------------------------------------------------------------------------------------------------

    def visitors(
        self,
        *,
        rate_per_s: float = 60.0,
        http_rate_per_s: float = 6.0,
        post_rate_per_s: float = 0.0,
        longest_s: float = 600.0,
        redirects: bool = False,
        on_progress: Callable[[Report], None] | None = None,
        progress_every_s: float = 5.0,
    ) -> LoadThread:
        """A steady stream through every location, over all hosts; DNS-only hosts are asked at the replicas.

        With `redirects` http:// may be redirected from the first request on: the origins may be
        enforced already. Of POSTs some are lost at every reload, so that a report with them is at
        best `unfailing`.
        """
        dns_only = self.sandbox.layout.dns_only
        through_edge = [host for host in self.sandbox.layout.hosts if host not in dns_only]
        replicas = [Destination(one.pod, one.https, one.http) for one in self.sandbox.replicas()]
        plan = LoadPlan(
            hosts=through_edge,
            locations=[
                Destination(one.code, one.https, one.http) for one in self.cloudflare.locations
            ],
            expected=expected,
            direct=dict.fromkeys(dns_only, replicas),
            ca_files=[self.cloudflare.edge_ca_file, Path(self.sandbox.origin_ca_file)],
            rate_per_s=rate_per_s,
            http_rate_per_s=http_rate_per_s,
            post_rate_per_s=post_rate_per_s,
            longest_s=longest_s,
        )
        load = LoadThread(plan, on_progress=on_progress, progress_every_s=progress_every_s)
        load.allow_redirects(allowed=redirects)
        return load

    def _http(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        self.plane.http.request(
            method, path, json=body, headers={"Content-Type": "application/merge-patch+json"}
        ).raise_for_status()


def _condition(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    conditions = body.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})


def pull(name: str = "example-com", namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """An AuthenticatedOriginPull for zone example.com with a short window; keywords replace fields of the spec."""
    return {
        "apiVersion": "aop-operator.dev/v1alpha1",
        "kind": "AuthenticatedOriginPull",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "zone": {"name": "example.com"},
            "credentials": {"apiTokenSecretRef": {"name": "cloudflare", "key": "api-token"}},
            "certificate": {"generate": {}},
            "verification": {"window": "10s"},
            "origins": [origin()],
            **spec,
        },
    }


def origin(
    config_map: str = CONFIG_MAP,
    namespace: str = CONTROLLER_NAMESPACE,
    name: str = "public",
    **more: Any,
) -> dict[str, Any]:
    """An ingress-nginx origin of a spec."""
    return {
        "name": name,
        "ingressNginx": {"configMapRef": {"namespace": namespace, "name": config_map}, **more},
    }


def workload_origin(kind: str = "nginx", name: str = "frontend", **more: Any) -> dict[str, Any]:
    """An origin of a spec: the sandbox's server in a Deployment, by the name of its kind, or its Gateway."""
    if kind == "gateway":
        return gateway_origin(name, **more)
    return {
        "name": name,
        kind: {
            "workloadRef": {
                "kind": "Deployment",
                "namespace": frontend.NAMESPACE,
                "name": frontend.NAME,
            },
            "configMapRef": {"namespace": frontend.NAMESPACE, "name": frontend.CONFIG_MAP},
            "ports": {"https": frontend.HTTPS, "http": frontend.HTTP},
            **frontend.MORE_OF.get(kind, {}),
            **more,
        },
    }


def gateway_origin(name: str = "frontend", **more: Any) -> dict[str, Any]:
    """An origin of a spec: the sandbox's Gateway of Envoy Gateway."""
    return {
        "name": name,
        "gatewayAPI": {
            "gatewayRef": {"namespace": frontend.NAMESPACE, "name": frontend.NAME},
            "configMapRef": {"namespace": frontend.NAMESPACE, "name": frontend.CONFIG_MAP},
            **more,
        },
    }


def name_of(zone: str) -> str:
    """The name that tests give to what belongs to a zone: its object, and where each has one, its namespace."""
    return zone.replace(".", "-")


def path_of(namespace: str, name: str | None = None) -> str:
    """The API's path of one object, or of all in a namespace."""
    return f"/apis/aop-operator.dev/v1alpha1/namespaces/{namespace}/authenticatedoriginpulls" + (
        f"/{name}" if name else ""
    )


__all__ = [
    "NAMESPACE",
    "RESOURCE",
    "NotInTimeError",
    "Scene",
    "name_of",
    "origin",
    "path_of",
    "pull",
    "workload_origin",
]
