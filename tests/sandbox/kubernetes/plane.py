"""One Kubernetes control plane on loopback: started, asked, disturbed and thrown away by tests, by the sandbox and by the demo.

Plain synchronous code with child processes, so that it can be used from a session fixture of any
event loop, and from a script:

    with ControlPlane() as plane:
        plane.apply(Path("crds"))
        plane.kubectl("get", "namespaces")

There is no kubelet and no scheduler: a Pod stays what the test writes.
"""

import secrets
import shutil
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import httpx

from sandbox.kubernetes import audit, binaries, components, folder, kubeconfig, kubectl
from sandbox.kubernetes.audit import AuditEvent
from sandbox.kubernetes.binaries import Binaries
from sandbox.kubernetes.kubectl import Manifest
from sandbox.processes import Child
from sandbox.waiting import until

START_WITHIN_S = 60
TOKEN_LIFETIME_S = 86_400
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""What kubectl asks for at /apis since 1.27."""


class ControlPlaneError(Exception):
    """A part of the control plane did not start, or ended. The message has its last words."""


class ControlPlane:
    """etcd, kube-apiserver and, where there is one, kube-controller-manager.

    `etcd`, `apiserver` and `controller_manager` are `processes.Child`: they can be killed, started
    again on the same port, and suspended in mid-air. `http` is an `httpx.Client` that is admin:
    `plane.http.get("/api/v1/namespaces")`. `apiserver_flags` come last and win (such as
    `--min-request-timeout=5`). With `workloads` the controllers of Deployments, StatefulSets and
    DaemonSets make pods; nobody runs them but `sandbox.cluster`.
    """

    etcd: Child
    apiserver: Child
    controller_manager: Child | None
    http: httpx.Client

    def __init__(
        self,
        programs: Binaries | None = None,
        *,
        apiserver_flags: Sequence[str] = (),
        with_controller_manager: bool = True,
        workloads: bool = False,
    ) -> None:
        self._programs = programs
        self._apiserver_flags = tuple(apiserver_flags)
        self._with_controller_manager = with_controller_manager
        self._controllers = (
            *components.CONTROLLERS,
            *(components.WORKLOAD_CONTROLLERS if workloads else ()),
        )
        self._folder: Path | None = None
        self._lock: IO[bytes] | None = None
        self._children: list[Child] = []

    def start(self) -> Self:
        """Start everything and wait until it can be used (3 s; much longer where `binaries.find` has to build first).

        Raises:
            ControlPlaneError: a part ended at once; its last words say why.
            NotInTimeError: a part does not answer within a minute.
            binaries.BinariesError: there are no programs to start.
        """
        programs = self.programs
        for attempt in range(3):
            self._folder, self._lock = folder.temporary()
            try:
                self._start(programs, self.folder)
            except BaseException as error:
                self.stop()
                if attempt == 2 or "address already in use" not in str(error):
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """Kill everything and remove its data (0.1 s)."""
        if "http" in self.__dict__:
            self.http.close()
        for child in reversed(self._children):
            child.kill()
        self._children.clear()
        if self._folder is not None and self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.close()
            self._folder = self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Where it is

    @property
    def folder(self) -> Path:
        """The temporary folder that holds certificates, kubeconfigs, logs and data until `stop`."""
        if self._folder is None:
            raise ControlPlaneError("the control plane is not running: call start() first")
        return self._folder

    @property
    def programs(self) -> Binaries:
        """The programs that run, or will run, with kubectl among them."""
        if self._programs is None:
            self._programs = binaries.find()
        return self._programs

    @property
    def url(self) -> str:
        """The API server's address; its certificate is for 127.0.0.1 and localhost."""
        return f"https://{components.LOOPBACK}:{self._ports.apiserver}"

    @property
    def ca_file(self) -> Path:
        """The CA, PEM, that issued the API server's certificate."""
        return self.folder / "ca.crt"

    @property
    def admin_kubeconfig(self) -> Path:
        """Kubeconfig of an admin (client certificate, group `system:masters`)."""
        return self.folder / "admin.kubeconfig"

    # Who may ask

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A new kubeconfig of any user, by client certificate.

        It may do what RBAC grants to the user and the groups.
        """
        path = self._new_kubeconfig(user)
        return kubeconfig.write(
            path,
            server=self.url,
            ca=self._files.server_ca.pem,
            client=self._files.client_ca.client(user, groups),
        )

    def service_account_token(
        self,
        namespace: str,
        name: str,
        *,
        expires_in_s: int = TOKEN_LIFETIME_S,
        audiences: Sequence[str] = (),
        bound_to: Mapping[str, str] | None = None,
    ) -> str:
        """A token by TokenRequest for a ServiceAccount that exists; `expires_in_s` is at least 600.

        For the API server, unless told otherwise; `bound_to` refers to the pod that has it.
        """
        more = {"audiences": list(audiences)} if audiences else {}
        bound = {"boundObjectRef": dict(bound_to)} if bound_to else {}
        answer = self.http.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            json={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": expires_in_s, **more, **bound},
            },
        )
        answer.raise_for_status()
        return str(answer.json()["status"]["token"])

    def service_account_kubeconfig(
        self, namespace: str, name: str, *, expires_in_s: int = TOKEN_LIFETIME_S
    ) -> Path:
        """A new kubeconfig of a ServiceAccount that exists, by token, in its own namespace: this is how the operator runs."""
        token = self.service_account_token(namespace, name, expires_in_s=expires_in_s)
        path = self._new_kubeconfig(f"{namespace}-{name}")
        return kubeconfig.write(
            path, server=self.url, ca=self._files.server_ca.pem, token=token, namespace=namespace
        )

    # What an admin does

    def kubectl(
        self,
        *arguments: str | Path,
        input: str | None = None,  # noqa: A002  # as `subprocess.run` calls it
        kubeconfig: Path | None = None,
        timeout_s: float = 60,
    ) -> str:
        """Run kubectl, as admin unless another kubeconfig is given, and return its stdout.

        Raises:
            kubectl.KubectlError: its exit status was not 0.
        """
        return kubectl.run(
            self.programs.kubectl,
            arguments,
            text=input,
            kubeconfig=kubeconfig or self.admin_kubeconfig,
            cache=self.folder / "kubectl-cache",
            timeout_s=timeout_s,
        )

    def apply(
        self, *manifests: Manifest, namespace: str | None = None, server_side: bool = False
    ) -> str:
        """`kubectl apply` of files, folders (their *.yaml), YAML text or objects; waits for every CRD among them to be listed and discovered."""
        text = "\n---\n".join(kubectl.text_of(manifest) for manifest in manifests)
        scope = () if namespace is None else ("--namespace", namespace)
        output = self.kubectl(
            "apply", *scope, *(("--server-side",) if server_side else ()), "-f", "-", input=text
        )
        for definition in kubectl.definitions_in(text):
            self._await_served(definition)
        return output

    def create_namespace(self, prefix: str = "test") -> str:
        """Create a namespace whose name nobody has used before, and return the name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.http.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        return name

    def audit(self, user: str | None = None) -> tuple[AuditEvent, ...]:
        """What ServiceAccounts asked for (`system:serviceaccount:<namespace>:<name>`, or all); `audit.read` says when a line appears."""
        return audit.read(self.folder / "audit.log", user)

    # Disturbances

    @contextmanager
    def outage(self) -> Iterator[None]:
        """No API server for the length of the block; afterwards the same one again, at the same address, with the same data."""
        self.apiserver.kill()
        try:
            yield
        finally:
            self.apiserver.start()
            self.await_ready()

    def await_ready(self) -> None:
        """Wait until the API server is ready for an admin.

        Raises:
            ControlPlaneError: it ended meanwhile.
            NotInTimeError: it does not answer within a minute.
        """
        self._await(self.apiserver, partial(self._answers, "/readyz"))
        # It may be missing right after /readyz says yes [measured].
        self._await(self.apiserver, partial(self._answers, "/api/v1/namespaces/default"))

    # How it starts

    def _start(self, programs: Binaries, folder: Path) -> None:
        self._ports = ports = components.PlanePorts.choose()
        self._files = files = components.Files.write(folder)
        kubeconfig.write(
            self.admin_kubeconfig, server=self.url, ca=files.server_ca.pem, client=files.admin
        )
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        trust.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        self.http = httpx.Client(base_url=self.url, verify=trust, trust_env=False, timeout=30)

        self.etcd = self._run(components.etcd(programs, folder, ports))
        self._await(
            self.etcd,
            lambda: (
                httpx.get(
                    f"http://{components.LOOPBACK}:{ports.etcd}/health", trust_env=False
                ).is_success
            ),
        )
        self.apiserver = self._run(
            components.apiserver(programs, folder, ports, self._apiserver_flags)
        )
        self.await_ready()
        self.controller_manager = None
        if self._with_controller_manager and programs.kube_controller_manager is not None:
            self.controller_manager = self._run(
                components.controller_manager(
                    programs.kube_controller_manager, files, ports, self._controllers
                )
            )
            self._await(
                self.controller_manager,
                partial(self._answers, "/api/v1/namespaces/default/serviceaccounts/default"),
            )

    def _run(self, command: Sequence[str | Path]) -> Child:
        child = Child(command, log=self.folder / f"{Path(command[0]).name}.log")
        self._children.append(child)
        return child

    @staticmethod
    def _await(child: Child, condition: Callable[[], bool]) -> None:
        def attempt() -> bool:
            if not child.alive:
                raise ControlPlaneError(
                    f"{child.name} ended with status {child.returncode}:\n{child.last_words()}"
                )
            return condition()

        def what() -> str:
            return f"{child.name} to answer; its log ends with:\n{child.last_words()}"

        until(attempt, within_s=START_WITHIN_S, describe=what, ignoring=(httpx.HTTPError,))

    def _await_served(self, definition: Mapping[str, Any]) -> None:
        spec = definition["spec"]
        for version in spec["versions"]:
            if version["served"]:
                path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
                until(partial(self._answers, path), within_s=30, describe=f"{path} to be served")
                plural = spec["names"]["plural"]
                discovered = partial(
                    self._discovers, f"/apis/{spec['group']}/{version['name']}", plural
                )
                until(discovered, within_s=30, describe=f"{plural} to be discovered")

    def _discovers(self, path: str, plural: str) -> bool:
        """Whether both kinds of discovery, which follow later than the path itself, name a resource; kubectl goes by the aggregated one."""
        one = self.http.get(path)
        named = one.is_success and any(
            resource["name"] == plural for resource in one.json()["resources"]
        )
        whole = self.http.get("/apis", headers={"Accept": AGGREGATED})
        return named and any(
            resource["resource"] == plural
            for group in whole.json().get("items", ())
            for version in group["versions"]
            for resource in version.get("resources", ())
        )

    def _answers(self, path: str) -> bool:
        return self.http.get(path).is_success

    def _new_kubeconfig(self, name: str) -> Path:
        return (
            self.folder
            / f"{name.replace(':', '-').replace('/', '-')}-{secrets.token_hex(4)}.kubeconfig"
        )
