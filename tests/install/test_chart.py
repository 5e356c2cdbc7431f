"""The chart as files: current, documented, strict, and accepted by Helm 3, Helm 4 and the API server in every form that `deploy/helm/ci` gives it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aop.settings import Settings
from sandbox.helm.releases import CHART, Helm, HelmFailed
from sandbox.kubernetes.plane import ControlPlane

ROOT = Path(__file__).parents[2]
CI = sorted((ROOT / "deploy/helm/ci").glob("*.yaml"))
PODS_OWN = {"kubeconfig", "trace_file"}
"""Settings that a pod has no use for: it is its ServiceAccount, and has nowhere to write."""

pytestmark = [pytest.mark.integration]


def environment(deployment: dict[str, Any]) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "") for one in container["env"]}


def the(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


# --- what is generated -----------------------------------------------------------------------------------------------


def test_everything_that_is_generated_is_current(tmp_path: Path, any_helm: Helm) -> None:
    subprocess.run([sys.executable, ROOT / "tools/chart.py", tmp_path], check=True, env={"PYTHONPATH": str(ROOT / "tests"), **_environ()})
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    stale = [str(path.relative_to(tmp_path)) for path in written if path.read_bytes() != (ROOT / path.relative_to(tmp_path)).read_bytes()]
    assert not stale, f"run `make generate`: {stale}"
    assert {path.name for path in (ROOT / "deploy/manifests").iterdir()} == {
        path.name for path in (tmp_path / "deploy/manifests").iterdir()
    }


def _environ() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ}


def test_helm_3_and_helm_4_render_the_same_objects(helm: Helm) -> None:
    manifests = [one for path in sorted((ROOT / "deploy/manifests").glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
    rendered = [one for one in helm.template("aop-operator", "aop-system", ROOT / "deploy/helm/manifests.yaml") if one["kind"] != "Job"]
    assert sorted(rendered, key=_identity) == sorted(manifests, key=_identity)


def _identity(one: dict[str, Any]) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def test_the_manifests_that_kubectl_applies_do_not_claim_that_helm_manages_them() -> None:
    text = "".join(path.read_text() for path in (ROOT / "deploy/manifests").glob("*.yaml"))
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
            wrong += documented(schema["properties"][name], value, at) if name in schema["properties"] else [f"{at}: not in the schema"]
        wrong += [
            f"{path}.{name}: not in values.yaml" for name in schema["properties"] if isinstance(default, dict) and name not in default
        ]
    return wrong


PARENTS = {"image", "crds", "settings", "ports", "serviceAccount", "rbac", "networkPolicy", "uninstallGuard"}
"""Headings whose values are documented one by one."""
FREE = {"livenessProbe", "readinessProbe", "affinity"}
"""Kubernetes's own fields, of which the defaults name only some."""


def test_the_schema_knows_every_value_describes_it_and_refuses_all_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    wrong = documented(schema, values)
    assert [one for one in wrong if one.split(":")[0] not in PARENTS and one.split(".")[0] not in FREE] == []


def test_every_setting_of_the_operator_is_a_value_and_keeps_the_operators_default(any_helm: Helm) -> None:
    """What is not set is not passed on, so that the operator's own defaults hold; what is set arrives as the operator reads it."""
    full = environment(the(any_helm.template("x", "aop-system", ROOT / "deploy/helm/ci/full.yaml"), "Deployment"))
    scoped = environment(the(any_helm.template("x", "aop-system", ROOT / "deploy/helm/ci/namespaced.yaml"), "Deployment"))
    assert {f"AOP_{name.upper()}" for name in Settings.model_fields if name not in PODS_OWN} == {
        name for name in {*full, *scoped} if name.startswith("AOP_")
    }
    defaults = environment(the(any_helm.template("x", "aop-system"), "Deployment"))
    assert defaults == {"AOP_LOG_LEVEL": "info", "AOP_LOG_FORMAT": "json", "AOP_HEALTH_PORT": "8080", "AOP_METRICS_PORT": "8081"}


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_the_operator_accepts_the_settings_of(values: Path, any_helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = environment(the(any_helm.template("x", "aop-system", values), "Deployment"))
    for name, value in rendered.items():
        monkeypatch.setenv(name, value)
    if "AOP_EDGE_CA_FILE" in rendered:
        (tmp_path / "ca.crt").touch()
        monkeypatch.setenv("AOP_EDGE_CA_FILE", str(tmp_path / "ca.crt"))
    settings = Settings.load()
    given = yaml.safe_load(values.read_text()) or {}
    assert list(settings.watch_namespaces) == given.get("watchNamespaces", [])
    assert list(settings.ingress_config_maps) == [f"{it['namespace']}/{it['name']}" for it in given.get("ingressConfigMaps", [])]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 2}, "replicas"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"image": {"repository": ""}}, "image/repository|image.repository"),
        ({"image": {"repository": "registry.example.com/aop:latest"}}, "image/repository|image.repository"),
        ({"image": {"tag": "not a tag"}}, "image/tag|image.tag"),
        ({"image": {"digest": "sha256:short"}}, "image/digest|image.digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"crds": {"enabled": "yes"}}, "crds/enabled|crds.enabled"),
        ({"creator": "kubectl"}, "creator"),
        ({"watchNamespaces": "edge"}, "watchNamespaces"),
        ({"watchNamespaces": ["Edge"]}, "watchNamespaces"),
        ({"watchNamespaces": ["edge", "edge"]}, "watchNamespaces"),
        ({"watchNamespaces": ["edge"]}, "ingressConfigMaps is not"),
        ({"ingressConfigMaps": ["ingress-nginx/ingress-nginx-controller"]}, "ingressConfigMaps"),
        ({"ingressConfigMaps": [{"name": "ingress-nginx-controller"}]}, "namespace"),
        ({"ingressConfigMaps": [{"namespace": "ingress-nginx", "name": "x", "key": "y"}]}, "key"),
        ({"settings": {"logLevel": "verbose"}}, "logLevel"),
        ({"settings": {"logFormat": "xml"}}, "logFormat"),
        ({"settings": {"cloudflareBaseUrl": "api.example.com"}}, "cloudflareBaseUrl"),
        ({"settings": {"edgeConnectTo": ["example.com:443"]}}, "edgeConnectTo"),
        ({"settings": {"edgeCaFile": "ca.crt"}}, "edgeCaFile"),
        ({"settings": {"resyncSeconds": 0}}, "resyncSeconds"),
        ({"settings": {"resyncSeconds": "5m"}}, "resyncSeconds"),
        ({"settings": {"budgetShare": 1.5}}, "budgetShare"),
        ({"settings": {"AOP_RESYNC_S": 300}}, "AOP_RESYNC_S"),
        ({"ports": {"health": 0}}, "health"),
        ({"ports": {"address": "localhost"}}, "address"),
        ({"ports": {"metrics": 65536}}, "metrics"),
        ({"ports": {"metrics": 8080}}, "ports.health and ports.metrics are the same"),
        ({"extraEnv": [{"value": "x"}]}, "name"),
        ({"extraEnv": {"NAME": "x"}}, "extraEnv"),
        ({"volumes": [{"emptyDir": {}}]}, "name"),
        ({"volumeMounts": [{"name": "x"}]}, "mountPath"),
        ({"extraObjects": [{"kind": "ConfigMap"}]}, "extraObjects"),
        ({"serviceAccount": {"annotations": {"a": 1}}}, "annotations"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is empty"),
        ({"rbac": {"clusterWide": True}}, "clusterWide"),
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
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], named: str, any_helm: Helm) -> None:
    with pytest.raises(HelmFailed) as failed:
        any_helm.template("x", "aop-system", values)
    said = str(failed.value).partition("\n")[2]
    assert re.search(named, said), said


def test_helm_3_and_helm_4_refuse_alike(helm: Helm) -> None:
    with pytest.raises(HelmFailed, match="replicas"):
        helm.template("x", "aop-system", {"replicas": 2})


# --- what it renders to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_it_lints_and_the_api_server_takes_every_field_of(values: Path, helm: Helm, plane: ControlPlane) -> None:
    assert "0 chart(s) failed" in helm.lint(values=values)
    objects = helm.template("aop-operator", "aop-dry-run", values)
    assert objects
    namespaces = {one["metadata"].get("namespace", "aop-dry-run") for one in objects} - {"default"}
    plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(namespaces)])
    text = yaml.safe_dump_all(objects)
    said = plane.kubectl(
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--server-side",
        "--field-manager=test",
        "-f",
        "-",
        input=text,
    )
    assert said.count("(server dry run)") == len(objects)


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_its_pods_meet_the_restricted_pod_security_standard(values: Path, any_helm: Helm, plane: ControlPlane) -> None:
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
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": one["spec"]["template"]["spec"]}
            del pod["spec"]["serviceAccountName"]
            plane.kubectl("create", f"--namespace={namespace}", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod))


def test_labels_of_two_releases_do_not_mix(any_helm: Helm) -> None:
    one, other = (the(any_helm.template(name, "aop-system"), "Deployment") for name in ("one", "other"))
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
    dropped = the(any_helm.template("x", "aop-system", {"crds": {"keep": False}}), "CustomResourceDefinition")
    assert kept["metadata"]["annotations"] == {policy: "keep"}
    assert policy not in dropped["metadata"].get("annotations", {})


def test_the_resource_in_the_chart_is_the_one_that_the_models_make(any_helm: Helm) -> None:
    (file,) = (ROOT / "crds").glob("*.yaml")
    assert the(any_helm.template("x", "aop-system"), "CustomResourceDefinition")["spec"] == yaml.safe_load(file.read_text())["spec"]


def test_namespaced_without_extras_grants_nothing_in_the_cluster(any_helm: Helm) -> None:
    kinds = {one["kind"] for one in any_helm.template("x", "aop-system", ROOT / "deploy/helm/ci/namespaced.yaml")}
    assert kinds == {"ServiceAccount", "Role", "RoleBinding", "Deployment", "Job"}


def test_writing_is_limited_to_the_named_config_maps(any_helm: Helm) -> None:
    for name in ("limited", "namespaced"):
        objects = any_helm.template("x", "aop-system", ROOT / f"deploy/helm/ci/{name}.yaml")
        grants = [
            (one["metadata"].get("namespace"), rule.get("resourceNames"))
            for one in objects
            if one["kind"] in {"Role", "ClusterRole"}
            for rule in one["rules"]
            if "configmaps" in rule["resources"] and {"update", "patch", "create", "delete"} & set(rule["verbs"])
        ]
        assert grants == [("ingress-nginx", ["ingress-nginx-controller"])]
