"""The chart as files: current, documented, strict, and accepted by Helm 3, Helm 4 and the API server in every form that `deploy/helm/ci` gives it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import chart
import dashboard
import pytest
import yaml

from aop.settings import Settings
from sandbox.helm.releases import CHART, Helm, HelmFailed
from sandbox.kubernetes.plane import ControlPlane
from sandbox.workloads import ROLLING

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy/manifests"
CI = sorted((ROOT / "deploy/helm/ci").glob("*.yaml"))
PROMETHEUS_OPERATOR = ROOT / "tests/sandbox/prometheus/crds.yaml"
PODS_OWN = {"kubeconfig", "trace_file", "election"}
"""Settings that a pod has no use for: it is its ServiceAccount, has nowhere to write, and is never the only one."""


def environment(deployment: dict[str, Any]) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "") for one in container["env"]}


def the(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (only_one,) = (one for one in objects if one["kind"] == kind)
    return only_one


# --- what is generated -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_helm")
def test_what_helm_renders_is_current() -> None:
    """What needs no helm is compared by `make check`."""
    made = chart.by_rendering()
    assert [str(path) for path, text in made.items() if (ROOT / path).read_text() != text] == []
    assert {path for path in made if path.suffix == ".yaml"} == {
        path.relative_to(ROOT) for path in MANIFESTS.rglob("*.yaml")
    }


def test_helm_3_and_helm_4_render_the_same_objects(helm: Helm) -> None:
    manifests = [
        one
        for path in sorted(MANIFESTS.glob("*.yaml"))
        for one in yaml.safe_load_all(path.read_text())
    ]
    rendered = [
        one
        for one in helm.template("aop-operator", "aop-system", ROOT / "deploy/helm/manifests.yaml")
        if one["kind"] != "Job"
    ]
    assert sorted(rendered, key=_identity) == sorted(manifests, key=_identity)


def _identity(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def test_the_manifests_that_kubectl_applies_do_not_claim_that_helm_manages_them() -> None:
    text = "".join(path.read_text() for path in MANIFESTS.rglob("*.yaml"))
    assert "helm.sh/" not in text
    assert "managed-by" not in text


# --- values ----------------------------------------------------------------------------------------------------------


def documented(schema: dict[str, Any], default: Any, path: str = "") -> list[str]:
    """Values whose schema is not there, has no description, or takes what is not listed."""
    wrong = [] if not path or schema.get("description") else [f"{path}: no description"]
    if "properties" in schema:
        wrong += [] if schema.get("additionalProperties") is False else [f"{path}: takes anything"]
        for name, value in (default or {}).items():
            at = f"{path}.{name}".lstrip(".")
            wrong += (
                documented(schema["properties"][name], value, at)
                if name in schema["properties"]
                else [f"{at}: not in the schema"]
            )
        wrong += [
            f"{path}.{name}: not in values.yaml"
            for name in schema["properties"]
            if isinstance(default, dict) and name not in default
        ]
    return wrong


PARENTS = {
    "image",
    "crds",
    "settings",
    "ports",
    "monitoring",
    "monitoring.podMonitor",
    "monitoring.serviceMonitor",
    "monitoring.rules",
    "monitoring.dashboard",
    "serviceAccount",
    "rbac",
    "networkPolicy",
    "podDisruptionBudget",
    "uninstallGuard",
}
"""Headings whose values are documented one by one."""
FREE = {"livenessProbe", "readinessProbe", "affinity"}
"""Kubernetes's own fields, of which the defaults name only some."""


def test_the_schema_knows_every_value_describes_it_and_refuses_all_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    wrong = documented(schema, values)
    assert [
        one for one in wrong if one.split(":")[0] not in PARENTS and one.split(".")[0] not in FREE
    ] == []


def test_every_setting_of_the_operator_is_a_value_and_keeps_the_operators_default(
    any_helm: Helm,
) -> None:
    """What is not set is not passed on, so that the operator's own defaults hold; what is set arrives as the operator reads it."""
    full = environment(
        the(any_helm.template("x", "aop-system", ROOT / "deploy/helm/ci/full.yaml"), "Deployment")
    )
    scoped = environment(
        the(
            any_helm.template("x", "aop-system", ROOT / "deploy/helm/ci/roles-only.yaml"),
            "Deployment",
        )
    )
    assert {f"AOP_{name.upper()}" for name in Settings.model_fields if name not in PODS_OWN} == {
        name for name in {*full, *scoped} if name.startswith("AOP_")
    }
    defaults = environment(the(any_helm.template("x", "aop-system"), "Deployment"))
    assert defaults == {
        "AOP_LOG_LEVEL": "info",
        "AOP_LOG_FORMAT": "json",
        "AOP_HEALTH_PORT": "8080",
        "AOP_METRICS_PORT": "8081",
        "AOP_NAMESPACE": "aop-system",
        "AOP_LEASE_NAME": "x-aop-operator",
        "AOP_WATCH_NAMESPACES": "aop-system",
        "AOP_INGRESS_CONFIG_MAPS": "ingress-nginx/ingress-nginx-controller",
    }


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_the_operator_accepts_the_settings_of(
    values: Path, any_helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = environment(the(any_helm.template("x", "aop-system", values), "Deployment"))
    for name, value in rendered.items():
        monkeypatch.setenv(name, value)
    if "AOP_EDGE_CA_FILE" in rendered:
        (tmp_path / "ca.crt").touch()
        monkeypatch.setenv("AOP_EDGE_CA_FILE", str(tmp_path / "ca.crt"))
    settings = Settings.load()
    given = Given.of(values)
    assert set(settings.watch_namespaces) == given.served
    allowed = given.config_maps | given.made_for_them | given.gateways
    assert set(settings.ingress_config_maps) == allowed
    assert settings.list_all_ingresses is given.all_ingresses
    assert settings.list_routes is given.all_routes
    assert set(settings.proxy_namespaces) == (given.proxies or {"envoy-gateway-system"})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replicas": "two"}, "replicas"),
        ({"podDisruptionBudget": {"minAvailable": 1}}, "minAvailable"),
        ({"settings": {"leaseSeconds": 1.5}}, "leaseSeconds"),
        ({"settings": {"leaseSeconds": 0}}, "leaseSeconds"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"image": {"repository": ""}}, "image/repository|image.repository"),
        (
            {"image": {"repository": "registry.example.com/aop:latest"}},
            "image/repository|image.repository",
        ),
        ({"image": {"tag": "not a tag"}}, "image/tag|image.tag"),
        ({"image": {"digest": "sha256:short"}}, "image/digest|image.digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"crds": {"enabled": "yes"}}, "crds/enabled|crds.enabled"),
        ({"creator": "kubectl"}, "creator"),
        ({"watchNamespaces": "edge"}, "watchNamespaces"),
        ({"watchNamespaces": ["Edge"]}, "watchNamespaces"),
        ({"watchNamespaces": ["edge", "edge"]}, "watchNamespaces"),
        ({"watchNamespaces": ["edge"], "rbac": {"allSecrets": True}}, "watchNamespaces names some"),
        ({"ingressConfigMaps": []}, "ingressConfigMaps is empty.*rbac.allConfigMaps allows any"),
        ({"ingressConfigMaps": ["ingress-nginx/ingress-nginx-controller"]}, "ingressConfigMaps"),
        ({"ingressConfigMaps": [{"name": "ingress-nginx-controller"}]}, "namespace"),
        ({"ingressConfigMaps": [{"namespace": "ingress-nginx", "name": "x", "key": "y"}]}, "key"),
        (
            {"workloads": [{"kind": "Job", "namespace": "a", "name": "x", "configMap": "y"}]},
            "workloads.*kind|kind",
        ),
        ({"workloads": [{"kind": "Deployment", "namespace": "a", "name": "x"}]}, "configMap"),
        ({"gateways": [{"namespace": "a", "name": "x"}]}, "configMap"),
        (
            {
                "gateways": [
                    {"namespace": "a", "name": "x", "configMap": "y", "proxyNamespace": "B"}
                ]
            },
            "proxyNamespace",
        ),
        ({"settings": {"logLevel": "verbose"}}, "logLevel"),
        ({"settings": {"logFormat": "xml"}}, "logFormat"),
        ({"settings": {"cloudflareBaseUrl": "api.example.com"}}, "cloudflareBaseUrl"),
        ({"settings": {"edgeConnectTo": ["example.com:443"]}}, "edgeConnectTo"),
        ({"settings": {"edgeCaFile": "ca.crt"}}, "edgeCaFile"),
        ({"settings": {"resyncSeconds": 0}}, "resyncSeconds"),
        ({"settings": {"resyncSeconds": "5m"}}, "resyncSeconds"),
        ({"settings": {"edgeRequestsPerSecond": 0}}, "edgeRequestsPerSecond"),
        ({"settings": {"budgetShare": 1.5}}, "budgetShare"),
        ({"settings": {"AOP_RESYNC_S": 300}}, "AOP_RESYNC_S"),
        ({"ports": {"health": 0}}, "health"),
        ({"ports": {"address": "localhost"}}, "address"),
        ({"ports": {"metrics": 65536}}, "metrics"),
        ({"ports": {"metrics": 8080}}, "ports.health and ports.metrics are the same"),
        ({"monitoring": {"interval": "often"}}, "interval"),
        ({"monitoring": {"rules": {"disabled": ["AopNothing"]}}}, "disabled"),
        ({"monitoring": {"rules": {"selector": "{job=x}"}}}, "selector"),
        ({"monitoring": {"rules": {"runbookUrl": "docs"}}}, "runbookUrl"),
        (
            {"monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
            "enable one of the two",
        ),
        (
            {"monitoring": {"podMonitor": {"enabled": True}}, "ports": {"metrics": 0}},
            "nothing for a monitor to read",
        ),
        ({"extraEnv": [{"value": "x"}]}, "name"),
        ({"extraEnv": {"NAME": "x"}}, "extraEnv"),
        ({"volumes": [{"emptyDir": {}}]}, "name"),
        ({"volumeMounts": [{"name": "x"}]}, "mountPath"),
        ({"extraObjects": [{"kind": "ConfigMap"}]}, "extraObjects"),
        ({"serviceAccount": {"annotations": {"a": 1}}}, "annotations"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is empty"),
        ({"rbac": {"clusterWide": True}}, "clusterWide"),
        ({"rbac": {"allSecrets": "yes"}}, "allSecrets"),
        ({"resources": {"limit": {"cpu": 1}}}, "limit"),
        ({"resources": {"limits": {"memory": "256 MB"}}}, "memory"),
        ({"livenessProbe": {"httpGet": {"path": "/"}}}, "httpGet"),
        ({"livenessProbe": {"periodSeconds": 0}}, "periodSeconds"),
        ({"podLabels": {"a": True}}, "podLabels"),
        ({"terminationGracePeriodSeconds": -1}, "terminationGracePeriodSeconds"),
        ({"nodeSelector": ["linux"]}, "nodeSelector"),
        ({"tolerations": [{"effect": "Never"}]}, "effect"),
        ({"affinity": {"podAffinities": {}}}, "podAffinities"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologyKey"),
        ({"networkPolicy": {"enabled": 1}}, "enabled"),
        ({"networkPolicy": {"cloudflareCidrs": ["198.51.100.0"]}}, "cloudflareCidrs"),
        ({"networkPolicy": {"apiServerPorts": []}}, "apiServerPorts"),
        ({"uninstallGuard": {"enable": False}}, "enable"),
    ],
    ids=lambda it: json.dumps(it) if isinstance(it, dict) else "",
)
def test_a_wrong_value_is_refused_by_name(
    values: dict[str, Any], named: str, any_helm: Helm
) -> None:
    with pytest.raises(HelmFailed) as failed:
        any_helm.template("x", "aop-system", values)
    output = str(failed.value).partition("\n")[2]
    assert re.search(named, output), output


def test_helm_3_and_helm_4_refuse_alike(helm: Helm) -> None:
    with pytest.raises(HelmFailed, match="replicas"):
        helm.template("x", "aop-system", {"replicas": 0})


# --- what it renders to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_it_lints_and_the_api_server_takes_every_field_of(
    values: Path, helm: Helm, plane: ControlPlane
) -> None:
    assert "0 chart(s) failed" in helm.lint(values=values)
    objects = helm.template("aop-operator", "aop-dry-run", values)
    if any(one["apiVersion"].startswith("monitoring.coreos.com/") for one in objects):
        plane.apply(PROMETHEUS_OPERATOR)
        plane.kubectl("wait", "--for=condition=Established", "-f", str(PROMETHEUS_OPERATOR))
    assert objects
    namespaces = {one["metadata"].get("namespace", "aop-dry-run") for one in objects} - {"default"}
    plane.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in sorted(namespaces)
        ]
    )
    text = yaml.safe_dump_all(objects)
    output = plane.kubectl(
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--server-side",
        "--field-manager=test",
        "-f",
        "-",
        input=text,
    )
    assert output.count("(server dry run)") == len(objects)


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_its_pods_meet_the_restricted_pod_security_standard(
    values: Path, any_helm: Helm, plane: ControlPlane
) -> None:
    """The API server's own admission says so: it warns about a Deployment and a Job that would be refused their pods."""
    namespace = plane.create_namespace("restricted")
    plane.kubectl(
        "label",
        "namespace",
        namespace,
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/enforce-version=latest",
    )
    for one in any_helm.template("x", namespace, values):
        if one["kind"] in {"Deployment", "Job"}:
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "x"},
                "spec": one["spec"]["template"]["spec"],
            }
            del pod["spec"]["serviceAccountName"]
            plane.kubectl(
                "create",
                f"--namespace={namespace}",
                "--dry-run=server",
                "-f",
                "-",
                input=yaml.safe_dump(pod),
            )


def test_one_stays_when_nodes_are_drained_where_there_are_several(any_helm: Helm) -> None:
    several, one = (any_helm.template("x", "aop-system", {"replicas": count}) for count in (2, 1))
    budget = the(several, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == the(several, "Deployment")["spec"]["selector"]
    assert [it for it in one if it["kind"] == "PodDisruptionBudget"] == []


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_new_pod_stands_by_before_an_old_one_is_told_to_stop(
    replicas: int, any_helm: Helm
) -> None:
    spec = the(any_helm.template("x", "aop-system", {"replicas": replicas}), "Deployment")["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"] == ROLLING


def test_two_releases_in_one_namespace_have_a_lease_each(any_helm: Helm) -> None:
    one, other = (any_helm.template(name, "aop-system") for name in ("one", "other"))
    assert lease(one) != lease(other)


def test_labels_of_two_releases_do_not_mix(any_helm: Helm) -> None:
    one, other = (
        the(any_helm.template(name, "aop-system"), "Deployment") for name in ("one", "other")
    )
    assert one["spec"]["selector"] != other["spec"]["selector"]
    assert one["metadata"]["name"] != other["metadata"]["name"]


def test_the_guards_pod_is_no_pod_of_the_deployment(any_helm: Helm) -> None:
    objects = any_helm.template("x", "aop-system")
    selector = the(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    labels = the(objects, "Job")["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_the_resource_survives_an_uninstall_unless_asked_otherwise(any_helm: Helm) -> None:
    policy = "helm.sh/resource-policy"
    kept = the(any_helm.template("x", "aop-system"), "CustomResourceDefinition")
    dropped = the(
        any_helm.template("x", "aop-system", {"crds": {"keep": False}}), "CustomResourceDefinition"
    )
    assert kept["metadata"]["annotations"] == {policy: "keep"}
    assert policy not in dropped["metadata"].get("annotations", {})


def test_the_resource_in_the_chart_is_the_one_that_the_models_make(any_helm: Helm) -> None:
    (file,) = (ROOT / "crds").glob("*.yaml")
    assert (
        the(any_helm.template("x", "aop-system"), "CustomResourceDefinition")["spec"]
        == yaml.safe_load(file.read_text())["spec"]
    )


# --- monitoring ------------------------------------------------------------------------------------------------------


def alerts(rule: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {it["alert"]: it for group in rule["spec"]["groups"] for it in group["rules"]}


def test_nothing_is_brought_for_prometheus_and_grafana_by_default(any_helm: Helm) -> None:
    """The CustomResourceDefinitions of the Prometheus Operator may not be there."""
    objects = any_helm.template("x", "aop-system")
    assert {one["apiVersion"] for one in objects if "monitoring" in one["apiVersion"]} == set()
    assert [one for one in objects if one["kind"] in {"Service", "ConfigMap"}] == []


def test_the_rules_are_those_that_are_tested_about_this_release_and_lead_to_their_sections(
    any_helm: Helm,
) -> None:
    values = {"monitoring": {"rules": {"enabled": True, "labels": {"team": "edge"}}}}
    rendered = alerts(the(any_helm.template("x", "aop-system", values), "PrometheusRule"))
    text = (CHART / "files/alerts.yaml").read_text()
    tested = alerts({"spec": yaml.safe_load(text)})
    assert rendered.keys() == tested.keys()
    for name, rule in rendered.items():
        expected = tested[name]["expr"].replace(
            'job="aop-operator"', 'job="aop-system/x-aop-operator"'
        )
        assert rule["expr"] == expected
        assert rule.get("for") == tested[name].get("for")
        assert rule["labels"] == {**tested[name]["labels"], "team": "edge"}
        section = f"docs/runbook.md#{name.lower()}"
        assert rule["annotations"] == {**tested[name]["annotations"], "runbook_url": section}


def test_an_alert_can_be_left_out_and_a_release_be_told_by_other_labels(any_helm: Helm) -> None:
    values = ROOT / "deploy/helm/ci/monitoring.yaml"
    rendered = alerts(the(any_helm.template("x", "aop-system", values), "PrometheusRule"))
    assert "AopHostNotProven" not in rendered
    assert (
        rendered["AopNoLeader"]["expr"] == 'sum(aop_leader{job="origin-pulls", cluster="one"}) == 0'
    )


@pytest.mark.parametrize(
    ("kind", "value", "endpoints"),
    [
        ("PodMonitor", "podMonitor", "podMetricsEndpoints"),
        ("ServiceMonitor", "serviceMonitor", "endpoints"),
    ],
)
def test_a_monitor_finds_the_pods_keeps_their_labels_and_names_the_job_of_the_rules(
    kind: str, value: str, endpoints: str, any_helm: Helm
) -> None:
    values = {"monitoring": {value: {"enabled": True}, "labels": {"release": "prometheus"}}}
    objects = any_helm.template("x", "aop-system", values)
    pod = the(objects, "Deployment")["spec"]["template"]
    monitor = the(objects, kind)
    chosen = the(objects, "Service") if kind == "ServiceMonitor" else pod
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= chosen["metadata"]["labels"].items()
    )
    if kind == "ServiceMonitor":
        assert chosen["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"][endpoints]
    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"] == [
        {"targetLabel": "job", "replacement": "aop-system/x-aop-operator"}
    ]
    ports = pod["spec"]["containers"][0]["ports"]
    assert endpoint["port"] in {one["name"] for one in ports}


def test_the_dashboard_is_found_by_the_sidecar_and_is_the_one_that_is_drawn(any_helm: Helm) -> None:
    values = ROOT / "deploy/helm/ci/full.yaml"
    config_map = next(
        one
        for one in any_helm.template("x", "aop-system", values)
        if one["kind"] == "ConfigMap" and "dashboard" in one["metadata"]["name"]
    )
    assert config_map["metadata"]["labels"]["example.com/dashboard"] == "yes"
    assert config_map["metadata"]["annotations"] == {"example.com/folder": "Edge"}
    assert json.loads(config_map["data"]["aop-operator.json"]) == dashboard.model()


# --- rights ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """What a file of values asks for, with the chart's defaults for what it leaves out.

    An empty set means all.
    """

    served: set[str]
    config_maps: set[str]
    all_ingresses: bool
    aggregate: bool
    made: bool
    workloads: set[str]
    """NAMESPACE/NAME of each Deployment, and so on."""
    made_for_them: set[str]
    """NAMESPACE/NAME of their ConfigMaps."""
    gateways: set[str]
    """NAMESPACE/NAME of the ConfigMaps of Gateways."""
    proxies: set[str]
    """Where their proxies run."""
    all_routes: bool
    all_ingress_routes: bool

    @classmethod
    def of(cls, values: Path) -> Self:
        """Of an installation into `aop-system`."""
        defaults, given = (
            yaml.safe_load(path.read_text()) or {} for path in (CHART / "values.yaml", values)
        )
        rbac = {**defaults["rbac"], **given.get("rbac", {})}
        maps = {
            f"{it['namespace']}/{it['name']}"
            for it in given.get("ingressConfigMaps", defaults["ingressConfigMaps"])
        }
        workloads = given.get("workloads", defaults["workloads"])
        return cls(
            set() if rbac["allSecrets"] else set(given.get("watchNamespaces") or ["aop-system"]),
            set() if rbac["allConfigMaps"] else maps,
            rbac["allIngresses"] and bool(maps or rbac["allConfigMaps"]),
            rbac["aggregate"],
            rbac["create"],
            {f"{it['namespace']}/{it['name']}" for it in workloads},
            {f"{it['namespace']}/{it['configMap']}" for it in workloads},
            {
                f"{it['namespace']}/{it['configMap']}"
                for it in given.get("gateways", defaults["gateways"])
            },
            {it.get("proxyNamespace", "envoy-gateway-system") for it in given.get("gateways", [])},
            rbac["allRoutes"] and bool(given.get("gateways")),
            rbac["allIngressRoutes"],
        )


def where(objects: list[dict[str, Any]], resource: str, *verbs: str) -> set[str]:
    """Where one of these verbs on a resource is granted: namespaces, each with `/NAME` where it is on that object only; `*` for the cluster."""
    return {
        "/".join((one["metadata"].get("namespace", "*"), *([name] if name else [])))
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"}
        for rule in one["rules"]
        if resource in rule["resources"] and set(verbs) & set(rule["verbs"])
        for name in rule.get("resourceNames", [""])
    }


def lease(objects: list[dict[str, Any]]) -> str:
    """By which the replicas of these objects find out who acts."""
    return environment(the(objects, "Deployment"))["AOP_LEASE_NAME"]


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_rights_are_where_they_were_asked_for_and_nowhere_else(
    values: Path, any_helm: Helm
) -> None:
    """The same values say it to the operator (`test_the_operator_accepts_the_settings_of`), so that it never asks for what it does not have."""
    given, objects = Given.of(values), any_helm.template("x", "aop-system", values)
    if not given.made:
        assert not [one for one in objects if "Role" in one["kind"]]
        return
    any_map = not (given.config_maps or given.workloads or given.gateways)
    served, controllers = (
        given.served or {"*"},
        {"*"} if any_map else {name.split("/")[0] for name in given.config_maps},
    )
    theirs = {name.split("/")[0] for name in given.workloads}
    everything = ("get", "list", "watch", "create", "update", "patch", "delete")
    assert where(objects, "secrets", *everything) == served
    assert where(objects, "authenticatedoriginpulls", "get", "list", "watch") == served | (
        {"*"} if given.aggregate else set()
    )
    assert where(objects, "configmaps", "get", "update", "patch") == (
        {"*"} if any_map else given.config_maps | given.made_for_them | given.gateways
    )
    assert where(objects, "configmaps", "create") == theirs
    assert where(objects, "configmaps", "delete") == given.made_for_them
    assert where(objects, "deployments", "patch") == given.workloads
    before = {name.split("/")[0] for name in given.gateways}
    assert where(objects, "pods", *everything) == controllers | theirs | given.proxies
    assert where(objects, "envoyextensionpolicies", *everything) == before
    of_traefik = {"*"} if given.all_ingress_routes else set()
    assert where(objects, "gateways", *everything) == before | of_traefik
    for resource in ("httproutes", "grpcroutes", "gatewayclasses", "listenersets"):
        assert where(objects, resource, *everything) == ({"*"} if given.all_routes else of_traefik)
    for resource in ("ingressroutes", "ingressroutetcps"):
        assert where(objects, resource, *everything) == of_traefik
    for resource in ("gateways", "httproutes", "ingresses", "listenersets"):
        assert "*" not in where(objects, resource, *{*everything} - {"list", "watch"}), "only read"
    assert where(objects, "leases", *everything) == {"aop-system", f"aop-system/{lease(objects)}"}
    assert where(objects, "leases", "create") == {"aop-system"}
    assert where(objects, "ingressclasses", *everything) == (
        {"*"} if given.all_ingresses else of_traefik
    )
    everywhere = given.all_ingresses or not given.served
    somewhere = served | controllers if controllers else set()
    assert where(objects, "ingresses", *everything) == (
        {"*"} if everywhere else somewhere | of_traefik
    )


def test_by_default_the_clusters_own_roles_learn_nothing(any_helm: Helm) -> None:
    objects = any_helm.template("x", "aop-system")
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "ClusterRole"] == [
        "x-aop-operator"
    ]


def test_roles_alone_suffice_where_nothing_may_be_created_in_the_cluster(any_helm: Helm) -> None:
    kinds = {
        one["kind"]
        for one in any_helm.template("x", "aop-system", ROOT / "deploy/helm/ci/roles-only.yaml")
    }
    assert kinds == {
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "Deployment",
        "PodDisruptionBudget",
        "Job",
    }


def test_the_guide_says_what_each_right_opens() -> None:
    rights = set(yaml.safe_load((CHART / "values.yaml").read_text())["rbac"]) - {"create"}
    section = (
        (ROOT / "docs/install.md")
        .read_text()
        .partition("### What each opens\n")[2]
        .partition("\n##")[0]
    )
    assert {name for name in rights if f"| `rbac.{name}" in section} == rights
