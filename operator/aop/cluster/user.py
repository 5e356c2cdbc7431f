"""The cluster as a person reaches it: by their kubeconfig, with their own rights.

The operator's client belongs to a ServiceAccount that may do all it needs. A person may lack any
right, so each refusal is remembered as a right for which they can ask.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from aop.clock import Clock
from aop.cluster.client import SERVICE_HOST, Cluster, ClusterError
from aop.leading import Lead
from aop.terms import ObjectKey
from aop.terms.kinds import Kind

MANAGER = "kubectl-aop"
"""The name under which Kubernetes notes a person's changes."""
DEFAULT_FILE = Path("~/.kube/config")
"""Where kubectl looks when KUBECONFIG is not set."""
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod finds the name of its namespace."""
Manifest = dict[str, Any]

C = TypeVar("C", bound="UserCluster")


class Right(NamedTuple):
    """A verb on a kind, in one namespace or (None) in all."""

    verb: str
    kind: Kind
    namespace: str | None

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource} {where}"

    @property
    def resource(self) -> str:
        """As `kubectl auth can-i` takes it: the plural, and the API group where there is one."""
        _, prefix, group, *_ = self.kind.collection().split("/")
        return f"{self.kind.plural}.{group}" if prefix == "apis" else self.kind.plural

    @property
    def question(self) -> str:
        """The command that shows whether one has it."""
        scope = f"-n {self.namespace}" if self.namespace else "-A"
        return f"kubectl auth can-i {self.verb} {self.resource} {scope}"


class UserCluster(Cluster):
    """A client for changes that a person makes."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(client, Lead.alone(Clock()), MANAGER)


class ReadingCluster(UserCluster):
    """A client that can only read, and remembers each right that it was refused."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(client)
        self.missing: dict[Right, None] = {}
        """In the order in which they were missed."""

    async def fetch(self, kind: Kind, key: ObjectKey) -> Manifest | None:
        """As `Cluster.fetch`."""
        try:
            return await super().fetch(kind, key)
        except ClusterError as error:
            self._note(error, Right("get", kind, key.namespace))
            raise

    async def each(
        self, kind: Kind, namespace: str | None = None, **how: Any
    ) -> AsyncIterator[Manifest]:
        """As `Cluster.each`."""
        try:
            async for manifest in super().each(kind, namespace, **how):
                yield manifest
        except ClusterError as error:
            self._note(error, Right("list", kind, namespace))
            raise

    def _note(self, error: ClusterError, right: Right) -> None:
        if error.status == 403:
            self.missing[right] = None

    async def _call(self, method: str, *arguments: Any, **keywords: Any) -> Manifest:
        if method != "GET":
            raise RuntimeError(f"{method} by a client that only reads")
        return await super()._call(method, *arguments, **keywords)


async def connect_as_user(
    kubeconfig: str | None, context: str | None, cluster: type[C]
) -> tuple[C, str]:
    """A client as kubectl would have it, and the namespace that it is in.

    The kubeconfig is that of the argument, of KUBECONFIG or the default one; in a pod without any,
    the pod's own. Raises `ClusterError` where none of them can be used.
    """
    configuration = Configuration()
    try:
        namespace = await _load(configuration, kubeconfig, context)
    except (ConfigException, OSError, yaml.YAMLError, KeyError, TypeError) as error:
        where = kubeconfig or os.environ.get("KUBECONFIG") or str(DEFAULT_FILE)
        raise ClusterError(
            f"kubeconfig {where} cannot be used: {error}. Name another one with --kubeconfig or KUBECONFIG, or another context with --context"
        ) from None
    return cluster(ApiClient(configuration)), namespace


async def _load(configuration: Configuration, kubeconfig: str | None, context: str | None) -> str:
    """Fill `configuration`; returns the namespace of the context."""
    there = _exists(kubeconfig)
    if not there and not (kubeconfig or context or os.environ.get("KUBECONFIG")) and _in_a_pod():
        load_incluster_config(client_configuration=configuration)
        return _namespace_of_the_pod()
    if not there:
        raise FileNotFoundError("there is no such file")
    loader = await load_kube_config(
        config_file=kubeconfig,
        context=context,
        client_configuration=configuration,
        persist_config=False,  # what a login plugin renews is kubectl's to write down
    )
    return str(loader.current_context["context"].get("namespace") or "default")


def _in_a_pod() -> bool:
    """This process runs in a pod of the cluster."""
    return SERVICE_HOST in os.environ


def _exists(kubeconfig: str | None) -> bool:
    """Any of the files that kubectl would read."""
    files = kubeconfig or os.environ.get("KUBECONFIG") or str(DEFAULT_FILE)
    return any(Path(file).expanduser().is_file() for file in files.split(os.pathsep))


def _namespace_of_the_pod() -> str:
    return OWN_NAMESPACE.read_text(encoding="utf-8").strip()
