"""What one replica has seen of the cluster: its ConfigMap, the Ingresses of its class and the Secrets they name.

Each replica has one: replicas see changes one by one, never together. Lists and watches as a
client-go informer does, from a resourceVersion, and again after a watch has ended or broken.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sandbox.ingress_nginx import client_auth, risks
from sandbox.ingress_nginx.api import ApiClient, ApiServerError, Json, Unreachable
from sandbox.ingress_nginx.configuration import Configuration

AGAIN_AFTER_S = 0.5

Change = Literal["added", "updated", "deleted"]
Listener = Callable[[Change, Json], None]


class Informer:
    """A copy of one collection, kept by list and watch.

    `changed` is called for every object that came, changed or went.
    """

    def __init__(self, api: ApiClient, path: str, changed: Listener) -> None:
        self._api = api
        self._path = path
        self._changed = changed
        self.objects: dict[str, Json] = {}
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                version = await self._list()
                while True:
                    version = await self._watch(version)
            except ApiServerError as error:
                # Too old a version: list again at once, as there is nothing to wait for.
                if error.code != 410:
                    await asyncio.sleep(AGAIN_AFTER_S)
            except Unreachable:
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _list(self) -> str:
        answer = await self._api.get(self._path)
        listed = {_key(item): item for item in answer.get("items") or ()}
        for key in self.objects.keys() - listed.keys():
            self._changed("deleted", self.objects.pop(key))
        for key, item in listed.items():
            self._keep(key, item)
        self.synced.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        async for kind, item in self._api.watch(self._path, version):
            version = item["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                continue
            key = _key(item)
            if kind == "DELETED":
                if self.objects.pop(key, None) is not None:
                    self._changed("deleted", item)
            else:
                self._keep(key, item)
        return version

    def _keep(self, key: str, item: Json) -> None:
        # Nobody asks who has written which field, and it is most of what forty replicas would keep.
        item["metadata"].pop("managedFields", None)
        known = self.objects.get(key)
        self.objects[key] = item
        if known is None:
            self._changed("added", item)
        elif known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            self._changed("updated", item)


def _key(item: Json) -> str:
    metadata = item["metadata"]
    return (
        f"{metadata['namespace']}/{metadata['name']}"
        if "namespace" in metadata
        else str(metadata["name"])
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """What a controller was told to look at: `--configmap`, `--ingress-class` and `--controller-class`."""

    namespace: str
    configmap: str
    ingress_class: str = "nginx"
    controller_class: str = "k8s.io/ingress-nginx"


class Store:
    """The informers of one replica.

    `wish` is called for every change that matters, with a key and whether the sync may be skipped;
    `saw_configmap` with the change and the object.
    """

    def __init__(
        self,
        api: ApiClient,
        scope: Scope,
        wish: Callable[[str, bool], None],
        saw_configmap: Listener,
    ) -> None:
        self._scope = scope
        self._wish = wish
        self._saw_configmap = saw_configmap
        self.configuration = Configuration()
        self._ours: set[str] = set()
        self._taken: dict[str, Json] = {}
        configmaps = f"/api/v1/namespaces/{scope.namespace}/configmaps"
        self._configmaps = Informer(api, configmaps, self._configmap_changed)
        self._ingresses = Informer(
            api, "/apis/networking.k8s.io/v1/ingresses", self._ingress_changed
        )
        self._classes = Informer(
            api, "/apis/networking.k8s.io/v1/ingressclasses", self._class_changed
        )
        self._secrets = Informer(api, "/api/v1/secrets", self._secret_changed)

    async def run(self) -> None:
        """Keep all copies until cancelled.

        The ConfigMap is read first: what it allows decides on which Ingresses are taken.
        """
        async with asyncio.TaskGroup() as group:
            for informer in self._informers():
                group.create_task(informer.run())
                await informer.synced.wait()

    async def synced(self) -> None:
        """Wait until everything was listed once."""
        for informer in self._informers():
            await informer.synced.wait()

    def ingresses(self) -> list[Json]:
        """The Ingresses of this controller, by annotation or by a class whose controller it is, each as it was when it was last taken."""
        ours = (key for key, ingress in self._ingresses.objects.items() if self._is_ours(ingress))
        return [self._taken[key] for key in ours if key in self._taken]

    def secrets(self) -> client_auth.Secrets:
        """All Secrets by `namespace/name`."""
        return self._secrets.objects

    def named_secrets(self) -> dict[str, Json]:
        """The Secrets that Ingresses of this controller refer to: only these become files."""
        secrets = self._secrets.objects
        return {name: secrets[name] for name in self._named() if name in secrets}

    def _named(self) -> set[str]:
        """The names of the Secrets that Ingresses of this controller refer to, whether they exist or not.

        Only what is known to be ours is asked: with thousands of Secrets and Ingresses of others,
        each change of one would cost a look at all.
        """
        taken = (self._taken[key] for key in self._ours if key in self._taken)
        named = (client_auth.named_by(one["metadata"].get("annotations") or {}) for one in taken)
        return {name for name in named if name is not None}

    def _informers(self) -> Iterator[Informer]:
        yield from (self._configmaps, self._classes, self._ingresses, self._secrets)

    def _is_ours(self, ingress: Json) -> bool:
        annotated = (ingress["metadata"].get("annotations") or {}).get(
            "kubernetes.io/ingress.class"
        )
        if annotated is not None:
            return bool(annotated == self._scope.ingress_class)
        named = self._classes.objects.get((ingress.get("spec") or {}).get("ingressClassName") or "")
        return named is not None and named["spec"].get("controller") == self._scope.controller_class

    def _configmap_changed(self, change: Change, item: Json) -> None:
        # The controller has no handler for deletion: what was read last stays
        # (facts: ingress-nginx#deleted-config-map).
        if item["metadata"]["name"] != self._scope.configmap or change == "deleted":
            return
        self.configuration = Configuration.read(item.get("data") or {})
        # Only those that are taken already: one that was too risky stays out until it changes
        # itself (kubernetes/ingress-nginx, store.go).
        for key in self._taken:
            self._take(key, self._ingresses.objects[key])
        self._saw_configmap(change, item)
        self._wish("configmap-change", False)

    def _take(self, key: str, ingress: Json) -> None:
        """Take an Ingress as it is now, unless an annotation of it is too risky: then it stays as it was, or out."""
        if risks.is_taken(ingress, self.configuration):
            self._taken[key] = ingress

    def _ingress_changed(self, change: Change, item: Json) -> None:
        # Only ours count: every wish costs a token of the rate limit, and with it the next change
        # 3.3 s.
        key, ours = _key(item), change != "deleted" and self._is_ours(item)
        if change == "deleted":
            self._taken.pop(key, None)
        else:
            self._take(key, item)
        if ours or key in self._ours:
            self._wish(key, True)
        if ours:
            self._ours.add(key)
        else:
            self._ours.discard(key)

    def _class_changed(self, _: Change, item: Json) -> None:
        self._ours = {_key(ingress) for ingress in self.ingresses()}
        self._wish(_key(item), True)

    def _secret_changed(self, change: Change, item: Json) -> None:
        if change == "deleted" or _key(item) in self._named():
            self._wish(_key(item), True)
