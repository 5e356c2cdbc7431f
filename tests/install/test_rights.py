"""Who may do what in the cluster, by the API server's own authorizer and audit log, in each form in which the chart grants rights."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from install.conftest import tidy
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout
from sandbox.helm import programs
from sandbox.helm.releases import Helm, Values
from sandbox.kubernetes.audit import AuditEvent
from sandbox.kubernetes.plane import ControlPlane
from sandbox.ports import free_port
from sandbox.scene import Scene, origin, path_of
from sandbox.waiting import until
from sandbox.workloads import DeployedOperator

pytestmark = [pytest.mark.timeout(300)]

CI = Path(__file__).parents[2] / "deploy/helm/ci"
RELEASE, NAMESPACE, ELSEWHERE = "aop-operator", "aop-system", "edge"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
OTHER = "somebody-elses"
"""A ConfigMap beside the controller's."""


class Act(NamedTuple):
    """One request, as the authorizer is asked about it; no namespace: in the whole cluster."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    group: str = ""


def allowed(plane: ControlPlane, user: str, act: Act, *groups: str) -> bool:
    """What the API server says to somebody who asks."""
    resource, _, subresource = act.resource.partition("/")
    attributes = {**act._asdict(), "resource": resource, "subresource": subresource}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": list(groups)},
    }
    body["spec"] |= {"resourceAttributes": attributes}  # type: ignore[operator]  # a dict of both kinds
    answer = plane.http.post(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews", json=body
    ).raise_for_status()
    return bool(answer.json()["status"]["allowed"])


SERVED = {
    "defaults": {NAMESPACE},
    "roles-only": {ELSEWHERE},
    "any-controller": {ELSEWHERE},
    "all-secrets": {NAMESPACE, ELSEWHERE, "kube-system"},
    "cluster-wide": {NAMESPACE, ELSEWHERE, "kube-system"},
}
"""By the name of the values in deploy/helm/ci."""
ALL_SECRETS, ALL_CONFIG_MAPS = {"all-secrets", "cluster-wide"}, {"any-controller", "cluster-wide"}
ONLY = {
    Act("update", "configmaps", CONTROLLER_NAMESPACE, CONFIG_MAP): set(SERVED),
    Act("update", "configmaps", CONTROLLER_NAMESPACE, OTHER): ALL_CONFIG_MAPS,
    Act("get", "configmaps", "kube-system", "extension-apiserver-authentication"): ALL_CONFIG_MAPS,
    Act("list", "pods", CONTROLLER_NAMESPACE): set(SERVED),
    Act("watch", "pods", CONTROLLER_NAMESPACE): set(SERVED),
    Act("list", "pods", "kube-system"): ALL_CONFIG_MAPS,
    Act("list", "secrets"): ALL_SECRETS,
    Act("watch", "authenticatedoriginpulls", group="aop-operator.dev"): ALL_SECRETS,
    Act("list", "ingresses", group="networking.k8s.io"): set(SERVED) - {"roles-only"},
    Act("watch", "ingresses", group="networking.k8s.io"): set(SERVED) - {"roles-only"},
    Act("update", "leases", NAMESPACE, RELEASE, "coordination.k8s.io"): set(SERVED),
    Act("create", "leases", NAMESPACE, group="coordination.k8s.io"): set(SERVED),
}
"""In which forms it is granted."""
NEVER = [
    Act("delete", "secrets", NAMESPACE, "any"),
    Act("create", "configmaps", CONTROLLER_NAMESPACE),
    Act("delete", "configmaps", CONTROLLER_NAMESPACE, CONFIG_MAP),
    Act("create", "pods", NAMESPACE),
    Act("create", "pods/exec", CONTROLLER_NAMESPACE, "any"),
    Act("create", "serviceaccounts/token", NAMESPACE, RELEASE),
    Act("create", "rolebindings", NAMESPACE, group="rbac.authorization.k8s.io"),
    Act("update", "ingresses", "default", "any", group="networking.k8s.io"),
    Act("create", "authenticatedoriginpulls", NAMESPACE, group="aop-operator.dev"),
    Act("delete", "authenticatedoriginpulls", NAMESPACE, "any", group="aop-operator.dev"),
    Act("update", "leases", NAMESPACE, "somebody-elses", "coordination.k8s.io"),
    Act("update", "leases", "kube-system", RELEASE, "coordination.k8s.io"),
    Act("delete", "leases", NAMESPACE, RELEASE, "coordination.k8s.io"),
    Act("list", "leases", NAMESPACE, group="coordination.k8s.io"),
    Act("*", "*", NAMESPACE, group="*"),
]


@pytest.fixture
def helm(plane: ControlPlane, tmp_path: Path) -> Iterator[Helm]:
    """Whichever is there, as the plane's admin; the release is taken out again."""
    of_this_machine = Helm(
        programs.any_of_them(say=lambda _: None), tmp_path, plane.admin_kubeconfig
    )
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}})
    yield of_this_machine
    of_this_machine.uninstall(RELEASE, NAMESPACE, "--no-hooks")
    tidy(plane)


@pytest.mark.parametrize("form", SERVED)
def test_the_operators_token_opens_what_was_granted_and_nothing_else(
    form: str, helm: Helm, plane: ControlPlane
) -> None:
    helm.install(RELEASE, NAMESPACE, CI / f"{form}.yaml")
    groups = (
        "system:serviceaccounts",
        f"system:serviceaccounts:{NAMESPACE}",
        "system:authenticated",
    )
    for verb in ("get", "list", "watch", "create", "update"):
        served = {
            name
            for name in SERVED["cluster-wide"]
            if allowed(plane, ACCOUNT, Act(verb, "secrets", name), *groups)
        }
        assert served == SERVED[form], verb
    assert {
        act
        for act, forms in ONLY.items()
        if allowed(plane, ACCOUNT, act, *groups) is not (form in forms)
    } == set()
    assert [act for act in NEVER if allowed(plane, ACCOUNT, act, *groups)] == []


GATEWAY_API = "gateway.networking.k8s.io"
OF_A_GATEWAY = {
    Act("update", "configmaps", "web", "frontend-aop"),
    Act("list", "gateways", "web", group=GATEWAY_API),
    Act("list", "envoyextensionpolicies", "web", group="gateway.envoyproxy.io"),
    Act("list", "pods", "envoy-gateway-system"),
    Act("list", "events", "envoy-gateway-system"),
    Act("list", "httproutes", group=GATEWAY_API),
    Act("watch", "httproutes", group=GATEWAY_API),
    Act("list", "grpcroutes", group=GATEWAY_API),
    Act("list", "gatewayclasses", group=GATEWAY_API),
}
"""What is granted for the Gateway that the values name, whose proxies run where they do by default."""
OF_NO_GATEWAY = [
    Act("update", "configmaps", "web", OTHER),
    Act("create", "configmaps", "web"),
    Act("delete", "configmaps", "web", "frontend-aop"),
    Act("update", "configmaps", "envoy-gateway-system", "envoy-gateway-config"),
    Act("get", "secrets", "envoy-gateway-system", "envoy-gateway"),
    Act("get", "secrets", "web", "frontend-tls"),
    Act("list", "pods", "web"),
    Act("list", "gateways", "envoy-gateway-system", group=GATEWAY_API),
    Act("list", "envoyextensionpolicies", "edge", group="gateway.envoyproxy.io"),
    *(
        Act(verb, resource, "web", "frontend", group)
        for verb in ("create", "update", "patch", "delete")
        for resource, group in (
            ("gateways", GATEWAY_API),
            ("httproutes", GATEWAY_API),
            ("envoyextensionpolicies", "gateway.envoyproxy.io"),
            ("clienttrafficpolicies", "gateway.envoyproxy.io"),
            ("envoyproxies", "gateway.envoyproxy.io"),
        )
    ),
    Act("list", "ingresses", group="networking.k8s.io"),
]


@pytest.mark.parametrize(
    ("values", "granted"),
    [
        ({}, OF_A_GATEWAY),
        (
            {"rbac": {"allRoutes": False, "allIngresses": False}},
            {act for act in OF_A_GATEWAY if act.namespace},
        ),
        ({"gateways": [], "ingressConfigMaps": [{"namespace": ELSEWHERE, "name": "x"}]}, set()),
    ],
    ids=["a Gateway", "without its routes", "no Gateway"],
)
def test_a_gateway_brings_rights_to_what_it_needs_and_to_nothing_else(
    values: dict[str, Any], granted: set[Act], helm: Helm, plane: ControlPlane
) -> None:
    named = ("web", "envoy-gateway-system")
    plane.apply(
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in named]
    )
    form = yaml.safe_load((CI / "gateways.yaml").read_text())
    helm.install(RELEASE, NAMESPACE, {**form, **values})
    asked = {act for act in OF_A_GATEWAY if allowed(plane, ACCOUNT, act)}
    assert asked == granted
    beyond = OF_NO_GATEWAY if granted else OF_NO_GATEWAY[:-1]
    assert [act for act in (*beyond, *NEVER) if allowed(plane, ACCOUNT, act)] == []


@pytest.mark.parametrize("aggregate", [False, True], ids=["by default", "with rbac.aggregate"])
def test_editors_of_a_namespace_write_objects_only_where_the_clusters_roles_say_so(
    aggregate: bool, helm: Helm, plane: ControlPlane
) -> None:
    if plane.programs.kube_controller_manager is None:
        pytest.skip("nobody adds up the cluster's own roles: there is no kube-controller-manager")
    helm.install(RELEASE, NAMESPACE, {"rbac": {"aggregate": aggregate}})
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "editor", "namespace": ELSEWHERE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "editor"}],
    }
    plane.apply(binding)
    until(
        lambda: allowed(plane, "editor", Act("create", "configmaps", ELSEWHERE)),
        within_s=30,
        describe="an editor",
    )
    # A right that comes and goes with the release, so that the controller is seen to have added up
    # what is there now.
    marker = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": "marker",
            "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"},
        },
        "rules": [
            {
                "apiGroups": ["example.com"],
                "resources": [f"marks-{aggregate}".lower()],
                "verbs": ["get"],
            }
        ],
    }
    plane.apply(marker)
    mark = Act("get", f"marks-{aggregate}".lower(), ELSEWHERE, "any", "example.com")
    until(
        lambda: allowed(plane, "editor", mark),
        within_s=30,
        describe="the cluster's own roles to be added up",
    )
    write = Act("create", "authenticatedoriginpulls", ELSEWHERE, group="aop-operator.dev")
    assert allowed(plane, "editor", write) is aggregate
    plane.kubectl("delete", "clusterrole", "marker")


# --- what is asked for and not granted --------------------------------------------------------------------------------


@dataclass(slots=True)
class RightsStory:
    """What became of two objects under a default installation."""

    unserved: list[Any] = field(default_factory=list)
    """The object in another namespace, before any operator runs and at the end."""
    refused: dict[str, Any] = field(default_factory=dict)
    """The Ready condition of the one that names another ConfigMap."""
    asked: tuple[AuditEvent, ...] = ()
    config_map: list[Any] = field(default_factory=list)
    """The other ConfigMap before and after."""


@pytest.fixture(scope="module")
def story(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> RightsStory:
    """One object where none is served, and one that names a ConfigMap which is not allowed; both with a token that works."""
    folder, seen, before = (
        tmp_path_factory.mktemp("story"),
        RightsStory(),
        len(plane.audit(ACCOUNT)),
    )
    helm = Helm(programs.any_of_them(say=lambda _: None), folder, plane.admin_kubeconfig)
    helm.install(RELEASE, NAMESPACE)
    place = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps"
    try:
        with Scene(Layout(manifests=None), plane, with_operator=False) as scene:
            plane.http.post(place, json={"metadata": {"name": OTHER}}).raise_for_status()
            seen.config_map.append(plane.http.get(f"{place}/{OTHER}").raise_for_status().json())
            helm.upgrade(RELEASE, NAMESPACE, installed(scene))
            scene.sandbox.secret(NAMESPACE)
            until(
                lambda: plane.http.get(path_of(NAMESPACE)).is_success,
                within_s=30,
                describe="the resource to be served",
            )
            scene.apply(namespace=ELSEWHERE)
            seen.unserved.append(scene.object(namespace=ELSEWHERE))
            with DeployedOperator(plane, folder):
                scene.apply(namespace=NAMESPACE, origins=[origin(OTHER)])
                seen.refused = scene.until_condition(
                    reason="OriginNotAllowed", namespace=NAMESPACE, within_s=60
                )
                seen.unserved.append(scene.object(namespace=ELSEWHERE))
            seen.asked = plane.audit(ACCOUNT)[before:]
            seen.config_map.append(plane.http.get(f"{place}/{OTHER}").raise_for_status().json())
    finally:
        plane.http.delete(f"{place}/{OTHER}")
        helm.uninstall(RELEASE, NAMESPACE, "--no-hooks")
        tidy(plane)
    return seen


def installed(scene: Scene) -> Values:
    """The chart's defaults, and where things are in the sandbox."""
    return {
        "settings": {
            "cloudflareBaseUrl": scene.cloudflare.base_url,
            "edgeConnectTo": scene.sandbox.connect_to.split(","),
            "edgeCaFile": str(scene.cloudflare.edge_ca_file),
        },
        "ports": {"address": "127.0.0.1", "health": free_port(), "metrics": free_port()},
    }


def test_an_object_where_none_is_served_is_left_alone(story: RightsStory) -> None:
    before, after = story.unserved
    assert before
    assert after == before
    assert [f"{one.verb} {one.uri}" for one in story.asked if one.namespace == ELSEWHERE] == []
    assert [
        one
        for one in story.asked
        if one.namespace == NAMESPACE and one.resource == "secrets" and one.allowed
    ]


def test_a_config_map_that_is_not_allowed_stays_as_it_is(story: RightsStory) -> None:
    assert f"{CONTROLLER_NAMESPACE}/{OTHER}" in story.refused["message"]
    before, after = story.config_map
    assert after == before
    assert [
        f"{one.verb} {one.uri}" for one in story.asked if one.name == OTHER and one.allowed
    ] == []
